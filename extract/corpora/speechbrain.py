"""SpeechBrain: one JSON object per list, from utterance to wav, length and emotion (train.json, valid.json, test.json).

As ``speechbrain.dataio.dataset.DynamicItemDataset.from_json`` reads them with
``replacements={"data_root": ...}``. Several folds lie in ``fold_1/`` and so on.
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.reading import read_json, reading
from extract.corpora._exchange import (
    ROLE_WORDS,
    Lengths,
    Row,
    fold_number,
    label_set,
    listed_rows,
    media_folder,
    roles_by_fold,
    to_manifest,
    write_json_file,
)
from extract.corpora._files import check_root
from extract.corpora._notes import Notes

LAYOUT = (
    "train.json, valid.json, test.json with {utterance: {wav, length, emo}}, perhaps in fold_1/ "
    "and so on"
)
REPLACED = re.compile(r"^\{\w+\}/*")
NATIVE = {"wav", "length", "emo", "raw_label"}


def read(root: Path, *, name: str = "speechbrain", media: str = "", label: str = "emo") -> Manifest:
    """Read the lists of a folder, or one list.

    Args:
        root: The folder, or one ``.json`` file.
        name: The corpus' name in the store.
        media: The folder that ``{data_root}`` stands for; by default ``root``.
        label: The key that holds the label.

    Raises:
        ManifestError: There is no list, or one is torn.
    """
    check_root(
        root if root.is_dir() else root.parent,
        "SpeechBrain's lists",
        LAYOUT,
        lambda folder: bool(_lists(folder)),
    )
    notes, rows, roles = Notes(), dict[str, Row](), dict[int, dict[str, str]]()
    for path in _lists(root):
        for row in _entries(path, label):
            rows.setdefault(row["id"], row)
            if (role := ROLE_WORDS.get(path.stem)) is not None:
                of_id = roles.setdefault(fold_number(path.parent.name) or 1, {})
                if of_id.setdefault(row["id"], role) != role:
                    raise ManifestError(
                        f"{path}: {row['id']!r} is both in {of_id[row['id']]} and in {role} of "
                        "one fold"
                    )
    labels = label_set(name, list(rows.values()))
    folder = media_folder(root.parent if root.is_file() else root, media)
    return to_manifest(name, list(rows.values()), folder, notes, roles, labels)


def write(manifest: Manifest, out: Path, plan: FoldPlan | None) -> tuple[str, ...]:
    """Write ``all.json`` and the lists of each fold.

    Args:
        manifest: The corpus.
        out: The folder to write.
        plan: The folds, or none.

    Returns:
        What the lists cannot hold, a line each.
    """
    notes = Notes()
    rows, lengths = listed_rows(manifest, notes, "SpeechBrain"), Lengths(manifest, notes)
    keys = sorted(set().union(*rows.values()) - {"id", "audio", "label", "class"})
    entries = {position: _entry(row, keys, lengths) for position, row in rows.items()}
    write_json_file(out / "all.json", {rows[p]["id"]: entry for p, entry in entries.items()})
    for number, roles in roles_by_fold(plan) if plan else ():
        folder = out if plan is not None and len(plan) == 1 else out / f"fold_{number}"
        for role, positions in roles.items():
            write_json_file(
                folder / f"{role}.json",
                {rows[p]["id"]: entries[p] for p in positions if p in entries},
            )
    return notes.lines()


def _lists(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    known = [
        path
        for path in (*root.glob("*.json"), *root.glob("fold_*/*.json"))
        if path.stem in {"all", *ROLE_WORDS}
    ]
    return sorted(known, key=lambda path: (path.stem != "all", path))


def _entries(path: Path, label: str) -> list[Row]:
    data, rows = read_json(path), []
    if not isinstance(data, dict):
        raise ManifestError(
            f"{path}: is no object of utterances but {type(data).__name__}; SpeechBrain's lists "
            f"are {LAYOUT}"
        )
    for name, entry in data.items():
        with reading(f"{path}: {name!r}", "an utterance", f"SpeechBrain's lists are {LAYOUT}"):
            rows.append(_row(path, name, entry, label))
    return rows


def _row(path: Path, name: str, entry: Any, label: str) -> Row:
    if not isinstance(entry, dict) or "wav" not in entry:
        raise ManifestError(f"{path}: {name!r} has no 'wav'; its lists are {LAYOUT}")
    row = {
        key: _plain(value)
        for key, value in entry.items()
        if key not in NATIVE | {label} and value not in ("", None)
    }
    chosen = _plain(entry.get(label) or "")
    row |= {"id": name, "class": chosen, "label": _plain(entry.get("raw_label") or chosen)}
    wav = entry["wav"]
    row["audio"] = _path(wav["file"] if isinstance(wav, dict) else wav)
    if (
        isinstance(wav, dict)
        and "start_s" not in row
        and "end_s" not in row
        and {"start", "stop"} & wav.keys()
    ):
        raise ManifestError(
            f"{path}: {name!r} is cut by sample numbers, whose rate the list does not say; add "
            "start_s and end_s in seconds"
        )
    return row


def _path(path: str) -> str:
    """Return a path without the folder's name that is put before it, such as ``{data_root}/``."""
    return str(_plain(path if path.startswith("{{") else REPLACED.sub("", path, count=1)))


def _plain(value: Any) -> Any:
    """Undo the doubling of braces that protects a text from being formatted."""
    return value.replace("{{", "{").replace("}}", "}") if isinstance(value, str) else value


def _braced(value: Any) -> Any:
    """SpeechBrain formats every string of a list, so a brace that is meant has to be doubled."""
    return value.replace("{", "{{").replace("}", "}}") if isinstance(value, str) else value


def _entry(row: Row, keys: list[str], lengths: Lengths) -> Row:
    """Return an entry; every one has the same keys, as its data sets ask for."""
    facts, (start_s, end_s, length_s) = lengths.of(row), lengths.span(row)
    file = "{data_root}/" + _braced(row["audio"])
    wav: Any = file
    if start_s is not None and facts and end_s is not None:
        wav = {"file": file, "start": round(start_s * facts[1]), "stop": round(end_s * facts[1])}
    entry = {
        "wav": wav,
        "length": length_s,
        "emo": _braced(row["class"]),
        "raw_label": _braced(row["label"] if row["label"] != row["class"] else ""),
    }
    return entry | {
        key: _braced(row.get(key, None if key in {"start_s", "end_s"} else "")) for key in keys
    }
