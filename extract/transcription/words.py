"""What was said when: words with their times, and what they are worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Scripts that put no space between words, by the code of their language.
SPACELESS = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km"})
PAUSE_S = 0.5  # a longer one ends a cue
SENTENCE_ENDS = (".", "?", "!", "。", "?", "!", "…")


@dataclass(frozen=True, slots=True)
class Word:
    """One word, or where no spaces part them one piece of text.

    Attributes:
        start_s: Where it begins in its file, in seconds.
        end_s: Where it ends.
        text: How it is written, with its punctuation.
        confidence: Its mean token probability, ``nan`` where nothing says it.
    """

    start_s: float
    end_s: float
    text: str
    confidence: float = math.nan

    @property
    def centre_s(self) -> float:
        """The time by which it belongs to a window, in seconds."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of a clip.

    Attributes:
        words: In the order of their times.
        language: Its code, such as ``en``; empty where nobody knows.
        speech: Spans in which somebody speaks, in seconds; of subtitles their cues.
        dropped: Words that were left out because nobody speaks at that time.
        cues: How many words each cue has, where the source has cues of its own.
    """

    words: tuple[Word, ...]
    language: str = ""
    speech: tuple[tuple[float, float], ...] = ()
    dropped: int = 0
    cues: tuple[int, ...] = ()

    def text(self, start_s: float = 0.0, end_s: float = math.inf) -> str:
        """Return what is said in a span: the words whose centre lies in it.

        >>> words = Word(0.0, 0.4, "Dogs"), Word(0.4, 1.2, "are"), Word(1.2, 2.0, "by")
        >>> transcript = Transcript(words)
        >>> transcript.text(), transcript.text(0.0, 1.0), transcript.text(3.0)
        ('Dogs are by', 'Dogs are', '')
        """
        inside = [word.text for word in self.words if start_s <= word.centre_s < end_s]
        return ("" if self.language in SPACELESS else " ").join(inside)

    def spoken_cues(self) -> Iterator[tuple[float, float]]:
        """Yield start and end of each cue: the source's own, else a sentence or up to a pause.

        >>> words = Word(0.0, 0.4, "No."), Word(0.5, 1.0, "I"), Word(1.0, 1.4, "am")
        >>> list(Transcript(words).spoken_cues())
        [(0.0, 0.4), (0.5, 1.4)]
        """
        for words in self._groups():
            yield words[0].start_s, max(word.end_s for word in words)

    def _groups(self) -> Iterator[Sequence[Word]]:
        if self.cues:
            begin = 0
            for count in self.cues:
                yield self.words[begin : begin + count]
                begin += count
            return
        group: list[Word] = []
        for word in self.words:
            if group and _ends(group[-1], word):
                yield group
                group = []
            group.append(word)
        if group:
            yield group


def _ends(last: Word, following: Word) -> bool:
    return last.text.endswith(SENTENCE_ENDS) or following.start_s - last.end_s > PAUSE_S
