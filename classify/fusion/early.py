"""Early fusion: several modalities' vectors become one row, by statistics of training rows alone.

Each modality is standardised on its own (mean 0, deviation 1 over the training rows that have it),
because a sum or product of raw vectors is ruled by whichever encoder has the larger numbers. How
they are fused, and what stands where a row lacks a modality, says the strategy's entry in
:mod:`classify.fusion.strategies`:

=================  ======  ====================================================
strategy           widths  a missing modality
=================  ======  ====================================================
``concatenation``  any     0 = the training mean, and a column that says "missing"
``sum``            equal   0 = the training mean
``product``        equal   1
=================  ======  ====================================================

The "missing" column (0 or 1) stands for every modality that some training row lacks.

Unequal widths can be *projected* to one width D, per modality and after standardising, with maps
fitted on training rows (:mod:`classify.fusion.projections`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from classify.fusion.projections import (
    BlockProjection,
    as_columns,
    fit_projection,
    read_projection,
)
from classify.fusion.strategies import STRATEGIES, Block, vector_fusion
from embeddings_store.errors import FoldError, StoreError, UsageError

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler


class VectorBlocks(Protocol):
    """Rows in several blocks, as :class:`embeddings_store.vectors.fold_data.RoleData` has them."""

    @property
    def vectors(self) -> Mapping[str, Block]:
        """Block name to (n, D); ``nan`` rows where it is missing."""

    @property
    def present(self) -> Mapping[str, NDArray[np.bool_]]:
        """Block name to mask (n,)."""


@dataclass(frozen=True, slots=True)
class FusedFeatures:
    """The rows that a classifier sees.

    Attributes:
        X: Fused rows, float32 (n, D'), finite.
        blocks: Which columns come from where: modality, or ``modality.missing``; one block of all
            for sum and product.
    """

    X: Block
    blocks: Mapping[str, slice]

    def __post_init__(self) -> None:
        """Check that the widths add up and that every number is finite."""
        width = sum(block.stop - block.start for block in self.blocks.values())
        if self.X.ndim != 2 or self.X.shape[1] != width:
            raise ValueError(
                f"fused rows have the shape {self.X.shape}, their blocks {dict(self.blocks)} are "
                f"{width} wide"
            )
        if not np.isfinite(self.X).all():
            bad = int((~np.isfinite(self.X)).any(axis=1).sum())
            raise StoreError(
                f"{bad} of {len(self.X)} fused rows are not finite: their vectors are too far from "
                "the training rows for float32; look at them with embeddings-store inspect"
            )


class EarlyFusion:
    """A strategy with the training statistics of one fold.

    Args:
        method: A name of :func:`classify.fusion.strategies.vector_strategies`; with one modality
            all are the same.
        modalities: The modalities (view names), in the order of their blocks.
        project: What :func:`classify.fusion.projections.read_projection` reads, or nothing.

    Raises:
        UnknownNameError: No such strategy or projection.
        UsageError: The strategy fuses class scores only.
    """

    def __init__(self, method: str, modalities: Sequence[str], project: str = "") -> None:
        self.method = method
        self.fusion = vector_fusion(method)
        self.modalities = tuple(modalities)
        self.projection, self.width = read_projection(project) if project else ("", 0)
        self.scalers: dict[str, StandardScaler] = {}
        self.projections: dict[str, BlockProjection] = {}
        self.indicated: tuple[str, ...] = ()
        self.columns: dict[str, slice] = {}

    def fit(self, rows: VectorBlocks) -> EarlyFusion:
        """Take mean and deviation of each modality from the rows that have it.

        Raises:
            UsageError: The strategy needs equal widths and they differ.
            FoldError: A modality has no row at all to learn from, or a projection too few.
        """
        from sklearn.preprocessing import StandardScaler

        if not self.projection:
            check_widths(self.method, {m: rows.vectors[m].shape[1] for m in self.modalities})
        for modality in self.modalities:
            present = rows.present[modality]
            if not present.any():
                raise FoldError(
                    f"none of the {len(present)} training rows has {modality} vectors; extract "
                    "them, use fewer folds, or leave the modality out with --modalities"
                )
            if self.fusion.standardise or self.projection:
                self.scalers[modality] = StandardScaler().fit(rows.vectors[modality][present])
        if self.projection:
            blocks = {m: self._standardised(rows, m) for m in self.modalities}
            present_of = {m: rows.present[m] for m in self.modalities}
            self.projections = fit_projection(self.projection, self.width, blocks, present_of)
        if self.fusion.indicators:
            self.indicated = tuple(m for m in self.modalities if not rows.present[m].all())
        self.columns = self._columns(rows)
        return self

    def transform(self, rows: VectorBlocks) -> FusedFeatures:
        """Fuse rows with the statistics that :meth:`fit` took."""
        if self.fusion.combine is not None:
            of_each = (self._block(rows, modality) for modality in self.modalities)
            return FusedFeatures(np.ascontiguousarray(self.fusion.combine(of_each)), self.columns)
        columns = self.columns
        width = max(block.stop for block in columns.values())
        # filled a block at a time, so that no block lies in memory beside the whole
        X = np.empty((len(rows.present[self.modalities[0]]), width), dtype=np.float32)
        for modality in self.modalities:
            X[:, columns[modality]] = self._block(rows, modality)
        for modality in self.indicated:
            X[:, columns[f"{modality}.missing"]] = ~rows.present[modality][:, None]
        return FusedFeatures(X, columns)

    def _columns(self, rows: VectorBlocks) -> dict[str, slice]:
        """Return which fused columns come from where."""
        widths = {m: self._width(rows, m) for m in self.modalities}
        if self.fusion.combine is not None:
            return {"+".join(self.modalities): slice(0, widths[self.modalities[0]])}
        widths |= {f"{modality}.missing": 1 for modality in self.indicated}
        columns, start = {}, 0
        for name, width in widths.items():
            columns[name] = slice(start, start + width)
            start += width
        return columns

    def _width(self, rows: VectorBlocks, modality: str) -> int:
        projection = self.projections.get(modality)
        if projection:
            return int(projection.scaler.n_features_in_)
        return int(rows.vectors[modality].shape[1])

    def _standardised(self, rows: VectorBlocks, modality: str) -> Block:
        """Return a block (n, D), ``nan`` where the modality is missing."""
        present, vectors = rows.present[modality], rows.vectors[modality]
        block = np.full(vectors.shape, np.nan, dtype=np.float32)
        block[present] = self.scalers[modality].transform(vectors[present])
        return block

    def _block(self, rows: VectorBlocks, modality: str) -> Block:
        """Return what is fused of one modality (n, D), the neutral element where it is missing."""
        present, vectors = rows.present[modality], rows.vectors[modality]
        projection = self.projections.get(modality)
        shape = (len(present), self._width(rows, modality))
        block = np.full(shape, self.fusion.neutral, dtype=np.float32)
        if not present.any():
            return block
        values = vectors[present]
        if modality in self.scalers:
            values = self.scalers[modality].transform(values)
        if projection:
            values = projection.scaler.transform(as_columns(projection.project(values)))
        block[present] = values
        return block


def check_widths(
    method: str, widths: Mapping[str, int], advice: str = "--project pca or linear"
) -> None:
    """Refuse a strategy that needs equal widths where they differ.

    Args:
        method: A name of :data:`classify.fusion.strategies.STRATEGIES`.
        widths: Modality to the width of its vectors.
        advice: How they can be projected to one width, for the message.

    Raises:
        UsageError: With the widths, and what works instead.

    >>> check_widths("sum", {"audio": 384, "text": 384})
    >>> check_widths("sum", {"audio": 73, "text": 100})
    Traceback (most recent call last):
    embeddings_store.errors.UsageError: early sum needs vectors of one width, and these differ: \
audio 73, text 100; use concatenation (--early concatenation), a projection (--project pca or \
linear), or encoders of one width
    """
    if STRATEGIES[method].equal_widths and len(set(widths.values())) > 1:
        shown = ", ".join(f"{m} {width}" for m, width in widths.items())
        raise UsageError(
            f"early {method} needs vectors of one width, and these differ: {shown}; use "
            f"concatenation (--early concatenation), a projection ({advice}), or encoders of one "
            "width"
        )
