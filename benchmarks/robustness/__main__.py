"""Alter files, kill commands and flip bits by the thousand, and count what comes of it.

python -m benchmarks.robustness --mutations 1000                  # every kind of file
python -m benchmarks.robustness --mutations 200 --kind 'manifest*' --keep build/faults
python -m benchmarks.robustness --mutations 100000 --record       # hours; writes the table
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import pandas as pd

from benchmarks.record import RESULTS, record
from benchmarks.robustness.campaign import Asked, bits, commands, kills, mutations, shown
from benchmarks.robustness.cases import BIT_KINDS, CASES, BitKind
from benchmarks.robustness.children import make_stage, quieten
from benchmarks.robustness.kinds import KINDS, Kind
from benchmarks.robustness.lives import LIFE_FAULTS, Case
from benchmarks.robustness.trial import FAULTS
from embeddings_store.atomic import replacing

Named = TypeVar("Named", Kind, Case, BitKind)


def main() -> int:
    """Run the campaigns that are asked for; exit status 1 where there was a fault."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--mutations", type=int, default=0, help="in process, over all kinds")
    options.add_argument("--commands", type=int, default=0, help="through installed commands")
    options.add_argument("--kills", type=int, default=0, help="and full disks, over all commands")
    options.add_argument("--bits", action="store_true", help="every byte of a small store, once")
    options.add_argument(
        "--kind",
        action="append",
        help="only kinds of file, or commands to kill, "
        "of this name, which may hold * and ?; repeatable",
    )
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--minutes", type=float, default=1e9, help="stop earlier than asked")
    options.add_argument("--keep", type=Path, help="keep altered files that found a fault here")
    options.add_argument("--record", action="store_true", help="write results/robustness.csv")
    options.add_argument(
        "--beside",
        action="store_true",
        help="with --record: keep what other seeds found, and count it, too",
    )
    given = options.parse_args()
    quieten()
    kinds, cases, bit_kinds = (_chosen(found, given.kind) for found in (KINDS, CASES, BIT_KINDS))
    if not kinds + cases + bit_kinds:
        options.error(f"no kind of file is called {', '.join(given.kind)}")
    ends = time.monotonic() + 60 * given.minutes
    asked = Asked(given.mutations, given.seed, ends, given.keep)
    tables = []
    with tempfile.TemporaryDirectory(prefix="robust") as folder:
        stage = make_stage(Path(folder))
        campaigns = [
            (4, int(given.bits), lambda part: bits(bit_kinds, part, stage)),
            (4, given.kills, lambda part: kills(cases, part, stage)),
            (3, given.commands, lambda part: commands(kinds, part, stage)),
            (10, given.mutations, lambda part: mutations(kinds, part, stage)),
        ]
        wanted = [(weight, count, run) for weight, count, run in campaigns if count]
        for place, (weight, count, run) in enumerate(wanted):
            now = time.monotonic()
            share = weight / sum(weight for weight, _, _ in wanted[place:])
            found = run(replace(asked, count=count, ends=now + share * (ends - now)))
            tables.append(pd.DataFrame([vars(row) for row in found]))
            if given.record:
                record_campaign(
                    tables[-1],
                    sys.argv[1:],
                    given.seed,
                    parts=bool(given.kind),
                    beside=given.beside,
                )
    table = pd.concat(tables) if tables else pd.DataFrame()
    print(shown(table))
    return int(not table.empty and table["outcome"].isin(FAULTS | LIFE_FAULTS).any())


def _chosen(kinds: Sequence[Named], patterns: Sequence[str]) -> list[Named]:
    """Return those whose name is one of the patterns, all where there is none."""
    return [
        kind
        for kind in kinds
        if not patterns or any(fnmatchcase(kind.name, pattern) for pattern in patterns)
    ]


def record_campaign(
    table: pd.DataFrame,
    arguments: Sequence[str],
    seed: int,
    *,
    parts: bool = False,
    beside: bool = False,
) -> None:
    """Write what a campaign found in the place of what it had found before.

    What other campaigns found stays, with its own command and commit.

    Args:
        table: Of one campaign.
        arguments: Of the command.
        seed: Of every choice.
        parts: Whether it was of some kinds alone, so that its others stay as well.
        beside: Whether what other seeds found stays as well.
    """
    path = RESULTS / "robustness.csv"
    before = pd.read_csv(path, dtype=str, keep_default_na=False) if path.exists() else table[:0]
    replaced = before["campaign"].isin(table["campaign"])
    if parts:
        replaced &= before["kind"].isin(table["kind"])
    if beside:
        replaced &= before["seed"] == str(seed)
    command = shlex.join(["python", "-m", "benchmarks.robustness", *arguments])
    record("robustness", table, command, seed)
    now = pd.read_csv(path, dtype=str, keep_default_na=False)
    with replacing(path) as temporary:
        pd.concat([before[~replaced], now]).to_csv(temporary, index=False)


if __name__ == "__main__":
    raise SystemExit(main())
