"""What the checks find in a corpus, as one report that can be printed or kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embeddings_store.corpus.column_names import parse_columns
from embeddings_store.corpus.columns import LEAK_TAGS, check_tags, parse_tags
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.scan import scan_manifest
from embeddings_store.errors import FoldError, ManifestError, ModelLoadError, unknown_name
from extract.checks import run_checks
from extract.checks.finding import BAD_MEDIA, INCOMPLETE, CorpusFinding, ReleaseUnderCheck
from extract.checks.scanned import scan_findings
from extract.corpora import READERS
from extract.corpora._exchange import media_folder
from extract.pipeline.job import PAPER_ENCODERS, CorpusSource, EncoderChoice


def check(release: ReleaseUnderCheck) -> dict[str, Any]:
    """Run all checks and return the report.

    Corpus, rows, exit status, how many media were read, and the findings.
    """
    findings = run_checks(release)
    media = {"read": len(release.media), "not_read": release.sampled}
    return _report(release.manifest.name, len(release.manifest), media, findings)


def scanned(table: Path, root: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """Scan a manifest a piece at a time and return the same report; no media are read.

    Args:
        table: The manifest.
        root: What the user named: the table, or its folder.
        options: Of the reader ``manifest``; all are checked as it checks them.
    """
    READERS["manifest"].documented(**options)
    tags = parse_tags(**{tag: options[tag] for tag in LEAK_TAGS if tag in options})
    name = options.get("name", "")
    if not name and root.is_dir():
        name = root.resolve().name
    columns = parse_columns(options.get("columns", ""))
    media = media_folder(Path(), options["media"]) if options.get("media") else None
    scan = scan_manifest(table, name, columns=columns, media=media)
    check_tags(tags, scan.columns)
    return _report(scan.name, scan.rows, {"read": 0, "not_read": None}, scan_findings(scan))


def estimate(
    manifest: Manifest, source: CorpusSource, wanted: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Say what fine-tuning would cost, by modality, in the words of ``extract-features --dry-run``.

    Nothing is written.

    Args:
        manifest: The corpus.
        source: Where it came from.
        wanted: ``MODALITY`` or ``MODALITY=ENCODER``; empty for all that the corpus has.

    Raises:
        UnknownNameError: There is no such modality.
    """
    encoders: dict[str, str] = {}
    for word in wanted:
        modality, _, encoder = word.partition("=")
        encoders[modality] = encoder
    if not encoders:
        encoders = {modality: "" for modality in PAPER_ENCODERS if manifest.has(modality)}
    lines: dict[str, list[str]] = {}
    for modality, encoder in encoders.items():
        if modality not in PAPER_ENCODERS:
            unknown_name("modality", modality, tuple(PAPER_ENCODERS))
        try:
            lines[modality] = _cost(manifest, source, modality, encoder)
        except (ModelLoadError, FoldError, ManifestError) as error:
            lines[modality] = [f"  cannot be estimated: {error}"]
    return lines


def exit_status(findings: Sequence[CorpusFinding]) -> int:
    """Return 3 where the release is incomplete, else 4 where media are bad, else 0."""
    found = {finding.status for finding in findings}
    for status in (INCOMPLETE, BAD_MEDIA):
        if status in found:
            return status
    return 0


def _report(
    corpus: str, rows: int, media: Mapping[str, int | None], findings: Sequence[CorpusFinding]
) -> dict[str, Any]:
    return {
        "corpus": corpus,
        "rows": rows,
        "status": exit_status(findings),
        "media": dict(media),
        "findings": [finding.to_dict() for finding in findings],
    }


def _cost(manifest: Manifest, source: CorpusSource, modality: str, encoder: str) -> list[str]:
    """Say what the first fold of the paper's training would cost."""
    from extract.finetuning.row_roles import FoldChoice
    from extract.pipeline.estimate import finetuning_lines
    from extract.pipeline.finetuning_job import FinetuneJob, paper_settings
    from extract.pipeline.finetuning_prepare import prepare_finetuning

    settings = paper_settings(modality)
    choice = EncoderChoice(encoder)
    job = FinetuneJob(source, modality, FoldChoice("1"), settings, encoder=choice)
    folds = len(job.fold_numbers(manifest))
    _, *lines = finetuning_lines(prepare_finetuning(job, manifest), {})
    return [*lines, f"  this is one of {folds} folds"]
