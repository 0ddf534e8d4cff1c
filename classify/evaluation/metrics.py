"""The figures of merit: one definition each, under the names that results print.

===============  ===============================================================================
name             formula
===============  ===============================================================================
``WA``           accuracy = correct rows / rows (several repositories call it UA: look at the
                 formula)
``UAR``          balanced accuracy = mean recall over the classes that occur in the truth
                 (also called UA)
``macro_F1``     mean F1 over the classes that occur in the truth or in the predictions
``weighted_F1``  mean F1 over classes, weighted by how many rows of the truth each has
``coverage``     scored rows / planned rows: a row without a vector or a label is not scored
``WA_all``       correct rows / planned rows: what is not scored counts as wrong
===============  ===============================================================================

Where a ratio has nothing below its line (precision of a class that is never predicted) it is 0. A
class that a test fold neither holds nor was given as an answer counts for nothing, so a perfect
prediction scores 1 in every metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

METRICS = ("WA", "UAR", "macro_F1", "weighted_F1")
COVERAGE, WA_ALL = "coverage", "WA_all"
COMPLETENESS = (COVERAGE, WA_ALL)
FORMULAS = (
    "WA = accuracy; UAR = balanced accuracy (mean recall); macro_F1, weighted_F1 = mean F1, plain "
    "and by support"
)

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PerClass:
    """Precision, recall, F1 and support of each class, in label order.

    Attributes:
        precision: In [0, 1] (C,).
        recall: In [0, 1] (C,).
        f1: In [0, 1] (C,).
        support: Rows of the truth (C,).
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: Codes

    def weighted(self) -> tuple[float, float, float]:
        """Return the support-weighted means of precision, recall (= accuracy) and F1.

        They are the ``all`` row of the paper's Table 7.
        """
        weights = self.support / self.support.sum()
        return (
            float(self.precision @ weights),
            float(self.recall @ weights),
            float(self.f1 @ weights),
        )


def summary(y_true: Codes, y_pred: Codes) -> dict[str, float]:
    """Return WA, UAR, macro_F1 and weighted_F1 of class codes, each in [0, 1].

    Args:
        y_true: True class codes (n,), n >= 1.
        y_pred: Predicted class codes (n,).

    >>> {k: round(v, 3) for k, v in summary(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])).items()}
    {'WA': 0.75, 'UAR': 0.833, 'macro_F1': 0.733, 'weighted_F1': 0.767}
    """
    n_classes = 1 + int(max(y_true.max(), y_pred.max()))
    return {
        name: float(value) for name, value in of_counts(_counts(y_true, y_pred, n_classes)).items()
    }


def of_counts(counts: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    """Return the figures of :func:`summary` for many confusions at once.

    Args:
        counts: Rows of true class i and predicted class j (..., C, C). A confusion without rows has
            the figure 0.

    Returns:
        Metric to values (...).

    >>> {k: round(float(v), 3) for k, v in of_counts(np.array([[2, 1], [0, 1]])).items()}
    {'WA': 0.75, 'UAR': 0.833, 'macro_F1': 0.733, 'weighted_F1': 0.767}
    """
    classes = per_class_of_counts(counts)
    support, either = classes["support"], classes["support"] + classes["predicted"] > 0
    rows, occurring = support.sum(-1), support > 0
    return {
        "WA": _ratio(np.trace(counts, axis1=-2, axis2=-1), rows),
        "UAR": _ratio((classes["recall"] * occurring).sum(-1), occurring.sum(-1)),
        "macro_F1": _ratio(classes["F1"].sum(-1), either.sum(-1)),
        "weighted_F1": _ratio((classes["F1"] * support).sum(-1), rows),
    }


def per_class_of_counts(counts: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    """Return the figures of each class (..., C) of confusions (..., C, C).

    They are precision, recall, F1, support, and how often the class is predicted.

    >>> per_class_of_counts(np.array([[1, 1], [0, 1]]))["recall"].tolist()
    [0.5, 1.0]
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(-1), counts.sum(-2)
    return {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, support),
        "F1": _ratio(2 * hits, support + predicted),
        "support": support.astype(float),
        "predicted": predicted.astype(float),
    }


def accuracy(y_true: Codes, y_pred: Codes | np.int64) -> float:
    """Return the share of equal codes.

    ``nan`` for no rows, because nothing was measured. One code stands for all rows.

    >>> accuracy(np.array([0, 1]), np.array([0, 0]))
    0.5
    """
    return float((y_true == y_pred).mean()) if len(y_true) else float("nan")


def completeness(
    right: ArrayLike, n_scored: ArrayLike, n_planned: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``coverage`` and ``WA_all``, which say of how many planned rows an accuracy is.

    Args:
        right: The share of right answers among the scored rows (...); not looked at where none is
            scored.
        n_scored: How many rows were scored (...).
        n_planned: How many rows the plan asked for (...); without any both figures are ``nan``.

    Returns:
        Both in [0, 1] (...).

    >>> [figure.tolist() for figure in completeness([0.9, np.nan], [50, 0], [60, 10])]
    [[0.8333333333333334, 0.0], [0.75, 0.0]]
    """
    scored, planned = np.asarray(n_scored, dtype=float), np.asarray(n_planned, dtype=float)
    hits = np.where(scored > 0, np.asarray(right, dtype=float), 0.0) * scored
    nothing = np.full(np.broadcast(hits, planned).shape, np.nan)
    return (
        np.divide(scored, planned, out=nothing.copy(), where=planned > 0),
        np.divide(hits, planned, out=nothing, where=planned > 0),
    )


def per_class(y_true: Codes, y_pred: Codes, n_classes: int) -> PerClass:
    """Return precision, recall, F1 and support of codes ``0 .. n_classes - 1``.

    Args:
        y_true: True class codes (n,).
        y_pred: Predicted class codes (n,).
        n_classes: Size of the label set.

    >>> per_class(np.array([0, 0, 1]), np.array([0, 1, 1]), 3).recall.tolist()
    [0.5, 1.0, 0.0]
    """
    found = per_class_of_counts(_counts(y_true, y_pred, n_classes))
    support = found["support"].astype(np.int64)
    return PerClass(found["precision"], found["recall"], found["F1"], support)


def confusion(y_true: Codes, y_pred: Codes, classes: Sequence[str]) -> Codes:
    """Return counts (C, C): row = truth, column = prediction, both in label order.

    Args:
        y_true: True class codes (n,).
        y_pred: Predicted class codes (n,).
        classes: The label set, in its order.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), ("sad", "happy")).tolist()
    [[1, 1], [0, 1]]
    """
    return _counts(y_true, y_pred, len(classes))


def _counts(y_true: Codes, y_pred: Codes, n_classes: int) -> Codes:
    """Return how many rows of true class i were given class j (C, C).

    Raises:
        ValueError: A code is not one of ``0 .. C - 1``; nothing may be counted elsewhere.
    """
    for codes in (y_true, y_pred):
        if len(codes) and not 0 <= codes.min() <= codes.max() < n_classes:
            raise ValueError(
                f"class codes {codes.min()} to {codes.max()}, not 0 to {n_classes - 1}"
            )
    pairs = np.bincount(y_true * n_classes + y_pred, minlength=n_classes**2)
    return pairs.reshape(n_classes, n_classes)


def _ratio(above: NDArray[np.generic], below: NDArray[np.generic]) -> NDArray[np.float64]:
    """Divide, and give 0 where there is nothing below the line."""
    return np.asarray(
        np.divide(above, below, out=np.zeros(np.shape(below)), where=np.asarray(below) > 0)
    )
