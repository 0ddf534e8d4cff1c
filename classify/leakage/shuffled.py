"""The check that fits models.

On permuted labels everything must fall to chance, and chance is known exactly.

Permuting labels makes the test rows' labels a random order of what they are, whatever a model
learnt. So the number of right answers that a cell gives by chance follows from two counts, of its
answers and of the labels, with mean and variance in closed form (the matches of a random
permutation); no simulation, no assumption on the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from classify.leakage.finding import CAUTION, CLEAN, LEAK, LeakageFinding, per_cent
from classify.names import BASELINE

FALSE_ALARM = 0.01  # over all cells together (Bonferroni)

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ChanceLevel:
    """A cell under permuted labels.

    Right answers, how many chance gives, and the deviation of that number; over all folds.
    """

    cell: str
    rows: int
    right: float
    expected: float
    deviation: float

    @property
    def accuracy(self) -> float:
        """Part of the rows that were answered rightly."""
        return self.right / self.rows


def judge(results: Path) -> LeakageFinding:
    """Say whether the cells of a run on permuted labels are at chance.

    Args:
        results: Where :func:`classify.experiment.run_grid` wrote them.
    """
    columns = ["cell", "family", "fold", "role", "y_true", "y_pred"]
    table = pd.read_parquet(
        results / "predictions.parquet", columns=columns, filters=[("role", "==", "test")]
    )
    table = table[table["family"].astype(str) != BASELINE]
    cells = [
        of_cell(str(name), part)
        for name, part in table.groupby(table["cell"].astype(str), sort=False)
    ]
    margin = float(norm.isf(FALSE_ALARM / 2 / len(cells)))
    above = [c for c in cells if c.right > c.expected + margin * c.deviation]
    below = [c for c in cells if c.right < c.expected - margin * c.deviation]
    top = max(cells, key=lambda c: (c.right - c.expected) / max(c.deviation, 1e-12))
    low, high = ((top.expected + sign * margin * top.deviation) / top.rows for sign in (-1, 1))
    number = (
        f"{len(cells)} cells on permuted labels; the farthest above chance, {top.cell}, has "
        f"{per_cent(top.accuracy)}, "
        f"where chance is {per_cent(max(low, 0.0))} to {per_cent(high)}"
    )
    details = {
        "cells": float(len(cells)),
        "highest": top.accuracy,
        "chance": top.expected / top.rows,
        "low": low,
        "high": high,
    }
    if above:
        return LeakageFinding(
            LEAK,
            f"{number}; {len(above)} cells are above",
            "something tells the models the answers of test rows",
            "look at the other checks first; then at how the vectors were made",
            tuple(c.cell for c in above[:3]),
            details=details,
        )
    if below:
        return LeakageFinding(
            CAUTION,
            f"{number}; {len(below)} cells are below theirs",
            "worse than chance is no leak and yet no "
            "chance: few rows of a class, or classes that are rare in training where they are "
            "common in test",
            examples=tuple(c.cell for c in below[:3]),
            details=details,
        )
    return LeakageFinding(CLEAN, number, details=details)


def of_cell(name: str, rows: pd.DataFrame) -> ChanceLevel:
    """Count a cell's right answers and what chance gives, fold by fold."""
    found = [
        matches(
            pd.factorize(np.concatenate([part["y_true"].astype(str), part["y_pred"].astype(str)]))[
                0
            ]
        )
        for _, part in rows.groupby("fold", sort=False)
    ]
    right, expected, variance = np.sum(found, axis=0)
    return ChanceLevel(name, len(rows), float(right), float(expected), float(np.sqrt(variance)))


def matches(codes: Codes) -> tuple[int, float, float]:
    """Return how many of n labels equal their answers, and mean and variance of that number if the labels were permuted.

    Args:
        codes: n labels, then n answers (2 n,).

    >>> matches(np.array([0, 1, 0, 1]))
    (2, 1.0, 1.0)
    """
    n = len(codes) // 2
    labels, answers = (
        np.bincount(part, minlength=codes.max() + 1).astype(float)
        for part in (codes[:n], codes[n:])
    )
    pairs = float(labels @ answers)
    spread = n * n * pairs - n * float(labels * answers @ (labels + answers)) + pairs * pairs
    return (
        int((codes[:n] == codes[n:]).sum()),
        pairs / n,
        spread / (n * n * (n - 1)) if n > 1 else 0.0,
    )
