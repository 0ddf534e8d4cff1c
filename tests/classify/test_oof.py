"""Late fusion learns from scores of rows that no encoder has seen; nothing is fitted on vectors of several encoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classify import grid, tasks
from classify.grid import run_grid, survey
from classify.oof import inner_sets
from classify.prepare import GridConfig, prepare
from embeddings_store.arrays import EncoderRef
from embeddings_store.entries import Entry
from embeddings_store.errors import LeakError, StoreNotFoundError, UsageError
from embeddings_store.folds import make_plan
from embeddings_store.hdf5 import read_embeddings, write_embeddings
from embeddings_store.load import catalogue, choose_views, load_fold
from embeddings_store.manifest import Manifest

MakeStore = Callable[..., Path]
LATE = "late sum audio+text svm"


@pytest.fixture
def config(tmp_path: Path) -> GridConfig:
    return GridConfig(tmp_path / "embeddings", tmp_path / "results", classifiers=("svm",), late=("sum",), jobs=1, fit_rows="oof")


def by_hand(store: Path, fold: int, name: str) -> np.ndarray:
    """Scores of all rows: training rows by the inner encoder that left them out, the others by the fold's own."""
    paths = sorted(store.glob(f"toy/enc-{name}@*/seed-0/fold-{fold}.*h5"))
    own, *inner = [read_embeddings(p) for p in sorted(paths, key=lambda p: ("inner" in p.name, p.name))]
    scores = own.scores.copy()
    for file in inner:
        left_out = (own.seen == "fit") & (file.seen == "no")
        scores[left_out] = file.scores[left_out]
    return softmax(scores.astype(np.float64), axis=1)


def test_late_fusion_learns_from_scores_of_inner_encoders(make_trained: MakeStore, config: GridConfig) -> None:
    store = make_trained(inner=2)
    rows = run_grid(config).table.rows
    late = rows[rows["cell"] == LATE].set_index("fold")
    assert set(late["fit_rows"]) == {"oof"}
    manifest = Manifest.load(store / "toy")
    y = manifest.codes()
    for fold in make_plan(manifest):
        fused = by_hand(store, fold.number, "audio") + by_hand(store, fold.number, "text")
        train, test = fold.mask("train"), fold.mask("test")
        scaler = StandardScaler().fit(fused[train])
        plain = SVC().fit(scaler.transform(fused[train]), y[train])
        assert late.loc[fold.number, "WA"] == accuracy_score(y[test], plain.predict(scaler.transform(fused[test])))
        assert late.loc[fold.number, "train_WA"] < 1, "over-confident scores would be right on every training row"


def test_cells_over_vectors_of_several_encoders_are_left_out_with_the_reason(make_trained: MakeStore, config: GridConfig) -> None:
    make_trained(inner=2)
    prepared = prepare(config)
    assert {c.family for c in prepared.cells} == {"baseline", "unimodal", "late"}
    assert {c.classifier for c in prepared.cells if c.family == "unimodal"} == {"head"}
    assert "each has a space of its own" in " ".join(prepared.notes)
    with pytest.raises(UsageError, match=r"--fit-rows oof does not go with early concatenation over audio and text: vectors of "
                                         "training rows out of fold come from several inner encoders"):
        prepare(replace(config, early=("concatenation",)))


def test_frozen_vectors_are_out_of_fold_as_they_are(make_store: MakeStore, config: GridConfig) -> None:
    make_store()
    config = replace(config, early=("concatenation",))
    run_grid(replace(config, fit_rows="train"))
    assert {c.family for c in prepare(config).cells} == {"baseline", "unimodal", "early", "late"}
    assert survey(config).to_run == 3, "only late fusion learns from other rows, here from a probe's, and out of fold as before"


def test_without_inner_encoders_it_says_what_to_extract(make_trained: MakeStore, make_store: MakeStore,
                                                        config: GridConfig) -> None:
    store = make_trained()
    with pytest.raises(StoreNotFoundError, match=r"run extract-features --corpus toy --modality audio --seed 0 --inner-folds N"):
        run_grid(config)
    store = make_trained(inner=2, where="half")
    next(store.glob("toy/enc-text@*/seed-0/fold-2.inner-1.h5")).unlink()
    with pytest.raises(StoreNotFoundError, match=r"lacks 1 of 6 inner folds \(2.inner-1\)"):
        run_grid(replace(config, store=store))
    assert not config.out.exists()
    imported = make_store(split=True, seen="fit", where="imported")
    with pytest.raises(LeakError, match=r"audio encoder enc-audio@.* has no inner encoders .* choose other rows with --fit-rows"):
        run_grid(replace(config, store=imported))


def test_a_change_to_an_inner_file_computes_late_cells_again_and_no_others(make_trained: MakeStore, config: GridConfig,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    make_trained(inner=2)
    run_grid(replace(config, fit_rows="train", early=()))
    before = survey(config)
    assert before.to_run == 3, "heads and baselines do not depend on it"
    computed: list[str] = []
    monkeypatch.setattr(grid, "run_task", lambda task: computed.append(task.cell.family) or tasks.run_task(task))
    run_grid(config)
    assert computed == ["late"] * 3
    path = next(config.store.glob("toy/enc-text@*/seed-0/fold-2.inner-1.h5"))
    file = read_embeddings(path)
    write_embeddings(path, replace(file, scores=file.scores + 1), {
        k: v for k, v in file.attributes.items() if k not in {"digest", "header_digest"}})
    assert survey(config).to_run == 1, "late fusion of that fold"


def test_valid_rows_teach_late_fusion_and_are_answered_out_of_fold(make_trained: MakeStore, config: GridConfig) -> None:
    store = make_trained()
    run_grid(replace(config, fit_rows="valid", early=()))
    found = pd.read_parquet(config.out / "predictions.parquet")
    found = found[(found["cell"] == LATE) & (found["fold"] == 1)].set_index("id")
    manifest = Manifest.load(store / "toy")
    data = load_fold(store, "toy", {m: r[0] for m, r in choose_views(catalogue(store, "toy")).items()}, make_plan(manifest), 1)
    names = np.array(data.labels.classes)

    def fused(role: str) -> np.ndarray:
        scores = data.role(role).scores
        return softmax(scores["audio"].astype(float), axis=1) + softmax(scores["text"].astype(float), axis=1)

    def answers(X: np.ndarray, y: np.ndarray, new: np.ndarray) -> list[str]:
        scaler = StandardScaler().fit(X)
        return list(names[SVC().fit(scaler.transform(X), y).predict(scaler.transform(new))])

    assert found.loc[data.test.ids, "y_pred"].tolist() == answers(fused("valid"), data.valid.y, fused("test"))
    groups = data.valid.groups
    for fit, rest in GroupKFold(4).split(fused("valid"), groups=groups):
        expected = answers(fused("valid")[fit], data.valid.y[fit], fused("valid")[rest])
        assert found.loc[data.valid.ids[rest], "y_pred"].tolist() == expected


def test_a_layer_of_a_trained_encoder_is_named_not_chosen() -> None:
    layers = [EncoderRef(f"enc.L{n}", str(n) * 12, "audio", n) for n in (1, 2)]
    entries = [Entry(Path(), "toy", ref, "1", 9, 9, 6, True, {}, "") for ref in layers]
    with pytest.raises(UsageError, match=r"does not go with a choice of layers of audio, because .* several inner encoders"):
        inner_sets(entries, {"audio": layers}, [1])
    frozen = [replace(entry, fold="any") for entry in entries]
    assert inner_sets(frozen, {"audio": layers}, [1]) == {}


def test_options_that_have_no_effect_are_refused(config: GridConfig) -> None:
    with pytest.raises(UsageError, match="--inner-folds 2 has no effect without --fit-rows oof"):
        replace(config, fit_rows="train", inner_folds=2)
