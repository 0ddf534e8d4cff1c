"""One row of ``grid.csv`` from one finished cell of one fold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from classify.evaluation.metrics import accuracy, summary
from classify.grid.calibration import Calibrated, calibration_columns, margin_columns
from classify.grid.outcome import CellOutcome
from classify.grid.prepared import PreparedGrid
from classify.grid.tasks import CellTask
from classify.grid.validation_rows import for_choice
from classify.models.classifiers import resolve
from classify.names import BASELINE, LATE
from classify.results.choices import in_words, purposes_of, sharing
from classify.results.table import cell_name
from embeddings_store.vectors.catalogue import Entry


def result_row(
    prepared: PreparedGrid, task: CellTask, outcome: CellOutcome, calibrated: Calibrated
) -> dict[str, object]:
    """Return one row of :data:`SCHEMA`, without flags."""
    cell, config = task.cell, prepared.config
    fold = next(f for f in prepared.folds if f.number == task.source.fold)
    test, facts = outcome.reported("test"), outcome.facts
    choice = for_choice(outcome.ids["valid"], fold.apart)
    purposes = purposes_of(prepared, task, outcome, calibrated)
    refs = {} if cell.family == BASELINE else {m: ref for m, ref, _ in task.source.views}
    unverified = [] if cell.family == BASELINE else list(_strings(facts["unverified"]))
    layer = ",".join(f"{m}={ref.layer}" for m, ref in refs.items() if ref.layer >= 0)
    tuned = facts.get("tuned")
    settings = (
        resolve(cell.classifier, tuned["settings"])
        if isinstance(tuned, dict)
        else task.what["settings"]
    )
    commonest = np.bincount(outcome.y["test"]).argmax()
    shown = (
        "; ".join(f"{k}={v:g}" for k, v in settings.items()) if isinstance(settings, dict) else ""
    )
    return {
        "claim": prepared.claim,
        "corpus": prepared.corpus,
        "protocol": prepared.setup.protocol,
        "plan": prepared.plan.name,
        "plan_digest": prepared.plan.digest,
        "split_digest": prepared.setup.split_digest,
        "test_digest": prepared.setup.test_digest,
        "valid_rule": prepared.plan.valid,
        "shared": prepared.setup.shared,
        "selection_rule": selection_rule(
            [prepared.entry(ref, fold.number) for ref in refs.values()]
        ),
        "label_set": prepared.labels.name,
        "labels_digest": prepared.labels.digest,
        "fold": fold.number,
        "fold_name": fold.name,
        "cell": cell_name(cell, layer),
        "family": cell.family,
        "method": cell.method,
        "modalities": "" if cell.family == BASELINE else "+".join(cell.modalities),
        "classifier": cell.classifier,
        "scores_from": _sources(task),
        "layer": layer,
        "encoders": ",".join(f"{m}={ref.folder}" for m, ref in refs.items()),
        "metadata": "+".join(
            c for chosen in prepared.metadata if chosen.view in refs for c in chosen.columns
        ),
        "verified": f"unverified: {'+'.join(unverified)}" if unverified else "verified",
        "fit_rows": task.fit_rows,
        "learnt_on": facts.get("learnt_on", "train" if cell.family == LATE else ""),
        "weights": "; ".join(f"{part} {weight}" for part, weight in _pairs(facts.get("weights"))),
        "expression": str(
            cell.tree(
                tuned["settings"] if isinstance(tuned, dict) else task.settings,
                prepared.scores_from,
                task.fit_rows,
            )
        ),
        "settings": shown,
        "seed": task.seed,
        "encoder_seed": ",".join(
            f"{m}={refs[0].seed}" for m, refs in prepared.replicas[task.replica].items()
        ),
        "labels_shuffled": "no" if config.shuffle_seed is None else f"seed {config.shuffle_seed}",
        "n_train": fold.counts["train"],
        "n_valid": fold.counts["valid"],
        "n_test": fold.counts["test"],
        "n_fit": facts["n_fit"],
        "n_fit_seen": 0 if cell.family == BASELINE else facts["n_fit_seen"],
        "n_test_selected": 0 if cell.family == BASELINE else facts.get("n_test_selected", 0),
        "n_choice": len(fold.apart) or fold.counts["valid"],
        "n_scored": len(test),
        "n_valid_scored": int(choice.sum()),
        "n_missing": int(str(facts["n_missing"])) + fold.counts["test"] - len(test),
        **summary(outcome.y["test"], test.labels),
        "train_WA": accuracy(outcome.y["train"], outcome.reported("train").labels),
        "valid_WA": accuracy(outcome.y["valid"][choice], outcome.reported("valid").labels[choice]),
        **margin_columns(outcome),
        **calibration_columns(outcome, calibrated),
        "chosen_on": in_words(purposes),
        "shared_rows": sharing(purposes),
        "constant": prepared.labels.classes[commonest],
        "constant_WA": accuracy(outcome.y["test"], commonest),
        "flags": "",
        "versions": "; ".join(f"{k} {v}" for k, v in _pairs(task.what["versions"])),
        "fit_s": facts["fit_s"],
        "date": facts["date"],
        "commit": facts["commit"],
        "command": facts["command"],
    }


def selection_rule(entries: Iterable[Entry]) -> str:
    """Say what chose the epochs of the encoders.

    ``none`` where nothing was trained, several rules joined by ``+``.

    >>> selection_rule([])
    'none'
    """
    return (
        "+".join(
            sorted({"none" if e.fold == "any" else e.selection_rule or "unknown" for e in entries})
        )
        or "none"
    )


def _sources(task: CellTask) -> str:
    """``head``, ``probe``, or each modality's own where they differ.

    Empty where no class scores go in.
    """
    sources = dict(_pairs(task.what["scores_from"]))
    if len(set(sources.values())) <= 1:
        return next(iter(sources.values()), "")
    return ",".join(f"{m}={source}" for m, source in sources.items())


def _pairs(mapping: object) -> Iterable[tuple[str, str]]:
    return ((str(k), str(v)) for k, v in mapping.items()) if isinstance(mapping, Mapping) else ()


def _strings(values: object) -> Iterable[str]:
    return (str(v) for v in values) if isinstance(values, list) else ()
