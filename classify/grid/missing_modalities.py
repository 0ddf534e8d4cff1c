"""How each way of fusing degrades as modalities drop out of test rows.

Nothing is fitted again, only asked again.

A *drop* takes either each modality of each row on its own with a given chance, or one modality of
all rows. What a row loses follows from the seed, its id and the modality alone, so it is the same
for every system and fold, and a row that loses something at one rate loses it at every higher one.
A row always keeps something: of the modalities that it has, the last to go stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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


def drops_of(cell: Cell, rates: Sequence[float]) -> tuple[Drop, ...]:
    """Return what a cell is asked for.

    Nothing gone, each modality at every rate, and one modality after the other.

    >>> [str(drop) for drop in drops_of(Cell("late", "mean", ("audio", "text"), "rule"), [0.5])]
    ['each 0', 'each 0.5', 'audio 1', 'text 1']
    """
    return (
        Drop(EACH, 0.0),
        *(Drop(EACH, rate) for rate in sorted(set(rates))),
        *(Drop(m, 1.0) for m in cell.modalities),
    )


def worth_dropping(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that fuse, each over its largest set of modalities."""
    fused = [
        cell for cell in cells if cell.family in (EARLY, LATE, SYSTEM) and len(cell.modalities) > 1
    ]

    def largest(cell: Cell) -> int:
        return max(
            len(c.modalities)
            for c in fused
            if c.family == cell.family and (c.method == cell.method or cell.family != SYSTEM)
        )

    return [cell for cell in fused if len(cell.modalities) == largest(cell)]


def without(rows: RoleData, modalities: Sequence[str], drop: Drop, seed: int) -> RoleData:
    """Return the rows as if they lacked what the drop takes."""
    chance = np.stack([_chances(rows.ids, m, seed) for m in modalities])
    present = np.stack([rows.present[m] for m in modalities])
    goes = np.array([drop.modality in (EACH, m) for m in modalities])[:, None] & (
        chance < drop.rate
    )
    last = np.where(present, chance + ~goes, -1.0).argmax(axis=0)
    goes[last, np.arange(len(rows))] = False
    return replace(
        rows, present={**rows.present, **dict(zip(modalities, present & ~goes, strict=True))}
    )


def _chances(ids: NDArray[np.str_], modality: str, seed: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) per row that depends on nothing else."""
    digests = (
        hashlib.blake2b(f"{seed}\x00{modality}\x00{name}".encode(), digest_size=8).digest()
        for name in ids
    )
    return np.array([int.from_bytes(digest) for digest in digests], dtype=np.float64) / 2.0**64
