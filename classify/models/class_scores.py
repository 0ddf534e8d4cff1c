"""Class scores: one value per class and row, and which kind of value that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARGIN, PROBABILITY, LOG_PROBABILITY = "margin", "probability", "log-probability"


@dataclass(frozen=True, slots=True)
class ClassScores:
    """The scores that a model or a system gives n rows.

    Attributes:
        values: One column per class (n, C), in label order.
        kind: ``margin``, ``probability`` or ``log-probability``.
    """

    values: NDArray[np.float64]
    kind: str

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class codes (n,): the largest value, of equal ones the first."""
        return np.asarray(self.values.argmax(axis=1), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.values)
