"""The rows of a role as one value: some of them, and several roles below each other."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from embeddings_store.vectors.fold_data import RoleData


def some_rows(first: int, count: int) -> RoleData:
    number = np.arange(first, first + count)
    return RoleData(
        np.array([f"u{n}" for n in number]),
        number % 3,
        np.array([f"g{n // 2}" for n in number]),
        {"text": np.stack([number, -number], axis=1).astype(np.float32)},
        {"text": np.stack([number] * 3, axis=1).astype(np.float32)},
        {"text": number % 4 > 0},
        number % 5 == 0,
        number % 7 == 0,
        {"text": np.stack([number] * 3, axis=1).astype(np.float32) / 2},
        number % 2 == 0,
    )


def assert_same(one: RoleData, other: RoleData) -> None:
    for field in fields(RoleData):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_equal(mine, theirs, err_msg=field.name)


def test_parts_joined_are_the_whole_but_for_scores_of_inner_encoders() -> None:
    whole = some_rows(0, 9)
    joined = RoleData.join([some_rows(0, 4), some_rows(4, 0), some_rows(4, 5)])
    assert_same(joined, replace(whole, inner_scores={}))


def test_one_part_is_itself() -> None:
    assert_same(RoleData.join([some_rows(3, 4)]), some_rows(3, 4))


def test_rows_taken_by_place_or_mask_keep_all_that_belongs_to_them() -> None:
    places = np.arange(2, 6)
    assert_same(some_rows(0, 9).take(places), some_rows(2, 4))
    assert_same(some_rows(0, 9).take(np.isin(np.arange(9), places)), some_rows(2, 4))
