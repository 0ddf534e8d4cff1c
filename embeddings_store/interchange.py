"""Vectors from elsewhere into the store, and out of it again: npz, CSV, Parquet, and .npy with ids."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from embeddings_store.arrays import Embeddings, EncoderRef
from embeddings_store.atomic import exclusive, replacing
from embeddings_store.errors import ManifestError, StoreError, UsageError
from embeddings_store.hdf5 import content_digest, read_embeddings, store_path, write_embeddings
from embeddings_store.manifest import STRINGS, TIMES, Manifest, read_table, safe_name
from embeddings_store.provenance import collect, file_digest, fingerprint
from embeddings_store.seen import parse_seen

ROW_COLUMNS = ("id", "label", "speaker", "group", "session", "split", "language", "text")


@dataclass(frozen=True, slots=True)
class ImportJob:
    """What to bring in.

    Attributes:
        source: ``.npz`` (``ids`` and one array per modality), ``.csv`` or ``.parquet`` (``id`` and one column per
            dimension), or ``.npy``.
        store: The store's folder.
        seen: What the encoders know of the rows, see :func:`embeddings_store.seen.parse_seen`; there is no default.
        rows: Table with ``id`` and any of label, speaker, group, session, split, text; other columns become metadata.
        corpus: Name in the store; empty takes the source's stem.
        encoder: Name of the encoder; empty makes ``imported-<modality>``.
        modality: What the vectors are, where the source does not say.
        ids: ``.npy`` or text file with one id per line, for a source without ids.
        group: Column of ``rows`` that must not be torn apart by folds.
        protocol: The fold plan that belongs to the corpus.
    """

    source: Path
    store: Path
    seen: str
    rows: Path | None = None
    corpus: str = ""
    encoder: str = ""
    modality: str = ""
    ids: Path | None = None
    group: str = ""
    protocol: str = ""


def import_vectors(job: ImportJob) -> list[Path]:
    """Bring vectors into the store, one file per modality; returns the files.

    Raises:
        UsageError: The source is of no known kind, or an option is missing.
        ManifestError: Rows and vectors do not fit together.
        StoreMismatchError: The store already holds another corpus of this name.
    """
    if not job.source.is_file():
        raise ManifestError(f"{job.source}: no such file")
    ids, arrays = _read_source(job)
    manifest = _manifest(job, ids)
    seen = parse_seen(job.seen, manifest)
    position = _positions(job, manifest, ids)
    settings = {"imported": True, "source": job.source.name, "source_digest": file_digest(job.source)}
    ready = [_embeddings(job, modality, values, manifest, position, seen, settings) for modality, values in arrays.items()]
    manifest.enter(job.store)
    return [_place(job, manifest, embeddings, settings) for embeddings in ready]


def export_vectors(source: Path, target: Path) -> int:
    """Write one store file as npz, CSV or Parquet by the target's suffix; returns the number of rows.

    Tables get ``id, status, reason, seen``, ``v0 ... vD-1`` and ``score:CLASS``; npz gets the arrays under these names.

    Raises:
        UsageError: The suffix is none of these.
        StoreError: The file cannot be read.
    """
    file = read_embeddings(source)
    kind = target.suffix.lower()
    if kind not in {".npz", ".csv", ".parquet"}:
        raise UsageError(f"{target}: export writes .npz, .csv or .parquet, not {kind or 'a name without suffix'!r}")
    with replacing(target) as temporary:
        if kind == ".npz":
            with temporary.open("wb") as handle:
                np.savez(handle, **_export_arrays(file))  # type: ignore[arg-type]
        elif kind == ".csv":
            _export_table(file).to_csv(temporary, index=False)
        else:
            _export_table(file).to_parquet(temporary, index=False)
    return len(file.ids)


def _export_arrays(file: Embeddings) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {"ids": file.ids, "vectors": file.vectors, "seen": file.seen,
                                              "status": file.status, "reason": file.reason}
    if file.scores is not None:
        arrays |= {"scores": file.scores, "classes": np.array(file.classes)}
    return arrays


def _export_table(file: Embeddings) -> pd.DataFrame:
    table = pd.DataFrame({"id": file.ids, "status": file.status, "reason": file.reason, "seen": file.seen})
    vectors = pd.DataFrame(file.vectors, columns=[f"v{i}" for i in range(file.vectors.shape[1])])
    parts = [table, vectors]
    if file.scores is not None:
        parts.append(pd.DataFrame(file.scores, columns=[f"score:{c}" for c in file.classes]))
    return pd.concat(parts, axis=1)


def _read_source(job: ImportJob) -> tuple[NDArray[np.str_], dict[str, NDArray[np.float32]]]:
    kind = job.source.suffix.lower()
    try:
        if kind == ".npz":
            return _read_npz(job)
        if kind == ".npy":
            return _read_ids(job), {_modality(job): _matrix(np.load(job.source, allow_pickle=False), job.source.name)}
        if kind in {".csv", ".parquet", ".pq"}:
            return _read_columns(job)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, (ManifestError, UsageError)):
            raise
        hint = "; it holds Python objects, which are never loaded: save ids as strings" if "allow_pickle" in str(error) else ""
        raise ManifestError(f"{job.source}: cannot be read ({str(error).splitlines()[0]}){hint}") from error
    raise UsageError(f"{job.source}: import reads .npz, .npy, .csv and .parquet, not {kind!r}")


def _read_npz(job: ImportJob) -> tuple[NDArray[np.str_], dict[str, NDArray[np.float32]]]:
    with np.load(job.source, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    key = next((k for k in ("ids", "id") if k in arrays), "")
    ids = arrays.pop(key).astype(str) if key else _read_ids(job)
    matrices = {name: _matrix(values, name) for name, values in arrays.items() if values.ndim == 2}
    if not matrices:
        raise ManifestError(f"{job.source}: no array with two dimensions (rows, width); it holds "
                            f"{', '.join(f'{n} {v.shape}' for n, v in arrays.items()) or 'nothing'}")
    if job.modality and len(matrices) == 1:
        matrices = {job.modality: next(iter(matrices.values()))}
    return ids, matrices


def _read_columns(job: ImportJob) -> tuple[NDArray[np.str_], dict[str, NDArray[np.float32]]]:
    table = read_table(job.source)
    if "id" not in table:
        raise ManifestError(f"{job.source}: needs a column 'id'; got {', '.join(map(str, table.columns[:8]))}")
    wide = [c for c in table.columns if c not in (*STRINGS, *TIMES, "status", "reason", "seen")
            and not str(c).startswith(("meta_", "score:"))]
    try:
        values = table[wide].to_numpy(dtype=np.float32)
    except ValueError as error:
        raise ManifestError(f"{job.source}: every column beside id, label and their like must hold numbers: {error}") from error
    return table["id"].to_numpy(dtype=str), {_modality(job): _matrix(values, job.source.name)}


def _modality(job: ImportJob) -> str:
    if not job.modality:
        raise UsageError(f"{job.source}: does not say what its vectors are; add --modality text (or audio, video, ...)")
    return job.modality


def _read_ids(job: ImportJob) -> NDArray[np.str_]:
    if job.ids is None:
        raise UsageError(f"{job.source}: holds no ids; add --ids FILE (.npy, or text with one id per line, in row order)")
    if job.ids.suffix.lower() == ".npy":
        return np.asarray(np.load(job.ids, allow_pickle=False).astype(str))
    return np.array(job.ids.read_text(encoding="utf-8").splitlines())


def _matrix(values: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or values.shape[1] < 1:
        raise ManifestError(f"array {name!r} must hold numbers in the shape (rows, width), not {values.dtype} {values.shape}")
    return values.astype(np.float32)


def _manifest(job: ImportJob, ids: NDArray[np.str_]) -> Manifest:
    source = job.rows or (job.source if job.source.suffix.lower() in {".csv", ".parquet", ".pq"} else None)
    table = read_table(source) if source else pd.DataFrame({"id": ids})
    if "id" not in table:
        raise ManifestError(f"{source}: needs a column 'id'; got {', '.join(map(str, table.columns[:8]))}")
    if source and not job.rows:
        table = table[[c for c in table.columns if c in ROW_COLUMNS or str(c).startswith("meta_")]]
    columns: dict[str, object] = {c: table[c] for c in ROW_COLUMNS if c in table}
    columns |= {c if str(c).startswith("meta_") else f"meta_{c}": table[c] for c in table.columns if c not in ROW_COLUMNS}
    notes: tuple[str, ...] = ()
    group = job.group or ("video" if "group" not in table and "video" in table else "")
    if group:
        if group not in table:
            raise UsageError(f"--group {group!r}: {source} has the columns {', '.join(map(str, table.columns))}")
        columns["group"] = table[group]
        notes = (f"groups are the {table[group].nunique()} values of column {group!r}",)
    manifest = Manifest.from_columns(safe_name(job.corpus or job.source.stem), columns, notes=notes)
    return Manifest(manifest.name, manifest.table, manifest.labels, job.protocol or manifest.guess_protocol(), notes=notes)


def _positions(job: ImportJob, manifest: Manifest, ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the row of ``ids`` for each manifest row (N,), -1 where there is none."""
    place = {name: i for i, name in enumerate(ids.tolist())}
    if len(place) != len(ids):
        raise ManifestError(f"{job.source}: ids are not unique ({len(ids) - len(place)} too many)")
    strangers = sorted(set(place) - set(manifest.ids.tolist()))
    if strangers:
        raise ManifestError(f"{job.source}: {len(strangers)} of {len(ids)} ids are not in {job.rows}, first {strangers[0]!r}; "
                            "give the rows that belong to these vectors")
    return np.array([place.get(name, -1) for name in manifest.ids.tolist()], dtype=np.int64)


def _embeddings(job: ImportJob, modality: str, values: NDArray[np.float32], manifest: Manifest, position: NDArray[np.int64],
                seen: NDArray[np.str_], settings: Mapping[str, object]) -> Embeddings:
    if len(values) != int((position >= 0).sum()):
        raise ManifestError(f"{job.source}: {modality} has {len(values)} rows for {int((position >= 0).sum())} ids")
    vectors = np.full((len(manifest), values.shape[1]), np.nan, dtype=np.float32)
    vectors[position >= 0] = values[position[position >= 0]]
    empty = np.isnan(vectors).all(axis=1)
    status = np.where(empty, "missing", "ok")
    reason = np.where(position < 0, "no vector in the source", np.where(empty, "the source holds only nan", ""))
    name = safe_name(job.encoder or f"imported-{modality}")
    ref = EncoderRef(name, fingerprint({**settings, "array": modality}), modality)
    return Embeddings(manifest.ids, vectors, seen, status, reason, ref)


def _place(job: ImportJob, manifest: Manifest, embeddings: Embeddings, settings: Mapping[str, object]) -> Path:
    path = store_path(job.store, manifest.name, embeddings.encoder, "any")
    with exclusive(path.with_suffix(".lock"), str(path), wait_s=10.0):
        if path.is_file():
            there = read_embeddings(path)
            if content_digest(there) != content_digest(embeddings):
                raise StoreError(f"{path}: is there already with another 'seen' record or other vectors; remove it first if the "
                                 "new import is the right one")
            return path
        write_embeddings(path, embeddings, {
            "corpus": manifest.name, "inputs_digest": manifest.inputs_digest, "seen_spec": job.seen,
            "weights_digest": "", "settings": {**settings, "array": embeddings.encoder.modality}, "provenance": collect()})
    return path
