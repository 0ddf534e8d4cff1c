"""Squared distances between rows, block by block of columns, kept while they may be asked again.

The squared distance of two rows of a concatenation is the sum over its blocks. All subsets of
modalities, all strengths of a classifier and all stages that meet the same rows of a block
therefore share one matrix for each block. What is the same is known by a digest of the numbers
themselves, so nobody has to say which fold or role they belong to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]

# For each process. IEMOCAP's three modalities take 0.35 GB: 4,400 x 4,400 training rows of 4 bytes
# each, and 2,200 others against them.
KEPT_BYTES = 512 * 2**20
PIECE_ROWS = 1_024  # rows at a time, so that a piece is finished while it is in the cache
# A squared length beyond this many times the average one would leave float32 too few digits
LONG = 30.0


class DistanceCache:
    """Distances between blocks of rows, the last used kept last.

    Args:
        kept_bytes: How much may be kept; a larger matrix is computed and not kept.

    >>> cache = DistanceCache()
    >>> rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    >>> cache.squared([rows], [rows]).tolist()
    [[0.0, 25.0], [25.0, 0.0]]
    >>> cache.squared([rows, rows], [rows, rows]).tolist()
    [[0.0, 50.0], [50.0, 0.0]]
    >>> cache.computed
    1
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self.kept_bytes = kept_bytes
        self.computed = 0
        self._kept: dict[tuple[bytes, bytes], Matrix] = {}

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(matrix.nbytes for matrix in self._kept.values())

    def forget(self) -> None:
        """Free the memory."""
        self._kept.clear()

    def squared(self, rows: Sequence[Matrix], others: Sequence[Matrix]) -> Matrix:
        """Return the squared distances of rows to other rows (n, m), an array of the caller's own.

        Args:
            rows: The blocks of n rows, (n, D) each.
            others: The same blocks of m rows, (m, D) each.

        Returns:
            In the precision of the rows, float32 or float64.
        """
        total = self._of_block(rows[0], others[0]).copy()
        for mine, theirs in zip(rows[1:], others[1:], strict=True):
            total += self._of_block(mine, theirs)
        return total

    def _of_block(self, rows: Matrix, others: Matrix) -> Matrix:
        key = _digest(rows), _digest(others)
        found = self._kept.pop(key, None)
        if found is None:
            found = squared_distances(rows, others)
            if key[0] == key[1]:  # what rounding leaves there sends libsvm another way
                np.fill_diagonal(found, 0.0)
            self.computed += 1
        if found.nbytes <= self.kept_bytes:
            self._kept[key] = found
            while self.size > self.kept_bytes:
                del self._kept[next(iter(self._kept))]
        return found


def squared_distances(rows: Matrix, others: Matrix) -> Matrix:
    """Return ``|a - b|^2`` as ``|a|^2 - 2ab + |b|^2`` (n, m), about the mean of the others.

    In float32 the error is some 1e-6 of the average squared distance from the mean; where single
    rows lie so far away that it would be more, the product is computed in float64.

    Args:
        rows: (n, D).
        others: (m, D).

    >>> squared_distances(np.array([[1.0], [2.0]]), np.array([[4.0]])).tolist()
    [[9.0], [4.0]]
    """
    centre = others.mean(axis=0, dtype=np.float64)
    a, b = rows - centre.astype(rows.dtype), others - centre.astype(rows.dtype)
    long_a, long_b = _squared_lengths(a), _squared_lengths(b)
    longest = max(long_a.max(initial=0.0), long_b.max(initial=0.0))
    if longest > LONG * long_b.mean():
        a, b = a.astype(np.float64), b.astype(np.float64)
    found = np.empty((len(rows), len(others)), dtype=rows.dtype)
    for begin in range(0, len(rows), PIECE_ROWS):
        part = slice(begin, begin + PIECE_ROWS)
        piece = (-2 * a[part]) @ b.T
        piece += long_a[part, None].astype(piece.dtype)
        piece += long_b.astype(piece.dtype)
        np.maximum(piece, 0.0, out=found[part], casting="same_kind")
    return found


def _squared_lengths(rows: Matrix) -> NDArray[np.float64]:
    return np.asarray(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))


def _digest(block: Matrix) -> bytes:
    contiguous = np.ascontiguousarray(block)
    hasher = hashlib.sha256(f"{contiguous.dtype.str}{contiguous.shape}".encode())
    hasher.update(contiguous.data)
    return hasher.digest()


DISTANCES = DistanceCache()
