"""Settings are chosen within a budget, go on after a kill, and never hang on test rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classify.commands.grid_options import build_parser, config_from
from classify.experiment import run_grid
from classify.grid import tuning as tune
from classify.grid.compute import compute
from classify.grid.config import GridConfig
from classify.grid.execution import survey
from classify.grid.finished_cells import read_outcome
from classify.grid.prepare import prepare
from classify.grid.tuning import SPLITS, Search, search
from classify.models.classifiers import CLASSIFIERS
from classify.models.probe import inner_groups
from classify.results.table import CHOSEN
from classify.results.write import GridResult
from classify.systems.cell import Cell
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import MissingDependencyError, UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.fold_data import FoldData

MakeStore = Callable[..., Path]
CELL = Cell("unimodal", "", ("audio",), "svm")


@pytest.fixture
def config(tmp_path: Path) -> GridConfig:
    return GridConfig(
        tmp_path / "embeddings",
        tmp_path / "results",
        classifiers=("svm",),
        early=("concatenation",),
        late=(),
        jobs=1,
        tune=4,
    )


def fold_one(store: Path, **how: int) -> FoldData:
    views = {
        m: refs[0] for m, refs in choose_views(catalogue(store, "toy")).items() if m == "audio"
    }
    return load_fold(
        FoldRequest(store, "toy", views, make_plan(Manifest.load(store / "toy")), 1, **how)
    )


def chosen_settings(result: GridResult) -> dict[tuple[str, int], str]:
    rows = result.table.rows[result.table.rows["classifier"] == "svm"]
    return {(row["cell"], row["fold"]): row["settings"] for _, row in rows.iterrows()}


def test_the_grid_tunes_as_a_plain_script_does(make_store: MakeStore, config: GridConfig) -> None:
    store = make_store(apart=0.6)
    result = run_grid(config)
    path = next(p for p in (config.out / "cells").glob("svm.fold-1.*.npz") if _is_audio(p))
    outcome = read_outcome(path, path.name.split(".")[2])
    trials = outcome.facts["tuned"]["trials"]  # type: ignore[index]
    data = fold_one(store)
    X, y = data.train.vectors["audio"], data.train.y
    scores = []
    for settings, found, _ in trials:
        answers = []
        for fit, rest in GroupKFold(3).split(X, groups=inner_groups(data.train)):
            model = make_pipeline(StandardScaler(), SVC(C=settings["c"], break_ties=True)).fit(
                X[fit], y[fit]
            )
            answers.append(accuracy_score(y[rest], model.predict(X[rest])))
        scores.append(float(np.mean(answers)))
        assert found == pytest.approx(scores[-1])
    best = trials[int(np.argmax(scores))][0]["c"]
    assert trials[0][0] == {"c": 1.0}, "the defaults come first"
    model = make_pipeline(StandardScaler(), SVC(C=best, break_ties=True)).fit(X, y)
    row = result.table.rows[
        (result.table.rows["cell"] == "unimodal audio svm") & (result.table.rows["fold"] == 1)
    ].iloc[0]
    assert row["WA"] == accuracy_score(data.test.y, model.predict(data.test.vectors["audio"]))
    assert row["settings"].split("; ")[0] == f"c={best:g}"
    assert row["chosen_on"] == "settings: train (3 grouped splits), 4 trials; cell: valid"
    assert row["shared_rows"] == ""
    table = pd.read_csv(config.out / "tuning.csv")
    assert len(table) == 3 * 3 * 4
    assert (table[table["chosen"] == "yes"].groupby(["cell", "fold"]).size() == 1).all()
    _an_unchanged_search_computes_nothing_and_a_changed_one_only_itself(config)


def _is_audio(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as file:
        what = json.loads(file["record"].tobytes())["what"]
    return [view[0] for view in what["views"]] == ["audio"]


def _an_unchanged_search_computes_nothing_and_a_changed_one_only_itself(config: GridConfig) -> None:
    assert survey(config).to_run == 0
    for change, to_run in (
        ({"tune": 5}, 9),
        ({"tune": 0}, 9),
        ({"tune_on": "valid"}, 9),
        ({"valid_split": 0}, 0),
    ):
        assert survey(replace(config, **change)).to_run == to_run  # type: ignore[arg-type]


def test_permuted_test_labels_change_no_choice(make_store: MakeStore, config: GridConfig) -> None:
    """Nothing that is chosen hangs on test rows: settings, cell, calibration."""
    results = []
    for permuted in (False, True):
        store = make_store(apart=0.6, where=f"store-{permuted}")
        old = Manifest.load(store / "toy")
        table = old.table
        split = table["session"].map({"S0": "train", "S1": "dev", "S2": "test"})
        labels = table["label"].to_numpy().astype(str)
        if permuted:
            test = np.flatnonzero(split == "test")
            labels[test] = np.random.default_rng(0).permutation(labels[test])
        columns = {
            name: table[name].to_numpy() for name in ("id", "text", "session", "speaker", "group")
        }
        columns |= {"label": labels, "split": split.to_numpy()}
        Manifest.from_columns("toy", columns, protocol="split").save(store / "toy")
        results.append(
            run_grid(
                replace(
                    config, store=store, out=config.out / str(permuted), calibrate="temperature"
                )
            )
        )
    true, shuffled = results
    assert chosen_settings(true) == chosen_settings(shuffled)
    assert true.table.flagged(CHOSEN) == shuffled.table.flagged(CHOSEN)
    assert true.table.rows["valid_WA"].tolist() == shuffled.table.rows["valid_WA"].tolist()
    predictions = [pd.read_parquet(r.prepared.config.out / "predictions.parquet") for r in results]
    for column in ("y_pred", "calibrated:anger"):
        pd.testing.assert_series_equal(predictions[0][column], predictions[1][column])
    assert not true.table.rows["WA"].equals(shuffled.table.rows["WA"]), (
        "only the figures of test rows are others"
    )


def test_a_search_that_is_killed_goes_on_where_it_was(
    make_store: MakeStore, tmp_path: Path
) -> None:
    data, log = fold_one(make_store(apart=0.6)), tmp_path / "trials.json"
    task = Search("svm", {}, 5, 0.0, "train", seed=3)
    whole = search(task, partial(compute, CELL), data, tmp_path / "whole.json")
    fits = []

    def killed(*given: object, **settings: object) -> object:
        fits.append(1)
        if len(fits) > 2 * SPLITS + 1:
            raise KeyboardInterrupt
        return compute(CELL, *given, **settings)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        search(task, killed, data, log)
    fits.clear()
    counted = search(
        task,
        lambda *given, **settings: fits.append(1) or compute(CELL, *given, **settings),
        data,
        log,
    )
    assert len(fits) == 3 * SPLITS, "two of five trials were finished"
    assert counted.settings == whole.settings
    assert [(t.settings, t.score) for t in counted.trials] == [
        (t.settings, t.score) for t in whole.trials
    ]
    log.write_text("{ half")
    assert search(task, partial(compute, CELL), data, log).settings == whole.settings
    other = search(replace(task, seed=4), partial(compute, CELL), data, log)
    assert [t.settings for t in other.trials] != [t.settings for t in whole.trials]


def test_settings_that_are_given_are_kept_and_spaces_are_kept_to(
    make_store: MakeStore, tmp_path: Path
) -> None:
    data = fold_one(make_store(apart=0.6))
    task = Search("nn", {"epochs": 3.0, "units": 8.0}, 4, 0.0, "valid", seed=0)
    tuned = search(
        task, partial(compute, replace(CELL, classifier="nn")), data, tmp_path / "log.json"
    )
    assert tuned.on == "valid, 4 trials"
    spec = CLASSIFIERS["nn"].settings
    for trial in tuned.trials:
        assert (trial.settings["epochs"], trial.settings["units"]) == (3.0, 8.0)
        assert set(trial.settings) == {"epochs", "units", "rate", "decay"}
        assert all(
            spec[name].search.low <= trial.settings[name] <= spec[name].search.high
            for name in ("rate", "decay")
        )


def test_every_space_holds_the_default() -> None:
    for spec in CLASSIFIERS.values():
        for name, setting in spec.settings.items():
            if setting.search is not None:
                assert setting.search.low <= setting.default <= setting.search.high, (
                    spec.name,
                    name,
                )
                assert setting.above < setting.search.low
                assert setting.search.high < setting.below


def test_a_limit_of_time_begins_no_further_trial(make_store: MakeStore, tmp_path: Path) -> None:
    data = fold_one(make_store(apart=0.6))
    tuned = search(
        Search("svm", {}, 50, 1e-9, "train", seed=0),
        partial(compute, CELL),
        data,
        tmp_path / "log.json",
    )
    assert len(tuned.trials) == 1
    assert tuned.settings == {"c": 1.0}


def test_rows_that_encoders_were_fitted_on_are_no_place_to_tune(
    make_trained: MakeStore, make_store: MakeStore, config: GridConfig
) -> None:
    trained = replace(
        config, store=make_trained(where="trained", modalities=("audio",)), early=None, late=None
    )
    assert prepare(trained).tune_on == "valid"
    assert prepare(replace(config, store=make_store())).tune_on == "train"
    rows = run_grid(replace(trained, tune=2, valid_split=0)).table.rows
    row = rows[(rows["cell"] == "unimodal audio svm") & (rows["fold"] == 1)].iloc[0]
    assert (
        row["chosen_on"]
        == "epoch: valid; settings: valid (half to learn from), 2 trials; cell: valid (half to "
        "choose on)"
    )
    assert row["shared_rows"] == "epoch+settings, epoch+cell"
    head = rows[rows["classifier"] == "head"].iloc[0]
    assert "settings" not in head["chosen_on"]


def test_options_are_read_and_refused(
    make_store: MakeStore, config: GridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(*words: str) -> GridConfig:
        return config_from(build_parser().parse_args(list(words)))

    assert given("--tune").tune == tune.TRIALS
    assert (
        given("--tune", "7", "--tune-minutes", "1.5").tune,
        given("--tune", "--tune-on", "valid").tune_on,
    ) == (7, "valid")
    for bad in (("--tune", "-1"), ("--tune-minutes", "1"), ("--tune-on", "train")):
        with pytest.raises(UsageError, match="--tune takes a number of trials of 1 or more"):
            given(*bad)
    with pytest.raises(UsageError, match="unknown rows to tune on 'test'"):
        replace(config, tune_on="test")
    make_store()
    monkeypatch.setattr(tune, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emotion-fusion\[tune\]'"):
        run_grid(config)
    assert not config.out.exists()


def test_the_page_lists_the_spaces_that_are_searched() -> None:
    page = Path(tune.__file__).parent.with_name("CHOICES.md").read_text(encoding="utf-8")
    for name in ("svm", "nn", "xgboost"):
        line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        searched, rest = line.split("|")[2:4]
        settings = CLASSIFIERS[name].settings
        assert {part.split()[0] for part in searched.split(",")} == {
            k for k, s in settings.items() if s.search is not None
        }
        for part in searched.split(","):
            key, low, _, high = part.split()
            assert (float(low), float(high)) == (
                settings[key].search.low,
                settings[key].search.high,
            )
        assert rest.strip().split(", ") == [k for k, s in settings.items() if s.search is None]
