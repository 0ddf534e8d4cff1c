"""What choosing in inner folds is worth: on RAVDESS with frozen Whisper-tiny, and on MOSI.

    python -m benchmarks.inner_choice --data ../shared --work build/inner-choice

DATA holds ``data/ravdess``, ``data/mosi`` and ``models/whisper-tiny``. RAVDESS has six folds of two
actors each. Every run chooses layer, settings and system without a test row; ``difference`` is its
accuracy on test rows less that of the first run, the mean over actors, with the interval of
Student's t over the twelve.

The run whose accuracy in inner folds is the best of those that choose there is marked ``stands``:
which run that is follows from no test row either.

``optimism`` tells by how much choosing settings, a layer and judging the cell on the same rows
flatters: what a cell reaches in inner folds, where all of these were chosen on the rows that are
counted, less what it reaches where they were chosen anew without the inner fold that is counted.

MOSI's official split has no validation rows, and its published vectors carry the labels of their
training rows. So the choice is made on fitted rows (``--choose-on fitted``), under five seeds.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.record import record
from classify.commands.run_fusion_grid import main as run_fusion_grid
from classify.evaluation.means import FITTED_WA
from classify.grid.inner_folds import INNER_PARTS, part_of_ids
from classify.results.table import CHOSEN, ON_FITTED, ResultTable
from embeddings_store.commands.embeddings_store import main as embeddings_store
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.plan import ROLE_CODE, Fold, FoldPlan
from embeddings_store.folds.setup import Request, set_up
from extract.commands.extract_features import main as extract_features

COMMAND = "python -m benchmarks.inner_choice --data ../shared --work WORK"


@dataclass(frozen=True, slots=True)
class Run:
    """One grid: what it is called, and its options beside store and results."""

    name: str
    options: tuple[str, ...]


RUNS = (
    Run("one layer, on validation rows", ("--layer", "choose")),
    Run("one layer, in inner folds", ("--layer", "choose", "--choose", "inner")),
    Run("all layers, in inner folds", ("--layers", "all", "--choose", "inner")),
)
ON_MOSI = ("--choose", "inner", "--choose-on", "fitted", "--subsets", "--seed", "0,1,2,3,4")
# what is compared in the ablation: cheap enough to be chosen anew in thirty folds
CHEAP = ("--classifiers", "svm", "--layer", "choose", "--choose", "inner")


def main() -> None:
    """Extract, run, compare and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--work", type=Path, required=True, help="store and results; goes on")
    given = options.parse_args()
    store = given.work / "embeddings"
    corpus = ("--corpus", "ravdess", "--root", str(given.data / "data" / "ravdess"))
    encoder = ("--modality", "audio", "--encoder", str(given.data / "models" / "whisper-tiny"))
    how = ("--frozen", "--layer", "all", "--store", str(store), "--quiet")
    if extract_features([*corpus, *encoder, *how]):
        raise SystemExit("extract-features failed")
    rows = compared(store, given.work)
    print(record("inner_choice", rows, COMMAND))
    print(record("inner_choice_optimism", optimism(store, given.work), COMMAND))
    print(record("inner_choice_mosi", on_fitted_rows(given.data, given.work), COMMAND))


def compared(store: Path, work: Path) -> pd.DataFrame:
    """Return one row per run: what it chose, and what that reached, beside the first run."""
    lines, by_actor = [], []
    for number, run in enumerate(RUNS):
        table, right = run_grid(store, work / f"run-{number}", run.options)
        chosen = table.rows[table.rows["cell"] == table.headline]
        by_actor.append(right)
        difference = right - by_actor[0]
        low, high = (np.nan, np.nan)
        if number:
            low, high = stats.ttest_1samp(difference, 0.0).confidence_interval()
        lines.append(
            {
                "run": run.name,
                "options": " ".join(run.options),
                "chosen": table.headline,
                "layers": " ".join(chosen["layer"]),
                "chosen_on": chosen["chosen_on"].iloc[0],
                "choosing_WA": round(100 * chosen["valid_WA"].mean(), 2),
                "WA": round(100 * chosen["WA"].mean(), 2),
                "UAR": round(100 * chosen["UAR"].mean(), 2),
                "actors": len(right),
                "difference": round(100 * difference.mean(), 2),
                "low": round(100 * low, 2),
                "high": round(100 * high, 2),
            }
        )
    inside = [line["choosing_WA"] if "inner" in str(line["options"]) else 0 for line in lines]
    for line in lines:
        line["stands"] = "yes" if line is lines[int(np.argmax(inside))] else ""
    return pd.DataFrame(lines)


def run_grid(store: Path, out: Path, options: tuple[str, ...]) -> tuple[ResultTable, pd.Series]:
    """Run a grid, and return its table and the share of right answers by actor of what it chose."""
    if run_fusion_grid(["--store", str(store), "--out", str(out), "--quiet", *options]):
        raise SystemExit(f"run-fusion-grid {' '.join(options)} failed")
    table = ResultTable.read(out / "grid.csv")
    if not table.flagged(CHOSEN) and not table.flagged(ON_FITTED):
        raise SystemExit(f"{out}: nothing was chosen")
    answers = pd.read_parquet(out / "predictions.parquet")
    answers = answers[(answers["role"] == "test") & (answers["cell"] == table.headline)]
    right = answers["y_true"].astype(str) == answers["y_pred"].astype(str)
    return table, right.groupby(answers["speaker"].astype(str)).mean()


def on_fitted_rows(data: Path, work: Path) -> list[dict[str, object]]:
    """Return one row per seed of the system that fitted rows chose on MOSI's official split."""
    source, store = data / "data" / "mosi", work / "mosi-embeddings"
    rows = ("--rows", str(source / "rows.csv"), "--corpus", "mosi", "--seen", "split:train")
    if embeddings_store(["import", str(source / "features.npz"), *rows, "--store", str(store)]):
        raise SystemExit("embeddings-store import failed")
    table, _ = run_grid(store, work / "mosi", ON_MOSI)
    chosen = table.rows[table.rows["cell"] == table.headline]
    lines: list[dict[str, object]] = []
    for _, row in chosen.iterrows():
        line: dict[str, object] = {"options": " ".join(ON_MOSI), "chosen": table.headline}
        line |= {"settings": row["settings"], "classifier_seed": row["seed"]}
        line |= {name: round(100 * row[name], 2) for name in (FITTED_WA, "WA", "UAR")}
        lines.append(line)
    return lines


def optimism(store: Path, work: Path) -> pd.DataFrame:
    """Return one row per cell: its accuracy in inner folds, and where choices were made without.

    Both are means over all rows of the inner folds, each answered by fits on the rest of them.
    """
    manifest = Manifest.load(store / "ravdess")
    plan = inner_fold_plan(manifest, set_up(manifest, Request()).plan)
    path = work / "inner-folds.parquet"
    plan.save(path)
    flattered, _ = run_grid(store, work / "outer", CHEAP)
    honest, _ = run_grid(store, work / "inner", (*CHEAP, "--folds", str(path)))
    lines = []
    for cell in ("unimodal audio svm", "unimodal audio probe"):
        inside = flattered.rows[flattered.rows["cell"] == cell]
        anew = honest.rows[honest.rows["cell"] == cell]
        reached = 100 * np.average(inside["valid_WA"], weights=inside["n_valid_scored"])
        without = 100 * np.average(anew["WA"], weights=anew["n_scored"])
        lines.append(
            {
                "cell": cell,
                "folds": len(inside),
                "inner_folds": len(anew),
                "rows": int(anew["n_scored"].sum()),
                "inner_WA": round(reached, 2),
                "WA_chosen_without": round(without, 2),
                "optimism": round(reached - without, 2),
            }
        )
    return pd.DataFrame(lines)


def inner_fold_plan(corpus: Manifest, plan: FoldPlan) -> FoldPlan:
    """Return a plan that tests every inner fold of every fold, and leaves its test rows out."""
    folds = []
    for fold in plan:
        part_of = part_of_ids(corpus, plan, fold, INNER_PARTS)
        parts = np.array([part_of.get(name, 0) for name in corpus.ids.tolist()])
        for part in range(1, parts.max() + 1):
            roles = np.full(len(corpus), ROLE_CODE["train"], dtype=np.uint8)
            roles[parts == 0] = ROLE_CODE["unused"]
            roles[parts == part] = ROLE_CODE["test"]
            folds.append(Fold(len(folds) + 1, f"{fold.name}, inner fold {part}", roles))
    return replace(plan, valid="none", folds=tuple(folds))


if __name__ == "__main__":
    main()
