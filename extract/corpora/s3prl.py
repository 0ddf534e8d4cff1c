"""S3PRL and SUPERB: sound files with labels per fold (meta_data/Session1/train_meta_data.json and test_meta_data.json).

As ``s3prl/downstream/emotion`` reads them, https://github.com/s3prl/s3prl. It draws its validation
rows from the training list.
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.reading import read_json
from extract.corpora._exchange import (
    ROLE_WORDS,
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

LAYOUT = "meta_data/Session1/train_meta_data.json and test_meta_data.json, one folder per fold"
LIST = re.compile(r"(train|dev|valid|test)_meta_data\.json")
IEMOCAP = re.compile(r"(Ses\d\d[FM])_(?:impro|script)\w+_([FM])\d{3}")


def read(root: Path, *, name: str = "s3prl", media: str = "") -> Manifest:
    """Read all folds; an id is the file's stem, or its path without suffix where stems repeat.

    Args:
        root: The folder with ``meta_data``, that folder itself, or one list.
        name: The corpus' name in the store.
        media: The folder that the paths are relative to; by default the one that holds
            ``meta_data``.

    Raises:
        ManifestError: There is no list, or one is torn.
    """
    check_root(
        root if root.is_dir() else root.parent,
        "S3PRL's lists",
        LAYOUT,
        lambda folder: bool(_lists(folder)),
    )
    notes, rows, roles = Notes(), dict[str, Row](), dict[int, dict[str, str]]()
    classes: dict[str, int] = {}
    lists = _lists(root)
    entries = {path: _entries(path, classes) for path in lists}
    paths: set[str] = set()
    for listed in entries.values():
        paths.update(row["audio"] for row in listed)
    stems = {PurePosixPath(path).stem for path in paths}
    unique = len(stems) == len(paths)
    for path, listed in entries.items():
        number = fold_number(path.parent.name) or 1
        for row in listed:
            audio = PurePosixPath(row["audio"])
            row.setdefault("id", audio.stem if unique else str(audio.with_suffix("")))
            rows.setdefault(row["id"], row)
            if match := LIST.fullmatch(path.name):
                roles.setdefault(number, {})[row["id"]] = ROLE_WORDS[match[1]]
    wrong = [
        row["id"]
        for row in rows.values()
        if (match := IEMOCAP.fullmatch(row["id"]))
        and row.get("speaker") == match[1] != match[1][:-1] + match[2]
    ]
    if wrong:
        notes.say(
            "'speaker' is the first letter of IEMOCAP's ids, which names who wears the markers and "
            f"not who talks: wrong in {len(wrong)} rows, first {wrong[0]!r}. Read the release with "
            "--corpus iemocap where speakers matter"
        )
    order = sorted(classes, key=lambda label: classes[label])
    labels = label_set(name, list(rows.values()), order)
    home = root.parent if root.is_file() or root.name == "meta_data" else root
    return to_manifest(name, list(rows.values()), media_folder(home, media), notes, roles, labels)


def write(manifest: Manifest, out: Path, plan: FoldPlan | None) -> tuple[str, ...]:
    """Write one folder of lists per fold, or one list without a plan.

    Args:
        manifest: The corpus.
        out: The folder to write.
        plan: The folds, or none.

    Returns:
        What the lists cannot hold, a line each.

    Raises:
        ManifestError: No row is a whole sound file with a class.
    """
    notes = Notes()
    rows = listed_rows(manifest, notes, "S3PRL")
    for position in [p for p, row in rows.items() if "start_s" in row or "end_s" in row]:
        notes.count(
            "row left out, because S3PRL reads whole files and it is a part of one",
            rows.pop(position)["id"],
        )
    if not rows or manifest.labels is None:
        raise ManifestError(
            f"corpus {manifest.name!r} has no row that is a whole sound file, and S3PRL reads "
            "nothing else; cut the files, or export to emobox or speechbrain"
        )
    labels = {name: code for code, name in enumerate(manifest.labels.classes)}
    for number, roles in roles_by_fold(plan) if plan else ():
        for role, positions in roles.items():
            if role == "valid":
                notes.count(
                    "fold whose validation rows are in dev_meta_data.json, which S3PRL does not "
                    "read",
                    str(number),
                )
            listed = [_entry(rows[p]) for p in positions if p in rows]
            word = "dev" if role == "valid" else role
            place = out / "meta_data" / f"Session{number}" / f"{word}_meta_data.json"
            write_json_file(place, {"labels": labels, "meta_data": listed})
    if plan is None:
        write_json_file(
            out / "meta_data" / "all_meta_data.json",
            {"labels": labels, "meta_data": [_entry(row) for row in rows.values()]},
        )
    return notes.lines()


def _lists(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    found = []
    for base in (root / "meta_data", root):
        # A list beside the folder itself belongs to another corpus.
        for path in [*base.glob("*/*_meta_data.json"), *base.glob("*_meta_data.json")]:
            if path.parent != root.parent:
                found.append(path)
    return sorted(found)


def _entries(path: Path, classes: dict[str, int]) -> list[Row]:
    data = read_json(path)
    try:
        for label, code in data["labels"].items():
            if classes.setdefault(str(label), int(code)) != int(code):
                raise ManifestError(
                    f"{path}: gives {label!r} the code {code}, another list {classes[label]}; "
                    "export them again"
                )
        rows = []
        for entry in data["meta_data"]:
            row = {
                key: value
                for key, value in entry.items()
                if key not in {"path", "label", "raw_label"}
            }
            if not isinstance(entry.get("id", ""), str) or entry.get("id") == "":
                raise ManifestError(f"{path}: id {entry['id']!r} is no text; export the list again")
            if entry["label"] not in data["labels"]:
                raise ManifestError(
                    f"{path}: label {entry['label']!r} is not among its labels "
                    f"{', '.join(data['labels'])}"
                )
            rows.append(
                row
                | {
                    "audio": str(entry["path"]),
                    "class": str(entry["label"]),
                    "label": str(entry.get("raw_label", entry["label"])),
                }
            )
        return rows
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        if isinstance(error, ManifestError):
            raise
        raise ManifestError(
            f"{path}: is not {{'labels': {{...}}, 'meta_data': [{{'path', 'label', 'speaker'}}]}} "
            f"({error!r}); export it again"
        ) from error


def _entry(row: Row) -> Row:
    entry = {"path": row["audio"], "label": row["class"], "speaker": row.get("speaker", "")}
    if row["label"] != row["class"]:
        entry["raw_label"] = row["label"]
    return entry | {
        key: value
        for key, value in row.items()
        if key not in {"audio", "label", "class", "speaker"}
    }
