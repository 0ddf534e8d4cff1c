"""Remembers what a check has read, so that a second run goes on where one was stopped."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from embeddings_store.errors import ManifestError
from embeddings_store.reading import is_file, reading

SUM = "sum"


class Remembered:
    """A file of one JSON object per line, each with a digest; several threads may add to it.

    Attributes:
        known: What was remembered, by its state.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what there is; a line that a kill tore, or that somebody changed, is left out.

        Args:
            path: The file, which need not exist; none remembers nothing.
        """
        self.known: dict[str, dict[str, Any]] = {}
        self._path = path
        self._lock = threading.Lock()
        if path is None or not is_file(path):
            return
        with suppress(ManifestError), reading(path, "what an earlier run found"):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ManifestError), reading(path, "facts of a file"):
                    entry = json.loads(line)
                    if entry.pop(SUM) == _sum(entry):
                        self.known[entry.pop("state")] = entry

    def add(self, state: str, entry: Mapping[str, Any]) -> None:
        """Remember plain JSON values under a state, see :func:`digest_of`."""
        if self._path is None:
            return
        whole = {"state": state, **entry}
        line = json.dumps({**whole, SUM: _sum(whole)}, ensure_ascii=False)
        with self._lock, self._path.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")


def digest_of(path: Path, content: object) -> str:
    """Return a digest that changes with a file and with what is asked of it.

    Args:
        path: The file; its size and time of change stand for it.
        content: Plain JSON values.
    """
    try:
        about = path.stat()
        changed = f"{about.st_size} {about.st_mtime_ns}"
    except OSError:
        changed = "gone"
    text = json.dumps([content, changed], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _sum(entry: Mapping[str, Any]) -> str:
    """Return a digest of a line that says whether it is as it was written."""
    text = json.dumps(entry)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
