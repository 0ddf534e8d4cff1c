"""Which of many vectors is nearest to one, and how much nearer than chance brings two rows.

A row is judged by one ratio: its distance to the nearest row of a pool over that to the tenth
nearest. A copy has a small one, whatever the encoder's scale, and where rows are dense as well as
where they are not. Up to nine copies of one row leave the tenth neighbour what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS, MIDDLE = 10, 5
WIDTH = 128  # of vectors that are compared; wider ones are projected to it at random
NORMED_WIDTH = 4  # narrower vectors keep their length: a direction alone would say too little
SCALED_BY = 2_000  # rows that dimensions are scaled and standardised by
BLOCK = 512  # rows whose distances to the whole pool are held at a time
# Squared distances are differences of squared lengths; below this part of them is rounding.
ROUNDING = 1e-5

Points = NDArray[np.float32]
Rows = NDArray[np.int64]
Ratios = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest rows of a pool to each of q rows.

    Attributes:
        row: Position in the pool of the nearest (q,).
        distance: How far it is (q,).
        middle: How far the :data:`MIDDLE` th is (q,).
        far: How far the :data:`NEIGHBOURS` th is (q,), infinite where there are fewer.
    """

    row: Rows
    distance: NDArray[np.float64]
    middle: NDArray[np.float64]
    far: NDArray[np.float64]

    @property
    def ratio(self) -> Ratios:
        """Distance of the nearest over that of the tenth nearest (q,); 1 where all are equal.

        It is 1, which says nothing, where there are not ten neighbours, or ten of no distance.
        """
        judged = np.isfinite(self.far) & (self.far > 0)
        return np.divide(self.distance, self.far, out=np.ones(len(self.far)), where=judged)


def comparable(vectors: NDArray[np.float32], pool: Rows) -> Points:
    """Return vectors (n, D) so that their distances can be compared (n, 128 at most).

    Every dimension is brought to one scale, every vector to one length, so that another gain
    changes nothing; then dimensions are centred and standardised by the pool. Wide vectors are
    projected at random, which keeps distances to a few per cent (Johnson and Lindenstrauss 1984).

    Args:
        vectors: Finite ones.
        pool: Positions of the rows that say what is usual.
    """
    width = vectors.shape[1]
    few = sample(pool, SCALED_BY)
    scales = 1 / _positive(np.sqrt(np.square(vectors[few], dtype=np.float64).mean(axis=0)))
    points = vectors * scales.astype(np.float32)
    if width >= NORMED_WIDTH:
        lengths = np.sqrt(np.einsum("ij,ij->i", points, points))
        points *= (1 / _positive(lengths))[:, None]
    usual = points[few]
    points -= usual.mean(axis=0)
    points /= _positive(usual.std(axis=0))
    if width <= WIDTH:
        return points
    directions = np.random.default_rng(0).standard_normal((width, WIDTH), dtype=np.float32)
    return np.asarray(points @ (directions / np.float32(np.sqrt(WIDTH))))


def sample(rows: Rows, most: int) -> Rows:
    """Return at most so many of some rows, in their order, always the same.

    >>> sample(np.arange(5), 9).tolist(), len(sample(np.arange(99), 9))
    ([0, 1, 2, 3, 4], 9)
    """
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def nearest(points: Points, asked: Rows, pool: Rows, units: Rows | None = None) -> Nearest:
    """Find the nearest rows of a pool to each of some rows.

    Args:
        points: Vectors, from :func:`comparable` (n, d).
        asked: Positions of the rows (q,).
        pool: Positions of the pool's rows (p,).
        units: Code of each row's unit (n,); neighbours of a row's own unit do not count.

    >>> line = np.arange(20, dtype=np.float32)[:, None] ** 2
    >>> found = nearest(line, np.array([0]), np.arange(1, 20))
    >>> found.row.tolist(), found.ratio.tolist()
    ([0], [0.01])
    """
    found = [_nearest_of_block(points, part, pool, units) for part in _blocks(asked)]
    row, distance, middle, far = (np.concatenate(part) for part in zip(*found, strict=True))
    return Nearest(row, distance, middle, far)


def _blocks(rows: Rows) -> list[Rows]:
    return [rows[begin : begin + BLOCK] for begin in range(0, max(len(rows), 1), BLOCK)]


def _nearest_of_block(
    points: Points, asked: Rows, pool: Rows, units: Rows | None
) -> tuple[Rows, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    one, other = points[asked], points[pool]
    lengths = np.square(one).sum(axis=1)
    squares = one @ (-2 * other.T)
    squares += np.square(other).sum(axis=1)
    if units is not None:
        squares[units[asked][:, None] == units[pool][None, :]] = np.inf
    row = squares.argmin(axis=1)
    ends = np.full((len(asked), 2), np.inf)
    if len(pool) >= NEIGHBOURS:
        squares.partition(NEIGHBOURS - 1, axis=1)
        first = np.sort(squares[:, :NEIGHBOURS], axis=1)[:, (MIDDLE - 1, NEIGHBOURS - 1)]
        ends = first + lengths[:, None].astype(np.float64)
        ends[ends < ROUNDING * lengths[:, None]] = 0
    # the one that decides is measured again, without rounding
    distance = np.linalg.norm((one - other[row]).astype(np.float64), axis=1)
    middle, far = np.sqrt(ends).T
    return row.astype(np.int64), distance, middle, np.maximum(far, np.where(far > 0, distance, 0))


def dimension(usual: Nearest, width: int) -> float:
    """Estimate in how many dimensions rows really spread, from the distances of neighbours.

    In m dimensions the fifth of ten neighbours stands at 0.5 ** (1 / m) of the tenth's distance in
    the median (after Levina and Bickel 2004, by a median, which copies do not move).

    Args:
        usual: Neighbours of rows from other units.
        width: Of the vectors; no estimate is above it.
    """
    judged = np.isfinite(usual.far) & (usual.far > 0)
    if not judged.any():
        return float(width)
    ratio = float(np.median(usual.middle[judged] / usual.far[judged]))
    if ratio <= 0 or ratio >= 1:
        return float(width) if ratio >= 1 else 1.0
    return float(np.clip(np.log(0.5) / np.log(ratio), 1.0, width))


def chance(ratio: float, dimensions: float) -> float:
    """Return the part of the rows whose ratio is this or less by chance.

    Nine neighbours lie anywhere in the ball whose edge is the tenth.

    >>> round(chance(0.5, 1.0), 3), round(chance(0.5, 20.0), 6)
    (0.998, 9e-06)
    """
    inside = ratio**dimensions
    return float(1 - (1 - inside) ** (NEIGHBOURS - 1))


def _positive(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return values with 1 in the place of those that are nought, or nothing but rounding."""
    least = 1e-7 * float(values.max(initial=0.0))
    return np.where(values > least, values, 1).astype(np.float32)
