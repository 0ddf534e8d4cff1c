"""Binds a cell to a fold, to encoders and to a seed: a task with its key and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy
import scipy
import sklearn
import xgboost

from classify.fusion.rules import RULES
from classify.grid.cross_fitting import crosses
from classify.grid.missing_modalities import drops_of
from classify.grid.prepared import PreparedGrid
from classify.grid.tasks import CellTask
from classify.grid.tuning import SPLITS, Search
from classify.models.classifiers import CLASSIFIERS, baselines, competitors, resolve
from classify.models.probe import PROBE_SETTINGS, PROBE_SPLITS
from classify.names import (
    CONCATENATION,
    EARLY,
    HEAD,
    LATE,
    OOF,
    OVER_SCORES,
    PROBE,
    RULE,
    SYSTEM,
    UNIMODAL,
    VALID,
)
from classify.systems.cell import Cell
from classify.systems.expression import (
    FIT_OPTION,
    Call,
    Expression,
    View,
    learns_from_scores,
    leaves,
    walk,
    words_of,
)
from embeddings_store.vectors.arrays import EncoderRef

PROBE_COST_S = 4.0  # like ClassifierSpec.cost_s: a fit and five inner ones


MEASURED_ROWS, MEASURED_COLUMNS, MEASURED_CLASSES = (
    4_400,
    2_304,
    4,
)  # what the costs in the table were measured on


NO_REFITS = ("train", "valid", "train+valid")


TASK_S = 0.05  # loading and writing, at least


def make_task(
    prepared: PreparedGrid,
    cell: Cell,
    fold: int,
    refs: Mapping[str, EncoderRef],
    origin: Mapping[str, str],
    seed: int,
    replica: int,
) -> CellTask:
    """Bind a cell to a fold, to the encoders (modality to reference) that stand for its modalities there, and to a seed."""
    config = prepared.config
    spaces = crosses(cell, prepared.inner[replica], prepared.scores_from)
    fit_rows = (
        config.fit_rows
        if spaces or cell.family in (LATE, SYSTEM) or config.fit_rows not in OVER_SCORES
        else "train"
    )
    inner = None
    if fit_rows == OOF:
        inner = {m: found for m, found in prepared.inner[replica].items() if m in cell.modalities}
    source = prepared.source.fold(
        fold,
        {m: refs[m] for m in cell.modalities},
        valid_split=config.valid_split,
        inner=inner,
        spaces=spaces,
    )
    folder = config.out / "cells"
    written = cell.family == SYSTEM  # its expression holds its settings
    settings = {} if written else config.settings.get(cell.classifier, {})
    named = cell.classifier in CLASSIFIERS and not written
    scored = cell.family in (LATE, SYSTEM) or cell.classifier in (HEAD, PROBE)
    inputs = (
        SYSTEM
        if written
        else "scores"
        if scored
        else "rows"
        if cell.classifier in baselines()
        else "vectors"
    )
    scores = {m: prepared.scores_from[m] for m in cell.modalities} if scored else {}
    what: dict[str, object] = {
        "input": inputs,
        "method": cell.method,
        "classifier": cell.classifier,
        "settings": resolve(cell.classifier, settings) if named else {},
        "scores_from": scores,
        "probe": PROBE_SETTINGS if PROBE in scores.values() else {},
        "views": [[m, ref.folder, ref.seed, digest] for m, ref, digest in source.views],
        "corpus": prepared.corpus,
        "manifest": prepared.manifest_digest,
        "labels": prepared.labels.digest,
        "plan": prepared.plan.digest,
        "fold": fold,
        "fit_rows": fit_rows,
        "seed": seed if named and CLASSIFIERS[cell.classifier].draws else 0,
        "shuffle_seed": config.shuffle_seed,
        "versions": versions(),
    }
    if config.valid_split is not None and cell.family in (LATE, SYSTEM):
        what["valid_split"] = config.valid_split
    tuned = None
    if config.tune and cell.classifier in competitors() and cell.family in (UNIMODAL, EARLY, LATE):
        tuned = Search(
            cell.classifier, settings, config.tune, config.tune_minutes, prepared.tune_on, seed
        )
        what["tune"] = {
            **tuned.what,
            "valid_split": config.valid_split if tuned.on == VALID else None,
        }
    if source.inner:
        what["inner"] = [[m, s.ref.folder, *digests] for m, s, digests in source.inner]
    tree = cell.tree(settings, prepared.scores_from, fit_rows)
    if written or cell.classifier == RULE:
        what |= _of_rules(tree, seed)
    probes = {}
    # a probe of all training rows is none of those that an inner encoder left out
    there = {
        c.modalities[0]
        for c in prepared.cells
        if c.classifier == PROBE and c.family == UNIMODAL and not spaces
    }
    for modality in (
        m
        for m in cell.modalities
        if scored
        and cell.family != UNIMODAL
        and m in there
        and Call(PROBE, (View(m),)) in walk(tree)
    ):
        probe = make_task(
            prepared, Cell("unimodal", "", (modality,), PROBE), fold, refs, origin, seed, replica
        )
        probes[modality] = (probe.path, probe.key)
    return CellTask(
        cell,
        source,
        what,
        folder,
        fit_rows,
        settings,
        seed,
        replica,
        probes,
        origin,
        _cost_s(prepared, cell, tree, fold, refs) * (1 + config.tune * SPLITS if tuned else 1),
        prepared.scores_from,
        tuned,
    )


def _of_rules(tree: Expression, seed: int) -> dict[str, object]:
    """Return what the numbers of a rule or a system depend on beside what other cells' do."""
    words = [RULES[word].classifier if word in RULES else word for word in words_of(tree)]
    used = [word for word in words if word in CLASSIFIERS]
    settings = {
        f"{word}.{name}": value for word in used for name, value in resolve(word, {}).items()
    }
    return {
        "expression": str(tree),
        "settings": settings,
        "seed": seed if any(CLASSIFIERS[word].draws for word in used) else 0,
    }


def drop_task(task: CellTask, rates: Sequence[float], seed: int) -> CellTask:
    """Return the task that asks a cell again as its test rows lose modalities."""
    drops = drops_of(task.cell, rates)
    return replace(
        task,
        what={**task.what, "drops": [str(drop) for drop in drops], "drop_seed": seed},
        drops=drops,
        drop_seed=seed,
        whole=(task.path, task.key),
    )


def versions() -> dict[str, str]:
    """Versions of the libraries that compute."""
    return {library.__name__: library.__version__ for library in (numpy, scipy, sklearn, xgboost)}


def _cost_s(
    prepared: PreparedGrid, cell: Cell, tree: Expression, fold: int, refs: Mapping[str, EncoderRef]
) -> float:
    """Add up what each classifier and probe of an expression takes, as often as it is fitted for scores out of fold."""
    classes = len(prepared.labels.classes)
    rows = next(f.counts["train"] for f in prepared.folds if f.number == fold)

    def cost(node: Expression, fits: int) -> float:
        if isinstance(node, View):
            return 0.0
        refits = learns_from_scores(node) and node.option(FIT_OPTION) not in NO_REFITS
        again = fits * (PROBE_SPLITS + 1) if refits else fits
        below = sum(cost(argument, again) for argument in node.arguments)
        if (node.word not in CLASSIFIERS and node.word != PROBE) or node.word in baselines():
            return below
        if node.word == PROBE and cell.classifier != PROBE:  # its own cell has scored the rows
            return below + TASK_S
        inputs = leaves(node.arguments[0])
        widths = [
            prepared.entry(refs[n.name], fold).dim if isinstance(n, View) else classes
            for n in inputs
        ]
        columns = max(
            100, sum(widths) if CONCATENATION in words_of(node) or len(widths) == 1 else widths[0]
        )
        measured = PROBE_COST_S if node.word == PROBE else CLASSIFIERS[node.word].cost_s
        return (
            below
            + fits
            * measured
            * rows
            / MEASURED_ROWS
            * columns
            / MEASURED_COLUMNS
            * classes
            / MEASURED_CLASSES
        )

    return TASK_S + cost(tree, 1)
