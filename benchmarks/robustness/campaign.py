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
from benchmarks.robustness.children import Trial, Trials
from benchmarks.robustness.kinds import Kind
from benchmarks.robustness.trial import DIFFERENT, FAULTS, Stage, Way


@dataclass(frozen=True)
class Found:
    """One row of the table.

    Attributes:
        campaign: ``mutations``, ``commands``, ``kills`` or ``bits``.
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
    """Alter files, the same number for each kind, and read them in this process' children."""
    each = -(-asked.count // max(1, len(kinds)))
    pairs = [(kind, way) for kind in kinds for way in dict.fromkeys(kind.ways)]
    for done, (kind, way) in enumerate(pairs):
        share = each * kind.ways.count(way) // len(kind.ways)
        now = time.monotonic()
        until = now + (asked.ends - now) / (len(pairs) - done)
        yield from _of_one(kind, way, replace(asked, count=share, ends=until), stage)


def _of_one(kind: Kind, way: Way, asked: Asked, stage: Stage) -> Iterator[Found]:
    base = atlas.made(kind.world, stage.folder / "made")
    before, started = atlas.digest(base), time.monotonic()
    trials = Trials(stage, base, kind.pattern, way, f"{kind.name} {way.name}")
    if trials.calm.status not in ({0, 3} if way.reports else {0}):
        raise SystemExit(f"{kind.name}, {way}: undisturbed: {trials.calm}")
    outcomes: Counter[str] = Counter()
    for trial in trials.run(range(asked.count), asked.seed):
        outcomes[trial.outcome] += 1
        if asked.keep is not None and (trial.outcome in FAULTS or trial.outcome == DIFFERENT):
            place = f"{kind.folder}.{way.name}.{trial.number}".replace(" ", "-")
            _keep(trials, trial, asked.seed, asked.keep / place)
        if time.monotonic() > asked.ends:
            break
    if atlas.digest(base) != before:
        raise SystemExit(f"{kind.name}, {way.name}: a file was changed in its place")
    rate = sum(outcomes.values()) / (time.monotonic() - started)
    print(f"{kind.name}, {way.name}: {dict(outcomes)}, {rate:.0f} a second", file=sys.stderr)
    for outcome, number in sorted(outcomes.items()):
        why = (way.explained or kind.explained) if outcome == DIFFERENT else ""
        yield Found("mutations", kind.name, way.name, "", outcome, number, why)


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
