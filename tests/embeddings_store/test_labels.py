"""Label sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from embeddings_store.corpus.labels import LabelSet, permute_labels
from embeddings_store.errors import LabelError

FOUR = LabelSet(
    "four", ("anger", "joy"), {"ang": "anger", "hap": "joy", "exc": "joy"}, frozenset({"xxx"})
)


@pytest.mark.parametrize("holder", [list, np.array, pd.Series])
def test_raw_labels_become_codes_whatever_holds_them(holder: Callable[[list[str]], Any]) -> None:
    assert FOUR.encode(holder(["exc", "ang", "xxx", ""])).tolist() == [1, 0, -1, -1]


def test_nothing_to_encode_is_nothing() -> None:
    assert FOUR.encode([]).tolist() == []


@pytest.mark.parametrize("raw", [["hap", "happ", "zzz"], ["hap", None], ["hap", float("nan")]])
def test_an_unknown_label_is_named(raw: list[str]) -> None:
    with pytest.raises(LabelError, match=r"is not in label set 'four'.*Known: ang, hap, exc"):
        FOUR.encode(raw)


def test_an_unknown_label_gets_a_hint() -> None:
    with pytest.raises(LabelError, match=r"label 'happ' \(2 unknown in all\).*did you mean 'hap'"):
        FOUR.encode(["happ", "zzz"])


@pytest.mark.parametrize(
    ("classes", "mapping", "dropped", "message"),
    [
        (("a",), {}, (), "two or more different"),
        (("a", "a"), {}, (), "two or more different"),
        (("a", ""), {}, (), "non-empty"),
        (("a", "b"), {"x": "c"}, (), r"maps onto \['c'\], which are not among its classes"),
        (("a", "b"), {"x": "a", "y": "b"}, ("x",), r"both maps and drops \['x'\]"),
    ],
)
def test_inconsistent_sets_are_refused(
    classes: tuple[str, ...], mapping: dict[str, str], dropped: tuple[str, ...], message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        LabelSet("s", classes, mapping, frozenset(dropped))


def test_round_trip_and_digest() -> None:
    again = LabelSet.from_dict(FOUR.to_dict())
    assert again == FOUR
    assert (
        again.digest
        == FOUR.digest
        == LabelSet("other name", FOUR.classes, FOUR.mapping, FOUR.dropped).digest
    )


@pytest.mark.parametrize(
    "other",
    [
        LabelSet("four", ("joy", "anger"), FOUR.mapping, FOUR.dropped),
        LabelSet(
            "four", FOUR.classes, {"ang": "anger", "hap": "joy", "exc": "anger"}, FOUR.dropped
        ),
        LabelSet("four", FOUR.classes, FOUR.mapping),
        LabelSet(
            "four", ("anger", "jöy"), {"ang": "anger", "hap": "jöy", "exc": "jöy"}, FOUR.dropped
        ),
    ],
)
def test_the_digest_changes_with_order_mapping_and_dropped(other: LabelSet) -> None:
    assert other.digest != FOUR.digest


@pytest.mark.parametrize("data", [{}, {"name": "x", "classes": None, "mapping": {}, "dropped": []}])
def test_a_damaged_record_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(LabelError, match="needs name, classes, mapping and dropped"):
        LabelSet.from_dict(data)


@pytest.mark.parametrize(
    ("seed", "permuted"),
    [(0, [1, 2, 2, -1, 0, 0, -1, 2, 3, 0, 1, 1]), (1, [1, 1, 0, -1, 0, 1, -1, 2, 2, 3, 2, 0])],
)
def test_both_stages_permute_labels_alike_in_all_versions(seed: int, permuted: list[int]) -> None:
    codes = np.array([0, 1, 2, -1, 0, 1, -1, 2, 2, 0, 1, 3])
    before = codes.copy()
    assert permute_labels(codes, seed).tolist() == permuted
    assert np.array_equal(codes, before)
