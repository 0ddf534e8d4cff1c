"""The command ``extract-features``: parse, one library call per file, where the results went."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from embeddings_store.commands.common import guarded
from embeddings_store.commands.protocol_options import listing
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError
from embeddings_store.progress import progress_bar, progress_bars
from extract.commands.corpus_options import corpus_source
from extract.commands.extract_jobs import (
    finetune_jobs,
    frozen_job,
    refuse_training_options,
    store_target,
)
from extract.commands.extract_options import PROGRAM, build_parser
from extract.commands.face_options import face_source
from extract.commands.window_options import require_frames
from extract.corpora import READERS, corpus_names
from extract.extras import with_extra
from extract.finetuning import distributed
from extract.finetuning.row_roles import FoldChoice
from extract.pipeline.estimate import Speed, finetuning_lines, frozen_lines
from extract.pipeline.finetuning_job import FinetuneJob
from extract.pipeline.finetuning_prepare import (
    PreparedFinetuning,
    assign_rows,
    prepare_finetuning,
)
from extract.pipeline.finetuning_run import FinetuningProgress, run_finetuning
from extract.pipeline.frozen import PreparedExtraction, prepare_extraction, run_frozen
from extract.pipeline.job import PAPER_ENCODERS
from extract.pipeline.write import Summary, related_changes

if TYPE_CHECKING:
    from rich.console import Console

    from extract.encoders.base import Encoder, ModelEncoder

SHOWN_FAILURES = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    # PyTorch's threads wait for each other asleep. Awake they take the processor from whatever else
    # runs, and from each other where a container has fewer than the machine. It is read when
    # PyTorch is imported, and changes no number.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    distributed.hush()
    return guarded(lambda: with_extra(lambda: _run(arguments)), PROGRAM)


def _run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    quiet = arguments.quiet or distributed.rank() > 0
    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    if arguments.list:
        _print_lists()
        return 0
    if arguments.list_protocols:
        return _list_protocols(arguments)
    if arguments.clear_frame_cache:
        return _clear_frame_cache(arguments)
    if arguments.contact_sheet:
        return _contact_sheet(arguments)
    if arguments.write_windows:
        return _write_windows(arguments)
    absent = [
        f"--{name}" for name in ("corpus", "root", "modality") if getattr(arguments, name) is None
    ]
    if absent:
        raise UsageError(
            f"{' and '.join(absent)} must be given; {PROGRAM} --help shows examples, --list the "
            "corpora"
        )
    if arguments.frozen:
        return _run_all_frozen(arguments, console)
    if not arguments.fold:
        raise UsageError(
            "say what to make: --fold N (or all, or final) to fine-tune, or --frozen to use the "
            "encoder as it is"
        )
    return _run_all_finetunings(arguments, console)


def _list_protocols(arguments: argparse.Namespace) -> int:
    manifest = None
    if arguments.corpus and arguments.root:
        refuse_training_options(arguments)
        manifest = corpus_source(arguments).read()
    print(listing(manifest))
    return 0


def _clear_frame_cache(arguments: argparse.Namespace) -> int:
    from extract.frames import FrameCache

    cache = FrameCache(store_target(arguments).cache_folder)
    size = cache.size_bytes()
    print(f"{cache.folder}: {cache.clear()} clips removed, {size / 1e9:.2f} GB")
    return 0


def _contact_sheet(arguments: argparse.Namespace) -> int:
    from extract.checks.contact_sheet import write_contact_sheet

    if arguments.corpus is None or arguments.root is None:
        raise UsageError("--contact-sheet draws a corpus: add --corpus and --root")
    refuse_training_options(arguments)
    manifest = corpus_source(arguments).read()
    problems = write_contact_sheet(manifest, arguments.contact_sheet, faces=face_source(arguments))
    for problem in problems:
        print(problem, file=sys.stderr)
    print(arguments.contact_sheet)
    return 4 if problems else 0


def _write_windows(arguments: argparse.Namespace) -> int:
    from extract.corpora._window_manifest import write_windows

    if arguments.corpus is None or arguments.root is None:
        raise UsageError("--write-windows cuts a corpus: add --corpus and --root")
    write_windows(corpus_source(arguments).read(), arguments.write_windows)
    print(arguments.write_windows)
    return 0


def _run_all_frozen(arguments: argparse.Namespace, console: Console) -> int:
    """Run every modality that the command names; the corpus is read once."""
    introduction = _Introduction(console)
    if arguments.modality != "all":
        return _run_modality(arguments, arguments.modality, None, introduction)
    refuse_training_options(arguments)
    manifest = corpus_source(arguments).read()
    status = 0
    for modality in PAPER_ENCODERS:
        if manifest.has(modality):
            status = max(status, _run_modality(arguments, modality, manifest, introduction))
    return status


def _run_modality(
    arguments: argparse.Namespace,
    modality: str,
    manifest: Manifest | None,
    introduction: _Introduction,
) -> int:
    """Make the vectors of one modality, and the scores of the checkpoint's own head if asked for.

    Both are prepared before either is made: a checkpoint without a head is refused at once.
    """
    prepared = [prepare_extraction(frozen_job(arguments, modality), manifest)]
    require_frames(arguments.frames, prepared[0].encoder)
    if arguments.own_head:
        job = frozen_job(arguments, modality, own_head=True)
        prepared.append(prepare_extraction(job, prepared[0].dump.manifest))
    return max(_run_frozen(arguments, one, introduction) for one in prepared)


def _run_frozen(
    arguments: argparse.Namespace, prepared: PreparedExtraction, introduction: _Introduction
) -> int:
    dump, console = prepared.dump, introduction.console
    introduction.show(prepared)
    if arguments.dry_run:
        print("\n".join(frozen_lines(prepared)))
        return 0
    title = f"{prepared.encoder.spec.modality} {'scores' if prepared.head else 'vectors'}"
    with progress_bar(title, int(dump.present.sum()), console) as bar:
        summary = run_frozen(prepared, _printer(console), bar.advance)
    return _report(summary, console)


def _run_all_finetunings(arguments: argparse.Namespace, console: Console) -> int:
    """Run every modality, seed, fold and inner fold that the command names.

    The corpus is read once.
    """
    named = list(PAPER_ENCODERS) if arguments.modality == "all" else [arguments.modality]
    # All of them before the corpus is read: a mistake on the command line shows at once.
    jobs = {modality: finetune_jobs(arguments, modality) for modality in named}
    manifest = corpus_source(arguments).read()
    singles: list[FinetuneJob] = []
    for modality, some in jobs.items():
        if arguments.modality == "all" and not manifest.has(modality):
            continue
        for job in some:
            singles += _folds(job, manifest, arguments.inner_folds or 0)
    status, introduction = 0, _Introduction(console)
    speeds: dict[str, Speed] = {}
    untrained: dict[str, ModelEncoder] = {}
    for single in singles:
        prepared = prepare_finetuning(single, manifest, untrained.get(single.modality))
        require_frames(arguments.frames, prepared.encoder)
        introduction.show(prepared)
        if not arguments.dry_run:
            status = max(status, _run_finetuning(prepared, console))
        else:
            untrained[single.modality] = prepared.encoder
            if not distributed.rank():
                print("\n".join(finetuning_lines(prepared, speeds)))
    return status


def _folds(job: FinetuneJob, manifest: Manifest, inner_folds: int) -> Iterator[FinetuneJob]:
    """Yield one job per fold and inner fold."""
    number = job.fold.number
    if number not in {"all", "final"} and not number.isdecimal():
        raise UsageError(f"--fold {number!r}: expected a number from 1, all, or final")
    if inner_folds and job.fold.is_final:
        raise UsageError(
            "--fold final trains on all rows, so there are none for --inner-folds; leave it out"
        )
    for fold in job.fold_numbers(manifest) if number == "all" else [number]:
        inner = [
            replace(job, fold=FoldChoice(fold, inner_folds, part))
            for part in range(1, inner_folds + 1)
        ]
        for single in inner:
            assign_rows(single, manifest)  # Before hours of training, and not after them.
        yield replace(job, fold=FoldChoice(fold))
        yield from inner


def _run_finetuning(prepared: PreparedFinetuning, console: Console) -> int:
    job, dump = prepared.job, prepared.dump
    notify, title = _printer(console), f"{job.modality} fold {dump.fold}"
    _announce(prepared, title, notify)
    tasks = [
        (f"{title} reading", len(prepared.to_read)),
        (f"{title} training", prepared.steps),
        (f"{title} vectors", int(dump.present.sum())),
    ]
    with progress_bars(tasks, console) as (reading, training, rows):
        progress = FinetuningProgress(notify, reading.advance, training.advance, rows.advance)
        summary = run_finetuning(prepared, progress)
    return _report(summary, console) if summary else 0


def _announce(prepared: PreparedFinetuning, title: str, notify: Callable[[str], None]) -> None:
    """Say what is about to be trained, and what choosing the epoch on test rows comes to."""
    settings, roles = prepared.job.settings, prepared.roles
    is_final = prepared.job.fold.is_final
    rule = "all rows train" if is_final else settings.rule
    notify(
        f"{title}, seed {settings.seed}: {len(roles.fit)} rows train, {len(roles.choose)} choose "
        f"the epoch ({rule}); {settings.epochs} epochs of batch {settings.batch_size} at "
        f"{settings.learning_rate:g}"
    )
    if settings.rule == "test" and not is_final:
        notify(
            "  the test rows choose the epoch, so the encoder has seen them: run-fusion-grid "
            "refuses to score these vectors, except with --valid none --select-on test, which "
            "stamps every result as an upper bound"
        )


def _printer(console: Console) -> Callable[[str], None]:
    return lambda sentence: console.print(sentence, markup=False)


class _Introduction:
    """Says once what is about to be encoded with what."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._shown: set[str] = set()

    def show(self, prepared: PreparedExtraction | PreparedFinetuning) -> None:
        """Print what an earlier job of this command has not printed already."""
        for line in self._lines(prepared):
            if line not in self._shown:
                self.console.print(line, markup=False)
                self._shown.add(line)

    @staticmethod
    def _lines(prepared: PreparedExtraction | PreparedFinetuning) -> list[str]:
        dump, encoder = prepared.dump, prepared.encoder
        manifest = dump.manifest
        layers = ", ".join(map(str, encoder.layers))
        what = f"{encoder.dim}-d, {encoder.pooling} pooling, layer {layers}"
        if isinstance(prepared, PreparedExtraction) and prepared.head is not None:
            labels = ", ".join(prepared.head.labels)
            what = f"class scores of its own head ({labels}) as {dump.refs[0].modality}"
        return [
            f"{manifest.name}: {len(manifest)} rows",
            *(f"  note: {note}" for note in manifest.notes),
            f"{dump.modality}: {int(dump.present.sum())} rows; {encoder.spec.name}, "
            f"{what}, on {encoder.device}; seen = {dump.attributes['seen_spec']}",
            *(f"  {sentence}" for sentence in [*_slower(encoder), *related_changes(dump)]),
        ]


def _slower(encoder: Encoder) -> list[str]:
    """Say where the processor is not made for the precision that was asked for."""
    from extract.encoders.precision import slower_note

    note = slower_note(encoder.settings["dtype"])
    return [note] if note else []


def _report(summary: Summary, console: Console) -> int:
    """Print what a job came to, and return its exit status."""
    notify = _printer(console)
    _list_rows(summary, "failed", summary.failed, notify)
    _list_rows(summary, "want a look", summary.cautions, notify)
    if summary.encoded:
        notify(
            f"{summary.ok} of {summary.rows} rows have a vector ({summary.missing} missing, "
            f"{len(summary.failed)} failed); {summary.encoded} made in {summary.wall_s:.1f} s"
        )
    elif summary.failed:
        notify(
            "nothing to do: these vectors are there; --retry-failed tries the failed clips again"
        )
    else:
        notify("nothing to do: these vectors are there")
    for path in summary.files:
        print(path)
    return 4 if summary.failed else 0


def _list_rows(
    summary: Summary,
    title: str,
    rows: Sequence[tuple[str, str]],
    notify: Callable[[str], None],
) -> None:
    """List the first of some rows with their reasons, and where the others are listed."""
    if not rows:
        return
    notify(f"{len(rows)} clips {title}:")
    for name, reason in rows[:SHOWN_FAILURES]:
        notify(f"  {name}: {reason}")
    if len(rows) > SHOWN_FAILURES:
        notify(
            f"  ... and {len(rows) - SHOWN_FAILURES} more; all are listed by embeddings-store "
            f"inspect {summary.files[0]}"
        )


def _print_lists() -> None:
    from extract.encoders import FEATURES, REGISTRY
    from extract.encoders.architectures import width_of

    print("corpora (--corpus):")
    for name in corpus_names():
        print(f"  {name:<10} {READERS[name].summary}")
        for option, default in READERS[name].options().items():
            print(f"             --corpus-option {option}={default}")
    print("encoders (--encoder; or any hub id or local folder of these architectures or of text):")
    for spec in (*REGISTRY, *FEATURES):
        dim = width_of(spec.pooling) * spec.dim
        print(
            f"  {spec.name:<30} {spec.modality:<6} {dim:>5}-d  {spec.layers:>2} layers  "
            f"{spec.pooling:<9} {spec.licence:<14} {spec.hub_id}"
        )


if __name__ == "__main__":
    sys.exit(main())
