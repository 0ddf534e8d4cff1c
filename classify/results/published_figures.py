"""Published figures, and ours beside them: which may be compared, and why.

``published`` beside this file is a link to ``benchmarks/published``, where the tables are kept: so
they have one home, a reader of the repository finds them there, and an installed tool has them as
data of this package. ``benchmarks/README.md`` explains their columns.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pandas as pd

from classify.evaluation.means import first_best
from classify.evaluation.metrics import METRICS
from classify.fusion.early import STRATEGIES
from classify.models.classifiers import BASELINES, COMPETITORS
from classify.names import HEAD, LAYER, PROBE, UNIMODAL
from classify.results.comparable import comparable
from classify.results.paper_tables import SEEDS
from embeddings_store.errors import StoreError, StoreNotFoundError, unknown_name

COLUMNS = (
    "table",
    "system",
    "modalities",
    "encoders",
    "fusion",
    "classifier",
    "class",
    "metric",
    "value",
    "unit",
    "corpus",
    "label_set",
    "n_scored",
    "protocol",
    "selection_rule",
    "flags",
    "parameters",
    "source",
    "note",
)
AVERAGE = "average"
NOTHING, SEPARATOR = "-", "; "


def published(corpus: str = "", metric: str = "") -> pd.DataFrame:
    """Return published rows, every cell a string, in the columns of :data:`COLUMNS` behind ``file``.

    Args:
        corpus: Only of this corpus.
        metric: Only this metric.

    Raises:
        UnknownNameError: Nothing is published of such a corpus or metric.

    >>> rows = published("iemocap", "WA")
    >>> rows[(rows["table"] == "Table 5") & (rows["classifier"] == "svm")]["value"].tolist()
    ['75.451', '75.42', '']
    """
    folder = files("classify.results") / "published"
    tables = []
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".csv"):
            with entry.open(encoding="utf-8") as handle:
                table = pd.read_csv(handle, dtype=str, keep_default_na=False)
            if tuple(table.columns) != COLUMNS:
                raise StoreError(
                    f"{entry.name}: has the columns {', '.join(table.columns)}, not "
                    f"{', '.join(COLUMNS)}"
                )
            table.insert(0, "file", entry.name)
            tables.append(table)
    rows = pd.concat(tables, ignore_index=True)
    for column, wanted in (("corpus", corpus), ("metric", metric)):
        if wanted and wanted not in set(rows[column]):
            unknown_name(f"{column} of published figures", wanted, sorted(set(rows[column])))
        rows = rows[rows[column] == wanted] if wanted else rows
    return rows.reset_index(drop=True)


def read_grid(results: Path) -> pd.DataFrame:
    """Return ``grid.csv`` of a results folder, or that file itself.

    Raises:
        StoreNotFoundError: It is not there.
        StoreError: It is not such a table.
    """
    path = results / "grid.csv" if results.is_dir() else results
    if not path.is_file():
        raise StoreNotFoundError(
            f"{path}: no such file; give the folder that run-fusion-grid --out wrote"
        )
    try:
        grid = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        return grid.assign(
            **{
                name: pd.to_numeric(grid[name])
                for name in (*METRICS, "n_scored", "valid_WA")
                if name in grid
            }
        )
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{path}: cannot be read as results ({error}); run the grid again, finished cells are "
            "kept"
        ) from error


def beside(rows: pd.DataFrame, grid: pd.DataFrame) -> pd.DataFrame:
    """Put ours beside published rows.

    ``ours`` (per cent, mean over folds), ``our_cell``, ``comparable`` and ``why``.

    A published system answers to the cell of the same fusion, classifier and modalities, a single
    encoder with its head to our head or probe; one of another kind, such as a record, to the cell
    of its modalities that is best on validation rows.
    """
    found = [_ours(row, grid) for row in rows.to_dict("records")]
    return rows.assign(
        **{
            name: [line[position] for line in found]
            for position, name in enumerate(("ours", "our_cell", "comparable", "why"))
        }
    )


def _ours(row: dict[str, str], grid: pd.DataFrame) -> tuple[str, str, str, str]:
    metric = row["metric"]
    if metric not in METRICS or row["class"]:
        return NOTHING, "", NOTHING, f"only {', '.join(METRICS)} over all classes are compared"
    if not row["value"]:
        return NOTHING, "", NOTHING, "nothing was published"
    cells = _cells(row, grid)
    if not len(cells):
        return NOTHING, "", NOTHING, "the results have no such system"
    first = cells.iloc[0]
    one_run = ["cell", *(name for name in SEEDS if name in cells)]
    rows_scored = cells.groupby(one_run, sort=False)["n_scored"].sum().iloc[0]
    verdict = comparable({**first.to_dict(), "metric": metric, "n_scored": rows_scored}, row)
    name = (
        f"average of {', '.join(cells['classifier'].unique())}"
        if row["classifier"] == AVERAGE
        else str(first["cell"])
    )
    mean = f"{100 * cells.groupby('cell')[metric].mean().mean():.2f}"
    return mean, name, verdict.verdict, SEPARATOR.join(verdict.against or verdict.reasons)


def _cells(row: dict[str, str], grid: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the cell, or of the cells to average over, that answer to a published system."""
    same = grid[grid["modalities"].map(_parts) == _parts(row["modalities"])]
    family, _, method = row["fusion"].partition(" ")
    if method in STRATEGIES:
        fused = same[(same["family"] == family) & (same["method"] == method)]
        return fused[
            fused["classifier"].isin(
                COMPETITORS if row["classifier"] == AVERAGE else (row["classifier"],)
            )
        ]
    if row["classifier"] in BASELINES:
        return same[same["classifier"] == row["classifier"]]
    own = same[(same["family"] == UNIMODAL) & same["classifier"].isin((HEAD, PROBE))]
    return own if row["classifier"] == HEAD and len(own) else same[same["cell"] == _chosen(same)]


def _chosen(cells: pd.DataFrame) -> str:
    """Return the cell that is best on validation rows.

    Single layers are no candidates, as in the grid.
    """
    cells = cells[cells["family"] != LAYER]
    valid = (
        cells.groupby("cell", sort=False)["valid_WA"].mean().dropna()
        if "valid_WA" in cells
        else pd.Series(dtype=float)
    )
    return str(first_best(valid.to_dict())) if len(valid) else ""


def _parts(modalities: str) -> frozenset[str]:
    return frozenset(modalities.split("+"))
