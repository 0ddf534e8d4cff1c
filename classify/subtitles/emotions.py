"""Gives each cue an emotion from the windows of a timeline, so that styles do not flicker."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classify.subtitles.words import NEUTRAL, Cue, TimedWord
from embeddings_store.errors import UsageError

NEUTRAL_NAMES = ("neutral", "neu", "calm", "neutrality", "no emotion")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EmotionTrack:
    """What a model says of the windows of a film.

    Attributes:
        classes: Names of the emotions (C,).
        starts_s: Where each window begins, in seconds (W,).
        ends_s: Where it ends (W,).
        probabilities: Of each class (W, C); ``nan`` where a window was not answered.
    """

    classes: tuple[str, ...]
    starts_s: Floats
    ends_s: Floats
    probabilities: Floats

    @property
    def neutral(self) -> str:
        """The class that stands for no emotion; :data:`NEUTRAL` where the model has none."""
        for name in NEUTRAL_NAMES:
            for own in self.classes:
                if own.lower() == name:
                    return own
        return NEUTRAL

    def between(self, start_s: float, end_s: float) -> Floats | None:
        """Return the mean probabilities of a span (C,), weighted by how long windows overlap it.

        Where no window that was answered overlaps it, nothing.

        Args:
            start_s: Where the span begins.
            end_s: Where it ends; a span without length takes the windows around it.
        """
        first = np.maximum(self.starts_s, start_s)
        overlap = np.minimum(self.ends_s, max(end_s, start_s + 1e-3)) - first
        kept = (overlap > 0) & np.isfinite(self.probabilities).all(axis=1)
        if not kept.any():
            return None
        mean: Floats = np.average(self.probabilities[kept], axis=0, weights=overlap[kept])
        return mean


@dataclass(frozen=True, slots=True)
class EmotionRules:
    """When an emotion is shown.

    Attributes:
        threshold: Below this probability a cue is neutral.
        margin: A cue keeps the emotion before it unless another is more probable by this much.
        shortest_s: An emotion that lasts shorter, from its first cue's start to its last one's end,
            gives way to its neighbours' where both have the same, else to neutral.
        apart_s: Cues further apart do not hold on to each other.
        by_word: Whether a word may differ from its cue, where its own emotion is above the
            threshold by the margin.
    """

    threshold: float = 0.4
    margin: float = 0.1
    shortest_s: float = 1.0
    apart_s: float = 3.0
    by_word: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no rule.

        Raises:
            UsageError: A value is out of range.
        """
        for name in ("threshold", "margin"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}; give a probability, 0 to 1")
        for name in ("shortest_s", "apart_s"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name)}; give seconds, 0 or more")


RULES = EmotionRules()


def add_emotions(
    cues: Sequence[Cue], track: EmotionTrack, rules: EmotionRules = RULES
) -> list[Cue]:
    """Return cues with their emotions; one of which nothing is known keeps an empty one.

    Args:
        cues: In the order of their times.
        track: What the model says.
        rules: When an emotion is shown.
    """
    chances = [track.between(cue.start_s, cue.end_s) for cue in cues]
    labels = _held(cues, chances, track, rules)
    labels = _without_flicker(cues, labels, track.neutral, rules)
    found = []
    for cue, label, chance in zip(cues, labels, chances, strict=True):
        sure = float("nan")
        if chance is not None and label in track.classes:
            sure = float(chance[track.classes.index(label)])
        lines = cue.lines
        if rules.by_word and label:
            lines = tuple(_by_word(line, label, track, rules) for line in lines)
        found.append(dataclasses.replace(cue, lines=lines, emotion=label, confidence=sure))
    return found


def _held(
    cues: Sequence[Cue],
    chances: Sequence[Floats | None],
    track: EmotionTrack,
    rules: EmotionRules,
) -> list[str]:
    """Return a label per cue, which changes only where another is clearly more probable."""
    labels: list[str] = []
    for place, chance in enumerate(chances):
        if chance is None:
            labels.append("")
            continue
        best = int(chance.argmax())
        label = track.classes[best] if chance[best] >= rules.threshold else track.neutral
        if place and cues[place].start_s - cues[place - 1].end_s <= rules.apart_s:
            before = labels[-1]
            same_speaker = cues[place].speaker == cues[place - 1].speaker
            if same_speaker and before in track.classes and label != before:
                kept = chance[track.classes.index(before)]
                rival = chance[track.classes.index(label)] if label in track.classes else 0.0
                high_enough = before == track.neutral or kept >= rules.threshold - rules.margin
                if high_enough and rival - kept < rules.margin:
                    label = before
        labels.append(label)
    return labels


def _without_flicker(
    cues: Sequence[Cue], labels: Sequence[str], neutral: str, rules: EmotionRules
) -> list[str]:
    """Return labels where no emotion lasts shorter than is asked for."""
    smooth = list(labels)
    begin = 0
    while begin < len(smooth):
        end = begin + 1
        while end < len(smooth) and smooth[end] == smooth[begin]:
            end += 1
        lasts_s = cues[end - 1].end_s - cues[begin].start_s
        if smooth[begin] not in ("", neutral) and lasts_s < rules.shortest_s:
            before = smooth[begin - 1] if begin else neutral
            after = labels[end] if end < len(smooth) else neutral
            smooth[begin:end] = [before if before and before == after else neutral] * (end - begin)
        begin = end
    return smooth


def _by_word(
    line: Sequence[TimedWord], label: str, track: EmotionTrack, rules: EmotionRules
) -> tuple[TimedWord, ...]:
    words = []
    for word in line:
        chance = track.between(word.start_s, word.end_s)
        own = ""
        if chance is not None:
            best = int(chance.argmax())
            clear = chance[best] >= rules.threshold + rules.margin
            own = track.classes[best] if clear and track.classes[best] != label else ""
        words.append(dataclasses.replace(word, emotion=own))
    return tuple(words)
