"""Late fusion for a classifier: several modalities' class scores become one row.

How each strategy fuses them stands in :mod:`classify.fusion.strategies`; what fuses scores without
a classifier in :mod:`classify.fusion.rules`. Scores are probabilities, kept as logarithms.

A row that lacks a modality has uniform probabilities ``1 / C`` there, which changes neither the
ranking of a sum nor a product at all. Fused rows are standardised with training statistics before
the classifier.

**Head**: softmax of the stored logits. The head was trained on the training rows, so their scores
are over-confident; the paper fits its classifiers on them, and so does this unless other rows are
asked for (:mod:`classify.systems.evaluator`).

**Probe**, where an encoder has no head: standardise, then multinomial logistic regression, fitted
inside the fold; how strongly it is regularised is chosen among the rows that it is fitted on
(:func:`classify.models.probe.choose_c`). Training rows are scored out of fold, over
:data:`classify.models.probe.PROBE_SPLITS` splits that keep every group (dialogue, video, speaker)
whole; fewer groups make fewer splits, one group is refused; a row without a group is a group of its
own. Other rows are scored by the probe refitted on all training rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classify.fusion.strategies import score_fusion
from classify.models.probe import LogProbabilities


class LateFusion:
    """A strategy with the training statistics of one fold.

    Args:
        method: A name of :func:`classify.fusion.strategies.score_strategies`.

    Raises:
        UnknownNameError: No such strategy.
        UsageError: It fuses vectors only.

    >>> scores = np.log([[0.8, 0.2], [0.4, 0.6]])
    >>> fusion = LateFusion("product").fit([scores, scores])
    >>> fusion.transform([scores, scores]).round(6).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """

    def __init__(self, method: str) -> None:
        from sklearn.preprocessing import StandardScaler

        self.fusion = score_fusion(method)
        self.scaler = StandardScaler()

    def fit(self, scores: Sequence[LogProbabilities]) -> LateFusion:
        """Take mean and deviation of the fused columns of training rows, one (n, C) a modality."""
        self.scaler.fit(self.fusion.combine(scores))
        return self

    def transform(self, scores: Sequence[LogProbabilities]) -> NDArray[np.float64]:
        """Fuse rows, one (n, C) a modality, and standardise them as :meth:`fit` found (n, D')."""
        fused = self.fusion.combine(scores)
        return np.asarray(self.scaler.transform(fused)) if len(fused) else fused
