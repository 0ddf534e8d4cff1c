"""The command ``extract-features``: parse, one library call per file, where the results went."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from rich.console import Console

from embeddings_store.commands.common import guarded
from embeddings_store.commands.progress import progress_bar, progress_bars
from embeddings_store.commands.protocol_options import listing
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError
from extract.commands.extract_options import PROGRAM, build_parser, frozen_job, tuned_jobs
from extract.corpora import READERS, corpus_names
from extract.extras import with_extra
from extract.finetuning import distributed
from extract.pipeline import finetuned as tune
from extract.pipeline import frozen as run
from extract.pipeline.estimate import Speed, frozen_lines, tuned_lines
from extract.pipeline.finetuned import TunedJob
from extract.pipeline.job import PAPER_ENCODERS
from extract.pipeline.write import Dump, Summary, related_changes

SHOWN_FAILURES = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    distributed.hush()
    return guarded(lambda: with_extra(lambda: _run(arguments)), PROGRAM)


def _run(arguments: argparse.Namespace) -> int:
    console = Console(
        stderr=True,
        quiet=arguments.quiet or distributed.rank() > 0,
        highlight=False,
        soft_wrap=True,
    )
    if arguments.list:
        _print_lists()
        return 0
    if arguments.list_protocols:
        return _list_protocols(arguments)
    if arguments.clear_frame_cache:
        return _clear_frame_cache(arguments)
    if arguments.contact_sheet:
        return _contact_sheet(arguments)
    absent = [
        f"--{name}" for name in ("corpus", "root", "modality") if getattr(arguments, name) is None
    ]
    if absent:
        raise UsageError(
            f"{' and '.join(absent)} must be given; {PROGRAM} --help shows examples, --list the "
            "corpora"
        )
    if arguments.frozen:
        shown = set[str]()
        return max(
            (
                _run_frozen(arguments, modality, console, shown)
                for modality in _frozen_modalities(arguments)
            ),
            default=0,
        )
    if not arguments.fold:
        raise UsageError(
            "say what to make: --fold N (or all, or final) to fine-tune, or --frozen to use the "
            "encoder as it is"
        )
    return _run_all_tuned(arguments, console)


def _list_protocols(arguments: argparse.Namespace) -> int:
    manifest = None
    if arguments.corpus and arguments.root:
        job = frozen_job(arguments, "text")
        manifest = run.read_manifest(job.corpus, job.root, job.corpus_options, job.corpus_name)
    print(listing(manifest))
    return 0


def _clear_frame_cache(arguments: argparse.Namespace) -> int:
    from extract.frames import FrameCache

    cache = FrameCache(arguments.frame_cache or arguments.store / ".frames")
    size = cache.size_bytes()
    print(f"{cache.folder}: {cache.clear()} clips removed, {size / 1e9:.2f} GB")
    return 0


def _contact_sheet(arguments: argparse.Namespace) -> int:
    from extract.checks.contact_sheet import write_contact_sheet

    if arguments.corpus is None or arguments.root is None:
        raise UsageError("--contact-sheet draws a corpus: add --corpus and --root")
    job = frozen_job(arguments, "video")
    manifest = run.read_manifest(job.corpus, job.root, job.corpus_options, job.corpus_name)
    problems = write_contact_sheet(manifest, arguments.contact_sheet)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(arguments.contact_sheet)
    return 4 if problems else 0


def _frozen_modalities(arguments: argparse.Namespace) -> list[str]:
    if arguments.modality != "all":
        return [arguments.modality]
    job = frozen_job(arguments, "text")
    manifest = run.read_manifest(job.corpus, job.root, job.corpus_options, job.corpus_name)
    return [m for m in PAPER_ENCODERS if manifest.has(m)]


def _run_all_tuned(arguments: argparse.Namespace, console: Console) -> int:
    """Run every modality, seed, fold and inner fold that the command names.

    The corpus is read once.
    """
    named = list(PAPER_ENCODERS) if arguments.modality == "all" else [arguments.modality]
    jobs = {modality: tuned_jobs(arguments, modality) for modality in named}
    manifest = tune.corpus_of(jobs[named[0]][0])
    if arguments.modality == "all":
        jobs = {modality: some for modality, some in jobs.items() if manifest.has(modality)}
    singles = [
        single
        for some in jobs.values()
        for job in some
        for single in _folds(job, manifest, arguments.inner_folds or 0)
    ]
    status, shown = 0, set[str]()
    speeds: dict[str, Speed] = {}
    for single in singles:
        prepared = tune.prepare(single, manifest)
        _introduce(prepared.dump, prepared.encoder, console, shown)
        if arguments.dry_run:
            if not distributed.rank():
                print("\n".join(tuned_lines(prepared, speeds)))
            continue
        status = max(status, _run_tuned(prepared, console))
    return status


def _folds(job: TunedJob, manifest: Manifest, inner_folds: int) -> Iterator[TunedJob]:
    """Yield one job per fold and inner fold."""
    if job.fold not in {"all", "final"} and not job.fold.isdecimal():
        raise UsageError(f"--fold {job.fold!r}: expected a number from 1, all, or final")
    if inner_folds and job.fold == "final":
        raise UsageError(
            "--fold final trains on all rows, so there are none for --inner-folds; leave it out"
        )
    for fold in tune.fold_names(job, manifest) if job.fold == "all" else [job.fold]:
        inner = [
            replace(job, fold=fold, inner=inner_folds, inner_fold=part)
            for part in range(1, inner_folds + 1)
        ]
        for single in inner:
            tune.roles_of(single, manifest)  # Before hours of training, and not after them.
        yield replace(job, fold=fold)
        yield from inner


def _run_frozen(
    arguments: argparse.Namespace, modality: str, console: Console, shown: set[str]
) -> int:
    prepared = run.prepare(frozen_job(arguments, modality))
    _introduce(prepared.dump, prepared.encoder, console, shown)
    if arguments.dry_run:
        print("\n".join(frozen_lines(prepared.dump, prepared.encoder)))
        return 0
    rows = int(prepared.dump.present.sum())
    with progress_bar(f"{modality} vectors", rows, console) as bar:
        summary = run.run_frozen(prepared, _sayer(console), bar.advance)
    return _report(summary, console)


def _run_tuned(prepared: tune.Prepared, console: Console) -> int:
    job, s, roles = prepared.job, prepared.job.settings, prepared.roles
    title = f"{job.modality} fold {prepared.dump.fold}"
    console.print(
        f"{title}, seed {s.seed}: {len(roles.fit)} rows train, {len(roles.choose)} choose the "
        "epoch "
        f"({'all rows train' if job.fold == 'final' else s.rule}); {s.epochs} epochs of batch "
        f"{s.batch_size} at "
        f"{s.learning_rate:g}",
        markup=False,
    )
    if s.rule == "test" and job.fold != "final":
        console.print(
            "  the test rows choose the epoch, so the encoder has seen them: run-fusion-grid "
            "refuses to score these "
            "vectors, except with --valid none --select-on test, which stamps every result as an "
            "upper bound",
            markup=False,
        )
    tasks = [
        (f"{title} reading", len(prepared.to_read)),
        (f"{title} training", prepared.steps),
        (f"{title} vectors", int(prepared.dump.present.sum())),
    ]
    with progress_bars(tasks, console) as (reading, training, rows):
        progress = tune.Progress(_sayer(console), reading.advance, training.advance, rows.advance)
        summary = tune.run_tuned(prepared, progress)
    return _report(summary, console) if summary else 0


def _sayer(console: Console) -> Callable[[str], None]:
    return lambda sentence: console.print(sentence, markup=False)


def _introduce(dump: Dump, encoder: object, console: Console, shown: set[str]) -> None:
    for line in _introduction(dump.manifest, dump, encoder):
        if line not in shown:
            console.print(line, markup=False)
            shown.add(line)


def _introduction(manifest: Manifest, dump: Dump, encoder: object) -> list[str]:
    layers = ", ".join(map(str, encoder.layers))
    return [
        f"{manifest.name}: {len(manifest)} rows",
        *(f"  note: {note}" for note in manifest.notes),
        f"{dump.modality}: {int(dump.present.sum())} rows; {encoder.spec.name}, {encoder.dim}-d, "
        f"{encoder.pooling} pooling, "
        f"layer {layers}, on {encoder.device}; seen = {dump.attributes['seen_spec']}",
        *(f"  {sentence}" for sentence in related_changes(dump)),
    ]


def _report(summary: Summary, console: Console) -> int:
    for title, rows in (("failed", summary.failed), ("want a look", summary.cautions)):
        if rows:
            console.print(f"{len(rows)} clips {title}:", markup=False)
            for name, reason in rows[:SHOWN_FAILURES]:
                console.print(f"  {name}: {reason}", markup=False)
            if len(rows) > SHOWN_FAILURES:
                console.print(
                    f"  ... and {len(rows) - SHOWN_FAILURES} more; all are listed by "
                    "embeddings-store inspect "
                    f"{summary.files[0]}",
                    markup=False,
                )
    if not summary.encoded:
        console.print(
            "nothing to do: these vectors are there"
            + ("; --retry-failed tries the failed clips again" if summary.failed else ""),
            markup=False,
        )
    else:
        console.print(
            f"{summary.ok} of {summary.rows} rows have a vector ({summary.missing} missing, "
            f"{len(summary.failed)} "
            f"failed); {summary.encoded} made in {summary.wall_s:.1f} s",
            markup=False,
        )
    for path in summary.files:
        print(path)
    return 4 if summary.failed else 0


def _print_lists() -> None:
    from extract.encoders import REGISTRY

    print("corpora (--corpus):")
    for name in corpus_names():
        print(f"  {name:<10} {READERS[name].summary}")
        for option, default in READERS[name].options().items():
            print(f"             --corpus-option {option}={default}")
    print("encoders (--encoder; or any hub id or local folder of these architectures):")
    for spec in REGISTRY:
        print(
            f"  {spec.name:<30} {spec.modality:<6} {spec.dim:>5}-d  {spec.layers:>2} layers  "
            f"{spec.pooling:<9} "
            f"{spec.licence:<14} {spec.hub_id}"
        )


if __name__ == "__main__":
    sys.exit(main())
