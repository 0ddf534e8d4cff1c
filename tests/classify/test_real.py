"""CMU-MOSI's real vectors.

The grid is the plain script to the last label, and the published leak is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classify.experiment import run_grid
from classify.grid.config import GridConfig
from embeddings_store.errors import LeakError
from embeddings_store.exchange.interchange import ImportJob, import_vectors

PLAIN = {"text": 74.7, "audio": 54.8, "video": 52.7, "concatenation": 76.1}


@pytest.fixture
def mosi(shared: Path, tmp_path: Path) -> Path:
    rows, source = shared / "data" / "mosi" / "rows.csv", shared / "data" / "mosi" / "features.npz"
    import_vectors(
        ImportJob(source, tmp_path / "embeddings", "split:train", rows=rows, corpus="mosi")
    )
    return tmp_path / "embeddings"


def test_mosi_is_the_plain_script(mosi: Path, shared: Path, tmp_path: Path) -> None:
    order = ("text", "audio", "video")
    table = run_grid(
        GridConfig(
            mosi, tmp_path / "results", modalities=order, classifiers=("svm",), late=(), jobs=1
        )
    ).table
    found = pd.read_parquet(tmp_path / "results" / "predictions.parquet")
    found = found[found["role"] == "test"]
    vectors, rows = (
        np.load(shared / "data" / "mosi" / "features.npz"),
        pd.read_csv(shared / "data" / "mosi" / "rows.csv"),
    )
    train, test = (rows["split"] == "train").to_numpy(), (rows["split"] == "test").to_numpy()
    y = rows["label"].to_numpy(dtype=str)
    views = {m: vectors[m] for m in order} | {
        "concatenation": np.hstack([vectors[m] for m in order])
    }
    for name, X in views.items():
        scaler = StandardScaler().fit(X[train])
        plain = SVC().fit(scaler.transform(X[train]), y[train]).predict(scaler.transform(X[test]))
        assert round(100 * (plain == y[test]).mean(), 1) == PLAIN[name]
        cell = (
            f"early concatenation {'+'.join(order)} svm"
            if name == "concatenation"
            else f"unimodal {name} svm"
        )
        ours = found[found["cell"] == cell].set_index("id")["y_pred"].astype(str)
        assert ours.loc[rows.loc[test, "id"]].tolist() == plain.tolist()
    assert table.headline == "early concatenation text+audio+video svm"
    assert round(100 * table.rows["constant_WA"].iloc[0], 1) == 62.1


def test_five_folds_by_video_are_refused(mosi: Path, tmp_path: Path) -> None:
    for valid in ("next", "none"):
        with pytest.raises(LeakError, match="was trained on them"):
            run_grid(GridConfig(mosi, tmp_path / "results", folds="group-kfold:5", valid=valid))


def test_shuffled_mosi_is_at_chance(mosi: Path, tmp_path: Path) -> None:
    rows = run_grid(
        GridConfig(mosi, tmp_path / "results", classifiers=("svm",), shuffle_seed=0, jobs=1)
    ).table.rows
    # 752 test rows of two classes: three deviations are 5.5 points around one half
    assert rows.loc[rows["family"] != "baseline", "UAR"].between(0.44, 0.56).all()
