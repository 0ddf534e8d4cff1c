"""The command ``audit-leakage``.

Is anything of the test rows known beforehand, and does the corpus or the set-up do it?
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from embeddings_store.commands.common import guarded, parser

PROGRAM = "audit-leakage"
DESCRIPTION = (
    "Look for what makes an accuracy too good: people, dialogues, recordings, transcripts, inputs "
    "and near-equal vectors on both\nsides, encoders that know the answers, choices made on test "
    "rows. Each check says leak (the set-up is wrong), caution (it\nbelongs to the corpus, or "
    "nobody can know, and must be told), clean, or not checked. run-fusion-grid runs the cheap "
    "checks by itself\nand refuses leaks. A leak ends with exit status 3."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(build_parser().parse_args(argv)), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        DESCRIPTION,
        [
            f"{PROGRAM} --store embeddings --corpus meld",
            f"{PROGRAM} --corpus mosi --folds group-kfold:5 --json",
            f"{PROGRAM} --corpus ravdess --media RAVDESS --shuffled",
            f"{PROGRAM} --results results",
        ],
    )
    top.add_argument(
        "--store", type=Path, default=Path("embeddings"), help="the store (default: %(default)s)"
    )
    top.add_argument(
        "--corpus",
        default="",
        help="corpus in the store (default: that of the results, else the only one)",
    )
    top.add_argument(
        "--folds",
        default="",
        metavar="PLAN",
        help="a plan's name or a plan file (default: that of the results, else the corpus' own); "
        "one that tears groups is judged, not refused",
    )
    top.add_argument(
        "--valid",
        default="",
        metavar="RULE",
        help="the rule for validation rows, as for run-fusion-grid",
    )
    top.add_argument(
        "--protocol",
        default="",
        metavar="NAME",
        help="a protocol of the field by name, as for run-fusion-grid --list-protocols",
    )
    top.add_argument(
        "--protocol-files",
        type=Path,
        metavar="DIR",
        help="the files that hold its folds, where it needs some",
    )
    top.add_argument(
        "--label-set",
        default="",
        metavar="NAME",
        help="which raw labels count as which class (default: the protocol's, else the corpus' "
        "own)",
    )
    top.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="MODALITY=NAME[@FINGERPRINT]",
        help="judge this encoder only (default: those of the results, else all in the store); "
        "repeatable",
    )
    top.add_argument(
        "--media",
        type=Path,
        metavar="ROOT",
        help="the folder of the corpus' files: also compare those byte by byte",
    )
    top.add_argument(
        "--follow-links",
        action="store_true",
        help="with --media: read files behind symbolic links that leave that folder",
    )
    top.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="judge what made these results, and write the verdict beside them as audit.json",
    )
    top.add_argument(
        "--shuffled",
        nargs="?",
        type=int,
        const=0,
        metavar="SEED",
        help="also run an SVM on everything with permuted labels, which must fall to chance "
        "(SEED: 0)",
    )
    top.add_argument("--json", action="store_true", help="print JSON instead of text")
    return top


def _run(arguments: argparse.Namespace) -> int:
    # imported here because it takes a second or two, in which Ctrl-C must not print a traceback
    # either
    from classify.audit import AuditRequest, gather, with_shuffled
    from classify.leakage.checks import run_checks
    from classify.leakage.finding import LEAK
    from classify.results.earlier import stale_report
    from classify.terminal.audit import show_audit
    from classify.terminal.console import console_for_output
    from embeddings_store.folds.setup import Request

    request = Request(
        arguments.protocol,
        arguments.folds,
        arguments.valid,
        arguments.label_set,
        arguments.protocol_files,
    )
    case, accepted = gather(
        AuditRequest(
            arguments.store,
            arguments.corpus,
            request,
            arguments.encoder,
            arguments.media,
            arguments.results,
            arguments.follow_links,
        )
    )
    audit = run_checks(case, accepted)
    if arguments.shuffled is not None:
        audit = with_shuffled(
            audit,
            case,
            arguments.store,
            arguments.shuffled,
            lambda message: print(f"{PROGRAM}: {message}", file=sys.stderr),
        )
    if arguments.results:
        audit = audit.keeping(arguments.results)
        audit.write(arguments.results)
        if stale := stale_report(arguments.results):
            print(f"{PROGRAM}: {stale}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(audit.to_dict(), indent=2, ensure_ascii=False))
    else:
        show_audit(audit, console_for_output())
    return 3 if audit.verdict == LEAK else 0


if __name__ == "__main__":
    sys.exit(main())
