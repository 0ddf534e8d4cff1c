"""Are vectors that are said to have seen no test row too good to be true?

An encoder or a discriminant that was fitted on all rows, test rows among them, parts the classes
of pure noise: every classifier on such vectors is right on nearly every test row. No file can prove
that it has not been made so, but how well the simplest classifier does is measured in a moment.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classify.leakage.case import AuditCase, Codes
from classify.leakage.finding import (
    CLEAN,
    NOT_CHECKED,
    Evidence,
    LeakageFinding,
    per_cent,
)
from classify.leakage.neighbours import Points, comparable, sample
from classify.leakage.sample import SampledFold, sampled_folds

TOO_GOOD = 0.95  # UAR; see AUDIT.md for why
LEARNT = 2_000  # training rows of a fold that it is fitted on
FEWEST = 30  # test rows; a share of fewer says little
SHRINKAGE = 0.1  # part of the mean variance that is added to each dimension's


@dataclass(frozen=True, slots=True)
class Answers:
    """How a discriminant answered the test rows of one view.

    Attributes:
        right: Rightly answered rows of each class (K,).
        rows: Rows of each class (K,).
    """

    right: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def uar(self) -> float:
        """Mean recall of the classes that there are."""
        there = self.rows > 0
        return float((self.right[there] / self.rows[there]).mean())


def too_good(case: AuditCase) -> LeakageFinding:
    """No vectors that have seen no test row part the classes all but perfectly."""
    counted: defaultdict[str, list[Answers]] = defaultdict(list)
    for sampled in sampled_folds(case):
        answers = answer_fold(case, sampled)
        if answers:
            counted[sampled.file.view].append(answers)
    by_view = {view: _together(several) for view, several in counted.items()}
    judged = {
        view: answers
        for view, answers in by_view.items()
        if answers.rows.sum() >= FEWEST and (answers.rows > 0).sum() > 1
    }
    if not judged:
        return LeakageFinding(
            NOT_CHECKED,
            f"no vectors say that they have not seen test rows of two classes, {FEWEST} in all",
        )
    best = max(judged, key=lambda view: judged[view].uar)
    answers = judged[best]
    number = (
        f"a linear discriminant on {best} reaches a UAR of {per_cent(answers.uar)} on "
        f"{int(answers.rows.sum()):,} test rows that its encoder is said not to have seen"
    )
    details = {view: found.uar for view, found in judged.items()}
    if answers.uar < TOO_GOOD:
        return LeakageFinding(CLEAN, number, details=details)
    return Evidence(number, details=details).caution(
        "this is too good to be unseen: networks and discriminants that were fitted on all rows "
        "reach it on pure noise; ask how the vectors were made, and whether any step of it knew "
        "the labels of test rows; if the classes are that easy, a spectrum's mean shows it too"
    )


def answer_fold(case: AuditCase, sampled: SampledFold) -> Answers | None:
    """Fit a discriminant on a fold's training rows, and answer the test rows that are unseen.

    Returns:
        The counts; none where a side has no rows, or one class.
    """
    unseen = sampled.file.seen[sampled.rows["test"]] == "no"
    asked = sampled.places["test"][unseen]
    learnt = sample(np.arange(len(sampled.rows["train"])), LEARNT)
    known = case.codes[sampled.rows["train"][learnt]]
    if not len(asked) or len(np.unique(known)) < 2:
        return None
    train = np.arange(len(learnt))
    both = np.concatenate([sampled.places["train"][learnt], asked])
    points = comparable(sampled.vectors[both], train)
    given = discriminant(points[train], known, points[len(train) :])
    true = case.codes[sampled.rows["test"]][unseen]
    classes = int(case.codes.max()) + 1
    return Answers(
        np.bincount(true[given == true], minlength=classes),
        np.bincount(true, minlength=classes),
    )


def discriminant(train: Points, known: Codes, test: Points) -> Codes:
    """Answer rows by a linear discriminant with a shrunken covariance and equal priors.

    Args:
        train: Vectors (n, d).
        known: Their classes (n,).
        test: Vectors (m, d).

    Returns:
        A class for each test row (m,).
    """
    classes, codes = np.unique(known, return_inverse=True)
    means = np.stack([train[codes == code].mean(axis=0) for code in range(len(classes))])
    within = (train - means[codes]).astype(np.float64)
    covariance = within.T @ within / len(train)
    shrunk = SHRINKAGE * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    covariance[np.diag_indices_from(covariance)] += shrunk
    weights = np.linalg.solve(covariance, means.T.astype(np.float64))
    scores = test @ weights - 0.5 * np.einsum("kd,dk->k", means, weights)
    return np.asarray(classes[scores.argmax(axis=1)], dtype=np.int64)


def _together(several: list[Answers]) -> Answers:
    return Answers(
        np.sum([answers.right for answers in several], axis=0),
        np.sum([answers.rows for answers in several], axis=0),
    )
