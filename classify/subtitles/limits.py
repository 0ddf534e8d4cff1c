"""What the trade asks of a cue: length of lines, reading speed, shortest and longest time; sources.

The guides are Netflix's Timed Text Style Guides (General Requirements, and those of English,
Korean, Simplified Chinese and Japanese) and the BBC's Subtitle Guidelines.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from embeddings_store.errors import UsageError, unknown_name

GENERAL = "Netflix, Timed Text Style Guide: General Requirements"
ENGLISH = "Netflix, English Timed Text Style Guide"
BBC = "BBC Subtitle Guidelines"
OURS = "none of the guides; our choice"
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class CueLimits:
    """The limits of cues; every field's metadata has its ``source`` and its ``help``.

    Attributes:
        line_characters: Longest line, in characters; where ``wide`` is set a full-width character
            counts one and any other a half.
        lines: Most lines of a cue.
        characters_per_s: Highest reading speed, counted like lines.
        shortest_s: Shortest time that a cue stands.
        longest_s: Longest time.
        gap_frames: Frames between two cues.
        frame_rate: Frames in a second.
        pause_s: A longer pause between words ends a cue.
        wide: Whether characters are counted by their width.
        mark_characters: Room for a mark before the first word of a cue.
    """

    line_characters: int = field(
        default=42, metadata={"source": GENERAL, "help": "longest line, in characters"}
    )
    lines: int = field(default=2, metadata={"source": GENERAL, "help": "most lines of a cue"})
    characters_per_s: float = field(
        default=20.0, metadata={"source": ENGLISH, "help": "highest reading speed"}
    )
    shortest_s: float = field(
        default=5 / 6, metadata={"source": GENERAL, "help": "shortest time of a cue"}
    )
    longest_s: float = field(
        default=7.0, metadata={"source": GENERAL, "help": "longest time of a cue"}
    )
    gap_frames: int = field(
        default=2, metadata={"source": GENERAL, "help": "frames between two cues"}
    )
    frame_rate: float = field(
        default=24.0, metadata={"source": "the film", "help": "frames in a second"}
    )
    pause_s: float = field(
        default=0.8, metadata={"source": OURS, "help": "a longer pause ends a cue"}
    )
    wide: bool = field(
        default=False, metadata={"source": GENERAL, "help": "count characters by their width"}
    )
    mark_characters: float = field(
        default=0.0, metadata={"source": OURS, "help": "room for a mark before a cue"}
    )

    def __post_init__(self) -> None:
        """Refuse what no cue can keep.

        Raises:
            UsageError: A limit is not above zero, or the shortest time exceeds the longest.
        """
        for name in ("line_characters", "lines", "characters_per_s", "longest_s", "frame_rate"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}; give a number above 0")
        for name in ("gap_frames", "shortest_s", "pause_s"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name)}; give 0 or more")
        if self.shortest_s > self.longest_s:
            raise UsageError(
                f"the shortest time of a cue, {self.shortest_s} s, is above the longest, "
                f"{self.longest_s} s"
            )

    @property
    def gap_s(self) -> float:
        """Seconds between the end of a cue and the start of the next."""
        return self.gap_frames / self.frame_rate

    def count(self, text: str) -> float:
        """Return how many characters a text counts."""
        return width(text) / 2 if self.wide else float(len(_visible(text)))

    def reading_s(self, text: str) -> float:
        """Return how long a text has to stand so that it can be read."""
        return self.count(text) / self.characters_per_s


# Languages whose guides differ from English's, by their code.
BY_LANGUAGE: Mapping[str, tuple[CueLimits, str]] = {
    "en": (CueLimits(), f"{ENGLISH}: 42 characters, 20 a second; {BBC}: 160 to 180 words a minute"),
    "ko": (
        CueLimits(line_characters=16, characters_per_s=12.0, wide=True),
        "Netflix, Korean Timed Text Style Guide: 16 characters, 12 a second",
    ),
    "zh": (
        CueLimits(line_characters=16, characters_per_s=9.0, wide=True),
        "Netflix, Simplified Chinese Timed Text Style Guide: 16 characters, 9 a second",
    ),
    "ja": (
        CueLimits(line_characters=13, characters_per_s=4.0, wide=True),
        "Netflix, Japanese Timed Text Style Guide: 13 full-width characters, 4 a second",
    ),
    "other": (CueLimits(characters_per_s=17.0), f"{GENERAL}: 42 characters, 17 a second"),
}


def limits_for(language: str, changed: Mapping[str, float | int] | None = None) -> CueLimits:
    """Return the limits of a language, with what the user asks for instead.

    Args:
        language: A key of :data:`BY_LANGUAGE`, or a code such as ``fr``, which takes ``other``.
        changed: Field to value.

    Raises:
        UsageError: A field is unknown, or a value is no limit.

    >>> limits_for("ja").line_characters, limits_for("fr", {"lines": 3}).lines
    (13, 3)
    """
    limits, _ = BY_LANGUAGE.get(language, BY_LANGUAGE["other"])
    names = [entry.name for entry in dataclasses.fields(CueLimits)]
    for name in changed or {}:
        if name not in names:
            unknown_name("limit", name, names)
    return dataclasses.replace(limits, **dict(changed or {}))  # type: ignore[arg-type]


def language_of(text: str) -> str:
    """Return the language whose limits a text takes, by its script; one without is English.

    >>> [language_of(text) for text in ("안녕", "こんにちは世界", "你好 OK", "Ça va")]
    ['ko', 'ja', 'zh', 'en']
    """
    counts = {"ko": 0.0, "ja": 0.0, "zh": 0.0, "en": 0.0}
    for letter in text:
        name = unicodedata.name(letter, "")
        if name.startswith("HANGUL"):
            counts["ko"] += 1
        elif name.startswith(("HIRAGANA", "KATAKANA")):
            counts["ja"] += 1
        elif name.startswith("CJK UNIFIED"):
            counts["zh"] += 1
        elif letter.isalpha():
            counts["en"] += 1
    if counts["ja"] and counts["ja"] * 10 >= counts["zh"]:  # kanji with a tenth of kana or more
        counts["ja"] += counts["zh"]
    counts["en"] /= 3  # a Latin word has three times the letters of one in these scripts
    return max(counts, key=lambda code: (counts[code], code == "en"))


def width(text: str) -> int:
    """Return the columns that a text takes: two for a full-width character, none for an accent.

    >>> width("ab"), width("한글"), width("e\u0301")
    (2, 4, 1)
    """
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in _visible(text))
    return len(_visible(text)) + wide


def _visible(text: str) -> str:
    """Return a text without what takes no room: accents that join a letter, and format signs."""
    return "".join(c for c in text if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
