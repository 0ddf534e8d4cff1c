"""The command ``check-corpus``.

Is a release complete and sane, before a week of GPU time goes into it?
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings_store.atomic import make_folder, write_json
from embeddings_store.commands.common import guarded, parser
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError
from embeddings_store.progress import progress_bar
from embeddings_store.tables import count_rows
from extract.checks.finding import (
    BAD_MEDIA,
    INCOMPLETE,
    LEVELS,
    SHOWN,
    FaceFacts,
    MediaFacts,
    ReleaseUnderCheck,
)
from extract.checks.report import check, estimate, scanned
from extract.commands.corpus_options import add_reading_options, corpus_source
from extract.commands.face_options import add_face_options, face_source
from extract.corpora import READERS, corpus_names
from extract.corpora.manifest import find_table
from extract.encoders.settings import InputSettings
from extract.extras import with_extra
from extract.frames.face_source import FaceSource

if TYPE_CHECKING:
    from rich.console import Console

PROGRAM = "check-corpus"
CUT_S = InputSettings().max_duration_s
# Manifests of more rows are scanned a piece at a time, unless --no-stream is given.
STREAM_ROWS = 2_000_000
STYLES = {
    "error": ("bold red", "errors"),
    "warning": ("bold yellow", "warnings"),
    "fact": ("bold", "facts"),
}
VERDICTS = {
    0: "sane",
    INCOMPLETE: "not complete, or not what its documents say",
    BAD_MEDIA: "some media cannot be used",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    return guarded(lambda: with_extra(lambda: _run(arguments)), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        "Say whether a corpus is complete and sane: counts, labels, transcripts, times, folds, and "
        "every media file read to its end. Exit status 0: sane; 3: the release is not complete; 4: "
        "it is, but some media cannot be used.",
        [
            f"{PROGRAM} --corpus ravdess --root RAVDESS",
            f"{PROGRAM} --corpus iemocap --root IEMOCAP_full_release --out iemocap-check      "
            "(pictures; goes on after a kill)",
            f"{PROGRAM} --corpus meld --root MELD.Raw --media 200 --json",
            f"{PROGRAM} --corpus manifest --root mine.csv --media none",
            f"{PROGRAM} --corpus iemocap --root IEMOCAP_full_release --media none --faces 50 "
            "     (is somebody's face in the pictures)",
            f"{PROGRAM} --corpus manifest --root rows.parquet --stream      (millions of rows)",
        ],
    )
    top.add_argument("--corpus", required=True, help=f"the reader: {', '.join(corpus_names())}")
    top.add_argument(
        "--root",
        required=True,
        type=Path,
        help="the release's folder; for --corpus manifest, the table",
    )
    top.add_argument(
        "--corpus-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the reader, see extract-features --list; may be repeated",
    )
    add_reading_options(top)
    top.add_argument(
        "--media",
        default="all",
        metavar="all|N|none",
        help="which media files are read to their end: all, N evenly spread ones, or none "
        "(default: %(default)s)",
    )
    top.add_argument(
        "--faces",
        default="none",
        metavar="all|N|none",
        help="of which rows the pictures are searched for the speaker's face, whose mouth should "
        "move with the sound: all, N evenly spread ones, or none; some seconds a row (default: "
        "%(default)s; needs the extra 'face')",
    )
    add_face_options(top)
    top.add_argument(
        "--jobs",
        type=int,
        default=min(8, os.cpu_count() or 1),
        help="files at a time (default: %(default)s)",
    )
    top.add_argument(
        "--cut-s",
        type=float,
        default=CUT_S,
        metavar="SECONDS",
        help="length at which rows count as cut by an encoder (default: %(default)g, as "
        "extract-features cuts)",
    )
    top.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write report.json, labels.png and .svg, for video contact_sheet.png, and remember "
        "there what was read, so that a second run goes on",
    )
    top.add_argument(
        "--estimate",
        nargs="*",
        metavar="MODALITY[=ENCODER]",
        help="also say what fine-tuning would cost in hours, disk and GPU memory, from a few rows "
        "that are really trained on; by default all modalities with the encoders that "
        "extract-features takes",
    )
    top.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="for --corpus manifest: scan the table a piece at a time, in memory that does not "
        f"grow with its cells, and read no media (default: above {STREAM_ROWS:,} rows)",
    )
    top.add_argument("--json", action="store_true", help="print JSON instead of text")
    top.add_argument("--quiet", action="store_true", help="print errors and warnings only")
    return top


def _run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    media = _count("--media", arguments.media, "files")
    faces = _count("--faces", arguments.faces, "rows")
    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}: expected 1 or more")
    errors = Console(stderr=True, quiet=arguments.quiet, highlight=False, soft_wrap=True)
    source = corpus_source(arguments)
    if table := _long_table(arguments):
        report = scanned(table, source.root, source.options)
        if arguments.out is not None:
            make_folder(arguments.out)
            write_json(arguments.out / "report.json", report)
    else:
        report = _read_and_check(arguments, media, faces, errors)
    if arguments.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        levels = LEVELS[:2] if arguments.quiet else LEVELS
        _show(report, Console(highlight=False, soft_wrap=True), levels)
    return int(report["status"])


def _long_table(arguments: argparse.Namespace) -> Path | None:
    """Return the table that is scanned a piece at a time; none where the corpus is read whole."""
    if arguments.corpus != "manifest":
        if arguments.stream:
            raise UsageError(
                f"--stream scans a table of --corpus manifest; {arguments.corpus} is read as a "
                "whole"
            )
        return None
    if arguments.estimate is not None:
        if arguments.stream:
            raise UsageError(
                "--estimate trains on rows, and --stream keeps none; leave one of them out"
            )
        return None
    if arguments.stream is False:
        return None
    table = find_table(arguments.root.expanduser())
    if arguments.stream or (table.is_file() and count_rows(table) > STREAM_ROWS):
        return table
    return None


def _read_and_check(
    arguments: argparse.Namespace, count: int | None, faces: int | None, errors: Console
) -> dict[str, Any]:
    if faces != 0 or face_source(arguments) != FaceSource():
        face_source(arguments).check()
    source = corpus_source(arguments)
    manifest = source.read()
    if arguments.out is not None:
        make_folder(arguments.out)
    media, left = _read_media(manifest, count, arguments.jobs, arguments.out, errors)
    reader = READERS[source.reader]
    seen = _look_at_faces(arguments, manifest, faces, errors)
    report = check(
        ReleaseUnderCheck(
            manifest,
            source.root,
            reader.documented(**source.options),
            media,
            left,
            arguments.cut_s,
            seen,
            reader.sample_rate_hz,
        )
    )
    if arguments.estimate is not None:
        report["estimate"] = estimate(manifest, source, arguments.estimate)
    if arguments.out is not None:
        report["pictures"] = _draw(manifest, arguments.out, face_source(arguments), errors)
        write_json(arguments.out / "report.json", report)
    return report


def _count(option: str, text: str, what: str) -> int | None:
    """Return how many files are read or rows looked at, none for all."""
    if text == "all":
        return None
    if text == "none":
        return 0
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"{option} {text!r}: expected all, none, or a number of {what}")


def _read_media(
    manifest: Manifest, count: int | None, jobs: int, out: Path | None, console: Console
) -> tuple[list[MediaFacts], int]:
    """Read the media; returns the facts and how many files were left out."""
    from extract.checks.reading import read_media, tasks_of

    every = tasks_of(manifest)
    tasks = every if count is None else tasks_of(manifest, count)
    remembered = None if out is None else out / "media.jsonl"
    with progress_bar("media", len(tasks), console) as bar:
        media = read_media(manifest, tasks, jobs, bar.advance, remembered)
    return media, len(every) - len(tasks)


def _look_at_faces(
    arguments: argparse.Namespace, manifest: Manifest, count: int | None, console: Console
) -> list[FaceFacts]:
    """Look for faces in as many rows, none for all."""
    from extract.checks.face_reading import look_at_faces, rows_to_look_at

    if count == 0 or not manifest.has("video"):
        return []
    rows = rows_to_look_at(manifest, count)
    remembered = None if arguments.out is None else arguments.out / "faces.jsonl"
    faces = face_source(arguments)
    with progress_bar("faces", len(rows), console) as bar:
        return look_at_faces(manifest, rows, arguments.jobs, bar.advance, remembered, faces)


def _draw(manifest: Manifest, out: Path, faces: FaceSource, console: Console) -> list[str]:
    """Draw what there is to draw.

    A picture that fails for lack of a library says so and stops nothing.
    """
    from extract.checks.picture import draw_labels

    written = [path.name for path in draw_labels(manifest, out)]
    if manifest.has("video") and manifest.root is not None:
        from extract.checks.contact_sheet import write_contact_sheet

        for problem in write_contact_sheet(manifest, out / "contact_sheet.png", faces=faces):
            console.print(problem, markup=False)
        written.append("contact_sheet.png")
    return written


def _show(report: dict[str, Any], console: Console, levels: Sequence[str]) -> None:
    """Print the findings in groups, what was estimated, and the verdict."""
    for level in levels:
        findings = [finding for finding in report["findings"] if finding["level"] == level]
        if findings:
            style, title = STYLES[level]
            console.print(f"{title} ({len(findings)})", style=style, markup=False)
        for finding in findings:
            _show_finding(finding, console)
    for modality, lines in report.get("estimate", {}).items():
        console.print(f"fine-tuning on {modality}, fold 1", style="bold", markup=False)
        for line in lines:
            console.print(line, markup=False)
    status = report["status"]
    console.print(
        f"{report['corpus']}: {report['rows']:,} rows; {VERDICTS[status]}{_open(report)}",
        markup=False,
        style="bold red" if status else "bold green",
    )


def _open(report: dict[str, Any]) -> str:
    """Return what a corpus that is called sane leaves to be looked at."""
    if report["status"]:
        return ""
    warnings = sum(finding["level"] == "warning" for finding in report["findings"])
    words = f", with {warnings} warning{'s' * (warnings > 1)} to look at" if warnings else ""
    for finding in report["findings"]:
        if finding["check"] == "faces" and not finding["data"].get("rows", True):
            words += "; who is in the pictures was not looked at"
    return words


def _show_finding(finding: dict[str, Any], console: Console) -> None:
    """Print one finding with its count, its first examples and what to do."""
    count, examples = finding["count"], finding["examples"]
    counted = f"{count:,} x " if examples else ""
    console.print(f"  {counted}{finding['sentence']}", markup=False)
    for example in examples[:SHOWN]:
        console.print(f"      {example}", style="dim", markup=False)
    more = count - min(SHOWN, len(examples))
    if examples and more > 0:
        console.print(f"      and {more:,} more", style="dim", markup=False)
    if finding["advice"]:
        console.print(f"      -> {finding['advice']}", style="italic", markup=False)


if __name__ == "__main__":
    sys.exit(main())
