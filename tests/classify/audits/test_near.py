"""Near-identical texts.

Every planted pair is found, different texts stay apart, and order or size do not matter.
"""

from __future__ import annotations

import numpy as np
import pytest

from classify.leakage.near_duplicates import ALIKE, PIECE, near_identical
from embeddings_store.corpus.transcripts import normalised
from tests.classify.audits.planted import WORDS


def jaccard(one: str, other: str) -> float:
    a, b = ({text[i : i + PIECE] for i in range(len(text) - PIECE + 1)} for text in (one, other))
    return len(a & b) / len(a | b)


def test_planted_pairs_are_found_and_others_are_not() -> None:
    generator = np.random.default_rng(2)
    texts = [" ".join(generator.choice(WORDS, 14)) for _ in range(400)]
    changed = [text.replace(text[20], "x", 1) for text in texts[:100]]
    found = near_identical(np.array([*texts, *changed]))
    for i, (text, other) in enumerate(zip(texts, changed, strict=False)):
        assert (found[i] == found[400 + i]) == (jaccard(text, other) >= ALIKE), (text, other)
    # whatever shares a code is alike, at least along a chain of two
    for code in np.unique(found[:400], return_counts=True)[0][
        np.unique(found[:400], return_counts=True)[1] > 1
    ]:
        members = [texts[i] for i in np.flatnonzero(found[:400] == code)]
        assert max(jaccard(a, b) for a in members for b in members if a != b) >= ALIKE - 0.25


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["a"],
        ["ab", "cd"],
        ["", "abc"],
        ["\u6c34\u706b\u6728\u91d1\u571f", "\u6c34\u706b\u6728\u91d1\u6708"],
        ["\U0001f600\U0001f601\U0001f602\U0001f603", "abcd"],
    ],
)
def test_short_and_strange_texts_are_their_own(texts: list[str]) -> None:
    assert near_identical(np.array(texts, dtype=str)).tolist() == list(range(len(texts)))


def test_many_alike_are_one_whatever_their_order() -> None:
    base = "the quick brown fox jumps over the lazy dog near the river bank and runs away"
    texts = [f"{base} {i}" for i in range(300)]
    order = np.random.default_rng(0).permutation(300)
    assert (
        len(np.unique(near_identical(np.array(texts))))
        == len(np.unique(near_identical(np.array(texts)[order])))
        == 1
    )


def test_transcripts_are_the_same_whoever_wrote_them_down() -> None:
    assert normalised(
        np.array(["It\u2019s  FINE \u2014 really...", "its fine really", "", " ?! "])
    ).tolist() == ["its fine really", "its fine really", "", ""]
