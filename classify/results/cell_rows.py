"""Rows of ``grid.csv`` taken apart, and means over many choices of them at once.

Taking rows out of a pandas frame copies every column, and each call of its ``groupby`` costs more
than the sums that it makes; a table of the paper asks for dozens of means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SEEDS = ["seed", "encoder_seed"]

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Places = list[int]  # of rows of ``grid.csv``


@dataclass(frozen=True, slots=True)
class CellRows:
    """The rows of ``grid.csv``, a column by itself.

    Attributes:
        words: Column to its words (N,).
        metrics: What the columns of ``figures`` are called.
        figures: In [0, 1], ``nan`` where nothing was measured (N, M).
        fold: Which fold each row is of, counted in their order (N,).
        seeds: Which pair of seeds, likewise (N,).
    """

    words: Mapping[str, list[str]]
    metrics: Sequence[str]
    figures: Floats
    fold: Codes
    seeds: Codes

    @classmethod
    def of(cls, rows: pd.DataFrame, words: Sequence[str], metrics: Sequence[str]) -> CellRows:
        """Take a table apart.

        Args:
            rows: Rows of ``grid.csv``.
            words: Columns of words; those that are not there are left out.
            metrics: Columns of figures.
        """
        names = [name for name in words if name in rows]
        return cls(
            {name: rows[name].astype(str).tolist() for name in names},
            metrics,
            rows[list(metrics)].to_numpy(dtype=np.float64),
            rows.groupby("fold").ngroup().to_numpy(),
            rows.groupby(SEEDS).ngroup().to_numpy(),
        )

    def having(self, column: str, *words: str) -> Places:
        """Return the rows that have one of some words in a column.

        Args:
            column: Its name.
            words: Any of them counts.
        """
        return [place for place, word in enumerate(self.words[column]) if word in words]

    def by(self, column: str, places: Places) -> dict[str, Places]:
        """Return each word of a column to those of some rows that have it, in their order.

        Args:
            column: Its name.
            places: Which rows.
        """
        found: dict[str, Places] = {}
        for place in places:
            found.setdefault(self.words[column][place], []).append(place)
        return found

    def joined(self, column: str, places: Places) -> str:
        """Return the different words of a column but the empty one, in their order.

        Args:
            column: Its name.
            places: Of which rows.
        """
        return "; ".join(filter(None, self.by(column, places)))


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample deviation over folds, or over seeds, of every metric.

    Attributes:
        mean: Of the runs that measured it (M,).
        deviation: ``nan`` with fewer than two (M,).
        runs: How many folds or seeds there are.
    """

    mean: Floats
    deviation: Floats
    runs: int


def spreads(columns: Sequence[Places], run: Codes, figures: Floats) -> list[Spread]:
    """Return mean and deviation over runs of the means over the rows of each run.

    Args:
        columns: For each column of the table the rows that it is about.
        run: The fold or pair of seeds of each row (N,).
        figures: (N, M).
    """
    runs = int(run.max()) + 1
    rows = np.concatenate([np.array(places) for places in columns])
    column = np.repeat(np.arange(len(columns)), [len(places) for places in columns])
    # one call for all columns: each costs more than the sums
    means = pd.DataFrame(figures[rows]).groupby(column * runs + run[rows]).mean()
    starts = np.searchsorted(means.index.to_numpy() // runs, np.arange(1, len(columns)))
    return [_over_runs(of_column) for of_column in np.split(means.to_numpy(), starts)]


def _over_runs(means: Floats) -> Spread:
    """Return mean and deviation over runs (K, M); what a run did not measure is left out."""
    of_metric = np.ascontiguousarray(means.T)
    known = ~np.isnan(of_metric)
    measured = known.sum(axis=1)
    filled = np.where(known, of_metric, 0.0)
    nothing = np.full(len(of_metric), np.nan)
    mean = np.divide(filled.sum(axis=1), measured, out=nothing.copy(), where=measured > 0)
    squares = np.where(known, (mean[:, None] - filled) ** 2, 0.0).sum(axis=1)
    variance = np.divide(squares, measured - 1, out=nothing, where=measured > 1)
    return Spread(mean, np.sqrt(variance), len(means))
