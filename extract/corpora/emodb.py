"""EMO-DB: ten German speakers, ten sentences, seven emotions (wav/03a01Fa.wav).

A file name is speaker (2 digits), sentence (3), emotion (1) and version (1). Burkhardt et al. 2005,
535 clips.
"""

from __future__ import annotations

import re
from pathlib import Path

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError
from extract.corpora._files import as_columns, check_root, media, visible
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
DOCUMENTED = (
    Documented(CLIPS),
    Documented(10, distinct="speaker"),
    *(Documented(count, {"label": label}) for label, count in COUNTS.items()),
)
TAGS = {"meta_sentence": "context", "meta_version": "safe", "meta_gender": "safe"}
STEM = re.compile(r"(\d\d)([ab]\d\d)([WLEAFTN])([a-z])")


def read(root: Path) -> Manifest:
    """Read the clips in ``root/wav``.

    Raises:
        ManifestError: There is no folder ``wav``, or no clip in it.
    """
    check_root(root, "EMO-DB", LAYOUT, lambda folder: (folder / "wav").is_dir())
    notes, rows = Notes(), []
    for path in visible(root / "wav", notes):
        match = STEM.fullmatch(path.stem)
        if (
            match is None
            or path.suffix.lower() != ".wav"
            or match[1] not in MALE + FEMALE
            or match[2] not in SENTENCES
        ):
            notes.count(ODD_NAME, path.name)
            continue
        speaker, sentence, emotion, version = match.groups()
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
            f"{root / 'wav'}: no EMO-DB clip; EMO-DB is expected as {LAYOUT}. "
            f"{' '.join(notes.lines())}"
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
