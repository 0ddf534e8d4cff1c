"""What one cell of the grid computes from one fold.

With the strategies of :mod:`classify.fusion.strategies` and the rules of
:mod:`classify.fusion.rules` the families of cells are

============  =================================  ==============  ========================
family        input                              method          classifier
============  =================================  ==============  ========================
``baseline``  nothing                            none            majority, ...
``unimodal``  one modality's vectors             none            svm, ..., head or probe
``layer``     one layer's vectors of a modality  none            svm, ...
``early``     several modalities' vectors        early strategy  svm, ...
``late``      several modalities' class scores   late strategy   svm, ...
``late``      several modalities' class scores   rule            rule
``system``    whatever its expression names      its name        its outermost word
============  =================================  ==============  ========================

Every cell is an expression (:mod:`classify.systems.expression`) and is computed by the one
evaluator (:mod:`classify.systems.evaluator`); ``head`` and ``probe`` answer with the largest class
score themselves. A cell is fitted in one or two *stages*: on ``train``, and with
``fit_rows="train+valid"`` again on both. Validation rows are always answered by the first stage, so
what is chosen on them was not fitted on them; training and test rows by the last. A probe's
training rows are out of fold. With ``fit_rows="valid"`` or ``"oof"`` classifiers over class scores
learn from those of validation rows, or of training rows out of fold; whatever learns from vectors
learns from training rows, with ``"oof"`` in several spaces (:mod:`classify.grid.cross_fitting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from classify.grid.outcome import CellOutcome, Stage
from classify.models.class_scores import LOG_PROBABILITY, ClassScores
from classify.models.probe import spread
from classify.models.specification import Settings
from classify.names import FIT_ROWS, HEAD, PROBE
from classify.systems.cell import Cell, default_fit_mode
from classify.systems.evaluator import Evaluator, FitRows
from classify.systems.expression import (
    Call,
    Expression,
    input_of,
    learns_from_scores,
    views_of,
    walk,
)
from classify.systems.feature_tree import PartOutput
from embeddings_store.errors import StoreMismatchError, unknown_name
from embeddings_store.vectors.arrays import SCORED_ROLES
from embeddings_store.vectors.fold_data import FoldData, RoleData


def compute(
    cell: Cell,
    data: FoldData,
    *,
    fit_rows: str = "train",
    settings: Settings | None = None,
    seed: int = 0,
    scores_from: Mapping[str, str] | None = None,
    probes: Mapping[str, CellOutcome] | None = None,
) -> CellOutcome:
    """Fit one cell on one fold and answer its training, validation and test rows.

    Args:
        cell: What to compute.
        data: The fold; its views are the cell's modalities.
        fit_rows: A name of :data:`FIT_ROWS`.
        settings: Those of the classifier that differ from the defaults.
        seed: For whatever is random in the classifier.
        scores_from: Modality to ``head`` or ``probe``; where it is silent, a head if there is one.
        probes: What a probe is over, written out, to the outcome of its cell on the same fold, so
            that it need not be fitted again.

    Raises:
        UsageError: Widths do not fit the strategy.
        FoldError: Training rows that nothing can be learnt from.
    """
    fold = _fold_of(cell, data, fit_rows, settings or {}, seed, scores_from or {}, probes or {})
    evaluator, node = fold.evaluator, fold.node
    answers = {}
    with threadpool_limits(limits=1):  # the same sums in the same order for any number of jobs
        for name, fitted in fold.stages.items():
            answers[name] = _stage(evaluator, node, fitted, fold.at)
    last = fold.last_stage
    lacking = ~np.logical_and.reduce([data.test.present[m] for m in cell.modalities])
    facts = {
        "n_fit": len(last.fit),
        "n_fit_seen": int(evaluator.rows.fitted[last.fit].sum()),
        "n_missing": int(lacking.sum()),
        "n_test_selected": int(data.test.selected.sum()),
        "n_valid_selected": int(data.valid.selected.sum()),
        "unverified": [m for m in cell.modalities if m in data.unverified],
        "learnt_on": _learnt_on(evaluator, node, last),
        "weights": _weights(evaluator, node, last),
        "probes": _probe_choices(evaluator, node, last, probes or {}),
        "approximations": evaluator.approximations(node, last),
    }
    return CellOutcome(
        {role: data.role(role).ids for role in SCORED_ROLES},
        {role: data.role(role).y for role in SCORED_ROLES},
        answers,
        facts,
    )


def ask_again(
    cell: Cell,
    data: FoldData,
    others: Mapping[str, RoleData],
    *,
    fit_rows: str = "train",
    settings: Settings | None = None,
    seed: int = 0,
    scores_from: Mapping[str, str] | None = None,
    probes: Mapping[str, CellOutcome] | None = None,
) -> CellOutcome:
    """Fit one cell as :func:`compute` does, and answer other versions of the test rows instead.

    Args:
        cell: What to compute.
        data: The fold.
        others: Name to the test rows with fewer modalities.
        fit_rows: As for :func:`compute`, like all that follow.
        settings: Likewise.
        seed: Likewise.
        scores_from: Likewise.
        probes: Likewise.

    Returns:
        A stage per version, with test rows alone.
    """
    fold = _fold_of(
        cell, data, fit_rows, settings or {}, seed, scores_from or {}, probes or {}, others
    )
    nobody = ClassScores(np.zeros((0, len(data.labels.classes))), LOG_PROBABILITY)
    answers: dict[str, Stage] = {}
    with threadpool_limits(limits=1):
        for name in others:
            output = fold.evaluator.output(fold.node, fold.last_stage, fold.at[name])
            of_test = fold.evaluator.class_scores(fold.node, output)
            answers[name] = {"train": nobody, "valid": nobody, "test": of_test}
    ids = {"train": data.train.ids[:0], "valid": data.valid.ids[:0], "test": data.test.ids}
    y = {"train": data.train.y[:0], "valid": data.valid.y[:0], "test": data.test.y}
    return CellOutcome(ids, y, answers, {})


@dataclass(frozen=True, slots=True)
class _Fold:
    """One cell over all rows of a fold, ready to be fitted.

    Attributes:
        evaluator: Holds the rows of all roles, one below the other.
        node: What it computes.
        at: Role, or name of another version of the test rows, to positions among these rows.
        stages: Stage to the rows that it is fitted on, in the order of fitting.
    """

    evaluator: Evaluator
    node: Expression
    at: Mapping[str, NDArray[np.int64]]
    stages: dict[str, FitRows]

    @property
    def last_stage(self) -> FitRows:
        """The rows of the stage that answers test rows."""
        return next(reversed(self.stages.values()))


def _fold_of(
    cell: Cell,
    data: FoldData,
    fit_rows: str,
    settings: Settings,
    seed: int,
    scores_from: Mapping[str, str],
    probes: Mapping[str, CellOutcome],
    others: Mapping[str, RoleData] | None = None,
) -> _Fold:
    if fit_rows not in FIT_ROWS:
        unknown_name("choice of rows to fit on", fit_rows, list(FIT_ROWS))
    heads = {m: HEAD if m in data.train.scores else PROBE for m in cell.modalities}
    node = cell.tree(settings, {**heads, **scores_from}, fit_rows)
    names = ["train", fit_rows] if fit_rows == "train+valid" and len(data.valid) else ["train"]
    parts = {role: data.role(role) for role in SCORED_ROLES}
    parts.update(others or {})
    at, begin = {}, 0
    for name, part in parts.items():
        at[name] = np.arange(begin, begin + len(part))
        begin += len(part)
    out_of_fold_logits = {}
    for modality, inner in data.train.inner_scores.items():
        # an encoder that was trained on the training rows has seen neither valid nor test rows:
        # their scores are as they are
        unseen = [part.scores[modality] for name, part in parts.items() if name != "train"]
        out_of_fold_logits[modality] = np.concatenate([inner, *unseen])
    evaluator = Evaluator(
        RoleData.join(list(parts.values())),
        len(data.labels.classes),
        default_fit_mode=default_fit_mode(fit_rows),
        encoders_fitted=bool(data.train.fitted.any()),
        out_of_fold_logits=out_of_fold_logits,
        seed=seed,
        baseline_seed=seed + data.fold,
    )
    held = at["valid"][~data.valid.apart]
    stages = {}
    for name in names:
        fitted_on = [at[role] for role in FIT_ROWS[name]]
        stages[name] = FitRows(np.concatenate(fitted_on), held)
    other_versions = list((others or {}).values())
    for inside in dict.fromkeys(walk(node)):
        if not isinstance(inside, Call) or inside.word != PROBE or input_of(inside) not in probes:
            continue
        for name, fitted in stages.items():
            output = _of_probe(inside, probes[input_of(inside)], name, data, other_versions)
            evaluator.reuse(inside, fitted, output)
    return _Fold(evaluator, node, at, stages)


def _stage(
    evaluator: Evaluator, node: Expression, rows: FitRows, at: Mapping[str, NDArray[np.int64]]
) -> Stage:
    """Fit one stage and answer every role."""
    of_fit = evaluator.fit_row_output(node, rows)
    stage = {}
    for role, places in at.items():
        if np.isin(places, rows.fit).all():
            stage[role] = of_fit.at(np.isin(rows.fit, places))
    if "valid" not in stage:
        stage["valid"] = _of_valid(evaluator, node, rows, at["valid"])
    stage["test"] = evaluator.output(node, rows, at["test"])
    return {role: evaluator.class_scores(node, stage[role]) for role in SCORED_ROLES}


def _of_valid(
    evaluator: Evaluator, node: Expression, rows: FitRows, valid: NDArray[np.int64]
) -> PartOutput:
    """Return what a system answers to validation rows, out of fold where it learns from them."""
    kept = np.setdiff1d(valid, rows.held)
    if not evaluator.learns_from_held(node, rows):  # then the halves are nothing to it
        return evaluator.output(node, rows, valid)
    of_held = evaluator.held_out_output(node, rows)
    if not len(kept):
        return of_held
    of_kept = evaluator.output(node, rows, kept)
    both = PartOutput(
        np.concatenate([of_held.values, of_kept.values]),
        np.concatenate([of_held.present, of_kept.present]),
    )
    # back into the order of the rows
    return both.at(np.argsort(np.concatenate([rows.held, kept])))


def _of_probe(
    probe: Call, outcome: CellOutcome, stage: str, data: FoldData, others: Sequence[RoleData]
) -> PartOutput:
    """Return what a finished probe answered to all rows; nothing where the modality was lost."""

    def present_in(rows: RoleData) -> NDArray[np.bool_]:
        return np.asarray(np.logical_or.reduce([rows.present[view] for view in views_of(probe)]))

    parts = []
    for role in SCORED_ROLES:
        rows = data.role(role)
        present = present_in(rows)
        if not np.array_equal(outcome.ids[role], rows.ids[present]):
            raise StoreMismatchError(
                f"fold {data.fold}: {probe} answered {len(outcome.ids[role])} other {role} rows "
                f"than the {int(present.sum())} that have its vectors; delete "
                "the folder 'cells' and run again"
            )
        parts.append(PartOutput(spread(outcome.stages[stage][role].values, present), present))
    of_test = parts[-1].values
    for rows in others:
        present = present_in(rows)
        parts.append(PartOutput(spread(of_test[present], present), present))
    return PartOutput(
        np.concatenate([p.values for p in parts]), np.concatenate([p.present for p in parts])
    )


def _probe_choices(
    evaluator: Evaluator,
    node: Expression,
    rows: FitRows,
    finished: Mapping[str, CellOutcome],
) -> dict[str, object]:
    """Return how strong each probe is and what chose it, also of those in finished cells."""
    found: dict[str, object] = dict(evaluator.probe_choices(node, rows))
    for outcome in finished.values():
        choices = outcome.facts.get("probes")
        found.update(choices if isinstance(choices, dict) else {})
    return found


def _learnt_on(evaluator: Evaluator, node: Expression, rows: FitRows) -> str:
    """Name the rows that parts learn class scores from; empty where none does."""
    modes = []
    for part in walk(node):
        if isinstance(part, Call) and learns_from_scores(part):
            modes.append(evaluator.fit_mode(part, rows))
    return ", ".join(dict.fromkeys(modes))


def _weights(evaluator: Evaluator, node: Expression, rows: FitRows) -> dict[str, float]:
    """Return what each input of the outermost rule counts, where it knows such a thing."""
    inputs = node.arguments if isinstance(node, Call) else ()
    weights = evaluator.weights(node, rows)  # none at all for what is no rule
    return {str(part): round(weight, 6) for part, weight in zip(inputs, weights, strict=False)}
