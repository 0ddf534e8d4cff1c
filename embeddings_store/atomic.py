"""Files that are written whole or not at all, and one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import io
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from embeddings_store.errors import ProjectError, StoreAccessError, StoreBusyError, StoreFullError

FULL = ("the disk is full", "Free some space (or choose another place)")
TOO_LARGE = (
    "a file would be larger than is allowed here (ulimit -f, or what the disk is formatted as)",
    "Raise the limit (or choose another place)",
)
NO_ROOM = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EFBIG: TOO_LARGE}
# HDF5, Rust's libraries and those that show an OSError within their own words.
HIDDEN_NUMBER = re.compile(r"(?:\berrno = |\bos error |\[Errno )(\d+)")
TORCH_WRITER = ("PytorchStreamWriter", "inline_container.cc")  # it fails without a number
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
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
def replacing(path: Path, *, clear: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is synced and renamed onto ``path``.

    A crash at any moment leaves the old file or the new one, never a part. A temporary file that a
    kill left behind has the suffix ``.tmp``, is never read, and goes when the same file is written
    again.

    Args:
        path: The file.
        clear: Whether to look for what killed writers of this file left; not where a folder of
            thousands of files was cleared at the start of the run.

    Raises:
        StoreFullError: The disk is full; the temporary file is removed.
        StoreAccessError: The folder is absent, or may not be written to.
    """
    if not path.parent.is_dir():
        raise StoreAccessError(
            f"{path}: cannot be written (there is no folder {path.parent}); make it first, or "
            "choose another place"
        )
    if clear:
        _remove_abandoned(path.parent.glob(f".{glob.escape(path.name)}.*.tmp"))
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
def scratch_beside(path: Path) -> Iterator[Path]:
    """Yield an empty hidden folder beside ``path`` to build in; it is removed at the end.

    One that a kill left behind goes when the same path is built again.

    Args:
        path: What is built; its parent is there.

    Raises:
        StoreFullError: The disk is full.
        StoreAccessError: The parent may not be written to.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if leftover.is_dir() and _writer_is_gone(leftover):
            shutil.rmtree(leftover, ignore_errors=True)
    scratch = path.with_name(f".{path.name}.{_host()}-{os.getpid()}.tmp")
    try:
        with explained(path):
            scratch.mkdir()
            yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
    except Exception as error:
        if room := no_room(error):
            what, advice = room
            raise StoreFullError(
                f"{path}: {what}; what was finished before is safe. {advice} and run the same "
                "command again, it goes on from there"
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


def no_room(error: BaseException | None) -> tuple[str, str] | None:
    """Say what an error means, and what to do, if it or the one behind it is about a full disk.

    Libraries hide the number in their messages.

    >>> no_room(OSError(28, "No space left on device"))
    ('the disk is full', 'Free some space (or choose another place)')
    >>> no_room(RuntimeError("write failed: errno = 28, ..."))
    ('the disk is full', 'Free some space (or choose another place)')
    >>> no_room(ValueError("28"))
    """
    while error is not None:
        numbers = [error.errno] if isinstance(error, OSError) else []
        numbers += [int(number) for number in HIDDEN_NUMBER.findall(str(error))]
        for number in numbers:
            if number in NO_ROOM:
                return NO_ROOM[number]
        if any(sign in str(error) for sign in TORCH_WRITER):
            return FULL
        error = error.__cause__ or error.__context__
    return None


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

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file, or remember why not; returns ``size`` as if it had worked."""
        try:
            if self.error is None:
                return super().truncate(size)
        except OSError as error:
            self.error = error
        return size or 0

    def flush(self) -> None:
        """Do nothing: nothing is held back in memory."""

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
    return _remove_abandoned(folder.glob(".*.tmp"))


def _remove_abandoned(temporaries: Iterable[Path]) -> int:
    removed = 0
    for path in temporaries:
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
        StoreAccessError: The lock file cannot be made, or the file system has no locks.
    """
    make_folder(lock.parent)
    with contextlib.ExitStack() as stack:
        with explained(lock):
            handle = stack.enter_context(lock.open("a+", encoding="utf-8"))
        deadline = time.monotonic() + wait_s
        while not _locked(handle.fileno(), lock):
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


def _locked(descriptor: int, lock: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise StoreAccessError(
            f"{lock}: this file system has no locks ({os.strerror(error.errno)}), so two writers "
            "at once could not be told apart; choose a folder on another disk, or have it mounted "
            "with locks (NFS: its lock service; Lustre: the option flock)"
        ) from error
    return True


def _abandoned(temporary: Path) -> bool:
    """Say whether the writer of a temporary file is gone."""
    return time.time() - temporary.stat().st_mtime > ABANDONED_S or _writer_is_gone(temporary)


def _writer_is_gone(temporary: Path) -> bool:
    """Say whether the process that a temporary name names is of this machine, and has ended."""
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
