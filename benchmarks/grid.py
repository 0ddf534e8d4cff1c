"""Seconds of run-fusion-grid against a plain scikit-learn and XGBoost script of the same cells.

The plain script loops over folds, fusions and classifiers in one process with the libraries' own
threads. Vectors are generated, with as many rows, folds and classes as asked for; both read them
from the same store.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

from benchmarks.record import record
from classify.commands.run_fusion_grid import main as run_fusion_grid
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

MODALITIES = ("audio", "text", "video")


def main() -> None:
    """Write the store, run both, and compare their labels."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, default=600)
    options.add_argument("--dim", type=int, default=128)
    options.add_argument(
        "--jobs", type=int, default=0, help="processes of the grid; 0 takes its default"
    )
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, out = Path(folder) / "store", Path(folder) / "results"
        make_store(store, given.rows, given.dim)
        started = time.perf_counter()
        plain = plain_script(store)
        plain_s = time.perf_counter() - started
        command = ["--store", str(store), "--out", str(out), "--late", "none", "--quiet"]
        command += ["--jobs", str(given.jobs)] if given.jobs else []
        grid_s = timed(command)
        again_s = timed(command)
        ours = pd.read_parquet(out / "predictions.parquet")
    compared = compare(plain, ours[ours["role"] == "test"])
    row = {
        "rows": given.rows,
        "dim": given.dim,
        "folds": 5,
        "cells": plain["cell"].nunique(),
        "plain_s": plain_s,
        "grid_s": grid_s,
        "ratio_to_plain": plain_s / grid_s,
        "grid_again_s": again_s,
        "labels_compared": len(compared),
        "labels_equal": float(compared.mean()),
    }
    print(
        record(
            "grid",
            [row],
            f"python -m benchmarks.grid --rows {given.rows} --dim {given.dim} --jobs {given.jobs}",
        )
    )
    print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})


def make_store(store: Path, rows: int, dim: int) -> None:
    """Write a store of five sessions, four classes and three modalities, none of which suffices."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, rows)
    ids = [f"u{i:06d}" for i in range(rows)]
    manifest = Manifest.from_columns(
        "bench",
        {
            "id": ids,
            "label": [f"class-{c}" for c in y],
            "session": [f"Ses{1 + i % 5}" for i in range(rows)],
            "text": ["-"] * rows,
        },
        protocol="leave-one-session-out",
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


def plain_script(store: Path) -> pd.DataFrame:
    """Return id, cell and predicted class of every early and unimodal cell."""
    views = {name: refs[0] for name, refs in choose_views(catalogue(store, "bench")).items()}
    plan = make_plan(Manifest.load(store / "bench"))
    found = []
    for fold in plan:
        data = load_fold(FoldRequest(store, "bench", views, plan, fold.number))
        inputs, train, test = {}, [], []
        for modality in MODALITIES:
            scaler = StandardScaler().fit(data.train.vectors[modality])
            train.append(scaler.transform(data.train.vectors[modality]))
            test.append(scaler.transform(data.test.vectors[modality]))
            inputs[modality] = train[-1], test[-1]
        inputs["concatenation"] = np.hstack(train), np.hstack(test)
        inputs["sum"] = np.sum(train, axis=0), np.sum(test, axis=0)
        inputs["product"] = np.prod(train, axis=0), np.prod(test, axis=0)
        for name, (fit, score) in inputs.items():
            for classifier, model in classifiers().items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    codes = model.fit(fit, data.train.y).predict(score)
                found.append(
                    pd.DataFrame(
                        {
                            "id": data.test.ids,
                            "cell": f"{name} {classifier}",
                            "label": np.array(data.labels.classes)[codes],
                        }
                    )
                )
    return pd.concat(found)


def classifiers() -> dict[str, object]:
    """Return the three classifiers with the grid's default settings."""
    return {
        "svm": SVC(C=1.0, cache_size=500, break_ties=True),
        "xgboost": XGBClassifier(
            n_estimators=100, max_depth=6, learning_rate=0.3, max_bin=64, tree_method="hist"
        ),
        "nn": MLPClassifier(
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


def timed(command: list[str]) -> float:
    """Run the command and return its seconds."""
    started = time.perf_counter()
    if run_fusion_grid(command):
        raise SystemExit("the grid failed")
    return time.perf_counter() - started


def compare(plain: pd.DataFrame, ours: pd.DataFrame) -> pd.Series:
    """Return for each row and cell that both have whether the labels are equal."""
    ours = ours.astype(
        dict.fromkeys(("id", "family", "method", "modalities", "classifier", "y_pred"), str)
    )
    name = ours["method"].where(ours["family"] == "early", ours["modalities"])
    ours = pd.DataFrame(
        {"id": ours["id"], "cell": name + " " + ours["classifier"], "ours": ours["y_pred"]}
    )
    both = plain.merge(ours, on=["id", "cell"], validate="one_to_one")
    if len(both) != len(plain):
        raise SystemExit(
            f"only {len(both)} of {len(plain)} rows of the plain script are in the grid's "
            "predictions"
        )
    return both["label"].astype(str) == both["ours"]


if __name__ == "__main__":
    main()
