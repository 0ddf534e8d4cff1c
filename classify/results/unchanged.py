"""Whether the files of a run are those that it would write again, so that it need not.

``.written.json`` beside them holds a digest of everything that they were made of, and one of each
file's bytes. A finished cell that was computed again, another option, another version of this
program or of a library, a store that changed, a file that was altered or is gone: each makes the
run write all of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from classify.grid.prepared import PreparedGrid
from classify.grid.tasks import CellTask
from embeddings_store.atomic import replacing
from embeddings_store.errors import StoreError
from embeddings_store.provenance import file_digest, fingerprint
from embeddings_store.reading import is_file, reading

RECORD = ".written.json"
# What turns finished cells into tables.
LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy", "scikit-learn")
PROGRAM = Path(__file__).resolve().parents[2]
PACKAGES = ("classify", "embeddings_store")


def made_of(prepared: PreparedGrid, tasks: Sequence[CellTask]) -> str:
    """Return a digest of everything that the files of a run depend on, as hex.

    Args:
        prepared: The checked run.
        tasks: All of them, finished, those that lose modalities among them.
    """
    audit = prepared.audit.to_dict()
    audit.pop("date", None)
    what = {
        "program": _program_digest(),
        "options": repr(dataclasses.replace(prepared.config, jobs=0)),
        "corpus": [prepared.corpus, prepared.manifest_digest],
        "folds": [prepared.plan.digest, prepared.labels.digest],
        "store": sorted(_state(entry.path) for entry in prepared.entries),
        "notes": list(prepared.notes),
        "audit": audit,
        # the key says what a cell was computed from, the file when, and how long it took
        "cells": [[task.key, _state(task.path)] for task in tasks],
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def unchanged_files(folder: Path, what: str) -> list[Path]:
    """Return the files of a run in reading order where they are as written, else none.

    Args:
        folder: Of the results.
        what: What they are to be made of, see :func:`made_of`.
    """
    path = folder / RECORD
    if not is_file(path):
        return []
    # a list that cannot be read is none: the files are written, and it with them
    with suppress(StoreError), reading(path, "a list of result files", "remove it", StoreError):
        record = json.loads(path.read_bytes())
        files = [folder / name for name in record["files"]]
        if record != _record(what, record["files"]) or not all(map(is_file, files)):
            return []
        if all(file_digest(file) == record["files"][file.name] for file in files):
            return files
    return []


def forget_files(folder: Path) -> None:
    """Take away what a folder says of its files, before they are written.

    Args:
        folder: Of the results.
    """
    (folder / RECORD).unlink(missing_ok=True)


def remember_files(folder: Path, what: str, files: Sequence[Path]) -> None:
    """Say what the files of a run are made of, once all of them are written.

    Args:
        folder: Of the results.
        what: As :func:`made_of` says.
        files: Those that were written, in reading order.
    """
    record = _record(what, {path.name: file_digest(path) for path in files})
    with replacing(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _record(what: str, files: Mapping[str, str]) -> dict[str, object]:
    """Return what the list holds, with a digest of its own: it names which files are opened."""
    listed = {"made_of": what, "files": files}
    return {**listed, "digest": fingerprint(listed)}


@cache
def _program_digest() -> str:
    """Digest every module and table of the packages, and name the libraries' versions."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((PROGRAM / package).rglob("*")):
            if path.suffix in {".py", ".csv"}:
                digest.update(f"{path.relative_to(PROGRAM)} {file_digest(path)}\n".encode())
    for name in LIBRARIES:
        digest.update(f"{name} {metadata.version(name)}\n".encode())
    return digest.hexdigest()


def _state(path: Path) -> str:
    """Return name, size and time of a file; its content was checked when it was read."""
    facts = path.stat()
    return f"{path.name} {facts.st_size} {facts.st_mtime_ns}"
