"""Tests of a difference with real training in the loop: how often they reject, and what they find.

Two modalities of a corpus are equally good: the same signal, each with its own noise and its own
shift by speaker. Logistic regression is trained on each over folds by speaker. No modality is
better for newly trained models, so every rejection is false. The spread between speakers, which
the t by speaker reads, does not hold what training adds: folds share most of their training rows,
so their models err together, and one set of folds has no unbiased estimate of that (Bengio and
Grandvalet, No unbiased estimator of the variance of k-fold cross-validation, JMLR 5, 2004). The
corrections that are compared are those of Nadeau and Bengio (Machine Learning 52, 2003), over folds
or over speakers, and of Bouckaert and Frank (PAKDD 2004) over folds drawn again. Seeds are none of
them: logistic regression has no chance in its training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from classify.evaluation.intervals import Counts, Floats, effective_clusters, overall
from classify.evaluation.paired_tests import detectable, difference, difference_p, nadeau_bengio

ALPHA = 0.05
STEPS = 10  # of Newton; more change no prediction
REACH = 5.0  # no step moves a row's logit by more, or classes far apart would send it astray
RIDGE = 1.0  # scikit-learn's default, C = 1
FITTED = "t by speaker"
OVERLAP = "t by speaker, variance widened by overlap"
HALF = "t by speaker, variance widened by half the overlap"
OVER_FOLDS = "Nadeau-Bengio over folds"
AGAIN = "t by speaker, folds drawn three times"
AGAIN_FOLDS = "corrected t over folds drawn three times"


@dataclass(frozen=True, slots=True)
class Design:
    """A corpus and how it is split.

    Attributes:
        speakers: How many there are, G.
        rows: Rows of each; their mean where ``unequal``.
        classes: How many there are.
        dimensions: Of a vector.
        signal: How far the means of classes are apart, in deviations of the noise.
        shift: Deviation of a speaker's own shift, in the same unit.
        folds: Into how many folds speakers go; as many as speakers leaves one out.
        unequal: Whether speakers have unequal numbers of rows.
    """

    speakers: int
    rows: int
    classes: int
    dimensions: int
    signal: float
    shift: float
    folds: int
    unequal: bool = False


DESIGNS = (
    Design(6, 20, 2, 6, 1.2, 0.5, 6),
    Design(6, 20, 2, 20, 1.0, 1.0, 6),
    Design(6, 20, 4, 8, 1.5, 0.5, 3),
    Design(10, 20, 2, 6, 1.2, 0.5, 10),
    Design(10, 20, 2, 20, 0.8, 0.5, 5),
    Design(10, 100, 2, 3, 1.5, 0.2, 5),
    Design(10, 20, 4, 8, 1.5, 0.5, 5),
    Design(10, 20, 4, 8, 1.5, 0.5, 10, unequal=True),
    Design(24, 20, 2, 6, 1.2, 0.5, 24),
    Design(24, 20, 2, 20, 0.5, 0.5, 5),
    Design(24, 20, 4, 8, 2.5, 1.0, 5),
)


@dataclass(frozen=True, slots=True)
class Trained:
    """What both systems answered, R corpora, each split P times.

    Attributes:
        first: The first modality's confusions (P, R, G, C, C).
        second: The second's.
        fold: The fold of each speaker (P, R, G).
    """

    first: Counts
    second: Counts
    fold: NDArray[np.int64]


def training_rates(
    replications: int, seed: int, designs: Sequence[Design] = DESIGNS
) -> list[dict[str, object]]:
    """Return one row per design, difference and test: how often it rejects, in per cent.

    The difference is 0, or the one that :func:`classify.evaluation.paired_tests.detectable` names.

    Args:
        replications: Corpora per design; half as many with a difference.
        seed: Where chance comes from.
        designs: What is drawn.
    """
    rows = []
    for design in designs:
        rng = np.random.default_rng(seed)
        # leaving one out has one split; with more classes it would only take longer
        splits = 3 if design.folds < design.speakers and design.classes == 2 else 1
        null = trained(design, replications, splits, 1.0, rng)
        found = _lines(design, "none", null)
        needed = float(np.nanmean(_detectable(null)))  # none where all speakers agree
        stronger = _stronger(design, needed, replications // 6, rng)
        effect = trained(design, replications // 2, 1, stronger, rng)
        found += _lines(design, "smallest detectable", effect)
        rows += found
    return rows


def _stronger(design: Design, wanted: float, replications: int, rng: np.random.Generator) -> float:
    """Return by which factor the first signal must be stronger for a wanted mean difference.

    Found on corpora of their own, whose p values are not looked at.
    """
    factors = np.array([1.0, 1.25, 2.0, 4.0])
    means = [0.0]
    for factor in factors[1:]:
        means.append(float(_differences(trained(design, replications, 1, factor, rng))[0].mean()))
    return float(np.interp(wanted, np.maximum.accumulate(means), factors))


def _lines(design: Design, difference_is: str, drawn: Trained) -> list[dict[str, object]]:
    value, se = _differences(drawn)
    about: dict[str, object] = {
        "clusters": design.speakers,
        "folds": design.folds,
        "classes": design.classes,
        "dimensions": design.dimensions,
        "rows_per_speaker": design.rows,
        "unequal": "yes" if design.unequal else "no",
        "signal": design.signal,
        "shift": design.shift,
        "true_difference": difference_is,
        "first_value": 100 * float(np.mean(overall("WA")(drawn.first[0].sum(-3)))),
        "mean_difference": 100 * float(value.mean()),
        "mean_detectable": 100 * float(np.nanmean(_detectable(drawn))),
        "variance_ratio": float(value.var(ddof=1) / np.mean(se**2)),
    }
    lines = []
    for test, found in p_values(drawn).items():
        known = found[~np.isnan(found)]
        rejected = {
            "test": test,
            "used": "yes" if test == FITTED else "no",
            "alpha": ALPHA,
            "rejected": 100 * float((known < ALPHA).mean()),
            "replications": len(known),
        }
        lines.append(about | rejected)
    return lines


def _differences(drawn: Trained) -> tuple[Floats, Floats]:
    return difference(drawn.first[0], drawn.second[0], overall("WA"))


def _detectable(drawn: Trained) -> Floats:
    effective = effective_clusters(drawn.first[0].sum((-1, -2)))
    return detectable(_differences(drawn)[1], effective)


def p_values(drawn: Trained) -> dict[str, Floats]:
    """Return each test's p values (R,) of accuracy; drawn again only where folds were.

    With K folds and ``overlap = K * n_test / n_train``, the mean over folds, the variance of the
    difference is widened by ``1 + overlap``: Nadeau and Bengio's ``1 / K + n_test / n_train``, over
    speakers instead of folds, which there are more of.
    """
    figure = overall("WA")
    effective = effective_clusters(drawn.first[0].sum((-1, -2)))
    value, se = _differences(drawn)
    splits = len(drawn.first)
    gaps, test_to_train = zip(*(_by_fold(drawn, split) for split in range(splits)), strict=True)
    overlap = gaps[0].shape[1] * test_to_train[0]
    found = {
        FITTED: difference_p(value, se, effective),
        OVERLAP: difference_p(value, se * np.sqrt(1 + overlap), effective),
        HALF: difference_p(value, se * np.sqrt(1 + overlap / 2), effective),
        OVER_FOLDS: _corrected(gaps[0], test_to_train[0]),
    }
    if splits > 1:
        mean, spread = difference(drawn.first.sum(0), drawn.second.sum(0), figure)
        found[AGAIN] = difference_p(mean, spread, effective)
        found[AGAIN_FOLDS] = _corrected(np.concatenate(gaps, 1), np.mean(test_to_train, axis=0))
    return found


def _corrected(gaps: Floats, test_to_train: Floats) -> Floats:
    pairs = zip(gaps, test_to_train, strict=True)
    return np.array([nadeau_bengio(row, float(ratio)) for row, ratio in pairs])


def _by_fold(drawn: Trained, split: int) -> tuple[Floats, Floats]:
    """Return each fold's difference (R, K), and rows tested over rows trained on (R,)."""
    fold = drawn.fold[split]
    in_fold = (fold[:, None, :] == np.arange(fold.max() + 1)[:, None]).astype(np.int64)
    first, second = (
        np.einsum("rkg,rgab->rkab", in_fold, counts[split])
        for counts in (drawn.first, drawn.second)
    )
    sizes = first.sum((-1, -2))
    ratio = (sizes / (sizes.sum(1, keepdims=True) - sizes)).mean(1)
    return overall("WA")(first) - overall("WA")(second), ratio


def trained(
    design: Design, replications: int, splits: int, stronger: float, rng: np.random.Generator
) -> Trained:
    """Draw corpora, train on both modalities over each split, and return what is answered.

    Args:
        design: What is drawn.
        replications: How many corpora, R.
        splits: How often speakers are dealt to folds, P.
        stronger: Factor on the first modality's signal; 1 makes both exchangeable.
        rng: Where chance comes from.
    """
    n, g = design.classes, design.speakers
    counts = np.zeros((2, splits, replications, g, n, n), dtype=np.int64)
    fold = np.zeros((splits, replications, g), dtype=np.int64)
    for r in range(replications):
        speaker, label = _rows(design, rng)
        fold[:, r] = [rng.permutation(g) * design.folds // g for _ in range(splits)]
        for modality, factor in enumerate((stronger, 1.0)):
            vectors = _vectors(replace(design, signal=factor * design.signal), speaker, label, rng)
            for split in range(splits):
                answered = cross_validated(vectors, label, fold[split, r][speaker], n)
                np.add.at(counts[modality, split, r], (speaker, label, answered), 1)
    return Trained(counts[0], counts[1], fold)


def _rows(design: Design, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the speaker and the class of each row, (n,) each."""
    sizes = np.full(design.speakers, design.rows)
    if design.unequal:
        drawn = design.rows * rng.lognormal(-0.18, 0.6, design.speakers)
        sizes = np.maximum(drawn, 6).astype(int)
    speaker = np.repeat(np.arange(design.speakers), sizes)
    return speaker, rng.integers(0, design.classes, len(speaker))


def _vectors(
    design: Design,
    speaker: NDArray[np.int64],
    label: NDArray[np.int64],
    rng: np.random.Generator,
) -> Floats:
    """Return a modality's vectors and a one for the intercept, (n, d + 1)."""
    means = np.zeros((design.classes, design.dimensions))
    means[:, : design.classes] = np.eye(design.classes) - 1 / design.classes
    shifts = design.shift * rng.standard_normal((design.speakers, design.dimensions))
    noise = rng.standard_normal((len(speaker), design.dimensions))
    vectors = design.signal * means[label] + shifts[speaker] + noise
    return np.column_stack([vectors, np.ones(len(speaker))])


def cross_validated(
    vectors: Floats, label: NDArray[np.int64], fold: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Return each row's predicted class (n,) from the model of its fold, one against the rest.

    Args:
        vectors: With a one for the intercept in the last column (n, d).
        label: True class codes (n,).
        fold: In which fold each row is tested (n,).
        classes: How many there are.
    """
    fitted = (fold != np.arange(fold.max() + 1)[:, None]).astype(np.float64)
    if classes == 2:
        weights = logistic(vectors, (label == 1).astype(np.float64), fitted)
        return ((weights[fold] * vectors).sum(1) > 0).astype(np.int64)
    scores = []
    for code in range(classes):
        weights = logistic(vectors, (label == code).astype(np.float64), fitted)
        scores.append((weights[fold] * vectors).sum(1))
    return np.argmax(scores, axis=0)


def logistic(vectors: Floats, positive: Floats, fitted: Floats) -> Floats:
    """Return the weights of logistic regression, of all folds at once, by Newton's steps (K, d).

    Args:
        vectors: With a one for the intercept in the last column (n, d).
        positive: 1 for rows of the class, 0 for others (n,).
        fitted: 1 for rows that a fold's model is fitted on, 0 for others (K, n).
    """
    size = vectors.shape[1]
    penalty = RIDGE * np.eye(size)
    penalty[-1, -1] = 1e-8  # none on the intercept
    products = (vectors[:, :, None] * vectors[:, None, :]).reshape(len(vectors), -1)
    weights = np.zeros((len(fitted), size))
    for _ in range(STEPS):
        chance = expit(weights @ vectors.T)
        slope = (fitted * (positive - chance)) @ vectors - weights @ penalty
        curve = ((fitted * chance * (1 - chance)) @ products).reshape(-1, size, size) + penalty
        step = np.linalg.solve(curve, slope[..., None])[..., 0]
        furthest = np.abs(step @ vectors.T).max(1, keepdims=True)
        weights = weights + step * np.minimum(1.0, REACH / np.maximum(furthest, REACH))
    return weights
