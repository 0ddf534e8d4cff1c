"""The files of a run that say what each modality does.

``contributions.csv`` and ``degradation.csv``, where it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from classify.grid.cache import read_outcome
from classify.grid.tasks import CellTask
from classify.results.degradation import DEGRADATION, degradation_table
from classify.results.files import write_csv
from classify.results.shapley import CONTRIBUTIONS, contributions


def write_modalities(
    rows: pd.DataFrame, tasks: Sequence[CellTask], dropped: Sequence[CellTask], out: Path
) -> list[Path]:
    """Write both files where a run tells, remove what an earlier run left, and return what was written.

    Args:
        rows: The rows of a :class:`classify.results.table.ResultTable`, one per task.
        tasks: The cells of the grid.
        dropped: Those that were asked again, see :func:`classify.grid.bind.drop_task`.
        out: Where to.
    """
    # what draws no random numbers is one file for every seed, and a row for each
    of_cell = {
        ((task.path, task.key), task.seed, task.replica): row
        for task, row in zip(tasks, rows.to_dict("records"), strict=True)
    }
    answers = [
        (of_cell[task.whole, task.seed, task.replica], read_outcome(task.path, task.key))
        for task in dropped
        if task.whole
    ]
    found = {
        CONTRIBUTIONS: contributions(rows),
        DEGRADATION: degradation_table(answers, dropped[0].drop_seed if dropped else 0),
    }
    for name, frame in found.items():
        if len(frame):
            write_csv(out / name, frame)
        else:
            (out / name).unlink(missing_ok=True)
    return [out / name for name, frame in found.items() if len(frame)]
