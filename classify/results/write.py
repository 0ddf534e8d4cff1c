"""Writes what a run of the grid leaves behind: ``grid.csv``, ``predictions.parquet`` and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from classify.claim import Claim
from classify.evaluation.comparisons import declared
from classify.evaluation.predictions import arrange_predictions, only_test_rows
from classify.evaluation.result_files import GRID, PREDICTIONS, RESULTS_TABLE, read_loosely
from classify.grid.outcome import without_rows
from classify.grid.prepared import PreparedGrid
from classify.grid.tasks import CellTask
from classify.grid.tuning import trial_rows
from classify.names import VALID
from classify.results.choices import calibrated_cell
from classify.results.files import write_csv
from classify.results.modality_tables import write_modalities
from classify.results.paper_tables import Headline, write_paper_tables, write_per_class
from classify.results.predictions import (
    UtteranceColumns,
    label_codes,
    prediction_columns,
    prediction_schema,
    rows_for_figures,
)
from classify.results.row import result_row
from classify.results.selection import with_flags
from classify.results.statistics_tables import (
    COMPARISONS,
    DECLARED_METRIC,
    STATISTICS,
    write_statistics,
)
from classify.results.table import ResultTable
from classify.results.text_overlap import write_subsets
from classify.systems.parser import plain_text
from embeddings_store.atomic import replacing
from embeddings_store.corpus.labels import permute_labels
from embeddings_store.errors import StoreError, UsageError
from embeddings_store.folds.planned_rows import planned_rows
from embeddings_store.reading import reading

TUNING = "tuning.csv"


@dataclass(frozen=True, slots=True)
class GridResult:
    """What a run returns.

    Attributes:
        prepared: What was run.
        table: All cells and folds.
        files: What was written, in reading order.
    """

    prepared: PreparedGrid
    table: ResultTable
    files: Sequence[Path]


@dataclass(frozen=True, slots=True)
class _FinishedCells:
    """What the files of finished cells hold, gathered in one pass.

    Attributes:
        rows: One row of ``grid.csv`` per task, without flags.
        trials: The lines of ``tuning.csv``.
        parts: Predictions per task, those rows that further figures are made from.
    """

    rows: list[dict[str, object]]
    trials: list[dict[str, object]]
    parts: list[pa.Table]


def write_results(
    prepared: PreparedGrid, tasks: Sequence[CellTask], dropped: Sequence[CellTask] = ()
) -> GridResult:
    """Write all result files into the output folder, each whole or not at all.

    Every finished cell is read once, and nothing that was written here is read back.

    Args:
        prepared: What was run.
        tasks: The cells of the grid on every fold and seed, all finished.
        dropped: Those that were asked again without modalities.
    """
    out = prepared.config.out
    predictions, grid = out / PREDICTIONS, out / GRID
    finished = _write_predictions(prepared, tasks, predictions)
    table = ResultTable(with_flags(pd.DataFrame(finished.rows), prepared.config.select_on))
    table.write(grid)
    files = [grid, predictions, *write_paper_tables(table.rows, out)]
    headline = _headline(prepared, tasks, table, finished.parts)
    files += write_per_class(headline, table.rows, out)
    answers = arrange_predictions(table.rows, only_test_rows(finished.parts), out)
    pairs = declared(answers, plain=plain_text)
    write_statistics(answers, pairs, DECLARED_METRIC, out)
    files += [out / STATISTICS, out / COMPARISONS]
    files.append(prepared.audit.write(out))
    # late fusion that learns from validation rows has met their transcripts as well
    on_valid = table.rows["fit_rows"].str.contains("valid").any()
    fit_roles = ("train", "valid") if on_valid else ("train",)
    files += write_subsets(out, finished.parts, prepared.setup.view, fit_roles, finished.rows[0])
    files += write_modalities(table.rows, tasks, dropped, prepared.modality_of, out)
    files += _write_trials(finished.trials, out / TUNING, prepared.claim)
    return GridResult(prepared, table, files)


def _write_predictions(
    prepared: PreparedGrid, tasks: Sequence[CellTask], path: Path
) -> _FinishedCells:
    """Write ``predictions.parquet`` task by task, and keep what the other files need."""
    finished = _FinishedCells([], [], [])
    rows_of, schema = UtteranceColumns(prepared), prediction_schema(prepared)
    # numbers and ids hardly repeat: looking for that takes longer than writing them
    repeated = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    options = {"compression": "zstd", "use_dictionary": repeated, "write_statistics": False}
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, **options) as writer:
        for task in tasks:
            outcome = task.outcome()
            calibrated = calibrated_cell(prepared, task, outcome)
            row = result_row(prepared, task, outcome, calibrated)
            if prepared.on_fitted:
                outcome = without_rows(outcome, VALID)
            columns = prediction_columns(prepared, row, outcome, rows_of, calibrated)
            part = pa.table(columns, schema=schema)
            writer.write_table(part)
            finished.rows.append(row)
            finished.trials.extend(trial_rows(row, outcome))
            finished.parts.append(rows_for_figures(part))
    return finished


def _headline(
    prepared: PreparedGrid, tasks: Sequence[CellTask], table: ResultTable, parts: Sequence[pa.Table]
) -> Headline:
    """Return what the cell that counts answered, fold by fold."""
    raw = prepared.setup.view.column("label")
    codes = prepared.labels.encode(raw)
    if prepared.config.shuffle_seed is not None:
        codes = permute_labels(codes, prepared.config.shuffle_seed)
    answers, folds = [], []
    headline = table.headline
    for task, cell, part in zip(tasks, table.rows["cell"], parts, strict=True):
        if cell == headline:
            answers.append((label_codes(part, "y_true"), label_codes(part, "y_pred")))
            folds.append(task.source.fold)
    classes = prepared.labels.classes
    planned = {}
    for fold in prepared.plan:
        rows = planned_rows(fold, "test", prepared.labels, raw).labelled
        planned[fold.number] = np.bincount(codes[rows], minlength=len(classes))
    return Headline(headline, classes, answers, folds, planned)


def _write_trials(trials: Sequence[dict[str, object]], path: Path, claim: Claim) -> list[Path]:
    """Write ``tuning.csv``, or remove what an earlier run left where nothing was searched."""
    if not trials:
        path.unlink(missing_ok=True)
        return []
    write_csv(path, pd.DataFrame(trials), claim)
    return [path]


def refuse_other_results(out: Path, prepared: PreparedGrid) -> None:
    """Refuse to replace results of another kind.

    That is of another corpus, of true labels by shuffled ones, or of results by upper bounds.

    Args:
        out: The folder to write into.
        prepared: What is to be run.

    Raises:
        UsageError: The folder holds such results.
        StoreError: It holds a file in their place that is no table.
    """
    path = out / GRID
    if not path.is_file():
        return
    shuffled = prepared.config.shuffle_seed is not None
    # not a ResultTable: what another version wrote may be replaced too
    advice = "move it away, or choose another --out"
    rows = read_loosely(path, advice)
    with reading(path, RESULTS_TABLE, advice, StoreError):
        corpora, labels = set(rows["corpus"]), set(rows["labels_shuffled"] != "no")
    claims = {Claim.of_rows(rows).asked_for.text}
    true_or_not = "results of true labels" if shuffled else "results of shuffled labels"
    for held, there, now in (
        ("results of corpus {!r}", corpora, prepared.corpus),
        (true_or_not, labels, shuffled),
        ("figures of the kind {!r}", claims, prepared.claim.asked_for.text),
    ):
        others = sorted(there - {now})
        if others:
            raise UsageError(
                f"{path} holds {held.format(others[0])}, which this run would replace; give it a "
                "folder of its own with --out"
            )
