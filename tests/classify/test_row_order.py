"""The same data in another order of rows give the same numbers, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.experiment import run_grid
from classify.grid.config import GridConfig
from classify.systems.definitions import read_systems
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.setup import Request, set_up
from embeddings_store.vectors.arrays import Embeddings
from embeddings_store.vectors.hdf5 import read_embeddings, write_embeddings

# of the moment, of the machine, and of the order in which the manifest lists its rows
ABOUT_THE_RUN = ["fit_s", "date", "commit", "command", "plan_digest"]
FAST = {"xgboost": {"trees": 5.0, "depth": 3.0}, "nn": {"epochs": 2.0, "units": 4.0}}
SYSTEMS = ("mine = gate(svm(concat(audio, text)), probe(text))",)


def in_another_order(store: Path, where: Path) -> Path:
    """Write the same rows, plans and vectors of corpus ``toy`` in a random order."""
    manifest = Manifest.load(store / "toy")
    order = np.random.default_rng(3).permutation(len(manifest.ids))
    table = manifest.table.iloc[order].reset_index(drop=True)
    columns = {str(c): table[c] for c in table}
    moved = Manifest.from_columns("toy", columns, protocol=manifest.protocol, tags=manifest.tags)
    moved.save(where / "toy")
    plans = {}
    for valid in ("next", "none"):
        plan = set_up(manifest, Request(valid=valid)).plan
        plans[plan.digest] = moved_plan(plan, order)
    for path in store.rglob("*.h5"):
        file = read_embeddings(path)
        attributes = {**file.attributes, "inputs_digest": moved.inputs_digest}
        if attributes.get("plan_digest") in plans:
            attributes["plan_digest"] = plans[str(attributes["plan_digest"])].digest
        write_embeddings(where / path.relative_to(store), rows_at(file, order), attributes)
    return where


def moved_plan(plan: FoldPlan, order: np.ndarray) -> FoldPlan:
    folds = tuple(replace(fold, roles=fold.roles[order]) for fold in plan)
    return replace(plan, ids=plan.ids[order], folds=folds)


def rows_at(file: Embeddings, order: np.ndarray) -> Embeddings:
    return replace(
        file,
        ids=file.ids[order],
        vectors=file.vectors[order],
        seen=file.seen[order],
        status=file.status[order],
        reason=file.reason[order],
        scores=None if file.scores is None else file.scores[order],
        inputs=None if file.inputs is None else file.inputs[order],
    )


def same_numbers(first: GridConfig, tmp_path: Path) -> None:
    """Run both orders and compare every table, and predictions by id."""
    store = in_another_order(first.store, tmp_path / "moved")
    second = replace(first, store=store, out=tmp_path / "second")
    for config in (first, second):
        run_grid(config)
    tables = [pd.read_csv(c.out / "grid.csv").drop(columns=ABOUT_THE_RUN) for c in (first, second)]
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    answers = [pd.read_parquet(c.out / "predictions.parquet") for c in (first, second)]
    pd.testing.assert_frame_equal(answers[0], answers[1], check_exact=True)
    names = [path.name for path in first.out.glob("*.csv")]
    assert {"statistics.csv", "comparisons.csv", "confusion.csv"} <= set(names)
    for name in set(names) - {"grid.csv"}:
        one, two = (pd.read_csv(c.out / name) for c in (first, second))
        shared = [c for c in one if c not in (*ABOUT_THE_RUN, "took_s")]
        pd.testing.assert_frame_equal(one[shared], two[shared], check_exact=True, obj=name)


@pytest.mark.parametrize(
    "more",
    [
        {"late": None, "systems": read_systems(SYSTEMS), "fit_rows": "train+valid"},
        {
            "late": ("sum", "weighted"),
            "fit_rows": "valid",
            "valid_split": 0,
            "calibrate": "sigmoid",
        },
        {"late": ("mean",), "drop_rates": (0.3,), "subsets": True},
    ],
    ids=["every family", "halves and calibration", "lost modalities"],
)
@pytest.mark.telling
def test_the_order_of_rows_changes_no_number(
    tmp_path: Path, make_store: Callable[..., Path], more: dict[str, object]
) -> None:
    store = make_store(rows=90, apart=0.7, missing={"audio": 4})
    config = GridConfig(
        store,
        tmp_path / "first",
        classifiers=("nn", "xgboost"),
        jobs=1,
        early=("concatenation",),
        settings=FAST,
        **more,  # type: ignore[arg-type]
    )
    same_numbers(config, tmp_path)


def test_the_order_of_rows_changes_no_search(
    tmp_path: Path, make_store: Callable[..., Path]
) -> None:
    pytest.importorskip("optuna")
    config = GridConfig(
        make_store(rows=90, apart=0.7),
        tmp_path / "first",
        modalities=("text",),
        classifiers=("xgboost",),
        jobs=1,
        tune=3,
        settings={"xgboost": {"trees": 5.0}},
    )
    same_numbers(config, tmp_path)


def test_the_order_of_rows_changes_nothing_in_the_spaces_of_inner_encoders(
    tmp_path: Path, make_trained: Callable[..., Path]
) -> None:
    config = GridConfig(
        make_trained(inner=2),
        tmp_path / "first",
        classifiers=("svm", "xgboost"),
        jobs=1,
        early=("concatenation",),
        late=("sum", "mean"),
        fit_rows="oof",
        settings={"xgboost": FAST["xgboost"]},
    )
    same_numbers(config, tmp_path)
