"""One system on every fold, from Python: an expression and a store in, accuracies out, no files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from classify.claim import Claim
from classify.evaluation.metrics import COVERAGE, WA_ALL
from classify.grid.config import GridConfig
from classify.grid.execution import Notify, run_waves
from classify.grid.prepare import prepare
from classify.grid.prepared import PreparedGrid
from classify.grid.tasks import CellTask
from classify.names import LAYER, SYSTEM
from classify.results.choices import calibrated_cell
from classify.results.row import result_row
from classify.results.table import ResultTable
from classify.systems.definitions import read_systems
from embeddings_store.provenance import commit, shown_command


@dataclass(frozen=True, slots=True)
class SystemResult:
    """What one system came to.

    Attributes:
        expression: The system.
        folds: A row per fold (and seed) in the columns of ``grid.csv``, figures in [0, 1].
        predictions: A row per test utterance and fold: ``id``, ``fold``, ``seed``, ``label``,
            ``predicted``.
    """

    expression: str
    folds: pd.DataFrame
    predictions: pd.DataFrame

    @property
    def claim(self) -> Claim:
        """What the figures may be called: a result, or why they are none."""
        return Claim.of_rows(self.folds)

    @property
    def accuracy(self) -> float:
        """WA: the share of test rows that are right, in [0, 1], as a mean over folds."""
        return float(self.folds["WA"].mean())

    @property
    def uar(self) -> float:
        """UAR: the mean of the classes' recalls on test rows, in [0, 1], as a mean over folds."""
        return float(self.folds["UAR"].mean())

    @property
    def coverage(self) -> float:
        """The share of the plan's test rows that are scored, in [0, 1], as a mean over folds."""
        return float(self.folds[COVERAGE].mean())

    @property
    def accuracy_of_all(self) -> float:
        """WA_all: as :attr:`accuracy`, where test rows that are not scored count as wrong."""
        return float(self.folds[WA_ALL].mean())

    def __repr__(self) -> str:
        of_all = ""
        if self.coverage < 1:
            of_all = (
                f", coverage {100 * self.coverage:.1f} %, WA_all {100 * self.accuracy_of_all:.1f} %"
            )
        return (
            f"{self.expression}: WA {100 * self.accuracy:.1f} %, UAR {100 * self.uar:.1f} %"
            f"{of_all} (mean over {self.folds['fold'].nunique()} folds)"
        )


def run_system(
    expression: str,
    store: str | os.PathLike[str] = "embeddings",
    *,
    config: GridConfig | None = None,
    notify: Notify = lambda message: None,
    **options: Any,
) -> SystemResult:
    """Fit and score one system on every fold, through the same gate, audit and code as the grid.

    Args:
        expression: What to run, in the language of ``FUSION.md``.
        store: The store's folder, or a :class:`embeddings_store.Store`.
        config: A configuration to start from; its results folder is not used.
        notify: Gets one line at a time about what happens.
        options: Fields of :class:`classify.GridConfig` that differ, for example ``corpus="mosi"``
            or ``folds="speaker-kfold:5"``.

    Raises:
        UsageError: The expression or an option names something that does not exist.
        LeakError: A fold would score rows that an encoder was trained on, or the audit finds
            another leak.
        StoreError: The store does not hold what is needed.

    >>> from embeddings_store import write_example_store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = write_example_store(folder)
    ...     result = run_system("svm(concat(audio, text))", store, jobs=1)
    >>> result.accuracy > 0.5
    True
    >>> result.predictions["fold"].value_counts().to_dict()
    {1: 12, 2: 12, 3: 12, 4: 12}
    """
    with tempfile.TemporaryDirectory(prefix="run-system-") as scratch:
        asked = replace(
            config or GridConfig(),
            store=Path(store),
            out=Path(scratch),
            systems=read_systems([expression]),
            early=(),
            late=(),
            **options,
        )
        prepared = _only_the_system(prepare(asked))
        prepared.plan.save(asked.out / "plan.parquet")
        origin = {"commit": commit(), "command": shown_command()}
        tasks = run_waves(prepared, origin, notify)
        return _collect(prepared, [task for task in tasks if task.cell.family == SYSTEM])


def _only_the_system(prepared: PreparedGrid) -> PreparedGrid:
    """Leave out every other cell, but not the layers by which ``layer="valid"`` chooses."""
    cells = [cell for cell in prepared.cells if cell.family in (LAYER, SYSTEM)]
    return replace(prepared, cells=cells)


def _collect(prepared: PreparedGrid, tasks: Sequence[CellTask]) -> SystemResult:
    classes = np.array(prepared.labels.classes)
    rows, predictions = [], []
    for task in tasks:
        outcome = task.outcome()
        rows.append(result_row(prepared, task, outcome, calibrated_cell(prepared, task, outcome)))
        predictions.append(
            pd.DataFrame(
                {
                    "id": outcome.ids["test"],
                    "fold": task.source.fold,
                    "seed": task.seed,
                    "label": classes[outcome.y["test"]],
                    "predicted": classes[outcome.reported("test").labels],
                }
            )
        )
    folds = ResultTable(pd.DataFrame(rows)).rows
    return SystemResult(
        str(folds["expression"].iloc[0]), folds, pd.concat(predictions, ignore_index=True)
    )
