"""Workers hand on answers and errors, and do not outlive a killed parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from classify.grid.workers import available_cpus, run_all
from embeddings_store.errors import ProjectError

ORPHAN = """
import os, sys, time
from pathlib import Path
from classify.grid.workers import run_all

def slow(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    list(run_all(slow, sys.argv[1:], 2))
"""


def double(x: int) -> int:
    if x == 13:
        raise ValueError("unlucky")
    return 2 * x


def test_one_process_keeps_the_order() -> None:
    assert list(run_all(double, [3, 1, 2], 1)) == [6, 2, 4]
    assert list(run_all(double, [], 4)) == []
    assert available_cpus() >= 1


def test_the_first_error_is_raised() -> None:
    with pytest.raises(ValueError, match="unlucky"):
        list(run_all(double, [1, 13, 2], 1))


def die(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def test_a_worker_that_is_killed_is_no_bug() -> None:
    with pytest.raises(ProjectError, match="memory ran out"):
        list(run_all(die, [1, 2], 2))


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to see whether a process lives"
)
def test_workers_end_soon_after_their_parent_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    notes = [tmp_path / "one", tmp_path / "two"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    parent = subprocess.Popen(
        [sys.executable, str(script), *map(str, notes)], env=environment, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while not all(note.exists() and note.read_text() for note in notes):
        assert time.monotonic() < until, "the workers did not start"
        time.sleep(0.05)
    workers = [int(note.read_text()) for note in notes]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 20
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < until, "a worker outlived its parent"
        time.sleep(0.05)
