"""What a command waits for before it does anything: libraries that take long to import.

``--help`` loads none of them, and a command that only looks at files loads no library that learns.
What is imported does not depend on the machine or on what else runs there; seconds do, and are
measured by ``benchmarks/start_up.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from embeddings_store.example import write_example_store

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMMANDS = PROJECT["project"]["scripts"]
LEARN = {"librosa", "matplotlib", "optuna", "sklearn", "torch", "transformers", "xgboost"}
# each costs more than about 30 ms of processor time, pandas 300; numpy, at 60, is allowed
SLOW = LEARN | {
    "PIL",
    "accelerate",
    "asyncio",
    "av",
    "cv2",
    "h5py",
    "huggingface_hub",
    "jinja2",
    "joblib",
    "multiprocessing",
    "pandas",
    "pyarrow",
    "rich",
    "scipy",
    "soundfile",
    "statsmodels",
    "tokenizers",
}
MOST_MODULES = 450  # of the standard library, of numpy and of ours; pandas alone brings 300

MEASURE = """
import contextlib, io, json, sys
from {module} import main
for arguments in {runs!r}:
    said = io.StringIO()
    status = 0
    with contextlib.redirect_stdout(said):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
    modules = [name for name in sys.modules if "." not in name]
    print(json.dumps([status, bool(said.getvalue()), len(sys.modules), modules]))
"""


def measured(module: str, *runs: Sequence[str]) -> list[tuple[set[str], int]]:
    """Run a command so and so in one fresh process.

    Return after each which packages and how many modules have been imported.
    """
    code = MEASURE.format(module=module, runs=[list(arguments) for arguments in runs])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = []
    for arguments, line in zip(runs, done.stdout.splitlines(), strict=True):
        status, has_said, count, modules = json.loads(line)
        assert status == 0 and has_said, (arguments, done.stderr)
        found.append((set(modules), count))
    return found


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_loads_no_slow_library(command: str) -> None:
    """``python -X importtime -m MODULE --help`` shows which of our modules imports it."""
    modules, count = measured(COMMANDS[command].partition(":")[0], ["--help"])[0]
    assert modules & SLOW == set()
    assert count < MOST_MODULES


def test_looking_into_a_store_loads_nothing_that_learns(tmp_path: Path) -> None:
    store = write_example_store(tmp_path)
    vectors = next(store.glob("*/*/seed-*/fold-*.h5"))
    rows = tmp_path / "rows.csv"
    rows.write_text("id,text,label,session\na,hello,x,1\nb,bye,y,2\n", encoding="utf-8")
    runs = measured(
        "embeddings_store.commands.embeddings_store",
        ["inspect", "--store", str(store)],
        ["inspect", str(vectors)],
        ["verify", "--store", str(store)],
        ["check", str(rows)],
        ["export", str(vectors), str(tmp_path / "vectors.csv")],
    )
    assert [modules & (LEARN | {"scipy"}) for modules, _ in runs] == [set()] * 5


def test_published_figures_load_nothing_that_learns() -> None:
    modules, _ = measured("classify.commands.show_benchmarks", [])[0]
    assert modules & (LEARN | {"scipy"}) == set()


def test_comparing_two_results_loads_nothing_that_learns(tmp_path: Path) -> None:
    grid = tmp_path / "grid.csv"
    about = "corpus,protocol,label_set,labels_shuffled,claim,flags"
    grid.write_text(
        f"cell,fold,seed,WA,n_scored,{about}\na,1,0,0.5,8,c,split,c,no,result,chosen_on_valid\n",
        encoding="utf-8",
    )
    modules, _ = measured("classify.commands.compare_results", [str(grid), str(grid)])[0]
    assert modules & (LEARN | {"scipy"}) == set()


def test_judging_a_store_and_planning_a_run_load_nothing_that_learns(tmp_path: Path) -> None:
    store = write_example_store(tmp_path)
    for module, *more in (["audit_leakage"], ["run_fusion_grid", "--dry-run"]):
        asked = ["--store", str(store), *more]
        modules, _ = measured(f"classify.commands.{module}", asked)[0]
        # scipy only where a p value hangs on it
        assert modules & (LEARN | {"scipy", "statsmodels"}) == set(), module
