"""Which layer stands for a modality, fold by fold and classifier by classifier.

A finished cell of every candidate layer says how many of the rows that choose it answers rightly;
the layer with the most counts, of equals the lowest. Rows that it cannot answer are wrong.

In inner folds (``--choose inner``) the rows of an inner fold are not to choose the layer by which
they are answered. So for each inner fold the layer is chosen once more on the other ones, and what
that layer's cell answered there judges the cell of the modality. That costs no fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from classify.grid.outcome import CellOutcome
from classify.grid.prepared import FoldFacts, PreparedGrid
from classify.grid.tasks import CellTask
from classify.grid.validation_rows import for_learning
from classify.names import LAYER

EVERYWHERE = 0  # stands for the inner fold of validation rows, which have none


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """The layer of one modality in one fold, as one classifier chooses it.

    Attributes:
        place: Its position among the candidates.
        without: Inner fold to the position that the other inner folds choose, where it is another.
    """

    place: int
    without: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slot:
    """For what a layer is chosen.

    Attributes:
        replica: Position among the seeds of the fine-tuning.
        fold: The fold's number.
        modality: The modality, or the view.
        judge: The classifier that judges.
    """

    replica: int
    fold: int
    modality: str
    judge: str


Layers = Mapping[Slot, LayerChoice]
# layer to inner fold to right answers, over all seeds of the classifier
Counts = dict[int, dict[int, int]]


def choose_layers(prepared: PreparedGrid, tasks: Sequence[CellTask]) -> dict[Slot, LayerChoice]:
    """Choose the layer of every modality, in every fold and for every classifier that judges.

    Args:
        prepared: The checked run.
        tasks: Finished ones; those of single layers are looked at.
    """
    folds = {fold.number: fold for fold in prepared.folds}
    found: dict[Slot, Counts] = {}
    for task in tasks:
        if task.cell.family != LAYER:
            continue
        fold, (modality,) = task.source.fold, task.cell.modalities
        slot = Slot(task.replica, fold, modality, task.cell.classifier)
        counts = found.setdefault(slot, {}).setdefault(task.cell.layer, {})
        for part, right in count_right(task.outcome(), folds[fold]).items():
            counts[part] = counts.get(part, 0) + right
    return {slot: choice_of(counts) for slot, counts in found.items()}


def count_right(outcome: CellOutcome, fold: FoldFacts) -> dict[int, int]:
    """Return inner fold to the right answers of a cell there; validation rows have but one."""
    learn = for_learning(outcome.ids["valid"], fold.apart)
    ids = outcome.ids["valid"][learn]
    right = outcome.reported("valid").labels[learn] == outcome.y["valid"][learn]
    parts = np.array([fold.part_of.get(name, EVERYWHERE) for name in ids.tolist()], dtype=np.int64)
    return {int(part): int(right[parts == part].sum()) for part in np.unique(parts)}


def choice_of(counts: Counts) -> LayerChoice:
    """Choose a layer, and for each inner fold the layer that the other ones choose.

    Args:
        counts: Layer to inner fold to its right answers.

    >>> choice_of({4: {1: 9, 2: 4, 3: 5}, 5: {1: 7, 2: 6, 3: 6}})
    LayerChoice(place=5, without={2: 4, 3: 4})
    """
    totals = {layer: sum(by_part.values()) for layer, by_part in counts.items()}
    place = _most(totals)
    without = {}
    for part in sorted(set().union(*counts.values()) - {EVERYWHERE}):
        elsewhere = {layer: totals[layer] - counts[layer].get(part, 0) for layer in counts}
        if _most(elsewhere) != place:
            without[part] = _most(elsewhere)
    return LayerChoice(place, without)


def _most(right: Mapping[int, int]) -> int:
    """Return the layer with the most right answers, of equals the lowest."""
    return max(sorted(right), key=lambda layer: right[layer])
