"""What hangs together: rows that share a speaker or a group, directly or through others.

Two people talk in a dialogue, and each of them may talk to others elsewhere. Folds by speaker then
tear dialogues, and folds by dialogue share speakers; only whole connected parts do neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def connected_parts(columns: Sequence[NDArray[np.str_]]) -> NDArray[np.int64]:
    """Number the connected parts of rows that share a name in any column, in order of their rows.

    A part is a connected component of the graph whose nodes are rows and names, and whose edges say
    which row has which name. Parts are numbered by their first row, so the same rows in another
    order have the same parts under other numbers.

    Args:
        columns: Names of each row (N,), one array per column, such as speakers and groups; an empty
            name connects nothing.

    Returns:
        The part of each row (N,), from 0.

    >>> speakers = np.array(["Ann", "Bea", "Bea", "Cem", ""])
    >>> dialogues = np.array(["d1", "d1", "d2", "d3", ""])
    >>> connected_parts([speakers, dialogues]).tolist()
    [0, 0, 0, 1, 2]
    """
    # Most callers load the store without it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_rows = len(columns[0])
    rows, nodes, n_nodes = [], [], n_rows
    for names in columns:
        named = np.flatnonzero(names != "")
        known, place = np.unique(names[named], return_inverse=True)
        rows.append(named)
        nodes.append(n_nodes + place)
        n_nodes += len(known)
    edges = (np.concatenate(rows), np.concatenate(nodes))
    graph = coo_array((np.ones(len(edges[0]), dtype=bool), edges), shape=(n_nodes, n_nodes))
    labels = connected_components(graph, directed=False)[1][:n_rows]
    first_row = np.unique(labels, return_index=True)[1]
    number = np.empty(len(first_row), dtype=np.int64)
    number[np.argsort(first_row)] = np.arange(len(first_row))
    return np.asarray(number[np.unique(labels, return_inverse=True)[1]])
