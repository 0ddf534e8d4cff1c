"""Seconds of run-fusion-grid against a plain scikit-learn and XGBoost script of the same cells.

The plain script fits every classifier on every subset of modalities, standardised and side by side,
with the libraries' defaults; the network, which has no default that ends, has the grid's settings.
Both read the same generated vectors, as many as IEMOCAP has unless told otherwise, and train on
four sessions to answer the fifth. They take turns, classifier by classifier, with one thread; the
grid then computes all cells again in one run. Ratios are of CPU seconds, because other programs
change what a clock says.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from xgboost import XGBClassifier

from benchmarks.record import record
from classify.commands.run_fusion_grid import main as run_fusion_grid
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.fold_data import FoldData
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

MODALITIES = ("audio", "text", "video")
CLASSIFIERS = ("svm", "nn", "xgboost")
WHOLE = "all"
# way to run the grid, to the options that make it and the ratio that is aimed at
WAYS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "defaults": ((), 10.0),
    "fast": (("--preset", "fast"), 30.0),
}
Subset = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What something took, in seconds on the clock and of a processor, children included."""

    wall_s: float
    cpu_s: float


def main() -> None:
    """Measure and record ``grid.csv``."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, default=5_531)
    options.add_argument("--dim", type=int, default=768)
    given = options.parse_args()
    rows = measure(given.rows, given.dim)
    print(record("grid", rows, f"python -m benchmarks.grid --rows {given.rows} --dim {given.dim}"))
    for row in rows:
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})


def measure(n_rows: int, dim: int) -> list[dict[str, object]]:
    """Return one row per way and classifier, and one of all classifiers in one run.

    Args:
        n_rows: Utterances of the generated corpus.
        dim: Columns of each of its three modalities.
    """
    plain: dict[str, tuple[Taken, pd.DataFrame]] = {}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        make_store(store, n_rows, dim)
        for classifier in CLASSIFIERS:
            plain[classifier] = plain_script(store, classifier)
            for way in WAYS:
                out = Path(folder) / f"{way}-{classifier}"
                ours = timed_grid(store, out, way, [classifier])
                found.append(compared(way, classifier, plain[classifier], ours, out))
        taken = [taken for taken, _ in plain.values()]
        whole = Taken(sum(t.wall_s for t in taken), sum(t.cpu_s for t in taken))
        labels = pd.concat([labels for _, labels in plain.values()])
        for way in WAYS:
            out = Path(folder) / f"{way}-{WHOLE}"
            ours = timed_grid(store, out, way, CLASSIFIERS)
            row = compared(way, WHOLE, (whole, labels), ours, out)
            row["grid_again_s"] = timed_grid(store, out, way, CLASSIFIERS).wall_s
            found.append(row)
    return [{"rows": n_rows, "dim": dim, "folds": 1, **row} for row in found]


def make_store(store: Path, rows: int, dim: int) -> None:
    """Write a store of four classes and three modalities, none of which suffices.

    Four of five rows are for training, the others for testing.
    """
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, rows)
    ids = [f"u{i:06d}" for i in range(rows)]
    manifest = Manifest.from_columns(
        "bench",
        {
            "id": ids,
            "label": [f"class-{c}" for c in y],
            "session": [f"Ses{1 + i % 5}" for i in range(rows)],
            "split": ["test" if i % 5 == 4 else "train" for i in range(rows)],
            "text": ["-"] * rows,
        },
        protocol="split",
    )
    manifest.enter(store)
    ok = np.full(rows, "ok")
    for modality in MODALITIES:
        centres = generator.standard_normal((4, dim)) * 0.12
        vectors = (centres[y] + generator.standard_normal((rows, dim))).astype(np.float32)
        ref = EncoderRef(f"bench-{modality}", "0" * 12, modality)
        write_embeddings(
            store_path(store, "bench", ref, "any"),
            Embeddings(np.array(ids), vectors, np.full(rows, "no"), ok, np.full(rows, ""), ref),
            {
                "corpus": "bench",
                "inputs_digest": manifest.inputs_digest,
                "settings": {},
                "provenance": {},
                "weights_digest": "",
            },
        )


def subsets() -> list[Subset]:
    """Return every set of modalities, single ones first."""
    return [s for size in (1, 2, 3) for s in combinations(MODALITIES, size)]


def plain_script(store: Path, classifier: str) -> tuple[Taken, pd.DataFrame]:
    """Return what it took, and id, cell, truth and answer of every test row of every cell."""
    before = now()
    data = the_fold(store)
    train, test = {}, {}
    for modality in MODALITIES:
        scaler = StandardScaler().fit(data.train.vectors[modality])
        train[modality] = scaler.transform(data.train.vectors[modality])
        test[modality] = scaler.transform(data.test.vectors[modality])
    found = []
    classes = np.array(data.labels.classes)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for subset in subsets():
            X, T = (np.hstack([of[m] for m in subset]) for of in (train, test))
            codes = MODELS[classifier]().fit(X, data.train.y).predict(T)
            columns = {"id": data.test.ids, "cell": f"{'+'.join(subset)} {classifier}"}
            answers = {"truth": classes[data.test.y], "label": classes[codes]}
            found.append(pd.DataFrame({**columns, **answers}))
    return since(before), pd.concat(found)


def the_fold(store: Path) -> FoldData:
    """Read the one fold of the corpus."""
    views = {name: refs[0] for name, refs in choose_views(catalogue(store, "bench")).items()}
    plan = make_plan(Manifest.load(store / "bench"))
    return load_fold(FoldRequest(store, "bench", views, plan, 1))


MODELS: Mapping[str, Callable[[], Any]] = {  # scikit-learn has no types
    # without it a tie of votes goes to the class that comes first, which nobody wants
    "svm": lambda: SVC(break_ties=True),
    "xgboost": lambda: XGBClassifier(n_jobs=1),
    "nn": lambda: MLPClassifier(
        (128,),
        max_iter=20,
        batch_size=64,
        learning_rate_init=1e-3,
        alpha=1.0,
        n_iter_no_change=20,
        tol=0.0,
        random_state=0,
    ),
}


def timed_grid(store: Path, out: Path, way: str, classifiers: Sequence[str]) -> Taken:
    """Run the command on every subset of the modalities, and return what it took."""
    command = ["--store", str(store), "--out", str(out), "--jobs", "1", "--quiet", "--subsets"]
    command += ["--early", "concatenation", "--late", "none", "--classifiers", *classifiers]
    before = now()
    if run_fusion_grid([*command, *WAYS[way][0]]):
        raise SystemExit("the grid failed")
    return since(before)


def now() -> tuple[float, float]:
    """Return the clock and the processor seconds of this process and of its finished children."""
    return time.perf_counter(), sum(os.times()[:4])


def since(before: tuple[float, float]) -> Taken:
    """Return what was taken after a call of :func:`now`."""
    wall, cpu = now()
    return Taken(wall - before[0], cpu - before[1])


def compared(
    way: str, classifier: str, plain: tuple[Taken, pd.DataFrame], ours: Taken, out: Path
) -> dict[str, object]:
    """Return a row of the table: times, labels and mean accuracy of the plain script and of ours.

    Args:
        way: A name of :data:`WAYS`.
        classifier: Of which classifier, or :data:`WHOLE`.
        plain: What the plain script took, and what it answered.
        ours: What the grid took.
        out: Where its results lie.
    """
    taken, answers = plain
    both = answers.merge(answers_of(out), on=["id", "cell"], validate="one_to_one")
    if len(both) != len(answers):
        raise SystemExit(
            f"only {len(both)} of {len(answers)} rows of the plain script are in the grid's "
            "predictions"
        )
    plain_wa = 100 * (both["label"] == both["truth"]).mean()
    grid_wa = 100 * (both["ours"] == both["truth"]).mean()
    ratio = taken.cpu_s / ours.cpu_s
    whole = classifier == WHOLE
    aim = WAYS[way][1]
    print(
        f"{way}, {classifier}: {taken.cpu_s:.1f} s / {ours.cpu_s:.1f} s = {ratio:.1f}", flush=True
    )
    return {
        "cells": both["cell"].nunique(),
        "way": way,
        "classifier": classifier,
        "plain_s": taken.wall_s,
        "grid_s": ours.wall_s,
        "plain_cpu_s": taken.cpu_s,
        "grid_cpu_s": ours.cpu_s,
        "ratio_to_plain": ratio,
        "target_ratio": aim if whole else np.nan,
        "verdict": ("met" if ratio >= aim else "missed") if whole else "",
        "labels_compared": len(both),
        "labels_equal": float((both["label"] == both["ours"]).mean()),
        "plain_script_WA": plain_wa,
        "grid_WA": grid_wa,
        "grid_again_s": np.nan,
    }


def answers_of(out: Path) -> pd.DataFrame:
    """Return id, cell and answer of every test row of a folder of results."""
    table = pd.read_parquet(out / "predictions.parquet")
    table = table[table["role"].eq("test") & table["family"].isin(["unimodal", "early"])]
    cell = table["modalities"].astype(str) + " " + table["classifier"].astype(str)
    return pd.DataFrame({"id": table["id"], "cell": cell, "ours": table["y_pred"].astype(str)})


if __name__ == "__main__":
    main()
