"""Remembers which clips cannot be read, so that none of them is decoded and searched twice.

For a process all of them; on disk, beside the cached clips, those without a face, which another
process would not find either. Other faults, such as a disk that is away, are tried again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from embeddings_store.atomic import exclusive, replacing
from embeddings_store.errors import ManifestError, MediaError, NoFaceError
from embeddings_store.reading import is_file, read_text

SUFFIX = ".no-face"
LOCK_WAIT_S = 60.0


class Refusals:
    """Why clips cannot be read, by the keys of the cache."""

    def __init__(self, folder: Path, *, on_disk: bool) -> None:
        """Name the cache's folder; it need not exist.

        Args:
            folder: Where the cached clips lie.
            on_disk: Whether anything may be written there.
        """
        self._folder = folder
        self._on_disk = on_disk
        self._reasons: dict[str, str] = {}

    def get(self, key: str, path: Path) -> MediaError | None:
        """Return why a clip cannot be read, None where nothing is known against it.

        Args:
            key: Of the clip, or of the whole file.
            path: The film, for the message; it may have moved since.
        """
        if key in self._reasons:
            return MediaError(f"{path}{self._reasons[key]}")
        file = self._file(key)
        if not self._on_disk or not is_file(file):
            return None
        try:
            digest, _, reason = read_text(file).partition("\n")
        except ManifestError:
            return None
        # Nobody's words but our own become the reason of a row.
        return NoFaceError(f"{path}{reason}") if digest == _digest(reason) else None

    def keep(self, key: str, path: Path, error: MediaError) -> None:
        """Remember an error.

        Args:
            key: Of the clip, or of the whole file.
            path: The film that its message begins with.
            error: Why it cannot be read.

        Raises:
            StoreFullError: If the disk is full.
            StoreBusyError: If another process has been writing next to it for a minute.
        """
        reason = str(error).removeprefix(str(path))
        self._reasons[key] = reason
        if self._on_disk and isinstance(error, NoFaceError):
            file = self._file(key)
            # Two threads of one process would write to the same temporary file without the lock.
            with (
                exclusive(file.parent / ".lock", str(file), wait_s=LOCK_WAIT_S),
                replacing(file) as temporary,
            ):
                temporary.write_text(f"{_digest(reason)}\n{reason}", encoding="utf-8")

    def _file(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}{SUFFIX}"


def _digest(reason: str) -> str:
    return hashlib.sha256(reason.encode()).hexdigest()[:16]
