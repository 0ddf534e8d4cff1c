"""run-fusion-grid, killed with SIGKILL at random moments.

Nothing is lost, nothing doubled, no number changes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from classify.commands.run_fusion_grid import main

MakeStore = Callable[..., Path]
BY_CLOCK = ["fit_s", "date", "commit", "command"]
ROOT = Path(__file__).parents[2]


def command(store: Path, out: Path) -> list[str]:
    return [
        "--store",
        str(store),
        "--out",
        str(out),
        "--jobs",
        "1",
        "--early",
        "concatenation",
        "--late",
        "product",
        "stack",
        "--quiet",
        "--xgboost-trees",
        "5",
        "--nn-epochs",
        "5",
    ]


def kill(store: Path, folder: Path, kills: int) -> dict[str, float]:
    """Kill the grid so many times, let it end, and compare every file with an undisturbed run."""
    reference, survivor = folder / "reference", folder / "lives" / "out"
    survivor.parent.mkdir()
    assert main(command(store, reference)) == 0
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.kill_loop",
            "--kills",
            str(kills),
            "--target",
            "classify.commands.run_fusion_grid:main",
            "--result",
            str(survivor),
            "--import=classify.grid.execution",
            "--",
            *command(store, survivor),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    grids = [pd.read_csv(out / "grid.csv").drop(columns=BY_CLOCK) for out in (reference, survivor)]
    pd.testing.assert_frame_equal(*grids)
    assert not grids[1].duplicated(["cell", "fold"]).any()
    pd.testing.assert_frame_equal(
        *(pd.read_parquet(out / "predictions.parquet") for out in (reference, survivor))
    )
    cells = [{p.name for p in (out / "cells").iterdir()} for out in (reference, survivor)]
    assert cells[0] == cells[1]
    return json.loads(run.stdout)


@pytest.mark.telling
def test_killed_at_random_moments_nothing_is_lost_or_doubled(
    make_store: MakeStore, tmp_path: Path
) -> None:
    assert kill(make_store(rows=45), tmp_path, 4)["kills"] == 4


@pytest.mark.slow
def test_killed_a_hundred_times(make_store: MakeStore, tmp_path: Path) -> None:
    assert kill(make_store(), tmp_path, 100)["kills"] == 100
