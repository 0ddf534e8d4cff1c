"""From the windows of a recording to one label for it, by four rules; none prefers a class.

==============  ================================================================================
rule            the label
==============  ================================================================================
``majority``    that most windows have
``weighted``    with the largest sum of its windows' confidences: each votes with how sure it is
``mean``        with the largest mean probability over all windows
``maximum``     of the window that is the surest
==============  ================================================================================

A window's confidence is the probability of its own label. Labels that a rule cannot tell apart are
told apart by their mean probability, and where that is equal, too, there is no label: the order of
the classes decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]
Codes = NDArray[np.int64]
SAME = 1e-12  # sums of probabilities that differ by less do so by rounding


@dataclass(frozen=True, slots=True)
class FileLabel:
    """One label for a recording.

    Attributes:
        code: The class, -1 where none is left of several.
        confidence: Its mean probability over the windows, in [0, 1]; ``nan`` without a label.
        tied: The classes between which nothing decides, where there is no label.
    """

    code: int
    confidence: float
    tied: tuple[int, ...] = ()


def _majority(labels: Codes, probabilities: Probabilities) -> Probabilities:
    return np.asarray(np.bincount(labels, minlength=probabilities.shape[1]), dtype=np.float64)


def _weighted(labels: Codes, probabilities: Probabilities) -> Probabilities:
    own = probabilities[np.arange(len(labels)), labels]
    found = np.bincount(labels, weights=own, minlength=probabilities.shape[1])
    return np.asarray(found, dtype=np.float64)


def _mean(labels: Codes, probabilities: Probabilities) -> Probabilities:
    del labels  # it looks at all classes of each window
    return np.asarray(probabilities.mean(axis=0))


def _maximum(labels: Codes, probabilities: Probabilities) -> Probabilities:
    own = probabilities[np.arange(len(labels)), labels]
    found = np.zeros(probabilities.shape[1])
    np.maximum.at(found, labels, own)
    return found


RULES: Mapping[str, Callable[[Codes, Probabilities], Probabilities]] = {
    "majority": _majority,
    "weighted": _weighted,
    "mean": _mean,
    "maximum": _maximum,
}


def label_file(rule: str, labels: Codes, probabilities: Probabilities) -> FileLabel:
    """Return one label for the windows of a recording.

    Args:
        rule: A name of :data:`RULES`.
        labels: Each window's class code (n,), n >= 1; of answered windows only.
        probabilities: Of every class (n, C).

    Raises:
        KeyError: No such rule.

    >>> p = np.array([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.0, 0.1, 0.9]])
    >>> [label_file(rule, p.argmax(axis=1), p).code for rule in RULES]
    [0, 0, 0, 2]
    >>> label_file("majority", np.array([0, 1]), np.array([[0.7, 0.3], [0.3, 0.7]]))
    FileLabel(code=-1, confidence=nan, tied=(0, 1))
    """
    merit = RULES[rule](labels, probabilities)
    best = np.flatnonzero(merit >= merit.max() - SAME)
    mean = probabilities.mean(axis=0)
    if len(best) > 1:
        best = best[mean[best] >= mean[best].max() - SAME]
    if len(best) > 1:
        return FileLabel(-1, float("nan"), tuple(best.tolist()))
    return FileLabel(int(best[0]), float(mean[best[0]]))
