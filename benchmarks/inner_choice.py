"""What choosing in inner folds is worth: on RAVDESS with frozen Whisper-tiny, and on MOSI.

    python -m benchmarks.inner_choice --data ../shared --work build/inner-choice

DATA holds ``data/ravdess``, ``data/mosi`` and ``models/whisper-tiny``. RAVDESS has six folds of two
actors each. Every run chooses layer, settings and system without a test row; ``difference`` is its
accuracy on test rows less that of the first run, the mean over actors, with the interval of
Student's t over the twelve.

The run whose accuracy in inner folds is the best of those that choose there is marked ``stands``:
which run that is follows from no test row either.

``optimism`` tells whether what judges a cell flatters it: what a cell is said to reach in inner
folds (``inner_WA``), where settings and layer that answer an inner fold were chosen on the other
ones, less what it reaches where all of this was done anew without the inner fold that is counted
(``WA_chosen_without``). ``WA_best_of_all`` is what judging on the very rows that chose would say.

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
from classify.names import LAYER
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
    return table, right_by_speaker(out, table.headline, "test")


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

    All are means over all rows of the inner folds, each answered by fits on the rest of them.
    """
    manifest = Manifest.load(store / "ravdess")
    plan = inner_fold_plan(manifest, set_up(manifest, Request()).plan)
    path = work / "inner-folds.parquet"
    plan.save(path)
    flattered, _ = run_grid(store, work / "outer", CHEAP)
    honest, _ = run_grid(store, work / "inner", (*CHEAP, "--folds", str(path)))
    lines = []
    for classifier in ("svm", "probe"):
        cell = f"unimodal audio {classifier}"
        anew = honest.rows[honest.rows["cell"] == cell]
        without = right_by_speaker(work / "inner", cell, "test")
        inside = right_by_speaker(work / "outer", cell, "valid")
        difference = inside - without
        low, high = stats.ttest_1samp(difference, 0.0).confidence_interval()
        lines.append(
            {
                "cell": cell,
                "folds": flattered.rows["fold"].nunique(),
                "inner_folds": len(anew),
                "rows": int(anew["n_scored"].sum()),
                "WA_best_of_all": round(100 * best_of_all(work / "outer", classifier), 2),
                "inner_WA": round(100 * inside.mean(), 2),
                "WA_chosen_without": round(100 * without.mean(), 2),
                "optimism": round(100 * difference.mean(), 2),
                "low": round(100 * low, 2),
                "high": round(100 * high, 2),
            }
        )
    return pd.DataFrame(lines)


def right_by_speaker(results: Path, cell: str, role: str) -> pd.Series:
    """Return the share of right answers to the rows of a role, by speaker."""
    answers = pd.read_parquet(results / "predictions.parquet")
    answers = answers[(answers["role"] == role) & (answers["cell"] == cell)]
    right = answers["y_true"].astype(str) == answers["y_pred"].astype(str)
    return right.groupby(answers["speaker"].astype(str)).mean()


def best_of_all(results: Path, classifier: str) -> float:
    """Return the mean over folds of the best layer and setting, on the rows that it is best on."""
    if classifier == "probe":  # one strength for each layer, so there is a figure for each layer
        rows = ResultTable.read(results / "grid.csv").rows
        rows = rows[(rows["family"] == LAYER) & (rows["classifier"] == classifier)]
        return float(rows.groupby("fold")["valid_WA"].max().mean())
    trials = pd.read_csv(results / "tuning.csv")
    trials = trials[trials["classifier"] == classifier]
    return float(trials.groupby("fold")["WA"].max().mean())


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
