"""Short social videos: Indonesian reels in eight emotions, one row per video (datatrain.csv, datatest.csv: id, video, emotion).

The tables of the competition hold links. A link is never fetched: a row gets its media where a file
named by its id lies in ``video/train`` or ``video/test``, or where the table names a local file.
Sound is the video's own track.
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import re
from pathlib import Path

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError
from extract.corpora._files import as_columns, check_root, media, read_rows, relative, visible
from extract.corpora._notes import NO_VIDEO, NOT_LOCAL, UNMAPPED, Documented, Notes

LAYOUT = "datatrain.csv and datatest.csv with the columns id, video, emotion"
EMOTIONS = ("anger", "fear", "joy", "neutral", "proud", "sadness", "surprise", "trust")
# Slips of the pen in the competition's own table.
VARIANTS = {"trst": "trust"}
SPLITS = ("train", "test")
ROWS = {"train": 806, "test": 201}
DOCUMENTED = tuple(Documented(count, {"split": split}) for split, count in ROWS.items())
FOLDERS = ("video/{split}", "videos/{split}", "{split}", "video", "videos")
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
PICKLES = (".pt", ".pth", ".pkl", ".pickle")
TAGS = {"meta_id": "leaky"}  # tables may be sorted by emotion
LINK = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def read(root: Path) -> Manifest:
    """Read the tables; the id is ``{split}_{id}``, since numbers repeat, and ``meta_id`` theirs.

    Args:
        root: The folder of the tables.

    Raises:
        ManifestError: There is no table, or it lacks a column.
        UnsafePathError: A local path leads out of ``root``.
    """
    check_root(
        root, "the reels", LAYOUT, lambda folder: any(_table(folder, split) for split in SPLITS)
    )
    notes = Notes()
    rows = []
    for split in SPLITS:
        path = _table(root, split)
        if path is None:
            notes.say(f"no table data{split}.csv")
            continue
        needed = ("id", "video", "emotion") if split == "train" else ("id", "video")
        own = _own_files(root, split, notes)
        part = [_row(row, split, root, own, notes) for row in read_rows(path, needed, notes)]
        if len(part) != ROWS[split]:
            notes.say(f"{path.name} has {len(part):,} rows, the competition's has {ROWS[split]:,}")
        rows += part
    if not rows:
        raise ManifestError(f"{root}: the tables hold no row")
    named = frozenset(str(row["label"]) for row in rows if row["label"])
    unmapped = named - set(EMOTIONS) - VARIANTS.keys()
    columns = as_columns(rows)
    labels = LabelSet("reels-8", EMOTIONS, {name: name for name in EMOTIONS} | VARIANTS, unmapped)
    return Manifest.from_columns(
        "reels",
        columns,
        labels=labels,
        protocol="group-kfold:5" if len(rows) >= 5 else "",
        tags=TAGS,
        root=root.resolve(),
        notes=notes.lines(),
    )


def _table(root: Path, split: str) -> Path | None:
    candidates = (root / f"data{split}.csv", root / f"{split}.csv")
    return next((path for path in candidates if path.is_file()), None)


def _own_files(root: Path, split: str, notes: Notes) -> dict[str, Path]:
    """Return the videos that lie where a downloader puts them, by the id in their name."""
    folder = next(
        (path for pattern in FOLDERS if (path := root / pattern.format(split=split)).is_dir()), None
    )
    found = (
        {}
        if folder is None
        else {path.stem: path for path in visible(folder, notes) if path.suffix.lower() in SUFFIXES}
    )
    if folder is not None:
        for path in visible(folder):
            if path.suffix.lower() in PICKLES:
                notes.count("pickle, which is never loaded", relative(path, root))
    return found


def _row(
    row: dict[str, str], split: str, root: Path, own: dict[str, Path], notes: Notes
) -> dict[str, object]:
    name, named = f"{split}_{row['id'].strip()}", row["video"].strip()
    label = row.get("emotion", "").strip().lower()
    if split == "train" and not label:
        notes.count("training row without a label", name)
    if label and label not in EMOTIONS:
        notes.count(
            "label with a slip of the pen, read as what it means"
            if label in VARIANTS
            else UNMAPPED,
            f"{name}: {label}",
        )
    video = _video(name, named, row["id"].strip(), root, own, notes)
    return {
        "id": name,
        "meta_id": row["id"].strip(),
        "label": label,
        "group": name,
        "split": split,
        "language": "id",
        "audio": video,
        "video": video,
    }


def _video(
    name: str, named: str, number: str, root: Path, own: dict[str, Path], notes: Notes
) -> str:
    if number in own:
        return media(own[number], root, notes)
    if LINK.match(named):
        notes.count(NOT_LOCAL, name)
        return ""
    if Path(named).suffix.lower() in PICKLES:
        notes.count("pickle, which is never loaded", name)
        return ""
    if not named or not (root / named).is_file():
        notes.count(NO_VIDEO, name)
        return ""
    if not (root / named).resolve().is_relative_to(root.resolve()):
        return named  # Refused by the manifest, or of a link by the extraction, which say why.
    return media(root / named, root, notes)
