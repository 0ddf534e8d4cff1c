"""Cues keep the trade's limits, whatever the words are."""

from __future__ import annotations

import bisect
import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.subtitles.cues import broken_limits, make_cues
from classify.subtitles.limits import BY_LANGUAGE, CueLimits, language_of, limits_for
from classify.subtitles.words import TimedWord, clean, join, read_words
from embeddings_store.errors import ManifestError, UsageError

HOSTILE = (
    "Yes. no, the dog and Donaudampfschifffahrt "
    "antidisestablishmentarianisticallyspokenofthings 오늘은 날씨가 좋네요. "
    "天气 很好。 そして、 今日は שלום مرحبا 👍 e\u0301 {\\b1} I"
)
TEXTS = st.sampled_from(HOSTILE.split())
MS = st.integers(0, 3000)


@st.composite
def spoken(draw: st.DrawFn) -> list[TimedWord]:
    """Return words one after another, some of two speakers, some of no length, some at once."""
    at = 0
    words = []
    for text, gap, length, speaker in draw(
        st.lists(st.tuples(TEXTS, MS.map(lambda v: v // 3 - 100), MS, st.sampled_from("  ab")))
    ):
        at = max(0, at + gap)
        words.append(TimedWord(text, at / 1000, (at + length // 2) / 1000, speaker.strip()))
        at += length // 2
    return words


SHOTS = st.lists(st.integers(1, 40), unique=True).map(lambda found: [v * 1.5 for v in found])


@settings(max_examples=150, deadline=None)
@given(spoken(), st.sampled_from(sorted(BY_LANGUAGE)), SHOTS)
def test_whatever_is_spoken_the_limits_hold(
    words: list[TimedWord], language: str, shots: list[float]
) -> None:
    limits, shots = limits_for(language), sorted(shots)
    cues = make_cues(words, limits, shots)
    ordered = sorted(words, key=lambda word: word.start_s)
    assert [word for cue in cues for word in cue.words] == ordered
    for place, cue in enumerate(cues):
        assert 1 <= len(cue.lines) <= limits.lines
        assert len({word.speaker for word in cue.words}) == 1
        for line, text in zip(cue.lines, cue.texts, strict=True):
            assert len(line) == 1 or limits.count(text) <= limits.line_characters
        assert 0 <= cue.start_s < cue.end_s <= cue.start_s + limits.longest_s + 1e-9
        assert all(not cue.start_s < shot < cue.end_s for shot in shots)
        following = cues[place + 1].start_s if place + 1 < len(cues) else float("inf")
        assert following - cue.end_s >= limits.gap_s - 1e-9
        number = bisect.bisect_right(shots, cue.start_s)
        room_s = min([following, *shots[number : number + 1]]) - limits.gap_s
        needed_s = max(limits.shortest_s, limits.reading_s(join(cue.words)))
        stands_s = cue.end_s - cue.start_s
        assert stands_s >= min(needed_s, limits.longest_s) - 1e-9 or cue.end_s >= room_s - 1e-9


def spread(text: str, word_s: float = 0.4, start_s: float = 1.0) -> list[TimedWord]:
    words = text.split()
    times = [start_s + word_s * n for n in range(len(words) + 1)]
    return [TimedWord(w, times[n], times[n + 1]) for n, w in enumerate(words)]


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        (
            "I did not see him yesterday. When the rain began, the children ran to the old house "
            "and waited there until it was over.",
            [
                ("I did not see him yesterday.", "When the rain began,"),
                ("the children ran to the old house", "and waited there until it was over."),
            ],
        ),
        (
            "오늘은 날씨가 아주 좋네요. 우리 함께 공원에 가서 커피를 마실까요?",
            [("오늘은 날씨가 아주 좋네요.",), ("우리 함께 공원에", "가서 커피를 마실까요?")],
        ),
    ],
)
def test_breaks_are_at_sentences_clauses_and_phrases(
    text: str, cues: list[tuple[str, ...]]
) -> None:
    made = make_cues(spread(text), limits_for(language_of(text)))
    assert [cue.texts for cue in made] == cues


def test_a_fast_talker_is_counted_and_no_word_is_lost() -> None:
    words = spread("a very fast talker says everything at once and then goes on", 0.1)
    cues = make_cues(words, CueLimits())
    words += spread("and on and on without any rest at all for a long time", 0.1, 2.3)
    cues = make_cues(words, CueLimits())
    assert join(word for cue in cues for word in cue.words) == join(words)
    counted = broken_limits(cues, CueLimits())
    assert counted.wide == 0 and 1 <= counted.fast <= len(cues)


def test_every_limit_has_its_source_and_can_be_set() -> None:
    for entry in dataclasses.fields(CueLimits):
        assert entry.metadata["source"] and entry.metadata["help"], entry.name
    assert limits_for("ko").count("가나다 ab") == 4.5
    with pytest.raises(UsageError, match="shortest"):
        limits_for("en", {"shortest_s": 9.0})
    with pytest.raises(UsageError, match="lines"):
        limits_for("en", {"lines": 0})
    with pytest.raises(UsageError, match="limit"):
        limits_for("en", {"line": 3})


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_a_clean_text_is_one_line_and_stays(text: str) -> None:
    once = clean(text)
    assert clean(once) == once == once.strip() and len(once.splitlines()) <= 1
    kept = [c for c in text if not c.isspace() and c.isprintable()]
    assert [c for c in once if c.isprintable() and c != " "] == kept


def test_words_are_read_from_our_list_and_from_whisperx(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    ours.write_text(json.dumps([{"text": " No", "start_s": 1, "end_s": 1.5, "speaker": "A"}]))
    word = {"word": "in", "start": 1.0, "end": 1.2, "speaker": "S1"}
    segment = {"words": [word, {"word": "1999"}], "speaker": "S0"}
    theirs.write_text(json.dumps({"segments": [segment]}))
    assert read_words(ours) == [TimedWord("No", 1, 1.5, "A")]
    found = [TimedWord("in", 1.0, 1.2, "S1"), TimedWord("1999", 1.2, 1.2, "S0")]
    assert read_words(theirs) == found


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "{",
        '{"segments": [{}]}',
        '[{"text": "a", "start_s": "x", "end_s": 2}]',
        '[{"text": "a", "start_s": 3, "end_s": 2}]',
        '[{"text": "a", "start_s": -3, "end_s": 2}]',
        '[{"text": ["a"], "start_s": 1, "end_s": 2}]',
    ],
)
def test_what_are_no_words_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        read_words(path)
    assert "\n" not in str(caught.value)
