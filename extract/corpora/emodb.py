"""EMO-DB: ten German speakers, ten sentences, seven emotions (wav/03a01Fa.wav).

Copies in other folders are read too. A file name is speaker (2 digits), sentence (3), emotion (1)
and version (1). Burkhardt et al. 2005, 535 clips.
"""

from __future__ import annotations

import re
from pathlib import Path

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError
from extract.corpora._clips import ClipRelease
from extract.corpora._files import as_columns, media
from extract.corpora._notes import ODD_NAME, Documented, Notes

LAYOUT = "wav/03a01Fa.wav"
CLIPS = 535
EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}
MALE, FEMALE = ("03", "10", "11", "12", "15"), ("08", "09", "13", "14", "16")
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
COUNTS = {
    "anger": 127,
    "boredom": 81,
    "disgust": 46,
    "fear": 69,
    "happiness": 71,
    "neutral": 79,
    "sadness": 62,
}
SAMPLE_RATE_HZ = 16_000
DOCUMENTED = (
    Documented(CLIPS),
    Documented(10, distinct="speaker"),
    *(Documented(count, {"label": label}) for label, count in COUNTS.items()),
)
TAGS = {"meta_sentence": "context", "meta_version": "safe", "meta_gender": "safe"}
STEM = re.compile(r"(\d\d)([ab]\d\d)([WLEAFTN])([a-z])")


def read(root: Path) -> Manifest:
    """Read the clips in ``root/wav``, or in the folders of a copy.

    Raises:
        ManifestError: There is no clip.
    """
    notes, rows = Notes(), []
    found = ClipRelease("EMO-DB", LAYOUT, _label, lambda folder: (folder / "wav").is_dir()).find(
        root, notes
    )
    for path in found.odd:
        notes.count(ODD_NAME, path.name)
    for path in sorted(found.clips, key=lambda path: path.stem):
        speaker, sentence, emotion, version = _parts(path)
        rows.append(
            {
                "id": path.stem,
                "label": EMOTIONS[emotion],
                "speaker": f"speaker-{speaker}",
                "group": f"speaker-{speaker}",
                "text": SENTENCES[sentence],
                "language": "de",
                "audio": media(path, root, notes),
                "meta_sentence": sentence,
                "meta_version": version,
                "meta_gender": "male" if speaker in MALE else "female",
            }
        )
    if not rows:
        raise ManifestError(
            f"{root}: no EMO-DB clip; EMO-DB is expected as {LAYOUT}. {' '.join(notes.lines())}"
        )
    speakers = {row["speaker"] for row in rows}
    notes.say(f"{len(speakers)} of 10 speakers, {len(rows)} of {CLIPS} clips")
    return Manifest.from_columns(
        "emodb",
        as_columns(rows),
        labels=LabelSet("emodb-7", tuple(EMOTIONS.values())),
        protocol="leave-one-speaker-out" if len(speakers) >= 3 else "",
        root=root.resolve(),
        notes=notes.lines(),
        tags=TAGS,
    )


def _parts(path: Path) -> tuple[str, ...]:
    """Return speaker, sentence, emotion and version of a clip, nothing for another file."""
    match = STEM.fullmatch(path.stem)
    if match is None or path.suffix.lower() != ".wav":
        return ()
    is_known = match[1] in MALE + FEMALE and match[2] in SENTENCES
    return match.groups() if is_known else ()


def _label(path: Path) -> str:
    parts = _parts(path)
    return EMOTIONS[parts[2]] if parts else ""
