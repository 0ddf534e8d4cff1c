"""What belongs together: rows of one dialogue, video or speaker must not be split between roles.

Every part of the project that keeps rows together takes its groups from here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Manifest


def group_or_speaker(manifest: Manifest) -> NDArray[np.str_]:
    """Return the group of each row (N,), its speaker where it names no group; empty for neither.

    >>> columns = {"id": ["a", "b", "c"], "text": ["x", "y", "z"]}
    >>> columns |= {"group": ["dialogue 1", "", ""], "speaker": ["Ann", "Ann", ""]}
    >>> group_or_speaker(Manifest.from_columns("mine", columns)).tolist()
    ['dialogue 1', 'Ann', '']
    """
    groups = manifest.column("group")
    return np.where(groups != "", groups, manifest.column("speaker"))


def indivisible_groups(manifest: Manifest) -> NDArray[np.str_]:
    """Return what must stay in one role (N,): the group, else the speaker, else the row itself."""
    groups, speakers = manifest.column("group"), manifest.column("speaker")
    # A prefix, so that a speaker is not taken for a group or a row of the same name.
    without_group = np.where(speakers != "", np.char.add("speaker ", speakers), manifest.ids)
    return np.where(groups != "", groups, without_group)


def groups_of_their_own(groups: NDArray[np.str_], ids: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the group of each row (n,), where a row without one becomes a group of its own.

    >>> groups_of_their_own(np.array(["g", "", "g"]), np.array(["a", "b", "c"])).tolist()
    ['g', 'row b', 'g']
    """
    return np.where(groups == "", np.char.add("row ", ids), groups)
