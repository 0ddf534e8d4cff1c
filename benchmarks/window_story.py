"""Generated windows of videos under a random split, and what each part of this project says to it.

    python -m benchmarks.window_story

Short videos are cut into windows of 1 s every 0.5 s, and every window bears its video's label. A
vector is made of what the video looks and sounds like (strong, and its own), a cue of the label
(weak), and noise that overlapping windows share by half. A random split over windows lets a model
recognise the video instead of the emotion. Three tables of rows describe the very same vectors:
with the video named as group and folds by video, with a random split, and with a random split where
nobody wrote down the video.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.record import record

CLASSES = ("anger", "fear", "joy", "neutral", "proud", "sadness", "surprise", "trust")
VIDEOS, WINDOW_S, STEP_S = 160, 1.0, 0.5
SHORTEST_S, LONGEST_S = 6.0, 18.0
WIDTH, SIGNATURE, CUE, NOISE = 48, 1.0, 0.28, 0.7
GRID = ("--classifiers", "svm", "--early", "concatenation", "--late", "none", "--quiet")


def main() -> None:
    """Generate, score with a plain script, audit and run the grid, and record one line per way."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    rows, vectors = windows(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        np.savez(work / "windows.npz", ids=rows["id"].to_numpy(dtype=str), **vectors)
        found = [
            story(
                "random over windows, video not written down",
                rows.drop(columns="video"),
                "split",
                vectors,
                work,
            ),
            story("random over windows", rows, "split", vectors, work),
            story("folds by video", rows.drop(columns="split"), "group-kfold:5", vectors, work),
        ]
    table = pd.DataFrame(found)
    print(record("window_story", table, "python -m benchmarks.window_story", given.seed))
    print(table.to_string(index=False))


def windows(seed: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return a row per window (id, video, label, split) and its vectors.

    The latter are modality to float32 (N, D).
    """
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(VIDEOS) % len(CLASSES))
    cues = {m: generator.standard_normal((len(CLASSES), WIDTH)) for m in ("audio", "video")}
    rows, parts = [], {m: [] for m in cues}
    for video, label in enumerate(labels):
        count = int((generator.uniform(SHORTEST_S, LONGEST_S) - WINDOW_S) / STEP_S) + 1
        rows += [
            {"id": f"v{video:03d}_w{i:03d}", "video": f"v{video:03d}", "label": CLASSES[label]}
            for i in range(count)
        ]
        for modality, part in parts.items():
            own = SIGNATURE * generator.standard_normal(WIDTH) + CUE * cues[modality][label]
            # a window is two halves; neighbours share one
            halves = generator.standard_normal((count + 1, WIDTH)) / np.sqrt(2)
            part.append(own + NOISE * (halves[:-1] + halves[1:]))
    table = pd.DataFrame(rows)
    table["split"] = np.where(generator.random(len(table)) < 0.8, "train", "test")
    return table, {m: np.concatenate(part).astype(np.float32) for m, part in parts.items()}


def story(
    way: str, rows: pd.DataFrame, folds: str, vectors: dict[str, np.ndarray], work: Path
) -> dict[str, object]:
    """Score one way of splitting with a plain script, and ask the two commands."""
    name = way.replace(",", "").replace(" ", "-")
    rows.to_csv(work / f"{name}.csv", index=False)
    store = ["--store", str(work / name)]
    call(
        "embeddings_store.commands.embeddings_store",
        "import",
        str(work / "windows.npz"),
        "--rows",
        str(work / f"{name}.csv"),
        "--seen",
        "none",
        "--corpus",
        "reels",
        *store,
    )
    done = call("classify.commands.audit_leakage", *store, "--folds", folds, "--json")
    audit = json.loads(done.stdout)
    by_verdict: dict[str, list[str]] = {}
    for check, finding in audit["checks"].items():
        by_verdict.setdefault(finding["verdict"], []).append(check)
    out = work / f"{name}-results"
    # train on as much as the plain script does
    four_fifths = () if folds == "split" else ("--valid", "none")
    grid = call(
        "classify.commands.run_fusion_grid",
        *store,
        "--folds",
        folds,
        *four_fifths,
        "--out",
        str(out),
        *GRID,
    )
    return {
        "way": way,
        "windows": len(rows),
        "videos": VIDEOS,
        "plain_script_WA": 100 * plain(rows, folds, vectors),
        "chance_WA": 100 * rows["label"].value_counts(normalize=True).iloc[0],
        "audit": audit["verdict"],
        "leaks": " ".join(by_verdict.get("leak", [])),
        "cautions": " ".join(by_verdict.get("caution", [])),
        "grid_exit_status": grid.returncode,
        "grid_WA": 100 * result(out) if grid.returncode == 0 else float("nan"),
    }


def plain(rows: pd.DataFrame, folds: str, vectors: dict[str, np.ndarray]) -> float:
    """Return the accuracy over windows of a plain scikit-learn script."""
    X, y = np.hstack(list(vectors.values())), rows["label"].to_numpy(dtype=str)
    model = make_pipeline(StandardScaler(), SVC())
    if folds == "split":
        train = (rows["split"] == "train").to_numpy()
        return float(accuracy_score(y[~train], model.fit(X[train], y[train]).predict(X[~train])))
    names = np.unique(rows["video"].to_numpy(dtype=str))
    block = {}
    for number, part in enumerate(np.array_split(names, 5)):  # as group-kfold:5 cuts them
        block.update(dict.fromkeys(part, number))
    folds_by_video = PredefinedSplit(rows["video"].map(block))
    return float(accuracy_score(y, cross_val_predict(model, X, y, cv=folds_by_video)))


def result(out: Path) -> float:
    """Return the grid's accuracy of the early concatenation, pooled over windows."""
    table = pd.read_parquet(out / "predictions.parquet", filters=[("role", "==", "test")])
    table = table[table["cell"].astype(str) == "early concatenation audio+video svm"]
    return float((table["y_true"].astype(str) == table["y_pred"].astype(str)).mean())


def call(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the project's commands; 3 is an answer, anything but 0 and 3 stops."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], text=True, capture_output=True
    )
    if done.returncode not in (0, 3):
        raise SystemExit(f"{module} {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
    return done


if __name__ == "__main__":
    main()
