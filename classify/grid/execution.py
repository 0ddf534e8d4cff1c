"""The grid: every cell on every fold, in parallel, resumed where it stopped, and the choices that validation rows allow.

Work goes in three waves, because later ones need the earlier: candidate layers and baselines;
vectors and probes; late fusion over the probes' scores. Each finished task is a file
(:mod:`classify.grid.cache`), so a killed run goes on where it was, and a changed setting computes
what it changes and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from classify.evaluation.means import first_best
from classify.evaluation.metrics import accuracy
from classify.grid.bind import drop_task, make_task
from classify.grid.cache import read_outcome
from classify.grid.config import GridConfig
from classify.grid.fold_loading import LOADER
from classify.grid.missing_modalities import worth_dropping
from classify.grid.prepare import prepare
from classify.grid.prepared import PreparedGrid
from classify.grid.tasks import CellTask, run_task
from classify.grid.validation_rows import for_learning
from classify.grid.workers import available_cpus, run_all
from classify.names import BASELINE, LATE, LAYER, LAYER_JUDGE, SYSTEM
from classify.systems.cell import Cell
from embeddings_store.errors import StoreError
from embeddings_store.vectors.arrays import EncoderRef

WORTH_PROCESSES_S = 10.0  # starting worker processes takes 3 to 6 s, most of it imports
Notify = Callable[[str], None]
Views = Mapping[str, EncoderRef]
Place = tuple[int, int]  # position among the seeds of the fine-tuning, and number of the fold


@dataclass(frozen=True, slots=True)
class Survey:
    """What a run would do, for ``--dry-run``.

    Attributes:
        prepared: The checked configuration.
        finished: Tasks whose file is there.
        to_run: Tasks that would be computed.
        later: Tasks that depend on a choice of layers that is not made yet.
        cost_s: Roughly how long the tasks to run take one after the other, in seconds.
    """

    prepared: PreparedGrid
    finished: int
    to_run: int
    later: int
    cost_s: float


def survey(config: GridConfig) -> Survey:
    """Say what :func:`run_grid` would do, without writing anything."""
    prepared = prepare(config)
    first = [c for c in prepared.cells if c.family in (BASELINE, LAYER)]
    rest = [c for c in prepared.cells if c.family not in (BASELINE, LAYER)]
    tasks, later = _bind(prepared, first, _first_views(prepared), {}), 0
    if all(task.path.is_file() for task in tasks):
        tasks += _bind(prepared, rest, _choose_layers(prepared, tasks), {})
    elif _layered(prepared):
        later = len(rest) * _per_cell(prepared)
    else:
        tasks += _bind(prepared, rest, _first_views(prepared), {})
    tasks += _drop_tasks(prepared, tasks)
    different = {
        task.key: task for task in tasks
    }.values()  # what draws no random numbers is the same for every seed
    to_run = [task for task in different if not task.path.is_file()]
    return Survey(
        prepared,
        len(different) - len(to_run),
        len(to_run),
        later,
        sum(task.cost_s for task in to_run),
    )


def run_waves(prepared: PreparedGrid, origin: Mapping[str, str], notify: Notify) -> list[CellTask]:
    """Compute every cell on every fold, family by family, and return their tasks in the order of the cells."""
    families = ((BASELINE, LAYER), ("unimodal", "early"), (LATE, SYSTEM))
    total = len(prepared.cells) * _per_cell(prepared)
    console = Console(stderr=True)
    tasks: list[CellTask] = []
    views = _first_views(prepared)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as progress:
        bar = progress.add_task("cells x folds", total=total)
        for wave in families:
            bound = _bind(prepared, [c for c in prepared.cells if c.family in wave], views, origin)
            _run(
                bound,
                prepared.config.jobs or available_cpus(),
                notify,
                partial(progress.advance, bar),
            )
            tasks += bound
            if LAYER in wave:
                views = _choose_layers(prepared, bound)
        dropped = _drop_tasks(prepared, tasks)
        progress.update(bar, total=total + len(dropped))
        _run(
            dropped,
            prepared.config.jobs or available_cpus(),
            notify,
            partial(progress.advance, bar),
        )
    LOADER.forget()
    return tasks + dropped


def _drop_tasks(prepared: PreparedGrid, tasks: Sequence[CellTask]) -> list[CellTask]:
    config = prepared.config
    worth = worth_dropping(prepared.cells) if config.drop_rates else []
    return [
        drop_task(task, config.drop_rates, config.drop_seed) for task in tasks if task.cell in worth
    ]


def _run(
    tasks: Sequence[CellTask], jobs: int, notify: Notify, advance: Callable[[int], None]
) -> None:
    missing = {task.key: task for task in tasks if not _is_whole(task, notify)}
    advance(len(tasks) - len(missing))
    longest_first = sorted(missing.values(), key=lambda task: (task.source.fold, -task.cost_s))
    worthwhile = sum(task.cost_s for task in longest_first) > WORTH_PROCESSES_S
    processes = min(jobs, len(longest_first)) if worthwhile else 1
    if processes > 1:
        LOADER.forget()  # worker processes load for themselves
    for _ in run_all(run_task, longest_first, processes):
        advance(1)


def _is_whole(task: CellTask, notify: Notify) -> bool:
    if not task.path.is_file():
        return False
    try:
        read_outcome(task.path, task.key)
    except StoreError as error:
        notify(f"{error}; computing it again")
        return False
    return True


def _per_cell(prepared: PreparedGrid) -> int:
    """How often each cell is computed.

    Folds x seeds of the fine-tuning x seeds of the classifier.
    """
    return len(prepared.folds) * len(prepared.replicas) * len(prepared.config.seeds)


def _bind(
    prepared: PreparedGrid,
    cells: Sequence[Cell],
    views: Mapping[Place, Views],
    origin: Mapping[str, str],
) -> list[CellTask]:
    """Bind every cell to every fold and seed; a layer cell to its own candidate."""
    tasks = []
    for cell, fold, (replica, candidates), seed in product(
        cells, prepared.folds, enumerate(prepared.replicas), prepared.config.seeds
    ):
        refs = views[replica, fold.number]
        if cell.family == LAYER:
            refs = {m: candidates[m][cell.layer] for m in cell.modalities}
        tasks.append(make_task(prepared, cell, fold.number, refs, origin, seed, replica))
    return tasks


def _layered(prepared: PreparedGrid) -> bool:
    return any(len(refs) > 1 for refs in prepared.views.values())


def _first_views(prepared: PreparedGrid) -> dict[Place, Views]:
    """Before layers are chosen the first candidate stands for each modality.

    Baselines only take rows from it.
    """
    return {
        (replica, fold.number): {m: refs[0] for m, refs in views.items()}
        for replica, views in enumerate(prepared.replicas)
        for fold in prepared.folds
    }


def _choose_layers(prepared: PreparedGrid, tasks: Sequence[CellTask]) -> dict[Place, Views]:
    """Choose per fold and modality the layer whose SVM is best on the fold's validation rows.

    Ties go to the lowest.
    """
    found: dict[tuple[int, int, str], dict[int, float]] = {}
    for task in tasks:
        if task.cell.family != LAYER or task.cell.classifier != LAYER_JUDGE:
            continue
        outcome = read_outcome(task.path, task.key)
        apart = next(fold.apart for fold in prepared.folds if fold.number == task.source.fold)
        learn = for_learning(outcome.ids["valid"], apart)
        right = accuracy(outcome.y["valid"][learn], outcome.reported("valid").labels[learn])
        slot = (task.replica, task.source.fold, task.cell.modalities[0])
        found.setdefault(slot, {})[task.cell.layer] = right
    best = {slot: first_best(by_layer) for slot, by_layer in found.items()}
    return {
        (replica, fold.number): {
            m: refs[best[replica, fold.number, m] if len(refs) > 1 else 0]
            for m, refs in views.items()
        }
        for replica, views in enumerate(prepared.replicas)
        for fold in prepared.folds
    }
