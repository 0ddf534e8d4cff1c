"""EMO-DB: four of ten German speakers, each of the seven emotions once, as 16 kHz wav."""

from __future__ import annotations

from extract.corpora._notes import EMPTY, HIDDEN, ODD_NAME
from extract.corpora.emodb import EMOTIONS
from extract.corpora.generated import FAILS, Defect, Studio

SPEAKERS = (3, 8, 12, 16)


def write(studio: Studio) -> None:
    """Write 28 clips."""
    for speaker in SPEAKERS:
        for letter, emotion in EMOTIONS.items():
            studio.sound(f"wav/{speaker:02d}a01{letter}a.wav", emotion, speaker)


DEFECTS = (
    Defect(
        "AppleDouble twin of a clip", HIDDEN, lambda studio: studio.apple_double("wav/03a01Fa.wav")
    ),
    Defect(
        "clip of a speaker who does not exist",
        ODD_NAME,
        lambda studio: studio.sound("wav/99a01Fa.wav", "happiness", 1),
    ),
    Defect(
        "list beside the clips", ODD_NAME, lambda studio: studio.text("wav/list.txt", "03a01Fa\n")
    ),
    Defect("empty file", EMPTY, lambda studio: studio.empty("wav/08a01Wa.wav")),
    Defect("sound cut short", FAILS, lambda studio: studio.cut("wav/16a01Wa.wav")),
)
