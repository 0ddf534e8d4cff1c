"""Writes what each modality does: ``contributions.csv``, and ``degradation.csv`` on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from classify.claim import Claim
from classify.grid.tasks import CellTask
from classify.results.degradation import DEGRADATION, degradation_table
from classify.results.files import write_csv
from classify.results.shapley import CONTRIBUTIONS, contributions


def write_modalities(
    rows: pd.DataFrame,
    tasks: Sequence[CellTask],
    dropped: Sequence[CellTask],
    modality_of: Mapping[str, str],
    out: Path,
) -> list[Path]:
    """Write both files and return which were written; what does not apply is removed.

    Args:
        rows: The rows of a :class:`classify.results.table.ResultTable`, one per task.
        tasks: The cells of the grid.
        dropped: Those that were asked again, see :func:`classify.grid.bind.drop_task`.
        modality_of: View to its modality.
        out: Where to.
    """
    # what draws no random numbers is one file for every seed, and a row for each
    of_cell = {}
    if dropped:
        for task, row in zip(tasks, rows.to_dict("records"), strict=True):
            of_cell[task.key, task.seed, task.replica] = row
    answers = []
    for task in dropped:
        row = of_cell[task.spec.whole, task.seed, task.replica]
        answers.append((row, task.outcome()))
    drop_seed = dropped[0].spec.drop_seed if dropped else 0
    tables = {
        CONTRIBUTIONS: contributions(rows, modality_of),
        DEGRADATION: degradation_table(answers, drop_seed),
    }
    written = []
    claim = Claim.of_rows(rows)
    for name, table in tables.items():
        if len(table):
            write_csv(out / name, table, claim)
            written.append(out / name)
        else:
            (out / name).unlink(missing_ok=True)
    return written
