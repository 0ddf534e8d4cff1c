"""Corpora of speakers who differ, drawn from a scenario: rows, classes, and what systems get right.

A speaker is drawn with a size, a mix of classes and a skill: the logit of its recall of a class is
base + speaker + speaker x class, and its errors fall on other classes in its own way. A scenario's
true figures are those of very many such speakers, each counting with its rows. For the tests two
systems share speakers, classes and, mostly, the rows that they get right, and differ by speaker at
random: neither is better, so every rejection is false; with ``points`` above 0 the first is, and
rejecting is right. No training is simulated: what it adds is in none of the figures.

Where the spreads come from: frozen Whisper-tiny on twelve RAVDESS actors has accuracies by actor
whose logits spread by 0.63 once the noise of 60 rows is taken out; differences between classifiers
on the same vectors spread by 0 to 4 points over actors, those between modalities of CMU-MOSI by 20
points over videos.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classify.evaluation.metrics import of_counts, per_class_of_counts

Floats = NDArray[np.float64]
Counts = NDArray[np.integer]

FOUR = (0.31, 0.30, 0.20, 0.20)  # IEMOCAP
SEVEN = (0.48, 0.17, 0.13, 0.11, 0.08, 0.02, 0.01)  # MELD
TRUTH_SPEAKERS = 100_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of corpus, and how much its speakers differ.

    Attributes:
        name: What it is like.
        speakers: How many there are, G.
        rows: About how many each has.
        shares: Of the classes, the commonest first.
        spread: The deviation of a speaker's logit.
        size_spread: That of the logarithm of its rows.
        informative: The correlation of both.
        session_spread: A deviation that the two speakers of a session share.
        pooled_by: How many neighbouring speakers are taken for one cluster.
        folds: The folds of its tests.
        recall: That of a speaker in the middle.
    """

    name: str
    speakers: int
    rows: int
    shares: tuple[float, ...]
    spread: float
    size_spread: float = 0.1
    informative: float = 0.0
    session_spread: float = 0.0
    pooled_by: int = 1
    folds: int = 5
    recall: float = 0.68


SCENARIOS = (
    Scenario("3 speakers", 3, 1_843, FOUR, 0.4, folds=3),
    Scenario("5 speakers", 5, 1_106, FOUR, 0.4),
    Scenario("10 speakers, as IEMOCAP", 10, 553, FOUR, 0.4),
    Scenario("10 speakers of very unequal size", 10, 553, FOUR, 0.4, 0.8),
    Scenario("10 speakers, those with more rows easier", 10, 553, FOUR, 0.4, 0.8, 0.7),
    Scenario("10 speakers, the two of a session alike", 10, 553, FOUR, 0.3, session_spread=0.3),
    Scenario(
        "10 speakers, the two of a session alike, by session",
        10,
        553,
        FOUR,
        0.3,
        session_spread=0.3,
        pooled_by=2,
    ),
    Scenario("12 speakers, as half of RAVDESS", 12, 60, (1 / 8,) * 8, 0.63, 0.0, folds=6),
    Scenario(
        "12 speakers, nearly all rows right", 12, 60, (1 / 8,) * 8, 0.63, 0.0, folds=6, recall=0.96
    ),
    Scenario("24 speakers, as RAVDESS", 24, 60, (1 / 8,) * 8, 0.63, 0.0, folds=6),
    Scenario(
        "24 speakers, rare classes and unequal sizes, as MELD", 24, 100, SEVEN, 0.3, 1.2, folds=6
    ),
    Scenario("91 speakers, as CREMA-D", 91, 82, (1 / 6,) * 6, 0.5, 0.0),
)


def draw_speakers(
    scenario: Scenario, replications: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return what speakers are like.

    Args:
        scenario: Which speakers.
        replications: R.
        rng: Where chance comes from.

    Returns:
        Rows per speaker and class (R, G, C), logits of the recalls (R, G, C), and where errors
        fall (R, G, C, C).
    """
    shape, n = (replications, scenario.speakers), len(scenario.shares)
    skill = scenario.spread * rng.normal(size=shape)
    # what decides a speaker's size, correlated with its skill
    unexplained = np.sqrt(1 - scenario.informative**2) * rng.normal(size=shape)
    fate = scenario.informative * skill / scenario.spread + unexplained
    if scenario.session_spread:
        of_session = rng.normal(size=(replications, scenario.speakers // 2))
        skill += scenario.session_spread * np.repeat(of_session, 2, axis=1)
    # the mean of a log-normal is exp(deviation^2 / 2), which is taken out
    factor = np.exp(scenario.size_spread * fate - scenario.size_spread**2 / 2)
    sizes = np.maximum(8, factor * scenario.rows).astype(np.int64)
    mix = rng.gamma(20 * np.array(scenario.shares), size=(*shape, n))
    base = np.log(scenario.recall / (1 - scenario.recall)) + np.linspace(0.6, -0.6, n)
    logits = base + skill[..., None] + 0.7 * scenario.spread * rng.normal(size=(*shape, n))
    errors = rng.gamma(2.0, size=(*shape, n, n)) * (1 - np.eye(n))
    return (
        rng.multinomial(sizes, mix / mix.sum(-1, keepdims=True)),
        logits,
        errors / errors.sum(-1, keepdims=True),
    )


def draw_counts(scenario: Scenario, replications: int, rng: np.random.Generator) -> Counts:
    """Return one confusion per speaker (R, G, C, C)."""
    rows, logits, errors = draw_speakers(scenario, replications, rng)
    hits = rng.binomial(rows, _logistic(logits))
    return _confusions(hits, rng.multinomial(rows - hits, errors))


def draw_pair(
    scenario: Scenario,
    replications: int,
    own: float,
    shared: float,
    points: float,
    rng: np.random.Generator,
) -> tuple[Counts, Counts, Counts]:
    """Return two systems' confusions (R, G, C, C) of the same rows.

    The third value is how many rows only one of them has right (R, 2).

    Args:
        scenario: Which speakers.
        replications: R.
        own: Deviation of each system's own logit by speaker.
        shared: Correlation of being right on a row.
        points: By how many points of recall the first is better, roughly, at a recall of 0.7.
        rng: Where chance comes from.
    """
    rows, logits, errors = draw_speakers(scenario, replications, rng)
    one, other = (
        _logistic(logits + own * rng.normal(size=(*logits.shape[:2], 1)) + shift)
        for shift in (points / 100 / 0.21, 0.0)
    )
    both = one * other + shared * np.sqrt(one * (1 - one) * other * (1 - other))
    both = np.clip(both, np.maximum(0, one + other - 1), np.minimum(one, other))
    chances = np.stack(
        [both, one - both, other - both, np.maximum(0, 1 - one - other + both)], axis=-1
    )
    cells = rng.multinomial(rows, chances / chances.sum(-1, keepdims=True))
    only = cells[..., 1:3].sum((1, 2))
    first, second = (
        _confusions(hits, rng.multinomial(rows - hits, errors))
        for hits in (cells[..., 0] + cells[..., 1], cells[..., 0] + cells[..., 2])
    )
    return first, second, only


def true_figures(scenario: Scenario, rng: np.random.Generator) -> tuple[dict[str, float], float]:
    """Return the figures of very many speakers pooled, and the mean of their accuracies."""
    many = replace(scenario, speakers=scenario.speakers // 2 * 2)
    total, means = np.zeros((len(scenario.shares),) * 2), []
    for _ in range(20):
        rows, logits, errors = draw_speakers(many, TRUTH_SPEAKERS // 20 // many.speakers, rng)
        recall = _logistic(logits)
        total += _confusions(rows * recall, (rows * (1 - recall))[..., None] * errors).sum((0, 1))
        means.append(float(((rows * recall).sum(-1) / rows.sum(-1)).mean()))
    recalls = per_class_of_counts(total)["recall"]
    figures = of_counts(total) | {
        metric: recalls[code] for metric, code in class_figures(len(recalls)).items()
    }
    return {metric: float(value) for metric, value in figures.items()}, float(np.mean(means))


def clustered(scenario: Scenario, counts: Counts) -> Counts:
    """Take neighbouring speakers for one cluster where the scenario says so."""
    shape = (len(counts), -1, scenario.pooled_by, *counts.shape[2:])
    return np.asarray(counts.reshape(shape).sum(2))


def class_figures(n_classes: int) -> dict[str, int]:
    """Return the recalls that are looked at, by name, with the class's code.

    Shares of classes go down.
    """
    return {"recall of the commonest class": 0, "recall of the rarest class": n_classes - 1}


def _confusions(hits: NDArray[np.number], misses: NDArray[np.number]) -> NDArray[np.number]:
    return np.asarray(misses + hits[..., None] * np.eye(hits.shape[-1], dtype=hits.dtype))


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))
