"""One row of ``grid.csv`` from one finished cell of one fold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from classify.evaluation.means import FITTED_WA
from classify.evaluation.metrics import COVERAGE, WA_ALL, accuracy, completeness, summary
from classify.grid.calibration import Calibrated, calibration_columns, margin_columns
from classify.grid.outcome import CellOutcome
from classify.grid.prepared import FoldFacts, PreparedGrid
from classify.grid.tasks import CellTask
from classify.grid.validation_rows import for_choice
from classify.models.classifiers import resolve
from classify.names import BASELINE, LATE
from classify.results.choices import in_words, purposes_of, sharing
from classify.results.table import cell_name
from classify.systems.expression import PROJECT
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import Entry

Columns = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Finished:
    """One finished cell of one fold, and what follows from its parts alone.

    Attributes:
        prepared: The run.
        task: What was computed.
        outcome: What came of it.
        fold: The fold that it was computed on.
        encoders: Modality to the encoder that gave its vectors; none for a baseline.
    """

    prepared: PreparedGrid
    task: CellTask
    outcome: CellOutcome
    fold: FoldFacts
    encoders: Mapping[str, EncoderRef]

    @property
    def is_baseline(self) -> bool:
        return self.task.cell.family == BASELINE

    @property
    def layer(self) -> str:
        """The layers that are used, where an encoder has several."""
        used = [f"{m}={ref.layer}" for m, ref in self.encoders.items() if ref.layer >= 0]
        return ",".join(used)

    @property
    def tuned_settings(self) -> Mapping[str, float] | None:
        """What a search chose, or none where nothing was searched."""
        tuned = self.outcome.facts.get("tuned")
        return tuned["settings"] if isinstance(tuned, dict) else None


def result_row(
    prepared: PreparedGrid, task: CellTask, outcome: CellOutcome, calibrated: Calibrated
) -> dict[str, object]:
    """Return the columns of :data:`classify.results.table.SCHEMA`, without flags.

    Their order is that of the schema only in the table.

    Args:
        prepared: The run.
        task: What was computed.
        outcome: What came of it.
        calibrated: Its calibrated probabilities.
    """
    baseline = task.cell.family == BASELINE
    encoders = {} if baseline else {modality: ref for modality, ref, _ in task.source.views}
    fold = next(f for f in prepared.folds if f.number == task.source.fold)
    finished = _Finished(prepared, task, outcome, fold, encoders)
    return {
        **_data_and_protocol(finished),
        **_cell(finished),
        **_fitted(finished),
        **_counts(finished),
        **_figures(finished, calibrated),
        **_choices(finished, calibrated),
        **_provenance(finished),
        "flags": "",
    }


def _data_and_protocol(finished: _Finished) -> Columns:
    """Return what the figures are of: corpus, protocol, labels and fold."""
    prepared, fold = finished.prepared, finished.fold
    shuffle_seed = prepared.config.shuffle_seed
    return {
        "claim": prepared.claim.text,
        "corpus": prepared.corpus,
        "protocol": prepared.setup.protocol,
        "plan": prepared.plan.name,
        "plan_digest": prepared.plan.digest,
        "split_digest": prepared.setup.split_digest,
        "test_digest": prepared.setup.test_digest,
        "valid_rule": prepared.plan.valid,
        "shared": prepared.setup.shared,
        "label_set": prepared.labels.name,
        "labels_digest": prepared.labels.digest,
        "labels_shuffled": "no" if shuffle_seed is None else f"seed {shuffle_seed}",
        "fold": fold.number,
        "fold_name": fold.name,
    }


def _cell(finished: _Finished) -> Columns:
    """Return what identifies the cell: its parts, its encoders and its seeds."""
    prepared, task, encoders = finished.prepared, finished.task, finished.encoders
    cell = task.cell
    entries = [prepared.entry(ref, finished.fold.number) for ref in encoders.values()]
    metadata: list[str] = []
    for chosen in prepared.metadata:
        if chosen.view in encoders:
            metadata += chosen.columns
    seeds = [f"{m}={refs[0].seed}" for m, refs in prepared.replicas[task.replica].items()]
    return {
        "cell": cell_name(cell, finished.layer),
        "family": cell.family,
        "method": cell.method,
        "modalities": "" if finished.is_baseline else "+".join(cell.modalities),
        "classifier": cell.classifier,
        "scores_from": _sources(task),
        "layer": finished.layer,
        "encoders": ",".join(f"{m}={ref.folder}" for m, ref in encoders.items()),
        "metadata": "+".join(metadata),
        "selection_rule": selection_rule(entries),
        "verified": _verified(finished),
        "seed": task.seed,
        "encoder_seed": ",".join(seeds),
    }


def _fitted(finished: _Finished) -> Columns:
    """Return what was fitted on what: rows, weights, settings, and all of it as an expression."""
    prepared, task, facts = finished.prepared, finished.task, finished.outcome.facts
    settings = task.spec.settings
    in_expression = task.settings
    if (tuned := finished.tuned_settings) is not None:
        own = {name: value for name, value in tuned.items() if name != PROJECT}
        settings = {**resolve(task.cell.classifier, own), **tuned}
        in_expression = tuned
    shown = settings.items() if isinstance(settings, Mapping) else ()
    chosen = [f"{name}={value:g}" for name, value in shown]
    probes = facts.get("probes")
    if isinstance(probes, Mapping):
        chosen += [f"{part}.c={c}" for part, (c, _) in probes.items()]
    approximations = facts.get("approximations")
    if isinstance(approximations, list):
        chosen += map(str, approximations)
    weights = [f"{part} {weight}" for part, weight in _pairs(facts.get("weights"))]
    return {
        "fit_rows": task.spec.fit_rows,
        "learnt_on": facts.get("learnt_on", "train" if task.cell.family == LATE else ""),
        "weights": "; ".join(weights),
        "expression": str(task.cell.tree(in_expression, prepared.scores_from, task.spec.fit_rows)),
        "settings": "; ".join(chosen),
    }


def _counts(finished: _Finished) -> dict[str, int]:
    """Return how many rows the plan asks for, were fitted on, chose, and were answered."""
    fold, outcome = finished.fold, finished.outcome
    facts = outcome.facts
    selected = 0 if finished.is_baseline else int(str(facts.get("n_test_selected", 0)))
    n_scored, n_test = len(outcome.reported("test")), fold.n_planned["test"]
    return {
        "n_train": fold.counts["train"],
        "n_valid": 0 if fold.on_fitted else fold.counts["valid"],
        "n_test": n_test,
        "n_fit": int(str(facts["n_fit"])),
        "n_fit_seen": 0 if finished.is_baseline else int(str(facts["n_fit_seen"])),
        "n_test_selected": selected,
        "n_choice": fold.n_choice,
        "n_scored": n_scored,
        "n_valid_scored": 0 if fold.on_fitted else _n_choosing(outcome, fold),
        # labelled rows that lack some modality, and those that have none of the cell's
        "n_missing": int(str(facts["n_missing"])) + n_test - fold.n_unlabelled - n_scored,
        "n_unlabelled": fold.n_unlabelled,
    }


def _n_choosing(outcome: CellOutcome, fold: FoldFacts) -> int:
    """Return how many rows that choose the cell it answered."""
    return int(for_choice(outcome.ids["valid"], fold.apart).sum())


def _figures(finished: _Finished, calibrated: Calibrated) -> Columns:
    """Return the figures of merit, margins and calibration, and the constant answer for scale."""
    outcome, counts = finished.outcome, _counts(finished)
    y, answers = outcome.y, {role: outcome.reported(role).labels for role in outcome.y}
    choice = for_choice(outcome.ids["valid"], finished.fold.apart)
    # for scale only: nobody could know it beforehand
    commonest = np.bincount(y["test"]).argmax()
    figures = summary(y["test"], answers["test"])
    valid_accuracy = accuracy(y["valid"][choice], answers["valid"][choice])
    of_test = completeness(figures["WA"], counts["n_scored"], counts["n_test"])
    of_choice = completeness(valid_accuracy, int(choice.sum()), counts["n_choice"])
    return {
        **figures,
        **dict(zip((COVERAGE, WA_ALL), map(float, of_test), strict=True)),
        "train_WA": accuracy(y["train"], answers["train"]),
        **_choice_figures(finished.fold, valid_accuracy, *map(float, of_choice)),
        **margin_columns(outcome),
        **calibration_columns(outcome, calibrated),
        "constant": finished.prepared.labels.classes[commonest],
        "constant_WA": accuracy(y["test"], commonest),
    }


def _choice_figures(
    fold: FoldFacts, right: float, coverage: float, of_all: float
) -> dict[str, float]:
    """Return the figures on rows that choose; those of fitted rows are no validation figures."""
    names = ("valid_WA", "valid_coverage", "valid_WA_all", FITTED_WA)
    found = (right, coverage, of_all, np.nan)
    if fold.on_fitted:
        found = (np.nan, np.nan, np.nan, of_all)
    return dict(zip(names, found, strict=True))


def _choices(finished: _Finished, calibrated: Calibrated) -> Columns:
    """Return what was chosen on which rows, and which of these rows served twice."""
    purposes = purposes_of(finished.prepared, finished.task, finished.outcome, calibrated)
    return {"chosen_on": in_words(purposes), "shared_rows": sharing(purposes)}


def _provenance(finished: _Finished) -> Columns:
    """Return by what program the cell was computed, when, and how long it took in seconds."""
    versions = [f"{name} {number}" for name, number in _pairs(finished.task.spec.versions)]
    facts = finished.outcome.facts
    return {
        "versions": "; ".join(versions),
        "fit_s": facts["fit_s"],
        "date": facts["date"],
        "commit": facts["commit"],
        "command": facts["command"],
    }


def selection_rule(entries: Iterable[Entry]) -> str:
    """Return what chose the epochs of the encoders.

    ``none`` where nothing was trained, several rules joined by ``+``.

    >>> selection_rule([])
    'none'
    """
    rules = {
        "none" if entry.fold == "any" else entry.selection_rule or "unknown" for entry in entries
    }
    return "+".join(sorted(rules)) or "none"


def _verified(finished: _Finished) -> str:
    """Return whether it is known of every encoder which rows it has seen."""
    listed = [] if finished.is_baseline else finished.outcome.facts["unverified"]
    if not isinstance(listed, list) or not listed:
        return "verified"
    return f"unverified: {'+'.join(map(str, listed))}"


def _sources(task: CellTask) -> str:
    """Return ``head``, ``probe``, or each modality's own where they differ.

    Empty where no class scores go in.
    """
    sources = dict(_pairs(task.spec.scores_from))
    if len(set(sources.values())) <= 1:
        return next(iter(sources.values()), "")
    return ",".join(f"{modality}={source}" for modality, source in sources.items())


def _pairs(mapping: object) -> list[tuple[str, str]]:
    """Return the entries of a mapping as words, none of anything else."""
    if not isinstance(mapping, Mapping):
        return []
    return [(str(key), str(value)) for key, value in mapping.items()]
