"""The command ``make-report``: figures and ``report.html`` of a finished run."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from classify.report.config import MAP_ROLES, ReportConfig
from embeddings_store.commands.common import guarded, parser

PROGRAM = "make-report"
DESCRIPTION = """\
Draw the figures of a finished run (figures/*.png and *.svg) and write report.html: one file that \
opens offline and
says what was measured, on what, how good it is, and where it goes wrong. \
Nothing is computed anew but the maps."""
DEFAULTS = {field.name: field.default for field in dataclasses.fields(ReportConfig)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        DESCRIPTION,
        [
            f"{PROGRAM} results",
            f"{PROGRAM} results/iemocap --store embeddings --media-root IEMOCAP_full_release",
            f"{PROGRAM} results --fold 3 --map-rows train --tsne",
            f"{PROGRAM} results/tuned --against results/frozen --selection embeddings-selection",
        ],
    )
    top.add_argument(
        "results", type=Path, metavar="RESULTS", help="the folder that run-fusion-grid wrote"
    )
    top.add_argument(
        "--store",
        type=Path,
        metavar="STORE",
        help="the store that it was made from, for training curves, maps and transcripts (default: "
        f"{DEFAULTS['usual_store']}, if it holds the corpus)",
    )
    top.add_argument(
        "--media-root",
        type=Path,
        metavar="DIR",
        help="the folder that the manifest's paths are relative to: errors then link to their "
        "clips",
    )
    top.add_argument(
        "--selection",
        type=Path,
        metavar="STORE",
        help="a store of the trainings by which encoders were chosen: the paper's Tables 1 to 3",
    )
    top.add_argument(
        "--against",
        type=Path,
        metavar="RESULTS",
        help="another run over the same rows and folds, for example of frozen encoders, to stand "
        "beside this one",
    )
    top.add_argument(
        "--fold",
        type=int,
        default=DEFAULTS["fold"],
        metavar="N",
        help="whose encoders the maps show (default: the first)",
    )
    top.add_argument(
        "--map-rows",
        default=DEFAULTS["map_rows"],
        choices=MAP_ROLES,
        help="which of its rows (default: %(default)s)",
    )
    top.add_argument(
        "--tsne", action="store_true", help="draw the maps by t-SNE as well, which takes longer"
    )
    top.add_argument("--quiet", action="store_true", help="print only where the report is")
    return top


def config_from(arguments: argparse.Namespace) -> ReportConfig:
    """Turn parsed arguments into the configuration."""
    options = {name: value for name, value in vars(arguments).items() if name in DEFAULTS}
    return ReportConfig(**options)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    # imported here because it takes seconds, and to say which extra brings what is not installed
    from classify.report.config import with_extra

    with with_extra():
        from classify.report.make import make_report

    made = make_report(config_from(arguments))
    if not arguments.quiet:
        print("\n".join(made.listing()))
    print(made.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
