"""Two results say by themselves whether they may be compared, and every reason is in words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from classify.results.comparable import QUESTIONS, VERDICTS, comparable

GRID: Mapping[str, object] = {
    "corpus": "iemocap",
    "protocol": "iemocap-paper",
    "plan": "leave-one-session-out",
    "split_digest": "a" * 12,
    "test_digest": "b" * 12,
    "valid_rule": "next",
    "selection_rule": "none",
    "shared": "",
    "label_set": "iemocap-4",
    "labels_digest": "c" * 12,
    "labels_shuffled": "no",
    "n_scored": 5531,
    "metric": "WA",
    "verified": "verified",
    "flags": "chosen_on_valid",
}
PAPER = {
    "corpus": "iemocap",
    "protocol": "iemocap-paper",
    "label_set": "iemocap-4",
    "metric": "WA",
    "n_scored": 5532,
}


def test_a_result_may_be_compared_with_itself() -> None:
    found = comparable(GRID, GRID)
    assert found.verdict == "yes"
    assert "the folds are the same, row by row" in found.reasons


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({"corpus": "meld"}, "no", "the corpus differs: iemocap against meld"),
        ({"metric": "UAR"}, "no", "the metric differs: WA against UAR"),
        (
            {"labels_digest": "d" * 12, "label_set": "iemocap-4-no-exc"},
            "no",
            "the label sets differ: iemocap-4 and iemocap-4-no-exc do not count the same rows as "
            "the same classes",
        ),
        (
            {"labels_shuffled": "seed 0"},
            "no",
            "labels were shuffled in one or both: such figures measure chance",
        ),
        (
            {"split_digest": "e" * 12, "valid_rule": "none"},
            "caution",
            "the folds: the same rows are tested, fold by fold, but others train or validate "
            "(validation rule next against none)",
        ),
        (
            {"split_digest": "e" * 12, "test_digest": "f" * 12, "protocol": "session-kfold:4"},
            "no",
            "the folds differ: other rows are tested (iemocap-paper against session-kfold:4)",
        ),
        (
            {"coverage": 0.8},
            "caution",
            "one or both score only a part of the test rows of the plan (100.0 % and 80.0 %): "
            "WA_all counts the others as wrong, and compare-systems compares cells of one run on "
            "the rows that both answered",
        ),
        ({"n_scored": 5500}, "caution", "the rows scored differ: 5,531 against 5,500"),
        (
            {"selection_rule": "valid-session"},
            "caution",
            "what chose the epoch differs: none against valid-session",
        ),
        (
            {"selection_rule": "none+test"},
            "no",
            "the best epoch was chosen on the test rows of one or both, which is an upper bound "
            "and no result",
        ),
        (
            {"flags": "best_on_test"},
            "no",
            "one or both are the best cell on the test rows themselves, which is an upper bound "
            "and no result",
        ),
        ({"flags": "chosen_on_valid best_on_test"}, "yes", "both score 5,531 rows"),
        (
            {"verified": "unverified: audio"},
            "caution",
            "nobody can say what an encoder was trained on (unverified: audio)",
        ),
        (
            {"shared": "valid+test: group"},
            "caution",
            "the validation rows of one share speakers or groups with test, so what they chose "
            "fits it (valid+test: group)",
        ),
        (
            {"shared": "train+test: speaker"},
            "caution",
            "roles share speakers or groups in other ways: none against train+test: speaker",
        ),
        ({"claim": "upper bound"}, "no", "one or both say that they are no result (upper bound)"),
        ({"corpus": float("nan")}, "caution", "the corpus: one or both do not say"),
    ],
)
def test_each_difference_has_its_verdict_and_its_words(
    change: dict[str, object], verdict: str, reason: str
) -> None:
    for pair in ((GRID, {**GRID, **change}), ({**GRID, **change}, GRID)):
        found = comparable(*pair)
        assert found.verdict == verdict
        assert reason in found.reasons or pair[0] is not GRID
        assert len(found.reasons) == len(set(found.reasons))


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "caution"),
        ({"protocol": "iemocap-superb"}, "caution"),
        ({"protocol": "iemocap-speakers"}, "no"),
        ({"label_set": "iemocap-6"}, "no"),
        ({"protocol": ""}, "caution"),
        ({"n_scored": 4490, "label_set": ""}, "no"),
    ],
)
def test_a_published_figure_is_compared_by_its_names(
    change: dict[str, object], verdict: str
) -> None:
    assert comparable(GRID, PAPER | change).verdict == verdict


def test_what_both_share_alike_is_no_difference() -> None:
    official = {**GRID, "shared": "valid+test: speaker; train+test: speaker"}
    found = comparable(official, official)
    assert found.verdict == "yes"
    assert "roles share in both alike: valid+test: speaker; train+test: speaker" in found.reasons


def test_nothing_said_is_never_a_silent_yes() -> None:
    found = comparable({}, {})
    assert found.verdict == "caution"
    assert len(found.reasons) >= len(QUESTIONS) - 2


def test_the_gravest_reason_comes_first() -> None:
    found = comparable(GRID, {**GRID, "n_scored": 5500, "metric": "UAR"})
    assert (found.verdict, found.reasons[0]) == (VERDICTS[-1], "the metric differs: WA against UAR")
