"""The command ``convert-corpus``.

Any corpus that can be read, written in another project's format or as a manifest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from embeddings_store.atomic import make_folder, scratch_beside
from embeddings_store.commands.common import guarded, parser
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import MediaError, UnsafePathError, UsageError, unknown_name
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.rules import PLAN_NAMES, make_plan
from embeddings_store.folds.validation_rules import VALID_RULES
from extract.commands.corpus_options import add_reading_options, corpus_source
from extract.corpora import READERS, corpus_names, format_names, huggingface
from extract.corpora._notes import Notes
from extract.extras import with_extra

PROGRAM = "convert-corpus"
MEDIA_RULES = {
    "leave": "they stay where they are; read the result with --corpus-option media=ROOT",
    "link": "hard links beside the lists, which take no space",
    "copy": "copies beside the lists",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    return guarded(lambda: with_extra(lambda: _run(arguments)), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        "Write a corpus in the format of another project, or bring one from there; what the format "
        "cannot hold is listed.",
        [
            f"{PROGRAM} --corpus ravdess --root RAVDESS --to emobox --out ravdess-emobox --media "
            "link",
            f"{PROGRAM} --corpus audformat --root emodb-audformat --to manifest --out emodb",
            f"{PROGRAM} --corpus iemocap --root IEMOCAP_full_release --to speechbrain --out lists "
            "--folds leave-one-session-out",
            "extract-features --corpus emobox --root ravdess-emobox --modality audio --frozen   "
            "(reads it without converting)",
        ],
    )
    top.add_argument("--corpus", required=True, help=f"what is read: {', '.join(corpus_names())}")
    top.add_argument("--root", required=True, type=Path, help="its folder or file")
    top.add_argument(
        "--corpus-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the reader, see extract-features --list; may be repeated",
    )
    add_reading_options(top)
    top.add_argument(
        "--corpus-name", default="", help="its name in the result (default: the reader's)"
    )
    top.add_argument(
        "--to",
        required=True,
        metavar="FORMAT",
        help=f"what is written: {', '.join(format_names())}",
    )
    top.add_argument("--out", required=True, type=Path, help="a folder that is new or empty")
    top.add_argument(
        "--media",
        choices=list(MEDIA_RULES),
        default="leave",
        help="; ".join(f"{name}: {text}" for name, text in MEDIA_RULES.items())
        + " (default: %(default)s; "
        "huggingface holds the sound itself where each row has a file of its own)",
    )
    top.add_argument(
        "--folds",
        default="",
        metavar="PLAN",
        help=f"the folds that are written: {', '.join(PLAN_NAMES)}, or none (default: the corpus' "
        "own)",
    )
    top.add_argument(
        "--valid",
        choices=VALID_RULES,
        default="none",
        help="where groups rotate: whether the next one validates, or trains too and the other "
        "project draws its validation rows itself (default: %(default)s)",
    )
    return top


def convert(
    manifest: Manifest,
    to: str,
    out: Path,
    media: str = "leave",
    folds: str = "",
    valid: str = "none",
) -> tuple[str, ...]:
    """Write a corpus as ``to`` into the folder ``out``, which appears whole or not at all.

    Args:
        manifest: The corpus.
        to: One of :func:`extract.corpora.format_names`.
        out: A folder that is not there yet, or empty.
        media: One of :data:`MEDIA_RULES`.
        folds: Name of the plan; empty takes the corpus' own, ``none`` writes no folds.
        valid: For plans that rotate, see :func:`embeddings_store.folds.rules.make_plan`.

    Returns:
        What the format cannot hold, and what was left out.

    Raises:
        UnknownNameError: There is no such format.
        UsageError: ``out`` is not empty.
    """
    if to not in format_names():
        unknown_name("format", to, format_names())
    write = READERS[to].writer()
    assert write is not None  # noqa: S101 - format_names lists those that have one
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: is there already; name a folder that is new or empty with --out")
    plan: FoldPlan | None = None
    if folds != "none" and (folds or manifest.protocol):
        plan = make_plan(manifest, folds, valid)
    make_folder(out.resolve().parent)
    with scratch_beside(out.resolve()) as scratch:
        making = scratch / out.name
        making.mkdir()
        losses = write(manifest, making, plan)
        if manifest.tags:
            losses += (
                "what metadata columns may tell of the label (safe, context, leaky) is not kept; "
                "say it again with the options of --corpus manifest",
            )
        holds_sound = to == "huggingface" and huggingface.holds_sound(manifest, Notes())
        if media != "leave" and not holds_sound:
            losses += _bring(manifest, making, media)
        if out.exists():
            out.rmdir()
        making.rename(out)
    return losses


def _run(arguments: argparse.Namespace) -> int:
    manifest = corpus_source(arguments).read()
    for note in manifest.notes:
        print(f"note: {note}", file=sys.stderr)
    losses = convert(
        manifest, arguments.to, arguments.out, arguments.media, arguments.folds, arguments.valid
    )
    for loss in losses:
        # What was left out is no fault of the format.
        line = loss if "left out" in loss else f"not held by {arguments.to}: {loss}"
        print(line, file=sys.stderr)
    print(f"{arguments.out}: {manifest.name}, {len(manifest)} rows read")
    if arguments.media == "leave" and manifest.root is not None and arguments.to != "huggingface":
        print(
            f"the media stay in {manifest.root}; read it with --corpus {arguments.to} --root "
            f"{arguments.out} --corpus-option media={manifest.root}"
        )
    return 0


def _bring(manifest: Manifest, out: Path, media: str) -> tuple[str, ...]:
    """Link or copy the media; returns one sentence if some are not there."""
    names = {*manifest.table["audio"].unique(), *manifest.table["video"].unique()} - {""}
    absent = []
    for name in sorted(names):
        try:
            source = manifest.media_path(name)
        except UnsafePathError as error:
            raise MediaError(str(error)) from error
        if not source.is_file():
            absent.append(name)
            continue
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if media == "copy":
            shutil.copyfile(source, target)
            continue
        try:
            os.link(source, target)
        except OSError as error:
            raise UsageError(
                f"{source}: cannot be linked ({error.strerror}); onto another disk "
                "--media copy leads"
            ) from error
    if not absent:
        return ()
    return (f"{len(absent)} media files are not there, first {absent[0]!r}",)


if __name__ == "__main__":
    sys.exit(main())
