"""What one cell says of one fold: labels, margins, scores, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classify.models.class_scores import ClassScores

Stage = dict[str, ClassScores]


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """What one cell says of one fold.

    Attributes:
        ids: Role to utterance ids (n,), the rows that the cell can answer: they have one of its
            modalities.
        y: Role to true class codes (n,).
        stages: Stage to role to predictions, in the order of fitting.
        facts: Counts and circumstances, plain JSON types.
    """

    ids: Mapping[str, NDArray[np.str_]]
    y: Mapping[str, NDArray[np.int64]]
    stages: Mapping[str, Stage]
    facts: Mapping[str, object]

    def reported(self, role: str) -> ClassScores:
        """Return the predictions that count.

        The first stage's for ``valid``, else the last stage's.
        """
        stages = list(self.stages.values())
        return (stages[0] if role == "valid" else stages[-1])[role]


def without_rows(outcome: CellOutcome, role: str) -> CellOutcome:
    """Return the same outcome without the rows of a role.

    Args:
        outcome: What a cell says.
        role: Whose rows go.
    """
    stages = {}
    for name, stage in outcome.stages.items():
        none = ClassScores(stage[role].values[:0], stage[role].kind)
        stages[name] = {**stage, role: none}
    return replace(
        outcome,
        ids={**outcome.ids, role: outcome.ids[role][:0]},
        y={**outcome.y, role: outcome.y[role][:0]},
        stages=stages,
    )


def with_answers_of(outcome: CellOutcome, other: CellOutcome, ids: frozenset[str]) -> CellOutcome:
    """Return an outcome in which another one answers some of the rows that choose.

    Args:
        outcome: What a cell says.
        other: What another cell says of the same fold.
        ids: The rows of the role ``valid`` that the other answers; those that it does not know are
            left out.
    """
    wanted = list(ids)
    kept = ~np.isin(outcome.ids["valid"], wanted)
    taken = np.isin(other.ids["valid"], wanted)

    def joined(mine: NDArray[Any], its: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([mine[kept], its[taken]])[order]

    order = np.argsort(
        np.concatenate([outcome.ids["valid"][kept], other.ids["valid"][taken]]), kind="stable"
    )
    of_other = other.reported("valid").values
    stages = {}
    for name, stage in outcome.stages.items():
        values = joined(stage["valid"].values, of_other)
        stages[name] = {**stage, "valid": ClassScores(values, stage["valid"].kind)}
    return replace(
        outcome,
        ids={**outcome.ids, "valid": joined(outcome.ids["valid"], other.ids["valid"])},
        y={**outcome.y, "valid": joined(outcome.y["valid"], other.y["valid"])},
        stages=stages,
    )
