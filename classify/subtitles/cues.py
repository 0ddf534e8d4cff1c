"""Makes cues as the trade makes them: words in, lines and times out, within the limits."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from classify.subtitles.limits import CueLimits
from classify.subtitles.line_breaks import AFTER_SENTENCE, break_cost, break_lines, lines_needed
from classify.subtitles.words import Cue, TimedWord, checked, join, space_between

FRAME_S_FLOOR = 0.01  # ASS writes hundredths of a second, so nothing shorter can stand


@dataclass(frozen=True, slots=True)
class BrokenLimits:
    """In how many cues a limit could not be kept, because no word is dropped for one.

    Attributes:
        wide: A single word is wider than a line.
        fast: It is read faster than the limit.
        brief: It stands shorter than the limit.
    """

    wide: int
    fast: int
    brief: int


def make_cues(
    words: Iterable[TimedWord], limits: CueLimits, shot_changes_s: Sequence[float] = ()
) -> list[Cue]:
    """Divide words into cues and give them times.

    A cue ends where the speaker changes, at a long pause and at a shot change; elsewhere the
    division that costs least is taken: at ends of sentences rather than of clauses, at phrases
    rather than anywhere, and few cues. Every word is in one cue.

    Args:
        words: With times, in any order.
        limits: What a cue may hold.
        shot_changes_s: When a new shot begins, in seconds.

    Raises:
        ManifestError: A word's times are no times.

    >>> words = [TimedWord("Yes.", 1.0, 1.4), TimedWord("No.", 3.0, 3.2)]
    >>> [(cue.texts, cue.start_s, round(cue.end_s, 3)) for cue in make_cues(words, CueLimits())]
    [(('Yes.',), 1.0, 1.833), (('No.',), 3.0, 3.833)]
    """
    shots = sorted(shot_changes_s)
    cues: list[Cue] = []
    for run in _runs(checked(words), limits, shots):
        for group in _divide(run, limits):
            lines = break_lines(group, limits)
            if lines is None:
                raise AssertionError("a division holds what fits")
            cues.append(Cue(lines, group[0].start_s, max(word.end_s for word in group)))
    return _timed(cues, limits, shots)


def broken_limits(cues: Sequence[Cue], limits: CueLimits) -> BrokenLimits:
    """Count the cues that keep a limit not.

    Args:
        cues: What :func:`make_cues` returned.
        limits: What it was given.
    """
    wide = fast = brief = 0
    for cue in cues:
        long_s = cue.end_s - cue.start_s + 1e-6
        wide += any(limits.count(text) > limits.line_characters for text in cue.texts)
        fast += limits.reading_s(join(cue.words)) > long_s
        brief += limits.shortest_s > long_s
    return BrokenLimits(wide, fast, brief)


def _runs(
    words: Sequence[TimedWord], limits: CueLimits, shots: Sequence[float]
) -> Iterator[list[TimedWord]]:
    """Yield words between places where a cue has to end."""
    run: list[TimedWord] = []
    for word in words:
        if run and _must_end(run[-1], word, limits, shots):
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _must_end(
    before: TimedWord, after: TimedWord, limits: CueLimits, shots: Sequence[float]
) -> bool:
    if before.speaker != after.speaker or after.start_s - before.end_s > limits.pause_s:
        return True
    return _shot(before, shots) != _shot(after, shots)


def _shot(word: TimedWord, shots: Sequence[float]) -> int:
    """Return the number of the shot in which most of a word is said."""
    return bisect.bisect_right(shots, (word.start_s + word.end_s) / 2)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A run of words with what is asked of each of them again and again."""

    words: Sequence[TimedWord]
    sizes: list[float]
    gaps: list[float]
    breaks: list[float]

    def characters(self, begin: int, end: int) -> float:
        return sum(self.sizes[begin:end]) + sum(self.gaps[begin : end - 1])

    def fits(self, begin: int, end: int, limits: CueLimits) -> bool:
        if end - begin == 1:
            return True
        last_s = max(word.end_s for word in self.words[begin:end])
        if last_s - self.words[begin].start_s > limits.longest_s:
            return False
        sizes, gaps = self.sizes[begin:end], self.gaps[begin : end - 1]
        sizes[0] += limits.mark_characters
        return lines_needed(sizes, gaps, limits.line_characters) <= limits.lines


def _measured(words: Sequence[TimedWord], limits: CueLimits) -> _Measured:
    pairs = list(itertools.pairwise(words))
    return _Measured(
        words,
        [limits.count(word.text) for word in words],
        [limits.count(space_between(a.text, b.text)) for a, b in pairs],
        [break_cost(a, b) for a, b in pairs],
    )


def _divide(words: Sequence[TimedWord], limits: CueLimits) -> list[list[TimedWord]]:
    """Return the division of a run into cues that costs least; one word always fits."""
    run = _measured(words, limits)
    best: list[tuple[float, int]] = [(0.0, 0)]  # cost up to a word, and where its cue begins
    for end in range(1, len(words) + 1):
        choices = []
        for begin in range(end - 1, -1, -1):
            if not run.fits(begin, end, limits):
                break
            choices.append((best[begin][0] + _cost(run, begin, end, limits), begin))
        best.append(min(choices))
    groups, end = [], len(words)
    while end:
        begin = best[end][1]
        groups.append(list(words[begin:end]))
        end = begin
    return groups[::-1]


def _cost(run: _Measured, begin: int, end: int, limits: CueLimits) -> float:
    """Return what one cue of a division costs: itself, its last break, and sentences inside."""
    cost = 0.6 + 0.5 * run.breaks[begin : end - 1].count(AFTER_SENTENCE)
    if end < len(run.words):
        cost += 2 * run.breaks[end - 1]
        room_s = run.words[end].start_s - limits.gap_s - run.words[begin].start_s
        cost += 2 * (room_s < limits.shortest_s)  # it would stand too short
        cost += room_s < run.characters(begin, end) / limits.characters_per_s
    return cost


def _timed(cues: Sequence[Cue], limits: CueLimits, shots: Sequence[float]) -> list[Cue]:
    """Give each cue the time that it needs, as far as the next one and its shot leave room."""
    frame_s = max(1 / limits.frame_rate, FRAME_S_FLOOR)
    starts: list[float] = []
    for cue in cues:
        number = bisect.bisect_right(shots, _middle_s(cue))
        begin_s = max(cue.start_s, shots[number - 1] if number else 0.0)
        earliest_s = starts[-1] + frame_s + limits.gap_s if starts else 0.0
        starts.append(max(begin_s, earliest_s))
    timed = []
    for place, (cue, start_s) in enumerate(zip(cues, starts, strict=True)):
        needed_s = max(limits.shortest_s, limits.reading_s(join(cue.words)))
        end_s = min(max(cue.end_s, start_s + needed_s), start_s + limits.longest_s)
        number = bisect.bisect_right(shots, max(_middle_s(cue), start_s))
        shot_ends_s = shots[number] if number < len(shots) else math.inf
        next_s = starts[place + 1] if place + 1 < len(cues) else math.inf
        end_s = min(end_s, min(shot_ends_s, next_s) - limits.gap_s)
        end_s = min(max(end_s, start_s + frame_s), shot_ends_s)
        timed.append(dataclasses.replace(cue, start_s=start_s, end_s=end_s))
    return timed


def _middle_s(cue: Cue) -> float:
    """Return the time by which a cue belongs to a shot: the middle of its first word."""
    first = cue.words[0]
    return (first.start_s + first.end_s) / 2
