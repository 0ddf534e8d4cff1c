"""Class scores for an encoder that has no head of its own.

A logistic regression fitted inside the fold. How strongly it is regularised is chosen inside the
rows that it is fitted on, over splits that keep every group whole: see :func:`choose_c`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.groups import groups_of_their_own
from embeddings_store.errors import FoldError
from embeddings_store.vectors.fold_data import RoleData

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

LogProbabilities = NDArray[np.float64]
Vectors = NDArray[np.float32]
Codes = NDArray[np.int64]

PROBE_SPLITS = 5  # each inner probe learns from four fifths of the rows
# Inverse L2 strengths to choose from, the strongest regularisation first. Wide vectors want the
# first ones, a handful of columns the last: no single value serves both.
PROBE_GRID = (0.001, 0.01, 0.1, 1.0, 10.0)
CHOICE_SPLITS = 3
# Where the rows are of one group, so that no part of them can judge what the rest has learnt. WA on
# the validation rows of RAVDESS and MELD, frozen encoders: 65.6 and 56.1 at 0.001, 70.0 and 55.7 at
# 0.01, 70.7 and 55.3 at 0.1, 69.6 and 54.6 at 1; narrow vectors lose most below 0.1.
FIXED_C = 0.1
CHOSEN_ON = "training rows, inside groups"
NOT_CHOSEN = f"nothing, C = {FIXED_C:g}: no two groups with two classes"
# lbfgs took below 100 on every store so far; scikit-learn warns if this is not enough
PROBE_ITERATIONS = 2_000
PROBE_SETTINGS = {
    "splits": PROBE_SPLITS,
    "iterations": PROBE_ITERATIONS,
    "choice_splits": CHOICE_SPLITS,
    "fixed_c": FIXED_C,
    **{f"c_{place}": c for place, c in enumerate(PROBE_GRID)},
}


def head_scores(logits: NDArray[np.floating[Any]]) -> LogProbabilities:
    """Turn a head's logits (n, C) into log probabilities.

    >>> np.exp(head_scores(np.array([[0.0, 1000.0]]))).tolist()
    [[0.0, 1.0]]
    """
    from scipy.special import log_softmax

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
        c: The inverse strength of its L2 penalty.
        chosen_on: What chose that strength, in words.
    """

    scaler: StandardScaler
    model: LogisticRegression
    n_rows: int
    n_classes: int
    c: float
    chosen_on: str

    def scores(self, vectors: Vectors) -> LogProbabilities:
        """Return log probabilities (n, C) of vectors (n, D).

        A class that no fit row holds gets the probability ``1 / (n_rows + C)`` of Laplace's rule;
        the others share the rest.
        """
        from scipy.special import log_softmax

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


def fit_probe(
    vectors: Vectors, y: Codes, n_classes: int, groups: NDArray[np.str_], c: float | None = None
) -> Probe:
    """Standardise and fit a multinomial logistic regression, as strong as :func:`choose_c` says.

    Args:
        vectors: Rows to fit on (n, D), finite.
        y: Their class codes (n,).
        n_classes: Size of the label set.
        groups: What must not be torn apart where the strength is chosen (n,).
        c: Its strength where that is chosen already.

    Raises:
        FoldError: The rows are of one class only.
    """
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(y)) < 2:
        raise FoldError(
            f"a probe has {len(y)} rows of one class to learn from; use fewer folds, or leave out "
            "late fusion (--late none)"
        )
    chosen_on = CHOSEN_ON
    if c is None:
        c, chosen_on = choose_c(vectors, y, n_classes, groups)
    scaler = StandardScaler().fit(vectors)
    model = _regression(c).fit(scaler.transform(vectors), y)
    return Probe(scaler, model, len(y), n_classes, c, chosen_on)


def choose_c(
    vectors: Vectors, y: Codes, n_classes: int, groups: NDArray[np.str_]
) -> tuple[float, str]:
    """Choose the inverse strength of the L2 penalty by cross-validated log loss.

    The rows are split into :data:`CHOICE_SPLITS` parts of whole groups; each part is answered by a
    probe of the others, scaler included. :data:`PROBE_GRID` is walked from the strongest penalty
    on, up to the first step that does not lower the log loss; so ties go to the stronger penalty,
    and the weak ones, which are slow on wide vectors, are fitted only where they may help.

    Args:
        vectors: Rows to choose on (n, D), finite.
        y: Their class codes (n,).
        n_classes: Size of the label set.
        groups: The group of each row (n,).

    Returns:
        The strength, and what chose it in words: :data:`CHOSEN_ON`, or :data:`NOT_CHOSEN` with
        :data:`FIXED_C` where the rows are of one group, or no part of them leaves two classes to
        learn from.
    """
    splits = _splits_to_choose_on(vectors, y, n_classes, groups)
    if not splits:
        return FIXED_C, NOT_CHOSEN
    best, least = PROBE_GRID[0], np.inf
    for c in PROBE_GRID:
        loss = sum(split.loss(c) for split in splits)
        if loss >= least:
            break
        best, least = c, loss
    return best, CHOSEN_ON


def choose_c_in_parts(
    vectors: Vectors, y: Codes, n_classes: int, parts: Codes
) -> tuple[float, dict[int, float]]:
    """Choose the strength in inner folds: for a probe of all rows, and for each inner fold.

    A row is answered by a probe of the other inner folds. The rows of an inner fold do not choose
    the strength that answers them: for each inner fold the others choose. :data:`PROBE_GRID` is
    walked as in :func:`choose_c`, for all of these choices at once.

    Args:
        vectors: Rows to choose on (n, D), finite.
        y: Their class codes (n,).
        n_classes: Size of the label set.
        parts: The inner fold of each row (n,).

    Returns:
        The strength for all rows, and for each inner fold that which the others choose;
        :data:`FIXED_C` where fewer than two inner folds leave two classes to learn from.
    """
    numbers = np.unique(parts)
    places = [(np.flatnonzero(parts != n), np.flatnonzero(parts == n)) for n in numbers]
    usable = [len(np.unique(y[learning])) > 1 for learning, _ in places]
    splits = [
        _choice_split(vectors, y, n_classes, *place)
        for place, use in zip(places, usable, strict=True)
        if use
    ]
    if len(splits) < 2:
        return FIXED_C, dict.fromkeys(numbers.tolist(), FIXED_C)
    best = np.full(len(splits) + 1, PROBE_GRID[0])  # without each inner fold, and of all
    least = np.full(len(best), np.inf)
    falling = np.ones(len(best), dtype=bool)
    for c in PROBE_GRID:
        losses = np.array([split.loss(c) for split in splits])
        sums = losses.sum() - np.append(losses, 0.0)
        falling &= sums < least
        if not falling.any():
            break
        best[falling], least[falling] = c, sums[falling]
    of_all = float(best[-1])
    chosen = dict.fromkeys(numbers.tolist(), of_all)
    chosen |= dict(zip(numbers[usable].tolist(), best[:-1].tolist(), strict=True))
    return of_all, chosen


@dataclass(frozen=True, slots=True)
class _ChoiceSplit:
    """One split of the rows that choose a strength.

    Attributes:
        scaler: Mean and deviation of the rows to learn from.
        vectors: All rows, as they are (n, D).
        y: Their class codes (n,).
        learning: Positions of the rows to learn from (m,); standardised anew for each strength,
            which is quick, because three copies of wide vectors would be large.
        judging: Positions of the rows that judge (k,).
        n_classes: Size of the label set.
        model: Begins each fit where the last one ended.
    """

    scaler: StandardScaler
    vectors: Vectors
    y: Codes
    learning: Codes
    judging: Codes
    n_classes: int
    model: LogisticRegression

    def loss(self, c: float) -> float:
        """Return the summed log loss of the rows that judge, under a strength."""
        X = self.scaler.transform(self.vectors[self.learning], copy=False)
        self.model.set_params(C=c).fit(X, self.y[self.learning])
        del X
        probe = Probe(self.scaler, self.model, len(self.learning), self.n_classes, c, "")
        log_p = probe.scores(self.vectors[self.judging])
        return float(-log_p[np.arange(len(self.judging)), self.y[self.judging]].sum())


def _splits_to_choose_on(
    vectors: Vectors, y: Codes, n_classes: int, groups: NDArray[np.str_]
) -> list[_ChoiceSplit]:
    """Return the splits by group; without those that leave one class to learn from."""
    from sklearn.model_selection import GroupKFold

    count = len(np.unique(groups))
    if count < 2:
        return []
    splits = []
    for learning, judging in GroupKFold(min(CHOICE_SPLITS, count)).split(vectors, groups=groups):
        if len(np.unique(y[learning])) > 1:
            splits.append(_choice_split(vectors, y, n_classes, learning, judging))
    return splits


def _choice_split(
    vectors: Vectors, y: Codes, n_classes: int, learning: Codes, judging: Codes
) -> _ChoiceSplit:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(vectors[learning])
    model = _regression(PROBE_GRID[0], warm_start=True)
    return _ChoiceSplit(scaler, vectors, y, learning, judging, n_classes, model)


def _regression(c: float, *, warm_start: bool = False) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=PROBE_ITERATIONS, warm_start=warm_start)


def inner_groups(rows: RoleData) -> NDArray[np.str_]:
    """Return the group of each row (n,); a row without one is a group of its own."""
    return groups_of_their_own(rows.groups, rows.ids)
