"""The command ``extract-features``: parse, one library call, where the results went."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from embeddings_store.commandline import guarded, parser
from embeddings_store.errors import UsageError
from extract.corpora import READERS, corpus_names
from extract.dump import Summary, related_changes
from extract.run import PAPER_ENCODERS, FrozenJob, Prepared, prepare, run_frozen

PROGRAM = "extract-features"
DEFAULTS = {f.name: f.default for f in fields(FrozenJob)}
SHOWN_FAILURES = 20
PROBE_ROWS = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    return guarded(lambda: _run(arguments), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; every default comes from :class:`FrozenJob`."""
    top = parser(PROGRAM, "Turn a corpus into vectors: one per utterance, modality and encoder, in a store that says what "
                          "made them.", [
        f"{PROGRAM} --corpus ravdess --root RAVDESS --modality audio --encoder whisper-tiny --frozen --layer all",
        f"{PROGRAM} --corpus meld --root MELD --modality text --encoder all-MiniLM-L6-v2 --frozen",
        f"{PROGRAM} --corpus manifest --root mine.csv --modality all --frozen --dry-run",
        f"{PROGRAM} --list"])
    _add_what(top)
    _add_how(top)
    _add_run(top)
    top.set_defaults(**{name: value for name, value in DEFAULTS.items() if value is not MISSING})
    return top


def _add_what(top: argparse.ArgumentParser) -> None:
    what = top.add_argument_group("what")
    what.add_argument("--corpus", help=f"the reader: {', '.join(corpus_names())}")
    what.add_argument("--root", type=Path, help="the release's folder; for --corpus manifest, the CSV or Parquet file")
    what.add_argument("--corpus-name", help="its name in the store (default: the reader's)")
    what.add_argument("--corpus-option", action="append", default=[], metavar="NAME=VALUE",
                      help="an option of the reader, see --list; may be repeated")
    what.add_argument("--modality", choices=[*PAPER_ENCODERS, "all"], help="which input to encode")
    what.add_argument("--store", type=Path, help="the store (default: %(default)s)")
    what.add_argument("--list", action="store_true", help="list corpora, their options, and encoders, and stop")


def _add_how(top: argparse.ArgumentParser) -> None:
    how = top.add_argument_group("how")
    how.add_argument("--encoder", help="a registry name, a hub id, or a local folder (default: the paper's choice, "
                                       f"{', '.join(f'{e} for {m}' for m, e in PAPER_ENCODERS.items())})")
    how.add_argument("--frozen", action="store_true", help="use the encoder as it is; one file then serves every fold")
    how.add_argument("--layer", help="last, a number (0 is the input of the first layer), several with commas, or all "
                                     "(default: %(default)s)")
    how.add_argument("--pooling", help="from states to one vector (default: what belongs to the encoder)")
    how.add_argument("--max-duration-s", type=float, help="longer clips are cut to this many seconds, 0 for not at all "
                                                          "(default: %(default)s, as in the paper)")
    how.add_argument("--long-rule", choices=["first", "middle"],
                     help="which part of a longer clip is used (default: %(default)s)")
    how.add_argument("--max-tokens", type=int, help="longer transcripts are cut to this many tokens (default: %(default)s)")
    how.add_argument("--seen", help="what the encoder knows of the rows: none, unknown, split:NAME or a file (default: none; "
                                    "unknown where the checkpoint has a classifier, because that was trained on labels)")


def _add_run(top: argparse.ArgumentParser) -> None:
    run = top.add_argument_group("running")
    run.add_argument("--batch-size", type=int, help="clips per step, 0 for what was measured to be fast on the device "
                                                    "(default: %(default)s); it does not change a vector")
    run.add_argument("--device", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    run.add_argument("--dry-run", action="store_true", help="show what would run, what exists, what changed, and what it costs")
    run.add_argument("--overwrite", action="store_true", help="make the vectors again even if they are there")
    run.add_argument("--retry-failed", action="store_true", help="try the failed rows of a finished file once more")
    run.add_argument("--quiet", action="store_true", help="print errors only")


def _run(arguments: argparse.Namespace) -> int:
    console = Console(stderr=True, quiet=arguments.quiet, highlight=False, soft_wrap=True)
    if arguments.list:
        _print_lists()
        return 0
    absent = [f"--{name}" for name in ("corpus", "root", "modality") if getattr(arguments, name) is None]
    if absent:
        raise UsageError(f"{' and '.join(absent)} must be given; {PROGRAM} --help shows examples, --list the corpora")
    if not arguments.frozen:
        raise UsageError("fine-tuning per fold is not part of this version yet; add --frozen to use the encoder as it is")
    status = 0
    for modality in PAPER_ENCODERS if arguments.modality == "all" else [arguments.modality]:
        prepared = prepare(_job(arguments, modality))
        _introduce(prepared, console)
        if arguments.dry_run:
            _dry_run(prepared)
            continue
        summary = _run_with_bar(prepared, console)
        _report(summary, console)
        status = max(status, 4 if summary.failed else 0)
    return status


def _job(arguments: argparse.Namespace, modality: str) -> FrozenJob:
    values = {name: getattr(arguments, name) for name in DEFAULTS if hasattr(arguments, name)}
    options = {}
    for pair in arguments.corpus_option:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--corpus-option {pair!r}: write NAME=VALUE")
        options[name] = value
    return FrozenJob(**{**values, "modality": modality, "corpus_options": options})


def _introduce(prepared: Prepared, console: Console) -> None:
    manifest, encoder, dump = prepared.dump.manifest, prepared.encoder, prepared.dump
    console.print(f"{manifest.name}: {len(manifest)} rows, {int(dump.present.sum())} with {dump.modality}", markup=False)
    for note in manifest.notes:
        console.print(f"  note: {note}", markup=False)
    layers = ", ".join(map(str, encoder.layers))
    console.print(f"{encoder.spec.name}: {encoder.dim}-d, {encoder.pooling} pooling, layer {layers}, "
                  f"on {encoder.device}; seen = {dump.attributes['seen_spec']}", markup=False)
    for sentence in related_changes(dump):
        console.print(f"  {sentence}", markup=False)


def _run_with_bar(prepared: Prepared, console: Console) -> Summary:
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console,
                   transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task(f"{prepared.dump.modality} vectors", total=int(prepared.dump.present.sum()))
        return run_frozen(prepared, lambda sentence: console.print(sentence, markup=False),
                          lambda n: bar.advance(task, n))


def _report(summary: Summary, console: Console) -> None:
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


def _dry_run(prepared: Prepared) -> None:
    """Encode a few rows to say how long all of them would take."""
    from extract.inputs import reader_for

    dump = prepared.dump
    waiting = dump.unwritten()
    for ref in dump.refs:
        print(f"{dump.path(ref)}: {'would be made' if ref in waiting else 'exists'}")
    if not waiting:
        return
    done = len(dump.shards().finished())
    rest = [int(i) for i in np.flatnonzero(dump.present)][done:]
    read, sample = reader_for(prepared.encoder, dump.manifest.root), rest[:: max(1, len(rest) // PROBE_ROWS)][:PROBE_ROWS]
    prepared.encoder.encode([read(dump.manifest.row(i)).item for i in sample[:1]])
    started = time.monotonic()
    for i in sample:
        prepared.encoder.encode([read(dump.manifest.row(i)).item])
    per_row_s = (time.monotonic() - started) / len(sample)
    size = len(dump.manifest) * prepared.encoder.dim * 4 * len(waiting)
    print(f"{done} rows finished, {len(rest)} to make: about {per_row_s * len(rest) / 60:.1f} min on {prepared.encoder.device} "
          f"({1 / per_row_s:.1f} rows/s, one at a time, over {len(sample)} rows), {size / 1e6:.1f} MB in {len(waiting)} files")


def _print_lists() -> None:
    from extract.encoders import REGISTRY

    print("corpora (--corpus):")
    for name in corpus_names():
        options = READERS[name].options()
        print(f"  {name:<10} {READERS[name].summary}")
        for option, default in options.items():
            print(f"             --corpus-option {option}={default}")
    print("encoders (--encoder; or any hub id or local folder of these architectures):")
    for spec in REGISTRY:
        print(f"  {spec.name:<30} {spec.modality:<6} {spec.dim:>5}-d  {spec.layers:>2} layers  {spec.pooling:<9} "
              f"{spec.licence:<14} {spec.hub_id}")


if __name__ == "__main__":
    sys.exit(main())
