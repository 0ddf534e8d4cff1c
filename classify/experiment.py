"""One call from a configuration to finished tables: prepare, compute every cell, write."""

from __future__ import annotations

from classify.evaluation.result_files import GRID
from classify.grid.config import GridConfig
from classify.grid.execution import Notify, run_waves
from classify.grid.prepare import prepare
from classify.results.earlier import EarlierRun
from classify.results.table import ResultTable
from classify.results.unchanged import (
    forget_files,
    made_of,
    remember_files,
    unchanged_files,
)
from classify.results.write import GridResult, refuse_other_results, write_results
from embeddings_store.atomic import exclusive, remove_leftovers
from embeddings_store.provenance import commit, shown_command


def run_grid(config: GridConfig, notify: Notify = lambda message: None) -> GridResult:
    """Compute what is missing, choose, and write every result file that would be another.

    Args:
        config: What to run.
        notify: Gets one line at a time about what happens.

    Returns:
        The table of all cells and folds, and the files.

    Raises:
        ProjectError: Bad names, leaks, damaged or busy files, a full disk; finished cells are safe.
    """
    prepared = prepare(config)
    origin = {"commit": commit(), "command": shown_command()}
    with exclusive(config.out / ".lock", str(config.out)):
        refuse_other_results(config.out, prepared)
        earlier = EarlierRun.of(config.out)
        removed = sum(remove_leftovers(folder) for folder in (config.out, config.out / "cells"))
        if removed:
            notify(f"removed {removed} unfinished files of a run that was killed")
        prepared.plan.save(config.out / "plan.parquet")
        tasks = run_waves(prepared, origin, notify)
        what = made_of(prepared, tasks)
        if files := unchanged_files(config.out, what):
            return GridResult(prepared, ResultTable.read(config.out / GRID), files)
        forget_files(config.out)
        result = write_results(
            prepared, [t for t in tasks if not t.spec.drops], [t for t in tasks if t.spec.drops]
        )
        remember_files(config.out, what, result.files)
        for line in earlier.removed(config.out, result.table.rows):
            notify(line)
        return result
