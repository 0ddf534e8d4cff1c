"""``--fit-rows oof``: class scores of training rows come from inner encoders that have not seen them.

Late fusion then learns from those scores. A classifier over vectors cannot: out of fold, the vectors of training rows would come
from several encoders, each with a space of its own (:mod:`embeddings_store.inner`). Vectors that no encoder was fitted
on, frozen ones and metadata, are out of fold as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from classify.cells import BASELINE, Cell
from classify.expressions import Expression, View
from classify.late_fusion import HEAD
from classify.models import Settings
from embeddings_store.arrays import EncoderRef
from embeddings_store.entries import Entry
from embeddings_store.errors import UsageError
from embeddings_store.inner import WHY_NO_VECTORS, InnerSet, find_inner


def inner_sets(entries: Sequence[Entry], views: Mapping[str, Sequence[EncoderRef]], folds: Sequence[int],
               parts: int = 0) -> dict[str, InnerSet]:
    """Return the inner encoders of every modality that was fine-tuned per fold.

    Args:
        entries: The catalogue.
        views: Modality to encoders.
        folds: Numbers of the folds.
        parts: How many inner folds, where the store has several choices; 0 takes the only one.

    Raises:
        StoreNotFoundError: They are not there, or not all.
        UsageError: There are several, or several layers.
    """
    tuned = [m for m, refs in views.items() if any(e.ref in refs and e.fold != "any" for e in entries)]
    for layered in (m for m in tuned if len(views[m]) > 1):
        raise UsageError(f"--fit-rows oof does not go with a choice of layers of {layered}, because a layer is chosen by a "
                         f"classifier over vectors: {WHY_NO_VECTORS}; take one with --layer N or --layer last")
    return {m: find_inner(entries, views[m][0], folds, parts) for m in tuned}


def without_mixed_spaces(cells: Sequence[Cell], taught: Collection[str], settings: Mapping[str, Settings],
                         scores_from: Mapping[str, str], asked: Collection[str], notes: list[str]) -> list[Cell]:
    """Leave out the cells that would fit a classifier on vectors of several inner encoders, and note why.

    Args:
        cells: All cells.
        taught: Modalities whose encoders were fitted on training rows.
        settings: Classifier to settings.
        scores_from: Modality to ``head`` or ``probe``.
        asked: Families of which cells were asked for by name.
        notes: Where to say what was left out.

    Raises:
        UsageError: Such a cell was asked for by name.
    """
    kept = [cell for cell in cells if cell.family == BASELINE or not over_taught_vectors(
        cell.tree(settings.get(cell.classifier, {}), scores_from), taught)]
    left_out = [cell for cell in cells if cell not in kept]
    named = [cell for cell in left_out if cell.family in asked]
    if named:
        raise UsageError(f"--fit-rows oof does not go with {named[0].family} {named[0].method} over "
                         f"{' and '.join(sorted(taught))}: {WHY_NO_VECTORS}; leave one of the two out")
    if left_out:
        notes.append(f"left out with --fit-rows oof: {len(left_out)} cells over vectors ({WHY_NO_VECTORS})")
    return kept


def over_taught_vectors(node: Expression, taught: Collection[str]) -> bool:
    """Say whether a classifier in an expression would be fitted on vectors that carry the labels of training rows.

    >>> from classify.expressions import Call
    >>> over_taught_vectors(Call("svm", (View("audio"),)), {"audio"})
    True
    >>> over_taught_vectors(Call("mean", (Call("head", (View("audio"),)), Call("svm", (View("text"),)))), {"audio"})
    False
    """
    if isinstance(node, View):
        return node.name in taught
    return node.word != HEAD and any(over_taught_vectors(argument, taught) for argument in node.arguments)
