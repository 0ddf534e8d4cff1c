"""Does the figure that judges a cell in inner folds flatter it? Counted where the truth is known.

    python -m benchmarks.choice_bias

Every corpus is drawn anew: ten speakers with 24 rows each, four classes, and five layers that are
all about equally good, so that choosing among them is a matter of luck. Each speaker shifts all of
his rows, and each of his classes. Candidates are every layer with every c of the SVM's ladder, or
every layer with a logistic regression. Whole speakers are dealt to five inner folds; each candidate
answers each inner fold by a fit on the other four, and the same fits answer 1,000 rows of a hundred
new speakers, which tells what they are worth.

A way to judge is off by the accuracy that it states less the true accuracy of those very fits. A
candidate that is fixed beforehand is right on average; what it is off by in the same corpora is
luck of the draw, so ``flatters`` is what a way is off by more than that, with a standard error over
corpora.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from benchmarks.record import record
from classify.grid.inner_choice import chosen_without
from classify.grid.inner_folds import INNER_PARTS
from classify.models.classifiers import CLASSIFIERS

COMMAND = "python -m benchmarks.choice_bias"
SPEAKERS, ROWS, CLASSES, LAYERS, COLUMNS = 10, 24, 4, 5, 20
NEW_SPEAKERS, NEW_ROWS = 100, 10
SPREAD = 0.3  # of a speaker's shifts, in standard deviations of a row
UNEVEN = 0.05  # of how strong the classes are in a layer, whose mean is 1

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """What every candidate does in every inner fold.

    Attributes:
        right: Right answers there (candidates, inner folds).
        true: The accuracy of the same fits on new speakers, in [0, 1], of the same shape.
        rows: Rows of all inner folds.
    """

    right: NDArray[np.int64]
    true: Floats
    rows: int


def best_of_all(answers: Answers) -> float:
    """Return what the best candidate is said to reach, less what its fits are worth."""
    best = int(answers.right.sum(axis=1).argmax())
    return float(answers.right[best].sum() / answers.rows - answers.true[best].mean())


def chosen_elsewhere(answers: Answers) -> float:
    """Return the same where no inner fold chooses the candidate that answers it."""
    chosen, parts = chosen_without(answers.right), range(INNER_PARTS)
    stated = answers.right[chosen, parts].sum() / answers.rows
    return float(stated - answers.true[chosen, parts].mean())


def fixed(answers: Answers) -> float:
    """Return the same of the first candidate, which nothing chose."""
    return float(answers.right[0].sum() / answers.rows - answers.true[0].mean())


WAYS: dict[str, Callable[[Answers], float]] = {
    "the best of all, on the rows that chose it": best_of_all,
    "chosen on the other inner folds": chosen_elsewhere,
}


def drawn(
    rng: np.random.Generator, classes: Floats, speakers: int, rows: int
) -> tuple[Floats, Codes]:
    """Draw rows of new speakers.

    Args:
        rng: Where every number comes from.
        classes: The mean of each class in each layer (layers, classes, columns).
        speakers: How many.
        rows: Of each.

    Returns:
        Rows (layers, speakers x rows, columns) and their classes.
    """
    speaker = np.repeat(np.arange(speakers), rows)
    y = rng.integers(0, CLASSES, len(speaker))
    layers = []
    for means in classes:
        shift = SPREAD * rng.standard_normal((speakers, COLUMNS))
        manner = SPREAD * rng.standard_normal((speakers, CLASSES, COLUMNS))
        noise = rng.standard_normal((len(y), COLUMNS))
        layers.append(means[y] + manner[speaker, y] + shift[speaker] + noise)
    return np.stack(layers), y


def answered(seed: int, classifier: str) -> Answers:
    """Draw a corpus, and let every candidate answer it.

    Args:
        seed: Of the corpus.
        classifier: ``svm`` or ``probe``.
    """
    rng = np.random.default_rng(seed)
    strength = 1 + UNEVEN * rng.standard_normal((LAYERS, 1, 1))
    classes = 2 * strength * rng.standard_normal((LAYERS, CLASSES, COLUMNS)) / np.sqrt(COLUMNS)
    X, y = drawn(rng, classes, SPEAKERS, ROWS)
    new_X, new_y = drawn(rng, classes, NEW_SPEAKERS, NEW_ROWS)
    part = np.repeat(np.arange(SPEAKERS), ROWS) % INNER_PARTS
    ladder = CLASSIFIERS["svm"].settings["c"].ladder if classifier == "svm" else (0.1,)
    right, true = [], []
    for layer in range(LAYERS):
        for c in ladder:
            of_part, of_new = [], []
            for number in range(INNER_PARTS):
                fit = part != number
                model = SVC(C=c) if classifier == "svm" else LogisticRegression(C=c, max_iter=300)
                model.fit(X[layer][fit], y[fit])
                of_part.append(int((model.predict(X[layer][~fit]) == y[~fit]).sum()))
                of_new.append(float((model.predict(new_X[layer]) == new_y).mean()))
            right.append(of_part)
            true.append(of_new)
    return Answers(np.array(right), np.array(true), len(y))


def main() -> None:
    """Draw, count and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--corpora", type=int, default=200)
    given = options.parse_args()
    print(record("choice_bias", rows(given.corpora), COMMAND))


def rows(corpora: int) -> list[dict[str, object]]:
    """Return one row per classifier and way to judge.

    Args:
        corpora: How many are drawn.
    """
    lines: list[dict[str, object]] = []
    for classifier in ("svm", "probe"):
        drawn_corpora = [answered(seed, classifier) for seed in range(corpora)]
        luck = np.array([fixed(answers) for answers in drawn_corpora])
        for way, judge in WAYS.items():
            more = 100 * (np.array([judge(answers) for answers in drawn_corpora]) - luck)
            lines.append(
                {
                    "classifier": classifier,
                    "candidates": len(drawn_corpora[0].right),
                    "judged": way,
                    "corpora": corpora,
                    "flatters": round(float(more.mean()), 2),
                    "standard_error": round(float(more.std(ddof=1) / np.sqrt(corpora)), 2),
                }
            )
    return lines


if __name__ == "__main__":
    main()
