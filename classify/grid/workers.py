"""Run many small jobs in worker processes that end with their parent, and quietly.

Joblib's workers notice a killed parent only after five idle minutes, and a Ctrl-C while they start
makes them print their tracebacks (measured: 1 of 22). So every worker ignores SIGINT from its first
instruction (the parent stops it) and watches its parent from a thread: if that is gone, the worker
ends at once, in the middle of whatever it does. Files are renamed into place when whole, so nothing
is lost but that one job.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed

from embeddings_store.errors import ProjectError

Job = TypeVar("Job")
Answer = TypeVar("Answer")

WATCH_S = 0.5  # how long an orphan may live


def available_cpus() -> int:
    """Return how many processors this process may use, after affinity and container limits."""
    return int(cpu_count())


def run_all(
    function: Callable[[Job], Answer], jobs: Sequence[Job], n_processes: int
) -> Iterator[Answer]:
    """Yield the answer of every job as it comes, in any order.

    Args:
        function: A module's function; its argument and answer are sent between processes, so keep
            them small.
        jobs: What to call it with.
        n_processes: At most so many at a time; with one, or one job, everything happens in this
            process.

    Raises:
        ProjectError: A worker was killed, as systems do when memory runs out.
        Exception: Whatever the first failing job raised; the other workers are stopped.
    """
    processes = min(n_processes, len(jobs))
    if processes <= 1:
        yield from map(function, jobs)
        return
    parallel = Parallel(
        processes,
        backend="loky",
        return_as="generator_unordered",
        batch_size=1,
        pre_dispatch="2*n_jobs",
        max_nbytes=None,
        initializer=_prepare_worker,
        initargs=(os.getpid(),),
    )
    with warnings.catch_warnings():
        # joblib replaces a worker that grew by 300 MB, which a fold's vectors and kernel do; no job
        # is lost by it
        warnings.filterwarnings(
            "ignore", "A worker stopped while some jobs were given to the executor", UserWarning
        )
        with _interrupts_later():
            answers: Iterable[Answer] = parallel(delayed(function)(job) for job in jobs)
        try:
            yield from answers
        except BrokenProcessPool as error:
            raise ProjectError(
                f"one of {processes} worker processes was killed, probably because memory ran "
                "out; finished cells are safe, run the same command again with fewer --jobs"
            ) from error


def _prepare_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="watch-parent").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Hold SIGINT back: processes that start meanwhile never get it, this one does at the end."""
    # joblib starts it anyway, and starting it lets SIGINT through again
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
