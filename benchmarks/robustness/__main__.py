"""Alter files, kill commands and flip bits by the thousand, and count what comes of it.

python -m benchmarks.robustness --mutations 1000                  # every kind of file
python -m benchmarks.robustness --mutations 200 --kind manifest.csv --keep build/faults
python -m benchmarks.robustness --mutations 100000 --record       # hours; writes the table
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.record import RESULTS, record
from benchmarks.robustness.campaign import Asked, Found, bits, commands, kills, mutations, shown
from benchmarks.robustness.cases import BIT_KINDS, CASES
from benchmarks.robustness.children import make_stage, quieten
from benchmarks.robustness.kinds import KINDS
from benchmarks.robustness.lives import LIFE_FAULTS
from benchmarks.robustness.trial import FAULTS
from embeddings_store.atomic import replacing


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
    options.add_argument("--kind", action="append", help="only this kind of file; repeatable")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--minutes", type=float, default=1e9, help="stop earlier than asked")
    options.add_argument("--keep", type=Path, help="keep altered files that found a fault here")
    options.add_argument("--record", action="store_true", help="write results/robustness.csv")
    given = options.parse_args()
    quieten()
    kinds = [kind for kind in KINDS if not given.kind or kind.name in given.kind]
    ends = time.monotonic() + 60 * given.minutes
    asked = Asked(given.mutations, given.seed, ends, given.keep)
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="robust") as folder:
        stage = make_stage(Path(folder))
        campaigns = [
            (4, int(given.bits), lambda part: bits(BIT_KINDS, part, stage)),
            (4, given.kills, lambda part: kills(CASES, part, stage)),
            (3, given.commands, lambda part: commands(kinds, part, stage)),
            (10, given.mutations, lambda part: mutations(kinds, part, stage)),
        ]
        wanted = [(weight, count, run) for weight, count, run in campaigns if count]
        for place, (weight, count, run) in enumerate(wanted):
            now = time.monotonic()
            share = weight / sum(weight for weight, _, _ in wanted[place:])
            found += run(replace(asked, count=count, ends=now + share * (ends - now)))
    table = pd.DataFrame([vars(row) for row in found])
    print(shown(table))
    if table.empty:
        return 0
    if given.record:
        record_campaigns(
            table, f"python -m benchmarks.robustness {' '.join(sys.argv[1:])}", given.seed
        )
    return int(table["outcome"].isin(FAULTS | LIFE_FAULTS).any())


def record_campaigns(table: pd.DataFrame, command: str, seed: int) -> None:
    """Write the table; rows of campaigns that did not run now stay, with their own commit."""
    path = RESULTS / "robustness.csv"
    before = pd.read_csv(path, dtype=str, keep_default_na=False) if path.exists() else table[:0]
    record("robustness", table, command, seed)
    kept = before[~before["campaign"].isin(table["campaign"])]
    now = pd.read_csv(path, dtype=str, keep_default_na=False)
    with replacing(path) as temporary:
        pd.concat([kept, now]).to_csv(temporary, index=False)


if __name__ == "__main__":
    raise SystemExit(main())
