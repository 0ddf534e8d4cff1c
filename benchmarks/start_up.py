"""What a command costs before it works: processor time, modules and memory of each ``--help``.

Beside them commands that only look into a store or into results, and what Python, NumPy and pandas
take alone. Each runs in a process of its own, several times; the fewest seconds count, because the
others measure what else the machine was doing. For Linux. ``tests/test_start_up.py`` keeps slow
libraries out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.record import record
from classify import GridConfig, run_grid
from embeddings_store import write_example_store

ROOT = Path(__file__).resolve().parents[1]
HELP_TARGET_S, READ_TARGET_S = 0.3, 0.7
MEASURE = """
import contextlib, io, json, resource, sys
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    {code}
usage = resource.getrusage(resource.RUSAGE_SELF)
# not ru_maxrss, which begins with that of the process that started this one
peak_kb = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
print(json.dumps([usage.ru_utime + usage.ru_stime, len(sys.modules), int(peak_kb)]))
"""


def main() -> None:
    """Measure every command's help, and those that only read."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=5)
    repeats = arguments.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            {"way": way, **measured(code, repeats), "target_s": target_s}
            for way, code, target_s in ways(Path(folder))
        ]
    print(record("start_up", rows, f"python -m benchmarks.start_up --repeats {repeats}"))
    for row in rows:
        print(row)


def ways(folder: Path) -> Iterator[tuple[str, str, float | None]]:
    """Yield a name, the Python code that it stands for, and the seconds that it may take."""
    for alone in ("sys", "numpy", "pandas"):
        yield f"python -c 'import {alone}'", f"import {alone}", None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    modules = {
        name: target.partition(":")[0] for name, target in project["project"]["scripts"].items()
    }
    for name, module in modules.items():
        yield f"{name} --help", call(module, ["--help"]), HELP_TARGET_S
    store, results = write_example_store(folder), folder / "results"
    run_grid(GridConfig(store=store, out=results, classifiers=("svm",), jobs=1))
    for name, *options in (
        ["embeddings-store", "inspect", "--store", str(store)],
        ["embeddings-store", "verify", "--store", str(store)],
        ["compare-results", str(results), str(results)],
        ["show-benchmarks"],
        ["run-fusion-grid", "--list-protocols", "--store", str(store)],
        ["audit-leakage", "--store", str(store)],
        ["run-fusion-grid", "--dry-run", "--store", str(store)],
    ):
        shown = " ".join([name, *(option for option in options if "/" not in option)])
        yield shown.removesuffix(" --store"), call(modules[name], options), READ_TARGET_S


def call(module: str, options: Sequence[str]) -> str:
    """Return code that runs a command."""
    return f"from {module} import main; main({list(options)!r})"


def measured(code: str, repeats: int) -> dict[str, object]:
    """Run code in processes of their own; return the least that one of them took."""
    answers = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE.format(code=code)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        answers.append(json.loads(done.stdout))
    cpu_s, modules, peak_kb = map(min, zip(*answers, strict=True))
    return {"cpu_s": cpu_s, "modules": modules, "peak_mb": peak_kb / 1000}


if __name__ == "__main__":
    main()
