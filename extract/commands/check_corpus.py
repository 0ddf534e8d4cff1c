"""The command ``check-corpus``.

Is a release complete and sane, before a week of GPU time goes into it?
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from embeddings_store.atomic import make_folder, write_json
from embeddings_store.commands.common import guarded, parser
from embeddings_store.commands.progress import progress_bar
from embeddings_store.corpus.columns import LEAK_TAGS, check_tags, parse_tags
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.scan import scan_manifest
from embeddings_store.errors import (
    FoldError,
    ManifestError,
    ModelLoadError,
    UsageError,
    unknown_name,
)
from embeddings_store.tables import count_rows
from extract.checks import run_checks
from extract.checks.finding import (
    BAD_MEDIA,
    INCOMPLETE,
    LEVELS,
    SHOWN,
    CorpusFinding,
    MediaFacts,
    ReleaseUnderCheck,
)
from extract.checks.scanned import scan_findings
from extract.commands.extract_options import corpus_options
from extract.corpora import READERS, corpus_names
from extract.corpora.manifest import find_table
from extract.extras import with_extra
from extract.pipeline.frozen import FrozenJob
from extract.pipeline.job import PAPER_ENCODERS, read_manifest

PROGRAM = "check-corpus"
CUT_S = next(
    float(str(field.default)) for field in fields(FrozenJob) if field.name == "max_duration_s"
)
# Manifests of more rows are scanned a piece at a time, unless --no-stream is given.
STREAM_ROWS = 2_000_000
STYLES = {
    "error": ("bold red", "errors"),
    "warning": ("bold yellow", "warnings"),
    "fact": ("bold", "facts"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    return guarded(lambda: with_extra(lambda: _run(arguments)), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        "Say whether a corpus is complete and sane: counts, labels, transcripts, times, folds, "
        "and every media "
        "file read to its end. Exit status 0: sane; 3: the release is not complete; 4: it is, but "
        "some media "
        "cannot be used.",
        [
            f"{PROGRAM} --corpus ravdess --root RAVDESS",
            f"{PROGRAM} --corpus iemocap --root IEMOCAP_full_release --out iemocap-check      "
            "(pictures; goes on after a kill)",
            f"{PROGRAM} --corpus meld --root MELD.Raw --media 200 --json",
            f"{PROGRAM} --corpus manifest --root mine.csv --media none",
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
    top.add_argument(
        "--media",
        default="all",
        metavar="all|N|none",
        help="which media files are read to their end: all, N evenly spread ones, or none "
        "(default: %(default)s)",
    )
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
        "there what was "
        "read, so that a second run goes on",
    )
    top.add_argument(
        "--estimate",
        nargs="*",
        metavar="MODALITY[=ENCODER]",
        help="also say what fine-tuning would cost in hours, disk and GPU memory, from a few rows "
        "that are really "
        "trained on; by default all modalities with the encoders that extract-features takes",
    )
    top.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="for --corpus manifest: scan the table a piece at a time, in memory that does not "
        "grow with its "
        f"cells, and read no media (default: above {STREAM_ROWS:,} rows)",
    )
    top.add_argument("--json", action="store_true", help="print JSON instead of text")
    top.add_argument("--quiet", action="store_true", help="print errors and warnings only")
    return top


def check(release: ReleaseUnderCheck) -> dict[str, Any]:
    """Run all checks and return the report.

    Corpus, rows, exit status, findings, and the label counts.
    """
    findings = run_checks(release)
    manifest = release.manifest
    return {
        "corpus": manifest.name,
        "rows": len(manifest),
        "status": exit_status(findings),
        "media": {"read": len(release.media), "not_read": release.sampled},
        "findings": [finding.to_dict() for finding in findings],
    }


def scanned(table: Path, root: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Scan a manifest a piece at a time and return the same report; no media are read.

    Args:
        table: The manifest.
        root: What the user named: the table, or its folder.
        options: Of the reader ``manifest``; all are checked as it checks them.
    """
    READERS["manifest"].documented(**options)
    tags = parse_tags(**{tag: options[tag] for tag in LEAK_TAGS if tag in options})
    scan = scan_manifest(
        table, options.get("name") or (root.resolve().name if root.is_dir() else "")
    )
    check_tags(tags, scan.columns)
    findings = scan_findings(scan)
    return {
        "corpus": scan.name,
        "rows": scan.rows,
        "status": exit_status(findings),
        "media": {"read": 0, "not_read": None},
        "findings": [finding.to_dict() for finding in findings],
    }


def estimate(
    manifest: Manifest, corpus: str, root: Path, wanted: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Say what fine-tuning would cost, by modality, in the words of ``extract-features --dry-run``.

    Nothing is written.

    Args:
        manifest: The corpus.
        corpus: Name of its reader.
        root: Its folder.
        wanted: ``MODALITY`` or ``MODALITY=ENCODER``; empty for all that the corpus has.

    Raises:
        UnknownNameError: There is no such modality.
    """
    from extract.pipeline import finetuned as tune
    from extract.pipeline.estimate import tuned_lines

    chosen = dict(word.partition("=")[::2] for word in wanted) or {
        m: "" for m in PAPER_ENCODERS if manifest.has(m)
    }
    told: dict[str, list[str]] = {}
    for modality, encoder in chosen.items():
        if modality not in PAPER_ENCODERS:
            unknown_name("modality", modality, tuple(PAPER_ENCODERS))
        job = tune.TunedJob(corpus, root, modality, "1", tune.paper_settings(modality), encoder)
        try:
            folds = len(tune.fold_names(job, manifest))
            told[modality] = [
                *tuned_lines(tune.prepare(job, manifest), {})[1:],
                f"  this is one of {folds} folds",
            ]
        except (ModelLoadError, FoldError, ManifestError) as error:
            told[modality] = [f"  cannot be estimated: {error}"]
    return told


def exit_status(findings: Sequence[CorpusFinding]) -> int:
    """Return 3 where the release is incomplete, else 4 where media are bad, else 0."""
    asked = {finding.status for finding in findings}
    return next((status for status in (INCOMPLETE, BAD_MEDIA) if status in asked), 0)


def _run(arguments: argparse.Namespace) -> int:
    count = _media_count(arguments.media)
    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}: expected 1 or more")
    errors = Console(stderr=True, quiet=arguments.quiet, highlight=False, soft_wrap=True)
    options = corpus_options(arguments)
    if table := _long_table(arguments):
        report = scanned(table, arguments.root, options)
        if arguments.out is not None:
            make_folder(arguments.out)
            write_json(arguments.out / "report.json", report)
    else:
        report = _read_and_check(arguments, options, count, errors)
    if arguments.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _show(
            report,
            Console(highlight=False, soft_wrap=True),
            LEVELS[:2] if arguments.quiet else LEVELS,
        )
    return int(report["status"])


def _long_table(arguments: argparse.Namespace) -> Path | None:
    """Return the table that is scanned a piece at a time, none where the corpus is read as a whole."""
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
    return (
        table if arguments.stream or (table.is_file() and count_rows(table) > STREAM_ROWS) else None
    )


def _read_and_check(
    arguments: argparse.Namespace, options: Mapping[str, str], count: int | None, errors: Console
) -> dict[str, Any]:
    manifest = read_manifest(arguments.corpus, arguments.root, options, "")
    if arguments.out is not None:
        make_folder(arguments.out)
    media, left = _read(manifest, count, arguments.jobs, arguments.out, errors)
    release = ReleaseUnderCheck(
        manifest,
        arguments.root,
        READERS[arguments.corpus].documented(**options),
        media,
        left,
        arguments.cut_s,
    )
    report = check(release)
    if arguments.estimate is not None:
        report["estimate"] = estimate(
            manifest, arguments.corpus, arguments.root, arguments.estimate
        )
    if arguments.out is not None:
        report["pictures"] = _draw(manifest, arguments.out, errors)
        write_json(arguments.out / "report.json", report)
    return report


def _media_count(text: str) -> int | None:
    """Return how many files are read, none for all."""
    if text == "all":
        return None
    if text == "none":
        return 0
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"--media {text!r}: expected all, none, or a number of files")


def _read(
    manifest: Manifest, count: int | None, jobs: int, out: Path | None, console: Console
) -> tuple[list[MediaFacts], int]:
    """Read the media; returns the facts and how many files were left out."""
    from extract.checks.reading import read_media, tasks_of

    every = tasks_of(manifest)
    tasks = every if count is None else tasks_of(manifest, count)
    with progress_bar("media", len(tasks), console) as bar:
        media = read_media(
            manifest, tasks, jobs, bar.advance, out / "media.jsonl" if out is not None else None
        )
    return media, len(every) - len(tasks)


def _draw(manifest: Manifest, out: Path, console: Console) -> list[str]:
    """Draw what there is to draw.

    A picture that fails for lack of a library says so and stops nothing.
    """
    from extract.checks.picture import draw_labels

    written = [path.name for path in draw_labels(manifest, out)]
    if manifest.has("video") and manifest.root is not None:
        from extract.checks.contact_sheet import write_contact_sheet

        for problem in write_contact_sheet(manifest, out / "contact_sheet.png"):
            console.print(problem, markup=False)
        written.append("contact_sheet.png")
    return written


def _show(report: dict[str, Any], console: Console, levels: Sequence[str]) -> None:
    """Print the findings in groups, each with its count, its first examples and what to do."""
    for level in levels:
        findings = [f for f in report["findings"] if f["level"] == level]
        if not findings:
            continue
        style, title = STYLES[level]
        console.print(f"{title} ({len(findings)})", style=style, markup=False)
        for finding in findings:
            counted = f"{finding['count']:,} x " if finding["examples"] else ""
            console.print(f"  {counted}{finding['sentence']}", markup=False)
            for example in finding["examples"][:SHOWN]:
                console.print(f"      {example}", style="dim", markup=False)
            if (
                finding["examples"]
                and (rest := finding["count"] - min(SHOWN, len(finding["examples"]))) > 0
            ):
                console.print(f"      and {rest:,} more", style="dim", markup=False)
            if finding["advice"]:
                console.print(f"      -> {finding['advice']}", style="italic", markup=False)
    for modality, lines in report.get("estimate", {}).items():
        console.print(f"fine-tuning on {modality}, fold 1", style="bold", markup=False)
        for line in lines:
            console.print(line, markup=False)
    verdict = {
        0: "sane",
        INCOMPLETE: "not complete, or not what its documents say",
        BAD_MEDIA: "some media cannot be used",
    }
    console.print(
        f"{report['corpus']}: {report['rows']:,} rows; {verdict[report['status']]}",
        markup=False,
        style="bold green" if not report["status"] else "bold red",
    )


if __name__ == "__main__":
    sys.exit(main())
