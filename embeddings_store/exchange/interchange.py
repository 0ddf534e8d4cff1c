"""Vectors from elsewhere into the store, and out of it again.

Npz, CSV, ARFF, Parquet, and .npy with ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import exclusive, replacing
from embeddings_store.corpus.column_names import Renames, likely_columns, rename
from embeddings_store.corpus.manifest import Manifest, safe_name
from embeddings_store.corpus.media_paths import settle_paths, settled_lines
from embeddings_store.errors import (
    LabelError,
    ManifestError,
    StoreError,
    UnsafePathError,
    UsageError,
    did_you_mean,
)
from embeddings_store.exchange.opensmile import ids_of_places, match_places
from embeddings_store.exchange.plain_tables import export_plain
from embeddings_store.exchange.sources import ROW_COLUMNS, VectorSource, read_source
from embeddings_store.exchange.vector_tables import check_ids
from embeddings_store.folds.rules import make_plan
from embeddings_store.provenance import collect, file_digest, fingerprint
from embeddings_store.tables import TABLES, column_names, read_table
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import (
    content_digest,
    read_embeddings,
    store_path,
    write_embeddings,
)
from embeddings_store.vectors.seen import parse_seen

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class ImportJob:
    """What to bring in.

    Attributes:
        source: The file with the vectors, see
            :func:`embeddings_store.exchange.sources.read_source`.
        store: The store's folder.
        seen: What the encoders know of the rows, see
            :func:`embeddings_store.vectors.seen.parse_seen`; there is no default.
        rows: Table with ``id`` and any other column of a manifest, such as label, speaker, audio
            or start_s; other columns become metadata.
        corpus: Name in the store; empty takes the source's stem.
        encoder: Name of the encoder, which says what made the vectors: imports of one name,
            modality and width can be joined. Empty makes ``imported-<modality>``, which is of this
            file only.
        modality: What the vectors are, where the source does not say.
        ids: ``.npy`` or text file with one id per line, for a source without ids.
        group: Column of ``rows`` that must not be torn apart by folds.
        protocol: The fold plan that belongs to the corpus.
        tags: Leak tags of metadata columns, see
            :meth:`embeddings_store.corpus.manifest.Manifest.tag`.
        columns: Old names and new names of columns of the source, of ``rows`` or of both.
        media: The folder that paths of media are relative to, or that absolute ones lie in; the
            folder of the table that names them by default.
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
    tags: Mapping[str, str] = field(default_factory=dict)
    columns: Renames = ()
    media: Path | None = None


def import_vectors(job: ImportJob, notify: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Bring vectors into the store, one file per modality; returns the files.

    Args:
        job: What to bring in.
        notify: Called with each sentence that a user should read.

    Raises:
        UsageError: The source is of no known kind, or an option is missing.
        ManifestError: Rows and vectors do not fit together.
        StoreMismatchError: The store already holds another corpus of this name.
    """
    columns, rows_columns = _columns(job)
    source = read_source(job.source, job.modality, job.ids, columns)
    if source.by_place and not job.rows:
        source = _relative_places(job, source)
    manifest = _manifest(job, source, rows_columns, notify)
    seen = parse_seen(job.seen, manifest)
    ids = source.ids
    if job.rows and source.by_place:
        ids = match_places(job.source, source.rows, manifest)
    position = _positions(job, manifest, ids)
    origin = {"source": job.source.name, "source_digest": file_digest(job.source)}
    ready = []
    for modality, values in source.arrays.items():
        settings = _settings(job, modality, values.shape[1], origin)
        rows = _embeddings(job, modality, values, manifest, position, seen, settings)
        ready.append((rows, settings))
    manifest.enter(job.store)
    return [_place(job, manifest, rows, settings, origin) for rows, settings in ready]


def _settings(
    job: ImportJob, modality: str, width: int, origin: Mapping[str, str]
) -> dict[str, object]:
    """Return what is known of what made the vectors, over which the fingerprint goes.

    A named encoder is what its name says, whatever file its vectors come in, so that those of
    several corpora can be joined. Of one without a name nothing is known but the file.
    """
    settings: dict[str, object] = {"imported": True, "array": modality}
    return {**settings, "width": width} if job.encoder else {**settings, **origin}


def export_vectors(source: Path, target: Path) -> int:
    """Write one store file as npz, CSV, Parquet or ARFF by the target's suffix.

    Returns the number of rows.

    CSV and Parquet get ``id, status, reason, seen``, ``v0 ... vD-1`` and ``score:CLASS``; npz gets
    the arrays under these names; ARFF is what
    :func:`embeddings_store.exchange.plain_tables.export_plain` writes. Importing it again brings
    back the same ids and vectors; ``seen`` must be said anew.

    Raises:
        UsageError: The suffix is none of these.
        StoreError: The file cannot be read.
    """
    kind = target.suffix.lower()
    if kind == ".arff":
        return export_plain(source, target).rows
    file = read_embeddings(source)
    if kind not in {".npz", ".csv", ".parquet"}:
        raise UsageError(
            f"{target}: export writes .npz, .csv, .parquet or .arff, not "
            f"{kind or 'a name without suffix'!r}"
        )
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
    arrays: dict[str, NDArray[np.generic]] = {
        "ids": file.ids,
        "vectors": file.vectors,
        "seen": file.seen,
        "status": file.status,
        "reason": file.reason,
        "modality": np.array(file.encoder.modality),
    }
    if file.scores is not None:
        arrays |= {"scores": file.scores, "classes": np.array(file.classes)}
    return arrays


def _export_table(file: Embeddings) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(
        {"id": file.ids, "status": file.status, "reason": file.reason, "seen": file.seen}
    )
    vectors = pd.DataFrame(file.vectors, columns=[f"v{i}" for i in range(file.vectors.shape[1])])
    parts = [table, vectors]
    if file.scores is not None:
        parts.append(pd.DataFrame(file.scores, columns=[f"score:{c}" for c in file.classes]))
    return pd.concat(parts, axis=1)


def _columns(job: ImportJob) -> tuple[Renames, Renames]:
    """Return which columns are renamed in the source and which in the rows, by where they are."""
    if not job.columns:
        return (), ()
    tables = [path for path in (job.source, job.rows) if path and path.suffix.lower() in TABLES]
    there = {path: column_names(path) for path in tables}
    for old, _ in job.columns:
        if not any(old in names for names in there.values()):
            known = [name for names in there.values() for name in names]
            raise UsageError(
                f"--columns: there is no column {old!r}{did_you_mean(old, known)} in "
                f"{' or '.join(map(str, tables)) or 'a file that is no table'}"
            )
    of_source, of_rows = [], []
    for old, new in job.columns:
        if old in there.get(job.source, ()):
            of_source.append((old, new))
        if job.rows and old in there.get(job.rows, ()):
            of_rows.append((old, new))
    return tuple(of_source), tuple(of_rows)


def _relative_places(job: ImportJob, source: VectorSource) -> VectorSource:
    """Return a source whose ids, which are files, are relative to the media's folder."""
    rows, _ = settle_paths(source.rows, job.media or job.source.absolute().parent)
    ids = ids_of_places(job.source, rows)
    return replace(source, ids=ids, rows=rows.assign(id=ids))


def _manifest(
    job: ImportJob, source: VectorSource, renamed: Renames, notify: Callable[[str], None]
) -> Manifest:
    origin = job.rows or job.source
    table = rename(read_table(job.rows), renamed) if job.rows else source.rows
    check_ids(origin, list(map(str, table.columns)))
    table, settled = settle_paths(table, job.media or origin.absolute().parent)
    for sentence in (*likely_columns(list(map(str, table.columns))), *settled_lines(settled)):
        notify(sentence)
    columns: dict[str, object] = {str(c): table[c] for c in table if c in ROW_COLUMNS}
    columns |= {
        c if str(c).startswith("meta_") else f"meta_{c}": table[c]
        for c in table
        if c not in ROW_COLUMNS
    }
    notes: tuple[str, ...] = ()
    group = job.group or ("video" if "group" not in table and "video" in table else "")
    if group:
        if group not in table:
            raise UsageError(
                f"--group {group!r}: {origin} has the columns {', '.join(map(str, table.columns))}"
            )
        columns["group"] = table[group]
        notes = (f"groups are the {table[group].nunique()} values of column {group!r}",)
    try:
        manifest = Manifest.from_columns(
            safe_name(job.corpus or job.source.stem), columns, notes=notes, tags=job.tags
        )
    except UnsafePathError as error:
        raise UnsafePathError(
            f"{origin}: {error}; or name the column meta_..., which keeps it as metadata"
        ) from error
    except (ManifestError, LabelError) as error:
        raise type(error)(f"{origin}: {error}") from error
    manifest = replace(manifest, protocol=job.protocol or manifest.guess_protocol())
    if job.protocol:
        make_plan(manifest)
    return manifest


def _positions(job: ImportJob, manifest: Manifest, ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the row of ``ids`` for each manifest row (N,), -1 where there is none."""
    import pandas as pd

    strangers = np.setdiff1d(ids, manifest.ids)
    if len(strangers):
        raise ManifestError(
            f"{job.source}: {len(strangers)} of {len(ids)} ids are not in {job.rows}, first "
            f"{str(strangers[0])!r}; give the rows that belong to these vectors"
        )
    return np.asarray(pd.Index(ids).get_indexer(pd.Index(manifest.ids)), dtype=np.int64)


def _embeddings(
    job: ImportJob,
    modality: str,
    values: NDArray[np.float32],
    manifest: Manifest,
    position: NDArray[np.int64],
    seen: NDArray[np.str_],
    settings: Mapping[str, object],
) -> Embeddings:
    vectors = np.full((len(manifest), values.shape[1]), np.nan, dtype=np.float32)
    vectors[position >= 0] = values[position[position >= 0]]
    empty = np.isnan(vectors).all(axis=1)
    status = np.where(empty, "missing", "ok")
    reason = np.where(
        position < 0, "no vector in the source", np.where(empty, "the source holds only nan", "")
    )
    name = safe_name(job.encoder or f"imported-{modality}")
    ref = EncoderRef(name, fingerprint(settings), modality)
    return Embeddings(manifest.ids, vectors, seen, status, reason, ref)


def _place(
    job: ImportJob,
    manifest: Manifest,
    embeddings: Embeddings,
    settings: Mapping[str, object],
    origin: Mapping[str, str],
) -> Path:
    path = store_path(job.store, manifest.name, embeddings.encoder, "any")
    with exclusive(path.with_suffix(".lock"), str(path), wait_s=10.0):
        if path.is_file():
            there = read_embeddings(path)
            if content_digest(there) != content_digest(embeddings):
                raise StoreError(
                    f"{path}: is there already with another 'seen' record or other vectors; remove "
                    "it first if the new import is the right one, or give another encoder another "
                    "name with --encoder"
                )
            return path
        write_embeddings(
            path,
            embeddings,
            {
                "corpus": manifest.name,
                "inputs_digest": manifest.inputs_digest_of(embeddings.encoder.modality),
                "seen_spec": job.seen,
                "weights_digest": "",
                "settings": settings,
                "provenance": {**collect(), **origin},
            },
        )
    return path
