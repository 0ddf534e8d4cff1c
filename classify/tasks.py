"""One cell of one fold as a job for any process: what it depends on, its file, and how it is computed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path

import numpy
import scipy
import sklearn
import xgboost

from classify import late_fusion
from classify.cellfile import key_of, read_outcome, write_outcome
from classify.cells import EARLY, LATE, OOF, OVER_SCORES, SYSTEM, UNIMODAL, Cell, Outcome, ask_again, compute
from classify.degradation import Drop, drops_of, without
from classify.expressions import (
    CONCATENATION,
    FIT_OPTION,
    Call,
    Expression,
    View,
    learns_from_scores,
    leaves,
    walk,
    words_of,
)
from classify.late_fusion import HEAD, PROBE
from classify.metadata import Chosen, load_with_metadata
from classify.models import BASELINES, CLASSIFIERS, COMPETITORS, Settings, resolve
from classify.oof import cross_fit, crosses
from classify.prepare import Prepared
from classify.purposes import VALID
from classify.rules import RULE
from classify.tune import SPLITS, Search, search
from embeddings_store.arrays import EncoderRef, FoldData
from embeddings_store.errors import StoreMismatchError
from embeddings_store.folds import FoldPlan
from embeddings_store.inner import InnerSet
from embeddings_store.labels import LabelSet
from embeddings_store.manifest import Manifest

PROBE_COST_S = 4.0  # like ClassifierSpec.cost_s: a fit and five inner ones
MEASURED_ROWS, MEASURED_COLUMNS, MEASURED_CLASSES = 4_400, 2_304, 4  # what the costs in the table were measured on
NO_REFITS = ("train", "valid", "train+valid")
TASK_S = 0.05  # loading and writing, at least
CACHED_FOLDS = 4  # views of one fold: all modalities, and each alone; jobs are ordered by fold


@dataclass(frozen=True, slots=True)
class Source:
    """Where a process finds the data of one job; equal sources are read once per process.

    Attributes:
        store: The store's folder.
        corpus: The corpus' name.
        plan: The fold plan as a file.
        plan_digest: Which plan that is.
        manifest_digest: Which manifest.
        labels: The label set that counts, as JSON.
        fold: Number of the fold.
        views: Modality, encoder and content digest of each view.
        shuffle_seed: Seed of permuted labels, or none.
        select_on: ``valid`` or ``test``, for the gate; it lets rows through and changes no number.
        valid_split: Seed by which validation rows are halved, or none.
        metadata: Which of the views are metadata, and of which columns.
        inner: Modality, inner encoders and content digests of their files, where training rows are answered out of fold.
        spaces: Whether the vectors of inner encoders are needed, not only their scores.
    """

    store: Path
    corpus: str
    plan: Path
    plan_digest: str
    manifest_digest: str
    labels: str
    fold: int
    views: tuple[tuple[str, EncoderRef, str], ...]
    shuffle_seed: int | None
    select_on: str
    valid_split: int | None
    metadata: tuple[Chosen, ...] = ()
    inner: tuple[tuple[str, InnerSet, tuple[str, ...]], ...] | None = None
    spaces: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One cell of one fold.

    Attributes:
        cell: What to compute.
        source: On which data.
        what: Everything that changes the numbers, plain JSON types.
        folder: Where cell files lie.
        fit_rows: A name of :data:`classify.cells.FIT_ROWS`.
        settings: Those of the classifier that differ from its defaults.
        seed: For the classifier.
        replica: Position among the seeds of the fine-tuning, see :class:`classify.prepare.Prepared`.
        probes: Modality to the file and key of its probe's outcome.
        origin: Commit and command, for the record.
        cost_s: Roughly how long it takes, in seconds; only the order and number of processes follow from it.
        scores_from: Modality to ``head`` or ``probe``.
        search: How its settings are chosen first, or none.
        drops: What test rows lose; nothing for a cell of the grid.
        drop_seed: Which of them lose it.
        whole: File and key of the same cell without losses, where there are drops.
    """

    cell: Cell
    source: Source
    what: Mapping[str, object]
    folder: Path
    fit_rows: str
    settings: Settings
    seed: int
    replica: int
    probes: Mapping[str, tuple[Path, str]]
    origin: Mapping[str, str]
    cost_s: float
    scores_from: Mapping[str, str]
    search: Search | None = None
    drops: tuple[Drop, ...] = ()
    drop_seed: int = 0
    whole: tuple[Path, str] | None = None

    @property
    def key(self) -> str:
        """Twelve hex digits over everything that changes the numbers."""
        return key_of(self.what)

    @property
    def path(self) -> Path:
        """The file of the finished cell."""
        return self.folder / f"{self.cell.classifier}.fold-{self.source.fold}.{self.key}.npz"


def make_task(prepared: Prepared, cell: Cell, fold: int, refs: Mapping[str, EncoderRef], origin: Mapping[str, str],
              seed: int, replica: int) -> Task:
    """Bind a cell to a fold, to the encoders (modality to reference) that stand for its modalities there, and to a seed."""
    config = prepared.config
    views = tuple((m, refs[m], prepared.entry(refs[m], fold).digest) for m in cell.modalities)
    spaces = crosses(cell, prepared.inner[replica], prepared.scores_from)
    fit_rows = (config.fit_rows if spaces or cell.family in (LATE, SYSTEM) or config.fit_rows not in OVER_SCORES else "train")
    inner = tuple((m, s, tuple(e.digest for part in range(1, s.parts + 1) for e in prepared.entries
                               if e.ref == s.ref and e.fold == s.fold(fold, part)))
                  for m, s in prepared.inner[replica].items() if m in cell.modalities) if fit_rows == OOF else None
    source = Source(config.store, prepared.corpus, config.out / "plan.parquet", prepared.plan.digest,
                    prepared.manifest_digest, json.dumps(prepared.labels.to_dict()), fold, views, config.shuffle_seed,
                    config.select_on, config.valid_split,
                    tuple(chosen for chosen in prepared.metadata if chosen.view in cell.modalities), inner, spaces)
    folder = config.out / "cells"
    written = cell.family == SYSTEM  # its expression holds its settings
    settings = {} if written else config.settings.get(cell.classifier, {})
    named = cell.classifier in CLASSIFIERS and not written
    scored = cell.family in (LATE, SYSTEM) or cell.classifier in (HEAD, PROBE)
    inputs = SYSTEM if written else "scores" if scored else "rows" if cell.classifier in BASELINES else "vectors"
    scores = {m: prepared.scores_from[m] for m in cell.modalities} if scored else {}
    what: dict[str, object] = {
        "input": inputs, "method": cell.method, "classifier": cell.classifier,
        "settings": resolve(cell.classifier, settings) if named else {}, "scores_from": scores,
        "probe": late_fusion.PROBE_SETTINGS if PROBE in scores.values() else {},
        "views": [[m, ref.folder, ref.seed, digest] for m, ref, digest in views], "corpus": prepared.corpus,
        "manifest": prepared.manifest_digest, "labels": prepared.labels.digest, "plan": prepared.plan.digest, "fold": fold,
        "fit_rows": fit_rows,
        "seed": seed if named and CLASSIFIERS[cell.classifier].draws else 0, "shuffle_seed": config.shuffle_seed,
        "versions": versions()}
    if config.valid_split is not None and cell.family in (LATE, SYSTEM):
        what["valid_split"] = config.valid_split
    tuned = None
    if config.tune and cell.classifier in COMPETITORS and cell.family in (UNIMODAL, EARLY, LATE):
        tuned = Search(cell.classifier, settings, config.tune, config.tune_minutes, prepared.tune_on, seed)
        what["tune"] = {**tuned.what, "valid_split": config.valid_split if tuned.on == VALID else None}
    if inner:
        what["inner"] = [[m, s.ref.folder, *digests] for m, s, digests in inner]
    tree = cell.tree(settings, prepared.scores_from, fit_rows)
    if written or cell.classifier == RULE:
        what |= _of_rules(tree, seed)
    probes = {}
    # a probe of all training rows is none of those that an inner encoder left out
    there = {c.modalities[0] for c in prepared.cells if c.classifier == PROBE and c.family == UNIMODAL and not spaces}
    for modality in (m for m in cell.modalities if scored and cell.family != UNIMODAL and m in there
                     and Call(PROBE, (View(m),)) in walk(tree)):
        probe = make_task(prepared, Cell("unimodal", "", (modality,), PROBE), fold, refs, origin, seed, replica)
        probes[modality] = (probe.path, probe.key)
    return Task(cell, source, what, folder, fit_rows, settings, seed, replica, probes, origin,
                _cost_s(prepared, cell, tree, fold, refs) * (1 + config.tune * SPLITS if tuned else 1),
                prepared.scores_from, tuned)


def _of_rules(tree: Expression, seed: int) -> dict[str, object]:
    """Return what the numbers of a rule or a system depend on beside what other cells' do."""
    words = ["xgboost" if word == "stack-xgboost" else word for word in words_of(tree)]
    used = [word for word in words if word in CLASSIFIERS]
    settings = {f"{word}.{name}": value for word in used for name, value in resolve(word, {}).items()}
    return {"expression": str(tree), "settings": settings,
            "seed": seed if any(CLASSIFIERS[word].draws for word in used) else 0}


def drop_task(task: Task, rates: Sequence[float], seed: int) -> Task:
    """Return the task that asks a cell again as its test rows lose modalities."""
    drops = drops_of(task.cell, rates)
    return replace(task, what={**task.what, "drops": [str(drop) for drop in drops], "drop_seed": seed}, drops=drops,
                   drop_seed=seed, whole=(task.path, task.key))


def versions() -> dict[str, str]:
    """Versions of the libraries that compute."""
    return {library.__name__: library.__version__ for library in (numpy, scipy, sklearn, xgboost)}


def run_task(task: Task) -> str:
    """Compute one cell, write its file, and return its key; runs in a worker process."""
    started = time.perf_counter()
    data = _fold(task.source)
    probes = {modality: read_outcome(path, key) for modality, (path, key) in task.probes.items()}
    if task.whole:
        _ask_again(task, data, probes, *task.whole)
        return task.key
    fit = partial(cross_fit, partial(compute, task.cell, fit_rows=task.fit_rows, seed=task.seed, scores_from=task.scores_from))
    log = task.path.with_suffix(".trials.json")
    tuned = search(task.search, fit, data, log) if task.search else None
    outcome = fit(data, settings=tuned.settings if tuned else task.settings, probes=probes)
    facts = {**outcome.facts, **({"tuned": tuned.facts} if tuned else {}), **task.origin,
             "date": datetime.now(UTC).isoformat(timespec="seconds"),
             "fit_s": round(time.perf_counter() - started, 3)}
    write_outcome(task.path, task.what, replace(outcome, facts=facts))
    log.unlink(missing_ok=True)
    return task.key


def _ask_again(task: Task, data: FoldData, probes: Mapping[str, Outcome], path: Path, key: str) -> None:
    """Answer test rows that lost modalities, with the settings that the cell itself was given or found."""
    tuned = read_outcome(path, key).facts.get("tuned")
    settings = tuned["settings"] if isinstance(tuned, dict) else task.settings

    def ask(data: FoldData) -> Outcome:
        others = {str(drop): without(data.test, task.cell.modalities, drop, task.drop_seed) for drop in task.drops}
        return ask_again(task.cell, data, others, fit_rows=task.fit_rows, settings=settings, seed=task.seed,
                         scores_from=task.scores_from, probes=probes)

    write_outcome(task.path, task.what, cross_fit(ask, data))


def _cost_s(prepared: Prepared, cell: Cell, tree: Expression, fold: int, refs: Mapping[str, EncoderRef]) -> float:
    """Add up what each classifier and probe of an expression takes, as often as it is fitted for scores out of fold."""
    classes = len(prepared.labels.classes)
    rows = next(f.counts["train"] for f in prepared.folds if f.number == fold)

    def cost(node: Expression, fits: int) -> float:
        if isinstance(node, View):
            return 0.0
        refits = learns_from_scores(node) and node.option(FIT_OPTION) not in NO_REFITS
        again = fits * (late_fusion.PROBE_SPLITS + 1) if refits else fits
        below = sum(cost(argument, again) for argument in node.arguments)
        if (node.word not in CLASSIFIERS and node.word != PROBE) or node.word in BASELINES:
            return below
        if node.word == PROBE and cell.classifier != PROBE:  # its own cell has scored the rows
            return below + TASK_S
        inputs = leaves(node.arguments[0])
        widths = [prepared.entry(refs[n.name], fold).dim if isinstance(n, View) else classes for n in inputs]
        columns = max(100, sum(widths) if CONCATENATION in words_of(node) or len(widths) == 1 else widths[0])
        measured = PROBE_COST_S if node.word == PROBE else CLASSIFIERS[node.word].cost_s
        return below + fits * measured * rows / MEASURED_ROWS * columns / MEASURED_COLUMNS * classes / MEASURED_CLASSES

    return TASK_S + cost(tree, 1)


@lru_cache(maxsize=CACHED_FOLDS)
def _fold(source: Source) -> FoldData:
    views = {modality: ref for modality, ref, _ in source.views}
    manifest = _manifest(source.store / source.corpus, source.manifest_digest, source.labels)
    return load_with_metadata(source.store, manifest, views, _plan(source.plan, source.plan_digest), source.fold, source.metadata,
                              shuffle_seed=source.shuffle_seed, select_on=source.select_on, valid_split=source.valid_split,
                              inner=None if source.inner is None else {m: s for m, s, _ in source.inner}, spaces=source.spaces)


@lru_cache(maxsize=1)
def _manifest(folder: Path, digest: str, labels: str) -> Manifest:
    manifest = Manifest.load(folder)
    if manifest.digest != digest:
        raise StoreMismatchError(f"{folder}: the corpus was replaced while it was read (digest {manifest.digest}, not {digest}); "
                                 "run the same command again")
    return replace(manifest, labels=LabelSet.from_dict(json.loads(labels)))


@lru_cache(maxsize=1)
def _plan(path: Path, digest: str) -> FoldPlan:
    plan = FoldPlan.load(path)
    if plan.digest != digest:
        raise RuntimeError(f"{path} was replaced during the run (digest {plan.digest}, not {digest}), though its folder is "
                           "locked")
    return plan
