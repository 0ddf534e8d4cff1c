"""What belongs together: rows of one dialogue, video or speaker must not be split between roles.

Every part of the project that keeps rows together takes its groups from here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.connected import connected_parts
from embeddings_store.corpus.manifest import Manifest


def group_or_speaker(manifest: Manifest) -> NDArray[np.str_]:
    """Return the group of each row (N,), its speaker where it names no group; empty for neither.

    >>> columns = {"id": ["a", "b", "c"], "text": ["x", "y", "z"]}
    >>> columns |= {"group": ["dialogue 1", "", ""], "speaker": ["Ann", "Ann", ""]}
    >>> group_or_speaker(Manifest.from_columns("mine", columns)).tolist()
    ['dialogue 1', 'Ann', '']
    """
    groups, speakers = manifest.named("group"), manifest.named("speaker")
    return np.where(groups != "", groups, speakers)


def indivisible_groups(manifest: Manifest) -> NDArray[np.str_]:
    """Return what must stay in one role (N,): the group, else the speaker, else the row itself."""
    groups, speakers = manifest.named("group"), manifest.named("speaker")
    # A prefix, so that a speaker is not taken for a group or a row of the same name.
    without_group = np.where(speakers != "", np.char.add("speaker ", speakers), manifest.ids)
    return np.where(groups != "", groups, without_group)


def connected_names(manifest: Manifest) -> NDArray[np.str_]:
    """Return a name of the connected part of each row (N,), the same in any order of the rows.

    Rows of one speaker or one group are in one part, and so is whatever hangs together through
    them, see :mod:`embeddings_store.corpus.connected`. A part is called by its first name in
    alphabetical order: ``speaker Ann``, ``group d7`` where it names no speaker, else ``row u001``.

    >>> columns = {"id": list("abcd"), "text": ["t"] * 4}
    >>> columns |= {"speaker": ["Bea", "Ann", "Cem", ""], "group": ["d1", "d1", "d2", ""]}
    >>> connected_names(Manifest.from_columns("mine", columns)).tolist()
    ['speaker Ann', 'speaker Ann', 'speaker Cem', 'row d']
    """
    groups, speakers = manifest.named("group"), manifest.named("speaker")
    parts = connected_parts([speakers, groups])
    # Of each part the first speaker, else the first group, else its row.
    kind = np.select([speakers != "", groups != ""], [0, 1], 2)
    word = np.select([kind == 0, kind == 1], [speakers, groups], manifest.ids)
    order = np.lexsort((word, kind, parts))
    first = order[np.unique(parts[order], return_index=True)[1]]
    titles = np.array(["speaker ", "group ", "row "])[kind[first]]
    return np.asarray(np.char.add(titles, word[first].astype(str))[parts])


def groups_of_their_own(groups: NDArray[np.str_], ids: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the group of each row (n,), where a row without one becomes a group of its own.

    >>> groups_of_their_own(np.array(["g", "", "g"]), np.array(["a", "b", "c"])).tolist()
    ['g', 'row b', 'g']
    """
    return np.where(groups == "", np.char.add("row ", ids), groups)
