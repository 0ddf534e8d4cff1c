"""Checkpoints that can be trusted: one without a completion marker, or with another digest than the marker's, is discarded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from embeddings_store.atomic import write_json
from embeddings_store.provenance import file_digest

MARKER = "complete.json"


def mark_complete(folder: Path, about: Mapping[str, object] | None = None) -> None:
    """Write the marker last: digests of every file in the folder, and what it is."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MARKER)
    write_json(folder / MARKER, {**(about or {}), "files": {p.relative_to(folder).as_posix(): file_digest(p) for p in files}})


def is_complete(folder: Path) -> bool:
    """Say whether a folder carries its marker and every file is what the marker says."""
    try:
        files = json.loads((folder / MARKER).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return False
    return all((folder / name).is_file() and file_digest(folder / name) == digest for name, digest in files.items())


def discard_unfinished(folder: Path) -> None:
    """Remove the checkpoints below ``folder`` that a kill left unfinished; one process does this before others look."""
    for path in folder.glob("checkpoint-*"):
        if not is_complete(path):
            shutil.rmtree(path)


def latest_complete(folder: Path) -> Path | None:
    """Return the newest whole ``checkpoint-STEP`` below ``folder``."""
    whole = [(int(path.name.rpartition("-")[2]), path) for path in folder.glob("checkpoint-*") if is_complete(path)]
    return max(whole)[1] if whole else None
