"""TESS: two actresses say 200 words in seven emotions (OAF_angry/OAF_back_angry.wav).

Copies in other folders are read too. A file name is actress (older, younger), word and emotion;
``ps`` is a pleasant surprise. Pichora-Fuller and Dupuis 2010, https://doi.org/10.5683/SP2/E8H2MF
"""

from __future__ import annotations

import re
from pathlib import Path

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError
from extract.corpora._clips import ClipRelease
from extract.corpora._files import as_columns, media, relative, visible
from extract.corpora._notes import ODD_NAME, Documented, Notes

LAYOUT = "OAF_angry/OAF_back_angry.wav"
CLIPS, WORDS = 2800, 200
EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "pleasant surprise",
    "sad": "sadness",
}
AGES = {"OAF": 64.0, "YAF": 26.0}
STEM = re.compile(rf"(OAF|YAF)_([a-z]+)_({'|'.join(EMOTIONS)})", re.IGNORECASE)
FOLDER = re.compile(r"(OAF|YAF)_[A-Za-z_]+")
MISNAMED = {"OA_bite_neutral": "OAF_bite_neutral"}
DOCUMENTED = (
    Documented(CLIPS),
    Documented(len(AGES), distinct="speaker"),
    Documented(WORDS, distinct="meta_word"),
    *(Documented(CLIPS // len(EMOTIONS), {"label": label}) for label in EMOTIONS.values()),
)
TAGS = {"meta_word": "context", "meta_age": "safe"}


def read(root: Path) -> Manifest:
    """Read the clips; two actresses are too few for folds with validation rows.

    ``--folds leave-one-speaker-out --valid none`` tests each in turn.

    Args:
        root: The folder with ``OAF_angry`` and so on, or a copy in other folders.

    Raises:
        ManifestError: There is no clip.
    """
    notes, rows = Notes(), []
    found = ClipRelease("TESS", LAYOUT, _label, _is_published, _id).find(root, notes)
    for path in found.odd:
        notes.count(ODD_NAME, relative(path, root))
    for path in found.clips:
        actress, word, emotion = _parts(path)
        if path.stem in MISNAMED:
            notes.count("misnamed file, read under its proper name", relative(path, root))
        rows.append(
            {
                "id": _id(path),
                "label": EMOTIONS[emotion],
                "speaker": actress,
                "group": actress,
                "text": f"Say the word {word}.",
                "language": "en",
                "audio": media(path, root, notes),
                "meta_word": word,
                "meta_age": AGES[actress],
            }
        )
    if not rows:
        raise ManifestError(f"{root}: no TESS clip; TESS is expected as {LAYOUT}")
    rows.sort(key=lambda row: str(row["id"]))
    actresses = {row["speaker"] for row in rows}
    notes.say(f"{len(actresses)} of {len(AGES)} actresses, {len(rows):,} of {CLIPS:,} clips")
    return Manifest.from_columns(
        "tess",
        as_columns(rows),
        labels=LabelSet("tess-7", tuple(EMOTIONS.values())),
        root=root.resolve(),
        notes=notes.lines(),
        tags=TAGS,
    )


def _is_published(folder: Path) -> bool:
    return any(FOLDER.fullmatch(path.name) and path.is_dir() for path in visible(folder))


def _parts(path: Path) -> tuple[str, str, str]:
    """Return actress, word and emotion of a clip, all empty for another file."""
    match = STEM.fullmatch(MISNAMED.get(path.stem, path.stem))
    if match is None or path.suffix.lower() != ".wav":
        return "", "", ""
    return match[1].upper(), match[2].lower(), match[3].lower()


def _id(path: Path) -> str:
    return "_".join(_parts(path))


def _label(path: Path) -> str:
    return EMOTIONS.get(_parts(path)[2], "")
