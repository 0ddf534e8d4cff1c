"""Run the two commands on real clips, transcripts and vectors, and keep what they report.

Skips what is not on this machine.

    python -m benchmarks.real_runs --data ../shared --work build/real-runs

DATA holds ``data/ravdess`` (speech clips), ``data/meld`` (tables), ``data/mosi`` (vectors made
elsewhere) and ``models/`` (Whisper-tiny, all-MiniLM-L6-v2). A run that was killed goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.record import record
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.exchange.interchange import export_vectors
from embeddings_store.vectors.catalogue import catalogue, choose_views

CELL = [
    "family",
    "method",
    "modalities",
    "classifier",
    "layer",
    "scores_from",
    "fit_rows",
    "verified",
    "flags",
]
SCORES = ["WA", "UAR", "macro_F1", "weighted_F1", "valid_WA"]


@dataclass(frozen=True, slots=True)
class Run:
    """One grid over one corpus: its name, and its options beside store, corpus and results."""

    name: str
    corpus: str
    options: tuple[str, ...] = ()


RUNS = (
    Run("ravdess", "ravdess", ("--layer", "valid", "--svm-c", "5")),
    Run(
        "ravdess_train_valid",
        "ravdess",
        ("--layer", "valid", "--svm-c", "5", "--fit-rows", "train+valid"),
    ),
    Run(
        "ravdess_shuffled", "ravdess", ("--layer", "valid", "--svm-c", "5", "--shuffle-labels", "0")
    ),
    Run("meld", "meld"),
    Run("meld_shuffled", "meld", ("--shuffle-labels", "0")),
    Run("mosi", "mosi"),
    Run("mosi_shuffled", "mosi", ("--shuffle-labels", "0")),
)


def main() -> None:
    """Make the vectors, run the grids, and record the tables."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--work", type=Path, required=True, help="where store and results go")
    given = options.parse_args()
    store = given.work / "embeddings"
    made = make_vectors(given.data, store)
    for run in RUNS:
        if run.corpus in made:
            shown = ["run-fusion-grid", "--corpus", run.corpus, "--preset", "paper", *run.options]
            frozen = frozen_store(store, run.corpus, given.work)
            call(
                "classify.commands.run_fusion_grid",
                [
                    "--store",
                    str(frozen),
                    "--out",
                    str(given.work / run.name),
                    "--quiet",
                    *shown[1:],
                ],
            )
            record(
                f"grid_{run.name}",
                summary(given.work / run.name / "grid.csv"),
                f"{made[run.corpus]} && {' '.join(shown)}",
            )
    if "mosi" in made:
        record("mosi_leak", leak(store), "python -m benchmarks.real_runs --data DATA --work WORK")


def make_vectors(data: Path, store: Path) -> dict[str, str]:
    """Fill the store from what is there.

    Return corpus to the command that made its vectors, with DATA for the folder.
    """
    commands = {
        "ravdess": (
            "extract.commands.extract_features",
            "--corpus ravdess --root DATA/data/ravdess --modality audio --encoder "
            "DATA/models/whisper-tiny --frozen --layer all",
        ),
        "meld": (
            "extract.commands.extract_features",
            "--corpus meld --root DATA/data/meld --modality text --encoder "
            "DATA/models/all-MiniLM-L6-v2 --frozen",
        ),
        "mosi": (
            "embeddings_store.commands.embeddings_store",
            "import DATA/data/mosi/features.npz --rows DATA/data/mosi/rows.csv --corpus mosi "
            "--seen split:train",
        ),
    }
    programs = {
        "extract.commands.extract_features": "extract-features",
        "embeddings_store.commands.embeddings_store": "embeddings-store",
    }
    made = {}
    for corpus, (module, arguments) in commands.items():
        if (data / "data" / corpus).is_dir():
            call(
                module,
                [*(a.replace("DATA", str(data)) for a in arguments.split()), "--store", str(store)],
            )
            made[corpus] = f"{programs[module]} {arguments}"
        else:
            print(f"{corpus}: not below {data}, skipped")
    return made


def frozen_store(store: Path, corpus: str, work: Path) -> Path:
    """Return a view of the store without fine-tuned files.

    A layer is chosen among all vectors of a modality.
    """
    view = work / "frozen-view"
    (view / corpus).mkdir(parents=True, exist_ok=True)
    for name in ("corpus.json", "manifest.parquet"):
        link(view / corpus / name, store / corpus / name)
    for entry in catalogue(store, corpus):
        if entry.fold == "any":
            link(view / corpus / entry.ref.folder, store / corpus / entry.ref.folder)
    return view


def link(place: Path, target: Path) -> None:
    """Make a symbolic link if it is not there."""
    if not place.is_symlink():
        place.symlink_to(target.resolve())


def call(module: str, arguments: list[str], expected: int = 0) -> subprocess.CompletedProcess[str]:
    """Run one of the project's commands and stop if it ends otherwise than expected."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], text=True, capture_output=True
    )
    if done.returncode != expected:
        raise SystemExit(
            f"{module} {' '.join(arguments)}: exit {done.returncode}, expected "
            f"{expected}\n{done.stderr}"
        )
    return done


def summary(grid: Path) -> pd.DataFrame:
    """Return one row per cell.

    Mean and sample deviation over folds, per cent, and how many folds and rows.
    """
    table = pd.read_csv(grid, keep_default_na=False, na_values=[""], dtype={"layer": str})
    about = ["corpus", "protocol", "valid_rule", "label_set", "labels_shuffled"]
    table[CELL] = table[CELL].astype(object).fillna("").astype(str)
    keys = [*about, *(c for c in CELL if c not in {"layer", "flags"}), layer_key(table)]
    chosen = table.groupby(keys, sort=False, dropna=False)
    scores = {s: (s, "mean") for s in SCORES} | {f"{s}_sd": (s, "std") for s in SCORES}
    rows = chosen.agg(
        folds=("fold", "nunique"),
        n_scored=("n_scored", "sum"),
        layers=("layer", " ".join),
        flags=("flags", "first"),
        **scores,
    )
    rows[[c for c in rows if c.removesuffix("_sd") in SCORES]] *= 100
    return rows.reset_index().drop(columns="candidate").round(3)


def layer_key(table: pd.DataFrame) -> pd.Series:
    """Candidate layers are cells of their own; a layer that was chosen per fold is not."""
    return table["layer"].where(table["family"] == "layer", "").rename("candidate")


def leak(store: Path) -> pd.DataFrame:
    """Score MOSI as the gate allows, and as a script that does not ask what encoders have seen."""
    manifest = Manifest.load(store / "mosi")
    views = {name: refs[0] for name, refs in choose_views(catalogue(store, "mosi")).items()}
    vectors, y = {}, manifest.codes()
    for name, ref in views.items():
        path = next((store / "mosi" / ref.folder).rglob("*.h5"))
        target = store.parent / f"mosi-{name}.parquet"
        export_vectors(path, target)
        table = pd.read_parquet(target)
        vectors[name] = table[[c for c in table if c.startswith("v")]].to_numpy()
    vectors["concatenation"] = pd.concat(
        [pd.DataFrame(v) for v in vectors.values()], axis=1
    ).to_numpy()
    train, test = (manifest.column("split") == name for name in ("train", "test"))
    rows = []
    for name, matrix in vectors.items():
        modalities = list(views) if name == "concatenation" else [name]
        refused = call(
            "classify.commands.run_fusion_grid",
            [
                "--store",
                str(store),
                "--corpus",
                "mosi",
                "--folds",
                "group-kfold:5",
                "--out",
                str(store.parent / "refused"),
                "--modalities",
                *modalities,
            ],
            expected=3,
        )
        model = make_pipeline(StandardScaler(), SVC())
        official = model.fit(matrix[train], y[train]).score(matrix[test], y[test])
        folds = cross_val_predict(
            model, matrix, y, cv=GroupKFold(5), groups=manifest.column("group")
        )
        rows.append(
            {
                "vectors": name,
                "official_split_WA": 100 * official,
                "five_folds_by_video_WA": 100 * (folds == y).mean(),
                "this_project": "refused, exit status 3"
                if "has seen (seen=fit" in refused.stderr
                else refused.stderr,
            }
        )
    return pd.DataFrame(rows).round(2)


if __name__ == "__main__":
    main()
