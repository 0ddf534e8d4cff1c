"""``--choose inner``: training and validation rows choose layers, settings and the cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classify.commands import compare_systems, make_report
from classify.commands import run_fusion_grid as grid
from classify.experiment import run_grid
from classify.grid.compute import compute
from classify.grid.config import GridConfig
from classify.grid.execution import bind_cells
from classify.grid.finished_cells import read_outcome
from classify.grid.fold_loading import LOADER
from classify.grid.inner_choice import WHOLE, Ladder, choose_inside
from classify.grid.inner_folds import inner_data, with_inner_parts
from classify.grid.prepare import prepare
from classify.models import probe as probe_module
from classify.models.probe import PROBE_GRID, fit_probe, inner_groups
from classify.results.table import ResultTable
from classify.systems.cell import Cell
from classify.systems.definitions import read_systems
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, UsageError
from embeddings_store.folds.rules import make_plan
from embeddings_store.vectors.fold_data import FoldData

MakeStore = Callable[..., Path]


def config(store: Path, **how: object) -> GridConfig:
    given = {
        "classifiers": ("svm",),
        "early": ("concatenation",),
        "late": ("mean", "stack"),
        "jobs": 1,
        "choose": "inner",
    }
    return GridConfig(store=store, out=store.parent / "results", **{**given, **how})  # type: ignore[arg-type]


LADDER = [(c, gamma) for c in (1.0, 0.1, 10.0) for gamma in (1.0, 0.3)]


def joined(found: GridConfig, fold: int = 1, modality: str = "") -> FoldData:
    """Load a fold as the grid does, training and validation rows in one."""
    prepared = prepare(found)
    views = {m: refs[-1] for m, refs in prepared.views.items() if modality in ("", m)}
    prepared.plan.save(prepared.source.plan_file)
    return LOADER.load(prepared.source.fold(fold, views))


def test_an_svm_is_chosen_and_judged_as_written_down_here(make_store: MakeStore) -> None:
    store = make_store(apart=0.6)
    result = run_grid(config(store, late=(), early=()))
    rows = result.table.rows
    for fold in (1, 2, 3):
        data = joined(config(store), fold, "audio")
        X, y, groups = data.train.vectors["audio"], data.train.y, data.train.groups
        answers = np.zeros((len(LADDER), len(y)), dtype=np.int64)
        parts = list(GroupKFold(5).split(X, groups=groups))
        for fit, rest in parts:
            for place, (c, gamma) in enumerate(LADDER):
                svm = _svm(c, gamma / X.shape[1]).fit(X[fit], y[fit])
                answers[place, rest] = svm.predict(X[rest])
        best = int((answers == y).mean(axis=1).argmax())
        judged = np.zeros(len(y), dtype=bool)
        for others, rest in parts:  # its own rows do not choose by what they are answered
            chosen = (answers[:, others] == y[others]).mean(axis=1).argmax()
            judged[rest] = answers[chosen, rest] == y[rest]
        row = rows[(rows["cell"] == "unimodal audio svm") & (rows["fold"] == fold)].iloc[0]
        c, gamma = LADDER[best]
        assert row["settings"].split("; ")[:2] == [f"c={c:g}", f"gamma={gamma:g}"]
        assert row["valid_WA"] == pytest.approx(judged.mean(), abs=1e-12)
        answered = _svm(c, gamma / X.shape[1]).fit(X, y).predict(data.test.vectors["audio"])
        assert row["WA"] == pytest.approx((answered == data.test.y).mean(), abs=1e-12)
        assert (row["n_fit"], row["n_choice"], row["fit_rows"]) == (60, 60, "train+valid")
    trials = pd.read_csv(result.prepared.config.out / "tuning.csv")
    assert set(trials["scored_on"]) == {"inner"}
    assert len(trials) == 2 * 3 * len(LADDER)


def _svm(c: float, gamma: float) -> object:
    return make_pipeline(StandardScaler(), SVC(C=c, gamma=gamma, break_ties=True))


def test_rules_answer_inner_folds_as_if_their_probes_were_fitted_there(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished probe keeps what it says without each inner fold; here it is fitted anew."""
    # a probe that is fitted anew would choose its strength for every fit, the finished one once
    monkeypatch.setattr(probe_module, "PROBE_GRID", (0.1,))
    store = make_store(apart=0.5, missing={"audio": 7}, rows=54)
    mean = "mean-anew = mean(probe(concat(audio)), probe(concat(text)))"
    stack = "stack-anew = stack(probe(concat(audio)), probe(concat(text)))"
    result = run_grid(config(store, early=(), systems=read_systems([mean, stack])))
    rows = result.table.rows.set_index(["cell", "fold"])
    for fold in (1, 2, 3):
        for rule in ("mean", "stack"):
            kept = rows.loc[(f"late {rule} audio+text rule", fold)]
            made = rows.loc[(f"system {rule}-anew audio+text {rule}", fold)]
            for figure in ("WA", "valid_WA"):
                assert kept[figure] == made[figure], (rule, figure)
            # the solver stops a hair apart on columns that were scaled in another precision
            assert kept["test_margin"] == pytest.approx(made["test_margin"], abs=1e-3)
            assert kept["valid_WA"] < 1


def test_a_finished_probe_says_what_a_probe_without_the_inner_fold_says(
    make_store: MakeStore,
) -> None:
    store = make_store(apart=0.7, missing={"audio": 7})
    prepared = run_grid(config(store, early=(), late=("mean",))).prepared
    probes = [cell for cell in prepared.cells if cell.classifier == "probe"]
    done = [t for t in bind_cells(prepared, probes, {}, {}) if t.source.fold == 1]
    assert len(done) == 2
    for task in done:
        (view,) = task.cell.modalities
        outcome = read_outcome(task.path, task.key)
        data = joined(prepared.config, 1, view)
        of_all, without = strengths(data, view)
        assert outcome.facts["probes"][f"probe({view})"] == [f"{of_all:g}", "inner"]
        for number, part in enumerate(inner_data(data), start=1):
            rows, c = part.train, without[number - 1]
            probe = fit_probe(rows.vectors[view], rows.y, 3, inner_groups(rows), c)
            here = np.isin(outcome.ids["train"], part.test.ids)
            of_stage = outcome.stages[f"without {number}"]["train"].values
            expected = probe.scores(part.test.vectors[view])
            np.testing.assert_allclose(of_stage[here], expected, atol=1e-9)
            np.testing.assert_allclose(
                outcome.reported("valid").values[np.isin(outcome.ids["valid"], part.test.ids)],
                expected,
                atol=1e-9,
            )
        assert list(outcome.stages)[-1] == WHOLE


def strengths(data: FoldData, view: str) -> tuple[float, list[float]]:
    """Return the probe's strength for a fold, and for each of its inner folds, the plain way.

    That is the first of those steps from the strongest penalty on after which the log loss rises,
    over all inner folds or over the others.
    """
    losses = []
    for c in PROBE_GRID:
        by_part = []
        for part in inner_data(data):
            rows = part.train
            probe = fit_probe(rows.vectors[view], rows.y, 3, inner_groups(rows), c)
            log_p = probe.scores(part.test.vectors[view])
            by_part.append(-log_p[np.arange(len(log_p)), part.test.y].sum())
        losses.append(by_part)
    of_each = np.array(losses)

    def first_minimum(summed: np.ndarray) -> float:
        rises = np.flatnonzero(np.diff(summed) >= 0)
        return PROBE_GRID[rises[0]] if len(rises) else PROBE_GRID[-1]

    whole = of_each.sum(axis=1)
    return first_minimum(whole), [first_minimum(whole - part) for part in of_each.T]


def test_the_width_of_a_projection_is_chosen_where_none_is_given(make_store: MakeStore) -> None:
    """Widths that some inner fold has too few rows or columns for are no candidates."""
    store = make_store(widths={"audio": 20, "text": 30}, apart=0.6, rows=60)
    found = config(store, early=("product",), late=(), project="pca")
    rows = run_grid(found).table.rows
    row = rows[rows["cell"] == "early product[pca] audio+text svm"].iloc[0]
    trials = pd.read_csv(found.out / "tuning.csv")
    tried = trials[(trials["cell"] == row["cell"]) & (trials["fold"] == 1)]["settings"]
    assert sorted({text.split("; ")[0] for text in tried}) == ["project=0", "project=16"]
    width = dict(part.split("=") for part in row["settings"].split("; "))["project"]
    written = "project=pca" if width == "0" else f"project=pca:{width}"
    assert f"product(audio, text, {written})" in row["expression"]
    given = run_grid(replace(found, project="pca:16", out=store.parent / "given")).table.rows
    of_given = given[given["cell"] == "early product[pca:16] audio+text svm"]
    assert not of_given["settings"].str.contains("project").any()


def test_every_cell_of_a_fold_has_the_same_inner_folds(make_store: MakeStore) -> None:
    found = config(make_store(missing={"audio": 30}))
    of_both, of_audio = joined(found), joined(found, modality="audio")
    parts = dict(zip(of_both.train.ids, of_both.parts, strict=True))
    assert len(of_audio.train) < len(of_both.train)
    assert [parts[name] for name in of_audio.train.ids] == of_audio.parts.tolist()
    for part in inner_data(of_both):
        assert not set(part.train.groups) & set(part.test.groups)
        assert not set(part.test.ids) & set(of_both.test.ids)


def test_each_classifier_judges_layers_for_itself(make_store: MakeStore) -> None:
    store = make_store(layers=3, apart=0.8, rows=54)
    systems = read_systems(["both = mean(svm(audio), probe(text))"])
    result = run_grid(config(store, layer="choose", systems=systems))
    rows = result.table.rows
    of_layers = rows[rows["family"] == "layer"]
    assert set(of_layers["classifier"]) == {"svm", "probe"}
    for classifier in ("svm", "probe"):
        for fold in (1, 2, 3):
            for modality in ("audio", "text"):
                mine = of_layers[
                    (of_layers["classifier"] == classifier)
                    & (of_layers["fold"] == fold)
                    & (of_layers["modalities"] == modality)
                ]
                best = mine.loc[mine["valid_WA_all"].idxmax(), "layer"]
                one = rows[
                    (rows["cell"] == f"unimodal {modality} {classifier}") & (rows["fold"] == fold)
                ].iloc[0]
                assert one["layer"] == best
                used = rows[(rows["method"] == "both") & (rows["fold"] == fold)].iloc[0]
                if (modality, classifier) in {("audio", "svm"), ("text", "probe")}:
                    assert best in used["layer"].split(",")
                late = rows[(rows["method"] == "mean") & (rows["fold"] == fold)].iloc[0]
                early = rows[(rows["family"] == "early") & (rows["fold"] == fold)].iloc[0]
                follows = late if classifier == "probe" else early
                assert best in follows["layer"].split(",")
    chosen = rows[rows["cell"] == result.table.headline].iloc[0]
    assert chosen["chosen_on"].endswith("cell: inner")
    assert "layer+" in chosen["shared_rows"]


def test_no_inner_fold_chooses_the_layer_that_answers_it(make_store: MakeStore) -> None:
    """What judges a modality, written out over the answers of its layers' own cells."""
    found = config(make_store(layers=3, apart=0.4, rows=54), layer="choose", early=(), late=())
    rows = run_grid(found).table.rows.set_index(["cell", "fold"])
    answers = pd.read_parquet(found.out / "predictions.parquet")
    answers = answers[answers["role"] == "valid"]
    answers["right"] = answers["y_true"].astype(str) == answers["y_pred"].astype(str)
    differs = 0
    for fold in (1, 2, 3):
        data = joined(found, fold, "audio")
        part = pd.Series(data.parts, index=data.train.ids)
        right = {}
        for layer in range(3):
            cell = f"layer audio={layer} svm"
            mine = answers[(answers["cell"] == cell) & (answers["fold"] == fold)]
            right[layer] = mine.set_index("id")["right"]
        judged = []
        for number in range(1, 6):
            here = part.index[part == number]
            chosen = max(right, key=lambda layer: right[layer].drop(here).sum())
            judged.append(right[chosen][here])
        row = rows.loc[("unimodal audio svm", fold)]
        assert row["valid_WA"] == pytest.approx(pd.concat(judged).mean(), abs=1e-12)
        differs += row["valid_WA"] != max(of_layer.mean() for of_layer in right.values())
    assert differs  # the plain maximum would not do


@pytest.mark.parametrize("layers_as", ["concat", "mean", "stack"])
def test_joined_layers_are_chosen_among_like_any_other_view(
    make_store: MakeStore, layers_as: str
) -> None:
    store = make_store(layers=2, rows=54)
    found = config(store, layers="all", layers_as=layers_as, early=None, late=("mean",))
    rows = run_grid(found).table.rows
    joined = rows[rows["cell"].str.contains(r"\[", regex=True)]
    assert len(joined) > 0
    assert joined["chosen_on"].str.endswith("cell: inner").all()
    assert (joined["n_valid_scored"] == joined["n_choice"]).all()


def test_nothing_follows_from_test_labels(make_store: MakeStore) -> None:
    """Every choice stays, and every answer, where test rows of a fold have other labels."""
    store = make_store(apart=0.6)
    found = config(store, early=(), late=("mean",))
    prepared = prepare(found)
    prepared.plan.save(prepared.source.plan_file)
    run_grid(found)
    data = joined(found, 1, "audio")
    other = replace(data, test=replace(data.test, y=(data.test.y + 1) % 3))
    fit = partial(compute, Cell("unimodal", "", ("audio",), "svm"), fit_rows=WHOLE)
    first, second = (
        choose_inside(fit, rows, Ladder("svm", {}).candidates, {}, "svm") for rows in (data, other)
    )
    assert first.settings == second.settings
    for role in ("valid", "test"):
        np.testing.assert_array_equal(
            first.outcome.reported(role).values, second.outcome.reported(role).values
        )


def test_a_plan_without_validation_rows_chooses_all_the_same(make_store: MakeStore) -> None:
    result = run_grid(config(make_store(), valid="none", layer=""))
    assert result.table.headline
    assert (result.table.rows["n_choice"] == 60).all()


def test_drops_subsets_tuning_and_calibration_go_along(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(apart=0.8)
    found = config(
        store, drop_rates=(0.5,), subsets=True, calibrate="temperature", tune=2, late=("stack",)
    )
    result = run_grid(found)
    rows = result.table.rows
    assert set(rows.loc[rows["cell"] == "unimodal audio svm", "chosen_on"]) == {
        "settings: inner, 2 trials; calibration: inner; cell: inner"
    }
    dropped = pd.read_csv(found.out / "degradation.csv")
    whole = dropped[dropped["rate"] == 0]
    assert len(whole) > 0
    modified = {path: path.stat().st_mtime_ns for path in (found.out / "cells").iterdir()}
    run_grid(found)
    assert modified == {path: path.stat().st_mtime_ns for path in (found.out / "cells").iterdir()}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"fit_rows": "oof"}, "does not go with --fit-rows oof"),
        ({"valid_split": 0}, "does not go with --valid-split"),
        ({"select_on": "test"}, "does not go with --select-on test"),
        ({"layer": "valid"}, "write --layer choose"),
        ({"choose_on": "fitted", "calibrate": "sigmoid"}, "leave out --calibrate"),
        ({"choose_on": "fitted", "choose": "valid"}, "is for --choose inner"),
        ({"choose_on": "fited"}, "did you mean 'fitted'"),
        ({"tune": 2, "tune_on": "train"}, "does not go with --tune-on train"),
    ],
)
def test_what_contradicts_it_is_refused(how: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(Path("store"), **how)


def test_vectors_that_carry_their_labels_are_refused(make_store: MakeStore) -> None:
    store = make_store(split=True, seen="fit")
    with pytest.raises(UsageError, match="whose vectors carry their labels; choose with --choose"):
        prepare(config(store))


def test_fitted_rows_choose_only_where_that_is_asked_for_and_said(
    make_store: MakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(split=True, seen="fit", apart=0.8)
    out = store.parent / "out"
    options = ["--store", str(store), "--out", str(out), "--jobs", "1", "--choose", "inner"]
    cells = ["--classifiers", "svm", "--early", "concatenation", "--late", "mean"]
    assert grid.main([*options, *cells, "--choose-on", "fitted"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "(chosen on FITTED rows in inner folds)" in said
    assert "CHOSEN ON FITTED ROWS: an encoder was fitted on 60 of the rows that choose" in said
    rows = ResultTable.read(out / "grid.csv").rows
    candidates = rows[~rows["family"].isin(["baseline"])].set_index("cell")
    best = candidates["fitted_WA"].idxmax()
    assert candidates.loc[best, "flags"].startswith("chosen_on_fitted")
    assert rows["flags"].str.contains("chosen_on_fitted").sum() == 1
    for empty in ("valid_WA", "valid_WA_all", "valid_coverage"):
        assert rows[empty].isna().all()
    assert (rows[["n_valid", "n_valid_scored"]] == 0).all(axis=None)
    answers = pd.read_parquet(out / "predictions.parquet", columns=["role"])
    assert set(answers["role"]) == {"train", "test"}
    assert compare_systems.main([str(out)]) == 0
    assert make_report.main([str(out), "--store", str(store), "--quiet"]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "on FITTED rows in inner folds" in page
    assert "validation rows choose" not in page and "WA on validation rows" not in page
    assert "choices rest on training and validation rows, in inner folds" in page


def test_rows_of_one_group_cannot_answer_inside(make_store: MakeStore) -> None:
    data = joined(config(make_store()))
    columns = {
        "id": ["a", "b", "c", "d"],
        "label": ["joy", "anger", "joy", "anger"],
        "text": ["words"] * 4,
        "group": ["one", "one", "two", "two"],
        "split": ["train", "train", "test", "test"],
    }
    corpus = Manifest.from_columns("mine", columns, protocol="split")
    with pytest.raises(FoldError, match="are all of one group, so none could be answered"):
        with_inner_parts(data, corpus, make_plan(corpus, "split", "next"), 5)


def test_the_command_says_where_it_chose(
    make_store: MakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(layers=2, rows=45)
    options = ["--store", str(store), "--out", str(store.parent / "out"), "--jobs", "1"]
    cells = ["--classifiers", "svm", "--early", "none", "--late", "mean"]
    assert grid.main([*options, *cells, "--choose", "inner", "--layer", "choose"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "(chosen on rows of inner folds, valid WA" in said
    assert "the cell that counts is chosen on rows of inner folds (best mean WA)" in said
    assert "layer+settings+cell" in said or "layer+cell" in said
