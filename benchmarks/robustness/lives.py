"""Commands that are killed, or starved of disk, and run again: is the result that of a calm run?"""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.robustness.trial import Stage, Way, fresh_world, perform, result_digest

SAME, OTHER = "went on, same result", "went on, another result"
LEFT, STUCK, TORN = "files left behind", "does not go on", "more than one line"
LIFE_OUTCOMES = (SAME, OTHER, LEFT, STUCK, TORN)
LIFE_FAULTS = frozenset({OTHER, LEFT, STUCK, TORN})
QUARTERS = ("first quarter", "second quarter", "third quarter", "last quarter", "after its end")
FULL, SMALL = "a file too large", "disk full"
MOST_S = 120.0


@dataclass(frozen=True, slots=True)
class Case:
    """A command that is disturbed.

    Attributes:
        name: What it does.
        world: One of the worlds.
        way: The command; its results are compared.
        out: The folder below the world that it writes to and nothing else does; empty where it
            writes between what is there.
        parent_alone: Whether the kill spares the processes that it started.
        once: Whether it refuses with exit status 2 what an earlier life has made whole.
    """

    name: str
    world: str
    way: Way
    out: str = ""
    parent_alone: bool = False
    once: bool = False


class Lives:
    """Lives of one command in a world of its own."""

    def __init__(self, case: Case, base: Path, stage: Stage) -> None:
        self.case, self._base, self._stage = case, base, stage
        self._world = stage.folder / "worlds" / "life"
        perform(case.way, fresh_world(base, self._world), stage)  # so that modules are imported
        fresh_world(base, self._world)
        started = time.monotonic()
        status = self._wait(self._start(), MOST_S)
        self.full_s = time.monotonic() - started
        if status != 0:
            raise RuntimeError(f"{case.name}: undisturbed: exit {status}\n{self._complaint()}")
        self._result, self._files = self._digest(), self._left()

    def kill(self, draw: random.Random) -> tuple[str, str, str]:
        """Kill a life, perhaps a second one, run the last to its end; return moment and outcome."""
        fresh_world(self._base, self._world)
        for _ in range(draw.choice((1, 1, 2))):
            moment = draw.uniform(0, 1)
            pid = self._start()
            status = self._wait(pid, moment * self.full_s)
            if status is None:
                self._end(pid)
        name = QUARTERS[-1] if status is not None else QUARTERS[int(moment * 4)]
        return name, *self._last()

    def fill(self, draw: random.Random) -> tuple[str, str, str]:
        """Let one life meet a limit to the size of files, and the next none."""
        fresh_world(self._base, self._world)
        limit = int(2 ** draw.uniform(12, 18))  # what is printed goes to a file, too
        status = self._wait(self._start(limit), MOST_S)
        return FULL, *self._after(status)

    def starve(self, draw: random.Random) -> tuple[str, str, str]:
        """Let one life write to a small disk, and the next to the same one, grown."""
        fresh_world(self._base, self._world)
        place = self._world / self.case.out
        place.mkdir(parents=True, exist_ok=True)
        size = f"size={int(2 ** draw.uniform(2, 9))}k"
        _mount("-t", "tmpfs", "-o", size, "tmpfs", str(place))
        try:
            status = self._wait(self._start(), MOST_S)
            _mount("-o", "remount,size=256m", str(place))
            return SMALL, *self._after(status)
        finally:
            subprocess.run(["umount", str(place)], check=True)

    def _after(self, status: int | None) -> tuple[str, str]:
        complaint = self._complaint()
        one = len(complaint.splitlines()) == 1 and status == 3
        if status != 0 and not one:
            return TORN, f"exit {status}\n{complaint}"
        return self._last()

    def _last(self) -> tuple[str, str]:
        pid = self._start()
        status = self._wait(pid, MOST_S)
        if status is None:
            self._end(pid)
        if status != 0 and not (status == 2 and self.case.once):
            return STUCK, f"exit {status}\n{self._complaint()}"
        if self._digest() != self._result:
            return OTHER, ""
        left = self._left() - self._files
        return (LEFT, " ".join(sorted(left)[:5])) if left else (SAME, "")

    def _start(self, most_bytes: int = 0) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            os.setpgrp()
            if most_bytes:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
            done = perform(self.case.way, self._world, self._stage)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            if done.error:
                self._world.with_suffix(".bug").write_text(done.error)
            elif done.status is not None:
                code = done.status
        finally:
            os._exit(code)

    def _wait(self, pid: int, limit_s: float) -> int | None:
        """Return the exit status of a life that ends within the limit, else none."""
        ends = time.monotonic() + limit_s
        while time.monotonic() < ends:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.001)
        return None

    def _end(self, pid: int) -> None:
        if self.case.parent_alone:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        for kill in (os.killpg, os.kill):
            try:
                kill(pid, signal.SIGKILL)
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise
        os.waitpid(pid, 0)

    def _complaint(self) -> str:
        path = self._world.with_suffix(".err")
        bug = self._world.with_suffix(".bug")
        text = path.read_text(errors="replace") if path.exists() else ""
        if bug.exists():
            text += bug.read_text()
            bug.unlink()
        return text

    def _digest(self) -> str:
        return result_digest(self._world, self.case.way.results, "")

    def _left(self) -> set[str]:
        """Return the files that are there; locks stay by intention."""
        found = (path for path in self._world.rglob("*") if path.is_file())
        return {
            path.relative_to(self._world).as_posix()
            for path in found
            if not path.name.endswith(".lock") and path.name != ".lock"
        }


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def can_mount(folder: Path) -> bool:
    """Say whether a small file system may be mounted here."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _mount("-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        return False
    subprocess.run(["umount", str(folder)], check=True)
    shutil.rmtree(folder)
    return True


def disturb(
    lives: Lives, numbers: Sequence[int], seed: int, ends: float, mounts: bool
) -> Iterator[tuple[str, str, str]]:
    """Disturb a command once for each number: three kills, then a full disk of either kind.

    What begins late, by ``time.monotonic``, is left out, but the first.
    """
    for number in numbers:
        if number != numbers[0] and time.monotonic() > ends:
            return
        draw = random.Random(f"{seed} {lives.case.name} {number}")  # noqa: S311
        if number % 4 != 3:
            yield lives.kill(draw)
        elif mounts and lives.case.out and number % 8 == 7:
            yield lives.starve(draw)
        else:
            yield lives.fill(draw)
