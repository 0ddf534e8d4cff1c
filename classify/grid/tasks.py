"""One cell of one fold as a job for any process.

What it depends on, its file, and how it is computed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from classify.grid.cache import key_of, read_outcome, write_outcome
from classify.grid.compute import ask_again, compute
from classify.grid.cross_fitting import cross_fit
from classify.grid.fold_loading import LOADER, FoldSource
from classify.grid.missing_modalities import Drop, without
from classify.grid.outcome import CellOutcome
from classify.grid.tuning import Search, search
from classify.models.specification import Settings
from classify.systems.cell import Cell
from embeddings_store.vectors.fold_data import FoldData


@dataclass(frozen=True, slots=True)
class CellTask:
    """One cell of one fold.

    Attributes:
        cell: What to compute.
        source: On which data.
        what: Everything that changes the numbers, plain JSON types.
        folder: Where cell files lie.
        fit_rows: A name of :data:`classify.names.FIT_ROWS`.
        settings: Those of the classifier that differ from its defaults.
        seed: For the classifier.
        replica: Position among the seeds of the fine-tuning, see
            :class:`classify.grid.prepared.PreparedGrid`.
        probes: Modality to the file and key of its probe's outcome.
        origin: Commit and command, for the record.
        cost_s: Roughly how long it takes, in seconds; only the order and number of processes follow
            from it.
        scores_from: Modality to ``head`` or ``probe``.
        search: How its settings are chosen first, or none.
        drops: What test rows lose; nothing for a cell of the grid.
        drop_seed: Which of them lose it.
        whole: File and key of the same cell without losses, where there are drops.
    """

    cell: Cell
    source: FoldSource
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


def run_task(task: CellTask) -> str:
    """Compute one cell, write its file, and return its key; runs in a worker process."""
    started = time.perf_counter()
    data = LOADER.load(task.source)
    probes = {modality: read_outcome(path, key) for modality, (path, key) in task.probes.items()}
    if task.whole:
        _ask_again(task, data, probes, *task.whole)
        return task.key
    fit = partial(
        cross_fit,
        partial(
            compute, task.cell, fit_rows=task.fit_rows, seed=task.seed, scores_from=task.scores_from
        ),
    )
    log = task.path.with_suffix(".trials.json")
    tuned = search(task.search, fit, data, log) if task.search else None
    outcome = fit(data, settings=tuned.settings if tuned else task.settings, probes=probes)
    facts = {
        **outcome.facts,
        **({"tuned": tuned.facts} if tuned else {}),
        **task.origin,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "fit_s": round(time.perf_counter() - started, 3),
    }
    write_outcome(task.path, task.what, replace(outcome, facts=facts))
    log.unlink(missing_ok=True)
    return task.key


def _ask_again(
    task: CellTask, data: FoldData, probes: Mapping[str, CellOutcome], path: Path, key: str
) -> None:
    """Answer test rows that lost modalities, with the settings that the cell itself was given or found."""
    tuned = read_outcome(path, key).facts.get("tuned")
    settings = tuned["settings"] if isinstance(tuned, dict) else task.settings

    def ask(data: FoldData) -> CellOutcome:
        others = {
            str(drop): without(data.test, task.cell.modalities, drop, task.drop_seed)
            for drop in task.drops
        }
        return ask_again(
            task.cell,
            data,
            others,
            fit_rows=task.fit_rows,
            settings=settings,
            seed=task.seed,
            scores_from=task.scores_from,
            probes=probes,
        )

    write_outcome(task.path, task.what, cross_fit(ask, data))
