"""The emotion of a cue comes from the windows that it overlaps, and does not flicker."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.subtitles.emotions import EmotionRules, EmotionTrack, add_emotions
from classify.subtitles.words import NEUTRAL, Cue, TimedWord
from embeddings_store.errors import UsageError

CLASSES = ("angry", "happy", "neutral")


def track(*rows: tuple[float, ...], hop_s: float = 1.0, window_s: float = 1.0) -> EmotionTrack:
    starts = hop_s * np.arange(len(rows))
    return EmotionTrack(CLASSES, starts, starts + window_s, np.array(rows, float).reshape(-1, 3))


def cue(start_s: float, end_s: float, speaker: str = "") -> Cue:
    return Cue(((TimedWord("word", start_s, end_s, speaker),),), start_s, end_s)


def labels(cues: list[Cue], of: EmotionTrack, rules: EmotionRules) -> list[str]:
    return [found.emotion for found in add_emotions(cues, of, rules)]


PLAIN = EmotionRules(threshold=0.4, margin=0.0, shortest_s=0.0)
ANGRY, HAPPY, CALM = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)


def test_windows_weigh_by_how_long_they_overlap() -> None:
    found = track(ANGRY, HAPPY).between(0.5, 1.25)
    assert found is not None
    np.testing.assert_allclose(found, (2 * np.array(ANGRY) + np.array(HAPPY)) / 3)
    overlapping = track(ANGRY, HAPPY, hop_s=1.0, window_s=2.0).between(1.0, 2.0)
    assert overlapping is not None
    np.testing.assert_allclose(overlapping, (0.45, 0.45, 0.1))
    at_once = track(ANGRY).between(0.5, 0.5)
    assert at_once is not None and at_once[0] == 0.8


def test_what_nothing_answered_has_no_emotion_and_an_unsure_one_is_neutral() -> None:
    of = track((np.nan, np.nan, np.nan), (0.35, 0.34, 0.31), ANGRY)
    made = [cue(0, 0.9), cue(1, 1.9), cue(2, 2.9), cue(9, 10)]
    found = add_emotions(made, of, PLAIN)
    assert [c.emotion for c in found] == ["", "neutral", "angry", ""]
    assert np.isnan(found[0].confidence) and found[2].confidence == pytest.approx(0.8)
    without = EmotionTrack(("sad", "mad"), np.zeros(1), np.ones(1), np.full((1, 2), 0.5))
    assert labels([cue(0, 1)], without, EmotionRules(threshold=0.6)) == [NEUTRAL]


def test_a_cue_holds_on_to_the_emotion_before_it() -> None:
    of = track((0.5, 0.4, 0.1), (0.42, 0.48, 0.1), (0.2, 0.7, 0.1))
    made = [cue(0, 0.9), cue(1, 1.9), cue(2, 2.9)]
    holding = EmotionRules(threshold=0.4, margin=0.1, shortest_s=0.0)
    assert labels(made, of, PLAIN) == ["angry", "happy", "happy"]
    assert labels(made, of, holding) == ["angry", "angry", "happy"]
    far = [cue(0, 0.1), cue(1.9, 1.95)]
    assert labels(far, of, EmotionRules(0.4, 0.1, 0.0, apart_s=1.0)) == ["angry", "happy"]
    other = [cue(0, 0.9, "A"), cue(1, 1.9, "B")]
    assert labels(other, of, holding) == ["angry", "happy"]


def test_a_short_emotion_gives_way() -> None:
    of = track(ANGRY, HAPPY, ANGRY, CALM, HAPPY)
    made = [cue(n, n + 0.9) for n in range(5)]
    rules = EmotionRules(threshold=0.4, margin=0.0, shortest_s=1.0)
    assert labels(made, of, rules) == ["neutral"] * 5
    long = [cue(0, 0.5), cue(0.52, 0.98), cue(1, 1.9), cue(2, 2.4), cue(2.5, 2.99)]
    assert labels(long, of, EmotionRules(0.4, 0.0, 0.95)) == ["angry"] * 5


def test_words_differ_where_that_is_asked_for_and_clear() -> None:
    of = track(ANGRY, HAPPY)
    words = (TimedWord("no", 0, 0.9), TimedWord("yes", 1.3, 1.9))
    made = [Cue((words,), 0, 1.9)]
    together = add_emotions(made, of, PLAIN)[0]
    assert [word.emotion for word in together.words] == ["", ""]
    apart = add_emotions(made, of, EmotionRules(0.4, 0.1, 0.0, by_word=True))[0]
    assert [word.emotion or apart.emotion for word in apart.words] == ["angry", "happy"]
    unclear = add_emotions(made, of, EmotionRules(0.6, 0.3, 0.0, by_word=True))[0]
    assert [word.emotion for word in unclear.words] == ["", ""]


@given(
    st.lists(st.tuples(*[st.floats(0.01, 1)] * 3), min_size=1, max_size=12),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 5),
)
def test_no_emotion_is_shorter_than_asked(
    rows: list[tuple[float, ...]], threshold: float, margin: float, shortest_s: float
) -> None:
    chances = [tuple(np.array(row) / sum(row)) for row in rows]
    made = [cue(n, n + 0.9) for n in range(len(rows))]
    rules = EmotionRules(threshold, margin, shortest_s)
    found = labels(made, track(*chances), rules)
    assert len(found) == len(made) and set(found) <= set(CLASSES)
    begin = 0
    for end in range(1, len(found) + 1):
        if end == len(found) or found[end] != found[begin]:
            assert found[begin] == "neutral" or made[end - 1].end_s - begin >= shortest_s
            begin = end


@pytest.mark.parametrize("given_rule", [{"threshold": 2.0}, {"shortest_s": -1.0}])
def test_what_is_no_rule_is_refused(given_rule: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        EmotionRules(**given_rule)  # type: ignore[arg-type]
