"""A system that was fitted once, apart from the rows that it was fitted on: vectors in, scores out.

The evaluator keeps what it fits together with a fold's rows. This is what is left when the rows
are gone: the expression, and one fitted model or rule for each of its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classify.fusion.rules import RULES, FittedRule, Inputs
from classify.models.class_scores import MARGIN, PROBABILITY, ClassScores
from classify.models.classifiers import CLASSIFIERS, baselines
from classify.names import CALIBRATED, HEAD, OOF, PROBE
from classify.systems.evaluator import (
    Evaluator,
    FitRows,
    FittedModel,
    any_present,
    as_logarithms,
    no_answer,
    rule_inputs,
    score_kind,
)
from classify.systems.expression import FIT_OPTION, Call, Expression, View, leaves, views_of, walk
from classify.systems.feature_tree import PartOutput
from embeddings_store.errors import UsageError

Vectors = Mapping[str, NDArray[np.float32]]
Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class FittedSystem:
    """An expression with everything that was fitted for it.

    Attributes:
        node: The expression; it answers with class scores.
        n_classes: Size of the label set, C.
        models: Classifiers and probes by their part of the expression.
        rules: Late rules likewise.
        calibration: What turns the margins of the whole into probabilities, learnt from margins
            that were out of fold; none where it answers with probabilities itself.
    """

    node: Call
    n_classes: int
    models: Mapping[Call, FittedModel]
    rules: Mapping[Call, FittedRule]
    calibration: FittedRule | None = None

    @classmethod
    def fit(cls, node: Expression, evaluator: Evaluator, rows: FitRows) -> FittedSystem:
        """Fit every part of an expression.

        Args:
            node: The expression, complete.
            evaluator: Holds the rows.
            rows: What to fit on.

        Raises:
            UsageError: A part cannot answer new rows: a head, whose scores come with the vectors,
                or chance.
            FoldError: The rows are too few to learn from.
        """
        models: dict[Call, FittedModel] = {}
        rules: dict[Call, FittedRule] = {}
        for part in parts_to_fit(node):
            if part.word in RULES:
                rules[part] = evaluator.rule(part, rows)
            else:
                models[part] = evaluator.model(part, rows)
        if not isinstance(node, Call):
            raise UsageError(f"{node} is vectors and no system: it answers nothing")
        calibration = None
        if score_kind(node) == MARGIN:
            calibration = evaluator.rule(calibrated(node), rows)
        return cls(node, evaluator.n_classes, models, rules, calibration)

    @property
    def views(self) -> tuple[str, ...]:
        """The views that go in."""
        return views_of(self.node)

    def answer(self, vectors: Vectors, present: Masks) -> ClassScores:
        """Return the class scores (n, C) of rows.

        Args:
            vectors: View to (n, D) float32; ``nan`` where it is missing.
            present: View to which rows have it (n,). A row that has none of the views is answered
                with every class alike; :meth:`answerable` says which rows these are.
        """
        output = self._output(self.node, vectors, present)
        return ClassScores(output.values, score_kind(self.node))

    def probabilities(self, scores: ClassScores) -> NDArray[np.float64]:
        """Return the class probabilities (n, C) of what :meth:`answer` returned.

        Calibrated margins are for saying how sure the system is. Its label stays the class with
        the largest margin, which once in a while is not the one with the largest probability.

        Raises:
            ValueError: The system answers with margins and was not calibrated.
        """
        if scores.kind == PROBABILITY:
            return scores.values
        if scores.kind == MARGIN:
            if self.calibration is None:
                raise ValueError(f"{self.node} answers with margins that were not calibrated")
            everywhere = np.ones((1, len(scores)), dtype=bool)
            return np.exp(self.calibration(Inputs(scores.values[None], everywhere)))
        return np.exp(scores.values)

    def answerable(self, present: Masks) -> NDArray[np.bool_]:
        """Return which rows (n,) have one of the views."""
        return np.asarray(np.logical_or.reduce([present[view] for view in self.views]))

    def _output(self, node: Expression, vectors: Vectors, present: Masks) -> PartOutput:
        if isinstance(node, View):
            return PartOutput(vectors[node.name], present[node.name])
        inputs = node.arguments if node.word in RULES else leaves(node.arguments[0])
        outputs = {}
        for part in inputs:
            outputs[part] = as_logarithms(part, self._output(part, vectors, present))
        here = any_present(outputs.values())
        values: NDArray[Any] = np.full((len(here), self.n_classes), no_answer(node, self.n_classes))
        chosen = np.flatnonzero(here)
        if not len(chosen):
            return PartOutput(values, here)
        if node.word in RULES:
            of_each = [outputs[part] for part in node.arguments]
            values[here] = self.rules[node](rule_inputs(of_each, chosen))
        else:
            leaf = {part: output.at(chosen) for part, output in outputs.items()}
            values[here] = self.models[node].values(leaf)
        return PartOutput(values, here)


def calibrated(node: Call) -> Call:
    """Return the rule that calibrates a system's margins out of fold."""
    return Call(CALIBRATED, (node,), ((FIT_OPTION, OOF),))


def parts_to_fit(node: Expression) -> tuple[Call, ...]:
    """Return the classifiers, probes and rules of an expression, each once, in its order.

    Raises:
        UsageError: A part cannot answer new rows.
    """
    found: dict[Call, None] = {}
    for part in walk(node):
        if not isinstance(part, Call):
            continue
        if part.word == HEAD or part.word in baselines():
            what = "is chance" if part.word in baselines() else "is scored by its own encoder"
            raise UsageError(f"{part} {what}, so there is nothing to fit and export")
        if part.word == PROBE or part.word in CLASSIFIERS or part.word in RULES:
            found[part] = None
    return tuple(found)
