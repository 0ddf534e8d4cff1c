"""Scores of training rows come from the inner encoder that has not seen them.

Anything less is refused with what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from embeddings_store.errors import FoldError, StoreMismatchError, StoreNotFoundError, UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.inner_folds import InnerSet, find_inner

if TYPE_CHECKING:
    from conftest import Bench

SETTINGS = {"family": "enc-text", "train_epochs": 3}
TRAIN = range(8, 12)  # of fold 1


@pytest.fixture
def plan(bench: Bench) -> FoldPlan:
    return make_plan(bench.manifest)


def outer(bench: Bench, plan: FoldPlan, **how: object) -> EncoderRef:
    seen = np.array(["no", "fit", "select", "no"])[plan.fold(1).roles]
    return bench.put(
        "text",
        plan,
        {"settings": SETTINGS | {"inner": 0}},
        fold="1",
        classes=("x", "y"),
        seen=seen,
        **how,
    )


def part(
    bench: Bench,
    plan: FoldPlan,
    number: int,
    left_out: tuple[int, ...],
    parts: int = 2,
    settings: dict[str, object] | None = None,
    about: dict[str, object] | None = None,
    **how: object,
) -> EncoderRef:
    seen = np.array(["no", "fit", "select", "no"])[plan.fold(1).roles]
    seen[list(left_out)] = "no"
    how = {"fingerprint": f"{parts}{parts}{parts}".ljust(12, "a"), "classes": ("x", "y")} | how
    told = {"settings": (settings or SETTINGS) | {"inner": parts}} | (about or {})
    return bench.put("text", plan, told, fold=f"1.inner-{number}", seen=seen, **how)


def loaded(bench: Bench, plan: FoldPlan, ref: EncoderRef, **how: int) -> np.ndarray:
    inner = find_inner(catalogue(bench.store, "mini"), ref, [1], **how)
    return load_fold(
        FoldRequest(bench.store, "mini", {"text": ref}, plan, 1, inner={"text": inner})
    ).train.inner_scores["text"]


def shifted(bench: Bench, ref: EncoderRef, number: int, by: float) -> None:
    """Make the encoders tell themselves apart."""
    import h5py

    with h5py.File(bench.path(ref, f"1.inner-{number}"), "a") as file:
        file["scores"][...] = file["scores"][...] + by


def test_each_row_is_scored_by_the_encoder_that_left_it_out(bench: Bench, plan: FoldPlan) -> None:
    ref = outer(bench, plan)
    inner = part(bench, plan, 1, (8, 11))
    part(bench, plan, 2, (9, 10))
    shifted(bench, inner, 1, 100.0)
    shifted(bench, inner, 2, 200.0)
    assert loaded(bench, plan, ref)[:, 0].tolist() == [108.0, 209.0, 210.0, 111.0]
    plain = load_fold(FoldRequest(bench.store, "mini", {"text": ref}, plan, 1))
    assert plain.train.inner_scores == {}
    assert plain.train.scores["text"][:, 0].tolist() == [8.0, 9.0, 10.0, 11.0], (
        "the fold's own encoder, over-confident"
    )


def test_vectors_of_inner_encoders_are_only_given_out_as_spaces(
    bench: Bench, plan: FoldPlan
) -> None:
    ref = outer(bench, plan)
    inner = part(bench, plan, 1, (8, 9))
    part(bench, plan, 2, (10, 11))
    entries = catalogue(bench.store, "mini")
    data = load_fold(
        FoldRequest(
            bench.store,
            "mini",
            {"text": ref},
            plan,
            1,
            inner={"text": find_inner(entries, ref, [1])},
        )
    )
    alone = load_fold(FoldRequest(bench.store, "mini", {"text": ref}, plan, 1))
    np.testing.assert_array_equal(data.train.vectors["text"], alone.train.vectors["text"])
    assert data.valid.inner_scores == data.test.inner_scores == {}
    assert choose_views(entries) == {"text": [ref]}, "inner encoders are no view of their own"
    with pytest.raises(StoreNotFoundError, match="no vectors for fold 1"):
        load_fold(FoldRequest(bench.store, "mini", {"text": inner}, plan, 1))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((8, 9), (10,), r"1 of 4 training rows were left out by no inner encoder, first 'u11'"),
        (
            (8, 9, 10),
            (10, 11),
            r"1 of 4 training rows were left out by more than one inner encoder, first 'u10'",
        ),
    ],
)
def test_inner_folds_that_overlap_or_leave_gaps_are_refused(
    bench: Bench, plan: FoldPlan, first: tuple[int, ...], second: tuple[int, ...], message: str
) -> None:
    ref = outer(bench, plan)
    part(bench, plan, 1, first)
    part(bench, plan, 2, second)
    with pytest.raises(StoreMismatchError, match=message):
        loaded(bench, plan, ref)


def test_a_space_of_other_rows_is_refused(bench: Bench, plan: FoldPlan) -> None:
    ref = outer(bench, plan, missing=(9,))
    part(bench, plan, 1, (8, 9), missing=(9,))
    part(bench, plan, 2, (10, 11))
    inner = {"text": find_inner(catalogue(bench.store, "mini"), ref, [1])}
    assert (
        load_fold(FoldRequest(bench.store, "mini", {"text": ref}, plan, 1, inner=inner)).spaces
        == ()
    )
    with pytest.raises(FoldError, match=r"fold 1.inner-1 of .* left out no training row of class"):
        load_fold(
            FoldRequest(bench.store, "mini", {"text": ref}, plan, 1, inner=inner, spaces=True)
        )
    part(bench, plan, 1, (8, 9))
    with pytest.raises(
        StoreMismatchError,
        match=r"fold 1.inner-1: 1 rows have a text vector here and none of the fold's own "
        r"encoder, or the reverse, first 'u09'.*--retry-failed",
    ):
        load_fold(
            FoldRequest(bench.store, "mini", {"text": ref}, plan, 1, inner=inner, spaces=True)
        )


def test_a_view_that_no_left_out_row_has_is_refused(bench: Bench, plan: FoldPlan) -> None:
    ref, frozen = outer(bench, plan), bench.put("audio", missing=(8, 9))
    part(bench, plan, 1, (8, 9))
    part(bench, plan, 2, (10, 11))
    with pytest.raises(
        FoldError,
        match=r"fold 1.inner-1 of .*: none of the 2 training rows that it left out has "
        r"audio vectors",
    ):
        load_fold(
            FoldRequest(
                bench.store,
                "mini",
                {"text": ref, "audio": frozen},
                plan,
                1,
                spaces=True,
                inner={"text": find_inner(catalogue(bench.store, "mini"), ref, [1])},
            )
        )


def test_inner_folds_of_another_number_are_no_common_space(bench: Bench, plan: FoldPlan) -> None:
    ref = outer(bench, plan)
    views, inner = {"text": ref, "again": ref}, {}
    for parts, groups in ((2, ((8, 9), (10, 11))), (4, ((8,), (9,), (10,), (11,)))):
        for number, rows in enumerate(groups, 1):
            part(bench, plan, number, rows, parts=parts)
        inner["text" if parts == 2 else "again"] = find_inner(
            catalogue(bench.store, "mini"), ref, [1], parts=parts
        )
    assert set(
        load_fold(FoldRequest(bench.store, "mini", views, plan, 1, inner=inner)).train.inner_scores
    ) == set(views)
    with pytest.raises(
        StoreMismatchError,
        match=r"leave out different rows: 2 of text, 4 of again; .* --inner-folds N",
    ):
        load_fold(FoldRequest(bench.store, "mini", views, plan, 1, inner=inner, spaces=True))


def test_rows_without_a_vector_need_no_score(bench: Bench, plan: FoldPlan) -> None:
    ref = outer(bench, plan, missing=(9,))
    part(bench, plan, 1, (8, 9), missing=(9,))
    part(bench, plan, 2, (10, 11), missing=(9,))
    data = load_fold(
        FoldRequest(
            bench.store,
            "mini",
            {"text": ref},
            plan,
            1,
            inner={"text": find_inner(catalogue(bench.store, "mini"), ref, [1])},
        )
    )
    assert data.train.ids.tolist() == ["u08", "u10", "u11"]
    assert np.isfinite(data.train.inner_scores["text"]).all()


def test_what_is_not_there_is_told_with_the_command(bench: Bench, plan: FoldPlan) -> None:
    ref = outer(bench, plan)
    with pytest.raises(
        StoreNotFoundError,
        match=r"no inner encoders that left some of them out; run extract-features --corpus "
        r"mini --modality text --seed 0 --inner-folds N",
    ):
        loaded(bench, plan, ref)
    part(bench, plan, 1, (8, 9), parts=3)
    part(bench, plan, 3, (10,), parts=3)
    with pytest.raises(
        StoreNotFoundError, match=r"lacks 1 of 3 inner folds \(1.inner-2\); run .* --inner-folds 3"
    ):
        loaded(bench, plan, ref)
    with pytest.raises(StoreNotFoundError, match="no 2 inner encoders"):
        loaded(bench, plan, ref, parts=2)


def test_two_sets_are_not_guessed_between(bench: Bench, plan: FoldPlan) -> None:
    ref = outer(bench, plan)
    for parts in (2, 4):
        for number in range(1, parts + 1):
            part(bench, plan, number, tuple(TRAIN)[number - 1 :: parts], parts=parts)
    with pytest.raises(UsageError, match=r"of 2 and of 4 inner folds.*--inner-folds N"):
        loaded(bench, plan, ref)
    assert len(loaded(bench, plan, ref, parts=4)) == 4


@pytest.mark.parametrize("other", [{"settings": SETTINGS | {"train_epochs": 4}}, {"seed": 1}])
def test_encoders_of_other_settings_or_seeds_do_not_belong(
    bench: Bench, plan: FoldPlan, other: dict[str, object]
) -> None:
    ref = outer(bench, plan)
    part(bench, plan, 1, (8, 9), **other)
    part(bench, plan, 2, (10, 11), **other)
    with pytest.raises(StoreNotFoundError, match="no inner encoders"):
        loaded(bench, plan, ref)


def test_another_plan_and_permuted_labels_are_refused_as_everywhere(
    bench: Bench, plan: FoldPlan
) -> None:
    ref = outer(bench, plan)
    part(bench, plan, 1, (8, 9))
    part(bench, plan, 2, (10, 11), about={"plan_digest": "ffffffffffff"})
    with pytest.raises(
        StoreMismatchError, match=r"was fine-tuned for fold 1.inner-2 of plan .* ffffffffffff"
    ):
        loaded(bench, plan, ref)
    part(bench, plan, 2, (10, 11), about={"labels_shuffled": 3})
    with pytest.raises(StoreMismatchError, match="permuted labels"):
        loaded(bench, plan, ref)


def test_a_file_that_goes_away_meanwhile_is_told(bench: Bench, plan: FoldPlan) -> None:
    ref = outer(bench, plan)
    inner = part(bench, plan, 1, (8, 9, 10, 11))
    with pytest.raises(StoreNotFoundError, match=r"fold-1.inner-2.h5: no such inner fold"):
        load_fold(
            FoldRequest(
                bench.store, "mini", {"text": ref}, plan, 1, inner={"text": InnerSet(inner, 2)}
            )
        )
