"""How each way of fusing degrades as modalities drop out of test rows; nothing is fitted again.

A *drop* takes either each modality of each row on its own with a given chance, or one modality of
all rows. What a row loses follows from the seed, its id and the modality alone, so it is the same
for every system and fold, and a row that loses something at one rate loses it at every higher one.
A row always keeps something: of the modalities that it has, the last to go stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classify.names import EARLY, LATE, SYSTEM
from classify.systems.cell import Cell
from embeddings_store.vectors.fold_data import RoleData

EACH = "each"


@dataclass(frozen=True, slots=True)
class Drop:
    """What test rows lose.

    Attributes:
        modality: One modality, or :data:`EACH` of them on its own.
        rate: The chance, in [0, 1].
    """

    modality: str
    rate: float

    def __str__(self) -> str:
        return f"{self.modality} {self.rate:g}"


def drops_of(
    cell: Cell, rates: Sequence[float], modality_of: Mapping[str, str]
) -> tuple[Drop, ...]:
    """Return what a cell is asked for: nothing gone, each at every rate, one after the other.

    Args:
        cell: A cell that fuses.
        rates: The chances that a modality is lost, each in (0, 1).
        modality_of: View to its modality.

    >>> late = Cell("late", "mean", ("audio.L4", "audio.L5", "text"), "rule")
    >>> of = {"audio.L4": "audio", "audio.L5": "audio", "text": "text"}
    >>> [str(drop) for drop in drops_of(late, [0.5], of)]
    ['each 0', 'each 0.5', 'audio 1', 'text 1']
    """
    modalities = dict.fromkeys(modality_of[view] for view in cell.modalities)
    return (
        Drop(EACH, 0.0),
        *(Drop(EACH, rate) for rate in sorted(set(rates))),
        *(Drop(modality, 1.0) for modality in modalities),
    )


def worth_dropping(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that fuse, each over its largest set of modalities."""
    fused = [
        cell for cell in cells if cell.family in (EARLY, LATE, SYSTEM) and len(cell.modalities) > 1
    ]

    largest: dict[tuple[str, str], int] = {}
    for cell in fused:
        of = _compared_with(cell)
        largest[of] = max(largest.get(of, 0), len(cell.modalities))
    return [cell for cell in fused if len(cell.modalities) == largest[_compared_with(cell)]]


def _compared_with(cell: Cell) -> tuple[str, str]:
    """Return the cells among which the largest set counts: of a family, or of one system."""
    return (cell.family, cell.method if cell.family == SYSTEM else "")


def without(
    rows: RoleData, views: Sequence[str], drop: Drop, seed: int, modality_of: Mapping[str, str]
) -> RoleData:
    """Return the rows as if they lacked what the drop takes; a modality goes with all its views.

    Args:
        rows: The test rows, n of them.
        views: What the cell fuses.
        drop: What goes.
        seed: Which rows lose it.
        modality_of: View to its modality.
    """
    views_of: dict[str, list[str]] = {}
    for view in views:
        views_of.setdefault(modality_of[view], []).append(view)
    modalities = list(views_of)
    chance = np.stack([_chances(rows.ids, m, seed) for m in modalities])  # (M, n)
    present = np.stack([np.any([rows.present[v] for v in views_of[m]], axis=0) for m in modalities])
    concerned = np.array([drop.modality in (EACH, m) for m in modalities])
    goes = concerned[:, None] & (chance < drop.rate)
    # of what a row has, that with the largest chance goes last; what does not go ranks above it
    last = np.where(present, chance + ~goes, -1.0).argmax(axis=0)
    goes[last, np.arange(len(rows))] = False
    left = dict(rows.present)
    for modality, gone in zip(modalities, goes, strict=True):
        for view in views_of[modality]:
            left[view] = rows.present[view] & ~gone
    return replace(rows, present=left)


def _chances(ids: NDArray[np.str_], modality: str, seed: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) per row that depends on nothing else."""
    digests = (
        hashlib.blake2b(f"{seed}\x00{modality}\x00{name}".encode(), digest_size=8).digest()
        for name in ids
    )
    return np.array([int.from_bytes(digest) for digest in digests], dtype=np.float64) / 2.0**64
