"""Which settings of network and trees are much cheaper and about as good, on rows that choose.

    python -m benchmarks.fast_settings --data ../shared --work build/fast-settings

DATA holds what ``benchmarks.real_runs`` reads. Every candidate is fitted on the training rows of
a fold and answers rows that choose: validation rows, and on MOSI, whose official split has none,
a fifth of the training videos. Test rows are not loaded into any figure. Beside the real vectors
stand generated ones: ``generated`` has centres of classes in noise of full rank, ``low rank`` the
same in the space of 40 factors.

The rule: of those candidates whose means over the real and over the generated corpora, and whose
worst corpus, lose no more than :data:`MAY_LOSE`, the one with the least CPU seconds is taken; for
the defaults only where it is three times as fast as the first, because a changed default makes
figures of before another system's.

``difference`` is the accuracy on these rows less that of the first candidate of the classifier, the
mean over inputs; ``ratio`` the first candidate's CPU seconds by those of this one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.real_runs import make_vectors
from benchmarks.record import record
from classify.fusion.early import EarlyFusion
from classify.models.classifiers import fit_classifier
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.fold_data import FoldData, RoleData

COMMAND = "python -m benchmarks.fast_settings --data ../shared --work WORK"
Settings = Mapping[str, float]
GENERATED = {"generated": 0, "low rank": 40}  # name to the rank of the noise, 0 for full
# the first of a classifier is what it is compared with
CANDIDATES: tuple[tuple[str, Settings], ...] = (
    ("xgboost", {"depth": 6, "bins": 64, "components": 0}),
    ("xgboost", {"depth": 6, "bins": 16, "components": 0}),
    ("xgboost", {"depth": 3, "bins": 64, "components": 0}),
    ("xgboost", {"depth": 3, "bins": 16, "components": 0}),
    ("xgboost", {"depth": 3, "bins": 8, "components": 0}),
    ("xgboost", {"depth": 2, "bins": 16, "components": 0}),
    ("xgboost", {"depth": 3, "bins": 16, "components": 0, "trees": 50}),
    ("xgboost", {"depth": 6, "bins": 64, "components": 64}),
    ("xgboost", {"depth": 3, "bins": 16, "components": 256}),
    ("xgboost", {"depth": 3, "bins": 16, "components": 128}),
    ("xgboost", {"depth": 3, "bins": 16, "components": 64}),
    ("xgboost", {"depth": 2, "bins": 16, "components": 64}),
    ("nn", {}),
    ("nn", {"batch": 128, "rate": 2e-3}),
    ("nn", {"batch": 256, "rate": 4e-3}),
    ("nn", {"epochs": 10}),
    ("nn", {"epochs": 10, "rate": 2e-3}),
    ("nn", {"epochs": 10, "batch": 128, "rate": 2e-3}),
    ("nn", {"epochs": 10, "batch": 256, "rate": 4e-3}),
    ("nn", {"components": 256}),
    ("nn", {"components": 64}),
)
# how many points of accuracy what is chosen may lose: the mean over the real corpora and the mean
# over the generated ones, and the worst corpus
MAY_LOSE = {"defaults": (0.3, 1.0), "fast": (0.5, 1.5)}
AT_LEAST = {"defaults": 3.0, "fast": 1.0}  # times as fast as the first


@dataclass(frozen=True, slots=True)
class Input:
    """What a classifier is given: rows to fit on, and rows that choose.

    Attributes:
        corpus: Whose.
        name: Of the views that are fused, and of the fold.
        X: Rows to fit on (n, D).
        y: Their class codes (n,).
        X_choice: Rows that choose (m, D).
        y_choice: Their class codes (m,).
        n_classes: Size of the label set.
    """

    corpus: str
    name: str
    X: NDArray[np.float32]
    y: NDArray[np.int64]
    X_choice: NDArray[np.float32]
    y_choice: NDArray[np.int64]
    n_classes: int


def main() -> None:
    """Make the vectors, fit every candidate on every input, and record the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--work", type=Path, required=True, help="where the store goes")
    given = options.parse_args()
    store = given.work / "embeddings"
    make_vectors(given.data, store)
    table = measured([*generated(1_500, 128), *real(store)])
    print(record("fast_settings", table, COMMAND))
    print(table.to_string())


def measured(inputs: list[Input]) -> pd.DataFrame:
    """Return one row per corpus and candidate, and of each candidate one over all corpora."""
    lines = []
    for given in inputs:
        for classifier, settings in CANDIDATES:
            right, cpu_s = fitted(given, classifier, settings)
            line = {"corpus": given.corpus, "classifier": classifier, "settings": shown(settings)}
            lines.append({**line, "inputs": 1, "choice_WA": 100 * right, "cpu_s": cpu_s})
            print(given.corpus, given.name, lines[-1], flush=True)
    each = pd.DataFrame(lines)
    by = ["corpus", "classifier", "settings"]
    how = {"inputs": "sum", "choice_WA": "mean", "cpu_s": "sum"}
    of_corpora = each.groupby(by, sort=False).agg(how).reset_index()
    tables = [of_corpora]
    made = of_corpora["corpus"].isin(GENERATED)
    for name, rows in (("mean of generated", made), ("mean of real", ~made)):
        mean = of_corpora[rows].groupby(by[1:], sort=False).agg(how).reset_index()
        tables.append(mean.assign(corpus=name))
    table = pd.concat(tables, ignore_index=True)
    first = table.groupby(["corpus", "classifier"], sort=False)
    table["difference"] = table["choice_WA"] - first["choice_WA"].transform("first")
    table["ratio"] = first["cpu_s"].transform("first") / table["cpu_s"]
    for name, (mean, worst) in MAY_LOSE.items():
        table[name] = chosen(table, mean, worst, AT_LEAST[name])
    return table.round(3)


def chosen(table: pd.DataFrame, mean: float, worst: float, at_least: float) -> pd.Series:
    """Return ``chosen`` in the rows of the candidates that the rule takes, one per classifier.

    Args:
        table: The rows of every candidate with ``difference`` and ``cpu_s``.
        mean: How many points the means over real and over generated corpora may lose.
        worst: How many points any corpus may lose.
        at_least: How many times as fast as the first it must be, or it is not taken.
    """
    means = table["corpus"].str.startswith("mean of")
    by = ["classifier", "settings"]
    lowest = table[means].groupby(by, sort=False)["difference"].min()
    lowest_corpus = table[~means].groupby(by, sort=False)["difference"].min()
    cost = table[~means].groupby(by, sort=False)["cpu_s"].sum()
    enough = cost.groupby("classifier").transform("first") >= at_least * cost
    first = ~cost.index.get_level_values("classifier").duplicated()
    allowed = cost[first | ((lowest >= -mean) & (lowest_corpus >= -worst) & enough)]
    taken = set(allowed.groupby("classifier").idxmin())
    rows = zip(table["classifier"], table["settings"], strict=True)
    return pd.Series(["chosen" if row in taken else "" for row in rows], table.index)


def fitted(given: Input, classifier: str, settings: Settings) -> tuple[float, float]:
    """Return the share of right answers to rows that choose, and the CPU seconds of a fit."""
    started = time.process_time()
    with threadpool_limits(limits=1):
        model = fit_classifier(classifier, given.X, given.y, given.n_classes, settings=settings)
        labels = model.predict(given.X_choice).labels
    return float((labels == given.y_choice).mean()), time.process_time() - started


def shown(settings: Settings) -> str:
    """Return settings as one text, ``defaults`` for none."""
    return "; ".join(f"{name}={value:g}" for name, value in settings.items()) or "defaults"


def generated(n_rows: int, dim: int) -> Iterator[Input]:
    """Yield each modality and all of two generated corpora.

    Args:
        n_rows: Rows to fit on; a third as many choose.
        dim: Columns of each of three modalities.
    """
    for corpus, rank in GENERATED.items():
        generator = np.random.default_rng(rank)
        y = generator.integers(0, 4, n_rows + n_rows // 3)
        blocks = [vectors_of(generator, y, dim, rank) for _ in range(3)]
        for name, some in (("one", blocks[:1]), ("two", blocks[:2]), ("three", blocks)):
            X = np.hstack(some)
            X = (X - X[:n_rows].mean(axis=0)) / X[:n_rows].std(axis=0)
            yield Input(corpus, name, X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], 4)


def vectors_of(
    generator: np.random.Generator, y: NDArray[np.int64], dim: int, rank: int
) -> NDArray[np.float32]:
    """Return vectors of one modality (n, D): centres of classes in noise, of a rank or of full."""
    width = rank or dim
    centres = generator.standard_normal((4, width)) * 1.6 / width**0.5
    vectors = centres[y] + generator.standard_normal((len(y), width))
    if rank:
        vectors = vectors @ generator.standard_normal((rank, dim))
        vectors += generator.standard_normal(vectors.shape)
    return vectors.astype(np.float32)


def real(store: Path) -> Iterator[Input]:
    """Yield what is fused of RAVDESS (six folds), MELD and MOSI."""
    layers = sorted((e.ref for e in catalogue(store, "ravdess")), key=lambda ref: ref.layer)
    of_layers = {f"L{ref.layer}": ref for ref in layers[2:]}
    for fold in range(1, 7):
        data = the_fold(store, "ravdess", of_layers, fold)
        for views in (list(of_layers)[:1], list(of_layers)):
            yield fused("ravdess", data, data.train, data.valid, views)
    for corpus in ("meld", "mosi"):
        refs = {view: found[0] for view, found in choose_views(catalogue(store, corpus)).items()}
        data = the_fold(store, corpus, refs, 1)
        train, choice = data.train, data.valid
        if not len(choice):
            train, choice = halves(data.train)
        for views in [[view] for view in refs] + ([list(refs)] if len(refs) > 1 else []):
            yield fused(corpus, data, train, choice, views)


def the_fold(store: Path, corpus: str, refs: Mapping[str, EncoderRef], fold: int) -> FoldData:
    """Load one fold of the corpus' own plan."""
    plan = make_plan(Manifest.load(store / corpus))
    return load_fold(FoldRequest(store, corpus, dict(refs), plan, fold))


def halves(rows: RoleData) -> tuple[RoleData, RoleData]:
    """Part training rows into four fifths to fit on and one that chooses, by their groups."""
    fit, choice = next(GroupKFold(5).split(rows.y, groups=rows.groups))
    return rows.take(fit), rows.take(choice)


def fused(
    corpus: str, data: FoldData, train: RoleData, choice: RoleData, views: list[str]
) -> Input:
    """Return some views side by side, standardised by the rows to fit on."""
    fusion = EarlyFusion("concatenation", views).fit(train)
    X, X_choice = fusion.transform(train).X, fusion.transform(choice).X
    name = f"fold {data.fold} {'+'.join(views)}"
    return Input(corpus, name, X, train.y, X_choice, choice.y, len(data.labels.classes))


if __name__ == "__main__":
    main()
