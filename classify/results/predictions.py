"""The columns of ``predictions.parquet``: every test row, every cell, its label and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from classify.evaluation.predictions import CLUSTERS
from classify.grid.calibration import Calibrated
from classify.grid.outcome import CellOutcome
from classify.grid.prepared import PreparedGrid
from classify.models.classifiers import LOG_PROBABILITY, PROBABILITY
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.arrays import SCORED_ROLES


def _calibrated_columns(prepared: PreparedGrid) -> list[str]:
    """Further columns of the predictions: none where nothing is calibrated."""
    return (
        [f"calibrated:{name}" for name in prepared.labels.classes]
        if prepared.config.calibrate != "none"
        else []
    )


def prediction_schema(prepared: PreparedGrid) -> pa.Schema:
    """Return the columns of ``predictions.parquet`` with their types."""
    word, calibrated = pa.dictionary(pa.int32(), pa.string()), _calibrated_columns(prepared)
    words = (
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
    return pa.schema(
        [
            ("id", pa.string()),
            ("fold", pa.int32()),
            ("seed", pa.int32()),
            *((name, word) for name in words),
            *((f"score:{name}", pa.float64()) for name in prepared.labels.classes),
            *((name, pa.float64()) for name in calibrated),
            *((("calibration", word),) if calibrated else ()),
        ],
        metadata={"claim": prepared.claim, "corpus": prepared.corpus},
    )


def cluster_columns(prepared: PreparedGrid) -> pd.DataFrame:
    """Who speaks, in which group and session, by utterance id."""
    table = Manifest.load(prepared.config.store / prepared.corpus).table
    return table.set_index("id")[list(CLUSTERS)].astype("category")


def prediction_columns(
    prepared: PreparedGrid,
    row: Mapping[str, object],
    outcome: CellOutcome,
    clusters: pd.DataFrame,
    calibrated: Calibrated,
) -> dict[str, pa.Array]:
    """One cell and fold as columns; scores of heads and probes leave their logarithms here."""
    answers = [outcome.reported(role) for role in SCORED_ROLES]
    sizes = [len(answer) for answer in answers]
    total, classes = sum(sizes), list(prepared.labels.classes)
    values = np.concatenate([answer.values for answer in answers])
    kind = answers[0].kind
    chances = np.concatenate(
        [
            calibrated.probabilities.get(role, np.full((size, len(classes)), np.nan))
            for role, size in zip(SCORED_ROLES, sizes, strict=True)
        ]
    )
    if kind == LOG_PROBABILITY:
        values, kind = np.exp(values), PROBABILITY

    def same(text: object) -> pa.Array:
        return pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(total, dtype=np.int32)), [str(text)]
        )

    def coded(codes: np.ndarray, names: Sequence[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), list(names))

    ids = np.concatenate([outcome.ids[role] for role in SCORED_ROLES]).tolist()
    of_rows = clusters.loc[ids]
    return {
        "id": pa.array(ids, pa.string()),
        **{name: pa.array(np.full(total, row[name], dtype=np.int32)) for name in ("fold", "seed")},
        **{
            name: coded(of_rows[name].cat.codes.to_numpy(), list(clusters[name].cat.categories))
            for name in CLUSTERS
        },
        "role": coded(np.repeat(np.arange(len(sizes)), sizes), SCORED_ROLES),
        **{
            name: same(row[name])
            for name in (
                "encoder_seed",
                "cell",
                "family",
                "method",
                "modalities",
                "classifier",
                "layer",
            )
        },
        "kind": same(kind),
        "y_true": coded(np.concatenate([outcome.y[role] for role in SCORED_ROLES]), classes),
        "y_pred": coded(np.concatenate([answer.labels for answer in answers]), classes),
        **{
            f"score:{name}": pa.array(np.ascontiguousarray(values[:, i]))
            for i, name in enumerate(classes)
        },
        **{
            name: pa.array(np.ascontiguousarray(chances[:, i]))
            for i, name in enumerate(_calibrated_columns(prepared))
        },
        **({"calibration": same(calibrated.about)} if _calibrated_columns(prepared) else {}),
    }
