"""MELD: three tables of a few dialogues with their clips in the three split folders."""

from __future__ import annotations

import csv
import io
from functools import partial

from extract.corpora._notes import EMPTY, HIDDEN, KNOWN_BAD
from extract.corpora.generated import FAILS, Defect, Studio
from extract.corpora.meld import COLUMNS, EMOTIONS, FOLDERS, NO_MEDIA

CAST = ("Joey", "Monica", "Ross", "Rachel")
LINES = (
    "How you doin'?",
    "I know!",
    "We were on a break!",
    "It's not that common.",
    "Pivot!",
    "Oh. My. God.",
    "Seven!",
)
SENTIMENT = {"joy": "positive", "neutral": "neutral"}
# Dialogues of each split, seven lines each: every emotion once.
DIALOGUES = {"train": (0, 1, 2), "dev": (0, 110), "test": (0, 1)}
START = "0:20:34,983"


def write(studio: Studio) -> None:
    """Write 49 lines and their clips; times have a leading nought or none, as in the release."""
    for split, dialogues in DIALOGUES.items():
        rows = []
        for dialogue in dialogues:
            for utterance, emotion in enumerate(EMOTIONS):
                rows.append(_row(dialogue, utterance, emotion))
        table = io.StringIO(newline="")
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["Sr No.", *COLUMNS])
        writer.writerows([number, *row] for number, row in enumerate(rows, start=1))
        studio.text(f"{split}_sent_emo.csv", table.getvalue())
        for dialogue in dialogues:
            for utterance, emotion in enumerate(EMOTIONS):
                studio.film(
                    _clip(split, dialogue, utterance),
                    emotion,
                    1 + (dialogue + utterance) % len(CAST),
                )


def _row(dialogue: int, utterance: int, emotion: str) -> list[object]:
    start = START if utterance % 2 else f"0{START}"
    words, speaker = LINES[utterance % len(LINES)], CAST[(dialogue + utterance) % len(CAST)]
    return [
        words,
        speaker,
        emotion,
        SENTIMENT.get(emotion, "negative"),
        dialogue,
        utterance,
        4,
        7,
        start,
        "00:20:37,120",
    ]


def _clip(split: str, dialogue: int, utterance: int) -> str:
    return f"{FOLDERS[split]}/dia{dialogue}_utt{utterance}.mp4"


def _add(
    studio: Studio, split: str, dialogue: int, utterance: int, *, end: str = "00:20:37,120"
) -> str:
    """Add one line to a table, and its clip."""
    path = studio.root / f"{split}_sent_emo.csv"
    row = _row(dialogue, utterance, "neutral")
    row[-1] = end
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n").writerow(
        [path.read_text(encoding="utf-8").count("\n"), *row]
    )
    studio.text(path.name, path.read_text(encoding="utf-8") + table.getvalue())
    studio.film(_clip(split, dialogue, utterance), "neutral", 1)
    return f"{'valid' if split == 'dev' else split}_dia{dialogue}_utt{utterance}"


def _spare(studio: Studio, split: str, dialogue: int, utterance: int) -> str:
    studio.film(_clip(split, dialogue, utterance), "neutral", 1)
    return f"{'valid' if split == 'dev' else split}_dia{dialogue}_utt{utterance}"


def _missing(studio: Studio) -> str:
    name = _add(studio, "dev", 110, 7)
    studio.remove(_clip("dev", 110, 7))
    return name


def _corrupt(studio: Studio) -> str:
    name = _add(studio, "train", 125, 3)
    studio.cut(_clip("train", 125, 3))
    return name


SPARE = "clip without a row"
DEFECTS = (
    Defect(
        "AppleDouble twin of a clip",
        HIDDEN,
        lambda studio: studio.apple_double(_clip("test", 0, 0)),
    ),
    Defect("corrupt clip on the list of bad ones", KNOWN_BAD, _corrupt),
    *(
        Defect(
            "clip of several minutes on the list of bad ones",
            KNOWN_BAD,
            partial(_add, split="test", dialogue=d, utterance=u),
        )
        for d, u in ((38, 4), (220, 0))
    ),
    Defect(
        "wrongly cut clip on the list of bad ones",
        KNOWN_BAD,
        partial(_add, split="train", dialogue=309, utterance=0),
    ),
    Defect("clip missing, as in the release", NO_MEDIA, _missing),
    *(
        Defect(
            "clip that no row names", SPARE, partial(_spare, split=split, dialogue=d, utterance=u)
        )
        for split, d, u in (
            ("dev", 49, 4),
            ("dev", 49, 5),
            ("dev", 66, 9),
            ("dev", 66, 10),
            ("test", 108, 2),
        )
    ),
    Defect(
        "second version of a clip",
        "second version of a clip skipped",
        lambda studio: studio.film(f"{FOLDERS['test']}/final_videos_testdia1_utt0.mp4", "anger", 1),
    ),
    Defect(
        "line without a duration",
        "row without a duration",
        lambda studio: _add(studio, "test", 155, 3, end=START),
    ),
    Defect("clip cut short", FAILS, lambda studio: studio.cut(_clip("train", 2, 6))),
    Defect("empty clip", EMPTY, lambda studio: studio.empty(_clip("train", 2, 5))),
    # Last, since the file is no UTF-8 afterwards.
    Defect(
        "apostrophe of Windows in a table",
        "file that is not UTF-8, read as cp1252",
        lambda studio: studio.text(
            "dev_sent_emo.csv",
            (studio.root / "dev_sent_emo.csv")
            .read_text(encoding="utf-8")
            .replace("doin'", "doin\u2019"),
            "cp1252",
        ),
    ),
)
