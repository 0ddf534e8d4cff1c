"""The test rows of a results folder as confusions.

What every cell answered, by fold and by cluster.

Works on any folder that ``run-fusion-grid`` wrote, whatever cells it has; columns are taken by
name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classify.evaluation.agreement import (
    ANSWERS,
    check_agreement,
    check_answers,
    check_claim,
    check_columns,
)
from classify.evaluation.intervals import Counts, cluster_counts
from classify.evaluation.result_files import AGAIN, GRID, GRID_SHAPE, PREDICTIONS, read_rows
from embeddings_store.errors import StoreError, StoreNotFoundError, UsageError, unknown_name
from embeddings_store.reading import reading

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CLUSTERS = ("speaker", "group", "session")
WORDS = ("cell", "y_true", "y_pred", "kind")
SEEDS = ("seed", "encoder_seed")
PROBABILITY = "probability"
# What comparisons take from grid.csv beside its figures.
COUNTS = ("n_test", "n_missing", "n_scored", "n_fit")
COMPARED_GRID = replace(
    GRID_SHAPE,
    needed=(*GRID_SHAPE.needed, "modalities", "method", "classifier", *COUNTS),
)

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CellPredictions:
    """The test rows of one cell.

    Attributes:
        key: Which utterance in which fold (n,), ascending; equal keys of two cells are the same
            row.
        fold: Number of the fold (n,).
        y_true: True class codes (n,).
        y_pred: Predicted class codes (n,).
        cluster: Codes of the clusters (n,).
        largest: The largest class probability (n,), or none where the cell gives margins.
    """

    key: Codes
    fold: Codes
    y_true: Codes
    y_pred: Codes
    cluster: Codes
    largest: NDArray[np.float64] | None

    def take(self, rows: NDArray[np.generic]) -> CellPredictions:
        """Return some of the rows, by mask (n,) or positions (k,)."""
        return CellPredictions(
            self.key[rows],
            self.fold[rows],
            self.y_true[rows],
            self.y_pred[rows],
            self.cluster[rows],
            None if self.largest is None else self.largest[rows],
        )


@dataclass(frozen=True, slots=True)
class StoredPredictions:
    """What all cells of a results folder answered on test rows.

    Attributes:
        grid: The rows of ``grid.csv``, one per cell and fold.
        classes: The label order.
        cells: Cell to its test rows.
        cluster_by: Which column of the manifest tells clusters apart; empty where none is filled
            for every row.
        clusters: The clusters' names; their codes are positions here.
        sessions: In how many sessions several speakers sit together, each speaker in one; 0 where
            it is not so.
    """

    grid: pd.DataFrame
    classes: tuple[str, ...]
    cells: dict[str, CellPredictions]
    cluster_by: str
    clusters: Sequence[str]
    sessions: int = 0

    @property
    def cluster_note(self) -> str:
        """Why there can be no interval at all; empty where there can."""
        if self.cluster_by:
            return ""
        return (
            "the manifest fills neither speaker, group nor session for every row, so nothing "
            "tells which rows go together"
        )

    def cell(self, name: str) -> CellPredictions:
        """Return the rows of a cell.

        Raises:
            UnknownNameError: There is no such cell.
        """
        if name not in self.cells:
            unknown_name("cell", name, list(self.cells))
        return self.cells[name]

    def counts(self, rows: CellPredictions) -> Counts:
        """Return one confusion per cluster (G, C, C)."""
        return cluster_counts(
            rows.y_true, rows.y_pred, rows.cluster, len(self.clusters), len(self.classes)
        )

    def fold_counts(self, rows: CellPredictions) -> Counts:
        """Return one confusion per fold that has rows (K, C, C)."""
        numbers, place = np.unique(rows.fold, return_inverse=True)
        return cluster_counts(rows.y_true, rows.y_pred, place, len(numbers), len(self.classes))


def read_predictions(results: Path, cluster_by: str = "") -> StoredPredictions:
    """Read the test rows of a results folder.

    Args:
        results: The folder.
        cluster_by: ``speaker``, ``group`` or ``session``; empty takes the first that every row has.

    Raises:
        StoreNotFoundError: The folder holds no results.
        StoreError: They are damaged, were written before predictions named speakers, or
            ``grid.csv`` says other than the predictions.
        UsageError: Not every row has such a cluster.
    """
    import pyarrow.parquet as pq

    for name in (GRID, PREDICTIONS):
        if not (results / name).is_file():
            raise StoreNotFoundError(
                f"{results}: no {name} here; give the folder that run-fusion-grid --out wrote"
            )
    grid, path = read_rows(results / GRID, COMPARED_GRID), results / PREDICTIONS
    with reading(path, ANSWERS, AGAIN, StoreError):
        check_columns(path, pq.read_schema(path))
        rows = only_test_rows(read_parts(path))
        check_answers(path, rows, rows.column_names)
    check_claim(path, grid)
    check_agreement(path, grid, rows)
    return arrange_predictions(grid, rows, results, cluster_by)


def arrange_predictions(
    grid: pd.DataFrame, table: pa.Table, results: Path, cluster_by: str = ""
) -> StoredPredictions:
    """Arrange test rows by cell, as :func:`read_predictions` does for those of a folder.

    Args:
        grid: The rows of ``grid.csv``.
        table: What :func:`only_test_rows` returns.
        results: The folder that errors name.
        cluster_by: ``speaker``, ``group`` or ``session``; empty takes the first that every row has.

    Raises:
        StoreError: The predictions were written before they named speakers, or a cell answers a row
            twice.
        UsageError: Not every row has such a cluster.
    """
    import pyarrow as pa

    column, codes, names = _clusters(table, cluster_by, results)
    classes = tuple(c.removeprefix("score:") for c in table.column_names if c.startswith("score:"))
    order = {name: code for code, name in enumerate(classes)}
    y_true, y_pred = (_codes(table[c], order) for c in ("y_true", "y_pred"))
    fold = table["fold"].to_numpy().astype(np.int64)
    ids = table["id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    key = ids * (int(fold.max(initial=0)) + 1) + fold
    # several seeds are pooled; clusters keep the answers to one utterance together
    for name in SEEDS:
        if name in table.column_names:
            of_seed, seeds = _factor(table[name].cast(pa.string()))
            key = key * len(seeds) + of_seed
    largest = np.max([table[f"score:{c}"].to_numpy() for c in classes], axis=0)
    probability = _codes(table["kind"], {PROBABILITY: 1}) == 1
    cell_codes, cell_names = _factor(table["cell"])
    cells = {}
    by_cell = np.lexsort((key, cell_codes))
    _check_once(table, by_cell, key, cell_codes, results)
    starts = np.searchsorted(cell_codes[by_cell], np.arange(1, len(cell_names)))
    for code, rows in enumerate(np.split(by_cell, starts)):
        gives_probabilities = probability[rows].all()
        cells[cell_names[code]] = CellPredictions(
            key=key[rows],
            fold=fold[rows],
            y_true=y_true[rows],
            y_pred=y_pred[rows],
            cluster=codes[rows],
            largest=largest[rows] if gives_probabilities else None,
        )
    names_in_order = [name for name in dict.fromkeys(grid["cell"]) if name in cells]
    sessions = _sessions(table, codes) if column == "speaker" else 0
    return StoredPredictions(
        grid, classes, {name: cells[name] for name in names_in_order}, column, names, sessions
    )


def _check_once(
    table: pa.Table, by_cell: NDArray[np.intp], key: Codes, cells: Codes, results: Path
) -> None:
    """Check that no cell answers a row twice, the rows being sorted by cell and key."""
    same = (np.diff(key[by_cell]) == 0) & (np.diff(cells[by_cell]) == 0)
    if same.any():
        place = int(by_cell[np.argmax(same)])
        raise StoreError(
            f"{results / PREDICTIONS}: is not {ANSWERS} ({table['id'][place]} is twice in cell "
            f"{table['cell'][place]}, fold {table['fold'][place]}); {AGAIN}"
        )


def read_parts(path: Path) -> Iterator[pa.Table]:
    """Yield the predictions of one cell and fold after the other, as they were written."""
    import pyarrow.parquet as pq

    with reading(path, ANSWERS, AGAIN, StoreError), pq.ParquetFile(path) as file:
        wanted = needed_columns(file.schema_arrow.names)
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=wanted)


def needed_columns(names: Sequence[str]) -> list[str]:
    """Return those columns of the predictions that figures are made from.

    >>> needed_columns(["id", "fold", "method", "score:anger", "calibrated:anger"])
    ['id', 'fold', 'score:anger']
    """
    known = {"id", "fold", "role", "family", *SEEDS, *WORDS, *CLUSTERS}
    return [name for name in names if name in known or name.startswith("score:")]


def only_test_rows(parts: Iterable[pa.Table]) -> pa.Table:
    """Return only the test rows of predictions: training rows are most of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tested = [part.filter(pc.equal(part["role"].cast(pa.string()), "test")) for part in parts]
    whole = pa.concat_tables(tested).unify_dictionaries()
    whole.validate(full=True)  # Arrow reads text without looking whether it is UTF-8
    return whole


def _clusters(table: pa.Table, wanted: str, results: Path) -> tuple[str, Codes, list[str]]:
    """Return which column, each row's code, and the clusters' names."""
    if wanted and wanted not in CLUSTERS:
        unknown_name("column of clusters", wanted, CLUSTERS)
    absent = [name for name in CLUSTERS if name not in table.column_names]
    if 0 < len(absent) < len(CLUSTERS):
        raise StoreError(
            f"{results / PREDICTIONS}: is not {ANSWERS} (it has no column {absent[0]!r}); {AGAIN}"
        )
    if absent:
        raise StoreError(
            f"{results / PREDICTIONS}: names no speakers, because an earlier version wrote it; run "
            "the same run-fusion-grid command again, finished cells are kept"
        )
    for column in [wanted] if wanted else CLUSTERS:
        codes, names = _factor(table[column])
        if "" not in names:
            return column, codes, names
        if wanted:
            lacking = int((codes == names.index("")).sum())
            raise UsageError(
                f"{lacking} of {len(codes)} test rows have no {wanted} in the manifest; fill its "
                "column, or choose another one"
            )
    return "", np.zeros(table.num_rows, dtype=np.int64), ["all rows"]


def _sessions(table: pa.Table, speakers: Codes) -> int:
    """Return how many sessions the speakers sit in.

    0 where sessions are not shared, or speakers are in several.
    """
    if "session" not in table.column_names:
        return 0
    sessions, names = _factor(table["session"])
    n_speakers = len(np.unique(speakers))
    n_pairs = len(np.unique(speakers * len(names) + sessions))
    each_in_one = n_pairs == n_speakers
    shared = n_speakers > len(names)
    return len(names) if each_in_one and shared and len(names) > 1 else 0


def _factor(column: pa.ChunkedArray) -> tuple[Codes, list[str]]:
    """Return codes (n,) and names of a dictionary column, names that do not occur left out."""
    import pyarrow as pa

    coded = column.combine_chunks()
    if not pa.types.is_dictionary(coded.type):
        coded = coded.dictionary_encode()
    present, codes = np.unique(coded.indices.to_numpy(), return_inverse=True)
    names = coded.dictionary.to_pylist()
    return codes.astype(np.int64), [str(names[i]) for i in present]


def _codes(column: pa.ChunkedArray, order: dict[str, int]) -> Codes:
    """Return each row's position in ``order``, -1 for other words."""
    codes, names = _factor(column)
    return np.array([order.get(name, -1) for name in names], dtype=np.int64)[codes]
