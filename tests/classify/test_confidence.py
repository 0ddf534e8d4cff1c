"""Margins show over-confident training rows.

Probabilities are calibrated on named rows and change no choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classify.evaluation.intervals import calibration_error
from classify.experiment import run_grid
from classify.grid import execution as grid
from classify.grid.calibration import calibrate, calibration_columns, margin_note, true_margins
from classify.grid.compute import compute
from classify.grid.config import GridConfig
from classify.grid.outcome import CellOutcome
from classify.models.class_scores import LOG_PROBABILITY, MARGIN, ClassScores
from classify.models.distances import squared_distances
from classify.models.svm import scale_gamma
from classify.systems.cell import Cell
from classify.terminal.grid import show_results
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.fold_data import FoldData, RoleData

MakeStore = Callable[..., Path]
HEAD = "unimodal audio head"


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


def data_of(store: Path, fold: int = 1) -> FoldData:
    views = {m: refs[0] for m, refs in choose_views(catalogue(store, "toy")).items()}
    return load_fold(
        FoldRequest(store, "toy", views, make_plan(Manifest.load(store / "toy")), fold)
    )


def test_margins_tell_training_rows_from_test_rows(
    make_trained: MakeStore, config: GridConfig
) -> None:
    store = make_trained(modalities=("audio",))
    result = run_grid(replace(config, early=None, late=None))
    head = result.table.rows[result.table.rows["cell"] == HEAD].set_index("fold")
    for fold in (1, 2, 3):
        data = data_of(store, fold)
        sides = []
        for rows in (data.train, data.test):
            p = softmax(rows.scores["audio"].astype(float), axis=1)
            right = p[np.arange(len(rows)), rows.y]
            rivals = np.array(
                [np.delete(row, code).max() for row, code in zip(p, rows.y, strict=True)]
            )
            sides.append(right - rivals)
        assert head.loc[fold, "train_margin"] == pytest.approx(sides[0].mean())
        assert head.loc[fold, "test_margin"] == pytest.approx(sides[1].mean())
        assert head.loc[fold, "margin_gap"] == pytest.approx(
            (sides[0].mean() - sides[1].mean()) / sides[1].std()
        )
    text = shown(result)
    assert "note: training rows are over-confident: " in text
    assert margin_note(result.table.rows.assign(margin_gap=0.5)) == "", "a little is as it must be"


def shown(result: object) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with console.file:
        show_results(result, console)  # type: ignore[arg-type]
    return console.export_text()


def test_margins_of_logarithms_are_those_of_probabilities() -> None:
    answers = ClassScores(np.log([[0.7, 0.2, 0.1]]), LOG_PROBABILITY)
    assert true_margins(answers, np.array([1])).tolist() == pytest.approx([-0.5])


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_svm_margins_are_calibrated_as_scikit_learn_does(
    make_store: MakeStore, method: str
) -> None:
    data = data_of(make_store(apart=0.8))
    outcome = compute(Cell("early", "concatenation", ("audio", "text"), "svm"), data)
    found = calibrate(method, outcome, np.ones(len(data.valid), dtype=bool), "valid", 3)
    assert found.about == f"{method}: valid, {len(data.valid)} rows"

    scalers = {view: StandardScaler().fit(data.train.vectors[view]) for view in ("audio", "text")}

    def blocks(rows: RoleData) -> list[np.ndarray]:
        return [scaler.transform(rows.vectors[view]) for view, scaler in scalers.items()]

    fitted = blocks(data.train)
    gamma = scale_gamma(np.hstack(fitted))

    def kernel(rows: RoleData) -> np.ndarray:
        """Of the grid's distances: that its margins are those of SVC is for test_models."""
        pairs = zip(blocks(rows), fitted, strict=True)
        return np.exp(np.float32(-gamma) * sum(squared_distances(a, b) for a, b in pairs))

    model = SVC(kernel="precomputed", break_ties=True)
    model.fit(kernel(data.train).astype(float), data.train.y)
    everything = np.arange(len(data.valid))
    plain = CalibratedClassifierCV(
        FrozenEstimator(model), method=method, cv=[(everything, everything)], ensemble=False
    )
    plain.fit(kernel(data.valid).astype(float), data.valid.y)
    expected = plain.predict_proba(kernel(data.test).astype(float))
    np.testing.assert_allclose(found.probabilities["test"], expected, atol=1e-6)
    row = calibration_columns(outcome, found)
    assert np.isnan(row["ECE"]), "margins are no probabilities"
    assert row["ECE_calibrated"] == pytest.approx(
        calibration_error(expected.max(axis=1), expected.argmax(axis=1) == data.test.y), abs=1e-6
    )
    assert row["calibrated_WA"] == (expected.argmax(axis=1) == data.test.y).mean()


def test_a_temperature_minimises_the_surprise_of_validation_rows(make_trained: MakeStore) -> None:
    data = data_of(make_trained(rows=270))
    outcome = compute(Cell("unimodal", "", ("text",), "head"), data)
    row = calibration_columns(
        outcome, calibrate("temperature", outcome, np.ones(len(data.valid), dtype=bool), "valid", 3)
    )
    logits = data.valid.scores["text"].astype(float)

    def surprise(t: float) -> float:
        return -log_softmax(logits / t, axis=1)[np.arange(len(logits)), data.valid.y].sum()

    t = minimize_scalar(surprise, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8}).x
    p = softmax(data.test.scores["text"].astype(float) / t, axis=1)
    assert row["ECE_calibrated"] == pytest.approx(
        calibration_error(p.max(axis=1), p.argmax(axis=1) == data.test.y), abs=2e-3
    )
    raw = softmax(data.test.scores["text"].astype(float), axis=1)
    assert row["ECE"] == pytest.approx(
        calibration_error(raw.max(axis=1), raw.argmax(axis=1) == data.test.y)
    )
    assert row["calibrated_WA"] == (raw.argmax(axis=1) == data.test.y).mean(), (
        "one temperature changes no answer"
    )


def test_calibration_changes_no_answer_no_choice_and_computes_nothing_again(
    make_store: MakeStore, config: GridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(widths={"audio": 6}, apart=0.8)
    config = replace(config, early=None, late=None)
    plain = run_grid(config).table
    assert not [
        c for c in pd.read_parquet(config.out / "predictions.parquet") if c.startswith("calibrated")
    ]
    monkeypatch.setattr(grid, "run_cell", lambda task: pytest.fail(f"computed again: {task.cell}"))
    table = run_grid(replace(config, calibrate="isotonic")).table
    new = ["calibration", "ECE_calibrated", "calibrated_WA", "chosen_on", "shared_rows"]
    pd.testing.assert_frame_equal(plain.rows.drop(columns=new), table.rows.drop(columns=new))
    assert table.headline == plain.headline
    found = pd.read_parquet(config.out / "predictions.parquet")
    of_svm = found[found["cell"] == "unimodal audio svm"]
    assert set(of_svm["calibration"]) == {"isotonic: valid, 30 rows"}
    assert set(of_svm["kind"]) == {"margin"}, "the cell's own scores stay what they are"
    np.testing.assert_allclose(
        of_svm[["calibrated:anger", "calibrated:happiness", "calibrated:sadness"]].sum(axis=1), 1
    )
    assert found.loc[found["family"] == "baseline", "calibrated:anger"].isna().all()


def test_a_class_without_calibration_rows_is_not_calibrated() -> None:
    roles = ("train", "valid", "test")
    values = np.eye(3)[[0, 1, 2, 0]]
    outcome = CellOutcome(
        {r: np.array(list("abcd")) for r in roles},
        {r: np.array([0, 1, 0, 1]) for r in roles},
        {"train": {r: ClassScores(values, MARGIN) for r in roles}},
        {},
    )
    found = calibrate("sigmoid", outcome, np.ones(4, dtype=bool), "valid", 3)
    assert found.about == "none: 1 of 3 classes have no row among the 4 of valid"
    assert not found.probabilities


def test_two_classes_are_calibrated_too() -> None:
    rng, roles = np.random.default_rng(0), ("train", "valid", "test")
    y = rng.integers(0, 2, 60)
    m = 3 * (y - 0.5) + rng.normal(size=60)
    outcome = CellOutcome(
        {r: np.arange(60).astype(str) for r in roles},
        dict.fromkeys(roles, y),
        {"train": {r: ClassScores(np.column_stack([-m, m]), MARGIN) for r in roles}},
        {},
    )
    p = calibrate("sigmoid", outcome, np.ones(60, dtype=bool), "valid", 2).probabilities["test"]
    assert p.shape == (60, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (np.diff(p[np.argsort(m), 1]) >= 0).all()


def test_calibration_needs_validation_rows(make_store: MakeStore, config: GridConfig) -> None:
    make_store(split=True)
    with pytest.raises(UsageError, match="--calibrate sigmoid needs validation rows"):
        run_grid(replace(config, calibrate="sigmoid"))
    with pytest.raises(UsageError, match="did you mean 'isotonic'"):
        replace(config, calibrate="isotonik")
