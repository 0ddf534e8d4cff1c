"""One HDF5 file per corpus, encoder, configuration, seed and fold: written whole, read with checks.

See FORMAT.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import PatientFile, make_folder, replacing
from embeddings_store.errors import StoreAccessError, StoreError, StoreNotFoundError
from embeddings_store.interrupts import interrupts_later
from embeddings_store.provenance import canonical_json
from embeddings_store.reading import reading, reason_of
from embeddings_store.vectors.arrays import Embeddings, EncoderRef, StoredRows

if TYPE_CHECKING:
    import h5py

FORMAT = "emotion-embeddings"
VERSION = 1
# HDF5's own structures carry checksums from this layout on. Without them one flipped bit may send
# the library into an endless loop, which no caller can catch; for the same reason attributes are of
# fixed width, not in the unchecked heap.
LAYOUT = ("v110", "v110")
DAMAGED = "is cut short or damaged and cannot be read"
RESTORE = "restore it, or delete it and run the same command again"
TEXT_COLUMNS = ("ids", "seen", "status", "reason", "inputs")
NUMBERS = ("vectors", "scores")
PIECE_ROWS = 8_192  # that are read at a time where only some are wanted
CACHED_ROWS = 1_024  # of 768 numbers: what a processor's last cache holds
REQUIRED = ("ids", "vectors", "seen", "status", "reason")
JSON_ATTRIBUTES = ("settings", "provenance", "classes")
REQUIRED_ATTRIBUTES = (
    "format",
    "version",
    "corpus",
    "encoder",
    "fingerprint",
    "modality",
    "layer",
    "seed",
    "fold",
    "classes",
    "inputs_digest",
    "digest",
    "header_digest",
)


def store_path(store: Path, corpus: str, ref: EncoderRef, fold: str) -> Path:
    """Return where a file lives: ``store/corpus/encoder@fingerprint/seed-0/fold-3.h5``.

    Args:
        store: The store's folder.
        corpus: The corpus' name.
        ref: The encoder.
        fold: The fold it is for, ``any`` for a frozen encoder.

    >>> ref = EncoderRef("whisper-tiny", "0123456789ab", "audio")
    >>> store_path(Path("e"), "ravdess", ref, "any").as_posix()
    'e/ravdess/whisper-tiny@0123456789ab/seed-0/fold-any.h5'
    """
    return store / corpus / ref.folder / f"seed-{ref.seed}" / f"fold-{fold}.h5"


def content_digest(embeddings: Embeddings) -> str:
    """Twelve hex digits over every dataset, in a fixed order and encoding.

    Equal data, equal digest.
    """
    return _digest(_datasets(embeddings))


def header_digest(attributes: Mapping[str, object]) -> str:
    """Twelve hex digits over every attribute but this one, as JSON with sorted keys."""
    content = {key: value for key, value in attributes.items() if key != "header_digest"}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:12]


def write_embeddings(
    path: Path, embeddings: Embeddings, attributes: Mapping[str, object] | None = None
) -> str:
    """Write one file, whole or not at all.

    Args:
        path: Where; see :func:`store_path`. Folders are made.
        embeddings: The rows.
        attributes: Further attributes: ``corpus`` and ``inputs_digest``, which are needed,
            ``plan_digest``, ``weights_digest``, ``settings``, ``provenance``. They default to
            ``embeddings.attributes``.

    Returns:
        The content digest that the file records.

    Raises:
        StoreFullError: The disk is full; nothing was replaced.
        StoreAccessError: The folder may not be written to.
    """
    import h5py

    attributes = dict(embeddings.attributes if attributes is None else attributes)
    attributes.pop("header_digest", None)
    datasets = _datasets(embeddings)
    digest = _digest(datasets)
    ref = embeddings.encoder
    attributes |= {
        "format": FORMAT,
        "version": VERSION,
        "encoder": ref.name,
        "fingerprint": ref.fingerprint,
        "modality": ref.modality,
        "layer": ref.layer,
        "seed": ref.seed,
        "fold": embeddings.fold,
        "classes": list(embeddings.classes),
        "digest": digest,
    }
    unsaid = [key for key in ("corpus", "inputs_digest") if key not in attributes]
    if unsaid:
        raise StoreError(
            f"{path}: the attribute {unsaid[0]!r} must be given; it says which rows these vectors "
            "belong to"
        )
    stored = {key: _storable(key, value) for key, value in sorted(attributes.items())}
    stored["header_digest"] = header_digest(
        {key: _plain(key, value) for key, value in stored.items()}
    )
    make_folder(path.parent)
    # HDF5 forgets an exception that comes while it calls PatientFile, and bytes are missing
    with (
        interrupts_later(),
        replacing(path) as temporary,
        PatientFile(temporary, "w+b") as raw,
    ):
        with h5py.File(raw, "w", libver=LAYOUT) as file:
            for name, values in datasets.items():
                file.create_dataset(name, data=values)
            for key, value in stored.items():
                _set_attribute(file, key, value)
        raw.finish()
    return digest


def read_header(path: Path) -> dict[str, object]:
    """Read the attributes, the number of rows, of ``ok`` rows, and the width; touches no vector.

    Raises:
        StoreNotFoundError: No such file.
        StoreError: The file is damaged, of another kind, or of a newer version.
    """
    with _opened(path) as (file, header):
        header["rows"], header["dim"] = (int(n) for n in file["vectors"].shape)
        header["ok"] = int((file["status"][:] == b"ok").sum())
        header["has_scores"] = "scores" in file
    return header


def read_embeddings(path: Path) -> Embeddings:
    """Read one file whole and check every promise of :class:`Embeddings`.

    Raises:
        StoreNotFoundError: No such file.
        StoreError: The file is damaged, of another kind or version, or breaks a promise.
    """
    with _opened(path) as (file, attributes):
        rows = _rows_of(path, file, attributes)
        vectors = file["vectors"][:]
    try:
        return Embeddings(
            rows.ids,
            vectors,
            rows.seen,
            rows.status,
            rows.reason,
            rows.encoder,
            rows.fold,
            rows.scores,
            rows.classes,
            rows.inputs,
            attributes,
        )
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from error


def read_rows(path: Path) -> StoredRows:
    """Read all that a file says of its rows but their vectors, and check it.

    Raises:
        StoreNotFoundError: No such file.
        StoreError: The file is damaged, of another kind or version, or breaks a promise.
    """
    with _opened(path) as (file, attributes):
        return _rows_of(path, file, attributes)


def read_arranged(rows: StoredRows, places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read the vectors of some rows into any order, and check those of all rows.

    A piece of the file is checked and put into its place while the processor still has it at hand,
    so that no vector is fetched from memory twice.

    Args:
        rows: What :func:`read_rows` returned of the file.
        places: Positions of rows, each at most once (n,).

    Returns:
        Their vectors (n, D); those of rows that are not ``ok`` are ``nan``.

    Raises:
        StoreNotFoundError: No such file.
        StoreError: The file is damaged, was replaced in the meantime, or breaks a promise.
        ValueError: The rows are of no file, or a place is named twice.
    """
    path = rows.path
    goes_to = np.full(len(rows.ids), -1, dtype=np.int64)
    goes_to[places] = np.arange(len(places))
    if path is None or np.count_nonzero(goes_to >= 0) != len(places):
        raise ValueError("rows of a file are read, each of them once")
    with _unchecked(path) as file:
        if _plain("header_digest", file.attrs["header_digest"]) != rows.attributes["header_digest"]:
            raise StoreError(f"{path}: was replaced while it was read; run the same command again")
        stored = file["vectors"]
        found = np.empty((len(places), stored.shape[1]), dtype=np.float32)

        def arranged() -> Iterator[NDArray[np.float32]]:
            buffer = np.empty((CACHED_ROWS, stored.shape[1]), dtype=np.float32)
            for begin in range(0, len(goes_to), CACHED_ROWS):
                goes = goes_to[begin : begin + CACHED_ROWS]
                piece = buffer[: len(goes)]
                stored.read_direct(piece, np.s_[begin : begin + len(goes)])
                yield piece
                wanted = goes >= 0
                found[goes[wanted]] = piece if wanted.all() else piece[wanted]

        try:
            rows.check_values("vectors", arranged())
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from error
    return found


def _rows_of(path: Path, file: h5py.File, attributes: dict[str, object]) -> StoredRows:
    text = {name: _decode(file[name][:]) for name in TEXT_COLUMNS if name in file}
    scores = file["scores"][:] if "scores" in file else None
    classes = tuple(str(name) for name in _listed(attributes["classes"]))
    try:
        return StoredRows(
            text["ids"],
            text["seen"],
            text["status"],
            text["reason"],
            _reference(attributes),
            str(attributes["fold"]),
            scores,
            classes,
            text.get("inputs"),
            attributes,
            path,
        )
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from error


def read_marks(path: Path) -> tuple[dict[str, object], dict[str, NDArray[np.str_]]]:
    """Read the attributes and what a file says of each row, and no vector.

    Of each row it says ``ids``, ``seen``, ``status``, ``reason`` and perhaps ``inputs``, (N,) each.

    Raises:
        StoreNotFoundError: No such file.
        StoreError: The file is damaged, of another kind, or of a newer version.
    """
    with _opened(path) as (file, attributes):
        return attributes, {name: _decode(file[name][:]) for name in TEXT_COLUMNS if name in file}


def read_vectors(path: Path, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read the vectors of some rows, a piece of the file at a time.

    Args:
        path: The file.
        rows: Positions of rows that have a vector, ascending (n,).

    Returns:
        Their vectors (n, D).

    Raises:
        StoreNotFoundError: No such file.
        StoreError: The file is damaged, of another kind or version, or a vector is not finite.
    """
    with _opened(path) as (file, _):
        stored = file["vectors"]
        found = np.empty((len(rows), stored.shape[1]), dtype=np.float32)
        for begin in range(0, stored.shape[0], PIECE_ROWS):
            first, last = np.searchsorted(rows, (begin, begin + PIECE_ROWS))
            if first < last:
                found[first:last] = stored[begin : begin + PIECE_ROWS][rows[first:last] - begin]
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise StoreError(
            f"{path}: the vector of row {int(rows[bad[0]]) + 1} is not finite; re-run "
            "extract-features with --overwrite"
        )
    return found


def verify(path: Path) -> list[str]:
    """Return what is wrong with a file, one sentence each; an empty list means that it is whole.

    Reads everything, recomputes both digests, and compares name and place with what the file says
    of itself.
    """
    try:
        embeddings = read_embeddings(path)
    except StoreError as error:
        return [str(error)]
    attributes = embeddings.attributes
    problems = []
    for what, recorded, found in (
        ("data", attributes["digest"], content_digest(embeddings)),
        ("attributes", attributes["header_digest"], header_digest(attributes)),
    ):
        if recorded != found:
            problems.append(
                f"{path}: the {what} (digest {found}) are not those that were written "
                f"({recorded}); restore the file, or make it again with --overwrite"
            )
    expected = store_path(
        Path(), str(attributes.get("corpus")), embeddings.encoder, embeddings.fold
    )
    if path.absolute().parts[-4:] != expected.parts:
        problems.append(
            f"{path}: says that it is {expected.as_posix()}; move it back to that place in the "
            "store"
        )
    return problems


def _datasets(embeddings: Embeddings) -> dict[str, NDArray[np.generic]]:
    rows = {
        "ids": _encode(embeddings.ids),
        "vectors": _little(embeddings.vectors),
        "seen": _encode(embeddings.seen),
        "status": _encode(embeddings.status),
        "reason": _encode(embeddings.reason),
    }
    if embeddings.scores is not None:
        rows["scores"] = _little(embeddings.scores)
    if embeddings.inputs is not None:
        rows["inputs"] = _encode(embeddings.inputs)
    return rows


def _digest(datasets: Mapping[str, NDArray[np.generic]]) -> str:
    hasher = hashlib.sha256()
    for name, values in datasets.items():
        hasher.update(f"{name}{values.dtype.str}{values.shape}".encode())
        hasher.update(values.view(np.uint8).data)
    return hasher.hexdigest()[:12]


def _little(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype="<f4")


def _encode(values: NDArray[np.str_]) -> NDArray[np.bytes_]:
    """Fixed-width UTF-8, no wider than the longest cell.

    At least one byte, because HDF5 has no strings of width nought.
    """
    try:
        encoded = values.astype("S")
    except UnicodeEncodeError:
        encoded = np.char.encode(values, "utf-8")
    width = int(np.char.str_len(encoded).max(initial=1))
    return np.ascontiguousarray(encoded, dtype=f"S{width}")


def _decode(values: NDArray[np.bytes_]) -> NDArray[np.str_]:
    if not len(values):
        return np.array([], dtype=str)
    if (values == values[0]).all():  # as most marks are
        return np.full(len(values), values[0].decode())
    try:
        return values.astype("U")
    except UnicodeDecodeError:
        return np.char.decode(values, "utf-8")


def _reference(attributes: Mapping[str, object]) -> EncoderRef:
    return EncoderRef(
        str(attributes["encoder"]),
        str(attributes["fingerprint"]),
        str(attributes["modality"]),
        int(str(attributes["layer"])),
        int(str(attributes["seed"])),
    )


def _listed(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"a list was expected, not {value!r}")
    return value


@contextmanager
def _opened(path: Path) -> Iterator[tuple[h5py.File, dict[str, object]]]:
    """Open a file that has the right form, with its attributes.

    Nothing of any length has been read yet.
    """
    with _unchecked(path) as file:
        yield file, _checked_form(path, file)


@contextmanager
def _unchecked(path: Path) -> Iterator[h5py.File]:
    """Open a file whose form has been checked, or is about to be."""
    import h5py

    if not path.is_file():
        raise StoreNotFoundError(
            f"{path}: no such file; run extract-features or embeddings-store import first"
        )
    try:
        # Files are never changed in place, so they need no lock; some network disks have none to
        # give.
        with (
            reading(path, "", RESTORE, StoreError, own=(PermissionError,), fault=DAMAGED),
            h5py.File(path, "r", locking=False) as file,
        ):
            yield file
    except PermissionError as error:
        raise StoreAccessError(
            f"{path}: may not be read ({reason_of(error)}); ask its owner, or change its mode"
        ) from error


def _checked_form(path: Path, file: h5py.File) -> dict[str, object]:
    import h5py

    found = file.attrs.get("format")
    if not isinstance(found, str | bytes) or found not in {FORMAT, FORMAT.encode()}:
        raise StoreError(
            f"{path}: is HDF5, but not a file of this store (no attribute format={FORMAT!r}); "
            "bring it in with embeddings-store import"
        )
    version = int(file.attrs["version"])
    if version > VERSION:
        raise StoreError(
            f"{path}: has format version {version}, this program reads up to {VERSION}; update the "
            "program"
        )
    there = []
    for name in (*TEXT_COLUMNS, *NUMBERS):
        link = file.get(name, getlink=True)  # Looking a name up would follow it out of the file.
        if link is None:
            continue
        there.append(name)
        if not isinstance(link, h5py.HardLink):
            raise StoreError(
                f"{path}: {name!r} is a link to another place, not a dataset of this file; make "
                "it again with --overwrite"
            )
    for kind, names, holder in (
        ("dataset", REQUIRED, file),
        ("attribute", REQUIRED_ATTRIBUTES, file.attrs),
    ):
        known = set(holder)
        absent = [name for name in names if name not in known]
        if absent:
            raise StoreError(
                f"{path}: lacks the {kind} {absent[0]!r}; make it again with --overwrite"
            )
    size, n_ids = path.stat().st_size, len(file["ids"])
    for name in there:
        dataset = file[name]
        _check_dataset(path, dataset, name, size)
        if len(dataset) != n_ids:
            raise StoreError(
                f"{path}: {name} has {len(dataset)} rows for {n_ids} ids; "
                "restore it, or make it again with --overwrite"
            )
    attributes = {key: _plain(key, value) for key, value in file.attrs.items()}
    canonical_json(attributes)  # which refuses what is no JSON: nan, and numbers without end
    try:
        _reference(attributes)
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from error
    return attributes


def _check_dataset(path: Path, dataset: h5py.Dataset, name: str, size: int) -> None:
    """Refuse what would be misread, or would take more memory than the file has bytes."""
    import h5py

    form = dataset.id.get_create_plist()
    inside = form.get_layout() == h5py.h5d.CONTIGUOUS and form.get_external_count() == 0
    if not inside or form.get_nfilters():
        raise StoreError(
            f"{path}: dataset {name!r} is not stored contiguously and unfiltered in this file "
            "(chunks, filters, virtual datasets and external storage are not read); make it again "
            "with --overwrite"
        )
    kind, dimensions = ("S", 1) if name in TEXT_COLUMNS else ("f4", 2)
    if dataset.dtype.str[1 : 1 + len(kind)] != kind or dataset.ndim != dimensions:
        expected = "fixed-width strings (N,)" if kind == "S" else "float32 (N, D)"
        raise StoreError(
            f"{path}: dataset {name!r} is {dataset.dtype} {dataset.shape}, not {expected}; make it "
            "again with --overwrite"
        )
    if dataset.size * dataset.dtype.itemsize > size:
        raise StoreError(
            f"{path}: is damaged: dataset {name!r} is said to have the shape {dataset.shape}, more "
            "than the file holds; restore it, or delete it and run the same command again"
        )


def _set_attribute(file: h5py.File, key: str, value: object) -> None:
    import h5py

    if isinstance(value, str):
        encoded = value.encode()
        file.attrs.create(
            key, np.bytes_(encoded), dtype=h5py.string_dtype("utf-8", max(1, len(encoded)))
        )
    else:
        file.attrs[key] = value


def _storable(key: str, value: object) -> object:
    """Return an attribute as HDF5 gets it: text, a number, or JSON as text."""
    return canonical_json(value) if key in JSON_ATTRIBUTES else _plain(key, value)


def _plain(key: str, value: object) -> object:
    plain = value.item() if isinstance(value, np.generic) else value
    plain = plain.decode() if isinstance(plain, bytes) else plain
    if key in JSON_ATTRIBUTES:
        return json.loads(str(plain))
    if not isinstance(plain, str | int | float | bool):
        raise ValueError(f"attribute {key!r} is {type(plain).__name__}, not text or a number")
    return plain
