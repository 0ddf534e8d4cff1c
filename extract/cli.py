"""The command ``extract-features``: parse, one library call per file, where the results went."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from embeddings_store.commandline import guarded
from embeddings_store.errors import UsageError
from embeddings_store.manifest import Manifest
from extract import run, tune
from extract.corpora import READERS, corpus_names
from extract.dump import Dump, Summary, related_changes
from extract.options import PROGRAM, build_parser, frozen_job, tuned_jobs
from extract.tune import PAPER_ENCODERS, TunedJob

SHOWN_FAILURES = 20
PROBE_ROWS = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    return guarded(lambda: _run(arguments), PROGRAM)


def _run(arguments: argparse.Namespace) -> int:
    helper = int(os.environ.get("RANK", "0")) > 0
    console = Console(stderr=True, quiet=arguments.quiet or helper, highlight=False, soft_wrap=True)
    if arguments.list:
        _print_lists()
        return 0
    absent = [f"--{name}" for name in ("corpus", "root", "modality") if getattr(arguments, name) is None]
    if absent:
        raise UsageError(f"{' and '.join(absent)} must be given; {PROGRAM} --help shows examples, --list the corpora")
    if not arguments.frozen and not arguments.fold:
        raise UsageError("say what to make: --fold N (or all, or final) to fine-tune, or --frozen to use the encoder as it is")
    status, shown = 0, set[str]()
    for modality in _modalities(arguments):
        if arguments.frozen:
            status = max(status, _run_frozen(arguments, modality, console, shown))
            continue
        for job in tuned_jobs(arguments, modality):
            for single in _folds(job, arguments):
                status = max(status, _run_tuned(single, console, shown, dry_run=arguments.dry_run))
    return status


def _modalities(arguments: argparse.Namespace) -> list[str]:
    if arguments.modality != "all":
        return [arguments.modality]
    probe = frozen_job(arguments, "text") if arguments.frozen else tuned_jobs(arguments, "text")[0]
    manifest = run.read_manifest(probe.corpus, probe.root, probe.corpus_options, probe.corpus_name)
    return [m for m in PAPER_ENCODERS if manifest.has(m)]


def _folds(job: TunedJob, arguments: argparse.Namespace) -> Iterator[TunedJob]:
    """Yield one job per fold and inner fold."""
    if job.fold not in {"all", "final"} and not job.fold.isdigit():
        raise UsageError(f"--fold {job.fold!r}: expected a number from 1, all, or final")
    for fold in tune.fold_names(job) if job.fold == "all" else [job.fold]:
        yield replace(job, fold=fold)
        for inner in range(1, (arguments.inner_folds or 0) + 1):
            yield replace(job, fold=fold, inner=arguments.inner_folds, inner_fold=inner)


def _run_frozen(arguments: argparse.Namespace, modality: str, console: Console, shown: set[str]) -> int:
    prepared = run.prepare(frozen_job(arguments, modality))
    _introduce(prepared.dump, prepared.encoder, console, shown)
    if arguments.dry_run:
        _dry_run(prepared.dump, prepared.encoder)
        return 0
    with _bars(console, (f"{modality} vectors", int(prepared.dump.present.sum()))) as (advance,):
        summary = run.run_frozen(prepared, _sayer(console), advance)
    return _report(summary, console)


def _run_tuned(job: TunedJob, console: Console, shown: set[str], *, dry_run: bool) -> int:
    prepared = tune.prepare(job)
    _introduce(prepared.dump, prepared.encoder, console, shown)
    s, roles = job.settings, prepared.roles
    console.print(f"{job.modality}, fold {prepared.dump.fold}, seed {s.seed}: {len(roles.fit)} rows train, {len(roles.choose)} choose "
                  f"the epoch ({s.rule}); {s.epochs} epochs of batch {s.batch_size} at {s.learning_rate:g}", markup=False)
    if dry_run:
        print(f"{prepared.dump.path(prepared.dump.refs[0])}: {'would be made' if prepared.pending else 'exists'}"
              f"{f', {prepared.steps} steps' if prepared.pending else ''}")
        return 0
    title = f"{job.modality} fold {prepared.dump.fold}"
    with _bars(console, (f"{title} training", prepared.steps), (f"{title} vectors", int(prepared.dump.present.sum()))) as bars:
        summary = tune.run_tuned(prepared, _sayer(console), *bars)
    return _report(summary, console) if summary else 0


def _sayer(console: Console) -> Callable[[str], None]:
    return lambda sentence: console.print(sentence, markup=False)


@contextmanager
def _bars(console: Console, *tasks: tuple[str, int]) -> Iterator[tuple[Callable[[int], None], ...]]:
    """Show a progress bar per task and yield their advance functions; nothing is drawn where the output is no terminal."""
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console,
                   transient=True, disable=not console.is_terminal)
    with bar:
        numbers = [bar.add_task(title, total=total) for title, total in tasks]
        yield tuple(lambda n, number=number: bar.advance(number, n) for number in numbers)


def _introduce(dump: Dump, encoder: object, console: Console, shown: set[str]) -> None:
    for line in _introduction(dump.manifest, dump, encoder):
        if line not in shown:
            console.print(line, markup=False)
            shown.add(line)


def _introduction(manifest: Manifest, dump: Dump, encoder: object) -> list[str]:
    layers = ", ".join(map(str, encoder.layers))
    return [f"{manifest.name}: {len(manifest)} rows", *(f"  note: {note}" for note in manifest.notes),
            f"{dump.modality}: {int(dump.present.sum())} rows; {encoder.spec.name}, {encoder.dim}-d, {encoder.pooling} pooling, "
            f"layer {layers}, on {encoder.device}; seen = {dump.attributes['seen_spec']}",
            *(f"  {sentence}" for sentence in related_changes(dump))]


def _report(summary: Summary, console: Console) -> int:
    for title, rows in (("failed", summary.failed), ("want a look", summary.cautions)):
        if rows:
            console.print(f"{len(rows)} clips {title}:", markup=False)
            for name, reason in rows[:SHOWN_FAILURES]:
                console.print(f"  {name}: {reason}", markup=False)
            if len(rows) > SHOWN_FAILURES:
                console.print(f"  ... and {len(rows) - SHOWN_FAILURES} more; all are listed by embeddings-store inspect "
                              f"{summary.files[0]}", markup=False)
    if not summary.encoded:
        console.print("nothing to do: these vectors are there" + (
            "; --retry-failed tries the failed clips again" if summary.failed else ""), markup=False)
    else:
        console.print(f"{summary.ok} of {summary.rows} rows have a vector ({summary.missing} missing, {len(summary.failed)} "
                      f"failed); {summary.encoded} made in {summary.wall_s:.1f} s", markup=False)
    for path in summary.files:
        print(path)
    return 4 if summary.failed else 0


def _dry_run(dump: Dump, encoder: object) -> None:
    """Encode a few rows to say how long all of them would take."""
    from extract.inputs import reader_for

    waiting = dump.unwritten()
    for ref in dump.refs:
        print(f"{dump.path(ref)}: {'would be made' if ref in waiting else 'exists'}")
    if not waiting:
        return
    done = len(dump.shards().finished())
    rest = [int(i) for i in np.flatnonzero(dump.present)][done:]
    read, sample = reader_for(encoder, dump.manifest), rest[:: max(1, len(rest) // PROBE_ROWS)][:PROBE_ROWS]
    encoder.encode([read(dump.manifest.row(i)).item for i in sample[:1]])
    started = time.monotonic()
    for i in sample:
        encoder.encode([read(dump.manifest.row(i)).item])
    per_row_s = (time.monotonic() - started) / len(sample)
    size = len(dump.manifest) * encoder.dim * 4 * len(waiting)
    print(f"{done} rows finished, {len(rest)} to make: about {per_row_s * len(rest) / 60:.1f} min on {encoder.device} "
          f"({1 / per_row_s:.1f} rows/s, one at a time, over {len(sample)} rows), {size / 1e6:.1f} MB in {len(waiting)} files")


def _print_lists() -> None:
    from extract.encoders import REGISTRY

    print("corpora (--corpus):")
    for name in corpus_names():
        print(f"  {name:<10} {READERS[name].summary}")
        for option, default in READERS[name].options().items():
            print(f"             --corpus-option {option}={default}")
    print("encoders (--encoder; or any hub id or local folder of these architectures):")
    for spec in REGISTRY:
        print(f"  {spec.name:<30} {spec.modality:<6} {spec.dim:>5}-d  {spec.layers:>2} layers  {spec.pooling:<9} "
              f"{spec.licence:<14} {spec.hub_id}")


if __name__ == "__main__":
    sys.exit(main())
