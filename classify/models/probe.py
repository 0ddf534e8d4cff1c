"""Class scores for an encoder that has no head of its own.

A logistic regression fitted inside the fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from embeddings_store.corpus.groups import groups_of_their_own
from embeddings_store.errors import FoldError
from embeddings_store.vectors.fold_data import RoleData

LogProbabilities = NDArray[np.float64]


Vectors = NDArray[np.float32]


Codes = NDArray[np.int64]


PROBE_SPLITS = 5  # each inner probe learns from four fifths of the rows


# Inverse L2 strength. WA on the validation rows of RAVDESS and MELD, frozen encoders: 65.6 and 56.1
# at 0.001, 70.0 and 55.7 at 0.01, 70.7 and 55.3 at 0.1, 69.6 and 54.6 at 1.
PROBE_C = 0.01


PROBE_ITERATIONS = (
    2_000  # lbfgs took below 100 on every store so far; scikit-learn warns if this is not enough
)


PROBE_SETTINGS = {"splits": PROBE_SPLITS, "c": PROBE_C, "iterations": PROBE_ITERATIONS}


def head_scores(logits: NDArray[np.floating[Any]]) -> LogProbabilities:
    """Turn a head's logits (n, C) into log probabilities.

    >>> np.exp(head_scores(np.array([[0.0, 1000.0]]))).tolist()
    [[0.0, 1.0]]
    """
    return np.asarray(log_softmax(np.asarray(logits, dtype=np.float64), axis=1))


def spread(scores: LogProbabilities, present: NDArray[np.bool_]) -> LogProbabilities:
    """Put the scores of present rows in their places (n, C).

    Rows without the modality become uniform.

    >>> np.exp(spread(np.log([[0.9, 0.1]]), np.array([False, True]))).round(6).tolist()
    [[0.5, 0.5], [0.9, 0.1]]
    """
    full = np.full((len(present), scores.shape[1]), -np.log(scores.shape[1]))
    full[present] = scores
    return full


@dataclass(frozen=True, slots=True)
class Probe:
    """A fitted probe: see :func:`fit_probe`.

    Attributes:
        scaler: The fit rows' mean and deviation.
        model: The logistic regression over the classes that the fit rows hold.
        n_rows: How many rows it was fitted on.
        n_classes: Size of the label set.
    """

    scaler: StandardScaler
    model: LogisticRegression
    n_rows: int
    n_classes: int

    def scores(self, vectors: Vectors) -> LogProbabilities:
        """Return log probabilities (n, C) of vectors (n, D).

        A class that no fit row holds gets the probability ``1 / (n_rows + C)`` of Laplace's rule;
        the others share the rest.
        """
        full = np.full((len(vectors), self.n_classes), -np.log(self.n_rows + self.n_classes))
        if not len(vectors):
            return full
        margins = self.model.decision_function(self.scaler.transform(vectors))
        if margins.ndim == 1:  # of two classes scikit-learn returns the second one's log odds
            margins = np.column_stack([np.zeros_like(margins), margins])
        absent = self.n_classes - margins.shape[1]
        left = np.log1p(-absent / (self.n_rows + self.n_classes))
        full[:, self.model.classes_] = log_softmax(margins, axis=1) + left
        return full


def fit_probe(vectors: Vectors, y: Codes, n_classes: int) -> Probe:
    """Standardise and fit a multinomial logistic regression.

    Args:
        vectors: Rows to fit on (n, D), finite.
        y: Their class codes (n,).
        n_classes: Size of the label set.

    Raises:
        FoldError: The rows are of one class only.
    """
    if len(np.unique(y)) < 2:
        raise FoldError(
            f"a probe has {len(y)} rows of one class to learn from; use fewer folds, or leave out "
            "late fusion (--late none)"
        )
    scaler = StandardScaler().fit(vectors)
    model = LogisticRegression(C=PROBE_C, max_iter=PROBE_ITERATIONS).fit(
        scaler.transform(vectors), y
    )
    return Probe(scaler, model, len(y), n_classes)


def inner_groups(rows: RoleData) -> NDArray[np.str_]:
    """Return the group of each row (n,); a row without one is a group of its own."""
    return groups_of_their_own(rows.groups, rows.ids)
