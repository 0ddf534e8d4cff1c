"""One HDF5 file per corpus, encoder, configuration, seed and fold: written whole, read with checks; see FORMAT.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from embeddings_store.arrays import Embeddings, EncoderRef
from embeddings_store.atomic import replacing
from embeddings_store.errors import StoreError, StoreNotFoundError

FORMAT = "emotion-embeddings"
VERSION = 1
TEXT_COLUMNS = ("ids", "seen", "status", "reason", "inputs")
REQUIRED = ("ids", "vectors", "seen", "status", "reason")
JSON_ATTRIBUTES = ("settings", "provenance", "classes")


def store_path(store: Path, corpus: str, ref: EncoderRef, fold: str) -> Path:
    """Return where a file lives: ``store/corpus/encoder@fingerprint/seed-0/fold-3.h5``.

    >>> store_path(Path("e"), "ravdess", EncoderRef("whisper-tiny", "0123456789ab", "audio"), "any").as_posix()
    'e/ravdess/whisper-tiny@0123456789ab/seed-0/fold-any.h5'
    """
    return store / corpus / ref.folder / f"seed-{ref.seed}" / f"fold-{fold}.h5"


def content_digest(embeddings: Embeddings) -> str:
    """Twelve hex digits over every dataset, in a fixed order and encoding: equal data, equal digest."""
    hasher = hashlib.sha256()
    for name, values in _datasets(embeddings).items():
        array = np.ascontiguousarray(values)
        hasher.update(f"{name}{array.dtype.str}{array.shape}".encode())
        hasher.update(array.tobytes())
    return hasher.hexdigest()[:12]


def write_embeddings(path: Path, embeddings: Embeddings, attributes: Mapping[str, object] | None = None) -> str:
    """Write one file, whole or not at all.

    Args:
        path: Where; see :func:`store_path`. Folders are made.
        embeddings: The rows.
        attributes: Further attributes: ``corpus``, ``inputs_digest``, ``plan_digest``, ``weights_digest``, ``settings``,
            ``provenance``. They default to ``embeddings.attributes``.

    Returns:
        The content digest that the file records.

    Raises:
        StoreFullError: The disk is full; nothing was replaced.
    """
    attributes = dict(embeddings.attributes if attributes is None else attributes)
    digest = content_digest(embeddings)
    ref = embeddings.encoder
    attributes |= {"format": FORMAT, "version": VERSION, "encoder": ref.name, "fingerprint": ref.fingerprint,
                   "modality": ref.modality, "layer": ref.layer, "seed": ref.seed, "fold": embeddings.fold,
                   "classes": list(embeddings.classes), "digest": digest}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for name, values in _datasets(embeddings).items():
            file.create_dataset(name, data=values)
        for key, value in sorted(attributes.items()):
            file.attrs[key] = json.dumps(value, sort_keys=True, ensure_ascii=False) if key in JSON_ATTRIBUTES else value
    return digest


def read_header(path: Path) -> dict[str, object]:
    """Read the attributes, the number of rows, of ``ok`` rows, and the width; touches no vector.

    Raises:
        StoreNotFoundError: No such file.
        StoreError: The file is damaged, of another kind, or of a newer version.
    """
    with _opened(path) as file:
        header = _attributes(file)
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
    with _opened(path) as file:
        attributes = _attributes(file)
        text = {name: _decode(file[name][:]) for name in TEXT_COLUMNS if name in file}
        vectors = file["vectors"][:]
        scores = file["scores"][:] if "scores" in file else None
    ref = EncoderRef(str(attributes["encoder"]), str(attributes["fingerprint"]), str(attributes["modality"]),
                     int(str(attributes["layer"])), int(str(attributes["seed"])))
    classes = attributes["classes"]
    if not isinstance(classes, list):
        raise StoreError(f"{path}: attribute 'classes' is not a list")
    try:
        return Embeddings(text["ids"], vectors, text["seen"], text["status"], text["reason"], ref, str(attributes["fold"]),
                          scores, tuple(classes), text.get("inputs"), attributes)
    except StoreError as error:
        error.add_note(f"in {path}")
        raise StoreError(f"{path}: {error}") from error


def verify(path: Path) -> list[str]:
    """Return what is wrong with a file, one sentence each; an empty list means that it is whole.

    Reads everything, recomputes the digest, and compares name and place with what the file says of itself.
    """
    try:
        embeddings = read_embeddings(path)
    except StoreError as error:
        return [str(error)]
    problems = []
    recorded, found = embeddings.attributes.get("digest"), content_digest(embeddings)
    if recorded != found:
        problems.append(f"{path}: the data (digest {found}) are not those that were written ({recorded}); restore the file "
                        "or extract it again with --overwrite")
    expected = store_path(Path(), str(embeddings.attributes.get("corpus")), embeddings.encoder, embeddings.fold)
    if path.parts[-4:] != expected.parts:
        problems.append(f"{path}: says that it is {expected.as_posix()}; move it back to that place in the store")
    return problems


def _datasets(embeddings: Embeddings) -> dict[str, NDArray[np.generic]]:
    rows = {"ids": _encode(embeddings.ids), "vectors": embeddings.vectors, "seen": _encode(embeddings.seen),
            "status": _encode(embeddings.status), "reason": _encode(embeddings.reason)}
    if embeddings.scores is not None:
        rows["scores"] = embeddings.scores
    if embeddings.inputs is not None:
        rows["inputs"] = _encode(embeddings.inputs)
    return rows


def _encode(values: NDArray[np.str_]) -> NDArray[np.bytes_]:
    """Fixed-width UTF-8, at least one byte wide because HDF5 has no strings of width nought."""
    return np.array([str(v).encode() for v in values], dtype=f"S{max([1, *(len(str(v).encode()) for v in values)])}")


def _decode(values: NDArray[np.bytes_]) -> NDArray[np.str_]:
    return np.char.decode(values, "utf-8") if len(values) else np.array([], dtype=str)


def _attributes(file: h5py.File) -> dict[str, object]:
    attributes: dict[str, object] = {}
    for key, value in file.attrs.items():
        plain = value.item() if isinstance(value, np.generic) else value
        attributes[key] = json.loads(plain) if key in JSON_ATTRIBUTES else plain
    return attributes


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise StoreNotFoundError(f"{path}: no such file; run extract-features or embeddings-store import first")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise StoreError(f"{path}: is HDF5, but not a file of this store (no attribute format={FORMAT!r}); "
                                 "bring it in with embeddings-store import")
            if int(file.attrs["version"]) > VERSION:
                raise StoreError(f"{path}: has format version {file.attrs['version']}, this program reads up to {VERSION}; "
                                 "update the program")
            absent = [name for name in REQUIRED if name not in file]
            if absent:
                raise StoreError(f"{path}: lacks the dataset {absent[0]!r}; extract it again with --overwrite")
            yield file
    except StoreError:
        raise
    except (OSError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: is cut short or damaged and cannot be read ({error}); delete it and run the same "
                         "extract-features command again") from error
