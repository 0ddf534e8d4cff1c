"""Which pooling pays: poolings of frozen Whisper-tiny on RAVDESS, judged on validation rows alone.

    python -m benchmarks.poolings --data ../shared

DATA holds ``data/ravdess`` and ``models/whisper-tiny``. All parts are made in one pass and cut out
of its vectors. The folds are the corpus' own, two actors tested in each; an SVM (C = 5, on columns
standardised over the training rows) answers for the validation rows, and no test row is looked at.
Intervals are of paired differences by actor, from Student's t.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from benchmarks.record import record
from classify.models.classifiers import fit_classifier
from embeddings_store import open_store
from embeddings_store.store import Store
from embeddings_store.vectors.fold_data import FoldData
from extract.commands.extract_features import main as extract_features
from extract.encoders.architectures import parts_of, width_of

PARTS = ("mean", "std", "max", "percentiles", "thirds")
POOLINGS = (
    *PARTS,
    "mean+std",
    "mean+max",
    "mean+thirds",
    "mean+std+max",
    "mean+std+thirds",
    "mean+std+percentiles+thirds",
    "+".join(PARTS),
)
STATE, LAYERS, FOLDS, C = 384, range(1, 5), range(1, 7), 5.0


def main() -> None:
    """Extract, answer and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--store", type=Path, help="keep the vectors here (default: nowhere)")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.store or Path(folder)
        extract(given.data, path)
        store = open_store(path)
        rows = [row for layer in LAYERS for row in of_layer(store, layer)]
    print(record("poolings", rows, "python -m benchmarks.poolings --data ../shared"))


def extract(data: Path, store: Path) -> None:
    """Make the vectors of all parts side by side, of all layers."""
    corpus = ["--corpus", "ravdess", "--root", str(data / "data" / "ravdess")]
    encoder = ["--modality", "audio", "--encoder", str(data / "models" / "whisper-tiny")]
    how = ["--frozen", "--layer", "all", "--pooling", "+".join(PARTS), "--store", str(store)]
    if extract_features([*corpus, *encoder, *how]):
        raise SystemExit("extract-features failed")


def columns_of(pooling: str) -> NDArray[np.int64]:
    """Return where the columns of a pooling lie in the vectors of all parts."""
    starts = np.cumsum([0, *(STATE * width_of(part) for part in PARTS)])
    of_part = {part: np.arange(*starts[i : i + 2]) for i, part in enumerate(PARTS)}
    return np.concatenate([of_part[part] for part in parts_of(pooling)])


def of_layer(store: Store, layer: int) -> list[dict[str, object]]:
    """Return one row per pooling of a layer."""
    answers = {pooling: [] for pooling in POOLINGS}
    for number in FOLDS:
        fold = store.fold(number, modalities=["audio"], layer=str(layer))
        for pooling, tables in answers.items():
            tables.append(answered(fold, columns_of(pooling)).assign(fold=number))
    tables = {pooling: pd.concat(each) for pooling, each in answers.items()}
    base = by_actor(tables["mean"])
    rows = []
    for pooling, table in tables.items():
        uar = [
            balanced_accuracy_score(each["y"], each["answer"]) for _, each in table.groupby("fold")
        ]
        apart = 100 * (by_actor(table) - base).to_numpy()
        half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5
        rows.append(
            {
                "pooling": pooling,
                "layer": layer,
                "dim": STATE * width_of(pooling),
                "valid_WA": round(100 * float(by_actor(table).mean()), 1),
                "valid_UAR": round(100 * float(np.mean(uar)), 1),
                "difference": round(float(apart.mean()), 1),
                "low": round(float(apart.mean() - half), 1),
                "high": round(float(apart.mean() + half), 1),
            }
        )
    return rows


def answered(fold: FoldData, columns: NDArray[np.int64]) -> pd.DataFrame:
    """Fit on the fold's training rows and answer for its validation rows."""
    train, valid = fold.train, fold.valid
    scaler = StandardScaler().fit(train.vectors["audio"][:, columns])
    X = scaler.transform(train.vectors["audio"][:, columns])
    model = fit_classifier("svm", X, train.y, len(fold.labels.classes), settings={"c": C})
    scores = model.predict(scaler.transform(valid.vectors["audio"][:, columns]))
    return pd.DataFrame({"actor": valid.groups, "y": valid.y, "answer": scores.labels})


def by_actor(table: pd.DataFrame) -> pd.Series:
    """Return the accuracy of each actor, in the order of their names."""
    return (table["y"] == table["answer"]).groupby(table["actor"]).mean()


if __name__ == "__main__":
    main()
