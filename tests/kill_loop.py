"""Start a command again and again, and kill it with SIGKILL at random moments, so many times.

Run as ``python -m tests.kill_loop``: the heavy imports happen once, then each life of the command
is a fork that runs its real ``main``. A life that ends by itself is checked for its exit status,
its result is set aside, and the next one starts from nothing. At the end the command runs once more
to its end. Prints JSON: kills, completed lives, how many lives found work of an earlier one, and
how many lives said each of the signs.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

from tests.forked_life import fork, wait


def life(main, argv: list[str], log: Path) -> int:
    """Fork and run ``main(argv)``, all that it says going to ``log``; return the child's pid."""
    return fork(lambda: main(argv), log, log)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, required=True)
    options.add_argument("--target", required=True, help="module:function")
    options.add_argument(
        "--result", type=Path, required=True, help="the folder that a complete life leaves"
    )
    options.add_argument("--set", action="append", default=[], help="module.NAME=number")
    options.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        help="a module that every life would import",
    )
    options.add_argument(
        "--sign",
        action="append",
        default=[],
        help="text in the output of a life that went on from an earlier one",
    )
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("argv", nargs="*")
    given = options.parse_args()
    for assignment in given.set:
        place, value = assignment.split("=")
        module, name = place.rsplit(".", 1)
        setattr(importlib.import_module(module), name, float(value))
    for name in given.imports:
        importlib.import_module(name)
    module, function = given.target.split(":")
    target = getattr(importlib.import_module(module), function)
    # So that a life does not walk through what its parent imported, which it would have to copy.
    gc.freeze()
    log, moment = given.result.parent / "life.log", random.Random(given.seed)

    started = time.monotonic()
    code = wait(life(target, given.argv, log), 300)
    full_s = time.monotonic() - started
    if code != 0:
        raise SystemExit(f"undisturbed run: exit {code}\n{log.read_text()}")
    shutil.rmtree(given.result)
    kills = completed = went_on = 0
    lives_with = dict.fromkeys(given.sign, 0)
    while kills < given.kills:
        pid = life(target, given.argv, log)
        code = wait(pid, moment.uniform(0.0, full_s))
        signs = [sign for sign in given.sign if sign in log.read_text()]
        went_on += bool(signs)
        for sign in signs:
            lives_with[sign] += 1
        if code is None:
            # A life that was killed before it had a group of its own is in ours.
            kill = os.killpg if os.getpgid(pid) == pid else os.kill
            kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            kills += 1
        elif code == 0:
            completed += 1
            shutil.rmtree(given.result)
        else:
            raise SystemExit(f"life after {kills} kills: exit {code}\n{log.read_text()}")
    code = wait(life(target, given.argv, log), 300)
    if code != 0:
        raise SystemExit(f"last life: exit {code}\n{log.read_text()}")
    print(
        json.dumps(
            {
                "kills": kills,
                "completed": completed,
                "went_on": went_on,
                "lives_with": lives_with,
                "full_s": full_s,
            }
        )
    )


if __name__ == "__main__":
    main()
