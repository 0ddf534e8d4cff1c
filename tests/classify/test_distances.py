"""Squared distances are scikit-learn's, computed once, and take no more memory than they may."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import euclidean_distances

from classify.models import distances
from classify.models.distances import DistanceCache, squared_distances


def rows_of(n: int, width: int, precision: type, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(precision)


@pytest.mark.parametrize(("precision", "apart"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("far", [0.0, 1e4], ids=["about 0", "far from 0"])
def test_they_are_the_squares_of_plain_distances(
    precision: type, apart: float, far: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distances, "PIECE_ROWS", 7)
    a, b = (
        rows_of(20, 50, precision) + precision(far),
        rows_of(30, 50, precision, 1) + precision(far),
    )
    found = squared_distances(a, b)
    plain = ((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(axis=2)
    assert found.dtype == precision
    np.testing.assert_allclose(found, plain, rtol=apart)


def test_a_row_that_lies_far_away_takes_no_digits_from_the_others() -> None:
    a = rows_of(200, 50, np.float32)
    a[0] *= 1e4
    a[1] = a[0] + rows_of(1, 50, np.float32, 2)[0]
    found = squared_distances(a, a)
    plain = euclidean_distances(a.astype(float), squared=True)
    np.testing.assert_allclose(found, plain, rtol=1e-4, atol=1e-3)


def test_what_is_kept_stays_below_its_bound() -> None:
    blocks = [rows_of(40, 8, np.float32, seed) for seed in range(5)]
    cache = DistanceCache(kept_bytes=2 * 40 * 40 * 4)
    for block in (*blocks, blocks[4], blocks[3]):
        cache.squared([block], [block])
    assert cache.computed == 5
    assert cache.size == cache.kept_bytes
    cache.squared([blocks[0]], [blocks[0]])  # was dropped, being the oldest
    assert cache.computed == 6
    large = rows_of(60, 8, np.float32)
    cache.squared([large], [large])  # is more than may be kept, and drops nothing
    cache.squared([blocks[0]], [blocks[0]])
    assert (cache.computed, cache.size) == (7, cache.kept_bytes)
    cache.forget()
    assert cache.size == 0


def test_what_is_returned_may_be_changed_by_the_caller() -> None:
    block, cache = rows_of(10, 3, np.float32), DistanceCache()
    first = cache.squared([block], [block])
    first *= 2
    np.testing.assert_array_equal(cache.squared([block], [block]), first / 2)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_a_row_is_at_no_distance_from_itself(precision: type) -> None:
    blocks = [rows_of(50, 40, precision, seed) for seed in range(2)]
    assert not np.diag(DistanceCache().squared(blocks, blocks)).any()
