"""Early fusion: several modalities' vectors become one row, with statistics of the fold's training rows alone.

Each modality is standardised on its own (mean 0, deviation 1 over the training rows that have it),
because a sum or product of raw vectors is ruled by whichever encoder has the larger numbers. A row
that lacks a modality gets that strategy's neutral element in its place:

=================  ===========================  ============  ====================================================
strategy           fused row                    widths        a missing modality
=================  ===========================  ============  ====================================================
``concatenation``  ``[z1, z2, ...]``            any           0 = the training mean, and a column that says "missing"
``sum``            ``z1 + z2 + ...``            equal         0 = the training mean
``product``        ``z1 * z2 * ...``            equal         1
=================  ===========================  ============  ====================================================

The "missing" column (0 or 1) stands for every modality that some training row lacks. To add a
strategy, add an entry to :data:`STRATEGIES`.

Unequal widths can be *projected* to one width D, per modality and after standardising, with maps
fitted on training rows:

==============  ======================================================================================================
``pca[:D]``     the first D principal components of each modality; their axes have nothing to do with each other
``linear[:D]``  ridge regression (alpha = 1) of each modality onto one target, the first D principal components of all of
                them side by side over the rows that have all: axis j means the same in every modality
==============  ======================================================================================================

Without ``:D`` the width is the smallest of the modalities'. Projected columns are standardised
again. To add a projection, add an entry to :data:`PROJECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from embeddings_store.errors import FoldError, StoreError, UsageError, unknown_name

Block = NDArray[np.float32]
Map = Callable[[Block], NDArray[np.floating[Any]]]
PCA_SEED = 0  # large blocks are decomposed by random projections


class VectorBlocks(Protocol):
    """Rows in several blocks, as :class:`embeddings_store.vectors.fold_data.RoleData` has them."""

    @property
    def vectors(self) -> Mapping[str, Block]:
        """Block name to (n, D); ``nan`` rows where it is missing."""

    @property
    def present(self) -> Mapping[str, NDArray[np.bool_]]:
        """Block name to mask (n,)."""


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
                f"{bad} of {len(self.X)} fused rows are not finite: their vectors are too far "
                "from the "
                "training rows for float32; look at them with embeddings-store inspect"
            )


STRATEGIES: Mapping[str, Strategy] = {
    s.name: s
    for s in (
        Strategy("concatenation", np.hstack, 0.0, equal_widths=False, indicators=True),
        Strategy(
            "sum",
            lambda blocks: np.sum(blocks, axis=0, dtype=np.float32),
            0.0,
            equal_widths=True,
            indicators=False,
        ),
        Strategy(
            "product",
            lambda blocks: np.prod(blocks, axis=0, dtype=np.float32),
            1.0,
            equal_widths=True,
            indicators=False,
        ),
    )
}


def _principal(
    blocks: Mapping[str, Block], together: NDArray[np.bool_], width: int
) -> dict[str, Map]:
    del together  # each modality has its own components, from all the rows that have it
    return {
        name: PCA(width, random_state=PCA_SEED).fit(block[~np.isnan(block[:, 0])]).transform
        for name, block in blocks.items()
    }


def _common(blocks: Mapping[str, Block], together: NDArray[np.bool_], width: int) -> dict[str, Map]:
    whole = np.hstack([block[together] for block in blocks.values()])
    target = PCA(width, random_state=PCA_SEED).fit_transform(whole)
    return {name: Ridge().fit(block[together], target).predict for name, block in blocks.items()}


# Standardised blocks (nan where missing), the rows that have all of them, and a width, to one
# fitted map per block.
PROJECTIONS: Mapping[
    str, Callable[[Mapping[str, Block], NDArray[np.bool_], int], dict[str, Map]]
] = {"pca": _principal, "linear": _common}


def read_projection(text: str) -> tuple[str, int]:
    """Read ``pca``, ``pca:64``, ``linear`` or ``linear:64``; without a width it is 0.

    Raises:
        UnknownNameError: No such projection.
        UsageError: The width is no whole number of 1 or more.

    >>> read_projection("pca:64")
    ('pca', 64)
    """
    name, colon, width = text.partition(":")
    if name not in PROJECTIONS:
        unknown_name("projection", name, list(PROJECTIONS))
    if colon and not (width.isdecimal() and int(width) > 0):
        raise UsageError(
            f"the width in {text!r} must be a whole number of 1 or more, not {width!r}"
        )
    return name, int(width or 0)


class EarlyFusion:
    """A strategy with the training statistics of one fold.

    Args:
        method: A name of :data:`STRATEGIES`; with one modality all are the same.
        modalities: The modalities (view names), in the order of their blocks.
        project: What :func:`read_projection` reads, or nothing.

    Raises:
        UnknownNameError: No such strategy or projection.
    """

    def __init__(self, method: str, modalities: Sequence[str], project: str = "") -> None:
        self.strategy = STRATEGIES.get(method) or unknown_name(
            "early fusion", method, list(STRATEGIES)
        )
        self.modalities = tuple(modalities)
        self.project, self.width = read_projection(project) if project else ("", 0)
        self.scalers: dict[str, StandardScaler] = {}
        self.maps: dict[str, tuple[Map, StandardScaler]] = {}
        self.indicated: tuple[str, ...] = ()

    def fit(self, rows: VectorBlocks) -> EarlyFusion:
        """Take mean and deviation of each modality from the rows that have it.

        Raises:
            UsageError: The strategy needs equal widths and they differ.
            FoldError: A modality has no row at all to learn from, or a projection too few.
        """
        if not self.project:
            check_widths(self.strategy.name, {m: rows.vectors[m].shape[1] for m in self.modalities})
        for modality in self.modalities:
            present = rows.present[modality]
            if not present.any():
                raise FoldError(
                    f"none of the {len(present)} training rows has {modality} vectors; extract "
                    "them, use fewer "
                    "folds, or leave the modality out with --modalities"
                )
            self.scalers[modality] = StandardScaler().fit(rows.vectors[modality][present])
        if self.project:
            self._fit_projection(rows, self.project, self.width)
        if self.strategy.indicators:
            self.indicated = tuple(m for m in self.modalities if not rows.present[m].all())
        return self

    def _fit_projection(self, rows: VectorBlocks, name: str, width: int) -> None:
        blocks: dict[str, Block] = {
            m: np.full(rows.vectors[m].shape, np.nan, dtype=np.float32) for m in self.modalities
        }
        for m, block in blocks.items():
            block[rows.present[m]] = self.scalers[m].transform(rows.vectors[m][rows.present[m]])
        together = np.logical_and.reduce([rows.present[m] for m in self.modalities])
        widths = {m: block.shape[1] for m, block in blocks.items()}
        fewest = (
            min(int(rows.present[m].sum()) for m in self.modalities)
            if name == "pca"
            else int(together.sum())
        )
        most = min(fewest, min(widths.values()) if name == "pca" else sum(widths.values()))
        if width > most or not most:
            shown = ", ".join(f"{m} {w}" for m, w in widths.items())
            raise FoldError(
                f"a projection to {width or 'any number of'} columns ({name}) needs as many "
                "columns and training "
                f"rows, and there are {fewest} rows of the widths {shown}; project to {most} or "
                "fewer"
            )
        width = width or min(most, *widths.values())
        for m, mapped in PROJECTIONS[name](blocks, together, width).items():
            self.maps[m] = (
                mapped,
                StandardScaler().fit(_columns(mapped(blocks[m][rows.present[m]]))),
            )

    def transform(self, rows: VectorBlocks) -> FusedFeatures:
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
        slices = {
            name: slice(end - width, end)
            for name, width, end in zip(names, widths, ends, strict=True)
        }
        return FusedFeatures(np.ascontiguousarray(self.strategy.combine(blocks)), slices)

    def _block(self, rows: VectorBlocks, modality: str) -> Block:
        present, vectors = rows.present[modality], rows.vectors[modality]
        width = self.maps[modality][1].n_features_in_ if self.maps else vectors.shape[1]
        block = np.full((len(present), width), self.strategy.neutral, dtype=np.float32)
        if present.any():
            found = self.scalers[modality].transform(vectors[present])
            if self.maps:
                mapped, scaler = self.maps[modality]
                found = scaler.transform(_columns(mapped(found)))
            block[present] = found
        return block


def _columns(rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """A regression onto one column drops it."""
    return rows.reshape(len(rows), -1)


def check_widths(
    method: str, widths: Mapping[str, int], advice: str = "--project pca or linear"
) -> None:
    """Refuse a strategy that needs equal widths where they differ, with advice on how to project them.

    Raises:
        UsageError: With the widths, and what works instead.

    >>> check_widths("sum", {"audio": 384, "text": 384})
    >>> check_widths("sum", {"audio": 73, "text": 100})
    Traceback (most recent call last):
    embeddings_store.errors.UsageError: early sum needs vectors of one width, and these differ: audio 73, text 100; use \
concatenation (--early concatenation), a projection (--project pca or linear), or encoders of one width
    """
    if STRATEGIES[method].equal_widths and len(set(widths.values())) > 1:
        shown = ", ".join(f"{m} {width}" for m, width in widths.items())
        raise UsageError(
            f"early {method} needs vectors of one width, and these differ: {shown}; use "
            "concatenation "
            f"(--early concatenation), a projection ({advice}), or encoders of one width"
        )
