"""Words with times and cues: what subtitles are made from, as plain text without any markup."""

from __future__ import annotations

import dataclasses
import itertools
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings_store.errors import ManifestError
from embeddings_store.json_values import number
from embeddings_store.json_values import text as plain_string
from embeddings_store.reading import read_json, reading

NEUTRAL = "neutral"
LONGEST_FILM_S = 36_000.0  # ASS has one digit for hours
WORDS_FORM = 'a JSON list of words, such as [{"text": "no", "start_s": 1.2, "end_s": 1.5}]'


@dataclass(frozen=True, slots=True)
class TimedWord:
    """One word, or where no spaces part them one piece of text.

    Attributes:
        text: How it is written, with its punctuation.
        start_s: Where it begins, in seconds.
        end_s: Where it ends.
        speaker: Who says it; empty where nobody knows.
        emotion: Set where words of one cue differ clearly; empty is the cue's.
    """

    text: str
    start_s: float
    end_s: float
    speaker: str = ""
    emotion: str = ""


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen at once.

    Attributes:
        lines: The words of each line.
        start_s: When it appears, in seconds.
        end_s: When it goes.
        emotion: What it is said with; empty where nothing is known.
        confidence: Probability of the emotion; ``nan`` where nothing is known.
    """

    lines: tuple[tuple[TimedWord, ...], ...]
    start_s: float
    end_s: float
    emotion: str = ""
    confidence: float = math.nan

    @property
    def words(self) -> tuple[TimedWord, ...]:
        """Its words, line after line."""
        return tuple(itertools.chain.from_iterable(self.lines))

    @property
    def speaker(self) -> str:
        """Who speaks."""
        return self.words[0].speaker if self.words else ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each line."""
        return tuple(join(line) for line in self.lines)


def join(words: Iterable[TimedWord]) -> str:
    """Return words as a text; between Chinese and Japanese characters stands no space.

    >>> join([TimedWord("안녕", 0, 1), TimedWord("오늘", 1, 2)])
    '안녕 오늘'
    >>> join([TimedWord("你", 0, 1), TimedWord("好", 1, 2), TimedWord("OK", 2, 3)])
    '你好 OK'
    """
    text = ""
    for word in words:
        text += space_between(text, word.text) + word.text
    return text


def space_between(before: str, after: str) -> str:
    """Return what stands between two words: a space, or nothing."""
    if not before or not after:
        return ""
    return "" if _spaceless(before[-1]) and _spaceless(after[0]) else " "


def _spaceless(letter: str) -> bool:
    wide = unicodedata.east_asian_width(letter) in "WF"
    return wide and unicodedata.category(letter) != "So" and "HANGUL" not in _name(letter)


def _name(letter: str) -> str:
    return unicodedata.name(letter, "")


def clean(text: str) -> str:
    r"""Return a text in one line: white space is a space, what cannot be written is left out.

    That is control characters and halves of letters; no other character is touched.

    >>> clean(" a\r\n\tb\x00 \u2028c\ud800")
    'a b c'
    """
    kept = "".join(c for c in text if c.isspace() or _can_be_written(c))
    return " ".join(kept.split())


def _can_be_written(letter: str) -> bool:
    return unicodedata.category(letter) not in ("Cc", "Cs") and letter not in "\ufffe\uffff\ufeff"


def checked(words: Iterable[TimedWord]) -> list[TimedWord]:
    """Return words with clean texts in the order of their times, without those that have no text.

    Args:
        words: In any order.

    Raises:
        ManifestError: A word's times are no times.
    """
    kept = []
    for word in words:
        text = clean(word.text)
        times_s = (word.start_s, word.end_s)
        finite = all(map(math.isfinite, times_s))
        if not (finite and 0 <= word.start_s <= word.end_s < LONGEST_FILM_S):
            raise ManifestError(
                f"the word {text!r} goes from {word.start_s} s to {word.end_s} s; give times in "
                "seconds, from 0 on and below ten hours, the end not before the start"
            )
        if text:
            speaker = clean(word.speaker)
            kept.append(TimedWord(text, word.start_s, word.end_s, speaker, word.emotion))
    return sorted(kept, key=lambda word: word.start_s)


def read_words(path: Path) -> list[TimedWord]:
    """Read words from JSON: a list, or what whisperX and openai-whisper write.

    A word is ``text`` (or ``word``), ``start_s`` (or ``start``), ``end_s`` (or ``end``) and
    optionally ``speaker``. whisperX leaves out the times of what it cannot align; such a word
    stands at the end of the one before it.

    Args:
        path: The file.

    Raises:
        ManifestError: It is of another form, or a word's times are no times.
    """
    data = read_json(path, WORDS_FORM)
    with reading(path, WORDS_FORM, "write it in that form"):
        return checked(_with_times([_raw(entry) for entry in _entries(data)]))


def _entries(data: Any) -> list[dict[str, Any]]:
    if isinstance(data, list):
        return data
    if "segments" in data:
        found: list[dict[str, Any]] = []
        for segment in data["segments"]:
            for word in segment["words"]:
                found.append({"speaker": segment.get("speaker", ""), **word})
        return found
    return list(data["words"])


def _raw(entry: dict[str, Any]) -> TimedWord:
    def time_s(name: str) -> float:
        value = entry.get(f"{name}_s", entry.get(name))
        return math.nan if value is None else number(value)

    text = plain_string(entry["text"] if "text" in entry else entry["word"])
    speaker = entry.get("speaker") or ""
    return TimedWord(text, time_s("start"), time_s("end"), plain_string(speaker))


def _with_times(words: Sequence[TimedWord]) -> list[TimedWord]:
    """Put words without times to the end of the word before them."""
    placed: list[TimedWord] = []
    for word in words:
        if math.isnan(word.start_s) or math.isnan(word.end_s):
            at_s = placed[-1].end_s if placed else 0.0
            word = dataclasses.replace(word, start_s=at_s, end_s=at_s)
        placed.append(word)
    return placed
