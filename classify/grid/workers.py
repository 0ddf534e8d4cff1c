"""Run many small jobs in worker processes that end with their parent, and quietly.

Ctrl-C must stop a run at once, and must not be seen by a fit: scikit-learn's network and XGBoost
swallow the exception or break over it. So long work is done by processes that never get SIGINT,
and this one only notes it, kills them, and raises when nothing of them is left. There are no
threads and no locks here that an exception could leave in disorder: one pipe for each worker, and
one loop that waits for answers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, TypeVar, cast

from classify.grid.worker_process import WorkerAnswer
from embeddings_store.errors import ProjectError
from embeddings_store.interrupts import interrupts_later

Job = TypeVar("Job")
Answer = TypeVar("Answer")

LOOK_S = 0.2  # how soon Ctrl-C is heard
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def available_cpus() -> int:
    """Return how many processors this process may use, after affinity and container limits."""
    from joblib import cpu_count

    return int(cpu_count())


class Workers:
    """Worker processes, started when first needed and kept until the end of the block.

    >>> with Workers() as workers:
    ...     workers.run_all(abs, [-1, 2], 0)
    [1, 2]
    """

    def __init__(self) -> None:
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        """Return itself; nothing is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop every worker."""
        with interrupts_later():
            self._stop()

    def run_all(
        self,
        function: Callable[[Job], Answer],
        jobs: Sequence[Job],
        n_processes: int,
        advance: Callable[[], object] = lambda: None,
    ) -> list[Answer]:
        """Return the answer of every job.

        Args:
            function: A module's function; its argument and answer are sent between processes, so
                keep them small.
            jobs: What to call it with.
            n_processes: In at most so many workers; with 0 everything happens in this process, one
                after the other, and Ctrl-C is heard between two jobs.
            advance: Called after each answer.

        Raises:
            KeyboardInterrupt: Ctrl-C; the jobs that were at work are lost, the workers are gone.
            ProjectError: A worker was killed, as systems do when memory runs out.
            Exception: Whatever the first failing job raised; the workers are stopped.
        """
        if n_processes:
            return self._in_workers(function, jobs, min(n_processes, len(jobs)), advance)
        answers = []
        for job in jobs:
            with interrupts_later():
                answers.append(function(job))
            advance()
        return answers

    def _in_workers(
        self,
        function: Callable[[Job], Answer],
        jobs: Sequence[Job],
        count: int,
        advance: Callable[[], object],
    ) -> list[Answer]:
        answers: dict[int, Answer] = {}
        waiting = iter(range(len(jobs)))
        with interrupts_later() as interrupt:
            try:
                while len(self._workers) < count:
                    self._workers.append(_Worker(count))
                for worker, number in zip(self._workers[:count], waiting, strict=False):
                    worker.give(number, function, jobs[number])
                while len(answers) < len(jobs) and not interrupt.came:
                    for worker in self._with_answer():
                        number, answers[number] = worker.number, worker.take()
                        advance()
                        following = next(waiting, None)
                        if following is not None:
                            worker.give(following, function, jobs[following])
            finally:
                if len(answers) < len(jobs):
                    self._stop()
        if interrupt.came:  # the handler of before did not raise it
            raise KeyboardInterrupt
        return [answers[number] for number in range(len(jobs))]

    def _with_answer(self) -> list[_Worker]:
        """Wait a little for an answer, or a worker's death; return whose it is."""
        busy = {worker.pipe: worker for worker in self._workers if worker.number >= 0}
        return [busy[cast(Connection, pipe)] for pipe in wait(list(busy), LOOK_S)]

    def _stop(self) -> None:
        while self._workers:
            self._workers.pop().stop()


class _WorkerTraceError(Exception):
    """Where in the worker an error came from, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Worker:
    """One process and the pipe to it.

    Attributes:
        pipe: This process' end.
        number: The job that it has, or -1.
    """

    def __init__(self, count: int) -> None:
        """Start the process; it has its share of the processors, as one of ``count``."""
        self.number = -1
        self.pipe, theirs = Pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            "from classify.grid.worker_process import serve; "
            f"serve({theirs.fileno()}, {os.getpid()})"
        )
        threads = str(max(1, available_cpus() // count))
        with theirs, _without_sigint():
            self._process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**dict.fromkeys(THREAD_VARIABLES, threads), **os.environ},
            )

    def give(self, number: int, function: Callable[[Any], Any], job: object) -> None:
        """Send it a job."""
        self.number = number
        try:
            self.pipe.send((function, job))
        except OSError as error:
            raise self._lost() from error

    def take(self) -> Any:
        """Receive its answer, or raise what its job raised."""
        self.number = -1
        try:
            answer: WorkerAnswer = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if answer.error is not None:
            raise answer.error from _WorkerTraceError(answer.trace)
        return answer.value

    def stop(self) -> None:
        """End the process, whatever it does, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self.pipe.close()

    def _lost(self) -> ProjectError:
        self._process.wait()
        status = self._process.returncode
        why = (
            "was killed, probably because memory ran out"
            if status == -signal.SIGKILL
            else f"ended by itself (status {status})"
        )
        return ProjectError(
            f"a worker process {why}; finished cells are safe, run the same command again with "
            "fewer --jobs"
        )


@contextlib.contextmanager
def _without_sigint() -> Iterator[None]:
    """Hold SIGINT back in this thread: a process that starts meanwhile never gets it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
