"""Hugging Face datasets: a folder written by save_to_disk, with the sound in it or beside it.

https://huggingface.co/docs/datasets, read and written with the project's own library (extra
``interchange``). Nothing is fetched.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from embeddings_store.atomic import make_folder, replacing
from embeddings_store.corpus.manifest import Manifest, resolve_media
from embeddings_store.errors import ManifestError, UsageError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.rules import SPLIT_ROLES
from embeddings_store.reading import read_json, reading
from extract.corpora._exchange import Row, label_set, media_folder, missing, rows_of, to_manifest
from extract.corpora._files import check_root
from extract.corpora._notes import Notes

LAYOUT = (
    "dataset_info.json and data-00000-of-00001.arrow, or dataset_dict.json with a folder per "
    "split, from save_to_disk"
)
LABELS, WORDS, SPEAKERS = (
    ("label", "labels", "emotion"),
    ("text", "transcription", "sentence"),
    ("speaker", "speaker_id"),
)
# save_to_disk keeps of a sound's path the file's name alone, so the path has a column of its own.
PATH = "audio_path"
SPLITS = {"train": "train", "valid": "validation", "test": "test", "unused": "unused"}
BATCH = 64


def read(
    root: Path,
    *,
    label: str = "",
    text: str = "",
    speaker: str = "",
    audio: str = "audio",
    name: str = "",
    media: str = "",
) -> Manifest:
    """Read a dataset; sound that lies in it is unpacked once, beside the tables, into ``media/``.

    Args:
        root: The folder that ``save_to_disk`` wrote.
        label: The column with the label; by default ``label``, ``labels`` or ``emotion``.
        text: The column with the words; by default ``text``, ``transcription`` or ``sentence``.
        speaker: The column with the speaker; by default ``speaker`` or ``speaker_id``.
        audio: The column with the sound.
        name: The corpus' name in the store; by default the folder's.
        media: Where paths of sound that is not in the dataset lead, and where sound is unpacked to;
            by default ``root/media``.

    Raises:
        MissingDependencyError: datasets is not installed.
        ManifestError: ``root`` holds no such dataset.
        UsageError: A column that was named is not there.
    """
    check_root(
        root,
        "a Hugging Face dataset",
        LAYOUT,
        lambda folder: any(
            (folder / f).is_file() for f in ("dataset_dict.json", "dataset_info.json")
        ),
    )
    notes, rows = Notes(), list[Row]()
    folder = Path(media).expanduser() if media else root / "media"
    _check_references(root)
    with _library() as datasets:
        with _reading(root, datasets):
            loaded = datasets.load_from_disk(str(root))
        parts = dict(loaded.items()) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
        for split, part in parts.items():
            chosen = {
                "label": _column(part, label, LABELS),
                "text": _column(part, text, WORDS),
                "speaker": _column(part, speaker, SPEAKERS),
            }
            ours = {theirs: ours for ours, theirs in chosen.items() if theirs}
            with _reading(root, datasets):  # The tables are read row by row.
                rows += _rows(datasets, part, split, ours, audio, folder)
    for number, row in enumerate(rows):
        row.setdefault("id", f"row-{number:06d}")
    kinds = (part.features.get("class") for part in parts.values())
    order = next((kind.names for kind in kinds if isinstance(kind, datasets.ClassLabel)), ())
    classes = (
        label_set(name or root.resolve().name, rows, order)
        if any("class" in row for row in rows)
        else None
    )
    place = folder if folder.is_dir() else root
    return to_manifest(
        name or root.resolve().name, rows, media_folder(place, ""), notes, None, classes
    )


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
    with _library() as datasets, tempfile.TemporaryDirectory(dir=out.parent) as scratch:
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
def _library() -> Iterator[Any]:
    try:
        import datasets
    except ImportError:
        raise missing("datasets") from None
    shown = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield datasets
    finally:
        if not shown:
            datasets.enable_progress_bars()


def _reading(root: Path, datasets: Any) -> AbstractContextManager[None]:
    """Turn what Arrow, JSON and the library's own checks raise into one error."""
    fault = f"is no dataset that datasets {datasets.__version__} reads"
    return reading(root, "", fault=fault)


def _check_references(root: Path) -> None:
    """Refuse splits and tables that the dataset's own lists name outside of its folder.

    What cannot be read as such a list is left to the library, which says what is wrong.

    Raises:
        ManifestError: A list names something that is not in the same folder.
    """
    listed = _names_in(root / "dataset_dict.json", "splits")
    states = [root / "state.json"]
    for name in listed:
        if not _is_plain(name):
            raise ManifestError(
                f"{root / 'dataset_dict.json'}: names the split {name!r}, which leads out of the "
                "folder; expected the name of a folder in it: fetch the dataset again"
            )
        states.append(root / name / "state.json")
    for state in states:
        for entry in _names_in(state, "_data_files"):
            name = entry.get("filename") if isinstance(entry, dict) else entry
            if not _is_plain(name):
                raise ManifestError(
                    f"{state}: names the table {name!r}, which leads out of the folder; expected "
                    "the name of a file in it: fetch the dataset again"
                )


def _names_in(path: Path, key: str) -> list[Any]:
    """Return the list under ``key`` of a JSON file, empty where there is none."""
    with suppress(ManifestError), reading(path, "a dataset's list"):
        found = read_json(path)[key]
        return list(found) if isinstance(found, list) else []
    return []


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name and name != ".." and ":" not in name


def _opens_files(kind: Any) -> bool:
    """Say whether values of a feature are decoded from paths or addresses that they name."""
    if isinstance(kind, dict):
        return any(_opens_files(part) for part in kind.values())
    if isinstance(kind, list | tuple):
        return any(_opens_files(part) for part in kind)
    return hasattr(kind, "decode") or _opens_files(getattr(kind, "feature", ()))


def _column(part: Any, named: str, usual: tuple[str, ...]) -> str:
    if named and named not in part.column_names:
        raise UsageError(
            f"the dataset has no column {named!r}; it has {', '.join(part.column_names)}"
        )
    return named or next((column for column in usual if column in part.column_names), "")


def _rows(
    datasets: Any, part: Any, split: str, ours: Mapping[str, str | None], audio: str, folder: Path
) -> Iterator[Row]:
    """Yield the rows of one split; codes of classes become their names."""
    kinds = dict(part.features)
    if isinstance(kinds.get(audio), datasets.Audio):
        part = part.cast_column(audio, datasets.Audio(decode=False))
    # Pictures and films are no part of a row, and decoding them would open what they name.
    part = part.remove_columns(
        [
            column
            for column, kind in kinds.items()
            if _opens_files(kind) and not (column == audio and isinstance(kind, datasets.Audio))
        ]
    )
    for batch in part.iter(BATCH):
        for cells in zip(*batch.values(), strict=True):
            values = dict(zip(batch, cells, strict=True))
            row: Row = {"split": split} if split in SPLIT_ROLES else {}
            for column, value in values.items():
                if value is None or value == "":
                    continue
                name = ours.get(column)
                if column == audio:
                    is_struct = isinstance(value, dict)
                    row["audio"] = (
                        _sound(value, folder, values.get(PATH)) if is_struct else str(value)
                    )
                elif column == PATH:
                    continue
                elif isinstance(kinds[column], datasets.ClassLabel):
                    # A code below 0 stands for no label.
                    if value >= 0:
                        row[name or column] = kinds[column].int2str(int(value))
                elif not isinstance(value, dict | list | bytes):
                    row[name or column] = value if name is None else str(value)
            yield row


def _sound(value: dict[str, Any], folder: Path, ours: str | None) -> str:
    """Return the path of a sound; what lies in the dataset is written below ``folder`` first.

    It gets the path that :func:`write` noted, else its own name, else, where another sound has that
    name, its digest.
    """
    data, path = value.get("bytes"), str(value.get("path") or "")
    if data is None:
        return path
    by_digest = f"{hashlib.sha256(data).hexdigest()[:16]}{Path(path).suffix}"
    usable = path and not Path(path).is_absolute() and ".." not in Path(path).parts
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
        elif manifest.has(name):
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
            file = resolve_media(manifest.root or Path(), example["audio"])
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
        n
        for n in names.tolist()
        if manifest.root is None or not resolve_media(manifest.root, n).is_file()
    ]
    if absent:
        notes.say(
            f"{len(absent)} sound files are not there, first {absent[0]!r}, so the dataset does "
            "not hold the sound: 'audio' is a path"
        )
    return not absent
