"""Hugging Face datasets: Parquet tables as the hub serves them, or what save_to_disk wrote.

https://huggingface.co/docs/datasets. What save_to_disk writes is read and written with the
project's own library (extra ``interchange``). Nothing is fetched.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embeddings_store.atomic import make_folder, replacing
from embeddings_store.corpus.columns import SPLIT_ROLES, UNSAFE
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.media_paths import resolve_media
from embeddings_store.corpus.votes import PREFIX
from embeddings_store.errors import ManifestError, UsageError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.reading import reading
from extract.corpora._dataset_part import Cells, DatasetPart
from extract.corpora._exchange import Row, label_set, media_folder, rows_of, to_manifest
from extract.corpora._files import check_root
from extract.corpora._hub_parquet import is_snapshot, snapshot_name, snapshot_parts
from extract.corpora._notes import Notes
from extract.corpora._saved_dataset import is_saved, library, saved_parts

LAYOUT = (
    "data/train-00000-of-00002.parquet and so on, as the hub serves it; or dataset_info.json and "
    "data-00000-of-00001.arrow, or dataset_dict.json with a folder per split, from save_to_disk"
)
# Which of our columns is taken from which of the dataset's, where nobody says so.
USUAL = {
    "label": ("label", "labels", "emotion"),
    "text": ("text", "transcription", "sentence"),
    "speaker": ("speaker", "speaker_id"),
    "audio": ("audio",),
}
LABEL_WORDS = ("emotion", "label", "class", "sentiment")
# save_to_disk keeps of a sound's path the file's name alone, so the path has a column of its own.
PATH = "audio_path"
NO_CLASS = -1
SPLITS = {"train": "train", "valid": "validation", "test": "test", "unused": "unused"}


def read(
    root: Path,
    *,
    label: str = "",
    text: str = "",
    speaker: str = "",
    audio: str = "",
    name: str = "",
    media: str = "",
    config: str = "",
) -> Manifest:
    """Read a dataset; sound that lies in it is unpacked once, beside the tables, into ``media/``.

    A split that is called neither train, validation nor test is no role of a fold: its name becomes
    ``meta_split``.

    Args:
        root: The folder of the download, or the one that ``save_to_disk`` wrote.
        label: The column with the label; by default ``label``, ``labels`` or ``emotion``.
        text: The column with the words; by default ``text``, ``transcription`` or ``sentence``.
        speaker: The column with the speaker; by default ``speaker`` or ``speaker_id``.
        audio: The column with the sound; by default ``audio``.
        name: The corpus' name in the store; by default the folder's.
        media: Where paths of sound that is not in the dataset lead, and where sound is unpacked to;
            by default ``root/media``.
        config: Which variant of the dataset is meant, where the hub has several in one.

    Raises:
        MissingDependencyError: It was written by save_to_disk, and datasets is not installed.
        ManifestError: ``root`` holds no such dataset.
        UsageError: A column that was named is not there, or none is named like a label.
    """
    check_root(
        root, "a Hugging Face dataset", LAYOUT, lambda path: is_saved(path) or is_snapshot(path)
    )
    notes, rows = Notes(), list[Row]()
    folder = Path(media).expanduser() if media else root / "media"
    named = {"label": label, "text": text, "speaker": speaker, "audio": audio}
    order: Sequence[str] = ()
    with _parts(root, config) as parts:
        for part in parts:
            chosen = _chosen(root, part, named, notes)
            rows += _rows(part, chosen, folder)
            order = order or part.classes.get("class", ())
    for number, row in enumerate(rows):
        row.setdefault("id", f"row-{number:06d}")
    name = name or snapshot_name(root)
    classes = label_set(name, rows, order) if any("class" in row for row in rows) else None
    place = folder if folder.is_dir() else root
    return to_manifest(name, rows, media_folder(place, ""), notes, None, classes)


def write(manifest: Manifest, out: Path, plan: FoldPlan | None) -> tuple[str, ...]:
    """Write a dataset, or one per split where every row has one.

    Sound that a row has for itself is put into it.

    Args:
        manifest: The corpus.
        out: The folder to write.
        plan: Folds, which become columns; or none.

    Returns:
        What the format cannot hold, a line each.
    """
    notes = Notes()
    inside = holds_sound(manifest, notes)
    of_split = _positions(manifest)
    with library() as datasets, tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        features, parts = _features(datasets, manifest, inside), {}
        for split, positions in of_split.items():
            part = datasets.Dataset.from_generator(
                _examples,
                features=features,
                cache_dir=str(Path(scratch) / (split or "all")),
                # A tuple: the library takes a list for shards, and would ask for each of its
                # elements alone.
                gen_kwargs={"manifest": manifest, "positions": tuple(positions), "inside": inside},
            )
            parts[split] = part.cast_column("audio", datasets.Audio()) if inside else part
        whole = parts[""] if list(parts) == [""] else datasets.DatasetDict(parts)
        whole.save_to_disk(str(out))
    if manifest.has("video"):
        notes.say("films are not put into the dataset: 'video' holds paths")
    if plan is not None and len(plan) > 1 and plan.name != "given":
        notes.say(
            f"a dataset has splits but no folds: those of {plan.name!r} come back with --folds "
            f"{plan.name}"
        )
    if len(of_split) > 1:
        notes.say(f"rows come back in the order of the splits: {', '.join(of_split)}")
    return notes.lines()


@contextmanager
def _parts(root: Path, config: str) -> Iterator[Iterator[DatasetPart]]:
    """Open what lies in a folder; the library is needed for what it wrote itself alone."""
    if not is_saved(root):
        yield snapshot_parts(root, config)
        return
    if config:
        raise UsageError(
            f"{root}: was written by save_to_disk and has no variants; leave config={config} out"
        )
    with library() as datasets:
        yield saved_parts(root, datasets)


def _chosen(
    root: Path, part: DatasetPart, named: Mapping[str, str], notes: Notes
) -> dict[str, str]:
    """Return the dataset's columns that are taken as one of ours, each with that name of ours.

    Raises:
        UsageError: One that was named is not there, or nothing looks like the label.
    """
    there, found = f"it has {', '.join(part.columns)}", dict[str, str]()
    for ours, usual in USUAL.items():
        known = {*part.columns, *(part.several if ours == "label" else ())}
        column = named[ours] or next((word for word in usual if word in known), "")
        if ours == "label" and column in part.several:
            raise ManifestError(
                f"{root}: column {column!r} holds several labels in a row, and a row is of one "
                "class; add a column with the one that counts, and name it with --corpus-option "
                "label=COLUMN"
            )
        if named[ours] and column not in part.columns:
            raise UsageError(f"{root}: the dataset has no column {column!r}; {there}")
        if column:
            found[column] = ours
    if part.name and part.name not in SPLIT_ROLES:
        notes.count("split that is no role of a fold; its name is in meta_split", part.name)
    if "speaker" not in found.values():
        notes.count(
            f"split without a column {_either(USUAL['speaker'])}; where another one says who "
            "speaks, name it with --corpus-option speaker=COLUMN",
            part.name or "all rows",
        )
    if "label" not in found.values() and not any(c.startswith(PREFIX) for c in part.columns):
        near = [c for c in part.columns if any(word in c.lower() for word in LABEL_WORDS)]
        raise UsageError(
            f"{root}: none of the dataset's columns is called {_either(USUAL['label'])}; {there}. "
            f"Name the label with --corpus-option label={near[0] if near else 'COLUMN'}"
        )
    return found


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _rows(part: DatasetPart, chosen: Mapping[str, str], folder: Path) -> Iterator[Row]:
    """Yield the rows of one split; codes of classes become their names."""
    taken = set(chosen.values())
    split = {"split" if part.name in SPLIT_ROLES else "meta_split": part.name} if part.name else {}
    names = {}
    for column in part.columns:
        # A column that bears one of our names and was not chosen must not hide the chosen one.
        names[column] = chosen.get(column, f"meta_{column}" if column in taken else column)
    for cells in part.rows(part.columns):
        yield {**split, **_row(cells, names, part.classes, folder)}


def _row(
    cells: Cells, names: Mapping[str, str], classes: Mapping[str, Sequence[str]], folder: Path
) -> Row:
    row: Row = {}
    for column, value in cells.items():
        ours = names[column]
        if value is None or value == "" or column == PATH:
            continue
        if ours == "audio":
            is_sound = isinstance(value, dict)
            row[ours] = _sound(value, folder, cells.get(PATH)) if is_sound else str(value)
        elif column in classes:
            if isinstance(value, int) and value in range(len(classes[column])):
                row[ours] = classes[column][value]
            elif value != NO_CLASS:
                raise ManifestError(
                    f"column {column!r} holds the code {value!r}, and the dataset names "
                    f"{len(classes[column])} classes for it; fetch the dataset again"
                )
        elif isinstance(value, str | int | float):
            row[ours] = str(value) if ours in USUAL else value
    return row


def _sound(value: dict[str, Any], folder: Path, ours: str | None) -> str:
    """Return the path of a sound; what lies in the dataset is written below ``folder`` first.

    It gets the path that :func:`write` noted, else its own name, else, where another sound has that
    name, its digest.
    """
    data, path = value.get("bytes"), str(value.get("path") or "")
    if data is None:
        return path
    by_digest = f"{hashlib.sha256(data).hexdigest()[:16]}{Path(path).suffix}"
    usable = path and re.search(UNSAFE, path) is None
    make_folder(folder)
    for relative in (ours or (path if usable else by_digest), by_digest):
        target = resolve_media(folder, relative)
        if not target.exists():
            make_folder(target.parent)
            with replacing(target) as temporary:
                temporary.write_bytes(data)
            return relative
        with reading(target, "a sound"):
            if target.read_bytes() == data:
                return relative
    raise ManifestError(
        f"{target}: holds another sound than the dataset says; remove it, it is unpacked again"
    )


def _features(datasets: Any, manifest: Manifest, inside: bool) -> Any:
    """Return the columns that the corpus gives, with classes as such."""
    kinds: dict[str, Any] = {}
    for name in map(str, manifest.table):
        column = manifest.table[name]
        if column.dtype == "float64":
            if column.notna().any() or name.startswith("meta_"):
                kinds[name] = datasets.Value("float64")
        elif column.dtype == "int64":
            kinds[name] = datasets.Value("int64")
        elif manifest.has(name) or name == "label":
            kinds[name] = datasets.Value("string")
    if inside:
        kinds |= {
            "audio": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            PATH: datasets.Value("string"),
        }
    if manifest.labels is not None:
        kinds["class"] = datasets.ClassLabel(names=list(manifest.labels.classes))
    return datasets.Features(kinds)


def _positions(manifest: Manifest) -> dict[str, list[int]]:
    """Return the rows of each split under the library's names for them, or all under no name."""
    if not manifest.has("split"):
        return {"": list(range(len(manifest)))}
    found: dict[str, list[int]] = {}
    for position, word in enumerate(manifest.table["split"].str.lower().tolist()):
        found.setdefault(SPLITS[SPLIT_ROLES.get(word, "unused")], []).append(position)
    return found


def _examples(
    manifest: Manifest, positions: tuple[int, ...], inside: bool
) -> Iterator[dict[str, Any]]:
    columns = {str(name): manifest.table[name] for name in manifest.table}
    codes, rows = manifest.codes(), rows_of(manifest)
    for position in positions:
        example: dict[str, Any] = {name: rows[position].get(name) for name in columns}
        if inside and example["audio"]:
            file = manifest.media_path(example["audio"])
            with reading(file, "a sound", "check its permissions"):
                sound = {"bytes": file.read_bytes(), "path": file.name}
            example |= {"audio": sound, PATH: example["audio"]}
        if manifest.labels is not None:
            example["class"] = int(codes[position]) if codes[position] >= 0 else None
        yield example


def holds_sound(manifest: Manifest, notes: Notes) -> bool:
    """Say whether the sound goes into the dataset itself.

    Each row that has some has a file of its own, and it is there.
    """
    names = manifest.table["audio"][manifest.table["audio"] != ""]
    if names.empty:
        return False
    shared = int(names.duplicated(keep=False).sum())
    if shared:
        notes.say(
            f"{shared} rows are parts of longer files, so the dataset does not hold the sound: "
            "'audio' is a path; cut it with start_s and end_s"
        )
        return False
    absent = [
        n for n in names.tolist() if manifest.root is None or not manifest.media_path(n).is_file()
    ]
    if absent:
        notes.say(
            f"{len(absent)} sound files are not there, first {absent[0]!r}, so the dataset does "
            "not hold the sound: 'audio' is a path"
        )
    return not absent
