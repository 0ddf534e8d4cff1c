"""The check that fits models: on permuted labels everything must fall to chance.

Chance is known exactly. Permuting labels makes the test rows' labels a random order of what they
are, whatever a model learnt. So the number of right answers that a cell gives by chance follows
from two counts, of its answers and of the labels, with mean and variance in closed form (the
matches of a random permutation); no simulation, no assumption on the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classify.leakage.finding import CLEAN, SHOWN_EXAMPLES, Evidence, LeakageFinding, per_cent
from classify.names import BASELINE
from embeddings_store.errors import StoreError
from embeddings_store.reading import reading

if TYPE_CHECKING:
    import pandas as pd

FALSE_ALARM = 0.01  # over all cells together (Bonferroni)

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ChanceLevel:
    """What a cell answers on permuted labels, over all folds, and what chance would answer.

    Attributes:
        cell: The cell's name.
        rows: Test rows.
        right: How many were answered rightly.
        expected: How many chance gives.
        deviation: Standard deviation of that number.
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
    from scipy.stats import norm

    cells = _read_cells(results)
    margin = float(norm.isf(FALSE_ALARM / 2 / len(cells)))
    above = [c for c in cells if c.right > c.expected + margin * c.deviation]
    below = [c for c in cells if c.right < c.expected - margin * c.deviation]
    top = max(cells, key=lambda c: (c.right - c.expected) / max(c.deviation, 1e-12))
    low = (top.expected - margin * top.deviation) / top.rows
    high = (top.expected + margin * top.deviation) / top.rows
    number = (
        f"{len(cells)} cells on permuted labels; the farthest above chance, {top.cell}, has "
        f"{per_cent(top.accuracy)}, where chance is {per_cent(max(low, 0.0))} to {per_cent(high)}"
    )
    details = {
        "cells": float(len(cells)),
        "highest": top.accuracy,
        "chance": top.expected / top.rows,
        "low": low,
        "high": high,
    }
    if above:
        examples = tuple(c.cell for c in above[:SHOWN_EXAMPLES])
        number += f"; {len(above)} cells are above"
        return Evidence(number, examples, details=details).leak(
            "something tells the models the answers of test rows",
            "look at the other checks first; then at how the vectors were made",
        )
    if below:
        examples = tuple(c.cell for c in below[:SHOWN_EXAMPLES])
        number += f"; {len(below)} cells are below theirs"
        return Evidence(number, examples, details=details).caution(
            "worse than chance is no leak and yet no chance: few rows of a class, or classes that "
            "are rare in training where they are common in test"
        )
    return LeakageFinding(CLEAN, number, details=details)


def _read_cells(results: Path) -> list[ChanceLevel]:
    """Count every cell of a folder of results but the baselines, which need no features."""
    import pandas as pd

    columns = ["cell", "family", "fold", "role", "y_true", "y_pred"]
    path = results / "predictions.parquet"
    with reading(path, "the answers of a run", "run the grid again", StoreError):
        table = pd.read_parquet(path, columns=columns, filters=[("role", "==", "test")])
    table = table[table["family"].astype(str) != BASELINE]
    by_cell = table.groupby(table["cell"].astype(str), sort=False)
    return [of_cell(str(name), rows) for name, rows in by_cell]


def of_cell(name: str, rows: pd.DataFrame) -> ChanceLevel:
    """Count a cell's right answers and what chance gives, fold by fold."""
    import pandas as pd

    counts = []
    for _, part in rows.groupby("fold", sort=False):
        both = np.concatenate([part["y_true"].astype(str), part["y_pred"].astype(str)])
        counts.append(matches(pd.factorize(both)[0]))
    right, expected, variance = np.sum(counts, axis=0)
    return ChanceLevel(name, len(rows), float(right), float(expected), float(np.sqrt(variance)))


def matches(codes: Codes) -> tuple[int, float, float]:
    """Return how many of n labels equal their answers, and what a permutation would give.

    Args:
        codes: n labels, then n answers (2 n,).

    Returns:
        The number of matches, and its mean and variance if the labels were permuted.

    >>> matches(np.array([0, 1, 0, 1]))
    (2, 1.0, 1.0)
    """
    n = len(codes) // 2
    classes = codes.max() + 1
    labels = np.bincount(codes[:n], minlength=classes).astype(float)
    answers = np.bincount(codes[n:], minlength=classes).astype(float)
    matched = int((codes[:n] == codes[n:]).sum())
    pairs = float(labels @ answers)
    # the matches of a random permutation: mean and variance from the counts of both sides alone
    spread = n * n * pairs - n * float(labels * answers @ (labels + answers)) + pairs * pairs
    variance = spread / (n * n * (n - 1)) if n > 1 else 0.0
    return matched, pairs / n, variance
