"""CREMA-D: 91 actors speak twelve sentences in six emotions (AudioWAV/1001_DFA_ANG_XX.wav, VideoFlash/1001_DFA_ANG_XX.flv).

Copies in other folders are read too. A file name says actor, sentence, intended emotion and level. ``processedResults/summaryTable.csv``
has what raters perceived, ``VideoDemographics.csv`` who the actors are. Cao et al. 2014,
https://doi.org/10.1109/TAFFC.2014.2336244
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, unknown_name
from extract.corpora._clips import ClipRelease
from extract.corpora._files import (
    as_columns,
    media,
    read_rows,
    relative,
    speaker_folds,
)
from extract.corpora._notes import KNOWN_BAD, NO_AUDIO, NO_VIDEO, ODD_NAME, Documented, Notes

LAYOUT = "AudioWAV/1001_DFA_ANG_XX.wav and VideoFlash/1001_DFA_ANG_XX.flv"
FOLDERS = {"AudioWAV": (".wav", ".flac"), "VideoFlash": (".flv", ".mp4")}
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
VOTES = {"voice": "VoiceVote", "face": "FaceVote", "multimodal": "MultiModalVote"}
LABELS = ("intended", *VOTES)
TIES = ("drop", "intended")
SENTENCES = {
    "DFA": "Don't forget a jacket.",
    "IEO": "It's eleven o'clock.",
    "IOM": "I'm on my way to the meeting.",
    "ITH": "I think I have a doctor's appointment.",
    "ITS": "I think I've seen this before.",
    "IWL": "I would like a new alarm clock.",
    "IWW": "I wonder what this is about.",
    "MTI": "Maybe tomorrow it will be cold.",
    "TAI": "The airplane is almost full.",
    "TIE": "That is exactly what happened.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
STEM = re.compile(r"(10\d\d)_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX)")
MISNAMED = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}
BAD = frozenset({"1076_MTI_NEU_XX", "1076_MTI_SAD_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD"})
CLIPS, ACTORS = 7442, 91
COUNTS = {
    "anger": 1271,
    "disgust": 1271,
    "fear": 1271,
    "happiness": 1271,
    "neutral": 1087,
    "sadness": 1271,
}
SAMPLE_RATE_HZ = 16_000
DOCUMENTED = (
    Documented(CLIPS),
    Documented(ACTORS, distinct="speaker"),
    Documented(12, distinct="meta_sentence"),
    *(
        Documented(count, {"label": label}, options={"label": "intended"})
        for label, count in COUNTS.items()
    ),
)
PEOPLE = {"Age": "meta_age", "Sex": "meta_sex", "Race": "meta_race", "Ethnicity": "meta_ethnicity"}
# The level was acted together with the emotion, and neutral has none.
TAGS = {
    **dict.fromkeys(PEOPLE.values(), "safe"),
    "meta_sentence": "context",
    "meta_level": "leaky",
    "meta_intended": "leaky",
}


def read(
    root: Path, *, label: str = "intended", ties: str = "drop", odd_media: bool = False
) -> Manifest:
    """Read the clips; sound and picture of the same name are one row.

    Args:
        root: The folder with ``AudioWAV`` or ``VideoFlash`` or both.
        label: ``intended``, what the actor was asked for, or what most raters perceived in the
            ``voice``, the ``face`` or both (``multimodal``).
        ties: Where raters are divided (``A:N``): ``drop`` gives the row no label, ``intended``
            takes the intended emotion if it is among the first. Both are counted.
        odd_media: Give the media of the clips in :data:`BAD` too; by default they are left empty, a
            missing modality.

    Raises:
        UnknownNameError: No such label or rule for ties.
        ManifestError: No clip is there, or perceived labels are asked for and the table of votes is
            not there or not one.
    """
    if label not in LABELS:
        unknown_name("CREMA-D label", label, LABELS)
    if ties not in TIES:
        unknown_name("rule for ties", ties, TIES)
    notes = Notes()
    clips = _collect(root, notes)
    if not clips:
        raise ManifestError(
            f"{root}: no CREMA-D clip; it is expected as {LAYOUT}. {' '.join(notes.lines())}"
        )
    labels = (
        _intended(clips) if label == "intended" else _perceived(root, clips, label, ties, notes)
    )
    people = _people(root, notes)
    rows = [
        _row(name, clips[name], labels[name], people, root, odd_media, notes)
        for name in sorted(clips)
    ]
    if label == "intended":
        for row in rows:
            del row["meta_intended"]
    actors = sorted({str(row["speaker"]) for row in rows})
    notes.say(f"{len(actors)} of {ACTORS} actors, {len(rows):,} of {CLIPS:,} clips")
    columns = as_columns(rows)
    return Manifest.from_columns(
        "cremad",
        columns,
        labels=LabelSet(f"cremad-{label}", tuple(EMOTIONS.values())),
        protocol=speaker_folds(len(actors), 5),
        root=root.resolve(),
        notes=notes.lines(),
        tags={column: tag for column, tag in TAGS.items() if column in columns},
    )


def _collect(root: Path, notes: Notes) -> dict[str, dict[str, Path]]:
    """Return the files of each clip by folder.

    The key is the release's name, also where a file bears another.
    """
    clips: dict[str, dict[str, Path]] = {}
    found = ClipRelease("CREMA-D", LAYOUT, _label, _is_published).find(root, notes)
    for path in found.odd:
        notes.count(ODD_NAME, relative(path, root))
    for path in found.clips:
        name = MISNAMED.get(path.stem, path.stem)
        folder = next(name for name, kinds in FOLDERS.items() if path.suffix.lower() in kinds)
        if folder in clips.setdefault(name, {}):
            notes.count("second file of a clip skipped", relative(path, root))
            continue
        clips[name][folder] = path
        if name != path.stem:
            notes.count("misnamed file, read under its proper name", relative(path, root))
    for folder, kind in (("AudioWAV", NO_AUDIO), ("VideoFlash", NO_VIDEO)):
        without = sorted(name for name, files in clips.items() if folder not in files)
        if len(without) == len(clips) and not (root / folder).is_dir():
            notes.say(f"no clip of {folder}")
            continue
        for name in without:
            notes.count(kind, name)
    return clips


def _is_published(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in FOLDERS)


def _label(path: Path) -> str:
    match = STEM.fullmatch(MISNAMED.get(path.stem, path.stem))
    known = {suffix for kinds in FOLDERS.values() for suffix in kinds}
    if match is None or path.suffix.lower() not in known or match[2] not in SENTENCES:
        return ""
    return EMOTIONS.get(match[3], "")


def _row(
    name: str,
    files: Mapping[str, Path],
    label: str,
    people: Mapping[str, Mapping[str, object]],
    root: Path,
    odd_media: bool,
    notes: Notes,
) -> dict[str, object]:
    actor, sentence, emotion, level = name.split("_")
    if name in BAD:
        notes.count(KNOWN_BAD, name)
        files = files if odd_media else {}
    return {
        "id": name,
        "label": label,
        "speaker": f"actor-{actor}",
        "group": f"actor-{actor}",
        "text": SENTENCES[sentence],
        "language": "en",
        "audio": media(files.get("AudioWAV"), root, notes),
        "video": media(files.get("VideoFlash"), root, notes),
        "meta_sentence": sentence,
        "meta_level": LEVELS[level],
        "meta_intended": EMOTIONS[emotion],
        **people.get(actor, people.get("", {})),
    }


def _intended(clips: Mapping[str, object]) -> dict[str, str]:
    return {name: EMOTIONS[name.split("_")[2]] for name in clips}


def _perceived(
    root: Path, clips: Mapping[str, object], channel: str, ties: str, notes: Notes
) -> dict[str, str]:
    """Return what most raters perceived in each clip, empty where they are divided or few."""
    path = root / "processedResults" / "summaryTable.csv"
    if not path.is_file():
        raise ManifestError(
            f"{path}: is not there, and label={channel} needs it; fetch it from the release, or "
            "use label=intended"
        )
    letters = {code[0]: name for code, name in EMOTIONS.items()}
    votes = {}
    for row in read_rows(path, ("FileName", VOTES[channel]), notes):
        name, vote = row["filename"], row[VOTES[channel].lower()]
        first = [letters.get(letter.strip(), "") for letter in vote.split(":")]
        if "" in first:
            raise ManifestError(
                f"{path}: {name!r} has the vote {vote!r}; votes are the letters "
                f"{', '.join(letters)}, with ':' between them where raters are divided"
            )
        votes[MISNAMED.get(name, name)] = first
    found = {}
    for name, intended in _intended(clips).items():
        first = votes.get(name, [])
        if not first:
            notes.count("clip without a vote, which has no label", name)
        elif len(first) > 1:
            kept = ties == "intended" and intended in first
            notes.count(
                "clip with divided votes, which takes the intended label"
                if kept
                else "clip with divided votes, which has no label",
                name,
            )
        found[name] = (
            first[0]
            if len(first) == 1
            else intended
            if ties == "intended" and intended in first
            else ""
        )
    return found


def _people(root: Path, notes: Notes) -> dict[str, dict[str, object]]:
    """Return metadata by actor, and under ``""`` what an actor gets who is not in the table.

    Nothing without a table.
    """
    path = root / "VideoDemographics.csv"
    if not path.is_file():
        notes.say(
            "no VideoDemographics.csv: the actors' age, sex, race and ethnicity are not known"
        )
        return {}
    found: dict[str, dict[str, object]] = {
        "": {column: float("nan") if name == "Age" else "" for name, column in PEOPLE.items()}
    }
    for row in read_rows(path, ("ActorID", *PEOPLE), notes):
        if not row["age"].strip().isdecimal():
            raise ManifestError(
                f"{path}: actor {row['actorid']!r} has the age {row['age']!r}; a whole number is "
                "expected"
            )
        found[row["actorid"].strip()] = {
            column: float(row["age"]) if name == "Age" else row[name.lower()].strip()
            for name, column in PEOPLE.items()
        }
    return found
