"""Is one system better than another?

Paired tests on the rows that both answered, and Holm's correction for asking often.

=============  ==================================================================================
test           what it takes for granted
=============  ==================================================================================
jackknife t    speakers are independent; the mean of their influences on the difference is near
               normal. This p counts: it agrees with the interval, rejects as often as it says,
               and has no floor.
sign-flip      if both systems are equally good, their answers can be exchanged speaker by
               speaker. Exact up to 14 speakers, then 10,000 draws; with n speakers no p is
               below 2 / 2^n.
McNemar        rows are independent. They are not: rows of one speaker go together, so it
               rejects far too often. None with several seeds, which answer every row again.
Nadeau-Bengio  training sets overlap to the same degree everywhere, and folds are like random
               resamples. Folds of sessions or speakers are not; with few folds it finds little.
=============  ==================================================================================

The last two are printed for those who look for them;
``benchmarks/results/interval_false_positives.csv`` has the rates at which all four reject where
nothing is to be found.

The first three are tests of **these fitted models**: they ask whether one would be better for new
speakers, not whether it would be after training on other speakers. Folds share most of their
training rows, so what training adds is common to all of them and shows in no spread; one set of
folds has no unbiased estimate of it. ``benchmarks.interval_simulation --training`` finds the rates
with real training, and those of corrections by overlap: of those that one set of folds allows, none
rejects as often as it says in all designs, because what training adds depends on the corpus. Folds
drawn again would tell more, and take as many runs. Nadeau-Bengio is the one here that makes room
for training, and more room than most corpora need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classify.evaluation.intervals import (
    TINY,
    Counts,
    Estimate,
    Figure,
    Floats,
    effective_clusters,
    half_width,
    spread,
    too_few,
)

P_FOR = "these fitted models"  # what the p values but Nadeau-Bengio's are about
LEVEL_OF_DETECTABLE, POWER = 0.05, 0.8
EXACT_CLUSTERS = 14
DRAWS = 10_000
CHUNK = 1_024  # exchanges at a time


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the same rows.

    Attributes:
        first: The first system's figure.
        second: The second's.
        difference: First minus second with its interval; it is the effect size.
        p: Two-sided, of the difference's t; ``nan`` with too few clusters.
        p_sign_flip: Two-sided, of :func:`sign_flip`; ``nan`` with one cluster.
        better: Clusters for which the first is better.
        worse: Clusters for which the second is.
        detectable: The smallest difference that could have been shown, of :func:`detectable`;
            ``nan`` where there is no p or both are equal for every cluster.
    """

    first: float
    second: float
    difference: Estimate
    p: float
    p_sign_flip: float
    better: int
    worse: int
    detectable: float


def compare(first: Counts, second: Counts, figure: Figure, seed: int = 0) -> Comparison:
    """Compare two systems on the same rows.

    Args:
        first: The first system's confusion per cluster (G, C, C).
        second: The second's (G, C, C), of the same rows.
        figure: From :func:`classify.evaluation.intervals.overall` or ``of_class``.
        seed: For the random exchanges of :func:`sign_flip`.

    >>> a = np.array([[[9 - e, 1 + e], [1, 9]] for e in [0, 1, 0, 1, 0, 1]])
    >>> b = np.array([[[9 - e, 1 + e], [1, 9]] for e in [3, 4, 2, 4, 3, 5]])
    >>> from classify.evaluation.intervals import overall
    >>> found = compare(a, b, overall("WA"))
    >>> round(found.difference.value, 3), found.p < 0.01, found.p_sign_flip, found.better
    (0.15, True, 0.03125, 6)
    """
    sizes = first.sum((-1, -2))
    first, second, sizes = first[sizes > 0], second[sizes > 0], sizes[sizes > 0]
    value, se = difference(first, second, figure)
    found = _with_interval(float(value), float(se), sizes)
    p = smallest = float("nan")
    if not found.why_none:
        p = float(difference_p(value, se, effective_clusters(sizes)))
        smallest = float(detectable(se, effective_clusters(sizes)))
    per_cluster = figure(first) - figure(second)
    return Comparison(
        float(figure(first.sum(0))),
        float(figure(second.sum(0))),
        found,
        p,
        sign_flip(first, second, figure, seed=seed),
        int((per_cluster > 0).sum()),
        int((per_cluster < 0).sum()),
        smallest,
    )


def _with_interval(value: float, se: float, sizes: NDArray[np.number]) -> Estimate:
    """Return a difference with its interval, cut at -1 and 1."""
    effective = effective_clusters(sizes)
    why_none = too_few(len(sizes), float(effective))
    low = high = float("nan")
    if not why_none:
        half = float(half_width(np.asarray(se), effective))
        low, high = max(value - half, -1.0), min(value + half, 1.0)
    known_se = se if len(sizes) > 1 else float("nan")
    return Estimate(value, low, high, known_se, len(sizes), float(effective), why_none)


def difference(first: Counts, second: Counts, figure: Figure) -> tuple[Floats, Floats]:
    """Return first minus second, pooled, and its delete-one standard error, each (...).

    Args:
        first: The first system's confusion per cluster (..., G, C, C).
        second: The second's (..., G, C, C), of the same rows.
        figure: From :func:`classify.evaluation.intervals.overall` or ``of_class``.
    """
    first_whole, second_whole = first.sum(-3), second.sum(-3)
    first_without = figure(first_whole[..., None, :, :] - first)
    second_without = figure(second_whole[..., None, :, :] - second)
    return spread(figure(first_whole) - figure(second_whole), first_without - second_without)


def difference_p(value: Floats, se: Floats, effective: Floats) -> Floats:
    """Return the two-sided p of a difference (...).

    Two systems that are equal for every speaker have the p 1; where the difference is another one
    but the same for every speaker, nothing tells how it varies, and p is ``nan``.

    Args:
        value: The difference (...).
        se: Its standard error (...).
        effective: Effective clusters (...).
    """
    from scipy.special import stdtr  # scipy.stats, which has the same, takes half a second

    varies = np.asarray(se) > TINY
    t = np.where(
        varies,
        np.abs(value) / np.where(varies, se, 1.0),
        np.where(np.abs(value) > TINY, np.nan, 0.0),
    )
    return np.asarray(2 * stdtr(np.maximum(np.asarray(effective) - 1, 1), -t))


def detectable(se: Floats, effective: Floats) -> Floats:
    """Return the smallest true difference that the t finds in four of five corpora (...).

    ``se * (t(0.975) + t(0.8))``, both of ``effective - 1`` degrees: two-sided at 5 %, before Holm's
    correction, which asks for more; for these fitted models. ``nan`` without spread. Above 1 no
    difference could have been shown.

    Args:
        se: Standard error of the difference (...).
        effective: Effective clusters (...).

    Source: Bloom, Minimum detectable effects, Evaluation Review 19 (1995).

    >>> round(float(detectable(np.array(0.02), np.array(10.0))), 4)
    0.0629
    """
    from scipy.special import stdtrit

    degrees = np.maximum(np.asarray(effective) - 1, 1)
    quantiles = stdtrit(degrees, 1 - LEVEL_OF_DETECTABLE / 2) + stdtrit(degrees, POWER)
    return np.where(np.asarray(se) > TINY, quantiles * se, np.nan)


def sign_flip(
    first: Counts, second: Counts, figure: Figure, draws: int = DRAWS, seed: int = 0
) -> float:
    """Return the two-sided p of exchanging the systems' answers cluster by cluster.

    All exchanges are tried for up to :data:`EXACT_CLUSTERS` clusters, ``draws`` random ones else,
    the true one counted in.

    Args:
        first: The first system's confusion per cluster (G, C, C).
        second: The second's (G, C, C), of the same rows.
        figure: From :func:`classify.evaluation.intervals.overall` or ``of_class``.
        draws: Random exchanges where not all are tried.
        seed: For these.
    """
    clusters = len(first)
    if clusters < 2:
        return float("nan")
    exact = clusters <= EXACT_CLUSTERS
    # exchanging the others instead gives the same absolute difference: the first cluster can stay
    if exact:
        swaps = (np.arange(2 ** (clusters - 1))[:, None] >> np.arange(clusters)) & 1
    else:
        swaps = np.random.default_rng(seed).integers(0, 2, (draws, clusters))
    shape = first.shape[1:]
    # whole numbers, as floats because these are multiplied by BLAS
    change = (second - first).reshape(clusters, -1).astype(np.float64)
    one, other = first.sum(0), second.sum(0)
    observed = abs(float(figure(one) - figure(other)))
    extreme = 0
    for start in range(0, len(swaps), CHUNK):
        moved = (swaps[start : start + CHUNK] @ change).reshape(-1, *shape)
        differences = np.abs(figure(one + moved) - figure(other - moved))
        extreme += int((differences >= observed - TINY).sum())
    if exact:
        return extreme / len(swaps)
    # the exchange that leaves all as it is counts as one of the draws, so no p is 0
    return (extreme + 1) / (len(swaps) + 1)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return McNemar's exact p of how many rows only the first and only the second has right.

    >>> round(mcnemar(3, 12), 4)
    0.0352
    """
    from scipy.special import bdtr

    fewer, both = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(bdtr(fewer, both, 0.5)))


def nadeau_bengio(differences: Floats, test_to_train: float) -> float:
    """Return the p of the corrected resampled t.

    ``t = mean / sqrt((1 / K + n_test / n_train) * variance)``, K - 1 degrees.

    Args:
        differences: One per fold (K,); fewer than two have the p ``nan``.
        test_to_train: Rows tested over rows fitted, mean over folds.

    Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52 (2003).

    >>> round(nadeau_bengio(np.array([0.02, 0.03, 0.01, 0.04, 0.0]), 0.25), 3)
    0.132
    """
    folds = len(differences)
    if folds < 2:
        return float("nan")
    se = np.sqrt((1 / folds + test_to_train) * differences.var(ddof=1))
    return float(
        difference_p(np.asarray(differences.mean()), np.asarray(se), np.asarray(float(folds)))
    )


def holm(p: Sequence[float]) -> NDArray[np.float64]:
    """Return Holm's adjusted p of a family (n,).

    A comparison without p (``nan``) takes no part, and has none.

    >>> holm([0.01, float("nan"), 0.04]).tolist()
    [0.02, nan, 0.04]
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    smallest_first = known[np.argsort(values[known])]
    times = np.arange(len(known), 0, -1)
    adjusted[smallest_first] = np.maximum.accumulate(values[smallest_first] * times).clip(max=1.0)
    return adjusted
