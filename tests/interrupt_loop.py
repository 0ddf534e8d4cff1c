"""Start run-fusion-grid again and again, and send it SIGINT or SIGTERM at random moments.

Run as ``python -m tests.interrupt_loop``: the heavy imports happen once, then each life of the
command is a fork that runs its real ``main``. After every life each cell that it stored is
compared, bit by bit, with that of an undisturbed run, and no process of it may be left. At the end
the command runs once more to its end. Prints JSON: how many lives each ending had, and how many
cells were compared.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np

from classify.commands.run_fusion_grid import main as run_fusion_grid
from classify.grid import execution
from tests.forked_life import BEFORE_MAIN, fork, wait

LIMIT_S = 60.0
CLEARED = "unfinished files of a run that was killed"  # by SIGTERM, in a life before
ENDINGS = {signal.SIGINT: {130, BEFORE_MAIN, 0}, signal.SIGTERM: {-signal.SIGTERM, 0}}


def live(argv: list[str], log: Path) -> int:
    """Fork and run the command, its errors going to ``log``; return the child's pid."""
    return fork(lambda: run_fusion_grid(argv), Path(os.devnull), log)


def members(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(folder.name))
    return found


def require_empty(group: int) -> None:
    """Wait until no process of the life is left."""
    deadline = time.monotonic() + 20
    while left := members(group):
        if time.monotonic() > deadline:
            raise SystemExit(f"processes are left: {left}")
        time.sleep(0.05)


def arrays(path: Path) -> dict[str, bytes]:
    """Return everything in a finished cell but its record, which holds the date."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name].tobytes() for name in file.files if name != "record"}


def require_equal(out: Path, reference: dict[str, dict[str, bytes]], known: set[str]) -> None:
    """Compare the cells that are new."""
    for path in (out / "cells").glob("*.npz"):
        if path.name in known:
            continue
        if arrays(path) != reference[path.name]:
            raise SystemExit(f"{path.name} is not the cell of an undisturbed run")
        known.add(path.name)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--lives", type=int, required=True, help="that get a signal")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--signals", nargs="+", default=["SIGINT", "SIGTERM"])
    options.add_argument("--workers", action="store_true", help="whatever the cells cost")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("argv", nargs="*")
    given = options.parse_args()
    if given.workers:
        execution.WORTH_PROCESSES_S = execution.LONG_CELL_S = 0.0
    gc.freeze()
    log, moment = given.out.with_suffix(".log"), random.Random(given.seed)
    argv = [*given.argv, "--out", str(given.out)]

    started = time.monotonic()
    if wait(live(argv, log), 300) != 0:
        raise SystemExit(f"undisturbed run\n{log.read_text()}")
    full_s = time.monotonic() - started
    reference = {path.name: arrays(path) for path in (given.out / "cells").glob("*.npz")}
    shutil.rmtree(given.out)
    endings: Counter[str] = Counter()
    compared = 0
    known: set[str] = set()
    signals = [getattr(signal, name) for name in given.signals]
    number = 0
    while number < given.lives:
        sent = signals[number % len(signals)]
        pid = live(argv, log)
        code = wait(pid, moment.uniform(0.0, 0.95 * full_s))
        if code is None:
            number += 1
            # the terminal sends SIGINT to the whole group; a new life is in ours for a moment
            whole = sent == signal.SIGINT and os.getpgid(pid) == pid
            (os.killpg if whole else os.kill)(pid, sent)
            code = wait(pid, LIMIT_S)
        if code not in ENDINGS[sent]:
            if code is None:
                os.kill(pid, signal.SIGABRT)
            raise SystemExit(f"life {number}, {sent.name}: exit {code}\n{log.read_text()}")
        said = log.read_text()
        own = [line for line in said.splitlines() if line and CLEARED not in line]
        if "Traceback" in said or (code == 130 and len(own) != 1):
            raise SystemExit(f"life {number}, {sent.name}: more than one line\n{said}")
        require_empty(pid)
        require_equal(given.out, reference, known)
        endings[str(code)] += 1
        if code == 0 or len(known) == len(reference):
            compared += len(known)
            known = set()
            shutil.rmtree(given.out)
    code = wait(live(argv, log), 300)
    if code != 0:
        raise SystemExit(f"last life: exit {code}\n{log.read_text()}")
    require_equal(given.out, reference, known)
    print(json.dumps({"endings": endings, "compared": compared + len(known), "full_s": full_s}))


if __name__ == "__main__":
    main()
