"""Checkpoints that can be trusted.

One without a completion marker, or with another digest than the marker's, is discarded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings_store.atomic import write_json
from embeddings_store.errors import ManifestError
from embeddings_store.provenance import file_digest
from embeddings_store.reading import is_file, read_json, reading

MARKER = "complete.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint of a training.

    Attributes:
        path: ``checkpoint-STEP``.
        step: Steps of the optimiser that it has seen.
        about: What its marker says besides the digests: ``rows``, and ``best``, the step whose
            weights are the best so far.
    """

    path: Path
    step: int
    about: Mapping[str, Any]


def mark_complete(folder: Path, about: Mapping[str, object] | None = None) -> None:
    """Bring every file of a folder to the disk, and write a marker with their digests last.

    Args:
        folder: What is complete.
        about: What the marker says of it besides.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MARKER)
    digests = {}
    for path in files:
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
            digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(
                handle, "sha256"
            ).hexdigest()
    write_json(folder / MARKER, {**(about or {}), "files": digests})


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Return what the marker says.

    None where there is no marker, or a file is not what the marker says.
    """
    with suppress(ManifestError), reading(folder, "a finished folder"):
        marker: dict[str, Any] = read_json(folder / MARKER)
        for name, digest in marker["files"].items():
            if not is_file(folder / name) or file_digest(folder / name) != digest:
                return None
        return marker
    return None


def is_complete(folder: Path) -> bool:
    """Say whether a folder carries its marker and every file is what the marker says."""
    return read_marker(folder) is not None


def remove(folder: Path) -> None:
    """Remove a folder, its marker first: a kill in between leaves nothing that looks whole."""
    (folder / MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def resume_point(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint that training can go on from, and remove what nobody can use.

    A checkpoint is of no use without the one that holds the best weights so far: going on without
    that would end with other weights than an undisturbed run.

    Args:
        folder: Holds the checkpoints of one training.
    """
    whole: dict[int, Checkpoint] = {}
    for path in folder.glob("checkpoint-*"):
        marker = read_marker(path)
        if marker is None:
            remove(path)
        else:
            step = step_of(path)
            whole[step] = Checkpoint(path, step, marker)
    for step in sorted(whole, reverse=True):
        if whole[step].about.get("best", step) in whole:
            return whole[step]
        remove(whole.pop(step).path)
    return None


def keep_only(folder: Path, steps: set[int]) -> None:
    """Remove the checkpoints of all other steps."""
    for path in folder.glob("checkpoint-*"):
        if step_of(path) not in steps:
            remove(path)


def step_of(path: Path) -> int:
    """Return the step that a checkpoint's name tells.

    >>> step_of(Path("checkpoints/checkpoint-120"))
    120
    """
    return int(path.name.rpartition("-")[2])
