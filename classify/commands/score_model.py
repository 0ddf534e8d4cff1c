"""The command ``score-model``: how good a saved model is on a labelled corpus of a store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from embeddings_store.commands.common import guarded, parser
from embeddings_store.reading import visible

PROGRAM = "score-model"
DESCRIPTION = (
    "Score a bundle that run-fusion-grid --export-model wrote on the labelled rows of a corpus. "
    "Classes meet by name; what the\nmodel has no class for is counted and not scored. Rows that "
    "the model was fitted on are refused, under whatever name."
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        DESCRIPTION,
        [
            f"{PROGRAM} model --corpus cremad",
            f"{PROGRAM} model --store embeddings --corpus meld --label-map joy=happy,anger=angry",
        ],
    )
    top.add_argument("model", type=Path, metavar="DIR", help="the bundle's folder")
    top.add_argument("--corpus", required=True, help="the corpus in the store")
    top.add_argument(
        "--store", type=Path, default=Path("embeddings"), help="the store (default: %(default)s)"
    )
    top.add_argument(
        "--label-set", default="", metavar="NAME", help="a label set of the corpus, by name"
    )
    top.add_argument(
        "--label-map",
        default="",
        metavar="OLD=NEW,...",
        help="classes of the corpus that the model calls otherwise",
    )
    top.add_argument(
        "--skip-seen",
        action="store_true",
        help="leave out the rows that the model has seen (default: refuse)",
    )
    top.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE.csv",
        help="write id, label and answer of each scored row",
    )
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    from classify.bundle.bundle import read_bundle
    from classify.labelling.score import read_label_map, score_model
    from embeddings_store.vectors.catalogue import catalogue

    label_map = read_label_map(arguments.label_map)
    bundle = read_bundle(arguments.model)
    catalogue(arguments.store, arguments.corpus)  # so that a misspelt corpus is named as such
    found = score_model(
        bundle,
        arguments.store,
        arguments.corpus,
        label_set=arguments.label_set,
        label_map=label_map,
        skip_seen=arguments.skip_seen,
    )
    for line in found.lines():
        print(visible(line))
    if arguments.predictions:
        from classify.labelling.score import write_predictions

        write_predictions(found, arguments.predictions)
        print(arguments.predictions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
