"""MELD: 13,708 lines of the series Friends in an official split, seven emotions ({split}_sent_emo.csv, media beside).

The official splits share speakers (it is a series), so a speaker-independent figure cannot come
from them. Times in the tables refer to the episode, not to the clip, and are kept as metadata.
Poria et al. 2019, https://arxiv.org/abs/1810.02508
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError
from embeddings_store.reading import reading
from embeddings_store.tables import TABLE
from extract.corpora._files import (
    as_columns,
    check_root,
    csv_rows,
    media,
    read_text,
    relative,
    visible,
)
from extract.corpora._notes import KNOWN_BAD, Documented, Notes, listed

LAYOUT = (
    "train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv, with train_splits/dia0_utt0.mp4 and "
    "so on beside them"
)
EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
SPLITS = {"train": "train", "dev": "valid", "test": "test"}
ROWS = {"train": 9989, "dev": 1109, "test": 2610}
COUNTS = {
    "train": (1109, 271, 268, 1743, 4710, 683, 1205),
    "dev": (153, 22, 40, 163, 470, 111, 150),
    "test": (345, 68, 50, 402, 1256, 208, 281),
}


def _documented() -> tuple[Documented, ...]:
    """Return the rows of each split, and of each emotion in it."""
    found = [Documented(ROWS[name], {"split": split}) for name, split in SPLITS.items()]
    for name, counts in COUNTS.items():
        for label, count in zip(EMOTIONS, counts, strict=True):
            found.append(Documented(count, {"split": SPLITS[name], "label": label}))
    return tuple(found)


DOCUMENTED = _documented()
FOLDERS = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}
# What unpacking and converting makes of these names; they may also lie in a folder of the split's
# own name.
OTHER_FOLDERS = {
    "train": ("train_splits_complete",),
    "dev": ("dev_splits",),
    "test": ("test_splits", "test_splits_complete"),
}
COLUMNS = (
    "Utterance",
    "Speaker",
    "Emotion",
    "Sentiment",
    "Dialogue_ID",
    "Utterance_ID",
    "Season",
    "Episode",
    "StartTime",
    "EndTime",
)
ODD_MEDIA = {
    "train_dia125_utt3": "corrupt media",
    "train_dia309_utt0": "wrong cut",
    "valid_dia110_utt7": "media missing",
    "test_dia38_utt4": "wrong cut, 305 s",
    "test_dia220_utt0": "wrong cut, 235 s",
}
NO_MEDIA = "row without media"
TAGS = {
    "meta_sentiment": "leaky",
    "meta_season": "context",
    "meta_episode": "context",
    "meta_episode_start_s": "context",
    "meta_episode_end_s": "context",
}
TIME = re.compile(r"(\d{1,4}):(\d\d):(\d\d)[,.](\d{1,3})")
CLIP = re.compile(r"(final_videos_test)?dia(\d+)_utt(\d+)")
SUFFIXES = (".mp4", ".wav", ".flac")


def read(root: Path, *, odd_media: bool = False) -> Manifest:
    """Read the three tables, and the media where they lie below ``root``.

    The id is ``{split}_dia{d}_utt{u}`` with split ``train``, ``valid`` (the file says ``dev``) or
    ``test``, because ``dia0_utt0`` exists in all three. Sound is ``dia0_utt0.wav`` where somebody
    extracted it, else the clip's own track.

    Args:
        root: The folder of the tables; tables and media may also lie in ``train/``, ``dev/`` and
            ``test/`` below it.
        odd_media: Give the media of the rows in :data:`ODD_MEDIA` too. By default they are left
            empty, that is a missing modality: a clip known to be cut wrongly would be taken for the
            utterance without anybody noticing.

    Raises:
        ManifestError: No table is there, one lacks a column, or a label is unknown.
    """
    check_root(root, "MELD", LAYOUT, lambda folder: any(_table(folder, split) for split in SPLITS))
    notes = Notes()
    rows: list[dict[str, object]] = []
    for split in SPLITS:
        path = _table(root, split)
        if path is None:
            notes.say(f"no {split}_sent_emo.csv")
            continue
        part = _read_table(path, split, notes)
        _attach_media(part, root, split, odd_media, notes)
        if len(part) != ROWS[split]:
            notes.say(f"{path.name} has {len(part):,} rows, the release has {ROWS[split]:,}")
        rows += part
    if not rows:
        raise ManifestError(f"{root}: the tables hold no row")
    training = {row["speaker"] for row in rows if row["split"] == "train"}
    tested = {row["speaker"] for row in rows if row["split"] == "test"}
    shared = training & tested
    notes.say(f"{len(shared)} speakers of the official test split also speak in its training split")
    columns = as_columns(rows)
    return Manifest.from_columns(
        "meld",
        columns,
        labels=LabelSet("meld-7", EMOTIONS),
        protocol="split",
        root=root.resolve(),
        notes=notes.lines(),
        tags=TAGS,
    )


def seconds(time: str) -> float:
    """Return an episode time in seconds, ``nan`` where it is none.

    >>> seconds("0:20:34,983"), seconds("00:20:34,98"), seconds("?")
    (1234.983, 1234.98, nan)
    """
    match = TIME.fullmatch(time.strip())
    if match is None:
        return float("nan")
    hours, minutes, whole, fraction = match.groups()
    return round(int(hours) * 3600 + int(minutes) * 60 + float(f"{whole}.{fraction}"), 3)


def _table(root: Path, split: str) -> Path | None:
    candidates = (root / f"{split}_sent_emo.csv", root / split / f"{split}_sent_emo.csv")
    return next((path for path in candidates if path.is_file()), None)


def _read_table(path: Path, split: str, notes: Notes) -> list[dict[str, object]]:
    text = io.StringIO(read_text(path, "cp1252", notes), newline="")
    with reading(path, TABLE):
        reader = csv.DictReader(text)
        names = list(reader.fieldnames or ())
    absent = [column for column in COLUMNS if column not in names]
    if absent:
        header = listed(names, 12)
        raise ManifestError(
            f"{path}: lacks the column {absent[0]!r}; its header is {header}. "
            f"MELD's tables have {', '.join(COLUMNS)}"
        )
    rows = []
    for number, row in enumerate(csv_rows(path, reader), start=1):
        if None in row or None in row.values():
            raise ManifestError(
                f"{path}: row {number} has another number of cells than the header; is a quote "
                "missing?"
            )
        rows.append(_row(row, SPLITS[split], notes))
    return rows


def _row(row: dict[str, str], split: str, notes: Notes) -> dict[str, object]:
    group = f"{split}_dia{row['Dialogue_ID']}"
    name = f"{group}_utt{row['Utterance_ID']}"
    start_s, end_s = seconds(row["StartTime"]), seconds(row["EndTime"])
    if np.isnan(start_s) or np.isnan(end_s):
        notes.count("row with an unreadable time", name)
    elif not start_s < end_s:
        notes.count("row without a duration", name)
    return {
        "id": name,
        "label": row["Emotion"].strip().lower(),
        "speaker": row["Speaker"].strip(),
        "group": group,
        "split": split,
        "language": "en",
        "text": row["Utterance"].strip(),
        "audio": "",
        "video": "",
        "meta_sentiment": row["Sentiment"].strip().lower(),
        "meta_season": row["Season"],
        "meta_episode": row["Episode"],
        "meta_episode_start_s": start_s,
        "meta_episode_end_s": end_s,
    }


def _media_folder(root: Path, split: str) -> Path | None:
    """Return where the split's clips lie, under whichever of the names in circulation."""
    for name in (FOLDERS[split], *OTHER_FOLDERS[split]):
        for folder in (root / name, root / split / name):
            if folder.is_dir():
                return folder
    return None


def _attach_media(
    rows: list[dict[str, object]], root: Path, split: str, odd_media: bool, notes: Notes
) -> None:
    folder = _media_folder(root, split)
    if folder is None:
        notes.say(f"no folder {FOLDERS[split]}: the {SPLITS[split]} rows have text only")
        return
    clips = _collect(folder, split, root, notes)
    missing = []
    for row in rows:
        name = str(row["id"])
        files = clips.pop(name, {})
        if files and name in ODD_MEDIA:
            notes.count(KNOWN_BAD, f"{name} ({ODD_MEDIA[name]})")
            if not odd_media:
                continue
        video = files.get(".mp4")
        audio = files.get(".wav") or files.get(".flac") or video
        row["video"] = media(video, root, notes)
        row["audio"] = row["video"] if audio is video else media(audio, root, notes)
        if not files:
            missing.append(name)
    if missing:
        notes.say(
            f"{len(missing)} of {len(rows)} {SPLITS[split]} rows have no media: {listed(missing)}",
            NO_MEDIA,
            len(missing),
            missing,
        )
    for name in clips:
        notes.count("clip without a row", name)


def _collect(folder: Path, split: str, root: Path, notes: Notes) -> dict[str, dict[str, Path]]:
    """Return the files of each clip by suffix.

    Of two versions of a test clip the plain name is taken.
    """
    clips: dict[str, dict[str, Path]] = {}
    for path in sorted(visible(folder, notes), key=lambda path: path.name.startswith("final_")):
        match, suffix = CLIP.fullmatch(path.stem), path.suffix.lower()
        if match is None or suffix not in SUFFIXES:
            notes.count("odd media name skipped", relative(path, root))
            continue
        files = clips.setdefault(f"{SPLITS[split]}_dia{int(match[2])}_utt{int(match[3])}", {})
        if suffix in files:
            notes.count("second version of a clip skipped", relative(path, root))
        else:
            files[suffix] = path
    return clips
