"""The rows of one role on their way into training: prepared once, drawn in an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from embeddings_store.errors import MediaError

if TYPE_CHECKING:
    from extract.encoders.base import Encoder

Augment = Callable[[Any, np.random.Generator], Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One prepared input and its class code."""

    item: Any
    label: int


class Rows(Dataset[Example]):
    """Prepared inputs of some rows.

    What an augmentation does to a row depends on seed, epoch and row alone, so a run that was killed and resumed sees what an
    undisturbed one sees.

    Attributes:
        positions: Manifest positions (n,).
        labels: Class codes (n,).
    """

    def __init__(self, encoder: Encoder, load: Callable[[int], Any], positions: NDArray[np.int64], labels: NDArray[np.int64], *,
                 augment: Augment | None = None, seed: int = 0, memory_bytes: int = 0) -> None:
        """Keep prepared inputs in memory up to ``memory_bytes``; the rest is read again each time it is drawn."""
        self.positions, self.labels = positions, labels
        self._encoder, self._load, self._augment, self._seed = encoder, load, augment, seed
        self._epoch = 0
        self._kept: dict[int, Any] = {}
        self._room = memory_bytes

    def __len__(self) -> int:
        return len(self.positions)

    def set_epoch(self, epoch: int) -> None:
        """Tell which epoch it is, for the augmentations."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> Example:
        position = int(self.positions[index])
        item = self._kept.get(position)
        if item is None:
            item = self._load(position) if self._augment else self._encoder.prepare(self._load(position))
            size = getattr(item, "nbytes", 256)
            if size <= self._room:
                self._kept[position] = item
                self._room -= size
        if self._augment:
            generator = np.random.default_rng([self._seed, self._epoch, position])
            item = self._encoder.prepare(self._augment(item, generator))
        return Example(item, int(self.labels[index]))


class EpochOrder(Sampler[int]):
    """Row order of an epoch, from seed and epoch; with balance, rows are drawn so that classes are equally frequent."""

    def __init__(self, rows: Rows, seed: int, *, balanced: bool) -> None:
        self._rows, self._seed, self._epoch = rows, seed, 0
        self._weights: NDArray[np.float64] | None = None
        if balanced:
            counts = np.bincount(rows.labels)
            self._weights = 1.0 / counts[rows.labels]
            self._weights /= self._weights.sum()

    def __len__(self) -> int:
        return len(self._rows)

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch; the rows follow."""
        self._epoch = epoch
        self._rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self._seed, self._epoch])
        n = len(self._rows)
        order = generator.permutation(n) if self._weights is None else generator.choice(n, n, p=self._weights)
        return iter(order.tolist())


def collate(examples: Sequence[Example]) -> Mapping[str, Any]:
    """Return ``items`` as a list, because the encoder pads them itself, and ``labels`` (B,)."""
    return {"items": [e.item for e in examples], "labels": torch.tensor([e.label for e in examples])}


def usable_rows(load: Callable[[int], Any], encoder: Encoder, positions: NDArray[np.int64],
                advance: Callable[[int], None]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Read every row once and say which can be trained on; the others come with a reason.

    For video this is where each clip is decoded into the cache, once for all epochs and folds.
    """
    reasons: dict[int, str] = {}
    for position in positions.tolist():
        try:
            encoder.prepare(load(position))
        except MediaError as error:
            reasons[position] = str(error)
        advance(1)
    return np.array([p for p in positions.tolist() if p not in reasons], dtype=np.int64), reasons
