"""EmoBox: 32 speech corpora as lists of sound files with published folds (data/NAME/fold_1/NAME_train_fold_1.jsonl).

Ma et al. 2024, https://github.com/emo-box/EmoBox. The media lie in ``downloads/`` beside ``data/``.
Its folds are kept as they are: the plan is called ``given``. The lists name no speakers; what was
written by :func:`write` has them all the same.
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, unknown_name
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.reading import read_json, read_text, reading
from extract.corpora._exchange import (
    ROLE_WORDS,
    Lengths,
    Row,
    fold_number,
    listed_rows,
    media_folder,
    roles_by_fold,
    to_manifest,
    write_json_file,
    write_json_lines,
)
from extract.corpora._files import check_root, visible
from extract.corpora._notes import UNMAPPED, Notes

LAYOUT = (
    "data/NAME/NAME.jsonl with data/NAME/fold_1/NAME_train_fold_1.jsonl and so on, and the media "
    "in downloads/"
)
LIST = re.compile(r"(?P<name>.+)_(?P<role>train|valid|dev|test)_fold_(?P<fold>\d+)\.jsonl")
# What the map of labels to classes is called: the second in one corpus of the 32.
MAPS = ("label_map.json", "label_dict.json")
# Keys of an entry that say how it is read, and are made again from the file itself.
OURS = (
    "key",
    "dataset",
    "wav",
    "type",
    "sample_rate",
    "num_frame",
    "task",
    "length",
    "emo",
    "channel",
    "start_time",
    "end_time",
)


def read(root: Path, *, dataset: str = "", media: str = "") -> Manifest:
    """Read one of the corpora: its list, its label map, and its folds.

    Args:
        root: The checkout, or one corpus' folder in its ``data``.
        dataset: Which corpus, where ``root`` holds several.
        media: The folder that the paths in the lists are relative to; by default the checkout.

    Raises:
        UnknownNameError: There is no such corpus.
        ManifestError: ``root`` holds none, a list is torn, or a path leaves the folder of the
            media.
    """
    check_root(root, "EmoBox", LAYOUT, lambda folder: bool(_datasets(folder)))
    found, notes = _datasets(root), Notes()
    if dataset and dataset not in found:
        unknown_name("EmoBox corpus", dataset, tuple(found))
    if not dataset and len(found) > 1:
        raise ManifestError(
            f"{root}: holds {len(found)} corpora ({', '.join(found)}); name one with "
            "--corpus-option dataset=NAME"
        )
    name = dataset or next(iter(found))
    folder = found[name]
    home = folder.resolve().parent.parent if folder.resolve().parent.name == "data" else root
    lists = {
        path: match
        for path in sorted(folder.glob("fold_*/*.jsonl"))
        if (match := LIST.fullmatch(path.name))
    }
    rows: dict[str, Row] = {}
    roles: dict[int, dict[str, str]] = {}
    whole = folder / f"{name}.jsonl"
    for path in ([whole] if whole.is_file() else []) + list(lists):
        for row in _read_list(path):
            known = rows.setdefault(row["id"], row)
            if known != row:
                raise ManifestError(
                    f"{path}: {row['id']!r} differs from its entry in another list; fetch the "
                    "lists again"
                )
            if path in lists:
                of_id = roles.setdefault(int(lists[path]["fold"]), {})
                if of_id.setdefault(row["id"], role := ROLE_WORDS[lists[path]["role"]]) != role:
                    raise ManifestError(
                        f"{path}: {row['id']!r} is both in {of_id[row['id']]} and in {role} of "
                        "this fold"
                    )
    labels = _labels(folder, name, rows, notes)
    notes.say(f"{len(roles)} published fold{'s' * (len(roles) != 1)}")
    if not any(row.get("speaker") for row in rows.values()):
        notes.say("EmoBox's lists name no speakers, so only its own folds can keep speakers apart")
    return to_manifest(name, list(rows.values()), media_folder(home, media), notes, roles, labels)


def write(manifest: Manifest, out: Path, plan: FoldPlan | None) -> tuple[str, ...]:
    """Write the lists and folds that EmoBox's loader reads.

    Args:
        manifest: The corpus.
        out: The folder to write.
        plan: The folds to write as well, or none.

    Returns:
        What the lists cannot hold, a line each.
    """
    notes = Notes()
    rows, lengths = listed_rows(manifest, notes, "EmoBox"), Lengths(manifest, notes)
    entries = {position: _entry(row, manifest.name, lengths) for position, row in rows.items()}
    folder = out / "data" / manifest.name
    _write_pair(folder / manifest.name, list(entries.values()))
    for number, roles in roles_by_fold(plan) if plan else ():
        for role, positions in roles.items():
            listed = [entries[p] for p in positions if p in entries]
            _write_pair(folder / f"fold_{number}" / f"{manifest.name}_{role}_fold_{number}", listed)
    if manifest.labels is not None:
        classes = manifest.labels.classes
        used = {row["label"]: row["class"] for row in rows.values()}
        order = sorted(used, key=lambda label: (classes.index(used[label]), label))
        write_json_file(folder / "label_map.json", {label: used[label] for label in order})
    return notes.lines()


def _datasets(folder: Path) -> dict[str, Path]:
    """Return the corpora in a checkout, in its ``data``, or the one that a folder is."""
    homes = [folder / "data", folder] if (folder / "data").is_dir() else [folder]
    for home in homes:
        found = {path.name: path for path in visible(home) if path.is_dir() and _is_dataset(path)}
        if found:
            return found
    return {folder.resolve().name: folder} if _is_dataset(folder) else {}


def _is_dataset(folder: Path) -> bool:
    return (folder / f"{folder.resolve().name}.jsonl").is_file() or any(
        fold_number(path.parent.name) for path in folder.glob("fold_*/*.jsonl")
    )


def _read_list(path: Path) -> Iterator[Row]:
    lines = read_text(path, "a list in UTF-8", "save it as UTF-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fault = "is no entry with 'key' and 'wav'"
        with reading(f"{path}, line {number}", "", "fetch the list again", fault=fault):
            entry = json.loads(line)
            row = {key: value for key, value in entry.items() if key not in OURS}
            row |= {
                "id": str(entry["key"]),
                "audio": str(entry["wav"]),
                "label": str(entry.get("emo") or ""),
            }
        if entry.get("type", "raw") != "raw":
            raise ManifestError(
                f"{path}, line {number}: lists {entry['type']!r}, not sound; give the lists of "
                "the media"
            )
        for ours, theirs in (("start_s", "start_time"), ("end_s", "end_time")):
            if theirs in entry and ours not in row:
                row[ours] = entry[theirs]
        yield row


def _labels(folder: Path, name: str, rows: dict[str, Row], notes: Notes) -> LabelSet | None:
    """Return the label set of a corpus' map; a label in other letters than there counts as there.

    A label whose capital letters differ from the map's takes its class, unless the map itself gives
    two classes to the same letters. What is not in the map has no class, and is noted.
    """
    path = next((folder / file for file in MAPS if (folder / file).is_file()), None)
    if path is None:
        notes.say(f"no {' and no '.join(MAPS)}: the labels are the classes")
        return None
    with reading(path, "a map of labels to classes"):
        mapping = {str(label): str(target) for label, target in read_json(path).items()}
    classes = tuple(dict.fromkeys(mapping.values()))
    alike: dict[str, set[str]] = {}
    for label, target in mapping.items():
        alike.setdefault(label.casefold(), set()).add(target)
    found, dropped = dict[str, str](), set[str]()
    for row in rows.values():
        label = row["label"]
        targets = alike.get(label.casefold(), set())
        if label in mapping or not label:
            continue
        if len(targets) == 1:
            notes.count(f"label {label!r} that {path.name} has in other letters", row["id"])
            found |= {label: next(iter(targets))}
        else:
            notes.count(UNMAPPED, label)
            dropped.add(label)
    return LabelSet(f"{name}-emobox", classes, mapping | found, frozenset(dropped))


def _entry(row: Row, dataset: str, lengths: Lengths) -> Row:
    facts, (start_s, end_s, length_s) = lengths.of(row), lengths.span(row)
    known = (
        {"sample_rate": facts[1], "channel": facts[2]}
        if facts
        else {"sample_rate": None, "channel": None}
    )
    entry = {
        "key": row["id"],
        "dataset": dataset,
        "wav": row["audio"],
        "type": "raw",
        "task": "category",
        "emo": row["label"],
        "length": length_s,
        "num_frame": length_s * facts[1] if facts and length_s is not None else None,
        **known,
    }
    if start_s is not None:
        entry |= {"start_time": start_s, "end_time": end_s}
    return entry | {
        key: value for key, value in row.items() if key not in {"id", "audio", "label", "class"}
    }


def _write_pair(stem: Path, entries: list[Row]) -> None:
    """Write a list in both forms that the project has.

    Lines for its loader, one object for its SpeechBrain recipe.
    """
    write_json_lines(stem.with_name(stem.name + ".jsonl"), entries)
    by_key: dict[str, Row] = {}
    for entry in entries:
        by_key[entry["key"]] = {name: value for name, value in entry.items() if name != "key"}
    write_json_file(stem.with_name(stem.name + ".json"), by_key)
