"""SAVEE: the four men, each of the seven emotions once, as wav in a folder for each of them."""

from __future__ import annotations

from extract.corpora._clips import AGAIN
from extract.corpora._notes import EMPTY, HIDDEN, ODD_NAME
from extract.corpora.generated import FAILS, Defect, Studio
from extract.corpora.savee import EMOTIONS, SPEAKERS

RATE = 44_100


def write(studio: Studio) -> None:
    """Write 28 clips."""
    for speaker in SPEAKERS:
        for code, emotion in EMOTIONS.items():
            _clip(studio, speaker, code, emotion)


def _clip(studio: Studio, speaker: str, code: str, emotion: str, above: str = "") -> str:
    number = SPEAKERS.index(speaker)
    name = f"{above}AudioData/{speaker}/{code}{number + 1:02d}.wav"
    # Voices of one length are so alike that the audit takes them for copies.
    return studio.sound(name, emotion, 4 * number, rate=RATE, duration_s=0.5 + number / 10)


DEFECTS = (
    Defect(
        "AppleDouble twin of a clip",
        HIDDEN,
        lambda studio: studio.apple_double("AudioData/DC/a01.wav"),
    ),
    Defect(
        "clip that a copy holds twice",
        AGAIN,
        lambda studio: _clip(studio, "DC", "a", "anger", "copy/"),
    ),
    Defect(
        "list beside the clips", ODD_NAME, lambda studio: studio.text("AudioData/JE/Info.txt", "\n")
    ),
    Defect("empty file", EMPTY, lambda studio: studio.empty("AudioData/KL/sa04.wav")),
    Defect("sound cut short", FAILS, lambda studio: studio.cut("AudioData/KL/n04.wav")),
)
