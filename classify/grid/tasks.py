"""One cell of one fold as a job for any process, and how it is computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from classify.grid.compute import ask_again, compute
from classify.grid.cross_fitting import cross_fit
from classify.grid.finished_cells import read_outcome, write_outcome
from classify.grid.fold_loading import LOADER, FoldSource
from classify.grid.inner_choice import (
    answered_inside,
    choose_inside,
    keep_inner_probes,
    on_all_rows,
)
from classify.grid.missing_modalities import without
from classify.grid.outcome import CellOutcome, with_answers_of
from classify.grid.specification import CellSpec
from classify.grid.tuning import search
from classify.models.probe import choose_c_in_parts
from classify.models.specification import Settings
from classify.names import INNER, PROBE, UNIMODAL
from classify.systems.cell import Cell
from classify.systems.expression import Call, View
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
        judged: Cells of other layers, and the rows that choose which they answer in the place of
            this one, see :mod:`classify.grid.layer_choice`.
    """

    cell: Cell
    spec: CellSpec
    settings: Settings
    seed: int
    replica: int
    cost_s: float
    judged: tuple[tuple[CellSpec, frozenset[str]], ...] = ()

    def outcome(self) -> CellOutcome:
        """Read the finished cell.

        Raises:
            StoreError: It is not there, or not whole.
        """
        outcome = read_outcome(self.path, self.key)
        for spec, ids in self.judged:
            outcome = with_answers_of(outcome, read_outcome(spec.path, spec.key), ids)
        return outcome

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
        if len(data.parts):
            probes = {modality: on_all_rows(probe) for modality, probe in probes.items()}
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
    if len(data.parts):
        outcome = _chosen_inside(spec, fit, data, settings, probes)
    else:
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


def _chosen_inside(
    spec: CellSpec,
    fit: Callable[..., CellOutcome],
    data: FoldData,
    settings: Settings,
    probes: Mapping[str, CellOutcome],
) -> CellOutcome:
    """Compute a cell whose settings inner folds choose, and which they judge."""
    if spec.classifier == PROBE and spec.family == UNIMODAL:
        return _probe_inside(spec, fit, data)
    candidates = spec.ladder.possible(data) if spec.ladder else [settings]
    return choose_inside(fit, data, candidates, probes, spec.classifier).outcome


def _probe_inside(spec: CellSpec, fit: Callable[..., CellOutcome], data: FoldData) -> CellOutcome:
    """Compute a probe, and keep what it says without each inner fold.

    The strength of that of one view is chosen in the inner folds; that of joined views chooses in
    each fit, because their columns are made there.
    """
    if len(spec.modalities) > 1:
        return keep_inner_probes(choose_inside(fit, data, [{}], {}, spec.classifier), data)
    (view,) = spec.modalities
    rows = data.train.take(data.train.present[view])
    parts, n_classes = data.parts[data.train.present[view]], len(data.labels.classes)
    c, without = choose_c_in_parts(rows.vectors[view], rows.y, n_classes, parts)
    by_part = [{"c": without.get(int(part), c)} for part in np.unique(data.parts)]
    outcome = keep_inner_probes(answered_inside(fit, data, by_part, {"c": c}), data)
    choice = {str(Call(PROBE, (View(view),))): [f"{c:g}", INNER]}
    return replace(outcome, facts={**outcome.facts, "probes": choice})


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
