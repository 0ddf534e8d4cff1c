"""CREMA-D: five of 91 actors, each of the six emotions once, as wav and flv, with votes and demographics."""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

from functools import partial

from extract.corpora._notes import HIDDEN, KNOWN_BAD, NO_AUDIO, NO_VIDEO, ODD_NAME, POINTER
from extract.corpora.cremad import BAD, EMOTIONS
from extract.corpora.generated import FAILS, Defect, Studio

ACTORS = {
    1001: '51,"Male","Caucasian","Not Hispanic"',
    1002: '21,"Female","Caucasian","Not Hispanic"',
    1040: '42,"Male","Caucasian","Not Hispanic"',
    1064: '53,"Male","Caucasian","Not Hispanic"',
    1076: '25,"Female","Caucasian","Not Hispanic"',
}
SENTENCES = ("ITH", "DFA", "TAI", "WSI", "TSI", "IWL")
TABLE = "processedResults/summaryTable.csv"
PEOPLE = "VideoDemographics.csv"
HEADER = (
    '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote",'
    '"MultiModalLevel"\n'
)
UNRATED = "clip without a vote, which has no label"
DIVIDED = "clip with divided votes, which has no label"


def write(studio: Studio) -> None:
    """Write 30 clips; raters agree with the actors, but take disgust for anger by voice alone."""
    votes = [HEADER]
    for actor in ACTORS:
        for sentence, (code, emotion) in zip(SENTENCES, EMOTIONS.items(), strict=True):
            name = f"{actor}_{sentence}_{code}_XX"
            studio.sound(f"AudioWAV/{name}.wav", emotion, actor)
            studio.film(f"VideoFlash/{name}.flv", emotion, actor)
            votes.append(_vote(name))
    studio.text(TABLE, "".join(votes))
    people = [f"{actor},{about}" for actor, about in ACTORS.items()]
    studio.text(PEOPLE, "\n".join(['"ActorID","Age","Sex","Race","Ethnicity"', *people]) + "\n")


def _vote(name: str) -> str:
    seen = name[9]
    return f'"1","{name}","{"A" if seen == "D" else seen}","61.5","{seen}","70","{seen}","72.1"\n'


def _known_bad(studio: Studio, name: str) -> str:
    actor, _, emotion, _ = name.split("_")
    studio.sound(f"AudioWAV/{name}.wav", EMOTIONS[emotion], int(actor))
    studio.film(f"VideoFlash/{name}.flv", EMOTIONS[emotion], int(actor))
    studio.edit(TABLE, HEADER, HEADER + _vote(name))
    return name


def _misnamed(studio: Studio) -> str:
    studio.edit(TABLE, HEADER, HEADER + _vote("1040_ITH_SAD_X"))
    return studio.sound("AudioWAV/1040_ITH_SAD_X.wav", "sadness", 1040)


def _divided(studio: Studio) -> str:
    studio.edit(
        TABLE,
        _vote("1001_DFA_DIS_XX"),
        '"1","1001_DFA_DIS_XX","A:D","61.5:60","D:N","70:55","D:N","72.1:64"\n',
    )
    return "1001_DFA_DIS_XX"


def _unrated(studio: Studio) -> str:
    studio.edit(TABLE, _vote("1002_ITH_ANG_XX"), "")
    return "1002_ITH_ANG_XX"


def _lost(studio: Studio, folder: str, name: str, suffix: str) -> str:
    studio.remove(f"{folder}/{name}.{suffix}")
    return name


DEFECTS = (
    Defect(
        "AppleDouble twin of a clip",
        HIDDEN,
        lambda studio: studio.apple_double("AudioWAV/1001_ITH_ANG_XX.wav"),
    ),
    Defect(
        "Git-LFS pointer instead of sound",
        POINTER,
        lambda studio: studio.pointer("AudioWAV/1001_TAI_FEA_XX.wav"),
    ),
    Defect(
        "Git-LFS pointer instead of a film",
        POINTER,
        lambda studio: studio.pointer("VideoFlash/1001_TAI_FEA_XX.flv"),
    ),
    *(
        Defect("clip on the list of bad ones", KNOWN_BAD, partial(_known_bad, name=name))
        for name in sorted(BAD)
    ),
    Defect(
        "the clip whose level lacks a letter",
        "misnamed file, read under its proper name",
        _misnamed,
    ),
    Defect(
        "file with an emotion that does not exist",
        ODD_NAME,
        lambda studio: studio.text("AudioWAV/1001_DFA_JOY_XX.wav", "?"),
    ),
    Defect("raters divided between two emotions (read with label=multimodal)", DIVIDED, _divided),
    Defect("clip that nobody rated (read with label=multimodal)", UNRATED, _unrated),
    Defect(
        "sound missing",
        NO_AUDIO,
        lambda studio: _lost(studio, "AudioWAV", "1002_WSI_HAP_XX", "wav"),
    ),
    Defect(
        "film missing",
        NO_VIDEO,
        lambda studio: _lost(studio, "VideoFlash", "1002_TSI_NEU_XX", "flv"),
    ),
    Defect("film cut short", FAILS, lambda studio: studio.cut("VideoFlash/1002_IWL_SAD_XX.flv")),
    Defect("sound cut short", FAILS, lambda studio: studio.cut("AudioWAV/1002_IWL_SAD_XX.wav")),
)
