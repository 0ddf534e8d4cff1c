"""The simulation's own parts.

Its errors are derivatives, its bootstraps are scipy's, and what it finds in a moment is plain.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.interval_simulation import (
    MEANS,
    USED_INTERVAL,
    USED_TEST,
    gradients,
    interval_coverage,
    intervals,
    rejections,
)
from benchmarks.simulated_speakers import SCENARIOS, draw_counts, draw_pair, true_figures
from classify.evaluation.metrics import METRICS, of_counts

IEMOCAP = next(s for s in SCENARIOS if s.name.endswith("as IEMOCAP"))


def test_slopes_are_those_of_the_metrics() -> None:
    counts = np.random.default_rng(0).integers(3, 30, (4, 4)).astype(float)
    for metric in METRICS:
        slopes = gradients(counts)[metric]
        for at in ((0, 0), (1, 2), (3, 1)):
            moved = counts.copy()
            moved[at] += 1e-5
            change = float(of_counts(moved)[metric] - of_counts(counts)[metric]) / 1e-5
            assert float(slopes[at]) == pytest.approx(change, rel=1e-3)


def test_its_bootstraps_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    counts = draw_counts(replace(IEMOCAP, size_spread=0.0), 1, rng)
    accuracies = np.trace(counts[0], axis1=-2, axis2=-1) / counts[0].sum((-1, -2))
    mine = intervals(counts, 20_000, rng)
    for name, method in (("percentile bootstrap", "percentile"), ("BCa bootstrap", "BCa")):
        theirs = stats.bootstrap(
            (accuracies,), np.mean, n_resamples=20_000, method=method, rng=rng
        ).confidence_interval
        low, high = mine["WA", name]
        assert (float(low[0]), float(high[0])) == pytest.approx(
            (theirs.low, theirs.high), abs=0.004
        )


def test_intervals_over_speakers_cover_and_those_over_rows_do_not() -> None:
    rows = [
        row
        for row in interval_coverage(IEMOCAP, 300, 99, 0)
        if row["metric"] == "WA" and row["target"] == "pooled"
    ]
    coverage = {str(row["method"]): float(str(row["coverage"])) for row in rows}
    assert 91 < coverage[USED_INTERVAL] < 99
    assert coverage["percentile bootstrap"] < coverage[USED_INTERVAL]
    assert coverage["Wilson, ignoring speakers"] < 60
    assert MEANS in coverage


def test_a_test_over_rows_finds_differences_that_are_not_there() -> None:
    rows = [
        row for row in rejections(IEMOCAP, 100, 0) if row["metric"] == "WA" and row["alpha"] == 0.05
    ]
    found = {
        (row["systems"], row["points"], row["test"]): float(str(row["rejected"])) for row in rows
    }
    for systems in ("same vectors, two classifiers", "two modalities"):
        assert found[systems, 0.0, USED_TEST] < 13
        assert found[systems, 0.0, "McNemar, ignoring speakers"] > found[systems, 0.0, USED_TEST]
    assert found["two modalities", 0.0, "McNemar, ignoring speakers"] > 30
    assert found["same vectors, two classifiers", 3.0, USED_TEST] > 60


def test_equal_systems_are_equal_in_the_long_run_and_share_rows() -> None:
    rng = np.random.default_rng(2)
    first, second, only = draw_pair(IEMOCAP, 400, 0.25, 0.3, 0.0, rng)
    assert np.array_equal(first.sum(-1), second.sum(-1))  # the same rows of each class
    gap = np.trace(first, axis1=-2, axis2=-1).sum(1) - np.trace(second, axis1=-2, axis2=-1).sum(1)
    assert np.array_equal(gap, only[:, 0] - only[:, 1])
    assert abs(gap.mean()) < 4 * gap.std() / 20
    assert true_figures(IEMOCAP, rng)[0]["WA"] == pytest.approx(0.68, abs=0.02)
