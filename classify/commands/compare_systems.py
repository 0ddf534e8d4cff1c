"""The command ``compare-systems``: intervals and declared paired comparisons of one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from embeddings_store.commands.common import guarded, parser

PROGRAM = "compare-systems"
DESCRIPTION = """\
Compare systems of one run of the grid on the test rows that both answered, by speaker: the \
difference with its interval,
paired tests, and Holm's correction over the declared family. Writes statistics.csv and \
comparisons.csv into the folder;
which comparisons are asked is declared here, before a p value is read."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    from classify.evaluation.comparisons import FAMILIES
    from classify.evaluation.metrics import FORMULAS, METRICS
    from classify.evaluation.predictions import CLUSTERS
    from classify.results.statistics_tables import DECLARED_METRIC

    top = parser(
        PROGRAM,
        DESCRIPTION,
        [
            f"{PROGRAM} results",
            f"{PROGRAM} results --family strategies --metric UAR",
            f"{PROGRAM} results --pair 'early concatenation audio+text svm' 'unimodal text svm'",
            f"{PROGRAM} results --cluster session --out results/by-session",
        ],
    )
    top.add_argument("results", type=Path, help="folder that run-fusion-grid --out wrote")
    top.add_argument(
        "--family",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"of {', '.join(FAMILIES)} (default: all of them, as one family)",
    )
    top.add_argument(
        "--pair",
        nargs=2,
        action="append",
        default=[],
        metavar=("CELL", "CELL"),
        help="compare two cells, named as in grid.csv; repeatable, all pairs are one family with "
        "those of --family",
    )
    top.add_argument(
        "--metric",
        default=DECLARED_METRIC,
        choices=METRICS,
        help=f"{FORMULAS} (default: %(default)s)",
    )
    top.add_argument(
        "--cluster",
        default="",
        choices=CLUSTERS,
        help="whose rows go together (default: speaker, or the next that every row has)",
    )
    top.add_argument("--out", type=Path, help="write there instead of into the folder of results")
    top.add_argument("--list", action="store_true", help="list the cells by name and stop")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    from classify.evaluation.comparisons import declared
    from classify.evaluation.predictions import read_predictions
    from classify.results.earlier import stale_report
    from classify.results.statistics_tables import COMPARISONS, STATISTICS, write_statistics
    from classify.results.table import headline_cell
    from classify.systems.parser import plain_text
    from classify.terminal.console import console_for_output, print_table
    from classify.terminal.statistics import ASSUMPTIONS, comparison_table, in_words
    from embeddings_store.atomic import make_folder
    from embeddings_store.reading import visible

    answers = read_predictions(arguments.results, arguments.cluster)
    if arguments.list:
        print(visible("\n".join(answers.cells)))
        return 0
    pairs = declared(answers, arguments.family, arguments.pair, plain=plain_text)
    out = arguments.out or arguments.results
    make_folder(out)
    statistics, comparisons = write_statistics(answers, pairs, arguments.metric, out)
    console = console_for_output()
    if len(comparisons):
        print_table(console, comparison_table(comparisons), [ASSUMPTIONS])
    for line in in_words(statistics, comparisons, headline_cell(answers.grid)):
        console.print(line, style="bold", markup=False, soft_wrap=True)
    print(
        f"figures: {len(statistics)}, comparisons: {len(comparisons)}; in {out}: {STATISTICS}, "
        f"{COMPARISONS}"
    )
    if stale := stale_report(out):
        print(f"{PROGRAM}: {stale}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
