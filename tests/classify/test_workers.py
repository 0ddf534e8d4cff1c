"""Workers hand on answers and errors, and do not outlive a killed parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from classify.grid import worker_process
from classify.grid.workers import Workers, available_cpus
from embeddings_store.errors import ProjectError
from embeddings_store.interrupts import interrupts_later

ORPHAN = """
import sys
from classify.grid.workers import Workers
from slow_job import slow

with Workers() as workers:
    workers.run_all(slow, sys.argv[1:], 2)
"""
SLOW_JOB = """
import os, time
from pathlib import Path

def slow(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)
"""


def double(x: int) -> int:
    if x == 13:
        raise ValueError("unlucky")
    return 2 * x


def in_workers(function: Callable[[int], int], jobs: Sequence[int], n_processes: int) -> list[int]:
    with Workers() as workers:
        return workers.run_all(function, jobs, n_processes)


@pytest.mark.parametrize("n_processes", [0, 1, 2])
def test_answers_stand_in_the_order_of_the_jobs(n_processes: int) -> None:
    advanced: list[None] = []
    with Workers() as workers:
        for jobs in ([3, 1, 2], [5], []):
            found = workers.run_all(double, jobs, n_processes, lambda: advanced.append(None))
            assert found == [2 * job for job in jobs]
    assert len(advanced) == 4
    assert available_cpus() >= 1


@pytest.mark.parametrize("n_processes", [0, 1])
def test_the_first_error_is_raised(n_processes: int) -> None:
    with pytest.raises(ValueError, match="unlucky"):
        in_workers(double, [1, 13, 2], n_processes)


def die(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def leave(x: int) -> int:
    os._exit(x)


def test_a_worker_that_is_killed_is_no_bug() -> None:
    with pytest.raises(ProjectError, match="memory ran out"):
        in_workers(die, [1, 2], 1)
    with pytest.raises(ProjectError, match=r"ended by itself \(status 5\)"):
        in_workers(leave, [5], 1)


def interrupt_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def children() -> list[str]:
    found = Path(f"/proc/self/task/{os.getpid()}/children")
    return found.read_text().split() if found.exists() else []


@pytest.mark.parametrize("n_processes", [1, 2])
def test_ctrl_c_at_any_moment_ends_the_workers_and_is_raised(n_processes: int) -> None:
    before, handler = children(), signal.getsignal(signal.SIGINT)
    for moment in np.linspace(0.0, 0.3, 20):
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt), Workers() as workers:
            workers.run_all(time.sleep, [0.0, 60, 60], n_processes, interrupt_after(moment).join)
        assert time.monotonic() - started < 30
        assert children() == before
        assert signal.getsignal(signal.SIGINT) is handler


def test_more_ctrl_c_change_nothing() -> None:
    before = children()
    with pytest.raises(KeyboardInterrupt), interrupts_later():  # they may come after the run, too
        timers = [interrupt_after(0.2 + delay) for delay in np.linspace(0.0, 0.3, 30)]
        try:
            with Workers() as workers:
                workers.run_all(time.sleep, [60, 60], 2)
        finally:
            for timer in timers:
                timer.join()
            assert children() == before


def test_a_job_in_this_process_ends_before_ctrl_c_is_heard() -> None:
    ended: list[int] = []

    def job(number: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        ended.append(number)

    with pytest.raises(KeyboardInterrupt), Workers() as workers:
        workers.run_all(job, [1, 2], 0)
    assert ended == [1]


def test_a_worker_says_nothing_when_its_parent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_watch", lambda parent: None)
    for unread in ([], ["an answer"]):  # unread, it resets the connection
        ours, theirs = Pipe()
        for answer in unread:
            theirs.send(answer)
        ours.close()
        worker_process.serve(os.dup(theirs.fileno()), os.getppid())
        theirs.close()


def test_workers_of_a_thread_work_as_well() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(in_workers, double, [1, 2], 1).result(60) == [2, 4]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to see whether a process lives"
)
def test_workers_end_soon_after_their_parent_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    (tmp_path / "slow_job.py").write_text(SLOW_JOB)
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
