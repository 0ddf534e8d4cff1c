"""run-fusion-grid, sent SIGINT and SIGTERM at random moments in every classifier.

No fit may see the signal: what was interrupted is not stored, and the numbers stay what they are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

MakeStore = Callable[..., Path]
ROOT = Path(__file__).parents[2]
# most of a life is spent in fits
LONG_FITS = {
    "svm": [],
    "nn": ["--nn-epochs", "400", "--nn-units", "32"],
    "xgboost": ["--xgboost-trees", "300"],
}


def interrupted(store: Path, folder: Path, lives: int, grid: list[str], *own: str) -> Counter[str]:
    """Interrupt the grid so many times; return how many lives had each ending.

    The loop compares every stored cell with that of an undisturbed run.
    """
    grid = ["--store", str(store), "--quiet", "--late", "none", *grid]
    loop = [sys.executable, "-X", "faulthandler", "-m", "tests.interrupt_loop"]
    run = subprocess.run(
        [*loop, "--out", str(folder / "out"), "--lives", str(lives), *own, "--", *grid],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["compared"]
    return Counter(found["endings"])


@pytest.mark.telling
def test_no_fit_in_this_process_sees_a_signal(make_store: MakeStore, tmp_path: Path) -> None:
    long_fits = [*LONG_FITS["nn"], *LONG_FITS["xgboost"]]
    grid = ["--jobs", "1", "--early", "concatenation", *long_fits]
    endings = interrupted(make_store(rows=45), tmp_path, 8, grid)
    assert endings["130"] + endings["-15"] >= 6


@pytest.mark.telling
def test_no_fit_in_a_worker_sees_a_signal(make_store: MakeStore, tmp_path: Path) -> None:
    grid = ["--jobs", "1", "--early", "none", "--classifiers", "nn", *LONG_FITS["nn"]]
    endings = interrupted(
        make_store(rows=45), tmp_path, 2, grid, "--workers", "--signals", "SIGINT"
    )
    assert endings["130"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("classifier", LONG_FITS)
@pytest.mark.parametrize(("jobs", "lives"), [(0, 60), (1, 24), (2, 24)])
def test_interrupted_hundreds_of_times(
    make_store: MakeStore, tmp_path: Path, classifier: str, jobs: int, lives: int
) -> None:
    grid = ["--jobs", str(jobs or 1), "--classifiers", classifier, *LONG_FITS[classifier]]
    own = ["--workers"] if jobs else []
    endings = interrupted(make_store(), tmp_path, lives, grid, *own)
    assert endings["130"] > lives / 4
    assert endings["-15"] > lives / 4
