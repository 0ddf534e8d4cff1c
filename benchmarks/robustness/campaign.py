"""Campaigns: many trials over every kind of file, counted."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Protocol

import pandas as pd

from benchmarks.robustness import atlas
from benchmarks.robustness.cases import BitKind, Case
from benchmarks.robustness.children import Trial, Trials
from benchmarks.robustness.kinds import Kind
from benchmarks.robustness.lives import LIFE_FAULTS, Lives, can_mount, disturb
from benchmarks.robustness.trial import (
    DIFFERENT,
    EQUAL,
    FAULTS,
    REFUSED,
    REPORTED,
    Stage,
    Way,
    first,
)

FOUND = "found"
LEAST = 20
BIT_OUTCOMES = {
    REFUSED: FOUND,
    REPORTED: FOUND,
    EQUAL: "not found, same content",
    DIFFERENT: "not found, other content",
}


@dataclass(frozen=True)
class Found:
    """One row of the table.

    Attributes:
        campaign: ``mutations``, ``installed commands``, ``kills`` or ``bits``.
        kind: The kind of file, or what a killed command makes.
        program: The command that read or made it.
        moment: When it was killed; empty where nothing was.
        outcome: What came of it.
        count: How often.
        explained: Of what was accepted with another result: why that is right.
    """

    campaign: str
    kind: str
    program: str
    moment: str
    outcome: str
    count: int
    explained: str = ""


@dataclass(frozen=True)
class Asked:
    """What a campaign is to do.

    Attributes:
        count: Trials in all.
        seed: Of every choice.
        ends: When to stop at the latest, by ``time.monotonic``.
        keep: Where files are kept that found a fault, or another result; none keeps none.
    """

    count: int
    seed: int
    ends: float
    keep: Path | None = None


def mutations(kinds: Sequence[Kind], asked: Asked, stage: Stage) -> Iterator[Found]:
    """Alter files of every kind, and read them in children of this process."""
    pairs = [(kind, way) for kind in kinds for way in kind.ways]
    yield from _altered("mutations", pairs, asked, stage)


def commands(kinds: Sequence[Kind], asked: Asked, stage: Stage) -> Iterator[Found]:
    """Alter files, and read each kind with one of its commands, as it is installed."""
    pairs = [(kind, kind.ways[place % len(kind.ways)]) for place, kind in enumerate(kinds)]
    yield from _altered("installed commands", pairs, asked, stage)


def _altered(
    campaign: str, pairs: Sequence[tuple[Kind, Way]], asked: Asked, stage: Stage
) -> Iterator[Found]:
    readings = [_Reading(campaign, kind, way, asked, stage) for kind, way in pairs]
    share(readings, asked)
    for reading in readings:
        yield from reading.found()


class Job(Protocol):
    """Trials of one thing, as many as are asked for at a time.

    Attributes:
        done: How many there were.
        took_s: How long they took.
    """

    done: int
    took_s: float

    def run(self, count: int, until: float) -> None:
        """Do so many, one at least, and begin none after ``until``, by ``time.monotonic``."""


def share(jobs: Sequence[Job], asked: Asked) -> None:
    """Do ``asked.count`` trials over all jobs, so many of each that all take equally long.

    First each is done 20 times, less often where that would be more than half of all trials or
    where an equal part of the time is over. The rest is shared by time: what ends in a hundredth of
    another's time is tried a hundred times as often. A share that takes twice as long as the first
    trials promised ends there, and what it lacks is shared again.
    """
    few = min(LEAST, ceil(asked.count / 2 / max(1, len(jobs))))
    for place, job in enumerate(jobs):
        job.run(few, _until(asked.ends, len(jobs) - place))
    while jobs and (left := asked.count - sum(job.done for job in jobs)) > 0:
        now = time.monotonic()
        if now >= asked.ends:
            return
        rates = [job.done / job.took_s for job in jobs]
        each_s = min(left / sum(rates), (asked.ends - now) / len(jobs))
        for job, rate in zip(jobs, rates, strict=True):
            count = min(left, ceil(each_s * rate))
            if count and time.monotonic() < asked.ends:
                before = job.done
                job.run(count, min(asked.ends, time.monotonic() + 2 * each_s))
                left -= job.done - before


def _until(ends: float, parts: int) -> float:
    """Return when the first of so many equal parts of the time that is left is over."""
    now = time.monotonic()
    return now + (ends - now) / parts


class _Reading:
    """One kind of file that is altered, and one way to read it."""

    def __init__(self, campaign: str, kind: Kind, way: Way, asked: Asked, stage: Stage) -> None:
        self._campaign, self._kind, self._way = campaign, kind, way
        self._asked, self._stage = asked, stage
        self._outcomes: Counter[str] = Counter()
        self.done, self.took_s = 0, 0.0

    def run(self, count: int, until: float) -> None:
        kind, way, asked = self._kind, self._way, self._asked
        base = atlas.made(kind.world, self._stage.folder / "made")
        before = atlas.digest(base)
        trials = _known(kind, way, base, self._stage)
        started, numbers = time.monotonic(), range(self.done, self.done + count)
        tried = (
            trials.run(numbers, asked.seed)
            if self._campaign == "mutations"
            else trials.run_installed(numbers, asked.seed + 1)
        )
        for trial in tried:
            self.done += 1
            self._outcomes[trial.outcome] += 1
            if trial.outcome in FAULTS:
                print(f"{kind.name}, {way.name}, {trial.number}: {trial.detail}", file=sys.stderr)
            if asked.keep is not None and trial.outcome in {*FAULTS, DIFFERENT}:
                place = f"{kind.folder}.{way.name}.{trial.number}".replace(" ", "-")
                _keep(trials, trial, asked.seed, asked.keep / place)
            if time.monotonic() > until:
                break
        self.took_s += time.monotonic() - started
        if atlas.digest(base) != before:
            raise RuntimeError(f"{kind.name}, {way.name}: a file was changed in its place")
        _tell(self._campaign, kind.name, way.name, self._outcomes)

    def found(self) -> Iterator[Found]:
        kind, way = self._kind, self._way
        for outcome, number in sorted(self._outcomes.items()):
            why = (way.explained or kind.explained) if outcome == DIFFERENT else ""
            yield Found(self._campaign, kind.name, way.name, "", outcome, number, why)


_KNOWN: dict[tuple[str, Way, Path], Trials] = {}


def _known(kind: Kind, way: Way, base: Path, stage: Stage) -> Trials:
    """Return the trials of a kind and a way; how they are undisturbed is looked at once."""
    key = (kind.name, way, base)
    if key not in _KNOWN:
        trials = Trials(stage, base, kind.pattern, way, f"{kind.name} {way.name}")
        if trials.calm.status not in ({0, 3, 4} if way.reports else {0}):
            raise RuntimeError(f"{kind.name}, {way}: undisturbed: {trials.calm}")
        _KNOWN[key] = trials
    return _KNOWN[key]


def bits(kinds: Sequence[BitKind], asked: Asked, stage: Stage) -> Iterator[Found]:
    """Flip a bit of every byte of files of a small store: does ``verify`` find it?"""
    for done, kind in enumerate(kinds):
        until = _until(asked.ends, len(kinds) - done)
        base = atlas.made(kind.world, stage.folder / "made")
        trials = Trials(stage, base, kind.pattern, kind.way, kind.name)
        size = first(base, kind.pattern).stat().st_size
        outcomes: Counter[str] = Counter()
        for trial in trials.flip(range(size)):
            outcomes[BIT_OUTCOMES.get(trial.outcome, trial.outcome)] += 1
            if time.monotonic() > until:
                break
        _tell("bits", kind.name, kind.way.name, outcomes)
        for outcome, number in sorted(outcomes.items()):
            why = "" if outcome == FOUND else kind.explained
            yield Found("bits", kind.name, kind.way.name, "", outcome, number, why)


def kills(cases: Sequence[Case], asked: Asked, stage: Stage) -> Iterator[Found]:
    """Kill commands and let them run out of disk, and compare what they make in the end."""
    mounts = can_mount(stage.folder / "mount")
    disturbances = [_Disturbance(case, asked.seed, mounts, stage) for case in cases]
    share(disturbances, asked)
    for disturbance in disturbances:
        yield from disturbance.found()


class _Disturbance:
    """One command that is killed and starved."""

    def __init__(self, case: Case, seed: int, mounts: bool, stage: Stage) -> None:
        self._case, self._seed, self._mounts, self._stage = case, seed, mounts, stage
        self._lives: Lives | None = None
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self.done, self.took_s = 0, 0.0

    def run(self, count: int, until: float) -> None:
        case = self._case
        if self._lives is None:
            base = atlas.made(case.world, self._stage.folder / "made")
            self._lives = Lives(case, base, self._stage)
        numbers, started = range(self.done, self.done + count), time.monotonic()
        for moment, outcome, detail in disturb(
            self._lives, numbers, self._seed, until, self._mounts
        ):
            self.done += 1
            self._outcomes[moment, outcome] += 1
            if outcome in LIFE_FAULTS:
                print(f"{case.name}, {moment}: {outcome}: {detail}", file=sys.stderr)
        self.took_s += time.monotonic() - started
        told = Counter[str]()
        for (_, outcome), number in self._outcomes.items():
            told[outcome] += number
        _tell("kills", case.name, case.way.name, told)

    def found(self) -> Iterator[Found]:
        for (moment, outcome), number in sorted(self._outcomes.items()):
            yield Found("kills", self._case.name, self._case.way.name, moment, outcome, number)


def _tell(campaign: str, kind: str, program: str, outcomes: Counter[str]) -> None:
    told = ", ".join(f"{outcome} {number}" for outcome, number in sorted(outcomes.items()))
    print(f"{campaign}: {kind}, {program}: {told}", file=sys.stderr, flush=True)


def _keep(trials: Trials, trial: Trial, seed: int, place: Path) -> None:
    """Keep the altered file and what it did."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    world = place / "world"
    altered = trials.again(trial.number, seed, world)
    shutil.copy(altered, place / altered.name)
    shutil.rmtree(world)
    (place / "outcome.txt").write_text(f"{trial.outcome}\n{trial.detail}\n", encoding="utf-8")


def shown(table: pd.DataFrame) -> str:
    """Return how often each outcome came, by campaign and kind."""
    if table.empty:
        return "nothing was tried"
    counts = table.pivot_table(
        index=["campaign", "kind"], columns="outcome", values="count", aggfunc="sum", fill_value=0
    )
    return counts.to_string()
