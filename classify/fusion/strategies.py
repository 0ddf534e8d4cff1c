"""The table of fusion strategies: what each does to vectors (early) and to class scores (late).

To add one, write an entry in :data:`STRATEGIES`. The grid, the command's options and the language
of systems take it from there. An entry with one half only is offered for that half only.

=================  ==========================  ================================================
strategy           vectors ``z_m`` (n, D_m)    log probabilities ``log p_m`` (n, C)
=================  ==========================  ================================================
``concatenation``  ``[z_1, z_2, ...]``         ``[p_1, p_2, ...]``
``sum``            ``z_1 + z_2 + ...``         ``p_1 + p_2 + ...``
``product``        ``z_1 * z_2 * ...``         ``log softmax(log p_1 + log p_2 + ...)``, the
                                               logarithm of the product of probabilities, scaled
=================  ==========================  ================================================

:mod:`classify.fusion.early` and :mod:`classify.fusion.scores` say what stands around these
formulas: standardising, and what counts where a row lacks a modality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from classify.models.probe import LogProbabilities
from classify.names import CONCATENATION
from embeddings_store.errors import UsageError, unknown_name

Block = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class VectorFusion:
    """What a strategy does to vectors.

    Attributes:
        combine: Blocks, each (n, D) and finite, to the fused matrix (n, D); they come one at a
            time, so that a strategy over many views need not hold them all. None puts blocks of any
            widths side by side.
        neutral: What stands in a block where the modality is missing.
        indicators: Whether a column says that a modality is missing; only without equal widths.
        standardise: Whether each block is standardised first; projected blocks always are.
    """

    combine: Callable[[Iterable[Block]], Block] | None
    neutral: float = 0.0
    indicators: bool = False
    standardise: bool = True

    @property
    def equal_widths(self) -> bool:
        """Whether all blocks must be equally wide, and the fused matrix is as wide."""
        return self.combine is not None


@dataclass(frozen=True, slots=True)
class ScoreFusion:
    """What a strategy does to class scores; the fused rows are standardised afterwards.

    Attributes:
        combine: Log probabilities, each (n, C), to the fused matrix (n, D').
    """

    combine: Callable[[Sequence[LogProbabilities]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class FusionStrategy:
    """One entry of the table.

    Attributes:
        name: The name on the command line, in expressions and in results.
        vectors: What it does to vectors, or none where it fuses class scores only.
        scores: What it does to class scores, or none where it fuses vectors only.
    """

    name: str
    vectors: VectorFusion | None
    scores: ScoreFusion | None

    @property
    def takes_both(self) -> bool:
        """Whether vectors and class scores may stand beside each other in it."""
        both_halves = self.vectors is not None and self.scores is not None
        return both_halves and not self.equal_widths

    @property
    def equal_widths(self) -> bool:
        """Whether vectors must be equally wide."""
        return self.vectors is not None and self.vectors.equal_widths


def _add(blocks: Iterable[Block]) -> Block:
    return reduce(lambda total, block: np.add(total, block, out=total), blocks)


def _multiply(blocks: Iterable[Block]) -> Block:
    return reduce(lambda total, block: np.multiply(total, block, out=total), blocks)


def _probabilities(scores: Sequence[LogProbabilities]) -> NDArray[np.float64]:
    return np.asarray(np.exp(np.hstack(scores)))


def _added_probabilities(scores: Sequence[LogProbabilities]) -> NDArray[np.float64]:
    return np.asarray(np.sum(np.exp(scores), axis=0))


def _log_product(scores: Sequence[LogProbabilities]) -> NDArray[np.float64]:
    # a sum of logarithms cannot underflow as a product of probabilities would
    from scipy.special import log_softmax

    return np.asarray(log_softmax(np.sum(scores, axis=0), axis=1))


STRATEGIES: Mapping[str, FusionStrategy] = {
    strategy.name: strategy
    for strategy in (
        FusionStrategy(
            CONCATENATION, VectorFusion(None, indicators=True), ScoreFusion(_probabilities)
        ),
        FusionStrategy("sum", VectorFusion(_add), ScoreFusion(_added_probabilities)),
        FusionStrategy(
            "product",
            VectorFusion(_multiply, neutral=1.0),
            ScoreFusion(_log_product),
        ),
    )
}


def vector_strategies() -> tuple[str, ...]:
    """Return the names of the strategies that fuse vectors, in the table's order.

    >>> vector_strategies()
    ('concatenation', 'sum', 'product')
    """
    return tuple(name for name, strategy in STRATEGIES.items() if strategy.vectors is not None)


def score_strategies() -> tuple[str, ...]:
    """Return the names of the strategies that fuse class scores, in the table's order.

    >>> score_strategies()
    ('concatenation', 'sum', 'product')
    """
    return tuple(name for name, strategy in STRATEGIES.items() if strategy.scores is not None)


def vector_fusion(name: str) -> VectorFusion:
    """Return what a strategy does to vectors.

    Raises:
        UnknownNameError: No such strategy.
        UsageError: It fuses class scores only.
    """
    if name not in STRATEGIES:
        unknown_name("early fusion", name, list(vector_strategies()))
    vectors = STRATEGIES[name].vectors
    if vectors is None:
        raise UsageError(
            f"{name} fuses class scores only, so it is no early fusion; ask for it with --late "
            f"{name}, or fuse the vectors by one of {', '.join(vector_strategies())}"
        )
    return vectors


def score_fusion(name: str, known: Sequence[str] | None = None) -> ScoreFusion:
    """Return what a strategy does to class scores.

    Args:
        name: Its name.
        known: What else may be named in its place, for the message; none for strategies alone.

    Raises:
        UnknownNameError: No such strategy.
        UsageError: It fuses vectors only.
    """
    if name not in STRATEGIES:
        unknown_name("late fusion", name, list(known or score_strategies()))
    scores = STRATEGIES[name].scores
    if scores is None:
        raise UsageError(
            f"{name} fuses vectors only, so it is no late fusion; ask for it with --early {name}, "
            f"or fuse the class scores by one of {', '.join(known or score_strategies())}"
        )
    return scores
