"""Reels: two tables of links and 28 local videos in eight emotions, 24 for training and four for test."""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

from collections.abc import Callable

from extract.corpora._notes import EMPTY, HIDDEN, NO_VIDEO, NOT_LOCAL, UNMAPPED
from extract.corpora.generated import FAILS, Defect, Studio
from extract.corpora.reels import EMOTIONS

TRAIN, TEST = 24, 4
LINK = "https://example.invalid/reel/{}/"


def write(studio: Studio) -> None:
    """Write the tables, whose links lead nowhere, and every video under its number."""
    rows = {
        "train": [f"{n},{LINK.format(n)},{_emotion(n).capitalize()}" for n in range(1, TRAIN + 1)],
        "test": [f"{n},{LINK.format(TRAIN + n)}" for n in range(1, TEST + 1)],
    }
    for split, lines in rows.items():
        header = "id,video,emotion" if split == "train" else "id,video"
        studio.text(f"data{split}.csv", "\n".join([header, *lines]) + "\n")
        for number in range(1, len(lines) + 1):
            studio.film(f"video/{split}/{number}.mp4", _emotion(number), number, duration_s=1.2)


def _emotion(number: int) -> str:
    return EMOTIONS[number % len(EMOTIONS)]


def _add(
    studio: Studio, number: int, *, label: str | None = None, named: str = "", film: bool = True
) -> str:
    """Add a training row, for a defect, so that every class stays in every fold."""
    written = _emotion(number).capitalize() if label is None else label
    studio.text(
        "datatrain.csv",
        f"{(studio.root / 'datatrain.csv').read_text(encoding='utf-8')}{number},"
        f"{named or LINK.format(number)},{written}\n",
    )
    if film:
        studio.film(_film(number), _emotion(number), number)
    return f"train_{number}"


def _film(number: int) -> str:
    return f"video/train/{number}.mp4"


def _pickle(studio: Studio) -> str:
    studio.text("frames/32.pt", "not a pickle, and never read")
    return _add(studio, 32, named="frames/32.pt", film=False)


def _spoil(studio: Studio, number: int, how: Callable[[str], str]) -> str:
    _add(studio, number)
    return how(_film(number))


PICKLE = "pickle, which is never loaded"
DEFECTS = (
    Defect(
        "AppleDouble twin of a video",
        HIDDEN,
        lambda studio: studio.apple_double("video/train/1.mp4"),
    ),
    Defect("link without a local video", NOT_LOCAL, lambda studio: _add(studio, 30, film=False)),
    Defect(
        "local path that does not exist",
        NO_VIDEO,
        lambda studio: _add(studio, 31, named="clips/31.mp4", film=False),
    ),
    Defect("frames as a pickle instead of a video", PICKLE, _pickle),
    Defect(
        "frames as a pickle beside the videos",
        PICKLE,
        lambda studio: studio.text("video/train/1.pt", "never read"),
    ),
    Defect(
        "slip of the pen in a label",
        "label with a slip of the pen, read as what it means",
        lambda studio: _add(studio, 35, label="trst"),
    ),
    Defect(
        "label that does not exist", UNMAPPED, lambda studio: _add(studio, 36, label="happyness")
    ),
    Defect(
        "training row without a label",
        "training row without a label",
        lambda studio: _add(studio, 37, label=""),
    ),
    Defect("empty video", EMPTY, lambda studio: _spoil(studio, 38, studio.empty)),
    Defect("video cut short", FAILS, lambda studio: _spoil(studio, 39, studio.cut)),
)
