"""Bounds words by where the sound says that somebody speaks: a recogniser's own times are rough.

A word that Whisper puts at 0.0 s is moved to where the energy rises. Speech is where the level of a
frame is within 35 dB of the loudest frame nearby.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from classify.subtitles.words import TimedWord

HOP_S, FRAME_S = 0.01, 0.03
BELOW_DB, FLOOR_DB = 35.0, -75.0  # below the loudest frame nearby; of full scale
NEARBY_S, JOIN_S, SHORTEST_S = 3.0, 0.3, 0.1
REACH_S = 1.0  # a word is moved no further than this to speech that it does not touch

Span = tuple[float, float]


def levels_db(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Return the level of frames of 30 ms, one every 10 ms, in dB of full scale (F,).

    Args:
        samples: Mono (n,).
        rate: Samples in a second.
    """
    hop, frame = round(HOP_S * rate), round(FRAME_S * rate)
    padded = np.pad(np.square(samples, dtype=np.float64), (0, frame))
    sums = np.concatenate([[0.0], np.cumsum(padded)])
    starts = np.arange(0, max(len(samples), 1), hop)
    power = (sums[starts + frame] - sums[starts]) / frame
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12)))


def speech_spans(levels: NDArray[np.float64], below_db: float = BELOW_DB) -> list[Span]:
    """Return the spans in which the level is near to the loudest around, in seconds.

    Args:
        levels: As :func:`levels_db` gives them (F,).
        below_db: How far below.

    >>> quiet, loud = np.full(200, -70.0), np.full(100, -20.0)
    >>> speech_spans(np.concatenate([quiet, loud, quiet]))
    [(2.0, 3.0)]
    """
    from scipy.ndimage import maximum_filter1d

    if not len(levels):
        return []
    loudest = maximum_filter1d(levels, 2 * round(NEARBY_S / HOP_S) + 1)
    above = levels > np.maximum(loudest - below_db, FLOOR_DB)
    steps = np.flatnonzero(np.diff(np.concatenate([[0], above.astype(np.int8), [0]])))
    spans: list[Span] = []
    for begin, end in steps.reshape(-1, 2).tolist():
        start_s, end_s = round(begin * HOP_S, 3), round(end * HOP_S, 3)
        if spans and start_s - spans[-1][1] < JOIN_S:
            spans[-1] = (spans[-1][0], end_s)
        else:
            spans.append((start_s, end_s))
    return [span for span in spans if span[1] - span[0] >= SHORTEST_S]


def bound_words(words: Iterable[TimedWord], spans: Sequence[Span]) -> list[TimedWord]:
    """Return words that lie within speech, as the first and the last of a span reach its ends.

    Words far from any speech stay as they are.

    Args:
        words: In the order of their times.
        spans: Where somebody speaks, in order.

    >>> words = [TimedWord("Kids", 0.0, 1.4), TimedWord("talk", 1.4, 1.9)]
    >>> [(word.start_s, word.end_s) for word in bound_words(words, [(1.1, 2.2)])]
    [(1.1, 1.4), (1.4, 2.2)]
    """
    groups: dict[int, list[TimedWord]] = {}
    bounded: list[TimedWord] = []
    for word in words:
        place = _span_of(word, spans)
        if place < 0:
            bounded.append(word)
        else:
            groups.setdefault(place, []).append(word)
    for place, group in groups.items():
        bounded += _within(group, spans[place])
    return sorted(bounded, key=lambda word: word.start_s)


def _span_of(word: TimedWord, spans: Sequence[Span]) -> int:
    """Return the span that a word overlaps most, or else lies next to; -1 where there is none."""
    best, place = -REACH_S, -1
    first = int(np.searchsorted([end for _, end in spans], word.start_s - REACH_S))
    for number in range(first, len(spans)):
        start_s, end_s = spans[number]
        if start_s > word.end_s + REACH_S:
            break
        overlap_s = min(end_s, word.end_s) - max(start_s, word.start_s)
        if overlap_s > best:
            best, place = overlap_s, number
    return place


def _within(group: Sequence[TimedWord], span: Span) -> list[TimedWord]:
    moved = []
    for place, word in enumerate(group):
        start_s, end_s = (min(max(at_s, span[0]), span[1]) for at_s in (word.start_s, word.end_s))
        if place == 0 and start_s - span[0] <= REACH_S:
            start_s = span[0]
        if place == len(group) - 1 and span[1] - end_s <= REACH_S:
            end_s = span[1]
        moved.append(dataclasses.replace(word, start_s=start_s, end_s=end_s))
    return moved
