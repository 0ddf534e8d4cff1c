"""Validation rows in two halves, by group.

One to learn from, one that is kept for choosing between systems.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.groups import groups_of_their_own
from embeddings_store.errors import FoldError


def apart(
    ids: NDArray[np.str_], groups: NDArray[np.str_], rows: NDArray[np.bool_], seed: int, where: str
) -> NDArray[np.bool_]:
    """Mark about half of some rows (N,), whole groups only.

    A row without a group is a group of its own.

    Args:
        ids: Ids of all rows (N,).
        groups: Their groups (N,); empty for none.
        rows: The rows to halve (N,).
        seed: Of the order in which groups are taken.
        where: For the message.

    Raises:
        FoldError: The rows are all of one group.

    >>> who = np.array(["a", "a", "b", "b", "c"])
    >>> rows = np.array([True, True, True, True, False])
    >>> apart(np.array(list("12345")), who, rows, 0, "fold 1").sum()
    np.int64(2)
    """
    names = groups_of_their_own(groups, ids)[rows]
    found, place, counts = np.unique(names, return_inverse=True, return_counts=True)
    if len(found) < 2:
        raise FoldError(
            f"{where}: its {len(names)} validation rows are all of one group, so they cannot be "
            "halved; leave out --valid-split, fill the manifest's column 'group', or use another "
            "plan"
        )
    order = np.random.default_rng(seed).permutation(len(found))
    before = np.cumsum(counts[order]) - counts[order]
    taken = order[(before + counts[order] / 2 <= len(names) / 2) | (before == 0)]
    if len(taken) == len(found):
        taken = taken[:-1]
    marked = np.zeros(len(rows), dtype=bool)
    marked[np.flatnonzero(rows)[np.isin(place, taken)]] = True
    return marked
