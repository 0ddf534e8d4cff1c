"""RAVDESS: four of 24 actors, every emotion once in speech (as audio and as video) and in song."""

from __future__ import annotations

from extract.corpora._notes import EMPTY, HIDDEN, ODD_NAME, POINTER
from extract.corpora.generated import FAILS, Defect, Studio
from extract.corpora.ravdess import EMOTIONS, SUNG

ACTORS = (1, 2, 3, 4)
SPEECH, SONG = "01", "02"


def write(studio: Studio) -> None:
    """Write 32 spoken and 24 sung clips.

    What is spoken also as audio-video (01), by actor 1 also as video-only (02) files.
    """
    for actor in ACTORS:
        for channel, emotions in ((SPEECH, EMOTIONS), (SONG, SUNG)):
            for number, emotion in enumerate(emotions, start=1):
                studio.sound(
                    _name("03", channel, number, actor, "wav"), emotion, actor, rate=48_000
                )
                if channel == SPEECH:
                    studio.film(_name("01", channel, number, actor, "mp4"), emotion, actor)
                if channel == SPEECH and actor == ACTORS[0]:
                    studio.film(
                        _name("02", channel, number, actor, "mp4"), emotion, actor, sound=False
                    )


def _name(modality: str, channel: str, emotion: int, actor: int, suffix: str) -> str:
    statement = 1 + emotion % 2
    name = f"{modality}-{channel}-{emotion:02d}-01-{statement:02d}-01-{actor:02d}.{suffix}"
    return f"Actor_{actor:02d}/{name}"


DEFECTS = (
    Defect(
        "AppleDouble twin of a clip",
        HIDDEN,
        lambda studio: studio.apple_double(_name("03", SPEECH, 1, 1, "wav")),
    ),
    Defect("folder of macOS", HIDDEN, lambda studio: studio.text(".DS_Store", "Bud1")),
    Defect(
        "file that is no clip",
        ODD_NAME,
        lambda studio: studio.text("Actor_02/readme.txt", "RAVDESS\n"),
    ),
    Defect(
        "clip with an emotion that does not exist",
        ODD_NAME,
        lambda studio: studio.sound("Actor_02/03-01-09-01-01-01-02.wav", "neutral", 2),
    ),
    Defect(
        "clip in another actor's folder",
        "clip in another actor's folder skipped",
        lambda studio: studio.sound("Actor_02/03-01-05-01-01-02-03.wav", "angry", 3),
    ),
    Defect(
        "Git-LFS pointer", POINTER, lambda studio: studio.pointer(_name("03", SPEECH, 2, 2, "wav"))
    ),
    Defect("empty file", EMPTY, lambda studio: studio.empty(_name("03", SPEECH, 3, 2, "wav"))),
    Defect("sound cut short", FAILS, lambda studio: studio.cut(_name("03", SPEECH, 4, 2, "wav"))),
    Defect("film cut short", FAILS, lambda studio: studio.cut(_name("01", SPEECH, 5, 1, "mp4"))),
)
