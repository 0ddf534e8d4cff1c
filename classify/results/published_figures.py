"""Published figures, and ours beside them: which may be compared, and why.

``published`` beside this file is a link to ``benchmarks/published``, where the tables are kept: so
they have one home, a reader of the repository finds them there, and an installed tool has them as
data of this package. ``benchmarks/README.md`` explains their columns.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import pandas as pd

from classify.claim import CLAIM, Claim
from classify.evaluation.agreement import check_folder
from classify.evaluation.means import first_best, has_chosen, mean_on_valid
from classify.evaluation.metrics import COVERAGE, METRICS
from classify.evaluation.result_files import GRID_SHAPE, read_rows
from classify.fusion.strategies import STRATEGIES
from classify.models.classifiers import baselines, competitors
from classify.names import BASELINE, HEAD, LAYER, PROBE, UNIMODAL
from classify.results.cell_rows import SEEDS
from classify.results.comparable import comparable
from embeddings_store.errors import StoreError, unknown_name
from embeddings_store.reading import reading

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
NEEDED = replace(
    GRID_SHAPE,
    needed=(
        *GRID_SHAPE.needed,
        "corpus",
        "modalities",
        "method",
        "classifier",
        "n_scored",
        *METRICS,
    ),
)
NOTHING, SEPARATOR = "-", "; "


def published(corpus: str = "", metric: str = "") -> pd.DataFrame:
    """Return published rows, every cell a string, in the columns ``file`` and :data:`COLUMNS`.

    Args:
        corpus: Only of this corpus.
        metric: Only this metric.

    Raises:
        UnknownNameError: Nothing is published of such a corpus or metric.
        StoreError: A table has other columns.

    >>> rows = published("iemocap", "WA")
    >>> rows[(rows["table"] == "Table 5") & (rows["classifier"] == "svm")]["value"].tolist()
    ['75.451', '75.42', '']
    """
    folder = files("classify.results") / "published"
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    tables = [_read_published(entry) for entry in entries if entry.name.endswith(".csv")]
    rows = pd.concat(tables, ignore_index=True)
    for column, wanted in (("corpus", corpus), ("metric", metric)):
        if not wanted:
            continue
        names = sorted(set(rows[column]))
        if wanted not in names:
            unknown_name(f"{column} of published figures", wanted, names)
        rows = rows[rows[column] == wanted]
    return rows.reset_index(drop=True)


def _read_published(entry: Traversable) -> pd.DataFrame:
    about = (entry.name, "a table of published figures", "install the package again", StoreError)
    with reading(*about), entry.open(encoding="utf-8") as handle:
        # "none" is a rule of selection here, and no missing value
        table = pd.read_csv(handle, dtype=str, keep_default_na=False)
    if tuple(table.columns) != COLUMNS:
        raise StoreError(
            f"{entry.name}: has the columns {', '.join(table.columns)}, not {', '.join(COLUMNS)}"
        )
    table.insert(0, "file", entry.name)
    return table


def read_grid(results: Path) -> pd.DataFrame:
    """Return the rows of ``grid.csv``, words as they stand there and figures as numbers.

    Args:
        results: A results folder, or the file itself.

    Raises:
        StoreNotFoundError: It is not there.
        StoreError: It is not such a table, or the predictions beside it say otherwise.
    """
    path = results / "grid.csv" if results.is_dir() else results
    grid = read_rows(path, NEEDED)
    check_folder(path.parent, grid)
    return grid


@dataclass(frozen=True, slots=True)
class _Ours:
    """What stands beside one published row; the names of the fields are those of the columns.

    Attributes:
        ours: Our figure in per cent, the mean over folds, with two decimals.
        our_cell: The cell that it is of.
        our_claim: What our figure may be called.
        comparable: ``yes``, ``caution`` or ``no``.
        why: The reasons.
    """

    ours: str
    our_cell: str
    our_claim: str
    comparable: str
    why: str

    @classmethod
    def none(cls, why: str) -> _Ours:
        return cls(NOTHING, "", "", NOTHING, why)


def beside(rows: pd.DataFrame, grid: pd.DataFrame) -> pd.DataFrame:
    """Put ours beside published rows.

    A published system answers to the cell of the same fusion, classifier and modalities, a single
    encoder with its head to our head or probe; a majority to ours, always the commonest class of
    training; one of another kind, such as a record, to the cell of its modalities that is best on
    validation rows.

    Args:
        rows: What :func:`published` returns.
        grid: What :func:`read_grid` returns.

    Returns:
        The rows with the columns ``ours`` (per cent, mean over folds), ``our_cell``,
        ``our_claim``, ``comparable`` and ``why`` as well.
    """
    found = [_ours(row, grid) for row in rows.to_dict("records")]
    columns = {}
    for field in fields(_Ours):
        columns[field.name] = [getattr(line, field.name) for line in found]
    return rows.assign(**columns)


def _ours(row: dict[str, str], grid: pd.DataFrame) -> _Ours:
    metric = row["metric"]
    if metric not in METRICS or row["class"]:
        return _Ours.none(f"only {', '.join(METRICS)} over all classes are compared")
    if not row["value"]:
        return _Ours.none("nothing was published")
    cells = _cells(row, grid)
    if not len(cells):
        return _Ours.none("the results have no such system")
    first = cells.iloc[0]
    # rows scored are those of one run over all folds, not of every cell and seed together
    one_run = ["cell", *(name for name in SEEDS if name in cells)]
    n_scored = cells.groupby(one_run, sort=False)["n_scored"].sum().iloc[0]
    claim = Claim.of_rows(cells)
    ours = {**first.to_dict(), "metric": metric, "n_scored": n_scored, CLAIM: claim.text}
    if COVERAGE in cells:
        ours[COVERAGE] = cells[COVERAGE].mean()
    found = comparable(ours, row)
    name = str(first["cell"])
    if row["classifier"] == AVERAGE:
        name = f"average of {', '.join(cells['classifier'].unique())}"
    mean = f"{100 * cells.groupby('cell')[metric].mean().mean():.2f}"
    return _Ours(
        mean, name, claim.text, found.verdict, SEPARATOR.join(found.against or found.reasons)
    )


def _cells(row: dict[str, str], grid: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the cell that answers to a published system.

    Where the system is an average over classifiers, of the cells to average over.
    """
    same = grid[grid["modalities"].map(_parts) == _parts(row["modalities"])]
    family, _, method = row["fusion"].partition(" ")
    if method in STRATEGIES:
        fused = same[(same["family"] == family) & (same["method"] == method)]
        classifiers = competitors() if row["classifier"] == AVERAGE else (row["classifier"],)
        return fused[fused["classifier"].isin(classifiers)]
    if row["classifier"] in baselines():  # ours knows nothing of modalities, as in the tables
        return grid[grid["classifier"] == row["classifier"]]
    if row["classifier"] == HEAD:
        own = same[(same["family"] == UNIMODAL) & same["classifier"].isin((HEAD, PROBE))]
        if len(own):
            return own
    return same[same["cell"] == _best_on_valid(same)]


def _best_on_valid(cells: pd.DataFrame) -> str:
    """Return the cell that is best on validation rows, or nothing where there are none.

    Single layers and chance are no candidates, and rows without an answer count as wrong, as in the
    grid.
    """
    candidates = cells[~cells["family"].isin((LAYER, BASELINE))]
    if not has_chosen(candidates):
        return ""
    return str(first_best(mean_on_valid(candidates).to_dict()))


def _parts(modalities: str) -> frozenset[str]:
    return frozenset(modalities.split("+"))
