"""Files that are written whole or not at all, and one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from embeddings_store.errors import StoreBusyError, StoreFullError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is synced and renamed onto ``path``.

    A crash at any moment leaves the old file or the new one, never a part. A temporary file that a kill left
    behind has the suffix ``.tmp`` and is never read.

    Raises:
        StoreFullError: The disk is full; the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if disk_is_full(error):
            raise StoreFullError(f"{path}: the disk is full; what was finished before is safe. Free some space (or choose "
                                 "another place) and run the same command again, it goes on from there") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def disk_is_full(error: BaseException | None) -> bool:
    """Say whether an error, or the one behind it, means "no space left"; HDF5 hides the number in its message.

    >>> disk_is_full(OSError(28, "No space left on device"))
    True
    """
    while error is not None:
        if isinstance(error, OSError) and (error.errno in {errno.ENOSPC, errno.EDQUOT}
                                           or f"errno = {errno.ENOSPC}" in str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def write_json(path: Path, data: object) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def remove_leftovers(folder: Path) -> int:
    """Delete the temporary files that killed writers left in ``folder``; call it under its lock. Returns how many."""
    leftovers = list(folder.glob(".*.tmp"))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


@contextlib.contextmanager
def exclusive(lock: Path, what: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold ``lock`` while writing; the system frees it when the process ends, however it ends.

    Args:
        lock: The lock file; it stays when the lock is freed.
        what: What is being written, for the message.
        wait_s: How long to wait for another process, in seconds.

    Raises:
        StoreBusyError: Another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="utf-8") as handle:
        deadline = time.monotonic() + wait_s
        while not _locked(handle.fileno()):
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            handle.seek(0)
            raise StoreBusyError(f"{what} is being written by another process ({handle.read().strip() or 'unknown'}); "
                                 "wait for it, or choose another fold, seed or folder")
        handle.truncate(0)
        handle.write(f"pid {os.getpid()}")
        handle.flush()
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
