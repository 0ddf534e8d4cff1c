"""Files that are written whole or not at all, and one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embeddings_store.errors import ProjectError, StoreAccessError, StoreBusyError, StoreFullError

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
NO_ACCESS = frozenset(
    {
        errno.EACCES,
        errno.ENOENT,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
    }
)
ABANDONED_S = 3600.0


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is synced and renamed onto ``path``.

    A crash at any moment leaves the old file or the new one, never a part. A temporary file that a
    kill left behind has the suffix ``.tmp`` and is never read.

    Raises:
        StoreFullError: The disk is full; the temporary file is removed.
        StoreAccessError: The folder is absent, or may not be written to.
    """
    if not path.parent.is_dir():
        raise StoreAccessError(
            f"{path}: cannot be written (there is no folder {path.parent}); make it first, or "
            "choose another place"
        )
    temporary = path.with_name(f".{path.name}.{_host()}-{os.getpid()}.tmp")
    try:
        with explained(path):
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden place, met while writing, into an error to act on.

    Raises:
        StoreFullError: The disk is full.
        StoreAccessError: ``path`` may not be written to.
    """
    try:
        yield
    except ProjectError:
        raise
    except (OSError, RuntimeError) as error:
        if disk_is_full(error):
            raise StoreFullError(
                f"{path}: the disk is full; what was finished before is safe. Free some space (or "
                "choose another place) and run the same command again, it goes on from there"
            ) from error
        if isinstance(error, OSError) and error.errno in NO_ACCESS:
            raise StoreAccessError(
                f"{path}: cannot be written ({os.strerror(error.errno)}); check that this is a "
                "folder in which you may write, or choose another place"
            ) from error
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if they are not there yet.

    Raises:
        StoreAccessError: The place is a file, or may not be written to.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)


def disk_is_full(error: BaseException | None) -> bool:
    """Say whether an error, or the one behind it, means "no space left".

    HDF5 hides the number in its message.

    >>> disk_is_full(OSError(28, "No space left on device"))
    True
    >>> disk_is_full(RuntimeError("write failed: errno = 28, ..."))
    True
    """
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        hidden = re.search(r"\berrno = (\d+)", str(error))
        if number in NO_SPACE or (hidden and int(hidden[1]) in NO_SPACE):
            return True
        error = error.__cause__ or error.__context__
    return False


class PatientFile(io.FileIO):
    """A file for HDF5 to write into, which keeps its first error to itself until HDF5 is done.

    HDF5 cannot bear a failed write: on a full disk it raises RuntimeError from close, prints
    tracebacks from destructors, and may end the process with a bus error.

    Attributes:
        error: The first error of a write, or none.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of ``data``, or remember why not.

        Returns the number of bytes as if it had worked.
        """
        view = memoryview(data).cast("B")
        size = len(view)
        while len(view) and self.error is None:
            try:
                view = view[super().write(view) or 0 :]
            except OSError as error:
                self.error = error
        return size

    def finish(self) -> None:
        """Raise the error that was kept, if there was one.

        Raises:
            OSError: The first write that failed.
        """
        if self.error is not None:
            raise self.error


def write_json(path: Path, data: object) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def remove_leftovers(folder: Path) -> int:
    """Delete the temporary files that killed writers left in ``folder``; returns how many.

    Writers of other files in this folder may be at work (one per fold), on this machine or another,
    so a temporary file goes only if its process is gone, or if nobody has written to it for an
    hour.
    """
    removed = 0
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if _abandoned(path):
                path.unlink()
                removed += 1
    return removed


@contextlib.contextmanager
def exclusive(lock: Path, what: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold ``lock`` while writing; the system frees it when the process ends, however it ends.

    Args:
        lock: The lock file; it stays when the lock is freed.
        what: What is being written, for the message.
        wait_s: How long to wait for another process, in seconds.

    Raises:
        StoreBusyError: Another process holds it.
        StoreAccessError: The lock file cannot be made.
    """
    make_folder(lock.parent)
    with contextlib.ExitStack() as stack:
        with explained(lock):
            handle = stack.enter_context(lock.open("a+", encoding="utf-8"))
        deadline = time.monotonic() + wait_s
        while not _locked(handle.fileno()):
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            handle.seek(0)
            raise StoreBusyError(
                f"{what} is being written by another process "
                f"({handle.read().strip() or 'unknown'}); wait for it, or choose another fold, "
                "seed or folder"
            )
        with explained(lock):
            handle.truncate(0)
            handle.write(f"pid {os.getpid()} on {_host()}")
            handle.flush()
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _abandoned(temporary: Path) -> bool:
    """Say whether the writer of a temporary file is gone."""
    if time.time() - temporary.stat().st_mtime > ABANDONED_S:
        return True
    host, _, pid = temporary.name.removesuffix(".tmp").rpartition(".")[2].rpartition("-")
    if host != _host() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _host() -> str:
    """Return the machine's name without what a file name's parts are divided by."""
    return re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
