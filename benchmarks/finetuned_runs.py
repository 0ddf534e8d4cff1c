"""Fine-tune on real clips and transcripts, and compare with frozen encoders.

Each fold's training is chosen on that fold's validation rows.

    python -m benchmarks.finetuned_runs --data ../shared --work build/real-runs

Shares its store with ``benchmarks.real_runs``, whose frozen vectors it needs, and goes on where it
was killed. The comparison is paired: over folds of actors with a t interval for RAVDESS, over
dialogues of the one official test split with a bootstrap for MELD.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.real_runs import call, frozen_store, make_vectors
from benchmarks.record import record
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.catalogue import catalogue

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Study:
    """One corpus and encoder, and how it is trained and scored.

    Attributes:
        corpus: The corpus' name.
        modality: Which of its modalities.
        encoder: A folder of models.
        trainings: Learning rate and epochs of each, fixed before any was scored.
        options: Those of its grids.
    """

    corpus: str
    modality: str
    encoder: str
    trainings: tuple[tuple[str, int], ...]
    options: tuple[str, ...]


STUDIES = (
    Study(
        "ravdess",
        "audio",
        "whisper-tiny",
        (("3e-5", 5), ("1e-4", 5), ("3e-4", 5)),
        ("--layer", "valid", "--svm-c", "5", "--classifiers", "svm"),
    ),
    Study("meld", "text", "all-MiniLM-L6-v2", (("2e-5", 3), ("5e-5", 3)), ("--classifiers", "svm")),
)


def main() -> None:
    """Train in every way, choose, compare, and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--work", type=Path, required=True)
    given = options.parse_args()
    store, rates, rows = given.work / "embeddings", [], []
    made = make_vectors(given.data, store)
    for study in STUDIES:
        if study.corpus in made:
            tried = []
            for rate, epochs in study.trainings:
                tried += finetune(study, rate, epochs, given.data, store)
            used = used_per_fold(tried)
            rates += used + abandoned(study, tried, store)
            rows += compare(study, [t for t in used if t["used"]], store, given.work)
    command = "python -m benchmarks.finetuned_runs --data DATA --work WORK"
    record("finetuned_rates", rates, command)
    record("frozen_against_finetuned", rows, command)
    print(pd.DataFrame(rates).to_string(index=False))
    print(pd.DataFrame(rows).to_string(index=False))


def arguments(study: Study, rate: str, epochs: int) -> str:
    """Return the options of one fine-tuning, with DATA for the folder of the material."""
    return (
        f"--corpus {study.corpus} --root DATA/data/{study.corpus} --modality {study.modality} "
        f"--encoder DATA/models/{study.encoder} --fold all --epochs {epochs} --learning-rate "
        f"{rate} --warmup-ratio 0.1"
    )


def finetune(
    study: Study, rate: str, epochs: int, data: Path, store: Path
) -> list[dict[str, object]]:
    """Train every fold in one way.

    Returns for each the accuracy of its kept epoch on its validation rows.
    """
    options = arguments(study, rate, epochs)
    done = call(
        "extract.commands.extract_features",
        [*(o.replace("DATA", str(data)) for o in options.split()), "--store", str(store)],
    )
    return [
        {
            "corpus": study.corpus,
            "fold": int(path.stem.removeprefix("fold-")),
            "learning_rate": float(rate),
            "epochs": epochs,
            "encoder": path.parent.parent.name,
            "made_by": f"extract-features {options}",
            "valid_WA": 100
            * float(pd.read_csv(path.with_suffix(".history.csv"))["valid_accuracy"].max()),
        }
        for path in map(Path, done.stdout.split())
    ]


def used_per_fold(tried: list[dict[str, object]]) -> list[dict[str, object]]:
    """Mark in each fold the training that is best on its own validation rows, the first of equals.

    One training for all folds would be chosen on rows that other folds test on.
    """
    best: dict[object, dict[str, object]] = {}
    for training in tried:
        so_far = best.setdefault(training["fold"], training)
        if float(str(training["valid_WA"])) > float(str(so_far["valid_WA"])):
            best[training["fold"]] = training
    return [{**training, "used": training is best[training["fold"]]} for training in tried]


def abandoned(study: Study, tried: list[dict[str, object]], store: Path) -> list[dict[str, object]]:
    """Return every other training of this corpus in the store, so that none goes unmentioned."""
    known = {(t["encoder"], t["fold"]) for t in tried}
    rows: list[dict[str, object]] = []
    for entry in catalogue(store, study.corpus):
        if entry.fold.isdigit() and (entry.ref.folder, int(entry.fold)) not in known:
            history = pd.read_csv(entry.path.with_suffix(".history.csv"))
            rows.append(
                {
                    "corpus": study.corpus,
                    "fold": int(entry.fold),
                    "learning_rate": entry.settings["train_learning_rate"],
                    "epochs": entry.settings["train_epochs"],
                    "encoder": entry.ref.folder,
                    "made_by": "tried and abandoned",
                    "valid_WA": 100 * float(history["valid_accuracy"].max()),
                    "used": False,
                }
            )
    return rows


def compare(
    study: Study, chosen: list[dict[str, object]], store: Path, work: Path
) -> list[dict[str, object]]:
    """Score frozen and fine-tuned vectors with the same grid.

    Returns one row per classifier of the fine-tuned vectors.
    """
    frozen = next(
        e.ref.folder
        for e in catalogue(store, study.corpus)
        if e.fold == "any" and ".L" not in e.ref.name
    )
    layers = () if "--layer" in study.options else ("--encoder", f"{study.modality}={frozen}")
    base = right(
        predictions(
            frozen_store(store, study.corpus, work), study, work / f"{study.corpus}_frozen", layers
        ),
        "svm",
    )
    plain = tuple(
        o for i, o in enumerate(study.options) if "--layer" not in {o, study.options[i - 1]}
    )
    tuned = []
    for encoder in sorted({str(t["encoder"]) for t in chosen}):
        out = work / f"{study.corpus}_{encoder.replace('@', '_')}"
        found = predictions(
            store, replace(study, options=plain), out, ("--encoder", f"{study.modality}={encoder}")
        )
        its_folds = [training["fold"] for training in chosen if training["encoder"] == encoder]
        tuned.append(found[found["fold"].isin(its_folds)])
    manifest = Manifest.load(store / study.corpus)
    groups = dict(zip(manifest.ids.tolist(), manifest.column("group").tolist(), strict=True))
    return [
        {
            "corpus": study.corpus,
            "encoder": frozen.partition("@")[0],
            "frozen": "SVM",
            "tuned": classifier,
            **paired(base, right(pd.concat(tuned), classifier), groups),
        }
        for classifier in ("head", "svm")
    ]


def predictions(store: Path, study: Study, out: Path, encoder: tuple[str, ...]) -> pd.DataFrame:
    """Run the grid and return its unimodal predictions on test."""
    call(
        "classify.commands.run_fusion_grid",
        [
            "--store",
            str(store),
            "--corpus",
            study.corpus,
            "--preset",
            "paper",
            "--out",
            str(out),
            "--quiet",
            *study.options,
            *encoder,
        ],
    )
    table = pd.read_parquet(out / "predictions.parquet")
    keep = (table["role"] == "test") & (table["family"] == "unimodal")
    return table[keep].astype({"classifier": str, "id": str, "y_true": str, "y_pred": str})


def right(predictions: pd.DataFrame, classifier: str) -> pd.DataFrame:
    """Return id, fold and whether the prediction is right."""
    rows = predictions[predictions["classifier"] == classifier]
    return pd.DataFrame(
        {
            "id": rows["id"],
            "fold": rows["fold"],
            "right": (rows["y_true"] == rows["y_pred"]).astype(float),
        }
    )


def paired(frozen: pd.DataFrame, tuned: pd.DataFrame, groups: dict[str, str]) -> dict[str, object]:
    """Return both accuracies and their difference with a 95 % interval, per cent.

    Several folds: the mean difference per fold and a t interval over folds, which takes folds for
    independent although they share training rows, so it is somewhat narrow. One fold: a percentile
    bootstrap that draws dialogues. One seed either way.
    """
    both = frozen.merge(
        tuned, on=["id", "fold"], suffixes=("_frozen", "_tuned"), validate="one_to_one"
    )
    if not len(both) == len(frozen) == len(tuned):
        raise SystemExit(
            f"{len(frozen)} frozen and {len(tuned)} tuned rows have only {len(both)} in common"
        )
    both["difference"] = 100 * (both["right_tuned"] - both["right_frozen"])
    by_fold = both.groupby("fold")[["right_frozen", "right_tuned", "difference"]].mean()
    if len(by_fold) > 1:
        low, high = stats.t.interval(
            0.95, len(by_fold) - 1, by_fold["difference"].mean(), stats.sem(by_fold["difference"])
        )
        how = f"t interval over {len(by_fold)} folds"
    else:
        sums = both.groupby(both["id"].map(groups))["difference"].agg(["sum", "count"]).to_numpy()
        drawn = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
        means = sums[drawn, 0].sum(axis=1) / sums[drawn, 1].sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        how = f"bootstrap over {len(sums)} dialogues"
    return {
        "frozen_WA": 100 * by_fold["right_frozen"].mean(),
        "tuned_WA": 100 * by_fold["right_tuned"].mean(),
        "difference": by_fold["difference"].mean(),
        "low": float(low),
        "high": float(high),
        "interval": how,
    }


if __name__ == "__main__":
    main()
