"""Trials in forked children: a hang or the end of the interpreter is an outcome, not our end."""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import random
import resource
import select
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.robustness.trial import (
    CRASH,
    HANG,
    Run,
    Stage,
    Way,
    alter_world,
    first,
    fresh_world,
    outcome_of,
    perform,
    perform_installed,
    replace,
)
from benchmarks.robustness.watch import Bait, Witness

MOST_S = 60.0  # for a command that takes 0.1 s, a few seconds where others use the machine, too
LEARNING_S = 600.0  # undisturbed, twice
MOST_BYTES = 4 << 30  # of address space beyond what the parent has
MOST_DISK = 1 << 30  # of one file


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one alteration.

    Attributes:
        number: Draws the alteration, with the seed and the kind's name.
        outcome: One of ``OUTCOMES``.
        detail: What shows it: the line, the traceback, what was opened.
    """

    number: int
    outcome: str
    detail: str


def make_stage(folder: Path) -> Stage:
    """Make the folder for trials, with bait in it."""
    bait = folder / "bait"
    (folder / "worlds").mkdir(parents=True, exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    bait.mkdir(exist_ok=True)
    for name in ("secret.csv", "secret.json", "secret.wav", "secret.npy", "secret.safetensors"):
        (bait / name).write_bytes(b"id,label\na,b\n")
    return Stage(folder, Bait(bait))


class Trials:
    """Trials of one kind of file and one way to read it.

    Attributes:
        calm: What the command does over the file as it is.
    """

    def __init__(self, stage: Stage, base: Path, pattern: str, way: Way, name: str) -> None:
        self._stage, self._base, self._pattern, self._way = stage, base, pattern, way
        self._name = name
        if (way.command, base) not in stage.warm:  # so that children find every module imported
            perform(way, fresh_world(base, self._world(0)), stage)
            stage.warm.add((way.command, base))
            gc.collect()
            gc.freeze()
        (self.calm, allowed), *_ = self._in_child(lambda: iter([self._learn()]), LEARNING_S)
        self.calm = Run(**{**self.calm, "lines": tuple(self.calm["lines"])})
        self._allowed = allowed

    def run(self, numbers: Sequence[int], seed: int, batch: int = 50) -> Iterator[Trial]:
        """Alter the file once for each number, a few in each child, and yield what came of it."""
        return self._run(numbers, lambda number, world: self.alter(number, seed, world), batch)

    def run_on(self, files: Sequence[bytes], batch: int = 50) -> Iterator[Trial]:
        """Put each of these in the place of the file, and yield what came of it."""

        def put(number: int, world: Path) -> Path:
            return replace(first(world, self._pattern), files[number])

        return self._run(range(len(files)), put, batch)

    def flip(self, offsets: Sequence[int]) -> Iterator[Trial]:
        """Flip one bit of the byte at each of these places, and yield what came of it."""
        whole = first(self._base, self._pattern).read_bytes()

        def change(offset: int, world: Path) -> Path:
            data = bytearray(whole)
            data[offset] ^= 1 << offset % 8
            return replace(first(world, self._pattern), bytes(data))

        return self._run(offsets, change, 500, own_world=False)

    def _run(
        self,
        numbers: Sequence[int],
        change: Callable[[int, Path], Path],
        batch: int,
        own_world: bool = True,
    ) -> Iterator[Trial]:
        waiting = list(numbers)
        while waiting:
            done = 0
            part = waiting[:batch]
            for found in self._in_child(
                lambda part=part: self._some(part, change, own_world), MOST_S
            ):
                done += 1
                yield Trial(part[done - 1], *found)
            waiting = waiting[done:]

    def _world(self, number: int) -> Path:
        return self._stage.folder / "worlds" / f"m{number:08d}"

    def alter(self, number: int, seed: int, world: Path) -> Path:
        """Alter a file of a world as the trial of that number does, and return its path."""
        draw = random.Random(f"{seed} {self._name} {number}")  # noqa: S311
        return alter_world(world, self._pattern, draw, self._stage.strange)

    def again(self, number: int, seed: int, world: Path) -> Path:
        """Make the world of a trial again, and return the altered file."""
        return self.alter(number, seed, fresh_world(self._base, world))

    def _learn(self) -> object:
        """Run undisturbed, and say what that does beside its work."""
        witness = self._witness(())
        calm = perform(self._way, fresh_world(self._base, self._world(1)), self._stage)
        run = {name: getattr(calm, name) for name in Run.__slots__}
        return run, [*witness.allowed, *calm.breaches]

    def _witness(self, allowed: Sequence[str]) -> Witness:
        tempfile.tempdir = str(self._stage.folder / "tmp")
        free = [self._stage.folder / "worlds", self._stage.folder / "tmp", *self._stage.free]
        self._stage.witness = Witness(allowed, free)
        return self._stage.witness

    def run_installed(self, numbers: Sequence[int], seed: int) -> Iterator[Trial]:
        """Alter the file once for each number, and read it with the command as it is installed."""
        for number in numbers:
            world = fresh_world(self._base, self._world(number))
            self.alter(number, seed, world)
            run = perform_installed(self._way, world, self._stage, LEARNING_S)
            found = (HANG, "") if run is None else outcome_of(run, self.calm, self._way.reports)
            yield Trial(number, *found)
            shutil.rmtree(world, ignore_errors=True)

    def _some(
        self, numbers: Sequence[int], change: Callable[[int, Path], Path], own_world: bool
    ) -> Iterator[tuple[str, str]]:
        self._witness(self._allowed)
        world = Path()
        for number in numbers:
            if own_world or number == numbers[0]:
                world = fresh_world(self._base, self._world(number))
            change(number, world)
            run = perform(self._way, world, self._stage, {self.calm.status})
            yield outcome_of(run, self.calm, self._way.reports)
            if own_world:
                shutil.rmtree(world, ignore_errors=True)
        shutil.rmtree(world, ignore_errors=True)

    def _in_child(self, work: Callable[[], Iterator[object]], most_s: float) -> Iterator[object]:
        """Yield what ``work`` yields in a child; one that hangs or dies is the last."""
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reading)
            _work(work, writing)
        os.close(writing)
        buffer, ended = b"", False
        try:
            while not ended:
                ready, _, _ = select.select([reading], [], [], most_s)
                if not ready:
                    yield HANG, f"not done after {most_s:g} s"
                    return
                piece = os.read(reading, 1 << 16)
                ended, buffer = not piece, buffer + piece
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if line == b"end":
                        return
                    yield json.loads(line)
            yield CRASH, ""
        finally:
            os.close(reading)
            _end(pid)


def _work(work: Callable[[], Iterator[object]], writing: int) -> None:
    """Do the work of a child, within limits, and leave."""
    code = 1
    try:
        faulthandler.disable()
        os.setpgrp()
        with Path("/proc/self/statm").open() as handle:
            taken = int(handle.read().split()[0]) * os.sysconf("SC_PAGESIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + MOST_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_DISK,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for found in work():
            os.write(writing, json.dumps(found).encode() + b"\n")
        os.write(writing, b"end\n")
        code = 0
    except BaseException as error:
        os.write(2, f"the driver's own fault: {error!r}\n".encode())
    finally:
        os._exit(code)


def _end(pid: int) -> None:
    """End a child and all that it started."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os.waitpid(pid, 0)


def quieten() -> None:
    """Set what children inherit: nothing from the network, one thread, wide lines."""
    os.environ.update(
        HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1", COLUMNS="300"
    )
