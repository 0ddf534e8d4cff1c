"""Tables 1 to 3 hold what the trainings' heads reach, by the gate, chosen on validation rows."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.claim import Claim
from classify.figures.results_folder import FinishedRun
from classify.report.config import ReportConfig
from classify.report.page import page
from classify.report.selection import write_selection
from embeddings_store.errors import LeakError, StoreMismatchError, StoreNotFoundError
from embeddings_store.vectors.hdf5 import read_embeddings, read_header, write_embeddings


def test_a_line_per_training_with_the_figures_of_its_head(finished, tmp_path: Path) -> None:
    files = write_selection(finished.store, "toy", tmp_path, Claim())
    assert [path.name for path in files] == ["table2_audio.csv", "table1_text.csv"]
    table = pd.read_csv(tmp_path / "table1_text.csv")
    heads = FinishedRun.read(finished.results).of("unimodal text head")
    assert (table["test_WA"] / 100).tolist() == pytest.approx(heads["WA"].tolist(), abs=1e-4)
    assert (table["valid_WA"] / 100).tolist() == pytest.approx(heads["valid_WA"].tolist(), abs=1e-4)
    assert table["runtime_s"].tolist() == [1.5] * 3  # 30 of 90 rows, which took 4.5 s
    file = read_embeddings(
        finished.store / "toy" / "enc-text@100000000000" / "seed-0" / "fold-1.h5"
    )
    rows = np.isin(
        file.ids, FinishedRun.read(finished.results).answers("unimodal text head", folds=(1,))["id"]
    )
    truth = [
        file.classes.index(name)
        for name in np.array(["anger", "happiness", "<b>&\"'"])[np.arange(90) % 3][rows]
    ]
    scores = file.scores[rows].astype(float)
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert table["test_loss"][0] == pytest.approx(
        -np.log(chances[np.arange(30), truth]).mean(), abs=1e-4
    )


def test_the_report_shows_them_first(finished, tmp_path: Path) -> None:
    shutil.copytree(finished.results, tmp_path / "r")
    write_selection(finished.store, "toy", tmp_path / "r", Claim())
    text = page(FinishedRun.read(tmp_path / "r"), [], ReportConfig(tmp_path / "r"))
    assert (
        text.index("Table 1: choice of the text encoder")
        < text.index("Table 2: choice")
        < text.index("Table 4: one modality")
    )
    assert "chosen on valid" in text


def test_two_candidates_of_one_name_are_told_apart_and_the_best_on_valid_is_marked(
    finished, tmp_path: Path
) -> None:
    store = tmp_path / "selection"
    shutil.copytree(finished.store, store)
    folder = store / "toy" / "enc-text@100000000000"
    shutil.rmtree(store / "toy" / "enc-audio@000000000000")
    for fold in (2, 3):
        (folder / "seed-0" / f"fold-{fold}.h5").unlink()
    file = read_embeddings(folder / "seed-0" / "fold-1.h5")
    worse = file.scores.copy()
    worse[file.seen == "select"] = 0  # wrong on validation rows, as good on test
    write_embeddings(
        store / "toy" / "enc-text@200000000000" / "seed-0" / "fold-1.h5",
        _with(file, scores=worse, fingerprint="200000000000"),
        {**file.attributes, "settings": {"train_epochs": 9, "train_learning_rate": 1e-3}},
    )
    write_selection(store, "toy", tmp_path, Claim())
    table = pd.read_csv(tmp_path / "table1_text.csv", keep_default_na=False).set_index("encoder")
    assert table["remark"].to_dict() == {
        "enc-text (epochs 3)": "chosen on valid",
        "enc-text (epochs 9)": "",
    }
    assert table["test_WA"].nunique() == 1


def test_an_encoder_gains_nothing_by_validation_rows_that_it_lacks(
    finished, tmp_path: Path
) -> None:
    store = tmp_path / "selection"
    shutil.copytree(finished.store, store)
    folder = store / "toy" / "enc-text@100000000000"
    for fold in (2, 3):
        (folder / "seed-0" / f"fold-{fold}.h5").unlink()
    file = read_embeddings(folder / "seed-0" / "fold-1.h5")
    write_selection(store, "toy", tmp_path, Claim())
    whole = pd.read_csv(tmp_path / "table1_text.csv").iloc[0]
    truth = np.eye(3, dtype=np.float32)[np.arange(90) % 3]
    order = [("anger", "happiness", "<b>&\"'").index(name) for name in file.classes]
    # right wherever it answers, but it answers few validation rows
    scores, vectors = 9 * truth[:, order], file.vectors.copy()
    gone = np.flatnonzero(file.seen == "select")[6:]
    status, reason = file.status.copy(), file.reason.astype("<U9")
    status = status.astype("<U7")
    scores[gone], vectors[gone], status[gone], reason[gone] = np.nan, np.nan, "missing", "no media"
    ref = replace(file.encoder, fingerprint="200000000000")
    write_embeddings(
        store / "toy" / "enc-text@200000000000" / "seed-0" / "fold-1.h5",
        replace(file, scores=scores, vectors=vectors, status=status, reason=reason, encoder=ref),
        {**file.attributes, "settings": {"train_epochs": 9, "train_learning_rate": 1e-3}},
    )
    write_selection(store, "toy", tmp_path, Claim())
    table = pd.read_csv(tmp_path / "table1_text.csv").set_index("encoder")
    assert table.loc["enc-text (epochs 9)", "valid_WA"] == 100 > whole["valid_WA"]
    assert table["n_valid_scored"].to_dict() == {
        "enc-text (epochs 3)": 30,
        "enc-text (epochs 9)": 6,
    }
    assert table["n_choice"].tolist() == [30, 30]
    assert table.loc["enc-text (epochs 3)", "remark"] == "chosen on valid"


def test_what_was_seen_or_is_of_another_plan_is_refused(finished, frozen, tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="holds no trained encoder"):
        write_selection(frozen.store, "toy", tmp_path, Claim())
    store = tmp_path / "selection"
    shutil.copytree(finished.store, store)
    path = store / "toy" / "enc-audio@000000000000" / "seed-0" / "fold-1.h5"
    file = read_embeddings(path)
    write_embeddings(path, _with(file, seen=np.full(90, "fit")), file.attributes)
    with pytest.raises(LeakError, match="fold 1"):
        write_selection(store, "toy", tmp_path, Claim())
    write_embeddings(
        path, file, {**read_header(path), "plan_digest": "0" * 12, "plan_valid": "none"}
    )
    with pytest.raises(StoreMismatchError, match="under a plan that has a name"):
        write_selection(store, "toy", tmp_path, Claim())


def _with(file, *, scores=None, seen=None, fingerprint: str = ""):
    ref = (
        file.encoder
        if not fingerprint
        else type(file.encoder)(
            file.encoder.name,
            fingerprint,
            file.encoder.modality,
            file.encoder.layer,
            file.encoder.seed,
        )
    )
    return type(file)(
        file.ids,
        file.vectors,
        file.seen if seen is None else seen,
        file.status,
        file.reason,
        ref,
        file.fold,
        file.scores if scores is None else scores,
        file.classes,
        file.inputs,
        file.attributes,
    )
