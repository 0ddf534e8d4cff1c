"""What a run of the grid leaves behind.

``grid.csv``, ``predictions.parquet`` and the paper's tables, and which cell counts.

**Choosing.** Where every fold has validation rows, the cell with the best mean accuracy on them is
``chosen_on_valid`` and its test figures are the result. Without validation rows nothing is chosen:
the paper's final model (concatenation + SVM; of one modality its SVM) stands as
``fixed_beforehand``. The cell that is best on test is shown as ``best_on_test``, an upper bound and
no result; with ``--select-on test`` it is also ``chosen_on_test``, and the column ``claim`` of
every row and table says ``upper bound`` instead of ``result``. A row that a cell cannot answer, for
want of its modality, counts as wrong in these comparisons. Baselines and single layers are not
candidates; ties go to the first in the order of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from classify.evaluation.comparisons import declared
from classify.evaluation.predictions import read_answers
from classify.grid.cache import read_outcome
from classify.grid.prepared import PreparedGrid
from classify.grid.tasks import CellTask
from classify.grid.tuning import trial_rows
from classify.names import RESULT
from classify.results.choices import calibrated_cell
from classify.results.files import write_csv
from classify.results.modality_tables import write_modalities
from classify.results.paper_tables import per_class_tables, write_paper_tables
from classify.results.predictions import cluster_columns, prediction_columns, prediction_schema
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
from embeddings_store.atomic import replacing
from embeddings_store.errors import StoreError, UsageError

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


def write_results(
    prepared: PreparedGrid, tasks: Sequence[CellTask], dropped: Sequence[CellTask] = ()
) -> GridResult:
    """Read every finished cell once and write all result files into the output folder, each whole or not at all."""
    out, rows, trials = prepared.config.out, [], list[dict[str, object]]()
    clusters = cluster_columns(prepared)
    predictions = out / "predictions.parquet"
    with replacing(predictions) as temporary:
        schema = prediction_schema(prepared)
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for task in tasks:
                outcome = read_outcome(task.path, task.key)
                calibrated = calibrated_cell(prepared, task, outcome)
                rows.append(result_row(prepared, task, outcome, calibrated))
                trials += trial_rows(rows[-1], outcome)
                columns = prediction_columns(prepared, rows[-1], outcome, clusters, calibrated)
                writer.write_table(pa.table(columns, schema=schema))
    table = ResultTable(with_flags(pd.DataFrame(rows), prepared.config.select_on))
    table.write(out / "grid.csv")
    headline = [
        read_outcome(t.path, t.key)
        for t, row in zip(tasks, rows, strict=True)
        if row["cell"] == table.headline
    ]
    answers = [(o.y["test"], o.reported("test").labels) for o in headline]
    of_fold = [
        t.source.fold for t, row in zip(tasks, rows, strict=True) if row["cell"] == table.headline
    ]
    files = [out / "grid.csv", predictions, *write_paper_tables(table.rows, out)]
    files += per_class_tables(
        answers, of_fold, table.rows, table.headline, prepared.labels.classes, out
    )
    found = read_answers(out)
    write_statistics(found, declared(found), DECLARED_METRIC, out)
    files += [out / STATISTICS, out / COMPARISONS]
    files.append(prepared.audit.write(out))
    fit_roles = ("train", "valid") if "valid" in prepared.config.fit_rows else ("train",)
    files += write_subsets(out, prepared.setup.view, fit_roles, rows[0])
    files += write_modalities(table.rows, tasks, dropped, out)
    if trials:
        write_csv(out / TUNING, pd.DataFrame(trials))
        files.append(out / TUNING)
    else:
        (out / TUNING).unlink(missing_ok=True)
    return GridResult(prepared, table, files)


def refuse_other_results(out: Path, prepared: PreparedGrid) -> None:
    """Refuse to replace the results of another corpus, of true labels by shuffled ones, or of results by upper bounds.

    Raises:
        UsageError: The folder holds such results.
    """
    path = out / "grid.csv"
    if not path.is_file():
        return
    shuffled = prepared.config.shuffle_seed is not None
    try:  # not a ResultTable: what another version wrote may be replaced too
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        corpora, labels = set(rows["corpus"]), set(rows["labels_shuffled"] != "no")
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{path}: is not a table of results ({error!r}); move it away, or choose another --out"
        ) from error
    claims = set(rows["claim"]) if "claim" in rows else {RESULT}
    for held, there, now in (
        ("results of corpus {!r}", corpora, prepared.corpus),
        ("results of true labels" if shuffled else "results of shuffled labels", labels, shuffled),
        ("figures of the kind {!r}", claims, prepared.claim),
    ):
        if others := sorted(there - {now}):
            raise UsageError(
                f"{path} holds {held.format(others[0])}, which this run would replace; give it a "
                "folder of its "
                "own with --out"
            )
