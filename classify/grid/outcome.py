"""What one cell says of one fold: labels, margins, scores, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
