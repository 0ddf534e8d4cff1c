"""Validation rows that serve twice are named; halves of them keep choices apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.experiment import run_grid
from classify.grid.config import GridConfig
from classify.grid.execution import survey
from classify.grid.prepare import prepare
from classify.results.table import CHOSEN
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.halves import apart
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.catalogue import catalogue, choose_views

MakeStore = Callable[..., Path]


@pytest.fixture
def config(tmp_path: Path) -> GridConfig:
    return GridConfig(
        tmp_path / "embeddings",
        tmp_path / "results",
        classifiers=("svm",),
        early=("concatenation",),
        late=("sum",),
        jobs=1,
    )


def test_rows_that_serve_several_purposes_are_named(
    make_trained: MakeStore, config: GridConfig
) -> None:
    make_trained()
    rows = run_grid(
        replace(config, calibrate="temperature", fit_rows="valid", early=())
    ).table.rows.set_index(["cell", "fold"])
    late, head = rows.loc["late sum audio+text svm", 1], rows.loc["unimodal audio head", 1]
    assert late["chosen_on"] == "epoch: valid; weights: valid; calibration: valid; cell: valid"
    assert late["shared_rows"] == "epoch+weights+calibration+cell"
    assert head["shared_rows"] == "epoch+calibration+cell"
    assert rows.loc["baseline majority", 1]["chosen_on"] == ""


def test_halves_keep_learning_and_choosing_apart(
    make_trained: MakeStore, config: GridConfig
) -> None:
    store = make_trained()
    split = replace(config, calibrate="sigmoid", valid_split=0, early=())
    table = run_grid(split).table
    rows = table.rows[table.rows["family"] != "baseline"]
    assert set(rows["shared_rows"]) == {"epoch+calibration, epoch+cell"}
    assert (
        rows["chosen_on"]
        .str.contains(
            "calibration: valid (half to learn from); cell: valid (half to choose on)", regex=False
        )
        .all()
    )
    predictions = pd.read_parquet(config.out / "predictions.parquet")
    manifest = Manifest.load(store / "toy")
    views = {m: refs[0] for m, refs in choose_views(catalogue(store, "toy")).items()}
    means: dict[str, list[float]] = {}
    for fold in make_plan(manifest):
        data = load_fold(
            FoldRequest(store, "toy", views, make_plan(manifest), fold.number, valid_split=0)
        )
        kept, rest = data.valid.groups[data.valid.apart], data.valid.groups[~data.valid.apart]
        assert len(kept)
        assert len(rest)
        assert not set(kept) & set(rest)
        part = predictions[
            (predictions["fold"] == fold.number)
            & predictions["id"].isin(data.valid.ids[data.valid.apart])
        ]
        for cell, some in part.groupby("cell", observed=True):
            means.setdefault(str(cell), []).append(
                float((some["y_true"].astype(str) == some["y_pred"].astype(str)).mean())
            )
    for cell, part in table.rows.groupby("cell"):
        assert part["valid_WA"].tolist() == pytest.approx(means[str(cell)])
    candidates = {
        cell: np.mean(values) for cell, values in means.items() if not cell.startswith("baseline")
    }
    assert candidates[table.flagged(CHOSEN)] == max(candidates.values())
    assert survey(split).to_run == 0
    assert survey(replace(split, valid_split=None)).to_run == 3, (
        "late fusion may learn from validation rows, nothing else does"
    )
    fixed = make_trained(where="fixed", rule="fixed-epochs")
    with pytest.raises(UsageError, match="--valid-split needs validation rows"):
        prepare(replace(split, store=fixed, valid="none", calibrate="none"))


def test_the_halves_are_the_same_whatever_views_are_loaded(make_store: MakeStore) -> None:
    store = make_store(missing={"audio": 30})
    manifest = Manifest.load(store / "toy")
    views = {m: refs[0] for m, refs in choose_views(catalogue(store, "toy")).items()}
    both = load_fold(FoldRequest(store, "toy", views, make_plan(manifest), 1, valid_split=3)).valid
    audio = load_fold(
        FoldRequest(store, "toy", {"audio": views["audio"]}, make_plan(manifest), 1, valid_split=3)
    ).valid
    assert len(audio) < len(both)
    assert set(audio.ids[audio.apart]) <= set(both.ids[both.apart])
    assert set(audio.ids[~audio.apart]) <= set(both.ids[~both.apart])


@pytest.mark.parametrize("seed", range(5))
def test_halves_are_of_whole_groups_and_nearly_equal(seed: int) -> None:
    groups = np.repeat([f"g{i}" for i in range(9)], [1, 2, 3, 4, 5, 5, 4, 3, 3])
    rows = np.ones(30, dtype=bool)
    rows[-3:] = False
    marked = apart(np.arange(30).astype(str), groups, rows, seed, "fold 1")
    assert not marked[~rows].any()
    assert abs(int(marked.sum()) - 13.5) <= 5
    assert all(len(set(marked[groups == name])) == 1 for name in set(groups[rows]))


def test_what_does_not_learn_from_validation_rows_is_the_same_whether_they_are_halved(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store()
    run_grid(replace(config, early=(), late=()))
    run_grid(replace(config, early=(), late=(), valid_split=0))  # takes over the cells
    run_grid(replace(config, early=(), late=(), valid_split=0, out=config.out / "fresh"))
    resumed, fresh = (
        pd.read_parquet(out / "predictions.parquet") for out in (config.out, config.out / "fresh")
    )
    pd.testing.assert_frame_equal(resumed, fresh, check_exact=True)


def test_a_half_without_rows_that_count_is_refused(
    make_store: MakeStore, config: GridConfig
) -> None:
    store = make_store()
    manifest = Manifest.load(store / "toy")
    lost = (
        manifest.column("group") != "S1-d0"
    )  # of the next session, which validates the first fold, one dialogue counts
    labels = np.where((manifest.column("session") == "S1") & lost, "xxx", manifest.column("label"))
    assert manifest.labels
    without = replace(manifest.labels, dropped=frozenset({"xxx"}))
    replace(manifest, table=manifest.table.assign(label=labels), labels=without).save(store / "toy")
    for seed in range(4):
        with pytest.raises(
            FoldError,
            match=rf"--valid-split {seed}: one half of the validation rows of fold 1 \(S0\) has no",
        ):
            prepare(replace(config, valid_split=seed))


def test_one_group_cannot_be_halved(make_store: MakeStore, config: GridConfig) -> None:
    make_store(one_group=True)
    with pytest.raises(
        FoldError, match="its 30 validation rows are all of one group, so they cannot be halved"
    ):
        prepare(replace(config, valid_split=0))
