"""What a recogniser of speech offers, whichever engine runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from embeddings_store.errors import UsageError
from extract.transcription.speech import Samples
from extract.transcription.words import Word

ENGLISH = "en"


class Recogniser(Protocol):
    """What writes down up to 30 seconds of speech.

    Attributes:
        about: What it is, with the digest of its weights; part of the transcripts' fingerprint.
        languages: Codes of the languages that it knows.
    """

    about: Mapping[str, object]
    languages: frozenset[str]

    def language_of(self, samples: Samples) -> str:
        """Return the code of the language that is spoken."""

    def words(self, samples: Samples, language: str) -> list[Word]:
        """Return what is said, times from the first sample."""


def require_language(recogniser: Recogniser, language: str) -> None:
    """Refuse a language that a recogniser does not know; empty is none.

    Raises:
        UsageError: It does not, and which would.
    """
    if not language or language in recogniser.languages:
        return
    name = recogniser.about["model"]
    if recogniser.languages == {ENGLISH}:
        raise UsageError(
            f"{name} writes English alone, not {language!r}; take a Whisper of all languages, "
            "whose name does not end with .en"
        )
    raise UsageError(
        f"{name} does not know the language {language!r}; give a code such as id, ko or en"
    )
