"""How sure a cell is: margins, and probabilities that are calibrated on named rows.

**Margin.** The value of the true class less the largest other one: positive where the answer is
right. ``margin_gap`` is how much larger it is on training rows than on test rows, in standard
deviations of the test rows' margins, so that it can be compared between classifiers. Over-confident
training rows show here: what learns from their scores learns to trust them.

**Calibration.** scikit-learn's calibrators, fitted on validation rows (with ``--valid-split`` on
the half that is not kept for choosing), of which the answers were not fitted:

===============  ===============================================================================
``temperature``  ``softmax(v / T)``, one number; changes no answer
``sigmoid``      ``1 / (1 + exp(a_c v_c + b_c))`` per class, then scaled to sum to 1; may change
                 answers
``isotonic``     a non-decreasing step function per class, then scaled; needs hundreds of rows,
                 may change answers
===============  ===============================================================================

with ``v`` the margins, or the logarithms of probabilities (no smaller than :data:`SMALLEST`).
Calibrated probabilities stand beside the cell's own scores and change neither its answers nor what
is chosen. A class that no calibration row has cannot be calibrated, so then nothing is, and the
table says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from classify.evaluation.intervals import calibration_error
from classify.evaluation.metrics import accuracy
from classify.grid.outcome import CellOutcome
from classify.models.class_scores import LOG_PROBABILITY, MARGIN, PROBABILITY, ClassScores
from embeddings_store.vectors.arrays import SCORED_ROLES

if TYPE_CHECKING:
    import pandas as pd

NONE = "none"
METHODS = (NONE, "temperature", "sigmoid", "isotonic")
SMALLEST = 1e-12
LARGE_GAP = 1.0  # deviations of the test rows' margins

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Calibrated probabilities of one cell and fold.

    Attributes:
        method: One of :data:`METHODS`; ``none`` where nothing was calibrated.
        rows: What it was fitted on, or why it was not, in words.
        probabilities: Role to class probabilities (n, C); no roles where nothing was calibrated.
    """

    method: str
    rows: str
    probabilities: Mapping[str, Floats]

    @property
    def about(self) -> str:
        """The column ``calibration``."""
        return f"{self.method}: {self.rows}" if self.rows else self.method


def true_margins(answers: ClassScores, y: Codes) -> Floats:
    """Return the value of the true class less the largest other one (n,).

    Logarithms are taken back to probabilities.

    >>> answers = ClassScores(np.array([[0.75, 0.25], [0.75, 0.25]]), PROBABILITY)
    >>> true_margins(answers, np.array([0, 1])).tolist()
    [0.5, -0.5]
    """
    values = np.exp(answers.values) if answers.kind == LOG_PROBABILITY else answers.values
    rows = np.arange(len(y))
    others = values.copy()
    others[rows, y] = -np.inf
    return np.asarray(values[rows, y] - others.max(axis=1, initial=-np.inf))


def margin_columns(outcome: CellOutcome) -> dict[str, float]:
    """Return mean margins on training and test rows, and their gap in deviations of the latter."""
    train, test = (
        true_margins(outcome.reported(role), outcome.y[role]) for role in ("train", "test")
    )
    deviation = float(test.std())
    gap = (train.mean() - test.mean()) / deviation if len(train) and deviation > 0 else np.nan
    return {
        "train_margin": float(train.mean()) if len(train) else np.nan,
        "test_margin": float(test.mean()),
        "margin_gap": float(gap),
    }


def margin_note(rows: pd.DataFrame) -> str:
    """Name the cell whose training rows are most over-confident.

    Empty where none is by more than :data:`LARGE_GAP`.
    """
    gaps = rows.groupby("cell", sort=False)[["margin_gap", "train_margin", "test_margin"]].mean()
    large = gaps[gaps["margin_gap"] > LARGE_GAP]
    if not len(large):
        return ""
    most = large["margin_gap"].idxmax()
    line = large.loc[most]
    return (
        f"training rows are over-confident: {most} has a mean margin of {line['train_margin']:.2f} "
        f"on them and {line['test_margin']:.2f} on test rows, a gap of {line['margin_gap']:.1f} "
        f"deviations ({len(large)} of {len(gaps)} cells above {LARGE_GAP:g}); see margin_gap in "
        "grid.csv"
    )


def calibrate(
    method: str, outcome: CellOutcome, chosen: NDArray[np.bool_], rows: str, n_classes: int
) -> Calibrated:
    """Fit a calibrator on some validation rows and apply it to all roles.

    Args:
        method: One of :data:`METHODS`.
        outcome: The cell's answers; validation rows by the stage that has not seen them.
        chosen: Which of its validation rows to fit on (n_valid,).
        rows: What these are called.
        n_classes: Size of the label set.
    """
    if method == NONE:
        return Calibrated(NONE, "", {})
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    from classify.models.given_values import GivenValues

    y = outcome.y["valid"][chosen]
    absent = n_classes - len(np.unique(y))
    if absent:
        return Calibrated(
            NONE, f"{absent} of {n_classes} classes have no row among the {len(y)} of {rows}", {}
        )
    given: Any = FrozenEstimator(GivenValues(n_classes).fit())
    everything = np.arange(len(y))
    model = CalibratedClassifierCV(
        given, method=method, cv=[(everything, everything)], ensemble=False
    )
    # sums of a few hundred rows: threads would only wait for each other
    with threadpool_limits(limits=1):
        model.fit(_values(outcome.reported("valid"))[chosen], y)
    probabilities = {}
    for role in SCORED_ROLES:
        if len(outcome.y[role]):
            values = _values(outcome.reported(role))
            probabilities[role] = np.asarray(model.predict_proba(values))
        else:
            probabilities[role] = np.zeros((0, n_classes))
    return Calibrated(method, f"{rows}, {len(y)} rows", probabilities)


def calibration_columns(outcome: CellOutcome, calibrated: Calibrated) -> dict[str, object]:
    """Return the calibration error of test rows before and after.

    ``nan`` where there are no probabilities.
    """
    test, y = outcome.reported("test"), outcome.y["test"]
    own = np.nan
    if test.kind != MARGIN:
        p = np.exp(test.values) if test.kind == LOG_PROBABILITY else test.values
        own = calibration_error(np.minimum(p.max(axis=1), 1.0), test.labels == y)
    after, right = np.nan, np.nan
    if calibrated.probabilities:
        p = calibrated.probabilities["test"]
        labels = p.argmax(axis=1)
        after, right = calibration_error(p.max(axis=1), labels == y), accuracy(y, labels)
    return {
        "calibration": calibrated.about,
        "ECE": own,
        "ECE_calibrated": after,
        "calibrated_WA": right,
    }


def _values(answers: ClassScores) -> Floats:
    """Return margins as they are, and probabilities as logarithms that are finite."""
    if answers.kind == PROBABILITY:
        return np.asarray(np.log(np.maximum(answers.values, SMALLEST)))
    if answers.kind == LOG_PROBABILITY:
        return np.asarray(np.maximum(answers.values, np.log(SMALLEST)))
    return answers.values
