"""The command ``show-benchmarks``: published figures, and ours beside them where they compare."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings_store.commands.common import guarded, parser

if TYPE_CHECKING:
    import pandas as pd

PROGRAM = "show-benchmarks"
DESCRIPTION = """\
Print published figures with their protocol, label set, rule of selection and source. With \
--compare ours stand beside them,
and a column says whether the two may be compared and why. Tables carry what \
their sources contradict as notes."""
SHOWN = (
    "table",
    "system",
    "classifier",
    "class",
    "metric",
    "value",
    "protocol",
    "label_set",
    "source",
)
COMPARED = (
    "table",
    "system",
    "classifier",
    "metric",
    "value",
    "ours",
    "our_cell",
    "our_claim",
    "comparable",
    "why",
)
REASONS = 2  # of those that speak against a comparison, the gravest come first
NOTES = ("selection_rule", "encoders", "parameters", "note")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    from classify.terminal.table_formats import FORMATS

    top = parser(
        PROGRAM,
        DESCRIPTION,
        [
            PROGRAM,
            f"{PROGRAM} --corpus iemocap --metric WA --compare results",
            f"{PROGRAM} --corpus avamerg --notes",
            f"{PROGRAM} --corpus iemocap --table 'Table 5' --format latex",
        ],
    )
    top.add_argument(
        "--corpus",
        default="",
        help="only figures of this corpus (default: with --compare that of the results)",
    )
    top.add_argument(
        "--table",
        default="",
        help="only this table of its source, for example 'Table 5' or records",
    )
    top.add_argument("--metric", default="", help="only this metric, for example WA")
    top.add_argument(
        "--compare",
        type=Path,
        metavar="RESULTS",
        help="folder that run-fusion-grid --out wrote, or a grid.csv",
    )
    top.add_argument(
        "--format",
        default="table",
        choices=list(FORMATS),
        help="csv and json give every column (default: %(default)s)",
    )
    top.add_argument(
        "--notes",
        action="store_true",
        help="show every reason, notes, encoders, parameters and selection too",
    )
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    from classify.results.published_figures import beside, published, read_grid
    from classify.terminal.table_formats import render
    from embeddings_store.errors import unknown_name

    grid = read_grid(arguments.compare) if arguments.compare else None
    corpus = arguments.corpus or (str(grid["corpus"].iloc[0]) if grid is not None else "")
    rows = published(corpus, arguments.metric)
    if arguments.table:
        if arguments.table not in set(rows["table"]):
            unknown_name("published table", arguments.table, list(dict.fromkeys(rows["table"])))
        rows = rows[rows["table"] == arguments.table]
    if grid is not None:
        rows = beside(rows, grid)
    print(render(_lines(rows, arguments.format, notes=arguments.notes), arguments.format))
    return 0


def _lines(rows: pd.DataFrame, form: str, *, notes: bool) -> list[dict[str, str]]:
    """Return the lines of a table in the columns that a format shows.

    Columns that are empty everywhere are left out, and of many reasons all but the gravest.

    Args:
        rows: Published rows, with ours beside them or not.
        form: ``csv`` and ``json`` show everything.
        notes: Whether every reason and the notes are shown too.
    """
    from classify.claim import RESULT

    if form not in ("csv", "json"):
        if "why" in rows and not notes:
            rows = rows.assign(why=rows["why"].map(_gravest))
        if "our_claim" in rows:
            rows = rows.assign(our_claim=rows["our_claim"].replace(RESULT, ""))
        names = [*(COMPARED if "ours" in rows else SHOWN), *(NOTES if notes else ())]
        rows = rows[[name for name in names if (rows[name] != "").any()]]
    lines: list[dict[str, str]] = rows.astype(str).to_dict("records")
    return lines


def _gravest(why: str) -> str:
    from classify.results.published_figures import SEPARATOR

    return SEPARATOR.join(why.split(SEPARATOR)[:REASONS])


if __name__ == "__main__":
    sys.exit(main())
