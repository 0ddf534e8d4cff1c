"""The columns of ``predictions.parquet``: every row of every cell, its label and its scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from classify.claim import CLAIM
from classify.evaluation.predictions import CLUSTERS, needed_columns
from classify.grid.calibration import Calibrated
from classify.grid.outcome import CellOutcome
from classify.grid.prepared import PreparedGrid
from classify.models.class_scores import LOG_PROBABILITY, PROBABILITY
from classify.names import BASELINE
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.arrays import SCORED_ROLES

NUMBERS = ("fold", "seed")
OF_CELL = (CLAIM, "encoder_seed", "cell", "family", "method", "modalities", "classifier", "layer")
WORDS = (
    CLAIM,
    *CLUSTERS,
    "encoder_seed",
    "role",
    "cell",
    "family",
    "method",
    "modalities",
    "classifier",
    "layer",
    "kind",
    "y_true",
    "y_pred",
)

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


def prediction_schema(prepared: PreparedGrid) -> pa.Schema:
    """Return the columns of ``predictions.parquet`` with their types, in their order."""
    # a word is stored once and its rows are numbers, so that millions of them stay small
    word = pa.dictionary(pa.int32(), pa.string())
    columns = [("id", pa.string())]
    columns += [(name, pa.int32()) for name in NUMBERS]
    columns += [(name, word) for name in WORDS]
    columns += [(f"score:{name}", pa.float64()) for name in prepared.labels.classes]
    if _is_calibrated(prepared):
        columns += [(f"calibrated:{name}", pa.float64()) for name in prepared.labels.classes]
        columns.append(("calibration", word))
    return pa.schema(columns, metadata={CLAIM: prepared.claim.text, "corpus": prepared.corpus})


class UtteranceColumns:
    """The columns that say which utterance a row is: id, who speaks, in which group and session.

    Cells of a fold answer the same rows, so their columns are made once.

    Args:
        prepared: The run, for the corpus' manifest.
    """

    def __init__(self, prepared: PreparedGrid) -> None:
        table = Manifest.load(prepared.config.store / prepared.corpus).table
        self._place = pd.Index(table["id"])
        self._clusters = {name: table[name].astype("category").cat for name in CLUSTERS}
        self._made: dict[bytes, dict[str, pa.Array]] = {}

    def of(self, ids: NDArray[np.str_]) -> dict[str, pa.Array]:
        """Return the columns of some utterances.

        Args:
            ids: Theirs (n,).
        """
        key = hashlib.sha256(np.ascontiguousarray(ids).data).digest()
        if key not in self._made:
            places = self._place.get_indexer(ids)
            columns = {"id": pa.array(ids.tolist(), pa.string())}
            for name, category in self._clusters.items():
                codes = category.codes.to_numpy()[places]
                columns[name] = _words(codes, list(category.categories))
            self._made[key] = columns
        return self._made[key]


def prediction_columns(
    prepared: PreparedGrid,
    row: Mapping[str, object],
    outcome: CellOutcome,
    rows_of: UtteranceColumns,
    calibrated: Calibrated,
) -> dict[str, pa.Array]:
    """Return one cell and fold as columns, the rows of every role.

    Args:
        prepared: The run.
        row: The cell's and fold's row of ``grid.csv``.
        outcome: What the cell answered.
        rows_of: The columns that say which utterance a row is.
        calibrated: Its calibrated probabilities.
    """
    classes = prepared.labels.classes
    ids = np.concatenate([outcome.ids[role] for role in SCORED_ROLES])
    answers = [outcome.reported(role) for role in SCORED_ROLES]
    sizes = [len(answer) for answer in answers]
    values, kind = np.concatenate([answer.values for answer in answers]), answers[0].kind
    if kind == LOG_PROBABILITY:  # heads and probes compute in logarithms, readers want none
        values, kind = np.exp(values), PROBABILITY
    columns = dict(rows_of.of(ids))
    for name in NUMBERS:
        columns[name] = pa.array(np.full(len(ids), row[name], dtype=np.int32))
    columns["role"] = _words(np.repeat(np.arange(len(sizes)), sizes), SCORED_ROLES)
    for name in OF_CELL:
        columns[name] = _one_word(row[name], len(ids))
    columns["kind"] = _one_word(kind, len(ids))
    columns["y_true"] = _words(np.concatenate([outcome.y[role] for role in SCORED_ROLES]), classes)
    columns["y_pred"] = _words(np.concatenate([answer.labels for answer in answers]), classes)
    for position, name in enumerate(classes):
        columns[f"score:{name}"] = pa.array(np.ascontiguousarray(values[:, position]))
    if _is_calibrated(prepared):
        chances = _calibrated_probabilities(calibrated, sizes, len(classes))
        for position, name in enumerate(classes):
            columns[f"calibrated:{name}"] = pa.array(np.ascontiguousarray(chances[:, position]))
        columns["calibration"] = _one_word(calibrated.about, len(ids))
    return columns


def rows_for_figures(part: pa.Table) -> pa.Table:
    """Return what figures of the same run are made from, so that none reads the file again.

    These are the test rows, and of baselines all rows: they say what every fold is fitted on.

    Args:
        part: The predictions of one cell and fold, in the columns of :func:`prediction_columns`.
    """
    part = part.select(needed_columns(part.column_names))
    if part.num_rows and part["family"][0].as_py() == BASELINE:
        return part
    role = part["role"].combine_chunks()
    return part.filter(pc.equal(role.indices, role.dictionary.to_pylist().index("test")))


def label_codes(part: pa.Table, column: str) -> Codes:
    """Return the class codes (n,) of ``y_true`` or ``y_pred``.

    Args:
        part: In the columns of :func:`prediction_columns`, whose words are the label order.
        column: Which of the two.
    """
    codes: Codes = part[column].combine_chunks().indices.to_numpy().astype(np.int64)
    return codes


def _is_calibrated(prepared: PreparedGrid) -> bool:
    return prepared.config.calibrate != "none"


def _calibrated_probabilities(
    calibrated: Calibrated, sizes: Sequence[int], n_classes: int
) -> Floats:
    """Return the probabilities (n, C) of all roles, ``nan`` where none were calibrated."""
    parts = [
        calibrated.probabilities.get(role, np.full((size, n_classes), np.nan))
        for role, size in zip(SCORED_ROLES, sizes, strict=True)
    ]
    return np.concatenate(parts)


def _one_word(text: object, size: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(_zeros(size), [str(text)])


@lru_cache(maxsize=64)
def _zeros(size: int) -> pa.Array:
    return pa.array(np.zeros(size, dtype=np.int32))


def _words(codes: NDArray[np.integer], words: Sequence[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), list(words))
