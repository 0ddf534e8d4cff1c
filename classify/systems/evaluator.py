"""Evaluate an expression on one fold: what every part is fitted on, and what it says of which rows.

A part is fitted on :class:`FitRows`: *fit* rows, from which classifiers, scalers and projections
learn, and *held* rows (the validation rows), from which only those parts learn that take class
scores. What such a part learns from is named:

* ``oof``: fit rows, each scored by a system that was fitted again without its group
  (:data:`SPLITS` splits);
* ``valid``: held rows, scored by the system that was fitted on the fit rows;
* ``train``: fit rows as their own system scores them, which is over-confident; a probe scores them
  out of fold;
* ``train+valid``: both of the above.

``auto`` is ``oof`` where nothing that goes in has seen the labels of training rows: no fine-tuned
vectors, and no head, unless inner encoders scored these rows out of fold. Else it is ``valid``. No
held row is answered with what was learnt from its own label: where a part learns from them, they
are answered out of fold over their groups, so that choosing on them stays fair. Fit rows are
answered as they are, for the training figures, except by probes. Test rows are only ever answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classify.fusion.rules import LOG_ZERO, RULES, FittedRule, Inputs, TrainingScores
from classify.models.class_scores import LOG_PROBABILITY, MARGIN, PROBABILITY, ClassScores
from classify.models.classifiers import CLASSIFIERS, FittedClassifier, baselines, fit_classifier
from classify.models.probe import PROBE_SPLITS, Probe, fit_probe, head_scores, inner_groups
from classify.names import HEAD, PROBE
from classify.systems.expression import (
    AUTO,
    FIT_OPTION,
    Call,
    Expression,
    View,
    fit_mode_of,
    learns_from_scores,
    leaves,
    view_of_head,
    walk,
)
from classify.systems.feature_tree import FeatureTree, PartOutput, rows_of
from embeddings_store.errors import FoldError
from embeddings_store.vectors.fold_data import RoleData

SPLITS = PROBE_SPLITS
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
Source = Callable[[Expression], PartOutput]
_Key = tuple[Expression, bytes, bytes]
# an SVM keeps its training rows, 0.04 GB at 4,400 x 2304 and 0.18 GB at 13 layers of 768; those of
# inner splits are used once or twice
KEPT_MODELS, KEPT_BYTES = 12, 2**30


@dataclass(frozen=True, slots=True)
class FitRows:
    """What a part is fitted on, as positions among all rows of the evaluator.

    Attributes:
        fit: For everything.
        held: For what learns from class scores; in a second stage, which is fitted on both, part of
            ``fit``.
    """

    fit: Index
    held: Index

    @property
    def first(self) -> FitRows:
        """The rows of the first stage, whose parts have not seen the held rows."""
        return FitRows(np.setdiff1d(self.fit, self.held), self.held)


class Evaluator:
    """One fold's rows and everything that was fitted on some of them.

    Each part is fitted once on the same rows.

    Args:
        rows: All rows, those of every role below each other.
        n_classes: Size of the label set.
        default_fit_mode: What parts that learn from class scores are fitted on where they do not
            say, see above.
        encoders_fitted: Whether an encoder was fitted on training rows, whose vectors then carry
            their labels; rules ``auto``.
        out_of_fold_logits: Modality to logits (N, C) of encoders that have not been fitted on the
            row, where inner folds were trained.
        seed: For whatever is random.
        baseline_seed: For baselines, whose draws must differ from fold to fold.
    """

    def __init__(
        self,
        rows: RoleData,
        n_classes: int,
        *,
        default_fit_mode: str = AUTO,
        encoders_fitted: bool = False,
        out_of_fold_logits: Mapping[str, NDArray[np.floating[Any]]] | None = None,
        seed: int = 0,
        baseline_seed: int = 0,
    ) -> None:
        self.rows = rows
        self.n_classes = n_classes
        self.default_fit_mode = default_fit_mode
        self.encoders_fitted = encoders_fitted
        self.out_of_fold_logits = out_of_fold_logits or {}
        self.seed = seed
        self.baseline_seed = baseline_seed
        self.groups = inner_groups(rows)
        self._known: dict[tuple[Expression, bytes], PartOutput] = {}
        self._rules: dict[_Key, FittedRule] = {}
        self._models: dict[_Key, FittedModel] = {}
        self._about: dict[_Key, str] = {}

    def reuse(self, node: Expression, rows: FitRows, output: PartOutput) -> None:
        """Take over what a part says of all rows from where it was computed before.

        Args:
            node: The part.
            rows: What it was fitted on.
            output: Its answers to all rows, fit rows out of fold.
        """
        self._known[node, rows.fit.tobytes()] = output

    def fit_row_output(self, node: Expression, rows: FitRows) -> PartOutput:
        """Return what a part says of the fit rows themselves; a probe says it out of fold."""
        if isinstance(node, Call) and node.word == PROBE:
            return self.out_of_fold_output(node, rows)
        out_of_fold = (
            isinstance(node, Call)
            and learns_from_scores(node)
            and self.fit_mode(node, rows) == "oof"
        )
        source = self.out_of_fold_output if out_of_fold else self.fit_row_output
        return self._apply(node, rows, rows.fit, lambda child: source(child, rows))

    def out_of_fold_output(self, node: Expression, rows: FitRows) -> PartOutput:
        """Return what parts that were fitted without a fit row's group say of that row."""
        if (node, rows.fit.tobytes()) in self._known:
            return self._known[node, rows.fit.tobytes()].at(rows.fit)
        if isinstance(node, View):
            return self._view(node, rows, rows.fit)
        if node.word == HEAD and view_of_head(node) in self.out_of_fold_logits:
            output = self.output(node, rows, rows.fit)
            logits = self.out_of_fold_logits[view_of_head(node)][rows.fit][output.present]
            values = output.values.copy()
            values[output.present] = head_scores(logits)
            return PartOutput(values, output.present)
        if _learns_nothing(node):
            return self._apply(
                node, rows, rows.fit, lambda child: self.out_of_fold_output(child, rows)
            )
        return self._around(node, rows.fit, lambda part: FitRows(part, rows.held))

    def held_out_output(self, node: Expression, rows: FitRows) -> PartOutput:
        """Return what parts that have not learnt from a held row's group say of that row."""
        if isinstance(node, View) or not self.learns_from_held(node, rows):
            return self.output(node, rows, rows.held)
        if _learns_nothing(node):
            return self._apply(
                node, rows, rows.held, lambda child: self.held_out_output(child, rows)
            )
        return self._around(node, rows.held, lambda part: FitRows(rows.fit, part))

    def output(self, node: Expression, rows: FitRows, at: Index) -> PartOutput:
        """Return what a part says of rows that it was not fitted on.

        Args:
            node: The part.
            rows: What it is fitted on.
            at: Positions of the rows to answer (n,).
        """
        return self._apply(node, rows, at, lambda child: self.output(child, rows, at))

    def class_scores(self, node: Expression, output: PartOutput) -> ClassScores:
        """Return the answers of a whole system."""
        return ClassScores(output.values, score_kind(node))

    def fit_mode(self, node: Call, rows: FitRows) -> str:
        """Return what a part that learns from class scores is fitted on.

        Raises:
            FoldError: Nothing that it may be fitted on is there.
        """
        mode = fit_mode_of(
            node, self.default_fit_mode, self.encoders_fitted, self.out_of_fold_logits
        )
        if mode == "valid" and not len(rows.held):
            raise FoldError(
                f"{node.word} learns from the scores of validation rows, because encoders have "
                "seen the labels of training rows, and there are no validation rows; choose "
                "--folds and --valid so that there are, or write the system down with "
                "fit_rows=oof, whose scores are over-confident through the vectors"
            )
        return mode

    def rule(self, node: Call, rows: FitRows) -> FittedRule:
        """Return a fitted rule."""
        key = self._key(node, rows)
        if key not in self._rules:
            learnt = learns_from_scores(node)
            at, training = (
                self._training_scores(node, rows, node.arguments) if learnt else (rows.fit[:0], {})
            )
            nothing = PartOutput(np.zeros((0, self.n_classes)), np.zeros(0, dtype=bool))
            output = [training.get(child, nothing) for child in node.arguments]
            some = np.flatnonzero(any_present(output))
            y = self.rows.y[at][some]
            counts = np.bincount(self.rows.y[rows.fit], minlength=self.n_classes) + 1.0
            self._rules[key] = RULES[node.word].fit(
                TrainingScores(rule_inputs(output, some), y, counts / counts.sum(), self.seed)
            )
        return self._rules[key]

    def model(self, node: Call, rows: FitRows) -> FittedModel:
        """Return a fitted classifier or probe."""
        return self._model(node, rows)

    def learns_from_held(self, node: Expression, rows: FitRows) -> bool:
        """Say whether any part learns from held rows."""
        return any(
            isinstance(n, Call)
            and learns_from_scores(n)
            and self.fit_mode(n, rows) in {"valid", "train+valid"}
            for n in walk(node)
        )

    def weights(self, node: Expression, rows: FitRows) -> tuple[float, ...]:
        """Return what each input of a rule counts, or nothing where it knows no such thing."""
        if isinstance(node, Call) and node.word in RULES:
            return self.rule(node, rows).weights
        return ()

    def probe_choices(self, node: Expression, rows: FitRows) -> dict[str, list[str]]:
        """Return how strong the probes in an expression are and what chose it, of those fitted."""
        found: dict[str, list[str]] = {}
        for part in walk(node):
            fitted = self._models.get(self._key(part, rows)) if isinstance(part, Call) else None
            if fitted is not None and isinstance(fitted.model, Probe):
                found[str(part)] = [f"{fitted.model.c:g}", fitted.model.chosen_on]
        return found

    def approximations(self, node: Expression, rows: FitRows) -> list[str]:
        """Return which classifiers in an expression were fitted by what approximation."""
        keys = [(part, self._key(part, rows)) for part in walk(node) if isinstance(part, Call)]
        found = [f"{part.word}: {self._about[key]}" for part, key in keys if key in self._about]
        return list(dict.fromkeys(found))

    def present(self, node: Expression) -> Mask:
        """Return which of all rows a part can answer (n,): those that have one of its views."""
        if isinstance(node, View):
            return self.rows.present[node.name]
        return np.asarray(
            np.logical_or.reduce([self.present(argument) for argument in node.arguments])
        )

    def _apply(self, node: Expression, rows: FitRows, at: Index, source: Source) -> PartOutput:
        if isinstance(node, View):
            return self._view(node, rows, at)
        if (node, rows.fit.tobytes()) in self._known:
            return self._known[node, rows.fit.tobytes()].at(at)
        here = self.present(node)[at]
        values = np.full((len(at), self.n_classes), no_answer(node, self.n_classes))
        chosen = np.flatnonzero(here)
        if not len(chosen):
            return PartOutput(values, here)
        if node.word == HEAD:
            values[here] = head_scores(self.rows.scores[view_of_head(node)][at[here]])
        elif node.word in RULES:
            output = [as_logarithms(child, source(child)) for child in node.arguments]
            values[here] = self.rule(node, rows)(rule_inputs(output, chosen))
        else:
            leaf = {
                part: as_logarithms(part, source(part)).at(chosen)
                for part in leaves(node.arguments[0])
            }
            values[here] = self._model(node, rows).values(leaf)
        return PartOutput(values, here)

    def _view(self, view: View, rows: FitRows, at: Index) -> PartOutput:
        """Return a view's vectors.

        One that is made of raw columns would be fitted on ``rows.fit`` here.
        """
        vectors, present = self.rows.vectors[view.name], self.rows.present[view.name]
        return PartOutput(rows_of(vectors, at), rows_of(present, at))

    def _model(self, node: Call, rows: FitRows) -> FittedModel:
        key = self._key(node, rows)
        model = self._models.pop(key, None) or self._fit_model(node, rows)
        self._models[key] = model  # the last used stands last
        size = sum(kept.size for kept in self._models.values())
        while len(self._models) > 1 and (len(self._models) > KEPT_MODELS or size > KEPT_BYTES):
            size -= self._models.pop(next(iter(self._models))).size
        return model

    def _fit_model(self, node: Call, rows: FitRows) -> FittedModel:
        tree = node.arguments[0]
        if learns_from_scores(node):
            at, leaf = self._training_scores(node, rows, leaves(tree))
        else:
            at, leaf = rows.fit, {}
            for view in leaves(tree):
                if isinstance(view, View):
                    leaf[view] = self._view(view, rows, at)
        some = np.flatnonzero(any_present(leaf.values()))
        leaf = {child: output.at(some) for child, output in leaf.items()}
        y = self.rows.y[at][some]
        if node.word in baselines():
            model = fit_classifier(
                node.word, np.zeros((len(y), 1)), y, self.n_classes, seed=self.baseline_seed
            )
            return FittedModel(_no_features, model, 0)
        if node.word == PROBE and isinstance(tree, View):  # it standardises by itself
            probe = self._fit_probe(node, leaf[tree].values, y, self.groups[at][some])
            return FittedModel(vectors_of(tree), probe, 0)
        features = FeatureTree(tree, leaf)
        X = features(leaf)
        if node.word == PROBE:
            return FittedModel(features, self._fit_probe(node, X, y, self.groups[at][some]), 0)
        del leaf  # X is a copy of what is in it
        settings = {name: float(value) for name, value in node.options if name != FIT_OPTION}
        model = fit_classifier(
            node.word,
            X,
            y,
            self.n_classes,
            settings=settings,
            seed=self.seed,
            blocks=features.blocks,
        )
        if model.about:
            self._about[self._key(node, rows)] = model.about
        return FittedModel(features, model, X.nbytes)

    def _fit_probe(
        self, node: Call, X: NDArray[np.floating[Any]], y: Index, groups: NDArray[np.str_]
    ) -> Probe:
        c = node.option("c")
        return fit_probe(X, y, self.n_classes, groups, None if c is None else float(c))

    def _training_scores(
        self, node: Call, rows: FitRows, parts: Sequence[Expression]
    ) -> tuple[Index, dict[Expression, PartOutput]]:
        """Return the rows that a part learns from class scores on, and its inputs' output there."""
        mode = self.fit_mode(node, rows)
        pieces: list[tuple[Index, dict[Expression, PartOutput]]] = []
        if mode != "valid":
            source = self.out_of_fold_output if mode == "oof" else self.fit_row_output
            of_fit = {part: as_logarithms(part, source(part, rows)) for part in parts}
            pieces.append((rows.fit, of_fit))
        held_apart = not np.isin(rows.held, rows.fit).any()
        if mode == "valid" or (mode == "train+valid" and held_apart):
            of_held = {
                part: as_logarithms(part, self.held_out_output(part, rows.first)) for part in parts
            }
            pieces.append((rows.held, of_held))
        joined = {}
        for part in parts:
            outputs = [output[part] for _, output in pieces]
            joined[part] = PartOutput(
                np.concatenate([output.values for output in outputs]),
                np.concatenate([output.present for output in outputs]),
            )
        return np.concatenate([at for at, _ in pieces]), joined

    def _around(self, node: Call, index: Index, rows_of: Callable[[Index], FitRows]) -> PartOutput:
        """Answer each row by parts that were fitted without its group."""
        from sklearn.model_selection import GroupKFold

        present = self.present(node)[index]
        here = index[present]
        answers = np.empty((len(here), self.n_classes))
        count = len(np.unique(self.groups[here]))
        if count < 2:
            raise FoldError(
                f"{node} answers rows by parts that have not seen their group, and all {len(here)} "
                f"rows are of {'one group' if count else 'no group'}; use another fold plan, or "
                "fill the manifest's column 'group'"
            )
        for part, rest in GroupKFold(min(SPLITS, count)).split(here, groups=self.groups[here]):
            answers[rest] = self.output(node, rows_of(here[part]), here[rest]).values
        values = np.full((len(index), self.n_classes), no_answer(node, self.n_classes))
        values[present] = answers
        return PartOutput(values, present)

    def _key(self, node: Expression, rows: FitRows) -> _Key:
        # what does not learn from held rows is the same model whatever they are
        held = rows.held.tobytes() if self.learns_from_held(node, rows) else b""
        return node, rows.fit.tobytes(), held


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A classifier or probe that was fitted, with what makes its rows.

    Attributes:
        features: What the leaves of its input say to the rows that it sees (n, D).
        model: What was fitted.
        size: Bytes that it may keep, if it keeps its training rows.
    """

    features: Callable[[Mapping[Expression, PartOutput]], NDArray[Any]]
    model: FittedClassifier | Probe
    size: int = 0

    def values(self, leaf: Mapping[Expression, PartOutput]) -> NDArray[np.float64]:
        """Return one value per class (n, C) of rows that have an input.

        Args:
            leaf: What each leaf of the input says of them.
        """
        X = self.features(leaf)
        if isinstance(self.model, Probe):
            return self.model.scores(X)
        return self.model.predict(X).values


def vectors_of(view: View) -> Callable[[Mapping[Expression, PartOutput]], NDArray[Any]]:
    """Return what hands a view's vectors (n, D) on: a probe standardises by itself."""
    return lambda leaf: leaf[view].values


def _no_features(leaf: Mapping[Expression, PartOutput]) -> NDArray[np.float64]:
    """Return one column of zeros (n, 1): a baseline looks at labels only."""
    some_part = next(iter(leaf.values()))
    return np.zeros((len(some_part.present), 1))


def as_logarithms(node: Expression, output: PartOutput) -> PartOutput:
    """Return what a part says as other parts take it: probabilities as their logarithms."""
    if score_kind(node) != PROBABILITY:
        return output
    with np.errstate(divide="ignore"):
        return PartOutput(np.maximum(np.log(output.values), LOG_ZERO), output.present)


def score_kind(node: Expression) -> str:
    """Return which kind of class score a part answers with."""
    if isinstance(node, Call) and node.word in CLASSIFIERS:
        return CLASSIFIERS[node.word].kind
    return LOG_PROBABILITY


def no_answer(node: Expression, n_classes: int) -> float:
    """Return what stands where a part has no answer: every class alike."""
    kind = score_kind(node)
    if kind == PROBABILITY:
        return 1 / n_classes
    if kind == MARGIN:
        return 0.0
    return -float(np.log(n_classes))


def _learns_nothing(node: Call) -> bool:
    return node.word in RULES and not RULES[node.word].learns


def rule_inputs(output: Sequence[PartOutput], rows: Index) -> Inputs:
    """Return what the inputs of a rule say of some rows (k,)."""
    return Inputs(
        np.stack([part.values[rows] for part in output]),
        np.stack([part.present[rows] for part in output]),
    )


def any_present(output: Iterable[PartOutput]) -> Mask:
    """Return which rows (n,) one of some parts has an answer for."""
    return np.asarray(np.logical_or.reduce([part.present for part in output]))
