"""Campaigns: many trials over every kind of file, counted."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
    """Alter files, as often for each kind, and read them in children of this process."""
    yield from _altered("mutations", kinds, asked, stage)


def commands(kinds: Sequence[Kind], asked: Asked, stage: Stage) -> Iterator[Found]:
    """Alter files, and read each kind with one of its commands, as it is installed."""
    one_each = [
        replace(kind, ways=(kind.ways[place % len(kind.ways)],)) for place, kind in enumerate(kinds)
    ]
    yield from _altered("installed commands", one_each, asked, stage)


def _altered(campaign: str, kinds: Sequence[Kind], asked: Asked, stage: Stage) -> Iterator[Found]:
    each = -(-asked.count // max(1, len(kinds)))
    pairs = [(kind, way) for kind in kinds for way in dict.fromkeys(kind.ways)]
    for done, (kind, way) in enumerate(pairs):
        share = -(-each * kind.ways.count(way) // len(kind.ways))
        until = _until(asked.ends, len(pairs) - done)
        yield from _of_one(campaign, kind, way, replace(asked, count=share, ends=until), stage)


def _until(ends: float, parts: int) -> float:
    """Return when the first of so many equal parts of the time that is left is over."""
    now = time.monotonic()
    return now + (ends - now) / parts


def _of_one(campaign: str, kind: Kind, way: Way, asked: Asked, stage: Stage) -> Iterator[Found]:
    base = atlas.made(kind.world, stage.folder / "made")
    before = atlas.digest(base)
    trials = _known(kind, way, base, stage)
    if trials.calm.status not in ({0, 3} if way.reports else {0}):
        raise RuntimeError(f"{kind.name}, {way}: undisturbed: {trials.calm}")
    tried = (
        trials.run(range(asked.count), asked.seed)
        if campaign == "mutations"
        else trials.run_installed(range(asked.count), asked.seed + 1)
    )
    outcomes: Counter[str] = Counter()
    for trial in tried:
        outcomes[trial.outcome] += 1
        if asked.keep is not None and (trial.outcome in FAULTS or trial.outcome == DIFFERENT):
            place = f"{kind.folder}.{way.name}.{trial.number}".replace(" ", "-")
            _keep(trials, trial, asked.seed, asked.keep / place)
        if time.monotonic() > asked.ends:
            break
    if atlas.digest(base) != before:
        raise RuntimeError(f"{kind.name}, {way.name}: a file was changed in its place")
    _tell(campaign, kind.name, way.name, outcomes)
    for outcome, number in sorted(outcomes.items()):
        why = (way.explained or kind.explained) if outcome == DIFFERENT else ""
        yield Found(campaign, kind.name, way.name, "", outcome, number, why)


_KNOWN: dict[tuple[str, Way, Path], Trials] = {}


def _known(kind: Kind, way: Way, base: Path, stage: Stage) -> Trials:
    """Return the trials of a kind and a way; how they are undisturbed is looked at once."""
    key = (kind.name, way, base)
    if key not in _KNOWN:
        _KNOWN[key] = Trials(stage, base, kind.pattern, way, f"{kind.name} {way.name}")
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
    whole = sum(case.often for case in cases)
    for done, case in enumerate(cases):
        lives = Lives(case, atlas.made(case.world, stage.folder / "made"), stage)
        until = _until(asked.ends, len(cases) - done)
        count = max(1, round(asked.count * case.often / whole))
        outcomes: Counter[tuple[str, str]] = Counter()
        for moment, outcome, detail in disturb(lives, count, asked.seed, until, mounts):
            outcomes[moment, outcome] += 1
            if outcome in LIFE_FAULTS:
                print(f"{case.name}, {moment}: {outcome}: {detail}", file=sys.stderr)
        _tell("kills", case.name, case.way.name, Counter(outcome for _, outcome in outcomes))
        for (moment, outcome), number in sorted(outcomes.items()):
            yield Found("kills", case.name, case.way.name, moment, outcome, number)


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
