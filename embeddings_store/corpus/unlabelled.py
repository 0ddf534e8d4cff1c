"""Rows that nobody labelled, by dialogue: a test file of a release that keeps its labels back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.placeholders import without_placeholders

if TYPE_CHECKING:
    import pandas as pd


def of_unlabelled_groups(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Say which rows (N,) are of a group, or a speaker where no group is named, without a label.

    No row is, where no row has a label at all; and a row that names neither stands for itself.

    >>> import pandas as pd
    >>> columns = {"label": ["sad", "", "", ""], "group": ["d1", "d1", "d2", ""]}
    >>> of_unlabelled_groups(pd.DataFrame(columns | {"speaker": ["", "", "Ann", ""]})).tolist()
    [False, False, True, False]
    """
    labelled = np.asarray(table["label"] != "", dtype=bool)
    if labelled.all() or not labelled.any():
        return np.zeros(len(table), dtype=bool)
    groups, speakers = (without_placeholders(table[name]) for name in ("group", "speaker"))
    is_group = np.asarray(groups != "", dtype=bool)
    unlabelled = np.zeros(len(table), dtype=bool)
    for names, rows in ((groups, is_group), (speakers, ~is_group & np.asarray(speakers != ""))):
        with_label = names[rows & labelled].unique()
        unlabelled |= rows & ~np.asarray(names.isin(with_label))
    return unlabelled
