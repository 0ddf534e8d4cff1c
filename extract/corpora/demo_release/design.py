"""Who says what in the demo, and how well anybody could tell: the generator's plan.

Every turn has a label, drawn from :data:`PRIORS`. Each modality then shows a *cue*, drawn from its
own row of a confusion matrix (:func:`channel`): mostly the label itself, else another class. Words
tell pleasant from unpleasant better than excited from calm, voices the other way round, as in real
speech, so the two know different things; a face errs evenly. Given the label the three cues are
independent, and words, voice and face are rendered from their own cue alone, so the cues are all
that a model can find out. Names, speakers and how long a turn lasts say nothing about the label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import unknown_name

CLASSES = ("anger", "happiness", "neutral", "sadness")
PRIORS = (0.24, 0.27, 0.27, 0.22)
# How often a cue is the label, and how often it is another class in that modality: the class of
# the same valence in words, of the same arousal in voices. With errors spread evenly, two
# modalities that disagree would leave only a guess, and text with audio would be worth 69.3 % after
# 68 % each.
FIDELITY = {"text": 0.68, "audio": 0.68, "video": 0.50}
CONFUSED_WITH = {
    "text": {
        "anger": "sadness",
        "sadness": "anger",
        "happiness": "neutral",
        "neutral": "happiness",
    },
    "audio": {
        "anger": "happiness",
        "happiness": "anger",
        "neutral": "sadness",
        "sadness": "neutral",
    },
}
CONFUSED_SHARE = 0.20
RAW_LABELS = {
    "anger": ("ang",),
    "happiness": ("hap", "exc"),
    "neutral": ("neu",),
    "sadness": ("sad",),
}
WITHOUT_CLASS = ("fru", "xxx")

SESSIONS = 5
DIALOGUES = ("F_impro01", "F_script01_1", "M_impro05a", "M_script02_2b")
LABELLED_TURNS = 30
TURN_S, GAP_S = (0.8, 1.2), (0.12, 0.25)


@dataclass(frozen=True, slots=True)
class DemoTurn:
    """One turn of the plan.

    Attributes:
        id: The utterance's, as IEMOCAP names it.
        raw: The label that the evaluation file gives.
        label: Its class, empty where the raw label has none.
        cues: Modality to the class that it shows.
        start_s: Where it starts, in seconds of the dialogue.
        end_s: Where it ends.
    """

    id: str
    raw: str
    label: str
    cues: Mapping[str, str]
    start_s: float
    end_s: float

    @property
    def speaker(self) -> str:
        """Session and talking letter, for example ``Ses01_F``."""
        return f"{self.id[:5]}_{self.id[-4]}"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One dialogue of the plan.

    Attributes:
        id: The dialogue's, as IEMOCAP names it.
        turns: In order.
        end_s: Where sound and picture end.
    """

    id: str
    turns: tuple[DemoTurn, ...]
    end_s: float

    @property
    def session(self) -> str:
        """The folder that it belongs to, for example ``Session1``."""
        return f"Session{int(self.id[3:5])}"


def channel(modality: str) -> NDArray[np.float64]:
    """Return P(cue | label) of a modality, shape (4, 4), a row per label in :data:`CLASSES`' order.

    >>> channel("text").round(2)[0].tolist(), channel("video").round(3)[0].tolist()
    ([0.68, 0.06, 0.06, 0.2], [0.5, 0.167, 0.167, 0.167])

    Raises:
        UnknownNameError: The demo has no such modality.
    """
    if modality not in FIDELITY:
        unknown_name("modality", modality, tuple(FIDELITY))
    given = np.diag(np.full(len(CLASSES), FIDELITY[modality]))
    for label, other in CONFUSED_WITH.get(modality, {}).items():
        given[CLASSES.index(label), CLASSES.index(other)] = CONFUSED_SHARE
    rest = given == 0
    given[rest] = ((1 - given.sum(axis=1)) / rest.sum(axis=1)).repeat(rest.sum(axis=1))
    return given


def posterior(modalities: Iterable[str]) -> NDArray[np.float64]:
    """Return P(label, cues) for every combination of cues, shape (4,) + (4,) per modality."""
    joint: NDArray[np.float64] = np.array(PRIORS)
    for modality in modalities:
        given = channel(modality)
        joint = joint[..., None] * given.reshape(
            len(CLASSES), *(1,) * (joint.ndim - 1), len(CLASSES)
        )
    return joint


def best_possible(modalities: Iterable[str]) -> float:
    """Return the expected accuracy of the best classifier of these modalities.

    Nothing can beat it in the long run.

    The best answer to the cues c is the label that maximises P(y) * prod_m P(c_m | y); it is right
    with that probability. The sum over all combinations of cues is exact: ``sum_c max_y P(y) prod_m
    P(c_m | y)``. With no modality it is the largest prior. On a finite sample the best classifier
    scatters around it, see :func:`ideal_accuracy`.

    >>> round(best_possible([]), 4), round(best_possible(["text"]), 4)
    (0.27, 0.68)
    >>> round(best_possible(["text", "audio", "video"]), 4)
    0.8031
    """
    return float(posterior(modalities).max(axis=0).sum())


def ideal_accuracy(turns: Iterable[DemoTurn], modalities: Iterable[str]) -> float:
    """Return how many of these very turns the best classifier gets right, as a fraction.

    The ceiling of this sample.
    """
    names = tuple(modalities)
    best = posterior(names).argmax(axis=0)
    right = []
    for turn in turns:
        if turn.label:
            cues = tuple(CLASSES.index(turn.cues[modality]) for modality in names)
            right.append(CLASSES[int(best[cues])] == turn.label)
    return float(np.mean(right))


def draw(seed: int) -> tuple[Dialogue, ...]:
    """Draw the whole plan; the same seed gives the same plan.

    >>> plan = draw(0)
    >>> len(plan), sum(bool(turn.label) for dialogue in plan for turn in dialogue.turns)
    (20, 600)
    """
    dialogues: list[Dialogue] = []
    for session in range(1, SESSIONS + 1):
        for name in DIALOGUES:
            # A stream of its own for each, so that one dialogue does not depend on another.
            stream = np.random.default_rng([seed, len(dialogues)])
            dialogues.append(_dialogue(f"Ses{session:02d}{name}", stream))
    return tuple(dialogues)


def _dialogue(name: str, rng: np.random.Generator) -> Dialogue:
    """Draw 30 turns with a class and, at a random place, one that the label sets drop."""
    without, spoken = int(rng.integers(LABELLED_TURNS + 1)), {"F": 0, "M": 0}
    turns, now = [], 0.5
    for position in range(LABELLED_TURNS + 1):
        letter = str(rng.choice(["F", "M"]))
        shown = CLASSES[int(rng.choice(len(CLASSES), p=PRIORS))]
        label = "" if position == without else shown
        raw = str(rng.choice(WITHOUT_CLASS if position == without else RAW_LABELS[shown]))
        cues = {}
        for modality in FIDELITY:
            chances = channel(modality)[CLASSES.index(shown)]
            cues[modality] = CLASSES[int(rng.choice(len(CLASSES), p=chances))]
        end = round(now + float(rng.uniform(*TURN_S)), 4)
        turns.append(DemoTurn(f"{name}_{letter}{spoken[letter]:03d}", raw, label, cues, now, end))
        spoken[letter] += 1
        now = round(end + float(rng.uniform(*GAP_S)), 4)
    return Dialogue(name, tuple(turns), now + 0.5)
