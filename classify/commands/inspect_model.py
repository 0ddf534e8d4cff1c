"""The command ``inspect-model``: what a bundle is, what it is worth, and whether it is whole."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from embeddings_store.commands.common import guarded, parser
from embeddings_store.reading import visible

PROGRAM = "inspect-model"
DESCRIPTION = (
    "Read a bundle that run-fusion-grid --export-model wrote, check every byte and field of it, "
    "and say what it is,\nwhat it was fitted on and what it is worth. Nothing in it is executed."
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(PROGRAM, DESCRIPTION, [f"{PROGRAM} model"])
    top.add_argument("model", type=Path, metavar="DIR", help="the bundle's folder")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    from classify.bundle.bundle import read_bundle
    from classify.bundle.show import described

    for line in described(read_bundle(arguments.model)):
        print(visible(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
