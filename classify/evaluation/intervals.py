"""How sure a figure is.

Intervals that respect speakers, because rows of one speaker are right or wrong together.

Everything starts from one confusion per cluster (a speaker; or a group, such as a dialogue or
video; or a session), so WA, UAR, F1 and each class's recall are treated alike: the figure of all
rows pooled, and how it moves when a cluster is left out.

With theta the pooled figure, theta_g the same without cluster g, G clusters and n_g rows in each::

    se^2      = (G - 1) / G * sum_g (theta_g - mean theta_g)^2         the delete-one jackknife
    effective = (sum_g n_g)^2 / sum_g n_g^2                            G where all are of one size,
                                                                       fewer where they are not
    interval  = logistic(logit(theta) ± t(effective - 1) * se / (theta (1 - theta)))

The logit keeps it inside 0 and 1 and right near both ends. It estimates the pooled figure for new
speakers, each counting with its rows; not the mean of speakers, which differs where speakers with
many rows are easier or harder than others. It is for these fitted models: what another training
would change is not in it (:mod:`classify.evaluation.paired_tests` says why), and speakers who share
a session, and so a model, are taken for independent (cluster by session if not).

``benchmarks/interval_simulation.py`` measures how often this and the usual alternatives cover the
truth. With fewer than :data:`FEWEST` effective clusters no interval is given: it would be as wide
as the scale and hang on the normal distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classify.evaluation.metrics import of_counts, per_class_of_counts

LEVEL = 0.95
FEWEST = 2.5  # effective clusters: three that are not too unequal
TINY = 1e-12  # differences below this are rounding
ECE_BINS = 15
INTERVAL = (
    "t on the delete-one-cluster jackknife, effective clusters - 1 degrees of freedom, on the "
    "logit scale"
)
ECE_FORMULA = (
    f"ECE = sum over {ECE_BINS} bins of equal width of (rows in the bin / rows) * "
    "|accuracy - mean largest probability|"
)

Counts = NDArray[np.integer]
Floats = NDArray[np.float64]
Figure = Callable[[Counts], Floats]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: The figure of all rows pooled, in [0, 1]; a difference is in [-1, 1].
        low: Lower end, ``nan`` where no interval can be given.
        high: Upper end, likewise.
        se: Standard error, ``nan`` with fewer than two clusters.
        clusters: How many clusters have rows.
        effective: How many clusters of one size they are worth.
        why_none: Why there is no interval; empty where there is one.
    """

    value: float
    low: float
    high: float
    se: float
    clusters: int
    effective: float
    why_none: str = ""


def overall(metric: str) -> Figure:
    """Return the function from confusions (..., C, C) to the values of one metric (...).

    Args:
        metric: A name of :data:`classify.evaluation.metrics.METRICS`.
    """
    return lambda counts: of_counts(counts)[metric]


def of_class(metric: str, code: int) -> Figure:
    """Return the function from confusions (..., C, C) to a figure of one class (...).

    Args:
        metric: ``precision``, ``recall`` or ``F1``.
        code: The class.
    """
    return lambda counts: per_class_of_counts(counts)[metric][..., code]


def all_overall(metrics: Sequence[str]) -> Figure:
    """Return the function from confusions (..., C, C) to the values of several metrics (M, ...).

    Args:
        metrics: Names of :data:`classify.evaluation.metrics.METRICS`.
    """

    def figures(counts: Counts) -> Floats:
        values = of_counts(counts)
        return np.stack([values[name] for name in metrics])

    return figures


def all_of_class(metrics: Sequence[str], code: int) -> Figure:
    """Return the function from confusions (..., C, C) to figures of one class (M, ...).

    Args:
        metrics: Of ``precision``, ``recall`` and ``F1``.
        code: The class.
    """

    def figures(counts: Counts) -> Floats:
        values = per_class_of_counts(counts)
        return np.stack([values[name][..., code] for name in metrics])

    return figures


def cluster_counts(
    y_true: NDArray[np.int64],
    y_pred: NDArray[np.int64],
    cluster: NDArray[np.int64],
    n_clusters: int,
    n_classes: int,
) -> Counts:
    """Return one confusion per cluster (G, C, C).

    Args:
        y_true: True class codes (n,).
        y_pred: Predicted class codes (n,).
        cluster: Code of each row's cluster (n,).
        n_clusters: How many clusters there are, G.
        n_classes: Size of the label set, C.

    >>> cluster_counts(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0, 0, 1]), 2, 2).tolist()
    [[[1, 0], [1, 0]], [[0, 0], [0, 1]]]
    """
    flat = (cluster * n_classes + y_true) * n_classes + y_pred
    return np.bincount(flat, minlength=n_clusters * n_classes**2).reshape(
        n_clusters, n_classes, n_classes
    )


def effective_clusters(sizes: NDArray[np.number]) -> Floats:
    """Return how many clusters of one size clusters of these sizes (..., G) are worth.

    >>> float(effective_clusters(np.array([50, 50])))
    2.0
    >>> round(float(effective_clusters(np.array([98, 1, 1]))), 2)
    1.04
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    return np.asarray(sizes.sum(-1) ** 2 / (sizes**2).sum(-1))


def jackknife(counts: Counts, figure: Figure) -> tuple[Floats, Floats]:
    """Return a figure of all clusters pooled and its delete-one standard error, each (...).

    Args:
        counts: One confusion per cluster (..., G, C, C).
        figure: From :func:`overall` or :func:`of_class`.
    """
    whole = counts.sum(-3)
    return spread(figure(whole), figure(whole[..., None, :, :] - counts))


def spread(value: Floats, left_out: Floats) -> tuple[Floats, Floats]:
    """Return the value and the jackknife's standard error, each (...).

    Args:
        value: The figure of all clusters (...).
        left_out: The figure without each of them (..., G).
    """
    clusters = left_out.shape[-1]
    return value, np.sqrt((clusters - 1) * left_out.var(-1))


def half_width(se: Floats, effective: Floats, level: float = LEVEL) -> Floats:
    """Return half of the interval's width (...).

    Args:
        se: Standard error (...).
        effective: Effective clusters (...).
        level: Wanted coverage, in (0, 1).
    """
    from scipy.special import stdtrit  # scipy.stats, which has the same, takes half a second

    return np.asarray(stdtrit(np.maximum(np.asarray(effective) - 1, 1), (1 + level) / 2) * se)


def estimate(
    counts: Counts, figure: Figure, sizes: NDArray[np.number] | None = None, level: float = LEVEL
) -> Estimate:
    """Return a figure with its interval.

    Args:
        counts: One confusion per cluster (G, C, C).
        figure: From :func:`overall` or :func:`of_class`.
        sizes: Rows that matter per cluster (G,): those of a class for its figures; none takes all
            rows.
        level: Wanted coverage.

    >>> three = np.array([[[8, 2], [1, 9]], [[7, 3], [2, 8]], [[9, 1], [0, 10]]])
    >>> found = estimate(three, overall("WA"))
    >>> [round(x, 3) for x in (found.value, found.low, found.high)]
    [0.85, 0.447, 0.975]
    """
    sizes = counts.sum((-1, -2)) if sizes is None else sizes
    return estimates(counts, lambda each: figure(each)[None], sizes, level)[0]


def estimates(
    counts: Counts, figures: Figure, sizes: NDArray[np.number], level: float = LEVEL
) -> list[Estimate]:
    """Return several figures with their intervals, each as :func:`estimate` does.

    Args:
        counts: One confusion per cluster (G, C, C).
        figures: From confusions (..., C, C) to the values of all figures (M, ...).
        sizes: Rows that matter per cluster (G,), the same for all of them.
        level: Wanted coverage.
    """
    counts, sizes = counts[sizes > 0], sizes[sizes > 0]
    nan = float("nan")
    if not len(counts):
        none = Estimate(nan, nan, nan, nan, 0, 0.0, "no rows")
        return [none] * len(figures(counts.sum(0)))
    effective = float(effective_clusters(sizes))
    values, ses = jackknife(counts, figures)
    varies = (values > 0) & (values < 1)
    lows, highs = np.full((2, len(values)), nan)
    lows[varies], highs[varies] = ends(
        values[varies], ses[varies], np.full(varies.sum(), effective), level
    )
    found = []
    for value, se, low, high in zip(
        *map(np.ndarray.tolist, (values, ses, lows, highs)), strict=True
    ):
        why_none = too_few(len(sizes), effective) or no_spread(value, se)
        if why_none:
            low = high = nan
        # one cluster left out leaves nothing: the jackknife would call that certain
        known_se = se if len(counts) > 1 else nan
        found.append(Estimate(value, low, high, known_se, len(counts), effective, why_none))
    return found


def ends(
    value: Floats, se: Floats, effective: Floats, level: float = LEVEL
) -> tuple[Floats, Floats]:
    """Return both ends (...) of the interval around a share that is neither 0 nor 1.

    Args:
        value: The share (...), in (0, 1).
        se: Its standard error (...).
        effective: Effective clusters (...).
        level: Wanted coverage, in (0, 1).
    """
    from scipy.special import expit, logit

    half = half_width(se / (value * (1 - value)), effective, level)
    return expit(logit(value) - half), expit(logit(value) + half)


def no_spread(value: float, se: float) -> str:
    """Say why a share that is the same for all clusters has no interval; empty where it has one.

    >>> no_spread(1.0, 0.0)
    'it is 100 % for every cluster, so nothing tells how it varies'
    """
    if 0 < value < 1 and se > TINY:
        return ""
    return f"it is {100 * value:.0f} % for every cluster, so nothing tells how it varies"


def too_few(clusters: int, effective: float) -> str:
    """Say why clusters are too few for an interval; empty where they are not.

    >>> too_few(2, 2.0)
    '2 clusters, worth 2.0 of one size: too few for an interval (2.5 are needed)'
    """
    if round(effective, 6) >= FEWEST:
        return ""
    return (
        f"{clusters} cluster{'s' * (clusters != 1)}, worth {effective:.1f} of one size: too few "
        f"for an interval ({FEWEST:g} are needed)"
    )


def calibration_error(
    probabilities: Floats, right: NDArray[np.bool_], bins: int = ECE_BINS
) -> float:
    """Return the expected calibration error (:data:`ECE_FORMULA`), in [0, 1].

    Args:
        probabilities: The largest class probability of each row (n,), n >= 1; a bin holds ``(low,
            high]``, the first 0 too.
        right: Whether that class is the true one (n,).
        bins: How many bins of equal width.

    >>> right = np.array([True, True, True, False])
    >>> round(calibration_error(np.array([0.9, 0.9, 0.6, 0.6]), right), 3)
    0.1
    """
    place = np.clip(np.ceil(probabilities * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(place, weights=right.astype(float) - probabilities, minlength=bins)
    return float(np.abs(gap).sum() / len(right))
