"""The command ``embeddings-store``: look into a store, check it, and move vectors in and out."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from embeddings_store.commands.common import add_columns_option, add_command, guarded, parser
from embeddings_store.corpus.column_names import parse_columns
from embeddings_store.corpus.columns import LEAK_TAGS, UNTAGGED, parse_tags
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.scan import LETTERS, Problem, Scan, alike, scan_manifest
from embeddings_store.errors import StoreError, StoreNotFoundError, UsageError
from embeddings_store.exchange.interchange import ImportJob, export_vectors, import_vectors
from embeddings_store.exchange.join import join_corpora
from embeddings_store.exchange.plain_tables import export_plain
from embeddings_store.vectors.catalogue import Entry, catalogue, corpora
from embeddings_store.vectors.hdf5 import read_embeddings, read_header, verify
from embeddings_store.vectors.seen import SPEC_HELP

PROGRAM = "embeddings-store"
SHOWN = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    return guarded(lambda: int(arguments.run(arguments)), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with its sub-commands."""
    top = parser(
        PROGRAM,
        "Look into a store of vectors, check it, and move vectors in and out.",
        [
            f"{PROGRAM} inspect --store embeddings",
            f"{PROGRAM} verify embeddings/ravdess",
            f"{PROGRAM} check rows.parquet",
            f"{PROGRAM} import mosi.npz --rows rows.csv --seen split:train --store embeddings",
            f"{PROGRAM} export embeddings/mosi/imported-text@0123456789ab/seed-0/fold-any.h5 "
            "text.csv",
        ],
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _add_inspect(commands)
    _add_verify(commands)
    _add_check(commands)
    _add_import(commands)
    _add_export(commands)
    _add_join(commands)
    return top


def _add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    inspect = add_command(
        commands,
        "inspect",
        "Show what a store, a corpus or a file holds and what made it.",
        [
            f"{PROGRAM} inspect",
            f"{PROGRAM} inspect embeddings/ravdess",
            f"{PROGRAM} inspect FILE.h5 --json",
        ],
    )
    inspect.add_argument(
        "path", nargs="?", type=Path, help="a store, a corpus folder in it, or one .h5 file"
    )
    inspect.add_argument(
        "--store", type=Path, default=Path("embeddings"), help="the store (default: %(default)s)"
    )
    inspect.add_argument("--json", action="store_true", help="print JSON instead of text")
    inspect.set_defaults(run=_inspect)


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = add_command(
        commands,
        "verify",
        "Read files completely, recompute their digests, and name every problem.",
        [f"{PROGRAM} verify", f"{PROGRAM} verify embeddings/ravdess FILE.h5"],
    )
    check.add_argument("paths", nargs="*", type=Path, help="stores, corpus folders or .h5 files")
    check.add_argument(
        "--store",
        type=Path,
        default=Path("embeddings"),
        help="the store, if no path is given (default: %(default)s)",
    )
    check.set_defaults(run=_verify)


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = add_command(
        commands,
        "check",
        "Check and count a manifest of any length, a piece at a time, and name every kind of "
        "problem with its first rows. Exit status 3 where there is one.",
        [
            f"{PROGRAM} check rows.csv",
            f"{PROGRAM} check rows.parquet --json",
            f"{PROGRAM} check list.csv --columns file=audio,file=id,emotion=label",
        ],
    )
    check.add_argument(
        "table", type=Path, help="CSV or Parquet with id, label, speaker, text, audio, ..."
    )
    add_columns_option(check, "the table")
    check.add_argument(
        "--media",
        type=Path,
        metavar="DIR",
        help="the folder that media paths are relative to, or that absolute ones lie in (default: "
        "the table's own)",
    )
    check.add_argument("--json", action="store_true", help="print JSON instead of text")
    check.set_defaults(run=_check)


def _add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bring = add_command(
        commands,
        "import",
        "Bring vectors that were made elsewhere into the store.",
        [
            f"{PROGRAM} import mosi.npz --rows rows.csv --seen split:train",
            f"{PROGRAM} import opensmile.csv --modality audio --rows labels.csv --seen none "
            "--corpus mine",
            f"{PROGRAM} import bert.npy --ids ids.txt --modality text --rows labels.csv --seen "
            "unknown",
        ],
    )
    bring.add_argument(
        "source",
        type=Path,
        help=".npz (ids and one 2-d array per modality), .npy, or a table: .csv, .tsv, .arff or "
        ".parquet, also as openSMILE writes them",
    )
    bring.add_argument(
        "--seen",
        required=True,
        metavar="SPEC",
        help="what the encoders know of the rows; there is no default, because a wrong guess is a "
        "leak. " + SPEC_HELP,
    )
    bring.add_argument(
        "--rows",
        type=Path,
        help="CSV, ARFF or Parquet with id and any of label, speaker, group, session, split, "
        "language, text, audio, video, start_s, end_s; other columns are kept as meta_*",
    )
    add_columns_option(bring, "the source or of --rows")
    bring.add_argument(
        "--media",
        type=Path,
        metavar="DIR",
        help="the folder that the paths of audio and video are relative to, or that absolute ones "
        "lie in (default: that of the table with them)",
    )
    bring.add_argument(
        "--ids",
        type=Path,
        help="ids in row order for a source without them: .npy, or text, one per line",
    )
    bring.add_argument(
        "--modality", default="", help="what the vectors are, where the source does not say"
    )
    bring.add_argument(
        "--group",
        default="",
        metavar="COLUMN",
        help="column whose rows must stay in one role, such as the video or dialogue (default: "
        "'group', else 'video')",
    )
    bring.add_argument(
        "--folds",
        default="",
        metavar="PLAN",
        help="the fold plan that belongs to the corpus (default: from the columns)",
    )
    for tag, meaning in (
        ("safe", "say nothing about the label"),
        ("context", "anybody knows beforehand"),
        ("leaky", "were noted by somebody who knew the label, as all unnamed ones are taken to be"),
    ):
        bring.add_argument(
            f"--{tag}",
            default="",
            metavar="COLUMNS",
            help=f"meta_* columns, with commas, that {meaning}",
        )
    bring.add_argument(
        "--corpus", default="", help="name in the store (default: the source's name)"
    )
    bring.add_argument(
        "--encoder",
        default="",
        help="name of the encoder that made the vectors; imports of one name and width can be "
        "joined, those without a name cannot (default: imported-MODALITY)",
    )
    bring.add_argument(
        "--store", type=Path, default=Path("embeddings"), help="the store (default: %(default)s)"
    )
    bring.set_defaults(run=_import)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    out = add_command(
        commands,
        "export",
        "Write one store file as .npz, .csv, .parquet or .arff.",
        [f"{PROGRAM} export FILE.h5 vectors.parquet", f"{PROGRAM} export FILE.h5 weka.arff"],
    )
    out.add_argument("source", type=Path, help="a file of the store")
    out.add_argument("target", type=Path, help="where to; the suffix says what")
    out.add_argument(
        "--plain",
        action="store_true",
        help="CSV with id, speaker, group, session, split, the vector and the label of each row "
        "that has a vector, and nothing of the store; .arff is always that",
    )
    out.set_defaults(run=_export)


def _add_join(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    together = add_command(
        commands,
        "join",
        "Make one corpus of several, to train on some and test on another: rows, harmonised "
        "labels, and the vectors that one frozen encoder made of each.",
        [
            f"{PROGRAM} join ravdess emodb",
            f"{PROGRAM} join iemocap meld --name speech --label-set common-4",
            "run-fusion-grid --corpus joined-ravdess-emodb --protocol cross-corpus:emodb",
        ],
    )
    together.add_argument(
        "corpora",
        nargs="+",
        metavar="CORPUS",
        help="corpora of the store; the last is tested by default",
    )
    together.add_argument(
        "--name", default="", help="the joined corpus' name (default: joined-A-B)"
    )
    together.add_argument(
        "--label-set",
        default="common-4",
        metavar="NAME",
        help="classes that they have in common (default: %(default)s)",
    )
    together.add_argument(
        "--store", type=Path, default=Path("embeddings"), help="the store (default: %(default)s)"
    )
    together.set_defaults(run=_join)


def _inspect(arguments: argparse.Namespace) -> int:
    path = arguments.path or arguments.store
    if path.is_file():
        shown = _file_facts(path)
        print(
            json.dumps(shown, indent=2, ensure_ascii=False) if arguments.json else _indented(shown)
        )
        return 0
    listed = []
    for corpus_folder in _corpus_folders(path):
        manifest = Manifest.load(corpus_folder)
        facts: dict[str, object] = {
            "corpus": manifest.name,
            "rows": len(manifest),
            "protocol": manifest.protocol,
            "classes": _class_counts(manifest),
            "metadata": {c: manifest.tag(c) for c in manifest.tagged(*LEAK_TAGS, UNTAGGED)},
            "notes": list(manifest.notes),
            "files": [],
        }
        damaged: list[str] = []
        try:
            facts["files"] = [
                _entry_facts(e)
                for e in catalogue(corpus_folder.parent, corpus_folder.name, damaged)
            ]
        except StoreNotFoundError:
            damaged = ["no finished vectors yet"]
        facts["notes"] = [*manifest.notes, *damaged]
        facts["unfinished"] = sorted(
            p.name for p in (corpus_folder / ".running").glob("*") if p.is_dir()
        )
        listed.append(facts)
    print(
        json.dumps(listed, indent=2, ensure_ascii=False)
        if arguments.json
        else "\n".join(map(_corpus_text, listed))
    )
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    files = bad = 0
    for path in arguments.paths or [arguments.store]:
        for problems in [verify(path)] if path.is_file() else _problems_below(path):
            files += 1
            bad += bool(problems)
            for problem in problems:
                print(problem, file=sys.stderr)
    print(f"{files} files read, {files - bad} whole, {bad} with problems")
    return 3 if bad else 0


def _problems_below(path: Path) -> Iterator[list[str]]:
    """Yield the problems of each corpus record and each file of vectors.

    An empty list for each that is whole.
    """
    for folder in _corpus_folders(path):
        manifest = None
        try:
            manifest = Manifest.load(folder)
            yield []
        except StoreError as error:
            yield [str(error)]
        for file in sorted(folder.glob("*@*/seed-*/fold-*.h5")):
            problems = verify(file)
            header = read_header(file) if manifest and not problems else {}
            if (
                manifest
                and header
                and header.get("inputs_digest")
                != manifest.inputs_digest_of(str(header["modality"]))
            ):
                problems = [
                    f"{file}: was made from other inputs than the corpus beside it; extract it "
                    "again with --overwrite, or keep the two corpora in stores of their own"
                ]
            yield problems


def _check(arguments: argparse.Namespace) -> int:
    columns, media = parse_columns(arguments.columns), _folder(arguments.media)
    scan = scan_manifest(arguments.table, columns=columns, media=media)
    print(
        json.dumps(scan.to_dict(), indent=2, ensure_ascii=False)
        if arguments.json
        else "\n".join(_scan_lines(scan))
    )
    return 3 if scan.problems else 0


def _scan_lines(scan: Scan) -> Iterator[str]:
    """Yield what a manifest holds, what is to be looked at, and what is wrong."""
    yield f"{scan.name}: {scan.rows:,} rows; " + ", ".join(
        f"{column} {count:,}" for column, count in scan.given.items() if count
    )
    for column, words in scan.words.items():
        if words.counts:
            shown = ", ".join(
                f"{word[:LETTERS]} {count:,}" for word, count in words.common(SHOWN).items()
            )
            more = ", ..." if len(words.counts) > SHOWN or not words.complete else ""
            # Past the room for words, they are no longer counted: see `Words.complete`.
            at_least = "" if words.complete else "more than "
            yield f"  {column}: {at_least}{len(words.counts):,} different: {shown}{more}"
    if scan.spans.rows:
        spans = scan.spans
        yield (
            f"  times: {spans.rows:,} rows of {spans.shortest_s:g} to {spans.longest_s:g} s, "
            f"{spans.total_s / 3600:,.1f} hours in all"
        )
    yield from (
        f"  remark: labels that differ in case or spaces only: {' / '.join(map(repr, group))}"
        for group in alike(scan.words["label"].counts)
    )
    for kind, found in (("remark", scan.remarks), ("problem", scan.problems)):
        for remark in found:
            rows = ", ".join(map(str, remark.rows[:SHOWN])) + ", ..." * (remark.count > SHOWN)
            yield f"  {kind}: {remark.name}: {remark.count:,} x" + f", rows {rows}" * bool(
                remark.rows
            )
            if isinstance(remark, Problem):
                yield f"    {remark.sentence}"


def _import(arguments: argparse.Namespace) -> int:
    job = ImportJob(
        arguments.source,
        arguments.store,
        arguments.seen,
        arguments.rows,
        arguments.corpus,
        arguments.encoder,
        arguments.modality,
        arguments.ids,
        arguments.group,
        arguments.folds,
        parse_tags(safe=arguments.safe, context=arguments.context, leaky=arguments.leaky),
        parse_columns(arguments.columns),
        _folder(arguments.media),
    )
    for path in import_vectors(job, lambda note: print(f"note: {note}", file=sys.stderr)):
        facts = _file_facts(path)
        print(
            f"{path}: {facts['rows']} rows, {facts['dim']}-d, {facts['status']}, seen "
            f"{facts['seen']}"
        )
    return 0


def _folder(media: Path | None) -> Path | None:
    if media is not None and not media.expanduser().is_dir():
        raise UsageError(f"--media {media}: no such folder")
    return media.expanduser() if media else None


def _export(arguments: argparse.Namespace) -> int:
    if arguments.plain or arguments.target.suffix.lower() == ".arff":
        plain = export_plain(arguments.source, arguments.target)
        for caution in plain.cautions:
            print(caution, file=sys.stderr)
        rows = plain.rows
    else:
        rows = export_vectors(arguments.source, arguments.target)
    print(f"{arguments.target}: {rows} rows")
    return 0


def _join(arguments: argparse.Namespace) -> int:
    joined = join_corpora(arguments.store, arguments.corpora, arguments.name, arguments.label_set)
    for note in (
        *joined.manifest.notes,
        *(f"left out, because not every corpus has it: {name}" for name in joined.left_out),
    ):
        print(note, file=sys.stderr)
    for path in joined.files:
        print(path)
    return 0


def _corpus_folders(path: Path) -> list[Path]:
    if (path / "corpus.json").is_file():
        return [path]
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    return [path / name for name in corpora(path)]


def _file_facts(path: Path) -> dict[str, object]:
    file, facts = read_embeddings(path), read_header(path)
    facts["status"] = dict(Counter(file.status.tolist()))
    facts["seen"] = dict(Counter(file.seen.tolist()))
    marked = [
        (i, s, r)
        for i, s, r in zip(
            file.ids.tolist(), file.status.tolist(), file.reason.tolist(), strict=True
        )
        if r
    ]
    facts["rows with a reason"] = [f"{i}: {s}: {r}" for i, s, r in marked]
    return facts


def _entry_facts(entry: Entry) -> dict[str, object]:
    return {
        "modality": entry.ref.modality,
        "encoder": entry.ref.folder,
        "layer": entry.ref.layer,
        "seed": entry.ref.seed,
        "fold": entry.fold,
        "dim": entry.dim,
        "rows": entry.rows,
        "ok": entry.ok,
        "scores": entry.has_scores,
    }


def _class_counts(manifest: Manifest) -> dict[str, int]:
    if manifest.labels is None:
        return {}
    counts = Counter(manifest.codes().tolist())
    return {name: counts[code] for code, name in enumerate(manifest.labels.classes)}


def _corpus_text(facts: dict[str, object]) -> str:
    classes, files, notes, unfinished = (
        facts["classes"],
        facts["files"],
        facts["notes"],
        facts["unfinished"],
    )
    if not (
        isinstance(classes, dict)
        and isinstance(files, list)
        and isinstance(notes, list)
        and isinstance(unfinished, list)
    ):
        raise TypeError(f"unexpected facts {facts}")
    lines = [
        f"{facts['corpus']}: {facts['rows']} rows, protocol {facts['protocol'] or 'none'}; "
        + (", ".join(f"{name} {count}" for name, count in classes.items()) or "no labels")
    ]
    metadata = facts["metadata"]
    if isinstance(metadata, dict) and metadata:
        lines.append(
            f"  metadata: {', '.join(f'{column} {tag}' for column, tag in metadata.items())}"
        )
    lines += [f"  note: {note}" for note in notes]
    lines += [
        f"  {f['modality']:<8} {f['encoder']:<44} layer {f['layer']:>2}  seed {f['seed']}  fold "
        f"{f['fold']:<5} {f['dim']:>5}-d  {f['ok']}/{f['rows']} rows "
        f"ok{'  with scores' if f['scores'] else ''}"
        for f in files
    ]
    lines += [
        f"  unfinished: {name} (run the same extract-features command again to go on)"
        for name in unfinished
    ]
    return "\n".join(lines)


def _indented(facts: dict[str, object]) -> str:
    lines = []
    for key, value in facts.items():
        text = value
        if isinstance(value, dict | list):
            text = json.dumps(value, ensure_ascii=False)
        lines.append(f"{key}: {text}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
