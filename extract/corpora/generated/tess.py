"""TESS: both actresses, each of the seven emotions in three words, in the release's folders."""

from __future__ import annotations

from extract.corpora._clips import AGAIN
from extract.corpora._notes import EMPTY, HIDDEN, ODD_NAME
from extract.corpora.generated import FAILS, Defect, Studio
from extract.corpora.tess import EMOTIONS

WORDS = ("back", "bite", "youth")
RATE = 24_414
# The release spells the folders of the two actresses in different ways.
FOLDERS = {
    "OAF": ("angry", "disgust", "Fear", "happy", "neutral", "Pleasant_surprise", "Sad"),
    "YAF": ("angry", "disgust", "fear", "happy", "neutral", "pleasant_surprised", "sad"),
}


def write(studio: Studio) -> None:
    """Write 42 clips."""
    for actress in FOLDERS:
        for word in WORDS:
            for emotion in EMOTIONS:
                _clip(studio, actress, word, emotion)


def _clip(studio: Studio, actress: str, word: str, emotion: str, above: str = "") -> str:
    folder = f"{actress}_{FOLDERS[actress][list(EMOTIONS).index(emotion)]}"
    shown = "surprise" if emotion == "ps" else EMOTIONS[emotion]
    name = f"{above}{folder}/{actress}_{word}_{emotion}.wav"
    return studio.sound(name, shown, list(FOLDERS).index(actress), rate=RATE)


def _misnamed(studio: Studio) -> str:
    studio.remove("OAF_neutral/OAF_bite_neutral.wav")
    return studio.sound("OAF_neutral/OA_bite_neutral.wav", "neutral", 0, rate=RATE)


DEFECTS = (
    Defect(
        "AppleDouble twin of a clip",
        HIDDEN,
        lambda studio: studio.apple_double("OAF_angry/OAF_back_angry.wav"),
    ),
    Defect("clip with a letter too few", "misnamed file, read under its proper name", _misnamed),
    Defect(
        "clip that a copy holds twice",
        AGAIN,
        lambda studio: _clip(studio, "YAF", "back", "sad", "TESS data/"),
    ),
    Defect(
        "list beside the clips", ODD_NAME, lambda studio: studio.text("YAF_sad/list.txt", "back\n")
    ),
    Defect("empty file", EMPTY, lambda studio: studio.empty("YAF_sad/YAF_youth_sad.wav")),
    Defect("sound cut short", FAILS, lambda studio: studio.cut("OAF_Sad/OAF_back_sad.wav")),
)
