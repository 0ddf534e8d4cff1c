"""Breaks the words of a cue into lines: between words, at phrases, and evenly."""

from __future__ import annotations

from collections.abc import Sequence

from classify.subtitles.limits import CueLimits
from classify.subtitles.words import TimedWord, join

SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")
CLAUSE_ENDS = (",", ";", ":", "—", "–", "、", "，", "；", "：")
CLOSING = "\"'”’»)]』」）】"
# A line, like a cue, rather ends before these words than after them (Netflix: "before
# conjunctions, before prepositions", never an article from its noun).
STARTERS = (
    "a an the and but or so because if when while that who which of in on at by for from to with "
    "into over under about as than my your his her its our their this these those"
)
ENGLISH_STARTS = frozenset(STARTERS.split())
# What may not begin a line of Japanese and Chinese (kinsoku, JIS X 4051).
NOT_FIRST = frozenset(
    "、。，．・：；？！ー）」』】〕〉》”’ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ々"
)
AFTER_SENTENCE, AFTER_CLAUSE, AT_PHRASE, ANYWHERE, TORN = 0.0, 0.15, 0.35, 0.5, 1.0


def break_cost(before: TimedWord, after: TimedWord) -> float:
    """Return how bad a break between two words is, from 0 to 1.

    >>> yes, the, dog = (TimedWord(text, 0, 1) for text in ("Yes.", "the", "dog"))
    >>> break_cost(yes, the), break_cost(dog, the), break_cost(the, dog)
    (0.0, 0.35, 1.0)
    """
    if after.text[0] in NOT_FIRST:
        return TORN
    end = before.text.rstrip(CLOSING) or before.text
    if end.endswith(SENTENCE_ENDS):
        return AFTER_SENTENCE
    if end.endswith(CLAUSE_ENDS):
        return AFTER_CLAUSE
    if before.text.lower() in ENGLISH_STARTS:
        return TORN
    return AT_PHRASE if after.text.lower() in ENGLISH_STARTS else ANYWHERE


def break_lines(
    words: Sequence[TimedWord], limits: CueLimits
) -> tuple[tuple[TimedWord, ...], ...] | None:
    """Return the lines of a cue, or none where its words do not fit.

    One word that is wider than a line has a line to itself. The fewest lines are taken, then the
    breaks that cost least; lower lines may be longer, upper ones stand above less of the picture.

    Args:
        words: At least one.
        limits: What a line and a cue may hold.

    >>> text = "Kids are talking by the door and dogs are sitting outside"
    >>> words = [TimedWord(word, 0, 1) for word in text.split()]
    >>> for line in break_lines(words, CueLimits()):
    ...     print(join(line))
    Kids are talking by the door
    and dogs are sitting outside
    """
    for count in range(1, limits.lines + 1):
        found = _best(tuple(words), count, limits)
        if found is not None:
            return found[1]
    return None


def lines_needed(sizes: Sequence[float], gaps: Sequence[float], line_characters: float) -> int:
    """Return into how many lines words go, if each line takes what it can.

    Args:
        sizes: What each word counts (n,).
        gaps: What stands between two words (n - 1,).
        line_characters: What a line can hold.

    >>> lines_needed([3, 3, 9], [1, 1], 7)
    2
    """
    lines, length = 1, sizes[0]
    for size, gap in zip(sizes[1:], gaps, strict=True):
        length += gap + size
        if length > line_characters:
            lines, length = lines + 1, size
    return lines


def _best(
    words: tuple[TimedWord, ...], count: int, limits: CueLimits
) -> tuple[float, tuple[tuple[TimedWord, ...], ...]] | None:
    if count == 1:
        fits = len(words) == 1 or limits.count(join(words)) <= limits.line_characters
        return (0.0, (words,)) if fits else None
    best = None
    for cut in range(1, len(words)):
        first, rest = words[:cut], words[cut:]
        length = limits.count(join(first))
        if len(first) > 1 and length > limits.line_characters:
            break
        below = _best(rest, count - 1, limits)
        if below is None:
            continue
        uneven = abs(length - limits.count(join(below[1][0]))) / limits.line_characters
        cost = break_cost(words[cut - 1], words[cut]) + 0.5 * uneven + below[0]
        if best is None or cost < best[0]:
            best = (cost, (first, *below[1]))
    return best
