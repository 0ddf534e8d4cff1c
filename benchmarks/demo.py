"""What ``make demo`` runs: every command, then what was reached beside what was possible.

The choice of encoders (the paper's Tables 1 to 3) has a store of its own, so that the grid need not
guess between trainings; the text encoder has a second candidate there. All tables and figures of
the paper end up in ``results``, with the report. The end is a model to carry, and what it says of
dialogues that it has not heard.

Nothing comes from outside: ``--corpus demo`` generates a release in IEMOCAP's layout and small
encoders with random weights.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.demo_model import label_unseen
from benchmarks.real_runs import summary
from benchmarks.record import record
from extract.corpora.demo import release_folder
from extract.corpora.demo_release import FIDELITY, best_possible

# the paper's: sessions 1 to 3 train, 4 validates, 5 is tested
CHOICE = "session-holdout:Ses05/Ses04"


def main() -> None:
    """Run the commands, echoing each as a user would type it."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--out",
        type=Path,
        default=Path("demo"),
        help="where everything goes (default: %(default)s)",
    )
    options.add_argument(
        "--record", action="store_true", help="also write benchmarks/results/demo*.csv"
    )
    given = options.parse_args()
    out = given.out
    if given.record and out.exists():
        raise SystemExit(
            f"--record measures a whole demo: {out} is there already, remove it or choose another "
            "--out"
        )
    started = time.monotonic()
    run_commands(out)
    Console(width=None if sys.stdout.isatty() else 120).print(
        reached(pd.read_csv(out / "results" / "grid.csv"))
    )
    said = label_unseen(out, run)
    print(f"\n{said}")
    print(f"the model is {out / 'model'}; pages: {out / 'labels'}/*/dialog/wav/*/timeline.html")
    wall_s = time.monotonic() - started
    print(f"{wall_s:.0f} s in all; tables, figures and report.html in {out / 'results'}")
    if given.record:
        record_demo(out / "results", wall_s)


def run_commands(out: Path) -> None:
    """Make vectors, choose encoders, run the grid and make the report, all below a folder."""
    store, selection, results = (str(out / name) for name in ("embeddings", "selection", "results"))
    extract = (
        "extract.commands.extract_features",
        "extract-features",
        "--corpus",
        "demo",
        "--root",
        str(out),
    )
    choice = (
        "--folds",
        CHOICE,
        "--fold",
        "1",
        "--store",
        selection,
        "--frame-cache",
        str(out / "embeddings" / ".frames"),
    )
    run(*extract, "--modality", "all", "--fold", "all", "--store", store)
    run(*extract, "--modality", "all", *choice)
    run(*extract, "--modality", "text", "--pooling", "mean", *choice)
    run(
        "classify.commands.run_fusion_grid",
        "run-fusion-grid",
        "--store",
        store,
        "--corpus",
        "demo",
        "--preset",
        "paper",
        "--out",
        results,
    )
    run(
        "classify.commands.make_report",
        "make-report",
        results,
        "--store",
        store,
        "--selection",
        selection,
        "--media-root",
        str(release_folder(out)),
    )


def record_demo(results: Path, wall_s: float) -> None:
    """Record the cells with what is possible by design, and Table 7."""
    command = "python -m benchmarks.demo --record"
    cells = summary(results / "grid.csv")
    possible = []
    for modalities in cells["modalities"]:
        possible.append(100 * best_possible(tuple(modalities.split("+"))) if modalities else None)
    cells["best_possible_WA"] = possible
    record("demo", cells.assign(wall_s=round(wall_s)), command)
    record("demo_table7", pd.read_csv(results / "table7_per_class.csv"), command)


def run(module: str, program: str, *arguments: str) -> None:
    """Run a command and stop the demo where it stops."""
    print(f"\n$ {program} {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, "-m", module, *arguments]).returncode
    if code:
        raise SystemExit(code)


def reached(grid: pd.DataFrame) -> Table:
    """Compare WA with the best that any method can reach.

    The generator knows that, because it drew the cues.
    """
    table = Table(
        title="reached on test, and the best possible by design (WA, per cent)",
        title_justify="left",
    )
    for name in ("modalities", "by", "reached", "best possible"):
        table.add_column(name, justify="right" if name in {"reached", "best possible"} else "left")
    for modality in FIDELITY:
        cells = grid[
            (grid["family"] == "unimodal")
            & (grid["modalities"] == modality)
            & (grid["classifier"] == "svm")
        ]
        table.add_row(
            modality,
            "SVM",
            f"{100 * cells['WA'].mean():.1f}",
            f"{100 * best_possible((modality,)):.1f}",
        )
    chosen = grid[grid["flags"].fillna("").str.contains("chosen_on_valid")]
    first = chosen.iloc[0]
    modalities = tuple(first["modalities"].split("+"))
    table.add_row(
        first["modalities"],
        f"{first['family']} {first['method']}, {first['classifier']}, chosen on valid",
        f"{100 * chosen['WA'].mean():.1f}",
        f"{100 * best_possible(modalities):.1f}",
        style="bold",
    )
    return table


if __name__ == "__main__":
    main()
