"""The whole grid on small stores.

Plain scripts give the same labels, nothing is done twice, and nothing leaks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classify.experiment import run_grid
from classify.grid import execution as grid
from classify.grid import tasks
from classify.grid.config import GridConfig
from classify.grid.execution import survey
from classify.grid.finished_cells import read_outcome
from classify.grid.prepare import prepare
from classify.results.table import BEST_ON_TEST, CHOSEN, FIXED, VOLATILE, ResultTable
from classify.systems.definitions import read_systems
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, LeakError, StoreBusyError, StoreError, UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.fold_data import FoldData
from embeddings_store.vectors.hdf5 import read_embeddings, read_header, write_embeddings

MakeStore = Callable[..., Path]
Settings = dict[str, dict[str, float]]


@pytest.fixture
def config(tmp_path: Path, fast: Settings) -> GridConfig:
    return GridConfig(tmp_path / "embeddings", tmp_path / "results", settings=fast, jobs=1)


@pytest.fixture
def quick(config: GridConfig) -> GridConfig:
    """One classifier and one strategy of each kind."""
    return replace(
        config, classifiers=("svm",), settings={}, early=("concatenation",), late=("sum",)
    )


def folds_of(store: Path, corpus: str = "toy", **options: object) -> list[FoldData]:
    manifest = Manifest.load(store / corpus)
    plan = make_plan(manifest)
    views = {m: refs[0] for m, refs in choose_views(catalogue(store, corpus)).items()}
    return [
        load_fold(FoldRequest(store, corpus, views, plan, fold.number, **options)) for fold in plan
    ]  # type: ignore[arg-type]


def predictions(out: Path, cell: str, role: str = "test") -> dict[str, str]:
    table = pd.read_parquet(out / "predictions.parquet")
    part = table[(table["cell"] == cell) & (table["role"] == role)]
    return dict(zip(part["id"], part["y_pred"].astype(str), strict=True))


def stable(table: ResultTable) -> pd.DataFrame:
    return table.rows.drop(columns=list(VOLATILE))


def test_a_plain_script_gives_the_same_labels(make_store: MakeStore, quick: GridConfig) -> None:
    store = make_store(widths={"audio": 6, "text": 4})
    run_grid(quick)
    found, alone = (
        predictions(quick.out, "early concatenation audio+text svm"),
        predictions(quick.out, "unimodal text svm"),
    )
    for data in folds_of(store):
        blocks, blocks_test = [], []
        for m in ("audio", "text"):
            scaler = StandardScaler().fit(data.train.vectors[m])
            blocks.append(scaler.transform(data.train.vectors[m]))
            blocks_test.append(scaler.transform(data.test.vectors[m]))
        names = np.array(data.labels.classes)
        for X, X_test, answers in (
            (np.hstack(blocks), np.hstack(blocks_test), found),
            (blocks[1], blocks_test[1], alone),
        ):
            plain = names[SVC().fit(X, data.train.y).predict(X_test)]
            assert [answers[i] for i in data.test.ids.tolist()] == plain.tolist()


def test_every_family_stands_in_the_table_and_baselines_beside(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store(heads=("audio",))
    rows = run_grid(config).table.rows
    assert len(rows) == 3 * (2 + 2 * 4 + 3 * 3 + 3 * 3 + 10)
    assert not rows.duplicated(["cell", "fold"]).any()
    cells = set(rows["cell"])
    assert {
        "baseline majority",
        "baseline stratified-random",
        "unimodal audio head",
        "unimodal text probe",
        "early product audio+text nn",
        "late product audio+text xgboost",
    } <= cells
    late = rows[rows["family"] == "late"]
    assert set(late["scores_from"]) == {"audio=head,text=probe"}
    assert set(rows.loc[rows["classifier"] == "head", "scores_from"]) == {"head"}
    assert (rows["WA"].between(0, 1)).all()
    majority = rows[rows["family"] == "baseline"]
    assert (majority["encoders"] == "").all()
    assert rows.loc[rows["classifier"] == "svm", "WA"].mean() > 0.6


def test_one_cell_is_chosen_on_valid_and_one_is_best_on_test(
    make_store: MakeStore, quick: GridConfig
) -> None:
    make_store()
    table = run_grid(quick).table
    means = (
        table.rows[table.rows["family"] != "baseline"]
        .groupby("cell", sort=False)[["valid_WA", "WA"]]
        .mean()
    )
    assert table.headline == table.flagged(CHOSEN) == means["valid_WA"].idxmax()
    assert table.flagged(BEST_ON_TEST) == means["WA"].idxmax()
    assert not table.flagged(FIXED)


def test_without_valid_rows_nothing_is_chosen(make_store: MakeStore, quick: GridConfig) -> None:
    make_store(split=True, seen="fit")
    table = run_grid(quick).table
    assert table.headline == table.flagged(FIXED) == "early concatenation audio+text svm"
    assert not table.flagged(CHOSEN)
    assert table.rows["valid_WA"].isna().all()
    seen = table.rows[table.rows["family"] == "unimodal"]
    assert (seen["n_fit_seen"] == seen["n_train"]).all()


def test_shuffled_labels_are_at_chance(make_store: MakeStore, quick: GridConfig) -> None:
    make_store(rows=360)
    table = run_grid(replace(quick, shuffle_seed=1)).table
    rows = table.rows[table.rows["family"] != "baseline"]
    assert set(rows["labels_shuffled"]) == {"seed 1"}
    # three classes, 360 test rows: three deviations of chance are 7.5 points; cells are averaged,
    # so this is generous
    assert rows["WA"].mean() == pytest.approx(1 / 3, abs=0.075)


def test_rows_that_an_encoder_was_fitted_on_are_refused_before_anything_is_written(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store(split=True, seen="fit")
    with pytest.raises(LeakError, match="was trained on them"):
        run_grid(replace(config, folds="leave-one-session-out"))
    assert not config.out.exists()


def test_nothing_is_computed_twice(
    make_store: MakeStore, quick: GridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store()
    first = run_grid(quick)
    monkeypatch.setattr(grid, "run_cell", lambda task: pytest.fail(f"computed again: {task.cell}"))
    again = run_grid(quick)
    pd.testing.assert_frame_equal(first.table.rows, again.table.rows)


@pytest.mark.telling
def test_a_changed_setting_computes_what_it_changes(
    make_store: MakeStore, config: GridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store()
    run_grid(config)
    computed = []
    monkeypatch.setattr(
        grid, "run_cell", lambda task: computed.append(task.cell.classifier) or tasks.run_cell(task)
    )
    run_grid(replace(config, settings={**config.settings, "svm": {"c": 2.0}}))
    assert set(computed) == {"svm"}
    for change in ({"seeds": (1,)}, {"fit_rows": "train+valid"}):
        before = survey(replace(config, **change))  # type: ignore[arg-type]
        assert before.finished == (
            0 if "fit_rows" in change else 3 * (8 + 2 + 1 + 9)
        )  # SVMs, probes, rules, majority: no draws
    assert (
        survey(replace(config, folds="session-kfold:3")).to_run == 0
    )  # the same rows under another name


def test_changed_vectors_are_computed_again(make_store: MakeStore, quick: GridConfig) -> None:
    make_store()
    run_grid(quick)
    make_store(apart=2.0)
    assert survey(quick).finished == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "locked"])
def test_a_damaged_cell_is_computed_again_and_said(
    make_store: MakeStore, quick: GridConfig, damage: str
) -> None:
    make_store()
    first = run_grid(quick)
    path, other = sorted((quick.out / "cells").glob("svm.*.npz"))[:2]
    whole = bytearray(path.read_bytes())
    whole[whole.index(b'"classifier"')] ^= 255  # headers of the archive hold bytes nobody reads
    locked = bytearray(path.read_bytes())
    locked[locked.index(b"PK\1\2") + 8] ^= 1  # the archive then says that it wants a password
    path.write_bytes(
        {
            "cut": path.read_bytes()[:300],
            "flipped": bytes(whole),
            "foreign": other.read_bytes(),
            "locked": bytes(locked),
        }[damage]
    )
    told: list[str] = []
    again = run_grid(quick, told.append)
    assert len(told) == 1
    assert path.name in told[0]
    assert "computing it again" in told[0]
    pd.testing.assert_frame_equal(stable(first.table), stable(again.table))


def test_a_finished_cell_with_any_changed_bit_is_whole_or_refused(
    make_store: MakeStore, quick: GridConfig
) -> None:
    make_store()
    run_grid(quick)
    path = sorted((quick.out / "cells").glob("svm.*.npz"))[0]
    whole, key = path.read_bytes(), path.stem.rpartition(".")[2]
    before = read_outcome(path, key)
    rng = np.random.default_rng(0)
    # the headers of the archive, and a sample of what they describe
    headers = range(whole.index(b"PK\1\2"), len(whole), 4)
    refused = 0
    for place in [*range(0, 200, 2), *headers, *rng.integers(0, len(whole), 300).tolist()]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            after = read_outcome(path, key)
        except StoreError as error:
            assert len(str(error).splitlines()) == 1
            refused += 1
        else:
            assert after.facts == before.facts
            for role, ids in before.ids.items():
                np.testing.assert_array_equal(after.ids[role], ids)
                np.testing.assert_array_equal(after.y[role], before.y[role])
                answers = after.reported(role).values
                np.testing.assert_array_equal(answers, before.reported(role).values)
    assert refused > 100


@pytest.mark.parametrize("name", ["test.y", "last.test", "record"])
def test_a_finished_cell_that_was_written_anew_with_other_values_is_computed_again(
    name: str, make_store: MakeStore, quick: GridConfig
) -> None:
    """With checksums of the archive that are right: they alone say nothing about who wrote it."""
    make_store()
    first = run_grid(quick)
    path = sorted((quick.out / "cells").glob("svm.*.npz"))[0]
    with np.load(path) as file:
        arrays = dict(file)
    name = next(n for n in arrays if n.endswith(".test")) if name == "last.test" else name
    if name == "record":
        record = json.loads(arrays["record"].tobytes())
        record["facts"]["n_fit"] = 9
        arrays["record"] = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
    else:
        arrays[name].flat[0] = 1e15
    np.savez(path, **arrays)
    told: list[str] = []
    again = run_grid(quick, told.append)
    assert len(told) == 1 and path.name in told[0]
    pd.testing.assert_frame_equal(stable(first.table), stable(again.table))


def test_leftovers_of_a_kill_are_removed(make_store: MakeStore, quick: GridConfig) -> None:
    make_store()
    (quick.out / "cells").mkdir(parents=True)
    half = quick.out / "cells" / ".svm.npz.elsewhere-1.tmp"
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    told: list[str] = []
    run_grid(quick, told.append)
    assert told == ["removed 1 unfinished files of a run that was killed"]
    assert not list(quick.out.rglob("*.tmp"))


def test_two_runs_do_not_share_a_folder(make_store: MakeStore, quick: GridConfig) -> None:
    from embeddings_store.atomic import exclusive

    make_store()
    with exclusive(quick.out / ".lock", "results"), pytest.raises(StoreBusyError):
        run_grid(quick)


@pytest.mark.telling
def test_the_labels_are_the_same_for_any_number_of_jobs(
    make_store: MakeStore, config: GridConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "WORTH_PROCESSES_S", 0.0)
    make_store(missing={"audio": 5})
    config = replace(
        config,
        early=("product",),
        late=("concatenation", "gate"),
        drop_rates=(0.5,),
        systems=read_systems(["mine = stack(nn(audio), svm(text))"]),
    )
    one = run_grid(replace(config, out=tmp_path / "one", jobs=1))
    two = run_grid(replace(config, out=tmp_path / "two", jobs=2))
    pd.testing.assert_frame_equal(stable(one.table), stable(two.table))
    pd.testing.assert_frame_equal(
        *(pd.read_parquet(tmp_path / n / "predictions.parquet") for n in ("one", "two"))
    )
    pd.testing.assert_frame_equal(
        *(pd.read_csv(tmp_path / n / "degradation.csv") for n in ("one", "two"))
    )


def test_missing_modalities_are_counted_and_fused_cells_answer_every_row(
    make_store: MakeStore, quick: GridConfig
) -> None:
    store = make_store(missing={"audio": 9, "text": 6})
    rows = run_grid(quick).table.rows
    audio, fused = (
        rows[rows["cell"] == "unimodal audio svm"],
        rows[rows["cell"] == "early concatenation audio+text svm"],
    )
    gone = {data.fold: int((~data.test.present["audio"]).sum()) for data in folds_of(store)}
    assert sum(gone.values()) > 0
    assert (audio["n_test"] - audio["n_scored"]).tolist() == list(gone.values())
    assert (fused["n_scored"] == fused["n_test"]).all()
    assert (fused["n_missing"] >= audio["n_missing"].to_numpy()).all()
    late = rows[rows["family"] == "late"]
    assert (late["n_scored"] == late["n_test"]).all()


def test_a_row_that_a_cell_cannot_answer_counts_as_wrong_in_choices(
    make_store: MakeStore, quick: GridConfig
) -> None:
    make_store(widths={"audio": 8, "text": 2}, missing={"audio": 60}, rows=90, apart=4.0)
    table = run_grid(quick).table
    # audio alone is right on all the rows it has, which are a third
    assert table.rows.loc[table.rows["cell"] == "unimodal audio svm", "WA"].mean() > 0.9
    assert "text" in table.headline
    assert "text" in table.flagged(BEST_ON_TEST)


def test_one_modality_has_no_fusion(make_store: MakeStore, config: GridConfig) -> None:
    make_store(widths={"audio": 6})
    result = run_grid(config)
    assert set(result.table.rows["family"]) == {"baseline", "unimodal"}
    assert "nothing to fuse" in result.prepared.notes[0]
    assert not (config.out / "table5_early.csv").exists()
    with pytest.raises(UsageError, match="there is only audio"):
        run_grid(replace(config, early=("sum",)))


def test_unequal_widths_leave_sum_and_product_out_and_say_so(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store(widths={"audio": 6, "text": 4})
    prepared = prepare(config)
    assert {c.method for c in prepared.cells if c.family == "early"} == {"concatenation"}
    assert [note[:20] for note in prepared.notes] == [
        "left out: early sum ",
        "left out: early prod",
    ]
    with pytest.raises(UsageError, match=r"audio 6, text 4; use concatenation"):
        prepare(replace(config, early=("sum",)))


def test_one_group_has_no_probes(make_store: MakeStore, config: GridConfig) -> None:
    make_store(one_group=True)
    prepared = prepare(config)
    assert not [c for c in prepared.cells if c.family == "late" or c.classifier == "probe"]
    assert "all of one group" in " ".join(prepared.notes)
    with pytest.raises(FoldError, match="all of one group"):
        prepare(replace(config, late=("sum",)))


def test_probes_are_fitted_where_late_fusion_is_wanted(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store(heads=("audio",))

    def answers(late: tuple[str, ...]) -> list[tuple[str, ...]]:
        cells = prepare(replace(config, classifiers=("svm",), late=late)).cells
        return [(*c.modalities, c.classifier) for c in cells if c.family == "unimodal"]

    svms_and_head = [("audio", "svm"), ("audio", "head"), ("text", "svm")]
    assert answers(late=()) == svms_and_head
    assert answers(late=("sum",)) == [*svms_and_head, ("text", "probe")]


def test_the_layer_is_chosen_on_valid_rows(make_store: MakeStore, config: GridConfig) -> None:
    make_store(widths={"audio": 6, "text": 6}, layers=3)
    config = replace(config, classifiers=("nn",), early=("sum",), late=("sum",), layer="valid")
    assert survey(config).later > 0
    rows = run_grid(config).table.rows
    judged = rows[(rows["family"] == "layer") & (rows["classifier"] == "svm")]
    for (fold, modality), part in judged.groupby(["fold", "modalities"]):
        best = part["layer"].iloc[int(part["valid_WA"].to_numpy().argmax())]
        used = rows[(rows["fold"] == fold) & (rows["cell"] == f"unimodal {modality} nn")]
        assert used["layer"].tolist() == [best]
    assert not rows.loc[rows["family"] == "layer", "flags"].str.contains("_").any()
    assert survey(config).later == 0
    assert survey(config).to_run == 0
    assert (config.out / "table_layers.csv").is_file()
    # the layer's own cell is the chosen one's: no file was computed for it again
    assert len(list((config.out / "cells").glob("nn.fold-1.*"))) == 3 * 2 + 2


def test_a_layer_gains_nothing_by_validation_rows_that_it_lacks(
    make_store: MakeStore, quick: GridConfig
) -> None:
    store = make_store(widths={"audio": 6}, layers=3, apart=2.5)
    quick = replace(quick, early=(), late=(), layer="valid")
    path = next(path for path in store.rglob("*.h5") if ".L1@" in str(path))
    whole, header = read_embeddings(path), read_header(path)
    gone = np.random.default_rng(0).random(len(whole.ids)) < 0.7
    vectors, status = whole.vectors.copy(), whole.status.astype("<U7")
    vectors[gone], status[gone] = np.nan, "missing"
    reason = np.where(gone, "no media", "")
    path.unlink()
    write_embeddings(path, replace(whole, vectors=vectors, status=status, reason=reason), header)
    rows = run_grid(quick).table.rows
    layers = rows[(rows["family"] == "layer") & (rows["classifier"] == "svm")]
    means = layers.groupby("layer")[["valid_WA", "valid_WA_all"]].mean()
    # the layer that is best where it answers is the worst of all rows
    assert means["valid_WA"].idxmax() == means["valid_WA_all"].idxmin() == "audio=1"
    assert "audio=1" not in set(rows.loc[rows["cell"] == "unimodal audio svm", "layer"])


def test_layers_are_not_chosen_without_valid_rows(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store(layers=2, split=True)
    with pytest.raises(UsageError, match="--layer valid needs validation rows"):
        run_grid(replace(config, layer="valid"))
    with pytest.raises(UsageError, match=r"--fit-rows train\+valid needs validation rows"):
        run_grid(replace(config, layer="last", fit_rows="train+valid"))


def test_fitting_on_valid_too_leaves_the_choice_as_it_was(
    make_store: MakeStore, quick: GridConfig
) -> None:
    store = make_store()
    small = run_grid(replace(quick, out=quick.out / "small")).table
    large = run_grid(replace(quick, fit_rows="train+valid")).table
    pd.testing.assert_series_equal(small.rows["valid_WA"], large.rows["valid_WA"])
    assert small.headline == large.headline
    assert (large.rows["n_fit"] == large.rows["n_train"] + large.rows["n_valid"]).all()
    found = predictions(quick.out, "unimodal audio svm")
    for data in folds_of(store):
        X = np.concatenate([data.train.vectors["audio"], data.valid.vectors["audio"]])
        scaler = StandardScaler().fit(X)
        plain = SVC().fit(scaler.transform(X), np.concatenate([data.train.y, data.valid.y]))
        names = np.array(data.labels.classes)[
            plain.predict(scaler.transform(data.test.vectors["audio"]))
        ]
        assert [found[i] for i in data.test.ids.tolist()] == names.tolist()


def test_test_labels_change_nothing_but_the_score(
    make_store: MakeStore, quick: GridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store()
    data = folds_of(store)[0]
    from classify.grid.compute import compute
    from classify.systems.cell import Cell

    blind = replace(data, test=replace(data.test, y=np.zeros_like(data.test.y)))
    for cell in (
        Cell("early", "product", ("audio", "text"), "svm"),
        Cell("unimodal", "", ("audio",), "probe"),
    ):
        one, two = compute(cell, data), compute(cell, blind)
        np.testing.assert_array_equal(one.reported("test").values, two.reported("test").values)


def test_another_corpus_or_shuffled_labels_do_not_replace_results(
    make_store: MakeStore, quick: GridConfig
) -> None:
    make_store()
    run_grid(quick)
    with pytest.raises(UsageError, match="holds results of true labels"):
        run_grid(replace(quick, shuffle_seed=0))
    make_store(corpus="other", where="more")
    with pytest.raises(UsageError, match="holds results of corpus 'toy'"):
        run_grid(replace(quick, store=quick.store.parent / "more"))


def test_a_cell_records_what_made_it(make_store: MakeStore, quick: GridConfig) -> None:
    make_store()
    run_grid(quick)
    path = next((quick.out / "cells").glob("svm.*.npz"))
    with np.load(path, allow_pickle=False) as file:
        record = json.loads(file["record"].tobytes())
    assert {
        "classifier",
        "settings",
        "views",
        "plan",
        "manifest",
        "fold",
        "seed",
        "shuffle_seed",
        "versions",
    } <= set(record["what"])
    assert record["facts"]["fit_s"] >= 0


def test_unverified_vectors_are_stamped(make_store: MakeStore, quick: GridConfig) -> None:
    make_store(seen="unknown")
    rows = run_grid(quick).table.rows
    assert set(rows.loc[rows["cell"] == "unimodal audio svm", "verified"]) == {"unverified: audio"}
    assert set(rows.loc[rows["family"] == "early", "verified"]) == {"unverified: audio+text"}


def test_heads_are_argmax_of_the_stored_scores(make_store: MakeStore, quick: GridConfig) -> None:
    store = make_store(heads=("audio", "text"))
    rows = run_grid(quick).table.rows
    assert set(rows.loc[rows["family"] == "late", "scores_from"]) == {"head"}
    for data in folds_of(store):
        row = rows[(rows["cell"] == "unimodal text head") & (rows["fold"] == data.fold)]
        assert row["WA"].item() == accuracy_score(
            data.test.y, data.test.scores["text"].argmax(axis=1)
        )
