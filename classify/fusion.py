"""Early fusion: several modalities' vectors become one row, with statistics of the fold's training rows alone.

Each modality is standardised on its own (mean 0, deviation 1 over the training rows that have it), because a sum or product
of raw vectors is ruled by whichever encoder has the larger numbers. A row that lacks a modality gets that
strategy's neutral element in its place:

=================  ===========================  ============  ====================================================
strategy           fused row                    widths        a missing modality
=================  ===========================  ============  ====================================================
``concatenation``  ``[z1, z2, ...]``            any           0 = the training mean, and a column that says "missing"
``sum``            ``z1 + z2 + ...``            equal         0 = the training mean
``product``        ``z1 * z2 * ...``            equal         1
=================  ===========================  ============  ====================================================

The "missing" column (0 or 1) stands for every modality that some training row lacks. To add a strategy, add an entry
to :data:`STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from embeddings_store.arrays import RoleData
from embeddings_store.errors import FoldError, StoreError, UsageError, unknown_name

Block = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to make one row of several blocks.

    Attributes:
        name: The name on the command line and in results.
        combine: Standardised blocks, each (n, D_m), to the fused matrix (n, D').
        neutral: What stands in a block where the modality is missing.
        equal_widths: Whether all blocks must be equally wide.
        indicators: Whether a column says that a modality is missing.
    """

    name: str
    combine: Callable[[Sequence[Block]], Block]
    neutral: float
    equal_widths: bool
    indicators: bool


@dataclass(frozen=True, slots=True)
class FusedFeatures:
    """The rows that a classifier sees.

    Attributes:
        X: Fused rows, float32 (n, D'), finite.
        blocks: Which columns come from where: modality, or ``modality.missing``; one block of all for sum and product.
    """

    X: Block
    blocks: Mapping[str, slice]

    def __post_init__(self) -> None:
        """Check that the widths add up and that every number is finite."""
        width = sum(block.stop - block.start for block in self.blocks.values())
        if self.X.ndim != 2 or self.X.shape[1] != width:
            raise ValueError(f"fused rows have the shape {self.X.shape}, their blocks {dict(self.blocks)} are {width} wide")
        if not np.isfinite(self.X).all():
            bad = int((~np.isfinite(self.X)).any(axis=1).sum())
            raise StoreError(f"{bad} of {len(self.X)} fused rows are not finite: their vectors are too far from the "
                             "training rows for float32; look at them with embeddings-store inspect")


STRATEGIES: Mapping[str, Strategy] = {s.name: s for s in (
    Strategy("concatenation", np.hstack, 0.0, equal_widths=False, indicators=True),
    Strategy("sum", lambda blocks: np.sum(blocks, axis=0, dtype=np.float32), 0.0, equal_widths=True, indicators=False),
    Strategy("product", lambda blocks: np.prod(blocks, axis=0, dtype=np.float32), 1.0, equal_widths=True, indicators=False),
)}


class EarlyFusion:
    """A strategy with the training statistics of one fold.

    Args:
        method: A name of :data:`STRATEGIES`; with one modality all are the same.
        modalities: The modalities (view names), in the order of their blocks.

    Raises:
        UnknownNameError: No such strategy.
    """

    def __init__(self, method: str, modalities: Sequence[str]) -> None:
        self.strategy = STRATEGIES.get(method) or unknown_name("early fusion", method, list(STRATEGIES))
        self.modalities = tuple(modalities)
        self.scalers: dict[str, StandardScaler] = {}
        self.indicated: tuple[str, ...] = ()

    def fit(self, rows: RoleData) -> EarlyFusion:
        """Take mean and deviation of each modality from the rows that have it.

        Raises:
            UsageError: The strategy needs equal widths and they differ.
            FoldError: A modality has no row at all to learn from.
        """
        check_widths(self.strategy.name, {m: rows.vectors[m].shape[1] for m in self.modalities})
        for modality in self.modalities:
            present = rows.present[modality]
            if not present.any():
                raise FoldError(f"none of the {len(rows)} training rows has {modality} vectors; extract them, use fewer "
                                "folds, or leave the modality out with --modalities")
            self.scalers[modality] = StandardScaler().fit(rows.vectors[modality][present])
        if self.strategy.indicators:
            self.indicated = tuple(m for m in self.modalities if not rows.present[m].all())
        return self

    def transform(self, rows: RoleData) -> FusedFeatures:
        """Fuse rows with the statistics that :meth:`fit` took."""
        blocks = [self._block(rows, modality) for modality in self.modalities]
        names, widths = ["+".join(self.modalities)], [blocks[0].shape[1]]
        if not self.strategy.equal_widths:
            names, widths = list(self.modalities), [block.shape[1] for block in blocks]
        for modality in self.indicated:
            blocks.append((~rows.present[modality]).astype(np.float32)[:, None])
            names.append(f"{modality}.missing")
            widths.append(1)
        ends = np.cumsum(widths).tolist()
        slices = {name: slice(end - width, end) for name, width, end in zip(names, widths, ends, strict=True)}
        return FusedFeatures(np.ascontiguousarray(self.strategy.combine(blocks)), slices)

    def _block(self, rows: RoleData, modality: str) -> Block:
        present, vectors = rows.present[modality], rows.vectors[modality]
        block = np.full(vectors.shape, self.strategy.neutral, dtype=np.float32)
        if present.any():
            block[present] = self.scalers[modality].transform(vectors[present])
        return block


def check_widths(method: str, widths: Mapping[str, int]) -> None:
    """Refuse a strategy that needs equal widths where they differ.

    Raises:
        UsageError: With the widths, and what works instead.

    >>> check_widths("sum", {"audio": 384, "text": 384})
    >>> check_widths("sum", {"audio": 73, "text": 100})
    Traceback (most recent call last):
    embeddings_store.errors.UsageError: early sum needs vectors of one width, and these differ: audio 73, text 100; use \
concatenation (--early concatenation), or encoders of one width
    """
    if STRATEGIES[method].equal_widths and len(set(widths.values())) > 1:
        shown = ", ".join(f"{m} {width}" for m, width in widths.items())
        raise UsageError(f"early {method} needs vectors of one width, and these differ: {shown}; use concatenation "
                         "(--early concatenation), or encoders of one width")
