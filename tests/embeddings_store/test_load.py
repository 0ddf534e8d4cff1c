"""The one gate from the store to a model: aligned by id, and shut where a leak would be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import (
    FoldError,
    LabelError,
    LeakError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
    UsageError,
)
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.fold_data import FoldData
from embeddings_store.vectors.hdf5 import read_embeddings, write_embeddings

if TYPE_CHECKING:
    from conftest import Bench

ROLES = ("train", "valid", "test")


def load(
    bench: Bench,
    *refs: EncoderRef,
    fold: int = 1,
    plan: str = "leave-one-session-out",
    valid: str = "next",
    manifest: Manifest | None = None,
    **how: object,
) -> FoldData:
    views = {ref.modality: ref for ref in refs}
    folds = make_plan(bench.manifest, plan, valid)
    request = FoldRequest(bench.store, bench.manifest.name, views, folds, fold, **how)  # type: ignore[arg-type]
    return load_fold(request, manifest)


def test_rows_are_aligned_over_views_labels_and_groups(bench: Bench) -> None:
    data = load(bench, bench.put("text"), bench.put("audio"), fold=2)
    assert [data.role(r).ids[0] for r in ROLES] == ["u00", "u08", "u04"]
    for name in ROLES:
        role = data.role(name)
        row = [int(i[1:]) for i in role.ids]
        assert len(role) == 4
        assert role.y.tolist() == [i % 2 for i in row]
        assert role.groups.tolist() == [f"s{i // 2}" for i in row], "speakers stand in for groups"
        assert role.vectors["text"][:, 0].tolist() == role.vectors["audio"][:, 0].tolist() == row
        assert role.scores == {}
        assert role.present["text"].all()
        assert not role.fitted.any()
    assert (data.corpus, data.protocol, data.fold, data.unverified) == (
        "mini",
        "leave-one-session-out",
        2,
        (),
    )
    assert data.plan_digest == make_plan(bench.manifest).digest


def test_groups_come_before_speakers(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(group=["g0"] * 4 + [""] * 8)
    assert load(bench, bench.put()).test.groups.tolist() == ["g0"] * 4
    assert load(bench, bench.put(), fold=2).test.groups.tolist() == ["s2", "s2", "s3", "s3"]


def test_a_manifest_at_hand_is_not_read_again(bench: Bench) -> None:
    ref = bench.put()
    (bench.store / "mini" / "manifest.parquet").unlink()
    assert len(load(bench, ref, manifest=bench.manifest).test) == 4
    with pytest.raises(StoreError, match="damaged"):
        load(bench, ref)


def test_missing_and_failed_rows_are_masked_and_never_noughts(bench: Bench) -> None:
    data = load(
        bench, bench.put("text", missing=(0,), failed=(1,)), bench.put("audio", missing=(1, 2))
    )
    assert data.test.ids.tolist() == ["u00", "u02", "u03"], "u01 has no view at all"
    assert data.test.present["text"].tolist() == [False, True, True]
    assert data.test.present["audio"].tolist() == [True, False, True]
    assert np.isnan(data.test.vectors["text"][0]).all()


def test_rows_without_a_class_play_no_role(bench_of: Callable[..., Bench]) -> None:
    labels = LabelSet("some", ("x", "y"), {"x": "x", "y": "y"}, frozenset({"zzz"}))
    bench = bench_of(label=["", "y", "zzz", "x", *("x", "y") * 4], labels=labels)
    assert load(bench, bench.put()).test.ids.tolist() == ["u01", "u03"]


def test_another_label_set_may_be_asked_for(bench: Bench) -> None:
    labels = LabelSet("merged", ("all", "none"), {"x": "all", "y": "none"})
    assert load(bench, bench.put(), labels=labels).labels.classes == ("all", "none")
    with pytest.raises(LabelError, match=r"'y'.*is not in label set 'half'"):
        load(bench, bench.put(), labels=LabelSet("half", ("x", "z")))


def test_shuffled_labels_are_the_same_labels_elsewhere(bench: Bench) -> None:
    ref = bench.put()
    plain, one, again, other = (load(bench, ref, shuffle_seed=seed) for seed in (None, 1, 1, 2))
    everything = [np.concatenate([d.role(r).y for r in ROLES]) for d in (plain, one, again, other)]
    assert all(np.bincount(y).tolist() == [6, 6] for y in everything)
    assert everything[1].tolist() == everything[2].tolist()
    assert len({tuple(y.tolist()) for y in everything}) == 3
    assert plain.test.vectors["text"].tolist() == one.test.vectors["text"].tolist()


def test_shuffling_gives_no_class_to_rows_without_one(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(label=["", *("x", "y") * 5, ""])
    ref = bench.put()
    for seed in range(3):
        data = load(bench, ref, shuffle_seed=seed)
        assert {"u00", "u11"}.isdisjoint(np.concatenate([data.role(r).ids for r in ROLES]).tolist())


# Leaks


def seen(word: str, *rows: int) -> list[str]:
    return [word if i in rows else "no" for i in range(12)]


@pytest.mark.parametrize(
    ("word", "rows", "message"),
    [
        (
            "fit",
            (1,),
            r"refused: fold 1 \(1\) .* would score 1 of 4 test rows that the text encoder "
            r"enc-text@0123456789ab has seen \(seen=fit, first 'u01'\). The encoder was trained on "
            r"them.*Only the 11 rows with seen=no can be scored",
        ),
        (
            "select",
            (0, 3),
            r"would score 2 of 4 test rows .*seen=select, first 'u00'.*chosen by its accuracy "
            r"on them",
        ),
        ("fit", (5,), r"would choose on 1 of 4 valid rows .*seen=fit, first 'u05'"),
        ("fit", tuple(range(12)), r"would score 4 of 4 test rows .*Only the 0 rows"),
    ],
)
def test_rows_that_an_encoder_has_seen_are_refused(
    bench: Bench, word: str, rows: tuple[int, ...], message: str
) -> None:
    refs = bench.put("audio"), bench.put("text", seen=seen(word, *rows))
    with pytest.raises(LeakError, match=message):
        load(bench, *refs)


@pytest.mark.parametrize(
    ("word", "rows"), [("fit", range(8, 12)), ("select", range(4, 12)), ("unknown", range(8, 12))]
)
def test_what_no_score_rests_on_may_be_seen(bench: Bench, word: str, rows: range) -> None:
    data = load(bench, bench.put(seen=seen(word, *rows)))
    assert data.unverified == ()
    assert data.train.fitted.tolist() == [word == "fit"] * 4


def test_seen_rows_without_a_vector_or_a_label_leak_nothing(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(label=["", *("y", "x") * 5, "y"])
    data = load(bench, bench.put("text", seen=seen("fit", 0, 1), missing=(1,)), bench.put("audio"))
    assert data.test.ids.tolist() == ["u01", "u02", "u03"]


@pytest.mark.parametrize("row", [0, 4])
def test_unknown_runs_and_is_stamped(bench: Bench, row: int) -> None:
    refs = bench.put("text", seen=seen("unknown", row)), bench.put("audio")
    assert load(bench, *refs).unverified == ("text",)
    refs = bench.put("text", seen=seen("unknown", row), missing=(row,)), bench.put("audio")
    assert load(bench, *refs).unverified == (), "there is no vector that could carry anything"


# Files that do not belong together


def _trained(bench: Bench, plan: str = "leave-one-session-out", **how: object) -> EncoderRef:
    made = make_plan(bench.manifest, plan)
    roles = made.fold(1).roles
    how = {
        "fold": "1",
        "seed": 3,
        "classes": ("x", "y"),
        "seen": np.array(["no", "fit", "select", "no"])[roles],
    } | how
    return bench.put(plan=made, **how)


def test_an_encoder_serves_the_fold_it_was_trained_for(bench: Bench) -> None:
    data = load(bench, _trained(bench))
    assert data.test.scores["text"].tolist() == data.test.vectors["text"][:, :2].tolist()
    assert data.train.fitted.all()
    assert not data.valid.fitted.any()


def test_other_folds_other_plans_and_other_seeds_are_refused(bench: Bench) -> None:
    ref = _trained(bench)
    with pytest.raises(
        StoreNotFoundError,
        match=r"seed-3: no vectors for fold 2 \(there: fold-1\); run extract-features "
        "--corpus mini --modality text --fold 2",
    ):
        load(bench, ref, fold=2)
    with pytest.raises(
        StoreMismatchError,
        match=r"was fine-tuned for fold 1 of plan 'leave-one-session-out' .* not fold 1 of "
        "'leave-one-session-out' .* serves only the fold it was trained for",
    ):
        load(bench, ref, valid="none")
    with pytest.raises(StoreNotFoundError, match=r"no vectors for fold 1 \(there: nothing\)"):
        load(bench, replace(ref, seed=4))
    assert len(load(bench, ref, plan="speaker-kfold:3").test) == 4, (
        "another name for the very same roles"
    )


@pytest.mark.parametrize(
    ("made", "asked", "advice"),
    [(7, None, "score it with --shuffle-labels 7"), (-1, 7, "leave out --shuffle-labels")],
)
def test_encoders_of_permuted_and_of_true_labels_are_not_mixed(
    bench: Bench, made: int, asked: int | None, advice: str
) -> None:
    ref = _trained(bench, about={"labels_shuffled": made})
    with pytest.raises(StoreMismatchError, match=advice):
        load(bench, ref, shuffle_seed=asked)
    assert len(load(bench, ref, shuffle_seed=None if made < 0 else made).test) == 4


def test_the_plan_that_an_encoder_was_trained_under_is_named(bench: Bench) -> None:
    ref = _trained(bench, about={"plan_valid": "next"})
    with pytest.raises(StoreMismatchError, match="--folds leave-one-session-out --valid next"):
        load(bench, ref, valid="none")


def test_a_seed_below_nought_permutes_nothing(bench: Bench) -> None:
    with pytest.raises(UsageError, match="expected 0 or more"):
        load(bench, bench.put("text"), shuffle_seed=-1)


def test_a_file_renamed_to_another_fold_is_refused(bench: Bench) -> None:
    ref = _trained(bench)
    bench.path(ref, "1").rename(bench.path(ref, "2"))
    with pytest.raises(StoreMismatchError, match="was fine-tuned for fold 1"):
        load(bench, ref, fold=2)


def test_a_file_in_another_encoders_folder_is_refused(bench: Bench) -> None:
    ref = bench.put()
    other = replace(ref, fingerprint="ffffffffffff")
    bench.path(other).parent.mkdir(parents=True)
    shutil.copy(bench.path(ref), bench.path(other))
    with pytest.raises(
        StoreMismatchError,
        match=r"holds enc-text@0123456789ab of corpus 'mini', wanted is enc-text@ffff",
    ):
        load(bench, other)


def test_a_file_of_another_corpus_is_refused(bench: Bench) -> None:
    ref = bench.put(about={"corpus": "maxi"})
    with pytest.raises(StoreMismatchError, match="of corpus 'maxi', wanted is"):
        load(bench, ref)


@pytest.mark.parametrize("order", [slice(None, None, -1), slice(0, 11)])
def test_other_inputs_other_rows_and_another_order_are_refused(bench: Bench, order: slice) -> None:
    ref = bench.put(about={"inputs_digest": "ffffffffffff"})
    with pytest.raises(
        StoreMismatchError,
        match=r"was made from other inputs \(digest ffffffffffff, 12 rows\) than the corpus",
    ):
        load(bench, ref)
    made = read_embeddings(bench.path(bench.put()))
    made = replace(
        made,
        **{
            name: getattr(made, name)[order]
            for name in ("ids", "vectors", "seen", "status", "reason")
        },
    )
    write_embeddings(bench.path(ref), made)
    with pytest.raises(StoreMismatchError, match="was made from other inputs"):
        load(bench, ref)


@pytest.mark.parametrize("fold", ["1", "any"])
@pytest.mark.parametrize("classes", [("y", "x"), ("x", "z"), ("x", "y", "z")])
def test_scores_of_other_classes_are_refused(
    bench: Bench, classes: tuple[str, ...], fold: str
) -> None:
    with pytest.raises(
        StoreMismatchError,
        match=r"its scores are of the classes .* use the label set that the encoder was",
    ):
        load(bench, _trained(bench, classes=classes, fold=fold))


def test_a_plan_for_other_rows_is_refused(
    bench: Bench, make_manifest: Callable[..., Manifest]
) -> None:
    other = make_plan(make_manifest(id=[f"v{i}" for i in range(12)]), "leave-one-session-out")
    with pytest.raises(FoldError, match="was made for 12 other rows"):
        load_fold(FoldRequest(bench.store, "mini", {"text": bench.put()}, other, 1))


def test_what_is_not_there_is_told(bench: Bench, bench_of: Callable[..., Bench]) -> None:
    with pytest.raises(StoreNotFoundError, match="no corpus here"):
        load_fold(
            FoldRequest(bench.store, "maxi", {"text": bench.put()}, make_plan(bench.manifest), 1)
        )
    with pytest.raises(UsageError, match="no view is named"):
        load(bench)
    with pytest.raises(FoldError, match="has folds 1, 2, 3, not 4"):
        load(bench, bench.put(), fold=4)
    unlabelled = bench_of(name="bare", label=None)
    with pytest.raises(LabelError, match="corpus 'bare' has no labels"):
        load(unlabelled, unlabelled.put())
    held_back = bench_of(name="held-back", label=["x", "y"] * 4 + [""] * 4)
    plan = make_plan(held_back.manifest, "split")
    with pytest.raises(FoldError, match="'split' has 4 test rows, none of them with a label; choo"):
        load_fold(FoldRequest(held_back.store, "held-back", {"text": held_back.put()}, plan, 1))


@pytest.mark.parametrize(
    ("failed", "message"),
    [
        (range(4), "has no test rows with a label and a vector; see embeddings-store inspect"),
        (range(8, 12), "has no train rows with a label and a vector"),
        ((8, 10), r"has no training row of class 'x' that has a vector; no model can learn it"),
    ],
)
def test_a_role_or_class_that_failed_altogether_is_told(
    bench: Bench, failed: range, message: str
) -> None:
    with pytest.raises(FoldError, match=message):
        load(bench, bench.put(failed=tuple(failed)))


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    ref = bench.put()
    monkeypatch.setattr(
        h5py, "File", refuse
    )  # Root may read everything, so the mode of the file is no test.
    with pytest.raises(StoreError, match=r"fold-any.h5: may not be read .* ask its owner"):
        load(bench, ref)


def test_a_file_cut_in_half_is_told_with_its_path(bench: Bench) -> None:
    ref = bench.put()
    path: Path = bench.path(ref)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match=r"fold-any.h5: is cut short or damaged"):
        load(bench, ref)
