"""What runs in a worker process: jobs come through a pipe, answers go back, and no orphan stays."""

from __future__ import annotations

import copy
import os
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

WATCH_S = 0.5  # how long an orphan may live


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """What came of one job.

    Attributes:
        value: What the function returned.
        error: What it raised, or none.
        trace: The traceback in the worker, as text.
    """

    value: Any = None
    error: Exception | None = None
    trace: str = ""


def serve(descriptor: int, parent: int) -> None:
    """Answer jobs until the pipe is closed.

    A thread watches the parent: if that is gone, the process ends at once, in the middle of
    whatever it does. Files are renamed into place when whole, so nothing is lost but that one job.

    Args:
        descriptor: The pipe's end, open in this process.
        parent: The process that started this one.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="watch-parent").start()
    with Connection(descriptor) as pipe:
        while True:
            try:
                function, job = pipe.recv()
            except (EOFError, OSError):  # the parent is gone, or has closed its end unread
                return
            _send(pipe, _answer(function, job))


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)


def _answer(function: Callable[[Any], Any], job: object) -> WorkerAnswer:
    try:
        return WorkerAnswer(function(job))
    except Exception as error:
        trace = traceback.format_exc()
        try:
            copy.copy(error)  # what cannot be rebuilt here cannot be rebuilt in the parent
        except Exception:
            return WorkerAnswer(error=RuntimeError(repr(error)), trace=trace)
        return WorkerAnswer(error=error, trace=trace)


def _send(pipe: Connection[Any, Any], answer: WorkerAnswer) -> None:
    try:
        pipe.send(answer)
    except OSError:  # the parent has closed the pipe: nobody waits for the answer
        return
    except Exception as error:  # of pickling; nothing has been sent
        problem = RuntimeError(f"an answer cannot be sent to the parent process: {error}")
        pipe.send(WorkerAnswer(error=problem, trace=traceback.format_exc()))
