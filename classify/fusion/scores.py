"""Late fusion for a classifier.

Each modality's class scores become one row, from its head or from a probe fitted in the fold.

What fuses scores without a classifier stands in :mod:`classify.fusion.rules`. Scores are
probabilities, kept as logarithms. With ``log p_m`` the scores (n, C) of modality m:

=================  =======================================================  =========
strategy           fused row                                                width
=================  =======================================================  =========
``concatenation``  ``[p_1, p_2, ...]``                                      M * C
``sum``            ``p_1 + p_2 + ...``                                      C
``product``        ``log softmax(log p_1 + log p_2 + ...)``, the logarithm   C
                   of the product of probabilities, scaled to sum to 1
=================  =======================================================  =========

The product is a sum of logarithms, so it cannot underflow. A row that lacks a modality has uniform
probabilities ``1 / C`` there, which changes neither the ranking of a sum nor a product at all.
Fused rows are standardised with training statistics before the classifier. To add a strategy, add
an entry to :data:`STRATEGIES`.

**Head**: softmax of the stored logits. The head was trained on the training rows, so their scores
are over-confident; the paper fits its classifiers on them, and so does this unless it is told
otherwise (:mod:`classify.systems.evaluator`).

**Probe**, where an encoder has no head: standardise, then multinomial logistic regression, fitted
inside the fold. Training rows are scored out of fold, over :data:`PROBE_SPLITS` splits that keep
every group (dialogue, video, speaker) whole; fewer groups make fewer splits, one group is refused;
a row without a group is a group of its own. Other rows are scored by the probe refitted on all
training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.preprocessing import StandardScaler

from classify.models.probe import LogProbabilities
from embeddings_store.errors import unknown_name


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to make one row of several modalities' scores.

    Log probabilities, each (n, C), to (n, D').
    """

    name: str
    combine: Callable[[Sequence[LogProbabilities]], NDArray[np.float64]]


STRATEGIES: Mapping[str, Strategy] = {
    s.name: s
    for s in (
        Strategy("concatenation", lambda scores: np.exp(np.hstack(scores))),
        Strategy("sum", lambda scores: np.sum(np.exp(scores), axis=0)),
        Strategy("product", lambda scores: log_softmax(np.sum(scores, axis=0), axis=1)),
    )
}


class LateFusion:
    """A strategy with the training statistics of one fold.

    Raises:
        UnknownNameError: No such strategy.

    >>> never = np.log([[0.8, 0.2], [0.4, 0.6]])
    >>> fusion = LateFusion("product").fit([never, never])
    >>> fusion.transform([never, never]).round(6).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """

    def __init__(self, method: str) -> None:
        self.strategy = STRATEGIES.get(method) or unknown_name(
            "late fusion", method, list(STRATEGIES)
        )
        self.scaler = StandardScaler()

    def fit(self, scores: Sequence[LogProbabilities]) -> LateFusion:
        """Take mean and deviation of the fused columns.

        ``scores`` holds one (n, C) per modality.
        """
        self.scaler.fit(self.strategy.combine(scores))
        return self

    def transform(self, scores: Sequence[LogProbabilities]) -> NDArray[np.float64]:
        """Fuse rows and standardise them with the statistics that :meth:`fit` took, shape (n, D')."""
        fused = self.strategy.combine(scores)
        return np.asarray(self.scaler.transform(fused)) if len(fused) else fused
