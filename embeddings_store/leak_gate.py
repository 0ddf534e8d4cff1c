"""The rule that refuses a leak: no row is tested whose label an encoder knows.

Every file of vectors says of each row what its encoder has ``seen`` of it: ``no``, ``fit`` (the
encoder was fitted on its label), ``select`` (its epoch was chosen by it) or ``unknown``. All that
reads vectors to learn or to score passes through here, see :func:`embeddings_store.load.load_fold`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import LeakError
from embeddings_store.folds.plan import Fold, FoldPlan
from embeddings_store.vectors.arrays import StoredRows

Mask = NDArray[np.bool_]


def refused_in(role: str, select_on: str) -> tuple[str, ...]:
    """Return what no encoder may have seen of a row that is used in a role.

    A row may be tested only where no encoder was fitted on it and none was chosen by it, and may
    validate only where none was fitted on it. What is ``unknown`` passes and is marked, see
    :func:`unverified_views`.

    Args:
        role: ``test`` or ``valid``.
        select_on: ``valid``; or ``test``, which lets rows be tested by which an epoch was chosen
            (an upper bound, and stamped as one).

    >>> refused_in("test", "valid"), refused_in("test", "test"), refused_in("valid", "valid")
    (('fit', 'select'), ('fit',), ('fit',))
    """
    if role == "test" and select_on == "valid":
        return ("fit", "select")
    return ("fit",)


def refuse_leaks(
    files: Mapping[str, StoredRows], plan: FoldPlan, fold: Fold, usable: Mask, select_on: str
) -> None:
    """Check a fold's test and validation rows against all that its encoders have seen.

    Args:
        files: View name to vectors of all rows of the corpus, in its order.
        plan: The fold plan, for the message.
        fold: Which row has which role.
        usable: Rows (N,) with a label and an input; others are never scored.
        select_on: See :func:`refused_in`.

    Raises:
        LeakError: Which encoder has seen which rows, and what can be done.
    """
    for role in ("test", "valid"):
        refused = refused_in(role, select_on)
        rows = usable & fold.mask(role)
        for view, file in files.items():
            leaking = np.flatnonzero(rows & file.ok & np.isin(file.seen, refused))
            if len(leaking):
                where = f"fold {fold.number} ({fold.name}) of {plan.name!r}"
                raise LeakError(_explain(view, file, where, role, leaking, int(rows.sum())))


def refuse_fitted(
    files: Mapping[str, StoredRows], exempt: Collection[str], fold: int, train: Mask
) -> None:
    """Check that training rows can be used out of fold: no encoder was fitted on them.

    Args:
        files: View name to vectors of all rows.
        exempt: Views that have inner encoders, which left these rows out by parts.
        fold: Number of the fold, for the message.
        train: The training rows (N,).

    Raises:
        LeakError: An encoder was fitted on training rows, and none like it left them out.
    """
    for view, file in files.items():
        if view in exempt:
            continue
        if (file.seen[file.ok & train] == "fit").any():
            raise LeakError(
                f"fold {fold}: the {view} encoder {file.encoder.folder} was fitted on training "
                "rows and has no inner encoders that left some of them out, so nothing can be "
                f"learnt from its training rows out of fold; leave {view} out with --modalities, "
                "or choose other rows with --fit-rows"
            )


def unverified_views(files: Mapping[str, StoredRows], rows: Mask) -> tuple[str, ...]:
    """Return the views of which nobody can say whether their encoder has seen some rows (N,)."""
    unverified = []
    for view, file in files.items():
        if (file.seen[file.ok & rows] == "unknown").any():
            unverified.append(view)
    return tuple(unverified)


def _explain(
    view: str, file: StoredRows, where: str, role: str, leaking: NDArray[np.int64], rows: int
) -> str:
    verb = "score" if role == "test" else "choose on"
    word = str(file.seen[leaking[0]])
    act = "trained on them" if word == "fit" else "chosen by its accuracy on them"
    unseen = int((file.seen == "no").sum())
    first = str(file.ids[leaking[0]])
    inner = f", fold {file.fold}," if ".inner-" in file.fold else ""
    bound = ""
    if word == "select":
        bound = ", or add --select-on test, which stamps every result as an upper bound"
    return (
        f"refused: {where} would {verb} {len(leaking)} of {rows} {role} rows that the {view} "
        f"encoder {file.encoder.folder}{inner} has seen (seen={word}, first {first!r}). The "
        f"encoder was {act}, so their vectors carry their labels and the accuracy would be far too "
        f"high. Only the {unseen} rows with seen=no can be scored: use the plan under which the "
        "encoder was trained (often --folds split), drop the view with --modalities, or extract "
        f"vectors with an encoder per fold{bound}"
    )
