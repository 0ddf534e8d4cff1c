"""From a finished run of the grid to a bundle: the chosen system, fitted once more on all rows.

The figures that the bundle carries are those of the run: the recipe's, on rows that it had not
seen. What learns from class scores learns here from scores that are out of fold, whatever rows it
learnt from in the run, because every row that there is has been fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from classify.bundle.bundle import Bundle, write_bundle
from classify.bundle.final_encoders import (
    FINAL,
    FROZEN,
    final_entry,
    model_folder,
    refuse_learning_from_scores,
)
from classify.bundle.folder import refuse_other
from classify.bundle.labelled_rows import LabelledRows, load_labelled_rows
from classify.bundle.measured import figures
from classify.grid.bind import Repetition, specify
from classify.grid.prepared import PreparedGrid
from classify.models.svm import SVM
from classify.names import BASELINE, LAYER, OOF, SYSTEM
from classify.results.table import cell_name
from classify.results.write import GridResult
from classify.systems.cell import Cell
from classify.systems.evaluator import Evaluator, FitRows
from classify.systems.expression import FIT_OPTION, Call, Expression, learns_from_scores, walk
from classify.systems.fitted_system import FittedSystem
from embeddings_store.errors import UsageError, unknown_name
from embeddings_store.provenance import collect
from embeddings_store.vectors.catalogue import Entry

NAMED = "by --export-cell; whoever named it for its figures must take them for too good"


def export_model(result: GridResult, folder: Path, cell: str = "") -> Bundle:
    """Fit a cell of a run on all labelled rows, and write it as a bundle.

    Args:
        result: The finished run.
        folder: What is made; nothing is there yet, or the same bundle, which stays.
        cell: The cell's name in ``grid.csv``, or that of a system; empty takes the one that the
            run reports.

    Returns:
        What was written.

    Raises:
        UsageError: There is no such cell, or it is one that cannot be exported, and why.
        FoldError: The rows are too few to learn from.
        StoreError: A file of the store is damaged.
    """
    refuse_other(folder)
    prepared = result.prepared
    name = cell or result.table.headline
    chosen = _find_cell(prepared, name)
    node = _tree(prepared, chosen)
    entries = _entries(prepared, chosen)
    if any(entry.fold == FINAL for entry in entries.values()):
        refuse_learning_from_scores(node)
    rows = load_labelled_rows(prepared.config.store, entries, prepared.setup, prepared.labels)
    system = fit_on_all(node, rows, len(prepared.labels.classes), prepared.config.seeds[0])
    about = {
        **_of_rows(prepared, rows),
        **_of_system(prepared, chosen, system, rows),
        **figures(result, cell_name(chosen)),
        **_of_run(),
    }
    if cell and cell_name(chosen) != result.table.headline:
        about["selection_rule"] = NAMED
    bundle = Bundle(system, prepared.labels, rows.encoders, rows.seen, about)
    own = {e.files: model_folder(prepared, entries[e.view]) for e in rows.encoders if e.files}
    write_bundle(folder, bundle, own)
    return bundle


def fit_on_all(node: Expression, rows: LabelledRows, n_classes: int, seed: int = 0) -> FittedSystem:
    """Fit a system on all rows.

    Args:
        node: Its expression, complete.
        rows: The rows.
        n_classes: Size of the label set.
        seed: For whatever is random.

    Raises:
        FoldError: The rows are too few to learn from.
    """
    evaluator = Evaluator(rows.data, n_classes, default_fit_mode=OOF, seed=seed)
    everything = FitRows(np.arange(len(rows.data)), np.arange(0))
    with threadpool_limits(limits=1):  # the same sums in the same order on any machine
        return FittedSystem.fit(node, evaluator, everything)


def _find_cell(prepared: PreparedGrid, name: str) -> Cell:
    """Return the cell of that name; of a system its whole set of views comes first."""
    by_name = {cell_name(cell): cell for cell in prepared.cells if cell.family != LAYER}
    for cell in prepared.cells:
        if cell.family == SYSTEM:
            by_name.setdefault(cell.method, cell)
    if name not in by_name:
        unknown_name("cell to export", name, list(by_name))
    return by_name[name]


def _entries(prepared: PreparedGrid, cell: Cell) -> Mapping[str, Entry]:
    """Return the file of each view.

    Raises:
        UsageError: The cell is chance, is permuted, or has no one encoder for each view.
    """
    config = prepared.config
    if cell.family == BASELINE:
        raise UsageError(f"{cell_name(cell)} is chance; choose another cell with --export-cell")
    if config.shuffle_seed is not None:
        raise UsageError("labels that are permuted make no model; leave out --shuffle-labels")
    metadata = [columns.view for columns in prepared.metadata if columns.view in cell.modalities]
    if metadata:
        raise UsageError(
            f"{metadata[0]} is made of columns of the corpus, which new media do not have; leave "
            "out --metadata, or choose another cell with --export-cell"
        )
    entries = {}
    for view in cell.modalities:
        candidates = prepared.replicas[0][view]
        if len(candidates) > 1:
            raise UsageError(
                f"the layer of {view} is chosen anew in every fold, so there is no one layer to "
                "export; name it with --layer N, or take all with --layers all"
            )
        entry = prepared.entry(candidates[0], prepared.folds[0].number)
        entries[view] = entry if entry.fold == FROZEN else final_entry(prepared, entry)
    return entries


def _tree(prepared: PreparedGrid, cell: Cell) -> Expression:
    """Return the cell's expression, in which all that learns from scores learns out of fold.

    Raises:
        UsageError: Its settings are chosen anew in every fold.
    """
    config = prepared.config
    at = Repetition(prepared.folds[0].number, 0, config.seeds[0])
    refs = {view: prepared.replicas[0][view][0] for view in cell.modalities}
    spec = specify(prepared, cell, at, refs, {})
    if spec.search or spec.ladder:
        raise UsageError(
            f"the settings of {cell_name(cell)} are chosen anew in every fold, so there is no one "
            "setting to export; give it (such as --svm-c 1), and leave out --tune"
        )
    given = {} if cell.family == SYSTEM else config.settings.get(cell.classifier, {})
    return out_of_fold(cell.tree(given, prepared.scores_from, config.fit_rows))


def out_of_fold(node: Expression) -> Expression:
    """Return an expression in which whatever learns from class scores learns out of fold.

    >>> from classify.systems.parser import parse
    >>> str(out_of_fold(parse("svm(concat(probe(audio), probe(text)), fit_rows=train)")))
    'svm(concat(probe(audio), probe(text)), fit_rows=oof)'
    """
    if not isinstance(node, Call):
        return node
    options = {**dict(node.options)}
    if learns_from_scores(node):
        options[FIT_OPTION] = OOF
    return replace(
        node,
        arguments=tuple(map(out_of_fold, node.arguments)),
        options=tuple(sorted(options.items())),
    )


def _of_rows(prepared: PreparedGrid, rows: LabelledRows) -> dict[str, str]:
    counts = np.bincount(rows.data.y, minlength=len(prepared.labels.classes))
    of_class = zip(prepared.labels.classes, counts.tolist(), strict=True)
    named = np.unique(rows.speakers[rows.speakers != ""])
    return {
        "corpus": prepared.corpus,
        "manifest": prepared.manifest_digest,
        "label_set": prepared.labels.name,
        "classes": ", ".join(prepared.labels.classes),
        "rows": str(len(rows.data)),
        "rows_by_class": ", ".join(f"{name} {count}" for name, count in of_class),
        "speakers": str(len(named)) if len(named) else "not known",
        **rows.facts,
    }


def _of_system(
    prepared: PreparedGrid, cell: Cell, system: FittedSystem, rows: LabelledRows
) -> dict[str, str]:
    given = {} if cell.family == SYSTEM else prepared.config.settings.get(cell.classifier, {})
    recipe = cell.tree(given, prepared.scores_from, prepared.config.fit_rows)
    learns = any(isinstance(part, Call) and learns_from_scores(part) for part in walk(system.node))
    encoders = [
        f"{encoder.view}: {encoder.ref.folder}"
        + (f", layer {encoder.ref.layer}" if encoder.ref.layer >= 0 else "")
        + (f", {encoder.source}" if encoder.source else "")
        + (f" at {encoder.revision}" if encoder.revision else "")
        + (f", weights {encoder.weights_digest[:12]}" if encoder.weights_digest else "")
        + (f", fine-tuned on these rows, in {encoder.files}" if encoder.files else "")
        for encoder in rows.encoders
    ]
    about = {
        "cell": cell_name(cell),
        "expression": str(system.node),
        "recipe": str(recipe),
        "learnt_on": "class scores of all rows, out of fold" if learns else "",
        "encoders": "; ".join(encoders),
        "modalities": ", ".join(dict.fromkeys(e.ref.modality for e in rows.encoders)),
    }
    if any(isinstance(part, Call) and part.word == SVM.name for part in walk(system.node)):
        about["holds_rows"] = (
            "A support vector machine keeps the vectors that it was fitted on, so this folder "
            "holds those of the corpus: pass it on only to whom you may give them."
        )
    return about


def _of_run() -> dict[str, str]:
    made = collect()
    packages = made["packages"]
    versions = packages.items() if isinstance(packages, dict) else ()
    return {
        "created": str(made["created"]),
        "command": str(made["command"]),
        "commit": str(made["commit"]),
        "software": ", ".join(f"{name} {version}" for name, version in versions),
    }
