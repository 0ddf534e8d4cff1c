"""Every strategy of fusion on CMU-MOSI's vectors, beside each other with intervals over videos.

    python -m benchmarks.mosi_strategies --data ../shared

DATA holds ``data/mosi``. The vectors come from networks that were trained on the official training
rows, and there are no validation rows; so the grid leaves out what learns from class scores. It
stands here as systems that ask for it (``fit_rows=oof``): out of fold over videos, but from vectors
that carry the labels of the very rows. Nothing is chosen. Three tables: strategies, contributions
of modalities, and losses as modalities drop out.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.record import record
from classify.commands.run_fusion_grid import main as run_fusion_grid
from embeddings_store.commands.embeddings_store import main as embeddings_store

LEARNT = ("weighted", "stack", "stack-xgboost", "gate")
SVMS = ", ".join(f"calibrated(svm({m}), fit_rows=oof)" for m in ("audio", "text", "video"))
GROUPS = ", ".join(f"calibrated(svm(concat({m}, text)), fit_rows=oof)" for m in ("audio", "video"))
SYSTEMS = (
    *(f"{rule} = {rule}(audio, text, video, fit_rows=oof)" for rule in LEARNT),
    f"two-groups = mean({GROUPS})",
    f"svms-joined = mean({SVMS})",
    f"svms-stacked = stack({SVMS}, fit_rows=oof)",
)
OPTIONS = [
    "--modalities",
    "audio",
    "text",
    "video",
    "--classifiers",
    "svm",
    "--project",
    "linear:32",
    "--subsets",
    "--drop-sweep",
]
CELL = ["family", "method", "modalities", "classifier"]


def main() -> None:
    """Import, run and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    given = options.parse_args()
    source = given.data / "data" / "mosi"
    with tempfile.TemporaryDirectory() as folder:
        store, out = Path(folder) / "embeddings", Path(folder) / "results"
        call(
            embeddings_store,
            [
                "import",
                str(source / "features.npz"),
                "--rows",
                str(source / "rows.csv"),
                "--corpus",
                "mosi",
                "--seen",
                "split:train",
                "--store",
                str(store),
            ],
        )
        systems = []
        for text in SYSTEMS:
            systems += ["--system", text]
        call(
            run_fusion_grid,
            [
                "--store",
                str(store),
                "--corpus",
                "mosi",
                "--preset",
                "paper",
                "--out",
                str(out),
                "--quiet",
                *OPTIONS,
                *systems,
            ],
        )
        command = "python -m benchmarks.mosi_strategies --data DATA"
        print(record("mosi_strategies", strategies(out), command))
        print(
            record(
                "mosi_contributions",
                pd.read_csv(out / "contributions.csv").drop(columns=["shapley_sd"]),
                command,
            )
        )
        lost = pd.read_csv(out / "degradation.csv", keep_default_na=False)
        lost = lost[[*CELL, "learnt_on", "dropped", "rate", "drop_seed", "n_scored", "WA", "UAR"]]
        print(
            record(
                "mosi_degradation",
                lost.assign(**{m: (100 * lost[m]).round(2) for m in ("WA", "UAR")}),
                command,
            )
        )


def call(program: object, arguments: list[str]) -> None:
    """Run a command of this project and stop where it stops."""
    if program(arguments):  # type: ignore[operator]
        raise SystemExit(f"failed: {' '.join(arguments)}")


def strategies(out: Path) -> pd.DataFrame:
    """Return one row per strategy over all modalities, and per single one.

    WA and UAR in per cent with 95 % intervals.
    """
    grid = pd.read_csv(out / "grid.csv", keep_default_na=False)
    found = pd.read_csv(out / "statistics.csv", keep_default_na=False)
    lines = []
    for _, row in grid.iterrows():
        if row["family"] in ("early", "late", "system") and row["modalities"].count("+") < 2:
            continue
        line = {
            **{name: row[name] for name in CELL},
            "learnt_on": row["learnt_on"],
            "weights": row["weights"],
        }
        for metric in ("WA", "UAR"):
            of_cell = found[
                (found["cell"] == row["cell"])
                & (found["metric"] == metric)
                & (found["class"] == "")
            ].iloc[0]
            line |= {
                metric: per_cent(of_cell["pooled"]),
                f"{metric}_low": per_cent(of_cell["low"]),
                f"{metric}_high": per_cent(of_cell["high"]),
            }
        lines.append(line)
    return pd.DataFrame(lines)


def per_cent(share: object) -> float | None:
    """Return a share in per cent, or nothing."""
    return round(100 * float(str(share)), 2) if str(share) else None


if __name__ == "__main__":
    main()
