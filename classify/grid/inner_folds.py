"""Inner folds: training and validation rows of a fold, joined and parted again by group.

``--choose inner`` chooses among layers, settings and cells by what each says of rows that it was
fitted without. The rows are those of the roles ``train`` and ``valid`` together; whole groups are
dealt to :data:`INNER_PARTS` parts of about the same size, and every part is answered by a fit on
the others. A fold's parts follow from the corpus and the plan alone, not from the views, so every
cell of the fold has the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.groups import groups_of_their_own
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError
from embeddings_store.folds.apart import learning_groups
from embeddings_store.folds.plan import Fold, FoldPlan
from embeddings_store.vectors.fold_data import FoldData, RoleData

INNER_PARTS = 5


def with_inner_parts(data: FoldData, corpus: Manifest, plan: FoldPlan, count: int) -> FoldData:
    """Join the training and validation rows of a fold, and say which inner fold answers each.

    Args:
        data: The fold as the gate let it through.
        corpus: Its corpus.
        plan: The fold plan.
        count: How many parts, or as many as there are groups where these are fewer.

    Returns:
        The same fold; ``train`` holds the rows of both roles in the order of their ids, ``valid``
        none, and ``parts`` the inner fold of each training row.

    Raises:
        FoldError: The rows are all of one group.
    """
    fold = next(fold for fold in plan if fold.number == data.fold)
    parts = part_of_ids(corpus, plan, fold, count)
    both = RoleData.join([data.train, data.valid])
    rows = both.take(np.argsort(both.ids, kind="stable"))
    return replace(
        data,
        train=rows,
        valid=data.valid.take(np.zeros(len(data.valid), dtype=bool)),
        parts=np.array([parts[name] for name in rows.ids], dtype=np.int64),
    )


def inner_data(data: FoldData) -> Iterator[FoldData]:
    """Yield the fold once for each inner fold: its rows stand in the place of test rows.

    Args:
        data: What :func:`with_inner_parts` returned; its test rows are not among what is yielded.
    """
    for part in np.unique(data.parts):
        answered = data.parts == part
        yield replace(
            data,
            train=data.train.take(~answered),
            test=data.train.take(answered),
            parts=data.parts[~answered],
        )


def part_of_ids(corpus: Manifest, plan: FoldPlan, fold: Fold, count: int) -> dict[str, int]:
    """Return the inner fold of every training and validation row of the plan, from 1.

    Args:
        corpus: The corpus.
        plan: The fold plan.
        fold: One of its folds.
        count: How many inner folds, or as many as there are groups where these are fewer.

    Raises:
        FoldError: The rows are all of one group.
    """
    from sklearn.model_selection import GroupKFold

    rows: NDArray[np.bool_] = fold.mask("train") | fold.mask("valid")
    ids = corpus.ids[rows]
    groups = groups_of_their_own(learning_groups(corpus, plan.name)[rows], ids)
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise FoldError(
            f"fold {fold.number} ({fold.name}): its training and validation rows are all of one "
            "group, so none could be answered by a fit without its group; use another plan, fill "
            "the manifest's column 'group', or choose on validation rows with --choose valid"
        )
    part_of = {}
    parts = GroupKFold(min(count, n_groups)).split(groups, groups=groups)
    for number, (_, answered) in enumerate(parts, start=1):
        part_of.update(dict.fromkeys(ids[answered].tolist(), number))
    return part_of
