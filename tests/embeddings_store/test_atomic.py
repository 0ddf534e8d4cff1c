"""Killed, out of disk, read-only, or two at once.

The old file stays whole, and the message says what to do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from embeddings_store.atomic import (
    exclusive,
    no_room,
    remove_leftovers,
    replacing,
    scratch_beside,
    write_json,
)
from embeddings_store.commands.common import guarded
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreAccessError, StoreBusyError, StoreFullError
from embeddings_store.folds.rules import make_plan
from embeddings_store.vectors.arrays import Embeddings
from embeddings_store.vectors.hdf5 import read_embeddings, verify, write_embeddings
from embeddings_store.vectors.shards import ShardFolder

ABOUT: dict[str, object] = {"corpus": "mini", "inputs_digest": ""}


@contextmanager
def running(code: str, *arguments: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has printed its first line; killed at the end, and reaped."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def temporaries(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.suffix == ".tmp"]


# Killed

WRITER = """
import sys, time
from pathlib import Path
from embeddings_store.atomic import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of the new")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_writer_that_is_killed_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with running(WRITER, path):
        assert len(temporaries(tmp_path)) == 1
        assert remove_leftovers(tmp_path) == 0, "its writer is alive"
    assert path.read_text() == "old"
    assert remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_the_next_writer_of_a_file_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path, other = tmp_path / "x[1].txt", tmp_path / "x1.txt"
    for file in (path, other):
        with running(WRITER, file):
            pass
    assert len(temporaries(tmp_path)) == 2
    with running(WRITER, path):
        assert len(temporaries(tmp_path)) == 2, "one of the living writer, one of the other file"
        with replacing(path) as temporary:
            temporary.write_text("new")
        assert len(temporaries(tmp_path)) == 2, "the writer of one of them is alive"
    for file in (path, other):
        with replacing(file) as temporary:
            temporary.write_text("new")
    assert temporaries(tmp_path) == []
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("name", "age_s", "removed"),
    [
        (".x.elsewhere-1.tmp", 0, 0),
        (".x.elsewhere-1.tmp", 4000, 1),
        (".x.tmp", 0, 0),
        (".x.tmp", 4000, 1),
        ("x.tmp", 4000, 0),
    ],
)
def test_leftovers_of_other_machines_go_when_they_are_old(
    tmp_path: Path, name: str, age_s: int, removed: int
) -> None:
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    assert remove_leftovers(tmp_path) == removed
    assert (tmp_path / name).exists() == (not removed)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError("strange")])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_sorted_and_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": 1, "a": "ü"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'


# Out of disk


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"needs the right to mount a small disk: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 256 kB, so that the errors are those of the system and of the libraries."""
    if not sys.platform.startswith("linux"):
        pytest.skip("mounts a tmpfs, which is Linux")
    with mounted(tmp_path / "small", "size=256k") as folder:
        yield folder


def _fill_vectors(path: Path, embeddings: Callable[..., Embeddings], rows: int) -> None:
    one = embeddings()
    ids = np.array([f"u{i}" for i in range(rows)])
    write_embeddings(
        path,
        replace(
            one,
            ids=ids,
            vectors=np.ones((rows, 16), np.float32),
            seen=np.full(rows, "no"),
            status=np.full(rows, "ok"),
            reason=np.full(rows, ""),
        ),
        ABOUT,
    )


@pytest.mark.parametrize("rows", [2900, *range(3300, 3700, 20), 5000, 100_000])
def test_hdf5_on_a_full_disk(
    small_disk: Path,
    embeddings: Callable[..., Embeddings],
    rows: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """HDF5 fails at other places (write, flush, close) for each size.

    Some crashed Python before writes were guarded.
    """
    path = small_disk / "fold-any.h5"
    _fill_vectors(path, embeddings, 100)
    try:
        _fill_vectors(path, embeddings, rows)
    except StoreFullError as error:
        assert str(error).startswith(
            f"{path}: the disk is full; what was finished before is safe. Free some space"
        )
        assert len(read_embeddings(path).ids) == 100
    else:
        assert rows < 3700
        assert len(read_embeddings(path).ids) == rows
    assert list(small_disk.iterdir()) == [path]
    assert capfd.readouterr().err == ""


def test_parts_on_a_full_disk(small_disk: Path) -> None:
    shards = ShardFolder(small_disk / "e@f")
    shards.start({})
    committed = []
    with pytest.raises(StoreFullError, match=r"part-0000\d\d.npz: the disk is full"):
        for i in range(100):
            shards.commit(np.array([i]), {"vectors": np.ones((1, 3000), np.float32)})
            committed.append(i)
    assert len(committed) > 5
    assert shards.start({}) == []
    assert shards.finished().tolist() == committed
    assert temporaries(shards.path) == []


def test_tables_on_a_full_disk(small_disk: Path, manifest: Manifest) -> None:
    manifest.enter(small_disk)
    (small_disk / "ballast").write_bytes(b"\0" * (os.statvfs(small_disk).f_bavail * 4096 - 8192))
    big = Manifest.from_columns(
        "big", {"id": [f"u{i}" for i in range(3000)], "text": [str(i) * 9 for i in range(3000)]}
    )
    with pytest.raises(StoreFullError, match=r"manifest.parquet: the disk is full"):
        big.enter(small_disk)
    assert Manifest.load(small_disk / "mini").digest == manifest.digest
    assert not (small_disk / "big" / "corpus.json").exists()
    assert temporaries(small_disk / "big") == []
    plan = make_plan(manifest, "leave-one-session-out")
    (small_disk / "more").write_bytes(b"\0" * os.statvfs(small_disk).f_bavail * 4096)
    with pytest.raises(StoreFullError, match=r"plan.parquet: the disk is full"):
        plan.save(small_disk / "plan.parquet")


def test_what_hdf5_itself_says_on_a_full_disk_is_recognised(small_disk: Path) -> None:
    with (
        pytest.raises((OSError, RuntimeError)) as caught,
        h5py.File(small_disk / "x.h5", "w") as file,
    ):
        file["x"] = np.ones(10**6)
    assert no_room(caught.value)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(28, "No space left on device"), True),
        (OSError(122, "Disk quota exceeded"), True),
        (RuntimeError("write failed: errno = 28, error message"), True),
        (OSError("errno = 122, quota"), True),
        (OSError(27, "File too large"), True),
        (Exception("Error while serializing: I/O error: ... (os error 27)"), True),
        (RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos"), True),
        (OSError("errno = 280"), False),
        (OSError(13, "Permission denied"), False),
        (ValueError("28"), False),
        (None, False),
    ],
)
def test_a_full_disk_is_told_from_other_errors(error: BaseException | None, full: bool) -> None:
    assert bool(no_room(error)) == full
    wrapped = RuntimeError("while saving")
    wrapped.__cause__ = error
    assert bool(no_room(wrapped)) == full


def test_commands_say_that_the_disk_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> int:
        raise OSError(28, "No space left on device")

    assert guarded(run, "tool") == 3
    assert capsys.readouterr().err.startswith("tool: the disk is full")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What ``ulimit -f`` does, for this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["json", "corpus", "vectors here", "plan", "part"])
def test_a_file_that_may_not_grow_is_told_and_nothing_is_left(
    tmp_path: Path, manifest: Manifest, embeddings: Callable[..., Embeddings], kind: str
) -> None:
    made = embeddings()
    writers = {
        **WRITERS,
        "json": lambda folder, m, e: write_json(folder / "x.json", {"x": "y" * 1000}),
        "corpus": lambda folder, m, e: m.save(folder),
        "part": lambda folder, m, e: ShardFolder(folder).commit(
            np.arange(100), {"vectors": np.ones((100, 9))}
        ),
    }
    told = r"a file would be larger than is allowed here \(ulimit -f.*Raise the limit"
    for size in (0, 1, 100):
        with pytest.raises(StoreFullError, match=told), files_of_at_most(size):
            writers[kind](tmp_path, manifest, made)
        assert list(tmp_path.iterdir()) == []
    writers[kind](tmp_path, manifest, made)
    assert temporaries(tmp_path) == []


# Where nothing may be written


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that even root may not write to, with a file in it that may be read."""
    folder = tmp_path / "ro"
    if os.geteuid():
        folder.mkdir()
        (folder / "x.json").write_text("{}")
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    with mounted(folder, "size=64k"):
        (folder / "x.json").write_text("{}")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder


def _lock(folder: Path) -> None:
    with exclusive(folder / "x.lock", "x"):
        pass


WRITERS: dict[str, Callable[[Path, Manifest, Embeddings], object]] = {
    "json": lambda folder, m, e: write_json(folder / "x.json", {}),
    "lock": lambda folder, m, e: _lock(folder),
    "corpus": lambda folder, m, e: m.enter(folder),
    "vectors": lambda folder, m, e: write_embeddings(folder / "a" / "x.h5", e, ABOUT),
    "vectors here": lambda folder, m, e: write_embeddings(folder / "x.h5", e, ABOUT),
    "parts": lambda folder, m, e: ShardFolder(folder / "e@f").start({}),
    "plan": lambda folder, m, e: make_plan(m, "split").save(folder / "plan.parquet"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_read_only_folder_is_told(
    read_only: Path, manifest: Manifest, embeddings: Callable[..., Embeddings], kind: str
) -> None:
    with pytest.raises(
        StoreAccessError,
        match=r"cannot be written \((Read-only file system|Permission denied)\); check",
    ):
        WRITERS[kind](read_only, manifest, embeddings())
    assert (read_only / "x.json").read_text() == "{}"


def test_reading_from_a_read_only_folder_works(
    tmp_path: Path, manifest: Manifest, embeddings: Callable[..., Embeddings]
) -> None:
    folder = tmp_path / "mini"
    manifest.enter(tmp_path)
    write_embeddings(folder / "x.h5", embeddings(), ABOUT)
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert Manifest.load(folder).digest == manifest.digest
        assert "move it back" in verify(folder / "x.h5")[0]
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize("kind", [k for k in WRITERS if k != "plan"])
def test_a_file_in_the_place_of_a_folder_is_told(
    tmp_path: Path, manifest: Manifest, embeddings: Callable[..., Embeddings], kind: str
) -> None:
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(StoreAccessError, match="cannot be written"):
        WRITERS[kind](tmp_path / "store", manifest, embeddings())


def test_an_absent_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreAccessError, match=r"there is no folder .*none.; make it first"):
        write_json(tmp_path / "none" / "x.json", {})


# Two at once

HOLDER = """
import sys, time
from pathlib import Path
from embeddings_store.atomic import exclusive
with exclusive(Path(sys.argv[1]), "x"):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_the_second_writer_is_told_who_the_first_is_until_that_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "deep" / "x.lock"
    with running(HOLDER, lock) as process:
        started = time.monotonic()
        told = rf"fold 3 is being written by another process \(pid {process.pid} on .*wait for it"
        with pytest.raises(StoreBusyError, match=told), exclusive(lock, "fold 3", wait_s=0.2):
            pytest.fail("two writers at once")
        assert time.monotonic() - started >= 0.2
    with exclusive(lock, "fold 3"):
        assert lock.read_text().startswith(f"pid {os.getpid()} on ")


def test_a_waiting_writer_gets_its_turn(tmp_path: Path) -> None:
    code = HOLDER.replace("time.sleep(60)", "time.sleep(0.3)")
    with running(code, tmp_path / "x.lock"), exclusive(tmp_path / "x.lock", "x", wait_s=30.0):
        assert (tmp_path / "x.lock").read_text().startswith(f"pid {os.getpid()} on ")


def test_a_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), exclusive(tmp_path / "x.lock", "x"):
        raise ValueError("inside")
    _lock(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_locks_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)

    def run() -> int:
        _lock(tmp_path)
        return 0

    assert guarded(run, "tool") == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tool: {tmp_path / 'x.lock'}: this file system has no locks (")
    assert "choose a folder on another disk" in line


def test_what_a_killed_writer_was_building_goes_when_it_is_built_again(tmp_path: Path) -> None:
    out, gone = tmp_path / "out", 2**22 + 1  # no process has such a number
    ours = scratch_name(out)
    killed = tmp_path / ours.replace(str(os.getpid()), str(gone))
    (killed / "half").mkdir(parents=True)
    elsewhere = tmp_path / ".out.another-machine-7.tmp"
    elsewhere.mkdir()
    with scratch_beside(out) as scratch:
        assert scratch.name == ours and not killed.exists() and elsewhere.exists()
        (scratch / "out").mkdir()
        (scratch / "out").rename(out)
    assert {path.name for path in tmp_path.iterdir()} == {"out", elsewhere.name}


def scratch_name(path: Path) -> str:
    with scratch_beside(path) as scratch:
        return scratch.name
