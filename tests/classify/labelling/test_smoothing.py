"""Smoothing against sums over all paths, and what it leaves alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from classify.labelling.smoothing import Smoothing, smooth
from embeddings_store.errors import UsageError

PRIORS = np.array([0.5, 0.3, 0.2])


def windows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(3), size=n)


@pytest.mark.parametrize("silent", [(), (0,), (2, 3)])
def test_forwards_and_backwards_is_the_sum_over_all_paths(silent: tuple[int, ...]) -> None:
    p, stay = windows(6, 1), 0.7
    p[list(silent)] = np.nan
    says = np.where(np.isnan(p), 1.0, p / PRIORS)
    step = stay * np.eye(3) + (1 - stay) * PRIORS
    expected = np.zeros((6, 3))
    for path in itertools.product(range(3), repeat=6):
        chance = PRIORS[path[0]] * np.prod([step[a, b] for a, b in itertools.pairwise(path)])
        chance *= np.prod([says[at, code] for at, code in enumerate(path)])
        expected[np.arange(6), list(path)] += chance
    expected /= expected.sum(axis=1, keepdims=True)
    expected[list(silent)] = np.nan
    labels, found = smooth(np.zeros(6, int), p, PRIORS, Smoothing("transitions", stay=stay))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    answered = ~np.isnan(p).any(axis=1)
    assert (labels[answered] == expected[answered].argmax(axis=1)).all()


def test_a_class_that_stays_with_no_chance_changes_nothing() -> None:
    p = windows(40, 2)
    _, found = smooth(p.argmax(axis=1), p, PRIORS, Smoothing("transitions", stay=0.0))
    np.testing.assert_allclose(found, p, atol=1e-12)


def test_a_long_recording_neither_vanishes_nor_overflows() -> None:
    p = np.tile([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], (10_000, 1))
    _, found = smooth(p.argmax(axis=1), p, PRIORS, Smoothing("transitions", stay=0.9))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_hysteresis_keeps_what_the_margin_does_not_outweigh() -> None:
    p = np.array([[0.5, 0.4, 0.1], [0.4, 0.5, 0.1], [np.nan] * 3, [0.3, 0.6, 0.1], [0.2, 0.3, 0.5]])
    given = np.array([0, 1, 0, 1, 2])
    found, chances = smooth(given, p, PRIORS, Smoothing("hysteresis", margin=0.25))
    assert found.tolist() == [0, 0, 0, 1, 1]
    assert chances is p
    found, _ = smooth(given, p, PRIORS, Smoothing("hysteresis", margin=0))
    assert found.tolist() == given.tolist()


def test_numbers_outside_their_range_are_refused() -> None:
    for wrong in ({"margin": 1.5}, {"stay": 1.0}, {"stay": float("nan")}, {"rule": "median"}):
        with pytest.raises(UsageError):
            Smoothing(**{"rule": "hysteresis", **wrong})
