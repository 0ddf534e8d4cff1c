"""One life of a command: a fork that runs its ``main`` in a process group of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

BEFORE_MAIN = 71  # the exit status of a life that Ctrl-C reached before its command could hear it


def fork(run: Callable[[], int], output: Path, errors: Path) -> int:
    """Fork, run in the child with its output in files, and return the child's pid.

    The child ends with what ``run`` returns, with 70 where it raises, and with
    :data:`BEFORE_MAIN` where that is Ctrl-C.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        for path, descriptor in ((output, 1), (errors, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), descriptor)
        os.setpgrp()
        code = run()
    except KeyboardInterrupt:
        code = BEFORE_MAIN
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int, limit_s: float) -> int | None:
    """Return the exit status if the child ends within ``limit_s``, else none."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None
