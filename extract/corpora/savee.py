"""SAVEE: four men speak English sentences in seven emotions (AudioData/DC/a01.wav).

Copies in other folders are read too, such as ``ALL/DC_a01.wav``. A file name is speaker (where it
is not in the name, the folder), emotion and number. Haq and Jackson 2009, 480 clips.
"""

from __future__ import annotations

import re
from pathlib import Path

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError
from extract.corpora._clips import ClipRelease
from extract.corpora._files import as_columns, media, relative, speaker_folds
from extract.corpora._notes import ODD_NAME, Documented, Notes

LAYOUT = "AudioData/DC/a01.wav"
CLIPS = 480
SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
STEM = re.compile(rf"(?:({'|'.join(SPEAKERS)})_?)?(sa|su|[adfhn])(\d\d)")
DOCUMENTED = (
    Documented(CLIPS),
    Documented(len(SPEAKERS), distinct="speaker"),
    *(
        Documented(120 if label == "neutral" else 60, {"label": label})
        for label in EMOTIONS.values()
    ),
)


def read(root: Path) -> Manifest:
    """Read the clips; what is said is not in the release, so there is no text.

    Args:
        root: The folder with ``AudioData``, or a copy in other folders.

    Raises:
        ManifestError: There is no clip.
    """
    notes, rows = Notes(), []
    found = ClipRelease("SAVEE", LAYOUT, _label, _is_published, _id).find(root, notes)
    for path in found.odd:
        notes.count(ODD_NAME, relative(path, root))
    for path in found.clips:
        speaker, emotion, _ = _parts(path)
        rows.append(
            {
                "id": _id(path),
                "label": EMOTIONS[emotion],
                "speaker": speaker,
                "group": speaker,
                "language": "en",
                "audio": media(path, root, notes),
            }
        )
    if not rows:
        raise ManifestError(f"{root}: no SAVEE clip; SAVEE is expected as {LAYOUT}")
    rows.sort(key=lambda row: row["id"])
    speakers = {row["speaker"] for row in rows}
    notes.say(f"{len(speakers)} of {len(SPEAKERS)} speakers, {len(rows)} of {CLIPS} clips")
    return Manifest.from_columns(
        "savee",
        as_columns(rows),
        labels=LabelSet("savee-7", tuple(EMOTIONS.values())),
        protocol=speaker_folds(len(speakers), len(SPEAKERS)),
        root=root.resolve(),
        notes=notes.lines(),
    )


def _is_published(folder: Path) -> bool:
    return (folder / "AudioData").is_dir()


def _parts(path: Path) -> tuple[str, str, str]:
    """Return speaker, emotion and number of a clip, all empty for another file."""
    match = STEM.fullmatch(path.stem)
    if match is None or path.suffix.lower() != ".wav":
        return "", "", ""
    speaker = match[1] or path.parent.name
    return (speaker, match[2], match[3]) if speaker in SPEAKERS else ("", "", "")


def _id(path: Path) -> str:
    speaker, emotion, number = _parts(path)
    return f"{speaker}_{emotion}{number}"


def _label(path: Path) -> str:
    return EMOTIONS.get(_parts(path)[1], "")
