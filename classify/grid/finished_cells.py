"""One file per finished cell and fold, named by its key, so that no work is done twice.

A file is an ``.npz`` without pickles: ids, true codes, and values per role and stage, and one JSON
text that repeats what the key was made of, with a digest over all of it. It is renamed into place
when whole; what cannot be read back is computed again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classify.grid.outcome import CellOutcome, Stage
from classify.grid.specification import ALGORITHM, CellSpec
from classify.models.class_scores import ClassScores
from embeddings_store.array_files import digest_of, read_npz
from embeddings_store.atomic import replacing
from embeddings_store.errors import StoreError
from embeddings_store.reading import reading
from embeddings_store.vectors.arrays import SCORED_ROLES

FORMAT = "emotion-grid-cell"
FINISHED_CELL, CHANGED = "a finished cell", "its bytes have changed since it was written"


def write_outcome(spec: CellSpec, outcome: CellOutcome) -> None:
    """Write one file, whole or not at all.

    Args:
        spec: What was computed; the file is named by it and repeats it.
        outcome: What came of it.

    Raises:
        StoreFullError: The disk is full; what was finished before is safe.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for role in SCORED_ROLES:
        arrays[f"{role}.ids"] = (
            np.char.encode(outcome.ids[role], "utf-8")
            if len(outcome.ids[role])
            else np.zeros(0, "S1")
        )
        arrays[f"{role}.y"] = outcome.y[role]
        for stage, answers in outcome.stages.items():
            arrays[f"{stage}.{role}"] = answers[role].values
    kind = next(iter(outcome.stages.values()))["test"].kind
    record = {
        "format": FORMAT,
        "key": spec.key,
        "what": spec.record,
        "stages": list(outcome.stages),
        "kind": kind,
        "facts": outcome.facts,
    }
    record["digest"] = _digest(arrays, record)
    path = spec.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, clear=False) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            allow_pickle=False,
            record=np.frombuffer(json.dumps(record).encode(), dtype=np.uint8),
            **arrays,
        )


def read_outcome(path: Path, key: str) -> CellOutcome:
    """Read one file back and check that it is whole and answers to ``key``.

    Raises:
        StoreError: It is cut short, damaged, or of another key.
    """
    # a changed byte may name a compression or a password that does not exist, or any shape
    with reading(path, FINISHED_CELL, CHANGED, StoreError):
        file = read_npz(path, advice=CHANGED, raises=StoreError)
        record = json.loads(file["record"].tobytes())
        if record["format"] != FORMAT or record["key"] != key:
            raise StoreError(f"{path}: holds the cell {record.get('key')}, not {key}")
        if record.get("digest", "") not in {"", _digest(file, record)}:  # older files have none
            raise StoreError(f"{path}: {CHANGED}")
        ids = {role: _words(file[f"{role}.ids"]) for role in SCORED_ROLES}
        y = {role: np.asarray(file[f"{role}.y"], dtype=np.int64) for role in SCORED_ROLES}
        stages: dict[str, Stage] = {stage: {} for stage in record["stages"]}
        for stage, answers in stages.items():
            for role in SCORED_ROLES:
                values = np.asarray(file[f"{stage}.{role}"], dtype=np.float64)
                answers[role] = ClassScores(values, record["kind"])
    for answers in stages.values():
        for role, scores in answers.items():
            as_many = len(ids[role]) == len(y[role]) == len(scores)
            if not as_many or not np.isfinite(scores.values).all():
                raise StoreError(
                    f"{path}: its {role} rows do not agree with each other or are not finite"
                )
    return CellOutcome(ids, y, stages, record["facts"])


def _digest(arrays: Mapping[str, NDArray[np.generic]], record: Mapping[str, object]) -> str:
    """Twelve hex digits over every array and the record, both without what they say of themselves.

    An archive's own checksums are no help against a program that writes them anew.
    """
    content = {name: value for name, value in record.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True).encode()
    return digest_of({**arrays, "record": np.frombuffer(text, dtype=np.uint8)})


def _words(encoded: NDArray[np.generic]) -> NDArray[np.str_]:
    """Return encoded ids (n,) as text; cells of a fold answer the same rows."""
    return _decoded(encoded.tobytes(), encoded.dtype.str)


@lru_cache(maxsize=64)
def _decoded(content: bytes, dtype: str) -> NDArray[np.str_]:
    ids = np.char.decode(np.frombuffer(content, dtype=np.dtype(dtype)), "utf-8")
    ids.setflags(write=False)
    return ids


def cells_of_older_versions(folder: Path) -> int:
    """Count the finished cells in a folder that an older version of the code computed.

    None are counted where cells of this version are there, because then an earlier run has counted
    them. Their files stay where they are, for whoever goes back to the older version.
    """
    older = 0
    for path in folder.glob("*.npz"):
        version = _version_of(path)
        if version == ALGORITHM:
            return 0
        older += version is not None and version < ALGORITHM
    return older


def _version_of(path: Path) -> int | None:
    """Return the version that a finished cell records, 0 where it records none, None if unread."""
    with suppress(StoreError), reading(path, FINISHED_CELL, CHANGED, StoreError):
        file = read_npz(path, only=("record",), raises=StoreError)
        record = json.loads(file["record"].tobytes())
        return int(record["what"].get("algorithm", 0)) if record["format"] == FORMAT else None
    return None
