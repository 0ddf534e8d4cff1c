"""The grid: every cell on every fold, in parallel, resumed where it stopped.

Work goes in three waves, because later ones need the earlier: candidate layers and baselines;
vectors and probes; late fusion over the probes' scores. Each finished task is a file
(:mod:`classify.grid.finished_cells`), so a killed run goes on where it was, and a changed setting
computes what it changes and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from classify.grid.bind import Repetition, drop_task, judged_by_other_layers, make_task
from classify.grid.config import GridConfig
from classify.grid.finished_cells import cells_of_older_versions, read_outcome
from classify.grid.fold_loading import LOADER
from classify.grid.layer_choice import LayerChoice, Layers, Slot, choose_layers
from classify.grid.missing_modalities import worth_dropping
from classify.grid.prepare import prepare
from classify.grid.prepared import PreparedGrid
from classify.grid.tasks import CellTask, run_cell
from classify.grid.workers import Workers, available_cpus
from classify.models.distances import DISTANCES
from classify.names import (
    BASELINE,
    EARLY,
    INNER,
    LATE,
    LAYER,
    LAYER_JUDGE,
    RULE,
    SYSTEM,
    UNIMODAL,
)
from classify.systems.cell import Cell
from classify.systems.expression import judges_of
from embeddings_store.errors import StoreError
from embeddings_store.progress import ProgressBar, progress_bar

WAVES = ((BASELINE, LAYER), (UNIMODAL, EARLY), (LATE, SYSTEM))  # families, in the order of work
# Work that is worth the 3 to 6 s, most of them imports, that a worker process takes to start. What
# is done in this process hears Ctrl-C when a cell is finished, so a long cell goes to a worker.
WORTH_PROCESSES_S = 10.0
LONG_CELL_S = 2.0
Notify = Callable[[str], None]


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
    """Say what a run would do, without writing anything."""
    prepared = prepare(config)
    first = [c for c in prepared.cells if c.family in WAVES[0]]
    rest = [c for c in prepared.cells if c.family not in WAVES[0]]
    tasks, later = bind_cells(prepared, first, {}, {}), 0
    if all(task.path.is_file() for task in tasks):
        tasks += bind_cells(prepared, rest, choose_layers(prepared, tasks), {})
    elif any(len(refs) > 1 for refs in prepared.views.values()):
        later = len(rest) * _repetitions(prepared)
    else:
        tasks += bind_cells(prepared, rest, {}, {})
    tasks += drop_tasks(prepared, tasks)
    # what draws no random numbers is the same for every seed
    different = {task.key: task for task in tasks}
    to_run = [task for task in different.values() if not task.path.is_file()]
    return Survey(
        prepared,
        len(different) - len(to_run),
        len(to_run),
        later,
        sum(task.cost_s for task in to_run),
    )


def run_waves(prepared: PreparedGrid, origin: Mapping[str, str], notify: Notify) -> list[CellTask]:
    """Compute every cell on every fold, family by family.

    Args:
        prepared: The checked run.
        origin: Commit and command, for the record.
        notify: Gets one line at a time about what happens.

    Returns:
        The tasks in the order of the cells, and after them those that lose modalities.
    """
    older = cells_of_older_versions(prepared.config.out / "cells")
    if older:
        notify(f"{older} finished cells of an older version are computed again")
    total = len(prepared.cells) * _repetitions(prepared)
    jobs = prepared.config.jobs or available_cpus()
    tasks: list[CellTask] = []
    layers: Layers = {}
    with Workers() as workers, progress_bar("cells x folds", total) as bar:

        def run(bound: Sequence[CellTask]) -> None:
            _run(bound, jobs, workers, notify, bar)

        for families in WAVES:
            cells = [cell for cell in prepared.cells if _kind_of_work(cell) in families]
            bound = bind_cells(prepared, cells, layers, origin)
            run(bound)
            tasks += bound
            if LAYER in families:
                layers = choose_layers(prepared, bound)
        dropped = drop_tasks(prepared, tasks)
        bar.resize(total + len(dropped))
        run(dropped)
    LOADER.forget()
    DISTANCES.forget()
    return tasks + dropped


def _kind_of_work(cell: Cell) -> str:
    """Return the family whose wave a cell belongs to: rules come after the probes they are over."""
    return LATE if cell.classifier == RULE else cell.family


def bind_cells(
    prepared: PreparedGrid, cells: Sequence[Cell], layers: Layers, origin: Mapping[str, str]
) -> list[CellTask]:
    """Bind every cell to every fold and seed; a layer cell to its own candidate.

    Args:
        prepared: The checked run.
        cells: What to compute.
        layers: The layers that were chosen; of a modality that is not there the first candidate,
            as it is before the choice, and for baselines, which only take rows from it.
        origin: Commit and command, for the record.
    """
    tasks = []
    replicas = list(enumerate(prepared.replicas))
    for cell, fold, (replica, candidates), seed in product(
        cells, prepared.folds, replicas, prepared.config.seeds
    ):
        judges = layer_judges(prepared, cell)
        refs, choices = {}, {}
        for modality in cell.modalities:
            slot = Slot(replica, fold.number, modality, judges.get(modality, ""))
            choices[modality] = layers.get(slot, LayerChoice(0))
            place = max(cell.layer, choices[modality].place)
            refs[modality] = candidates[modality][place]
        at = Repetition(fold.number, replica, seed)
        task = make_task(prepared, cell, at, refs, origin)
        if cell.family == UNIMODAL and len(cell.modalities) == 1:
            (modality,) = cell.modalities
            of_layer = candidates[modality]
            others = {part: of_layer[i] for part, i in choices[modality].without.items()}
            task = judged_by_other_layers(prepared, task, at, fold, others)
        tasks.append(task)
    return tasks


def layer_judges(prepared: PreparedGrid, cell: Cell) -> Mapping[str, str]:
    """Return modality to the classifier whose choice of a layer a cell follows.

    On validation rows one classifier judges for all; in inner folds each for itself, a probe for
    the rules over probes. A baseline and a single layer follow none.
    """
    if cell.family in (BASELINE, LAYER):
        return {}
    if prepared.config.choose != INNER:
        return dict.fromkeys(cell.modalities, LAYER_JUDGE)
    return judges_of(cell.tree({}, prepared.scores_from))


def drop_tasks(prepared: PreparedGrid, tasks: Sequence[CellTask]) -> list[CellTask]:
    """Return the tasks that ask cells again as test rows lose modalities, where it was asked for.

    Args:
        prepared: The checked run.
        tasks: The cells of the grid.
    """
    config = prepared.config
    if not config.drop_rates:
        return []
    worth = worth_dropping(prepared.cells)
    return [
        drop_task(task, config.drop_rates, config.drop_seed) for task in tasks if task.cell in worth
    ]


def _run(
    tasks: Sequence[CellTask], jobs: int, workers: Workers, notify: Notify, bar: ProgressBar
) -> None:
    missing = {task.key: task for task in tasks if not _is_whole(task, notify)}
    bar.advance(len(tasks) - len(missing))
    longest_first = sorted(missing.values(), key=lambda task: (task.source.fold, -task.cost_s))
    processes = min(jobs, len(longest_first)) if _worth_processes(longest_first) else 0
    if processes:
        LOADER.forget()  # worker processes load for themselves
    workers.run_all(run_cell, [task.spec for task in longest_first], processes, bar.advance)


def _worth_processes(tasks: Sequence[CellTask]) -> bool:
    costs = [task.cost_s for task in tasks]
    return sum(costs) > WORTH_PROCESSES_S or max(costs, default=0.0) > LONG_CELL_S


def _is_whole(task: CellTask, notify: Notify) -> bool:
    if not task.path.is_file():
        return False
    try:
        read_outcome(task.path, task.key)
    except StoreError as error:
        notify(f"{error}; computing it again")
        return False
    return True


def _repetitions(prepared: PreparedGrid) -> int:
    """How often each cell is computed: folds x seeds of the fine-tuning x of the classifier."""
    return len(prepared.folds) * len(prepared.replicas) * len(prepared.config.seeds)
