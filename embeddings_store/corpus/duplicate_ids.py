"""Finds the ids that stand twice among many millions, in a few bytes for each."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

# First rows that are kept of each kind.
KEPT = 30


@dataclass(frozen=True, slots=True)
class DuplicateIds:
    """Rows whose id stands in an earlier row; rows are counted from 0.

    Attributes:
        count: How many.
        rows: The first of them.
        ids: Their ids.
        before: The row that the first of them repeats.
    """

    count: int = 0
    rows: tuple[int, ...] = ()
    ids: tuple[str, ...] = ()
    before: int = 0


class Ids:
    """The ids so far, 64 bits of each."""

    def __init__(self) -> None:
        self._hashes = array("Q")

    def add(self, ids: pd.Series) -> None:
        """Take the next ones, strings."""
        self._hashes.frombytes(_hashes(ids).tobytes())

    def duplicates(self, read: Callable[[], Iterator[pd.Series]]) -> DuplicateIds:
        """Return those that stand twice; empty ones are no ids.

        Args:
            read: Yields all of them once more, in pieces; called only where two have the same hash.
        """
        ordered = np.frombuffer(self._hashes, dtype=np.uint64)
        ordered.sort()
        suspects = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        return _compared(suspects, read) if len(suspects) else DuplicateIds()


def _hashes(ids: pd.Series) -> NDArray[np.uint64]:
    """Return 64 bits of each id, shape (n,)."""
    import pandas as pd

    return np.asarray(pd.util.hash_array(ids.to_numpy(dtype=object), categorize=False))


def _compared(
    suspects: NDArray[np.uint64], read: Callable[[], Iterator[pd.Series]]
) -> DuplicateIds:
    """Compare the ids that have one of these hashes by 128 bits of another one."""
    marks, rows, before = array("Q"), array("Q"), 0
    for ids in read():
        found = _hashes(ids)
        places = np.flatnonzero(
            (suspects[np.searchsorted(suspects, found).clip(max=len(suspects) - 1)] == found)
            & (ids != "")
        )
        for cell in ids.iloc[places]:
            marks.frombytes(hashlib.blake2b(cell.encode(), digest_size=16).digest())
        rows.frombytes((before + places).astype(np.uint64).tobytes())
        before += len(ids)
    low, high = np.frombuffer(marks, dtype=np.uint64).reshape(-1, 2).T
    order = np.lexsort((low, high))
    again = (
        np.flatnonzero((low[order[1:]] == low[order[:-1]]) & (high[order[1:]] == high[order[:-1]]))
        + 1
    )
    if not len(again):
        return DuplicateIds()
    # Sorting keeps the order of the rows among the same: the first of a run is the first in the
    # table.
    first = order[again[np.argmin(order[again])] - 1]
    repeats = np.sort(order[again])
    where = np.frombuffer(rows, dtype=np.uint64)
    shown = where[repeats[:KEPT]].tolist()
    return DuplicateIds(len(repeats), tuple(shown), tuple(_cells(read(), shown)), int(where[first]))


def _cells(pieces: Iterable[pd.Series], rows: Sequence[int]) -> Iterator[str]:
    """Yield the cells of these rows, which are in order."""
    before, wanted = 0, list(rows)
    for piece in pieces:
        while wanted and wanted[0] < before + len(piece):
            yield str(piece.iloc[wanted.pop(0) - before])
        if not wanted:
            return
        before += len(piece)
