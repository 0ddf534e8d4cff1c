"""Reels: two tables of links and twenty local videos in eight emotions, sixteen for training and four for test."""

from __future__ import annotations

from extract.corpora._notes import EMPTY, HIDDEN, NO_VIDEO, NOT_LOCAL, UNMAPPED
from extract.corpora.generated import FAILS, Defect, Studio
from extract.corpora.reels import EMOTIONS

TRAIN, TEST = 16, 4
LINK = "https://example.invalid/reel/{}/"


def write(studio: Studio) -> None:
    """Write the tables, whose links lead nowhere, and every video under its number."""
    rows = {"train": [f"{n},{LINK.format(n)},{_emotion(n).capitalize()}" for n in range(1, TRAIN + 1)],
            "test": [f"{n},{LINK.format(TRAIN + n)}" for n in range(1, TEST + 1)]}
    for split, lines in rows.items():
        header = "id,video,emotion" if split == "train" else "id,video"
        studio.text(f"data{split}.csv", "\n".join([header, *lines]) + "\n")
        for number in range(1, len(lines) + 1):
            studio.film(f"video/{split}/{number}.mp4", _emotion(number), number, seconds=1.2)


def _emotion(number: int) -> str:
    return EMOTIONS[number % len(EMOTIONS)]


def _relabel(studio: Studio, number: int, written: str) -> str:
    studio.edit("datatrain.csv", f"\n{number},{LINK.format(number)},{_emotion(number).capitalize()}\n",
                f"\n{number},{LINK.format(number)},{written}\n")
    return f"train_{number}"


def _link_only(studio: Studio) -> str:
    studio.remove("video/train/2.mp4")
    return "train_2"


def _lost(studio: Studio) -> str:
    studio.remove("video/train/3.mp4")
    studio.edit("datatrain.csv", f"\n3,{LINK.format(3)}", "\n3,clips/3.mp4")
    return "train_3"


def _pickle_named(studio: Studio) -> str:
    studio.remove("video/train/4.mp4")
    studio.edit("datatrain.csv", f"\n4,{LINK.format(4)}", "\n4,frames/4.pt")
    studio.text("frames/4.pt", "not a pickle, and never read")
    return "train_4"


PICKLE = "pickle, which is never loaded"
DEFECTS = (
    Defect("AppleDouble twin of a video", HIDDEN, lambda studio: studio.twin("video/train/1.mp4")),
    Defect("link without a local video", NOT_LOCAL, _link_only),
    Defect("local path that does not exist", NO_VIDEO, _lost),
    Defect("frames as a pickle instead of a video", PICKLE, _pickle_named),
    Defect("frames as a pickle beside the videos", PICKLE, lambda studio: studio.text("video/train/1.pt", "never read")),
    Defect("slip of the pen in a label", "label with a slip of the pen, read as what it means",
           lambda studio: _relabel(studio, 7, "trst")),
    Defect("label that does not exist", UNMAPPED, lambda studio: _relabel(studio, 9, "happyness")),
    Defect("training row without a label", "training row without a label", lambda studio: _relabel(studio, 10, "")),
    Defect("empty video", EMPTY, lambda studio: studio.empty("video/train/11.mp4")),
    Defect("video cut short", FAILS, lambda studio: studio.cut("video/train/12.mp4")),
)
