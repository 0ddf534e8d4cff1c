"""Binds a cell to a fold, to encoders and to a seed: a task with its specification and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from classify.fusion.projections import WIDTHS
from classify.fusion.rules import RULES
from classify.fusion.strategies import STRATEGIES
from classify.grid.cross_fitting import crosses
from classify.grid.inner_choice import WHOLE, Ladder
from classify.grid.missing_modalities import drops_of
from classify.grid.prepared import FoldFacts, PreparedGrid
from classify.grid.specification import CellSpec
from classify.grid.tasks import CellTask
from classify.grid.tuning import SPLITS, Search
from classify.models.classifiers import CLASSIFIERS, baselines, competitors, resolve
from classify.models.probe import PROBE_SETTINGS, PROBE_SPLITS
from classify.models.specification import Settings
from classify.names import (
    AS_ALLOWED,
    CONCATENATION,
    EARLY,
    HEAD,
    INNER,
    LATE,
    LAYER,
    OOF,
    OVER_SCORES,
    PROBE,
    RULE,
    SYSTEM,
    TRAIN,
    UNIMODAL,
    VALID,
)
from classify.systems.cell import Cell
from classify.systems.expression import (
    FIT_OPTION,
    Call,
    Expression,
    View,
    input_of,
    learns_from_scores,
    walk,
    words_of,
)
from embeddings_store.vectors.arrays import EncoderRef

PROBE_COST_S = 18.0  # like ClassifierSpec.cost_s: a fit and five inner ones, C chosen for each
TASK_S = 0.05  # loading and writing, at least
# what the costs in the table of classifiers were measured on
MEASURED_ROWS, MEASURED_COLUMNS, MEASURED_CLASSES = 4_400, 2_304, 4
NO_REFITS = ("train", "valid", "train+valid")
TUNED_FAMILIES = (UNIMODAL, EARLY, LATE)


@dataclass(frozen=True, slots=True)
class Repetition:
    """Which of its repetitions a cell is bound to.

    Attributes:
        fold: The fold's number.
        replica: Position among the seeds of the fine-tuning.
        seed: The seed of the classifier.
    """

    fold: int
    replica: int
    seed: int


def make_task(
    prepared: PreparedGrid,
    cell: Cell,
    at: Repetition,
    refs: Mapping[str, EncoderRef],
    origin: Mapping[str, str],
) -> CellTask:
    """Bind a cell to a fold and seed, and to the encoders that stand for its modalities there.

    Args:
        prepared: The checked run.
        cell: What to compute.
        at: Fold and seeds.
        refs: Modality to encoder.
        origin: Commit and command, for the record.
    """
    spec = specify(prepared, cell, at, refs, origin)
    given = _given_settings(prepared, cell)
    tree = cell.tree(given, prepared.scores_from, spec.fit_rows)
    fits = 1 + spec.search.trials * SPLITS if spec.search else 1
    if spec.source.inner_parts:
        fits += spec.source.inner_parts * (len(spec.ladder.candidates) if spec.ladder else 1)
    once_s = _cost_s(prepared, cell, tree, at.fold, refs)
    cost_s = TASK_S + fits * (once_s - TASK_S)
    return CellTask(cell, spec, given, at.seed, at.replica, cost_s)


def judged_by_other_layers(
    prepared: PreparedGrid,
    task: CellTask,
    at: Repetition,
    fold: FoldFacts,
    others: Mapping[int, EncoderRef],
) -> CellTask:
    """Return the task of a modality whose layer other inner folds than the answered one chose.

    Args:
        prepared: The checked run.
        task: The cell with the layer that all inner folds chose.
        at: Fold and seeds.
        fold: What the gate found there.
        others: Inner fold to the layer that the other inner folds chose, where it is another.
    """
    (modality,) = task.cell.modalities
    judged = []
    for part, ref in others.items():
        ids = frozenset(name for name, of in fold.part_of.items() if of == part)
        judged.append((specify(prepared, task.cell, at, {modality: ref}, task.spec.origin), ids))
    return replace(task, judged=tuple(judged))


def drop_task(task: CellTask, rates: Sequence[float], seed: int) -> CellTask:
    """Return the task that asks a cell again as its test rows lose modalities.

    Args:
        task: The cell as it is.
        rates: The chances that a modality is lost, each in (0, 1).
        seed: Which rows lose it.
    """
    drops = drops_of(task.cell, rates, task.source.modality_of)
    spec = replace(task.spec, drops=drops, drop_seed=seed, whole=task.spec.key)
    return replace(task, spec=spec, judged=())


def specify(
    prepared: PreparedGrid,
    cell: Cell,
    at: Repetition,
    refs: Mapping[str, EncoderRef],
    origin: Mapping[str, str],
) -> CellSpec:
    """Return what a cell of one fold is computed from; what cannot matter to it is neutral.

    This is the only place that knows which option matters to which cell. The cell is computed from
    the neutral value, too, so that a value that does matter cannot be hidden from the key.

    Args:
        prepared: The checked run.
        cell: What to compute.
        at: Fold and seeds.
        refs: Modality to encoder.
        origin: Commit and command, for the record.
    """
    config, inner = prepared.config, prepared.inner[at.replica]
    own_inner = {m: found for m, found in inner.items() if m in cell.modalities}
    crossed = crosses(cell, inner, prepared.scores_from)
    over_scores = cell.family in (LATE, SYSTEM) or cell.classifier == RULE
    fit_rows = _fit_rows(prepared, cell, at.fold, refs)
    if fit_rows in OVER_SCORES and not (crossed or over_scores):
        fit_rows = "train"
    given = _given_settings(prepared, cell)
    tree = cell.tree(given, prepared.scores_from, fit_rows)
    written_out = cell.family == SYSTEM or cell.classifier == RULE
    search = _search(prepared, cell, given, at.seed)
    looks_at_halves = over_scores or (search is not None and search.on == VALID)
    source = prepared.source.fold(
        at.fold,
        {m: refs[m] for m in cell.modalities},
        valid_split=config.valid_split if looks_at_halves else None,
        inner=own_inner if fit_rows == OOF else None,
        spaces=crossed,
    )
    answers_scores = over_scores or cell.classifier in (HEAD, PROBE)
    sources = {m: prepared.scores_from[m] for m in cell.modalities} if answers_scores else {}
    return CellSpec(
        # a layer's cell is that of the modality if the layer is chosen, and is not computed again
        family=UNIMODAL if cell.family == LAYER else cell.family,
        method=cell.method,
        classifier=cell.classifier,
        expression=str(tree) if written_out else "",
        settings=_settings(cell, given, tree),
        scores_from=sources,
        probe=PROBE_SETTINGS if PROBE in words_of(tree) else {},
        fit_rows=fit_rows,
        seed=at.seed if _draws(tree) else 0,
        search=search,
        ladder=_ladder(prepared, cell, given) if search is None else None,
        source=source,
        folder=config.out / "cells",
        origin=origin,
        joined=cell.joined,
        probes=_probes(prepared, cell, at, refs, tree) if over_scores and not crossed else {},
    )


def _fit_rows(prepared: PreparedGrid, cell: Cell, fold: int, refs: Mapping[str, EncoderRef]) -> str:
    """Return what a cell is fitted on: what was asked for, or as much as its encoders allow."""
    config = prepared.config
    if config.choose == INNER:
        return WHOLE
    if config.fit_rows != AS_ALLOWED:
        return config.fit_rows
    return WHOLE if prepared.fits_on_both(fold, [refs[m] for m in cell.modalities]) else TRAIN


def _given_settings(prepared: PreparedGrid, cell: Cell) -> Settings:
    """Return the settings of its classifier that the user gave; a system's are in its text."""
    return {} if cell.family == SYSTEM else prepared.config.settings.get(cell.classifier, {})


def _settings(cell: Cell, given: Settings, tree: Expression) -> dict[str, float]:
    """Return every setting in a cell: of its classifier, or of those in a rule or a system."""
    if cell.family != SYSTEM and cell.classifier in CLASSIFIERS:
        return resolve(cell.classifier, given)
    settings = {}
    for classifier in _classifiers_in(tree):
        for name, value in resolve(classifier, {}).items():
            settings[f"{classifier}.{name}"] = value
    return settings


def _draws(tree: Expression) -> bool:
    """Say whether anything in a cell draws random numbers."""
    return any(CLASSIFIERS[classifier].draws for classifier in _classifiers_in(tree))


def _classifiers_in(tree: Expression) -> list[str]:
    words = [RULES[word].classifier if word in RULES else word for word in words_of(tree)]
    return [word for word in words if word in CLASSIFIERS]


def _search(prepared: PreparedGrid, cell: Cell, given: Settings, seed: int) -> Search | None:
    """Return how the settings of a cell are chosen, none where they are not."""
    config = prepared.config
    if not config.tune or cell.classifier not in competitors() or cell.family not in TUNED_FAMILIES:
        return None
    return Search(cell.classifier, given, config.tune, config.tune_minutes, prepared.tune_on, seed)


def _ladder(prepared: PreparedGrid, cell: Cell, given: Settings) -> Ladder | None:
    """Return which settings of a cell inner folds choose among, none where there is no choice."""
    families = (*TUNED_FAMILIES, LAYER)
    tuned = cell.classifier in competitors() and cell.family in families
    if prepared.config.choose != INNER or not tuned:
        return None
    projected = cell.family == EARLY and cell.method.endswith("]") and ":" not in cell.method
    ladder = Ladder(cell.classifier, given, WIDTHS if projected else ())
    return ladder if ladder.steps else None


def _probes(
    prepared: PreparedGrid,
    cell: Cell,
    at: Repetition,
    refs: Mapping[str, EncoderRef],
    tree: Expression,
) -> dict[str, str]:
    """Return the keys of those cells of the run that are probes inside this one, by their input.

    A cell that is cross-fitted has none: a probe of all training rows is not that of the rows that
    an inner encoder left out.
    """
    inside = set(walk(tree))
    keys = {}
    for other in prepared.cells:
        if other.family != UNIMODAL or other.classifier != PROBE:
            continue
        probe = other.tree({}, {})
        if (
            isinstance(probe, Call)
            and probe in inside
            and set(other.modalities) <= set(cell.modalities)
        ):
            keys[input_of(probe)] = specify(prepared, other, at, refs, {}).key
    return keys


def _cost_s(
    prepared: PreparedGrid, cell: Cell, tree: Expression, fold: int, refs: Mapping[str, EncoderRef]
) -> float:
    """Add up what each classifier and probe takes, as often as it is fitted."""
    classes = len(prepared.labels.classes)
    rows = next(f.counts["train"] for f in prepared.folds if f.number == fold)
    per_column = rows / MEASURED_ROWS / MEASURED_COLUMNS * classes / MEASURED_CLASSES

    def columns_of(node: Expression) -> int:
        if isinstance(node, View):
            return prepared.entry(refs[node.name], fold).dim
        if node.word not in STRATEGIES:
            return classes
        widths = [columns_of(argument) for argument in node.arguments]
        return sum(widths) if node.word == CONCATENATION else widths[0]

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
        measured = PROBE_COST_S if node.word == PROBE else CLASSIFIERS[node.word].cost_s
        columns = max(100, columns_of(node.arguments[0]))
        return below + fits * measured * per_column * columns

    return TASK_S + cost(tree, 1)
