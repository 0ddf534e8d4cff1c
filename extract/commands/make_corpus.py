"""The command ``make-corpus``.

A tiny release in a corpus' exact layout, with or without what is wrong with the real one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from embeddings_store.commands.common import guarded, parser
from embeddings_store.errors import MissingDependencyError, UsageError
from extract.corpora.generated import RELEASES, Planted, make_release

PROGRAM = "make-corpus"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    return guarded(lambda: _run(arguments), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        "Generate a tiny release of a corpus in its exact layout and file formats, to try things "
        "out with.",
        [
            f"{PROGRAM} iemocap --out /tmp/iemocap",
            f"{PROGRAM} crema-d --out /tmp/crema-d --defects",
            "extract-features --corpus cremad --root /tmp/crema-d --modality audio --encoder "
            "whisper-tiny --frozen",
        ],
    )
    names = sorted(RELEASES)
    top.add_argument("corpus", nargs="?", help=f"{', '.join(names)}; hyphens and case do not count")
    top.add_argument("--out", type=Path, help="an empty or new folder, which becomes the release")
    top.add_argument(
        "--defects",
        action="store_true",
        help="plant every known defect of the real release, and list what was planted where",
    )
    top.add_argument(
        "--seed", type=int, default=0, help="same seed, same bytes (default: %(default)s)"
    )
    top.add_argument("--list", action="store_true", help="list what can be generated, and stop")
    return top


def _run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        for name in sorted(RELEASES):
            print(f"{name:<8} {RELEASES[name].summary}")
        return 0
    required = {"a corpus": arguments.corpus, "--out": arguments.out}
    absent = [what for what, given in required.items() if given is None]
    if absent:
        raise UsageError(
            f"{' and '.join(absent)} must be given; {PROGRAM} --help shows examples, --list the "
            "corpora"
        )
    if arguments.seed < 0:
        raise UsageError(f"--seed {arguments.seed}: expected 0 or more")
    try:
        planted = make_release(
            arguments.corpus, arguments.out.expanduser(), arguments.seed, arguments.defects
        )
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"this needs the package {error.name}, which is not installed; install the extra: "
            "pip install 'emotion-fusion[extract]'"
        ) from error
    if planted:
        _show(planted)
    files = [path for path in arguments.out.expanduser().rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{arguments.out}: {len(files)} files, {size / 1e6:.1f} MB")
    return 0


def _show(planted: Sequence[Planted]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len(planted)} defects planted")
    for column in ("what", "where", "what it comes to"):
        table.add_column(column, overflow="fold")
    for defect in planted:
        table.add_row(defect.what, defect.where, defect.comes_to)
    # Into a file or a pipe it is as wide as its longest places need.
    width = None if sys.stdout.isatty() else 160
    Console(markup=False, highlight=False, width=width).print(table)


if __name__ == "__main__":
    sys.exit(main())
