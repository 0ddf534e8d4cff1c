"""A tree of early fusion as one fitted transformer.

Views and class scores in, the rows that a classifier sees out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classify.fusion.early import EarlyFusion
from classify.fusion.scores import LateFusion
from classify.fusion.strategies import STRATEGIES
from classify.names import CONCATENATION
from classify.systems.expression import PROJECT, SCORES, Call, Expression, kind


@dataclass(frozen=True, slots=True)
class PartOutput:
    """What a part of an expression says of n rows.

    Attributes:
        values: Vectors (n, D), ``nan`` where there is none; or one value per class (n, C), all
            alike where there is none.
        present: Which rows it has an answer for (n,).
    """

    values: NDArray[Any]
    present: NDArray[np.bool_]

    def at(self, rows: NDArray[Any]) -> PartOutput:
        """Return some of the rows, by position (k,) or mask (n,)."""
        return PartOutput(rows_of(self.values, rows), rows_of(self.present, rows))


def rows_of(values: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
    """Return some rows of an array (n, ...), without a copy where they follow one another.

    Args:
        values: The array.
        rows: Positions (k,), or a mask (n,).

    >>> array = np.arange(5)
    >>> rows_of(array, np.array([1, 2, 3])).base is array
    True
    >>> rows_of(array, np.array([1, 3])).tolist()
    [1, 3]
    """
    if rows.dtype == bool:
        return values if rows.all() else values[rows]
    follows = len(rows) > 0 and (np.diff(rows) == 1).all()
    return values[rows[0] : rows[-1] + 1] if follows else values[rows]


@dataclass(frozen=True, slots=True)
class _Blocks:
    vectors: Mapping[str, NDArray[np.float32]]
    present: Mapping[str, NDArray[np.bool_]]


class FeatureTree:
    """A fitted tree; class scores come in as log probabilities.

    A fusion of class scores alone is what the paper calls late: probabilities are fused and then
    standardised (:class:`classify.fusion.scores.LateFusion`). Anything else is early: each block is
    standardised and then fused.

    Args:
        node: A view, scores, or an early strategy over such things.
        leaf: What each leaf says of the rows to fit on.
    """

    def __init__(self, node: Expression, leaf: Mapping[Expression, PartOutput]) -> None:
        call = node if isinstance(node, Call) and _fuses(node) else Call(CONCATENATION, (node,))
        self.inner = {
            child: FeatureTree(child, leaf) if _fuses(child) else None for child in call.arguments
        }
        self.scores = all(kind(child) == SCORES for child in call.arguments)
        outputs = self._inner(leaf)
        if self.scores:
            self.late = LateFusion(call.word).fit([part.values for part in outputs.values()])
        else:
            self.early = EarlyFusion(
                call.word, [str(child) for child in outputs], str(call.option(PROJECT) or "")
            )
            self.early.fit(_blocks(outputs))

    @classmethod
    def of_parts(
        cls,
        inner: Mapping[Expression, FeatureTree | None],
        fused: EarlyFusion | LateFusion,
    ) -> FeatureTree:
        """Return a tree from what was fitted before.

        Args:
            inner: What it fuses, in order: nothing for a leaf, a tree for what is fused itself.
            fused: The strategy with its statistics; late where all of ``inner`` are class scores.
        """
        tree = cls.__new__(cls)
        tree.inner = dict(inner)
        tree.scores = isinstance(fused, LateFusion)
        if isinstance(fused, LateFusion):
            tree.late = fused
        else:
            tree.early = fused
        return tree

    def __call__(self, leaf: Mapping[Expression, PartOutput]) -> NDArray[Any]:
        """Return the fused rows (n, D')."""
        outputs = self._inner(leaf)
        return (
            self.late.transform([p.values for p in outputs.values()])
            if self.scores
            else self.early.transform(_blocks(outputs)).X
        )

    @property
    def blocks(self) -> tuple[slice, ...]:
        """Which of the fused columns come from where, in order; class scores are one block."""
        return () if self.scores else tuple(self.early.columns.values())

    def _inner(self, leaf: Mapping[Expression, PartOutput]) -> dict[Expression, PartOutput]:
        outputs = {}
        for child, tree in self.inner.items():
            if tree is None:
                outputs[child] = leaf[child]
            else:
                present = _any(leaf[part].present for part in tree.leaves)
                outputs[child] = PartOutput(tree(leaf), present)
        return outputs

    @property
    def leaves(self) -> tuple[Expression, ...]:
        """What the tree is made of."""
        found: list[Expression] = []
        for child, tree in self.inner.items():
            found += [child] if tree is None else tree.leaves
        return tuple(found)


def _fuses(node: Expression) -> bool:
    return isinstance(node, Call) and node.word in STRATEGIES


def _blocks(outputs: Mapping[Expression, PartOutput]) -> _Blocks:
    vectors = {
        str(node): np.exp(part.values).astype(np.float32) if kind(node) == SCORES else part.values
        for node, part in outputs.items()
    }
    return _Blocks(vectors, {str(node): part.present for node, part in outputs.items()})


def _any(masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.asarray(np.logical_or.reduce(list(masks)))
