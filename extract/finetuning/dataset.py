"""The rows of one role on their way into training.

Prepared once, drawn in an order that depends on seed and epoch alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from embeddings_store.errors import MediaError

if TYPE_CHECKING:
    from extract.encoders.base import ModelEncoder

Augment = Callable[[Any, np.random.Generator], Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One prepared input and its class code."""

    item: Any
    label: int


@dataclass(frozen=True, slots=True)
class Items:
    """Prepared inputs of a batch, which the encoder pads itself.

    No list, because Trainer and Accelerate walk through lists in search of tensors, token by token.
    """

    values: list[Any]


@dataclass(slots=True)
class Memory:
    """Room for prepared inputs, in bytes; several :class:`TrainingRows` may share it."""

    left: int

    def take(self, size: int) -> bool:
        """Take so many bytes if they are there."""
        if size > self.left:
            return False
        self.left -= size
        return True


class TrainingRows(Dataset[Example]):
    """Prepared inputs of some rows.

    What an augmentation does to a row depends on seed, epoch and row alone, so a run that was
    killed and resumed sees what an undisturbed one sees.

    Attributes:
        positions: Manifest positions (n,).
        labels: Class codes (n,).
    """

    def __init__(
        self,
        encoder: ModelEncoder,
        load: Callable[[int], Any],
        positions: NDArray[np.int64],
        labels: NDArray[np.int64],
        memory: Memory,
        *,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        """Name the rows; nothing is read yet.

        Args:
            encoder: Prepares what was read.
            load: Reads the row of a manifest position.
            positions: (n,).
            labels: Class codes (n,).
            memory: Inputs are kept while there is room; the rest is read again each time it is
                drawn.
            augment: Changes an input before it is prepared; then inputs are kept as they were read.
            seed: Of the augmentation.
        """
        self.positions = positions
        self.labels = labels
        self._encoder = encoder
        self._load = load
        self._memory = memory
        self._augment = augment
        self._seed = seed
        self._epoch = 0
        self._kept: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def digest(self) -> str:
        """Twelve hex digits over which rows these are, and their labels."""
        content = self.positions.tobytes() + b"\x00" + self.labels.tobytes()
        return hashlib.sha256(content).hexdigest()[:12]

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch it is, for the augmentations."""
        self._epoch = epoch

    def read(self, advance: Callable[[int], None]) -> dict[int, str]:
        """Read every row once, and keep those that can be trained on.

        For video this is where each clip is decoded into the cache, once for all epochs and folds.

        Returns:
            Why the others cannot be, by their manifest positions.
        """
        reasons: dict[int, str] = {}
        for position in self.positions.tolist():
            try:
                kept = self._item(position)
                if self._augment:
                    self._encoder.prepare(kept)
            except MediaError as error:
                reasons[position] = str(error)
            advance(1)
        good = ~np.isin(self.positions, list(reasons))
        self.positions, self.labels = self.positions[good], self.labels[good]
        return reasons

    def __getitem__(self, index: int) -> Example:
        position = int(self.positions[index])
        item = self._item(position)
        if self._augment:
            generator = np.random.default_rng([self._seed, self._epoch, position])
            item = self._encoder.prepare(self._augment(item, generator))
        return Example(item, int(self.labels[index]))

    def _item(self, position: int) -> Any:
        """Return what is kept of a row: what was read if it is augmented, else what goes in."""
        item = self._kept.get(position)
        if item is None:
            item = self._load(position)
            if not self._augment:
                item = self._encoder.prepare(item)
            if self._memory.take(_size(item)):
                self._kept[position] = item
        return item


class EpochOrder(Sampler[int]):
    """Row order of an epoch, from seed and epoch.

    With balance, rows are drawn so that classes are equally frequent.

    Attributes:
        digest: Twelve hex digits over the rows.
    """

    def __init__(self, rows: TrainingRows, seed: int, *, balanced: bool) -> None:
        self.digest = rows.digest
        self._rows = rows
        self._seed = seed
        self._epoch = 0
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
        if self._weights is None:
            order = generator.permutation(n)
        else:
            order = generator.choice(n, n, p=self._weights)
        return iter(order.tolist())


def collate(examples: list[Example]) -> dict[str, Any]:
    """Return ``items`` and ``labels`` (B,)."""
    return {
        "items": Items([example.item for example in examples]),
        "labels": torch.tensor([example.label for example in examples]),
    }


def _size(item: Any) -> int:
    """Estimate the bytes of an input: an array, a list of tokens, or a text."""
    return int(item.nbytes) if isinstance(item, np.ndarray) else 64 + 36 * len(item)
