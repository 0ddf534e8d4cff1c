"""Late fusion learns from scores of rows that no encoder has seen, cells over vectors by space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

from classify.experiment import run_grid
from classify.grid import execution as grid
from classify.grid import tasks
from classify.grid.compute import compute
from classify.grid.config import GridConfig
from classify.grid.cross_fitting import cross_fit, inner_sets
from classify.grid.execution import survey
from classify.grid.prepare import prepare
from classify.metadata import choose_columns, load_with_metadata
from classify.models.distances import squared_distances
from classify.models.svm import scale_gamma
from classify.systems.cell import Cell
from classify.systems.definitions import read_systems
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import (
    FoldError,
    LeakError,
    StoreMismatchError,
    StoreNotFoundError,
    UsageError,
)
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.plan import Fold
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.catalogue import Entry, catalogue, choose_views
from embeddings_store.vectors.hdf5 import read_embeddings, store_path, write_embeddings
from embeddings_store.vectors.inner_folds import find_inner

MakeStore = Callable[..., Path]
LATE = "late sum audio+text svm"
WIDTH = 6  # columns of each modality


@pytest.fixture
def config(tmp_path: Path) -> GridConfig:
    return GridConfig(
        tmp_path / "embeddings",
        tmp_path / "results",
        classifiers=("svm",),
        late=("sum",),
        jobs=1,
        fit_rows="oof",
    )


def by_hand(store: Path, fold: int, name: str) -> np.ndarray:
    """Scores of all rows.

    Training rows by the inner encoder that left them out, the others by the fold's own.
    """
    paths = sorted(store.glob(f"toy/enc-{name}@*/seed-0/fold-{fold}.*h5"))
    own, *inner = [
        read_embeddings(p) for p in sorted(paths, key=lambda p: ("inner" in p.name, p.name))
    ]
    scores = own.scores.copy()
    for file in inner:
        left_out = (own.seen == "fit") & (file.seen == "no")
        scores[left_out] = file.scores[left_out]
    return softmax(scores.astype(np.float64), axis=1)


def test_late_fusion_learns_from_scores_of_inner_encoders(
    make_trained: MakeStore, config: GridConfig
) -> None:
    store = make_trained(inner=2)
    rows = run_grid(replace(config, early=())).table.rows
    late = rows[rows["cell"] == LATE].set_index("fold")
    assert set(late["fit_rows"]) == {"oof"}
    manifest = Manifest.load(store / "toy")
    y = manifest.codes()
    for fold in make_plan(manifest):
        fused = by_hand(store, fold.number, "audio") + by_hand(store, fold.number, "text")
        train, test = fold.mask("train"), fold.mask("test")
        scaler = StandardScaler().fit(fused[train])
        plain = SVC().fit(scaler.transform(fused[train]), y[train])
        assert late.loc[fold.number, "WA"] == accuracy_score(
            y[test], plain.predict(scaler.transform(fused[test]))
        )
        assert late.loc[fold.number, "train_WA"] < 1, (
            "over-confident scores would be right on every training row"
        )


def svm(X: np.ndarray, y: np.ndarray) -> Callable:
    """SVC on the grid's distances, which are of float32: test_models compares them with SVC's."""
    gamma = np.float32(-scale_gamma(X))

    def kernel(rows: np.ndarray) -> np.ndarray:
        blocks = zip(*(np.hsplit(part, X.shape[1] // WIDTH) for part in (rows, X)), strict=True)
        return np.exp(gamma * sum(squared_distances(a, b) for a, b in blocks)).astype(float)

    of_fitted = kernel(X)
    np.fill_diagonal(of_fitted, 1.0)
    model = SVC(kernel="precomputed", break_ties=True).fit(of_fitted, y)
    return lambda rows: model.decision_function(kernel(rows))


def xgboost(X: np.ndarray, y: np.ndarray) -> Callable:
    return (
        XGBClassifier(
            tree_method="hist",
            n_estimators=5,
            max_depth=2,
            learning_rate=0.3,
            max_bin=16,
            n_jobs=1,
            random_state=0,
        )
        .fit(X, y)
        .predict_proba
    )


def spaces_by_hand(
    store: Path, fold: Fold, names: tuple[str, ...], y: np.ndarray, fit: Callable
) -> np.ndarray:
    """What a classifier says of all rows, averaged over inner encoders.

    Training rows by the encoder that left them out.
    """
    said = []
    for k in (1, 2, 3):
        files = [
            read_embeddings(
                next(store.glob(f"toy/enc-{n}@*/seed-0/fold-{fold.number}.inner-{k}.h5"))
            )
            for n in names
        ]
        rows = fold.mask("train") & (files[0].seen != "fit")
        X = np.hstack([StandardScaler().fit(f.vectors[rows]).transform(f.vectors) for f in files])
        said.append(
            np.where((fold.mask("train") & ~rows)[:, None], np.nan, fit(X[rows], y[rows])(X))
        )
    return np.nanmean(said, axis=0)


@pytest.mark.telling
def test_classifiers_over_vectors_learn_in_the_space_of_each_inner_encoder(
    make_trained: MakeStore, config: GridConfig, fast: dict[str, dict[str, float]]
) -> None:
    store = make_trained(inner=3, rows=270)  # of fewer rows each part is learnt by heart
    config = replace(
        config, classifiers=("svm", "xgboost"), settings=fast, early=("concatenation",), late=()
    )
    rows = run_grid(config).table.rows
    found = pd.read_parquet(config.out / "predictions.parquet")
    manifest = Manifest.load(store / "toy")
    y, plan = manifest.codes(), make_plan(manifest)
    columns = [c for c in found if c.startswith("score:")]
    for cell, names, fit in (
        ("unimodal text svm", ("text",), svm),
        ("early concatenation audio+text svm", ("audio", "text"), svm),
        ("early concatenation audio+text xgboost", ("audio", "text"), xgboost),
    ):
        of_cell = rows[rows["cell"] == cell].set_index("fold")
        assert set(of_cell["fit_rows"]) == {"oof"}
        assert set(of_cell["learnt_on"]) == {"oof vectors of 3 inner encoders"}
        assert (of_cell["n_fit"] == 90).all()
        assert (of_cell["n_fit_seen"] == 0).all()
        for fold in plan:
            expected = pd.DataFrame(spaces_by_hand(store, fold, names, y, fit), index=manifest.ids)
            mine = found[(found["cell"] == cell) & (found["fold"] == fold.number)].set_index("id")
            assert set(mine["role"]) == {"train", "valid", "test"}
            np.testing.assert_allclose(mine[columns], expected.loc[mine.index], atol=1e-6)
            train = fold.mask("train")
            assert of_cell.loc[fold.number, "train_WA"] == accuracy_score(
                y[train], expected.to_numpy()[train].argmax(axis=1)
            )
    run_grid(replace(config, jobs=2, out=config.out.parent / "again"))
    assert found.equals(pd.read_parquet(config.out.parent / "again" / "predictions.parquet")), (
        "for any number of jobs"
    )
    plain = replace(
        config,
        fit_rows="train",
        classifiers=("svm",),
        settings={},
        early=(),
        out=config.out.parent / "train",
    )
    train = run_grid(plain).table.rows
    gaps = [
        table.groupby("cell")["margin_gap"].mean()[["unimodal text svm", "unimodal audio svm"]]
        for table in (rows, train)
    ]
    assert (gaps[0] < gaps[1] / 2).all()


def change(store: Path, name: str, how: Callable[[np.ndarray], None]) -> None:
    """Change what an inner encoder says that it has seen."""
    path = next(store.glob(f"toy/{name}"))
    file = read_embeddings(path)
    seen = file.seen.copy()
    how(seen)
    write_embeddings(
        path,
        replace(file, seen=seen),
        {k: v for k, v in file.attributes.items() if k not in {"digest", "header_digest"}},
    )


def test_what_cannot_be_cross_fitted_is_left_out_or_refused_with_the_reason(
    make_trained: MakeStore, config: GridConfig
) -> None:
    store = make_trained(inner=3)
    plan = make_plan(Manifest.load(store / "toy"))
    y = Manifest.load(store / "toy").codes()

    first = read_embeddings(next(store.glob("toy/enc-text@*/seed-0/fold-1.inner-1.h5"))).seen
    row = np.flatnonzero(plan.fold(1).mask("train") & (first != "fit"))[0]
    change(store, "enc-text@*/seed-0/fold-1.inner-1.h5", lambda seen: seen.__setitem__(row, "fit"))
    change(store, "enc-text@*/seed-0/fold-1.inner-2.h5", lambda seen: seen.__setitem__(row, "no"))
    reason = (
        "fold 1.inner-1: 1 training rows were left out by the audio encoder and not by every "
        "other, first '"
    )
    prepared = prepare(config)
    assert {c.family for c in prepared.cells} == {"baseline", "unimodal", "late"}
    assert any(reason in note for note in prepared.notes)
    with pytest.raises(StoreMismatchError, match=reason):
        prepare(replace(config, early=("concatenation",)))

    store = make_trained(inner=3, where="class")
    for name in ("audio", "text"):
        first = read_embeddings(next(store.glob(f"toy/enc-{name}@*/seed-0/fold-1.inner-1.h5"))).seen
        angry = plan.fold(1).mask("train") & (first != "fit") & (y == 0)
        change(
            store,
            f"enc-{name}@*/seed-0/fold-1.inner-1.h5",
            lambda seen, rows=angry: seen.__setitem__(rows, "fit"),
        )
        change(
            store,
            f"enc-{name}@*/seed-0/fold-1.inner-2.h5",
            lambda seen, rows=angry: seen.__setitem__(rows, "no"),
        )
    reason = "fold 1.inner-1 of 'leave-one-session-out' left out no training row of class 'anger'"
    prepared = prepare(replace(config, store=store))
    assert {c.classifier for c in prepared.cells if c.family == "unimodal"} == {"head"}
    assert sum(reason in note for note in prepared.notes) == 3, "of audio, of text, of both"
    with pytest.raises(FoldError, match=reason):
        prepare(replace(config, store=store, early=("concatenation",)))

    store = make_trained(inner=3, where="leak")
    change(
        store,
        "enc-text@*/seed-0/fold-1.inner-3.h5",
        lambda seen: seen.__setitem__(plan.fold(1).mask("test"), "fit"),
    )
    with pytest.raises(
        LeakError,
        match=r"would score 30 of 30 test rows .* encoder enc-text@13e*, fold 1.inner-3, has seen",
    ):
        prepare(replace(config, store=store))


def test_systems_are_cross_fitted_where_nothing_learns_from_scores(
    make_trained: MakeStore, config: GridConfig, fast: dict[str, dict[str, float]]
) -> None:
    store = make_trained(inner=3)
    config = replace(config, settings=fast, early=(), late=(), drop_rates=(0.5,))
    with pytest.raises(
        UsageError,
        match=r"--fit-rows oof does not go with the system mine over audio and text: stack learns",
    ):
        prepare(replace(config, systems=read_systems(["mine = stack(svm(audio), text)"])))
    rows = run_grid(
        replace(
            config, systems=read_systems(["mine = mean(xgboost(audio, trees=5, depth=2), text)"])
        )
    ).table.rows
    assert set(rows[rows["family"] == "system"]["learnt_on"]) == {"oof vectors of 3 inner encoders"}
    found = pd.read_parquet(config.out / "predictions.parquet")
    fold = make_plan(Manifest.load(store / "toy")).fold(1)
    y = Manifest.load(store / "toy").codes()
    heads = [
        softmax(
            read_embeddings(
                next(store.glob(f"toy/enc-text@*/seed-0/fold-1.inner-{k}.h5"))
            ).scores.astype(float),
            axis=1,
        )
        for k in (1, 2, 3)
    ]
    boosted = spaces_by_hand(store, fold, ("audio",), y, xgboost)
    test = fold.mask("test")
    mine = found[
        (found["cell"].str.startswith("system")) & (found["fold"] == 1) & (found["role"] == "test")
    ]
    np.testing.assert_allclose(
        mine[[c for c in found if c.startswith("score:")]],
        (boosted + np.mean(heads, axis=0))[test] / 2,
        atol=1e-6,
    )
    lost = pd.read_csv(config.out / "degradation.csv")
    assert len(lost[lost["family"] == "system"]) > 1, "asked again in every space"


def test_settings_are_tuned_on_what_each_inner_encoder_left_out(
    make_trained: MakeStore, config: GridConfig
) -> None:
    pytest.importorskip("optuna")
    make_trained(inner=2)
    rows = run_grid(replace(config, early=("concatenation",), late=(), tune=2)).table.rows
    early = rows[rows["family"] == "early"]
    assert (
        early["chosen_on"]
        .str.contains("train (2 grouped splits) in each of 2 inner encoders", regex=False)
        .all()
    )


def test_frozen_vectors_and_metadata_take_part_with_the_rows_that_were_left_out(
    make_trained: MakeStore,
) -> None:
    store = make_trained(inner=2, modalities=("audio",))
    manifest = Manifest.load(store / "toy")
    ages = np.arange(len(manifest), dtype=float)
    manifest = replace(manifest, table=manifest.table.assign(meta_age=ages.astype(str)))
    ref = EncoderRef("frozen", "ffffffffffff", "video", -1)
    gone = np.arange(len(ages)) % 4 == 0
    vectors = np.where(gone[:, None], np.nan, ages[:, None]).astype(np.float32)
    write_embeddings(
        store_path(store, "toy", ref, "any"),
        Embeddings(
            manifest.ids,
            vectors,
            np.full(len(ages), "no"),
            np.where(gone, "missing", "ok"),
            np.where(gone, "no media", ""),
            ref,
        ),
        {
            "corpus": "toy",
            "inputs_digest": manifest.inputs_digest,
            "settings": {"family": "frozen"},
            "provenance": {},
        },
    )
    entries, plan = catalogue(store, "toy"), make_plan(manifest)
    views = {m: refs[0] for m, refs in choose_views(entries).items()}
    chosen = choose_columns(manifest, ("meta_age",))
    request = FoldRequest(
        store,
        "toy",
        {**views, "metadata": chosen.ref(manifest)},
        plan,
        1,
        inner={"audio": find_inner(entries, views["audio"], [1])},
        spaces=True,
    )
    data = load_with_metadata(request, manifest, [chosen])
    assert sorted(name for space in data.spaces for name in space.train.ids) == sorted(
        data.train.ids
    ), "each row once"
    for space in data.spaces:
        assert (space.train.vectors["metadata"].mean(axis=0)).round(4).tolist() == [0.0], (
            "standardised on its own rows"
        )
        of_rows = np.isin(manifest.ids, space.train.ids)
        np.testing.assert_array_equal(space.train.vectors["video"], vectors[of_rows])
        assert not space.train.fitted.any()
    answered = cross_fit(
        partial(compute, Cell("early", "concatenation", ("audio", "video", "metadata"), "svm")),
        data,
    )
    assert answered.ids["train"].tolist() == data.train.ids.tolist()
    assert answered.facts["n_fit"] == len(data.train)


def test_frozen_vectors_are_out_of_fold_as_they_are(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store()
    config = replace(config, early=("concatenation",))
    run_grid(replace(config, fit_rows="train"))
    assert {c.family for c in prepare(config).cells} == {"baseline", "unimodal", "early", "late"}
    assert survey(config).to_run == 3, (
        "only late fusion learns from other rows, here from a probe's, and out of fold as before"
    )


def test_without_inner_encoders_it_says_what_to_extract(
    make_trained: MakeStore, make_store: MakeStore, config: GridConfig
) -> None:
    store = make_trained()
    with pytest.raises(
        StoreNotFoundError,
        match=r"run extract-features --corpus toy --modality audio --seed 0 --inner-folds N",
    ):
        run_grid(config)
    store = make_trained(inner=2, where="half")
    next(store.glob("toy/enc-text@*/seed-0/fold-2.inner-1.h5")).unlink()
    with pytest.raises(StoreNotFoundError, match=r"lacks 1 of 6 inner folds \(2.inner-1\)"):
        run_grid(replace(config, store=store))
    assert not config.out.exists()
    imported = make_store(split=True, seen="fit", where="imported")
    with pytest.raises(
        LeakError,
        match=r"audio encoder enc-audio@.* has no inner encoders .* choose other rows with "
        "--fit-rows",
    ):
        run_grid(replace(config, store=imported))


def test_a_change_to_an_inner_file_computes_what_learns_from_it_again(
    make_trained: MakeStore, config: GridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_trained(inner=2)
    config = replace(config, early=("concatenation",))
    run_grid(replace(config, fit_rows="train", early=()))
    before = survey(config)
    assert before.to_run == 12, "heads and baselines do not depend on it"
    computed: list[str] = []
    monkeypatch.setattr(
        grid, "run_cell", lambda task: computed.append(task.cell.family) or tasks.run_cell(task)
    )
    run_grid(config)
    assert sorted(computed) == ["early"] * 3 + ["late"] * 3 + ["unimodal"] * 6
    path = next(config.store.glob("toy/enc-text@*/seed-0/fold-2.inner-1.h5"))
    file = read_embeddings(path)
    write_embeddings(
        path,
        replace(file, scores=file.scores + 1),
        {k: v for k, v in file.attributes.items() if k not in {"digest", "header_digest"}},
    )
    assert survey(config).to_run == 3, "of that fold late and early fusion, and text alone"


def test_valid_rows_teach_late_fusion_and_are_answered_out_of_fold(
    make_trained: MakeStore, config: GridConfig
) -> None:
    store = make_trained()
    run_grid(replace(config, fit_rows="valid", early=()))
    found = pd.read_parquet(config.out / "predictions.parquet")
    found = found[(found["cell"] == LATE) & (found["fold"] == 1)].set_index("id")
    manifest = Manifest.load(store / "toy")
    data = load_fold(
        FoldRequest(
            store,
            "toy",
            {m: r[0] for m, r in choose_views(catalogue(store, "toy")).items()},
            make_plan(manifest),
            1,
        )
    )
    names = np.array(data.labels.classes)

    def fused(role: str) -> np.ndarray:
        scores = data.role(role).scores
        return softmax(scores["audio"].astype(float), axis=1) + softmax(
            scores["text"].astype(float), axis=1
        )

    def answers(X: np.ndarray, y: np.ndarray, new: np.ndarray) -> list[str]:
        scaler = StandardScaler().fit(X)
        return list(names[SVC().fit(scaler.transform(X), y).predict(scaler.transform(new))])

    assert found.loc[data.test.ids, "y_pred"].tolist() == answers(
        fused("valid"), data.valid.y, fused("test")
    )
    groups = data.valid.groups
    for fit, rest in GroupKFold(4).split(fused("valid"), groups=groups):
        expected = answers(fused("valid")[fit], data.valid.y[fit], fused("valid")[rest])
        assert found.loc[data.valid.ids[rest], "y_pred"].tolist() == expected


def test_a_layer_of_a_trained_encoder_is_named_not_chosen() -> None:
    layers = [EncoderRef(f"enc.L{n}", str(n) * 12, "audio", n) for n in (1, 2)]
    entries = [Entry(Path(), "toy", ref, "1", 9, 9, 6, True, {}, "") for ref in layers]
    with pytest.raises(
        UsageError,
        match=r"does not go with a choice of layers of audio, because .* several inner encoders",
    ):
        inner_sets(entries, {"audio": layers}, [1])
    frozen = [replace(entry, fold="any") for entry in entries]
    assert inner_sets(frozen, {"audio": layers}, [1]) == {}


def test_options_that_have_no_effect_are_refused(config: GridConfig) -> None:
    with pytest.raises(UsageError, match="--inner-folds 2 has no effect without --fit-rows oof"):
        replace(config, fit_rows="train", inner_folds=2)
