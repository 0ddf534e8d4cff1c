"""Projections: vectors of unequal widths are brought to one, by maps fitted on training rows.

Each modality is standardised first, and its projected columns are standardised again.

=============  ==============================================================================
``pca[:D]``    the first D principal components of each modality; their axes have nothing to
               do with each other
``linear[:D]`` ridge regression (alpha = 1) of each modality onto one target, the first D
               principal components of all of them side by side over the rows that have all:
               axis j means the same in every modality
=============  ==============================================================================

Without ``:D`` the width is the smallest of the modalities'. To add a projection, add an entry to
:data:`PROJECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classify.fusion.strategies import Block
from embeddings_store.errors import FoldError, UsageError, unknown_name

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

Project = Callable[[Block], NDArray[np.floating[Any]]]
# Widths that --choose inner chooses among where none is given; 0 is the smallest width that goes in
WIDTHS = (0, 64, 16)
PCA_SEED = 0  # large blocks are decomposed by random projections


@dataclass(frozen=True, slots=True)
class BlockProjection:
    """The fitted projection of one modality.

    Attributes:
        project: Standardised rows (n, D) to projected ones (n, width).
        scaler: Mean and deviation of the projected training rows.
    """

    project: Project
    scaler: StandardScaler


def _principal(
    blocks: Mapping[str, Block], complete: NDArray[np.bool_], width: int
) -> dict[str, Project]:
    from sklearn.decomposition import PCA

    del complete  # each modality has its own components, from all the rows that have it
    projections = {}
    for name, block in blocks.items():
        present = ~np.isnan(block[:, 0])
        projections[name] = PCA(width, random_state=PCA_SEED).fit(block[present]).transform
    return projections


def _common(
    blocks: Mapping[str, Block], complete: NDArray[np.bool_], width: int
) -> dict[str, Project]:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge

    whole = np.hstack([block[complete] for block in blocks.values()])
    target = PCA(width, random_state=PCA_SEED).fit_transform(whole)
    return {name: Ridge().fit(block[complete], target).predict for name, block in blocks.items()}


# Standardised blocks (nan where missing), the rows that have all of them, and a width, to one
# fitted map per block.
PROJECTIONS: Mapping[
    str, Callable[[Mapping[str, Block], NDArray[np.bool_], int], dict[str, Project]]
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


def fit_projection(
    name: str, width: int, blocks: Mapping[str, Block], present: Mapping[str, NDArray[np.bool_]]
) -> dict[str, BlockProjection]:
    """Fit one projection per modality on training rows.

    Args:
        name: A name of :data:`PROJECTIONS`.
        width: How many columns; 0 takes the smallest of the modalities'.
        blocks: Modality to standardised rows (n, D), ``nan`` where it is missing.
        present: Modality to which rows have it (n,).

    Raises:
        FoldError: There are too few rows or columns for that width.
    """
    from sklearn.preprocessing import StandardScaler

    complete = np.logical_and.reduce(list(present.values()))
    widths = {modality: block.shape[1] for modality, block in blocks.items()}
    if name == "pca":
        rows = min(int(mask.sum()) for mask in present.values())
        columns = min(widths.values())
    else:
        rows = int(complete.sum())
        columns = sum(widths.values())
    most = min(rows, columns)
    if width > most or not most:
        shown = ", ".join(f"{modality} {w}" for modality, w in widths.items())
        raise FoldError(
            f"a projection to {width or 'any number of'} columns ({name}) needs as many columns "
            f"and training rows, and there are {rows} rows of the widths {shown}; project to "
            f"{most} or fewer"
        )
    width = width or min(most, *widths.values())
    fitted = {}
    for modality, project in PROJECTIONS[name](blocks, complete, width).items():
        projected = as_columns(project(blocks[modality][present[modality]]))
        fitted[modality] = BlockProjection(project, StandardScaler().fit(projected))
    return fitted


def as_columns(rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return projected rows as (n, width): a regression onto one column drops it."""
    return rows.reshape(len(rows), -1)
