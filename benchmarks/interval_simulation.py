"""Measure how often intervals cover the truth and tests reject wrongly, where speakers differ.

    python -m benchmarks.interval_simulation             # a few minutes on one core
    python -m benchmarks.interval_simulation --quick     # seconds; prints, records nothing
    python -m benchmarks.interval_simulation --training  # minutes; with real training, alone

A scenario (:mod:`benchmarks.simulated_speakers`) has true figures, those of very many of its
speakers. Neither of two systems is better, so every rejection is false; with ``points`` above 0 the
first is, and rejecting is right. No training is simulated there; ``--training`` has it in the loop
(:mod:`benchmarks.simulated_training`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from benchmarks.record import record
from benchmarks.simulated_speakers import (
    SCENARIOS,
    Counts,
    Floats,
    Scenario,
    class_figures,
    clustered,
    draw_counts,
    draw_pair,
    true_figures,
)
from benchmarks.simulated_training import training_rates
from classify.evaluation.intervals import (
    LEVEL,
    effective_clusters,
    ends,
    half_width,
    jackknife,
    of_class,
    overall,
)
from classify.evaluation.metrics import METRICS, of_counts
from classify.evaluation.paired_tests import (
    difference,
    difference_p,
    mcnemar,
    nadeau_bengio,
    sign_flip,
)

Ends = tuple[Floats, Floats]

USED_INTERVAL, USED_TEST = "jackknife, t(effective - 1), logit", "jackknife t, by speaker"
MEANS = "t on speaker means"
ALPHAS = (0.05, 0.005)
TESTED = ("WA", "macro_F1")
POINTS = (0.0, 3.0)
CHUNK = 50
# deviation by speaker, rows in common
SYSTEMS = {
    "same vectors, two classifiers": (0.05, 0.7),
    "two modalities": (0.25, 0.3),
}


def main() -> None:
    """Simulate, print and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--replications", type=int, default=2_000)
    options.add_argument("--resamples", type=int, default=400, help="of each bootstrap")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--quick", action="store_true", help="200 replications, 99 resamples, nothing recorded"
    )
    options.add_argument("--training", action="store_true", help="only with real training")
    given = options.parse_args()
    if given.training:
        _training(given.replications, given.seed)
        return
    replications, resamples = (200, 99) if given.quick else (given.replications, given.resamples)
    covered, rejected = [], []
    for scenario in SCENARIOS:
        covered += interval_coverage(scenario, replications, resamples, given.seed)
        rejected += rejections(scenario, replications // 2, given.seed)
    coverage, rates = pd.DataFrame(covered), pd.DataFrame(rejected)
    if not given.quick:
        command = (
            f"python -m benchmarks.interval_simulation --replications {replications} --resamples "
            f"{resamples} --seed {given.seed}"
        )
        record("interval_coverage", coverage, command, given.seed)
        record("interval_false_positives", rates, command, given.seed)
    for table in (coverage, rates):
        print(table.to_string(index=False, float_format="%.2f"))


def _training(replications: int, seed: int) -> None:
    rates = pd.DataFrame(training_rates(replications, seed))
    command = (
        "python -m benchmarks.interval_simulation --training "
        f"--replications {replications} --seed {seed}"
    )
    record("interval_training", rates, command, seed)
    print(rates.to_string(index=False, float_format="%.2f"))


def interval_coverage(
    scenario: Scenario, replications: int, resamples: int, seed: int
) -> list[dict[str, object]]:
    """Return one row per metric and method.

    How often the interval holds the truth, in per cent, and its median width.
    """
    rng = np.random.default_rng(seed)
    truth, mean_of_speakers = true_figures(scenario, rng)
    counts = clustered(scenario, draw_counts(scenario, replications, rng))
    held: dict[tuple[str, str, str], list[tuple[Floats, Floats]]] = {}
    for part in _chunks(counts):
        for (metric, method), (low, high) in intervals(part, resamples, rng).items():
            targets = {"pooled": truth[metric]}
            if method == MEANS and metric == "WA":
                targets["mean of speakers"] = mean_of_speakers
            for target, value in targets.items():
                held.setdefault((metric, method, target), []).append(
                    ((low <= value) & (value <= high), high - low)
                )
    about = {
        "scenario": scenario.name,
        "clusters": counts.shape[1],
        "effective_clusters": float(effective_clusters(counts.sum((-1, -2))).mean()),
    }
    rows: list[dict[str, object]] = []
    for (metric, method, target), parts in held.items():
        inside, width = (np.concatenate(column) for column in zip(*parts, strict=True))
        given_one = ~np.isnan(width)
        rows.append(
            about
            | {
                "metric": metric,
                "method": method,
                "used": "yes" if method == USED_INTERVAL else "no",
                "target": target,
                "coverage": 100 * inside[given_one].mean(),
                "width": 100 * float(np.median(width[given_one])),
                "replications": int(given_one.sum()),
            }
        )
    return rows


def intervals(
    counts: Counts, resamples: int, rng: np.random.Generator
) -> Mapping[tuple[str, str], Ends]:
    """Return both ends (R,) of the usual 95 % intervals, by metric and method.

    Args:
        counts: A confusion per replication and cluster (R, G, C, C).
        resamples: How many a bootstrap draws.
        rng: Where chance comes from.
    """
    clusters, sizes = counts.shape[1], counts.sum((-1, -2))
    t = half_width(np.ones(1), np.array([clusters]))
    found: dict[tuple[str, str], Ends] = {}
    weights = rng.multinomial(
        clusters, np.full(clusters, 1 / clusters), (len(counts), resamples)
    ).astype(float)
    flat = counts.reshape(*counts.shape[:2], -1).astype(float)
    drawn = (weights @ flat).reshape(len(counts), resamples, *counts.shape[2:])
    resampled, drawn_slopes, slopes = of_counts(drawn), gradients(drawn), gradients(counts.sum(1))
    for metric in METRICS:
        value, se = jackknife(counts, overall(metric))
        found[metric, "jackknife, t(clusters - 1)"] = _around(value, t * se)
        found[metric, "jackknife, t(effective - 1)"] = _around(
            value, half_width(se, effective_clusters(sizes))
        )
        found[metric, USED_INTERVAL] = ends(value, se, effective_clusters(sizes))
        robust = linear_se(slopes[metric][:, None], flat, np.ones((len(counts), 1, clusters)))[:, 0]
        found[metric, "cluster-robust, t(clusters - 1)"] = _around(value, t * robust)
        each = of_counts(counts)[metric]
        found[metric, MEANS] = _around(each.mean(1), t * each.std(1, ddof=1) / np.sqrt(clusters))
        again = resampled[metric]
        found[metric, "percentile bootstrap"] = _quantiles(again, np.array([0.025, 0.975])[:, None])
        found[metric, "BCa bootstrap"] = _bca(counts, metric, value, again)
        errors = linear_se(drawn_slopes[metric], flat, weights)
        ratios = (again - value[:, None]) / np.maximum(errors, 1e-9)
        low, high = _quantiles(ratios, np.array([0.025, 0.975])[:, None])
        found[metric, "bootstrap-t"] = value - high * robust, value - low * robust
    for metric, code in class_figures(counts.shape[-1]).items():
        value, se = jackknife(counts, of_class("recall", code))
        # else every speaker has the class all right, or all wrong: no interval
        has_one = (value > 0) & (value < 1) & (se > 0)
        sizes_of_class = counts[has_one][..., code, :].sum(-1)
        low, high = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
        low[has_one], high[has_one] = ends(
            value[has_one], se[has_one], effective_clusters(sizes_of_class)
        )
        found[metric, USED_INTERVAL] = low, high
    hits = np.trace(counts, axis1=-2, axis2=-1).sum(1)
    found["WA", "Wilson, ignoring speakers"] = proportion_confint(
        hits, sizes.sum(1), 1 - LEVEL, method="wilson"
    )
    return found


def gradients(counts: NDArray[np.number]) -> dict[str, Floats]:
    """Return how each metric moves with each count, (..., C, C), for confusions (..., C, C)."""
    n = counts.shape[-1]
    same, figures = np.eye(n), of_counts(counts)
    support, predicted = counts.sum(-1).astype(float), counts.sum(-2).astype(float)
    hits, total = np.diagonal(counts, axis1=-2, axis2=-1), support.sum(-1)[..., None, None]
    occurring, either = support > 0, support + predicted > 0
    recall, f1 = hits / np.maximum(support, 1), 2 * hits / np.maximum(support + predicted, 1)

    def of_f1(weight: Floats) -> Floats:
        share = weight / np.maximum(support + predicted, 1)
        both = (share * f1)[..., :, None] + (share * f1)[..., None, :]
        return np.asarray(2 * share[..., :, None] * same - both)

    recalls = (
        (same - recall[..., :, None])
        / np.maximum(support, 1)[..., :, None]
        * occurring[..., :, None]
    )
    return {
        "WA": (same - figures["WA"][..., None, None]) / total,
        "UAR": recalls / occurring.sum(-1)[..., None, None],
        "macro_F1": of_f1(either / either.sum(-1)[..., None]),
        "weighted_F1": of_f1(support / total[..., 0])
        + (f1 - figures["weighted_F1"][..., None])[..., :, None] / total,
    }


def linear_se(slopes: Floats, flat: Floats, weights: Floats) -> Floats:
    """Return the cluster-robust error (R, B).

    Args:
        slopes: How a metric moves with each count (R, B, C, C).
        flat: Counts per cluster (R, G, C * C).
        weights: How often each cluster was drawn (R, B, G).
    """
    influence = slopes.reshape(*slopes.shape[:2], -1) @ flat.swapaxes(1, 2)
    clusters = flat.shape[1]
    mean = (weights * influence).sum(-1, keepdims=True) / clusters
    return np.asarray(
        np.sqrt(clusters / (clusters - 1) * (weights * (influence - mean) ** 2).sum(-1))
    )


def rejections(scenario: Scenario, replications: int, seed: int) -> list[dict[str, object]]:
    """Return one row per pair of systems, difference, metric, test and level.

    How often the test rejects, in per cent.
    """
    rows: list[dict[str, object]] = []
    for systems, (own, shared) in SYSTEMS.items():
        for points in POINTS:
            rng = np.random.default_rng(seed)
            first, second, only = draw_pair(scenario, replications, own, shared, points, rng)
            first, second = clustered(scenario, first), clustered(scenario, second)
            for metric in TESTED:
                for test, p in p_values(scenario, first, second, only, metric).items():
                    about = {
                        "scenario": scenario.name,
                        "clusters": first.shape[1],
                        "systems": systems,
                        "points": points,
                        "metric": metric,
                        "test": test,
                        "used": "yes" if test == USED_TEST else "no",
                    }
                    for alpha in ALPHAS:
                        rate = _rejection_rate(p, alpha)
                        line = {"alpha": alpha, "rejected": rate, "replications": replications}
                        rows.append(about | line)
    return rows


def _rejection_rate(p: Floats, alpha: float) -> float:
    """Return how often p values (R,) are below a level, in per cent of those that are known."""
    known = p[~np.isnan(p)]
    return 100 * float((known < alpha).mean()) if len(known) else float("nan")


def p_values(
    scenario: Scenario, first: Counts, second: Counts, only: Counts, metric: str
) -> dict[str, Floats]:
    """Return each test's p values (R,).

    Args:
        scenario: What was drawn.
        first: The confusions of one system (R, G, C, C).
        second: Those of the other.
        only: How many rows only one of them has right (R, 2).
        metric: What is compared.
    """
    value, se = difference(first, second, overall(metric))
    found = {
        USED_TEST: difference_p(value, se, effective_clusters(first.sum((-1, -2)))),
        "sign-flip, by speaker": np.array(
            [
                sign_flip(a, b, overall(metric), draws=1_000)
                for a, b in zip(first, second, strict=True)
            ]
        ),
    }
    by_speaker = of_counts(first)[metric] - of_counts(second)[metric]
    found["paired t on speaker means"] = stats.ttest_1samp(by_speaker, 0, axis=1).pvalue
    found["Wilcoxon on speaker means"] = stats.wilcoxon(by_speaker, axis=1, method="exact").pvalue
    if scenario.pooled_by > 1:
        return found
    if metric == "WA":
        found["McNemar, ignoring speakers"] = np.array([mcnemar(int(a), int(b)) for a, b in only])
    fold = np.arange(first.shape[1]) * scenario.folds // first.shape[1]
    in_fold = [fold == k for k in range(scenario.folds)]
    first_by_fold = np.stack([first[:, members].sum(1) for members in in_fold], 1)
    second_by_fold = np.stack([second[:, members].sum(1) for members in in_fold], 1)
    by_fold = of_counts(first_by_fold)[metric] - of_counts(second_by_fold)[metric]
    found["Nadeau-Bengio over folds"] = np.array(
        [nadeau_bengio(row, 1 / (scenario.folds - 2)) for row in by_fold]
    )
    found["paired t over folds"] = stats.ttest_1samp(by_fold, 0, axis=1).pvalue
    return found


def _around(value: Floats, half: Floats) -> Ends:
    return value - half, value + half


def _quantiles(values: Floats, at: Floats) -> Ends:
    """Return both quantiles (R,) of values (R, B) at shares (2, 1) or (2, R)."""
    ordered = np.sort(values, axis=1)
    place = np.clip(np.round(at * (values.shape[1] - 1)).astype(int), 0, values.shape[1] - 1)
    low, high = (
        np.take_along_axis(ordered, np.broadcast_to(p, len(values))[:, None], axis=1)[:, 0]
        for p in place
    )
    return low, high


def _bca(counts: Counts, metric: str, value: Floats, again: Floats) -> Ends:
    below = ((again < value[:, None]).mean(1) + (again <= value[:, None]).mean(1)) / 2
    bias = stats.norm.ppf(np.clip(below, 1e-3, 1 - 1e-3))
    left_out = of_counts(counts.sum(1)[:, None] - counts)[metric]
    gap = left_out.mean(1, keepdims=True) - left_out
    skew = (gap**3).sum(1) / (6 * np.maximum((gap**2).sum(1), 1e-12) ** 1.5)
    z = stats.norm.ppf([[0.025], [0.975]])
    return _quantiles(again, stats.norm.cdf(bias + (bias + z) / (1 - skew * (bias + z))))


def _chunks(counts: Counts) -> Iterator[Counts]:
    yield from (counts[start : start + CHUNK] for start in range(0, len(counts), CHUNK))


if __name__ == "__main__":
    main()
