"""One cell of one fold as a job for any process, and how it is computed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from classify.grid.compute import ask_again, compute
from classify.grid.cross_fitting import cross_fit
from classify.grid.finished_cells import read_outcome, write_outcome
from classify.grid.fold_loading import LOADER, FoldSource
from classify.grid.missing_modalities import without
from classify.grid.outcome import CellOutcome
from classify.grid.specification import CellSpec
from classify.grid.tuning import search
from classify.models.specification import Settings
from classify.names import PROBE
from classify.systems.cell import Cell
from embeddings_store.vectors.fold_data import FoldData


@dataclass(frozen=True, slots=True)
class CellTask:
    """One cell of one fold in its place among the others of a run.

    Several tasks may have equal specifications, such as those of all seeds of a classifier that
    draws nothing; then one file serves all.

    Attributes:
        cell: The cell as the tables list it.
        spec: What it is computed from.
        settings: Those of the classifier that the user gave.
        seed: The seed that stands in the tables.
        replica: Position among the seeds of the fine-tuning, see
            :class:`classify.grid.prepared.PreparedGrid`.
        cost_s: Roughly how long it takes, in seconds; only the order and number of processes follow
            from it.
    """

    cell: Cell
    spec: CellSpec
    settings: Settings
    seed: int
    replica: int
    cost_s: float

    @property
    def source(self) -> FoldSource:
        """On which data."""
        return self.spec.source

    @property
    def key(self) -> str:
        """Twelve hex digits over everything that changes the numbers."""
        return self.spec.key

    @property
    def path(self) -> Path:
        """The file of the finished cell."""
        return self.spec.path


def run_cell(spec: CellSpec) -> str:
    """Compute one cell, write its file, and return its key; runs in a worker process."""
    started = time.perf_counter()
    data = LOADER.load(spec.source)
    probes = {
        modality: read_outcome(spec.file_of(PROBE, key), key)
        for modality, key in spec.probes.items()
    }
    if spec.drops:
        write_outcome(spec, _without_modalities(spec, data, probes))
        return spec.key
    fit = partial(
        cross_fit,
        partial(
            compute,
            spec.cell,
            fit_rows=spec.fit_rows,
            seed=spec.seed,
            scores_from=spec.scores_from,
        ),
    )
    settings, tuned = spec.own_settings, {}
    log = spec.path.with_suffix(".trials.json")
    if spec.search:
        found = search(spec.search, fit, data, log)
        settings, tuned = found.settings, {"tuned": found.facts}
    outcome = fit(data, settings=settings, probes=probes)
    facts = {
        **outcome.facts,
        **tuned,
        **spec.origin,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "fit_s": round(time.perf_counter() - started, 3),
    }
    write_outcome(spec, replace(outcome, facts=facts))
    log.unlink(missing_ok=True)
    return spec.key


def _without_modalities(
    spec: CellSpec, data: FoldData, probes: Mapping[str, CellOutcome]
) -> CellOutcome:
    """Answer test rows that lost modalities, by the cell as it was fitted to all of them."""
    # a search is not made again: the whole cell has found its settings
    whole = read_outcome(spec.file_of(spec.classifier, spec.whole), spec.whole)
    tuned = whole.facts.get("tuned")
    settings = tuned["settings"] if isinstance(tuned, dict) else spec.own_settings

    def ask(data: FoldData) -> CellOutcome:
        others = {
            str(drop): without(
                data.test, spec.modalities, drop, spec.drop_seed, spec.source.modality_of
            )
            for drop in spec.drops
        }
        return ask_again(
            spec.cell,
            data,
            others,
            fit_rows=spec.fit_rows,
            settings=settings,
            seed=spec.seed,
            scores_from=spec.scores_from,
            probes=probes,
        )

    return cross_fit(ask, data)
