"""Transcripts on disk, so that a run that was killed goes on and nothing is heard twice.

One JSON file per clip, below a folder that is called after everything that changes a transcript.
Its name is a digest over the file's bytes and the part of it; its content has a digest, too.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embeddings_store.atomic import make_folder, write_json
from embeddings_store.errors import StoreError
from embeddings_store.json_values import number, text, whole
from embeddings_store.provenance import file_digest, fingerprint
from embeddings_store.reading import read_json, reading
from extract.transcription.words import Transcript, Word

FORMAT, VERSION = "emotion-transcript", 1
EXPECTED, ADVICE = "a transcript", "remove it, and it is made again"


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of a clip so far.

    Attributes:
        up_to_s: Up to where, in seconds of its file.
        transcript: What was said.
    """

    up_to_s: float
    transcript: Transcript = field(default_factory=lambda: Transcript(()))


@dataclass(frozen=True, slots=True)
class KeptTranscripts:
    """A folder of transcripts.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    def place(self, path: Path, part: tuple[float, float], about: Mapping[str, object]) -> Path:
        """Return where the transcript of a part of a file lies, whether or not it is there.

        Args:
            path: The file, whose bytes count and not its name.
            part: Start and end, in seconds.
            about: Everything else that changes the transcript; it is written beside them.
        """
        own = self.folder / fingerprint(dict(about))
        if not (own / "about.json").is_file():
            make_folder(own)
            write_json(own / "about.json", dict(about))
        key = f"{file_digest(path)} {part[0]:.6f} {part[1]:.6f}"
        return own / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"

    def read(self, place: Path) -> Heard | None:
        """Return what was heard, none where nothing was.

        Raises:
            StoreError: The file is damaged or was changed.
        """
        if not place.is_file():
            return None
        data = read_json(place, EXPECTED, ADVICE, StoreError)
        with reading(place, EXPECTED, ADVICE, StoreError):
            content = {name: value for name, value in data.items() if name != "digest"}
            if data["digest"] != _digest(content):
                raise StoreError(f"{place}: was changed after it was written; {ADVICE}")
            if (data["format"], data["version"]) != (FORMAT, VERSION):
                raise StoreError(f"{place}: is of another version; {ADVICE}")
            return _heard(data)

    def write(self, place: Path, heard: Heard) -> None:
        """Write what was heard so far, whole or not at all."""
        transcript = heard.transcript
        content = {
            "format": FORMAT,
            "version": VERSION,
            "up_to_s": heard.up_to_s,
            "language": transcript.language,
            "speech": [list(span) for span in transcript.speech],
            "dropped": transcript.dropped,
            "words": [
                [w.start_s, w.end_s, w.text, None if math.isnan(w.confidence) else w.confidence]
                for w in transcript.words
            ],
        }
        write_json(place, {**content, "digest": _digest(content)})


def _heard(data: Mapping[str, Any]) -> Heard:
    words = []
    for start_s, end_s, transcript, sure in data["words"]:
        confidence = math.nan if sure is None else number(sure)
        words.append(Word(number(start_s), number(end_s), text(transcript), confidence))
    speech = tuple((number(a), number(b)) for a, b in data["speech"])
    return Heard(
        number(data["up_to_s"]),
        Transcript(tuple(words), text(data["language"]), speech, whole(data["dropped"])),
    )


def _digest(content: Mapping[str, object]) -> str:
    plain = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()[:12]
