"""The options by which both stages name a protocol, and the protocols that a corpus allows."""

from __future__ import annotations

import argparse
from pathlib import Path

from embeddings_store.corpus.label_sets import TABLE as LABEL_TABLE
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.protocols import TABLE
from embeddings_store.folds.setup import applicable


def add_protocol_options(group: argparse._ArgumentGroup) -> None:
    """Add ``--protocol``, ``--protocol-files``, ``--list-protocols`` and ``--label-set``."""
    group.add_argument(
        "--protocol",
        default="",
        metavar="NAME",
        help="a protocol of the field by name: it sets folds, validation rule, label set and rows",
    )
    group.add_argument(
        "--protocol-files",
        type=Path,
        metavar="DIR",
        help="its authors' files, where its folds can only be read from them (EmoBox, SUPERB)",
    )
    group.add_argument(
        "--list-protocols",
        action="store_true",
        help="list the protocols and label sets, with --corpus those that it allows and their "
        "sizes, and stop",
    )
    group.add_argument(
        "--label-set",
        default="",
        metavar="NAME",
        help="which raw labels count as which class (default: the protocol's, else the corpus' "
        "own)",
    )


def listing(manifest: Manifest | None) -> str:
    """Return the protocols and label sets as text.

    All of them, or those of a corpus with what they give there.
    """
    lines = ["protocols (--protocol):"]
    if manifest is None:
        for row in TABLE:
            lines += [f"  {row.name:<26} {', '.join(row.corpora)}: {row.note}"]
    else:
        for row, found in applicable(manifest):
            lines += [f"  {row.name:<26} {found}", f"  {'':<26} {row.note}"]
    lines.append("label sets (--label-set):")
    for labels in LABEL_TABLE:
        if manifest is None or not labels.corpora or labels.applies_to(manifest.name):
            size = f"{labels.rows:,} rows; " if labels.rows else ""
            lines.append(
                f"  {labels.name:<28} "
                f"{size}{'' if labels.labels else 'PUBLISHED NAME ONLY; '}{labels.note}"
            )
    return "\n".join(lines)
