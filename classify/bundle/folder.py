"""The files of a bundle: written whole or not at all, and read only if every byte is as written.

::

    model/
      manifest.json   format, version, and size and SHA-256 of each other file
      bundle.json     the system, its encoders, the label set, and where all of it is from
      arrays.npz      the numbers of it, without Python objects
      README.md       the model card
      encoders/0/...  the first fine-tuned encoder: config, preprocessing, weights as safetensors

A digest finds accidents and is no signature: whoever can write the folder can write digests anew.
What stands in the files is therefore checked once more, field by field (:mod:`classify.bundle`).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from classify.bundle.packing import Arrays, pack, unpack
from embeddings_store.array_files import read_npz
from embeddings_store.atomic import replacing, scratch_beside
from embeddings_store.errors import StoreError, StoreNotFoundError, UsageError
from embeddings_store.provenance import canonical_json, file_digest
from embeddings_store.reading import is_file, read_text, reading

FORMAT = "emotion-bundle"
VERSION, PLAIN = 2, 1  # with encoders of its own, and without: what earlier programs read, too
MANIFEST, DESCRIPTION, ARRAYS, CARD = "manifest.json", "bundle.json", "arrays.npz", "README.md"
FILES = (ARRAYS, DESCRIPTION, CARD)
ENCODERS = "encoders"
# Kinds that execute nothing when they are loaded, in a folder of each encoder's own.
OWN_FILE = re.compile(rf"{ENCODERS}/[0-9]{{1,2}}/[A-Za-z0-9_][A-Za-z0-9_.-]{{0,80}}")
NO_ENCODERS: Mapping[str, Path] = MappingProxyType({})
OWN_KINDS = (".json", ".model", ".safetensors", ".txt")
EXPECTED = "a bundle of a fitted system"
ADVICE = "copy the folder again, or export it again with run-fusion-grid --export-model"


def write_folder(
    folder: Path, state: Mapping[str, Any], card: str, encoders: Mapping[str, Path] = NO_ENCODERS
) -> None:
    """Write a bundle's files, all or none.

    Args:
        folder: What is made; nothing is there yet, and its parent is.
        state: What is in it, as :func:`classify.bundle.packing.pack` takes it.
        card: The model card.
        encoders: Folder in the bundle, such as ``encoders/0``, to the one that is copied there.

    Raises:
        UsageError: Something of this name is there, or an encoder holds what no bundle does.
        StoreFullError, StoreAccessError: It cannot be written.
    """
    refuse_existing(folder)
    arrays: Arrays = {}
    description = json.dumps(pack(state, arrays), indent=1, ensure_ascii=False, allow_nan=False)
    with scratch_beside(folder) as scratch:
        _write(scratch / DESCRIPTION, (description + "\n").encode())
        _write(scratch / CARD, card.encode())
        with replacing(scratch / ARRAYS) as temporary, temporary.open("wb") as handle:
            np.savez(handle, **arrays)  # type: ignore[arg-type]  # its other option is allow_pickle
        copied = [*_copied(encoders, scratch)]
        sizes = {name: _described(scratch / name) for name in (*FILES, *copied)}
        _write(scratch / MANIFEST, _manifest_text(sizes).encode())
        scratch.rename(folder)


def read_folder(folder: Path) -> Any:
    """Return what is in a bundle, as :func:`write_folder` was given it; its card is not read.

    Raises:
        StoreNotFoundError: There is no bundle.
        StoreError: It is of a newer version, incomplete, or not what was written.
    """
    check_folder(folder)
    with reading(folder / DESCRIPTION, EXPECTED, ADVICE, StoreError):
        text = read_text(folder / DESCRIPTION, EXPECTED, ADVICE, StoreError)
        described = json.loads(text, parse_constant=_refuse_constant)
    arrays = read_npz(folder / ARRAYS, advice=ADVICE, raises=StoreError)
    with reading(folder, EXPECTED, ADVICE, StoreError):
        return unpack(described, arrays)


def check_folder(folder: Path) -> None:
    """Check that every file is there and has the bytes that were written.

    Raises:
        StoreNotFoundError: There is no bundle.
        StoreError: It is of a newer version, incomplete, or not what was written.
    """
    path = folder / MANIFEST
    if not is_file(path):
        raise StoreNotFoundError(
            f"{folder}: is no bundle (it has no {MANIFEST}); give the folder that run-fusion-grid "
            "--export-model wrote"
        )
    text = read_text(path, EXPECTED, ADVICE, StoreError)
    with reading(path, EXPECTED, ADVICE, StoreError):
        sizes = _sizes_of(json.loads(text), text)
    for name, size in sizes.items():
        _check_file(folder / name, size)


def refuse_other(folder: Path) -> None:
    """Refuse a place where something is that is no whole bundle.

    Raises:
        UsageError: Something else is there, or the folder around it is not.
    """
    try:
        check_folder(folder)
    except (StoreError, StoreNotFoundError):
        refuse_existing(folder)


def refuse_existing(folder: Path) -> None:
    """Refuse a place where something is.

    Raises:
        UsageError: Something is there, or the folder around it is not.
    """
    if folder.exists() or folder.is_symlink():
        raise UsageError(
            f"{folder}: is there already, and a bundle is written into a folder of its own; move "
            "it away, or choose another place"
        )
    if not folder.parent.is_dir():
        raise UsageError(f"{folder}: there is no folder {folder.parent}; make it first")


def _sizes_of(manifest: Any, text: str) -> dict[str, Any]:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    version = manifest.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"it is of version {version}, and this program reads up to {VERSION}: install a newer "
            "one"
        )
    sizes = manifest.get("files")
    if not isinstance(sizes, dict) or not set(FILES) <= set(sizes):
        raise ValueError(f"it does not list the files {', '.join(FILES)}")
    for name in set(sizes) - set(FILES):
        if not _is_own_file(name):
            raise ValueError(f"it lists {name!r}, which is no file of a bundle")
    if text != _manifest_text(sizes):
        raise ValueError("it is not what was written: its digest is another")
    return sizes


def _manifest_text(sizes: Mapping[str, Any]) -> str:
    version = PLAIN if set(sizes) == set(FILES) else VERSION
    content = {"files": dict(sizes), "format": FORMAT, "version": version}
    digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    return json.dumps({**content, "digest": digest}, indent=1, sort_keys=True) + "\n"


def _is_own_file(name: str) -> bool:
    return bool(OWN_FILE.fullmatch(name)) and name.endswith(OWN_KINDS)


def _copied(encoders: Mapping[str, Path], scratch: Path) -> Iterator[str]:
    """Copy the files of encoders, and yield their names in the bundle."""
    for place, source in encoders.items():
        (scratch / place).mkdir(parents=True)
        for path in sorted(source.iterdir()):
            name = f"{place}/{path.name}"
            if not path.is_file() or not _is_own_file(name):
                raise UsageError(f"{path}: is no file that a bundle takes from an encoder")
            with replacing(scratch / name) as temporary:
                shutil.copyfile(path, temporary)
            yield name


def _described(path: Path) -> dict[str, object]:
    return {"bytes": path.stat().st_size, "sha256": file_digest(path)}


def _check_file(path: Path, expected: object) -> None:
    if not is_file(path):
        raise StoreError(f"{path}: is not there, so the bundle is incomplete; {ADVICE}")
    with reading(path, EXPECTED, ADVICE, StoreError):
        found = _described(path)
    if found != expected:
        raise StoreError(f"{path}: is not what was written (its SHA-256 is another); {ADVICE}")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number that a bundle holds")


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
