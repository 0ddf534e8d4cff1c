"""Intervals and tests agree with the libraries that have them.

They say when there is too little to go on.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from statsmodels.stats.multitest import multipletests

from classify.evaluation.intervals import (
    calibration_error,
    cluster_counts,
    estimate,
    jackknife,
    of_class,
    overall,
)
from classify.evaluation.metrics import METRICS, of_counts, per_class, per_class_of_counts, summary
from classify.evaluation.paired_tests import (
    compare,
    difference,
    holm,
    mcnemar,
    nadeau_bengio,
    sign_flip,
)

CLASSES = 3


def rows(
    rng: np.random.Generator, sizes: list[int], skill: float = 0.7, spread: float = 0.6
) -> tuple[np.ndarray, ...]:
    """True codes, predicted codes and speakers, each speaker with a skill of its own."""
    speaker = np.repeat(np.arange(len(sizes)), sizes)
    y = rng.integers(0, CLASSES, len(speaker))
    chance = 1 / (1 + np.exp(-(np.log(skill / (1 - skill)) + spread * rng.normal(size=len(sizes)))))
    right = rng.random(len(y)) < chance[speaker]
    return y, np.where(right, y, (y + rng.integers(1, CLASSES, len(y))) % CLASSES), speaker


def counts(y: np.ndarray, p: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    return cluster_counts(y, p, speaker, int(speaker.max()) + 1, CLASSES)


def test_figures_of_confusions_are_the_metrics() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 5, 200):  # one row and five rows leave classes out
        y, p = rng.integers(0, 4, n), rng.integers(0, 4, n)
        confusion = cluster_counts(y, p, np.zeros(n, dtype=int), 1, 4)[0]
        assert {k: float(v) for k, v in of_counts(confusion).items()} == pytest.approx(
            summary(y, p)
        )
        one, other = per_class(y, p, 4), per_class_of_counts(confusion)
        for mine, theirs in (
            ("precision", one.precision),
            ("recall", one.recall),
            ("F1", one.f1),
            ("support", one.support),
        ):
            np.testing.assert_allclose(other[mine], theirs)


def test_with_speakers_of_one_size_accuracy_has_the_t_interval_of_speaker_means() -> None:
    y, p, speaker = rows(np.random.default_rng(1), [40] * 10)
    means = [float((y == p)[speaker == s].mean()) for s in range(10)]
    centre, error = float(np.mean(means)), float(stats.sem(means))
    found = estimate(counts(y, p, speaker), overall("WA"))
    assert (found.value, found.se, found.clusters, found.effective) == pytest.approx(
        (centre, error, 10, 10)
    )
    on_logit = stats.t.interval(0.95, 9, logit(centre), error / (centre * (1 - centre)))
    assert (found.low, found.high) == pytest.approx(tuple(expit(on_logit)))


def test_with_many_speakers_it_is_the_cluster_robust_error_of_statsmodels() -> None:
    rng = np.random.default_rng(2)
    y, p, speaker = rows(rng, rng.integers(10, 60, 200).tolist())
    right = (y == p).astype(float)
    robust = sm.OLS(right, np.ones(len(y))).fit(cov_type="cluster", cov_kwds={"groups": speaker})
    value, se = jackknife(counts(y, p, speaker), overall("WA"))
    assert float(value) == pytest.approx(robust.params[0])
    assert float(se) == pytest.approx(robust.bse[0], rel=0.01)


@pytest.mark.parametrize("metric", METRICS)
def test_its_error_is_that_of_drawing_speakers_again(metric: str) -> None:
    rng = np.random.default_rng(3)
    data = counts(*rows(rng, rng.integers(20, 60, 80).tolist()))
    drawn = rng.integers(0, 80, (2_000, 80))
    again = of_counts(data[drawn].sum(1))[metric]
    assert float(jackknife(data, overall(metric))[1]) == pytest.approx(again.std(), rel=0.1)


def test_a_class_counts_only_the_speakers_who_have_it() -> None:
    data = counts(*rows(np.random.default_rng(4), [30] * 8))
    data[2:, 1, :] = 0  # only two speakers are ever of class 1
    found = estimate(data, of_class("recall", 1), data[:, 1, :].sum(-1))
    assert found.clusters == 2
    assert math.isnan(found.low) and "too few" in found.why_none


def test_one_large_speaker_is_no_sample_of_speakers() -> None:
    found = estimate(counts(*rows(np.random.default_rng(5), [1_000, 5, 5, 5])), overall("WA"))
    assert math.isnan(found.low) and math.isnan(found.high)
    assert "4 clusters, worth 1.0 of one size: too few" in found.why_none


def test_no_interval_leaves_the_scale() -> None:
    data = np.array([[[10, 0], [0, 10]], [[10, 0], [0, 10]], [[6, 4], [0, 10]], [[10, 0], [0, 10]]])
    found = estimate(data, overall("WA"))
    assert 0 < found.low < found.value < found.high < 1


def test_a_figure_that_is_the_same_for_all_has_no_interval() -> None:
    found = estimate(np.tile(np.array([[10, 0], [0, 10]]), (6, 1, 1)), overall("macro_F1"))
    assert (
        found.value == 1.0 and math.isnan(found.low) and "100 % for every cluster" in found.why_none
    )


def test_sign_flips_are_scipys_permutations_of_pairs() -> None:
    rng = np.random.default_rng(6)
    y, p, speaker = rows(rng, [30] * 7)
    other = np.where(rng.random(len(y)) < 0.8, p, rng.integers(0, CLASSES, len(y)))
    first, second = counts(y, p, speaker), counts(y, other, speaker)
    means = [
        [float((y == answers)[speaker == s].mean()) for s in range(7)] for answers in (p, other)
    ]
    theirs = stats.permutation_test(
        means, lambda a, b: np.mean(a) - np.mean(b), permutation_type="samples"
    )
    assert sign_flip(first, second, overall("WA")) == pytest.approx(theirs.pvalue)


def test_drawn_exchanges_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    first, second = (counts(*rows(rng, [30] * 9, skill)) for skill in (0.7, 0.62))
    exact = sign_flip(first, second, overall("macro_F1"))
    monkeypatch.setattr("classify.evaluation.paired_tests.EXACT_CLUSTERS", 5)
    assert 0.02 < exact < 0.98
    assert sign_flip(first, second, overall("macro_F1")) == pytest.approx(exact, abs=0.02)


def test_the_difference_is_the_paired_t_where_speakers_are_of_one_size() -> None:
    rng = np.random.default_rng(8)
    y, p, speaker = rows(rng, [40] * 8)
    other = np.where(rng.random(len(y)) < 0.85, p, (p + 1) % CLASSES)
    means = [
        [float((y == answers)[speaker == s].mean()) for s in range(8)] for answers in (p, other)
    ]
    found = compare(counts(y, p, speaker), counts(y, other, speaker), overall("WA"))
    theirs = stats.ttest_rel(*means)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        tuple(theirs.confidence_interval())
    )
    assert found.better == sum(a > b for a, b in zip(*means, strict=True))
    assert found.worse == sum(a < b for a, b in zip(*means, strict=True))


def test_the_same_system_twice_differs_in_nothing() -> None:
    data = counts(*rows(np.random.default_rng(9), [20] * 6))
    found = compare(data, data, overall("UAR"))
    assert (found.difference.value, found.p, found.p_sign_flip, found.better, found.worse) == (
        0.0,
        1.0,
        1.0,
        0,
        0,
    )


def test_a_difference_that_does_not_vary_has_no_p() -> None:
    first = np.tile(np.array([[9, 1], [0, 10]]), (5, 1, 1))
    second = np.tile(np.array([[8, 2], [0, 10]]), (5, 1, 1))
    assert float(difference(first, second, overall("WA"))[0]) == pytest.approx(0.05)
    assert math.isnan(compare(first, second, overall("WA")).p)


def test_two_speakers_are_too_few_to_compare() -> None:
    first, second = (counts(*rows(np.random.default_rng(seed), [30, 30])) for seed in (0, 1))
    found = compare(first, second, overall("WA"))
    assert (
        math.isnan(found.p)
        and math.isnan(found.difference.low)
        and "too few" in found.difference.why_none
    )


@pytest.mark.parametrize(("only_first", "only_second"), [(3, 12), (40, 60), (0, 5), (0, 0)])
def test_mcnemar_is_the_binomial_test_of_rows_that_disagree(
    only_first: int, only_second: int
) -> None:
    total = only_first + only_second
    theirs = stats.binomtest(only_first, total).pvalue if total else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(theirs)


def test_the_corrected_t_is_the_paired_t_where_nothing_is_trained_on() -> None:
    differences = np.array([0.02, 0.03, -0.01, 0.04])
    assert nadeau_bengio(differences, 0.0) == pytest.approx(
        stats.ttest_1samp(differences, 0).pvalue
    )
    assert nadeau_bengio(differences, 0.25) > nadeau_bengio(differences, 0.0)
    assert math.isnan(nadeau_bengio(differences[:1], 0.25))


def test_holm_takes_the_smallest_p_times_the_size_and_never_goes_down() -> None:
    assert holm([0.04, 0.01, 0.03]).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert np.isnan(holm([float("nan")])).all()
    p = np.round(np.random.default_rng(11).random(200), 2)  # some are equal
    assert holm(p.tolist()).tolist() == multipletests(p, method="holm")[1].tolist()


def test_calibration_error_is_that_of_the_reliability_curve() -> None:
    rng = np.random.default_rng(10)
    chance = rng.uniform(0.001, 0.999, 3_000)
    right = rng.random(3_000) < chance**2
    observed, mean = calibration_curve(right, chance, n_bins=15)
    share = np.histogram(chance, bins=15, range=(0, 1))[0] / 3_000
    assert calibration_error(chance, right) == pytest.approx(
        float(share @ np.abs(observed - mean)), abs=1e-6
    )
    assert calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0.0
