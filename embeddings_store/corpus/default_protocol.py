"""Which fold plan the columns of a corpus suggest, where nobody has named one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.corpus.columns import SPLIT_ROLES
from embeddings_store.corpus.connected import connected_parts
from embeddings_store.corpus.placeholders import without_placeholders
from embeddings_store.corpus.unlabelled import of_unlabelled_groups

if TYPE_CHECKING:
    import pandas as pd

FEWEST, MOST = 3, 10  # values that are left out one by one; of more, blocks are made


def default_protocol(table: pd.DataFrame) -> str:
    """Name the fold plan: the split, else by what all rows name of session, speaker and group.

    A split without test rows, such as that of a dataset which is all ``train``, is no plan.

    Where speakers meet in groups and no session holds them together, folds by speaker would tear
    the groups, and folds by group would share the speakers: then it is a plan over the parts of
    both that hang together.

    Args:
        table: The rows of a manifest.

    Returns:
        A name of :mod:`embeddings_store.folds.rules`, or ``""`` where the columns suggest none.

    >>> import pandas as pd
    >>> columns = {"label": ["sad"] * 6} | dict.fromkeys(("split", "session", "group"), [""] * 6)
    >>> default_protocol(pd.DataFrame(columns | {"speaker": list("abcabc")}))
    'leave-one-speaker-out'
    """
    if _is_plan(table["split"]):
        return "split"
    table = table[~of_unlabelled_groups(table)]
    for column in ("session", "speaker", "group"):
        names = without_placeholders(table[column])
        count = names.nunique()
        if count < FEWEST or not (names != "").all():
            continue
        if column == "speaker" and _speakers_meet(names, without_placeholders(table["group"])):
            return _connected_protocol(names, without_placeholders(table["group"]))
        return f"leave-one-{column}-out" if count <= MOST else f"{column}-kfold:5"
    return ""


def _is_plan(splits: pd.Series) -> bool:
    """Say whether some rows train and others are tested."""
    words = {word.lower() for word in splits.unique()}
    if not words <= SPLIT_ROLES.keys():
        return True  # The plan then says which word is no role.
    return {"train", "test"} <= {SPLIT_ROLES[word] for word in words}


def _speakers_meet(speakers: pd.Series, groups: pd.Series) -> bool:
    """Whether rows of one group are of several speakers; every row names a speaker."""
    import pandas as pd

    named = (groups != "").to_numpy(dtype=bool)
    speaker, group = (pd.factorize(names[named])[0] for names in (speakers, groups))
    pairs = pd.unique(speaker * (int(group.max(initial=0)) + 1) + group)
    return len(pairs) > len(pd.unique(group))


def _connected_protocol(speakers: pd.Series, groups: pd.Series) -> str:
    parts = connected_parts([np.asarray(names, dtype=str) for names in (speakers, groups)])
    count = int(parts.max()) + 1
    return "leave-one-connected-out" if FEWEST <= count <= MOST else "connected-kfold:5"
