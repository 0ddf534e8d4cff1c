"""The columns of ``grid.csv``, and the table that is read from it and written to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from classify.claim import Claim
from classify.evaluation.agreement import check_folder
from classify.evaluation.means import FITTED_WA
from classify.evaluation.metrics import COMPLETENESS, METRICS
from classify.evaluation.result_files import GRID, GRID_SHAPE, read_rows
from classify.names import BASELINE, EARLY, LATE, LAYER, SYSTEM, UNIMODAL
from classify.results.files import write_csv
from classify.systems.cell import Cell
from embeddings_store.errors import StoreError
from embeddings_store.vectors.view_names import short_views

TEXT, COUNT, NUMBER = "text", "count", "number"
DTYPES = {TEXT: "str", COUNT: "int64", NUMBER: "float64"}

# The one place that states the order of the columns.
SCHEMA: Mapping[str, str] = {
    "claim": TEXT,
    "corpus": TEXT,
    "protocol": TEXT,
    "plan": TEXT,
    "plan_digest": TEXT,
    "split_digest": TEXT,
    "test_digest": TEXT,
    "valid_rule": TEXT,
    "shared": TEXT,
    "selection_rule": TEXT,
    "label_set": TEXT,
    "labels_digest": TEXT,
    "fold": COUNT,
    "fold_name": TEXT,
    "cell": TEXT,
    "family": TEXT,
    "method": TEXT,
    "modalities": TEXT,
    "classifier": TEXT,
    "scores_from": TEXT,
    "layer": TEXT,
    "encoders": TEXT,
    "metadata": TEXT,
    "verified": TEXT,
    "fit_rows": TEXT,
    "learnt_on": TEXT,
    "weights": TEXT,
    "expression": TEXT,
    "settings": TEXT,
    "seed": COUNT,
    "encoder_seed": TEXT,
    "labels_shuffled": TEXT,
    "n_train": COUNT,
    "n_valid": COUNT,
    "n_test": COUNT,
    "n_fit": COUNT,
    "n_fit_seen": COUNT,
    "n_test_selected": COUNT,
    "n_choice": COUNT,
    "n_scored": COUNT,
    "n_valid_scored": COUNT,
    "n_missing": COUNT,
    "n_unlabelled": COUNT,
    **dict.fromkeys(METRICS, NUMBER),
    **dict.fromkeys(COMPLETENESS, NUMBER),
    "train_WA": NUMBER,
    "valid_WA": NUMBER,
    "valid_coverage": NUMBER,
    "valid_WA_all": NUMBER,
    FITTED_WA: NUMBER,
    "constant": TEXT,
    "constant_WA": NUMBER,
    "train_margin": NUMBER,
    "test_margin": NUMBER,
    "margin_gap": NUMBER,
    "calibration": TEXT,
    "ECE": NUMBER,
    "ECE_calibrated": NUMBER,
    "calibrated_WA": NUMBER,
    "chosen_on": TEXT,
    "shared_rows": TEXT,
    "flags": TEXT,
    "versions": TEXT,
    "fit_s": NUMBER,
    "date": TEXT,
    "commit": TEXT,
    "command": TEXT,
}

# the columns in which two runs of the same grid may differ
VOLATILE = ("fit_s", "date", "commit", "command")

CHOSEN, ON_FITTED, FIXED, ON_TEST, BEST_ON_TEST = (
    "chosen_on_valid",
    "chosen_on_fitted",
    "fixed_beforehand",
    "chosen_on_test",
    "best_on_test",
)
CANDIDATES = (UNIMODAL, EARLY, LATE, SYSTEM)


@dataclass(frozen=True, slots=True)
class ResultTable:
    """One row per cell, fold and seed, in the columns of :data:`SCHEMA`.

    Attributes:
        rows: The table. Metrics are in [0, 1], ``nan`` where nothing was measured; ``train_WA`` of
            a probe is out of fold; ``constant`` is the commonest class of the rows scored and
            ``constant_WA`` what always answering it gives, which nobody could know beforehand.
            ``protocol`` is the plan's name where none was asked for; ``split_digest`` is over the
            labelled rows and their roles, so it is the same in every store; ``shared`` says which
            roles share speakers or groups; ``selection_rule`` what chose the epochs of trained
            encoders. ``n_test`` are all test rows of the plan but those whose label the set drops;
            of them ``n_scored`` have a label and a vector of the cell, ``n_unlabelled`` no label,
            and ``n_missing`` a label but not every modality of the cell. ``WA`` and all other
            metrics are of scored rows, ``coverage`` and ``WA_all`` of all of them. ``valid_WA`` and
            ``n_valid_scored`` are of scored validation rows that choose the cell, of which the plan
            has ``n_choice``; ``valid_WA_all``, by which it is chosen, and ``valid_coverage`` are of
            all of these. ``fitted_WA`` stands in their place where an encoder was fitted on rows
            that choose, over all of ``n_choice``. For margins, calibration and the ``ECE`` of test
            rows see :mod:`classify.grid.calibration`, for ``chosen_on`` and ``shared_rows``
            :mod:`classify.results.choices`.
    """

    rows: pd.DataFrame

    def __post_init__(self) -> None:
        """Bring the columns into their order and types.

        Raises:
            StoreError: Columns are absent, or there are others.
        """
        absent = [name for name in SCHEMA if name not in self.rows]
        strange = [str(name) for name in self.rows if name not in SCHEMA]
        if absent or strange:
            raise StoreError(
                f"a table of results lacks the columns {absent} and has {strange} too many; it "
                "was written by another version of this program, delete it and run the grid again"
            )
        types = {name: DTYPES[kind] for name, kind in SCHEMA.items()}
        object.__setattr__(self, "rows", self.rows[list(SCHEMA)].astype(types))

    def write(self, path: Path) -> None:
        """Write CSV, whole or not at all.

        :meth:`read` gives back the same table to the last bit.
        """
        write_csv(path, self.rows, self.claim)

    @classmethod
    def read(cls, path: Path) -> ResultTable:
        """Read what :meth:`write` wrote.

        Raises:
            StoreError: The file is not such a table.
        """
        numbers = "|".join(name for name, kind in SCHEMA.items() if kind != TEXT)
        shape = replace(GRID_SHAPE, numbers=numbers)
        rows = read_rows(path, shape)
        try:
            return cls(rows)
        except ValueError as error:
            raise StoreError(f"{path}: is not a table of results ({error})") from error

    @property
    def claim(self) -> Claim:
        """What the figures may be called."""
        return Claim.of_rows(self.rows)

    def flagged(self, flag: str) -> str:
        """Return the name of the cell that carries a flag, or an empty string."""
        return flagged_cell(self.rows, flag)

    @property
    def headline(self) -> str:
        """The cell that counts, see :func:`headline_cell`."""
        return headline_cell(self.rows)


def flagged_cell(rows: pd.DataFrame, flag: str) -> str:
    """Return the name of the cell that carries a flag, or an empty string.

    Args:
        rows: Rows of ``grid.csv`` with the columns ``cell`` and ``flags``.
        flag: ``chosen_on_valid`` or another of them.
    """
    marked = [flag in flags for flags in rows["flags"].str.split()]
    names = rows.loc[marked, "cell"]
    return str(names.iloc[0]) if len(names) else ""


def headline_cell(rows: pd.DataFrame) -> str:
    """Return the cell that counts by the flags of ``grid.csv``.

    Chosen on valid or on fitted rows, else fixed beforehand, else (an upper bound) chosen on test,
    else none.

    >>> rows = pd.DataFrame({"cell": ["a", "b"], "flags": ["best_on_test", "fixed_beforehand"]})
    >>> headline_cell(rows)
    'b'
    """
    named = (flagged_cell(rows, flag) for flag in (CHOSEN, ON_FITTED, FIXED, ON_TEST))
    return next(filter(None, named), "")


def cell_name(cell: Cell, layer: str = "") -> str:
    """Name a cell in one word per part, the same for all folds.

    >>> cell_name(Cell("early", "sum", ("audio", "text"), "svm"))
    'early sum audio+text svm'
    >>> cell_name(Cell("early", "sum", ("audio.L4", "audio.L5", "audio.L6"), "svm"))
    'early sum audio.L4-6 svm'
    >>> cell_name(Cell("layer", "", ("audio",), "svm", layer=2), "audio=2")
    'layer audio=2 svm'
    """
    if cell.family == BASELINE:
        return f"{BASELINE} {cell.classifier}"
    names = [one if isinstance(one, str) else one.name for one in cell.inputs]
    over = layer if cell.family == LAYER else short_views(names)
    parts = (cell.family, cell.method, over, cell.classifier)
    return " ".join(part for part in parts if part)


def inputs_shown(row: Mapping[str, object]) -> str:
    """Return what goes into a cell as its name has it, joined by ``+``.

    Args:
        row: A row of ``grid.csv``, with the columns ``cell``, ``family``, ``modalities``,
            ``classifier`` and, where there is one, ``method``.

    >>> inputs_shown(
    ...     {
    ...         "cell": "unimodal audio[mean of 2 layers] svm",
    ...         "family": "unimodal",
    ...         "modalities": "audio.L4+audio.L5",
    ...         "classifier": "svm",
    ...     }
    ... )
    'audio[mean of 2 layers]'
    """
    before = [str(row["family"]), str(row.get("method") or "")]
    start, end = " ".join(filter(None, before)) + " ", f" {row['classifier']}"
    cell = str(row["cell"])
    if cell.startswith(start) and cell.endswith(end) and len(cell) > len(start) + len(end):
        return cell[len(start) : -len(end)]
    return short_views(str(row["modalities"]).split("+"))


def read_results(folder: str | Path) -> ResultTable:
    """Read the table of a folder that ``run-fusion-grid --out`` or :func:`classify.run_grid` wrote.

    Raises:
        StoreError: The folder holds no such table, or a damaged one, or ``predictions.parquet``
            says otherwise.
    """
    table = ResultTable.read(Path(folder) / GRID)
    check_folder(Path(folder), table.rows)
    return table
