"""The metrics agree with their formulas and with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as scikit_confusion
from sklearn.metrics import f1_score, precision_recall_fscore_support, recall_score

from classify.evaluation.metrics import accuracy, confusion, per_class, summary


@pytest.mark.parametrize("n_classes", [2, 4, 9])
@pytest.mark.parametrize("rows", [1, 5, 200])
def test_they_are_what_scikit_learn_says(n_classes: int, rows: int) -> None:
    rng = np.random.default_rng(rows + n_classes)
    for _ in range(20):
        y, p = rng.integers(0, n_classes, rows), rng.integers(0, n_classes, rows)
        held, either = np.unique(y), np.union1d(y, p)
        found = summary(y, p)
        assert found["WA"] == pytest.approx((y == p).mean())
        expected = recall_score(y, p, labels=held, average="macro", zero_division=0)
        assert found["UAR"] == pytest.approx(expected)
        for name in ("macro", "weighted"):
            expected = f1_score(y, p, labels=either, average=name, zero_division=0)
            assert found[f"{name}_F1"] == pytest.approx(expected)
        labels = np.arange(n_classes)
        each = per_class(y, p, n_classes)
        expected = precision_recall_fscore_support(y, p, labels=labels, zero_division=0)
        np.testing.assert_allclose((each.precision, each.recall, each.f1, each.support), expected)
        classes = [str(code) for code in labels]
        assert np.array_equal(confusion(y, p, classes), scikit_confusion(y, p, labels=labels))


@pytest.mark.parametrize(("y", "p"), [([0, 1], [0, -1]), ([-1, 1], [0, 1])])
def test_a_row_without_a_class_is_never_counted_as_another(y: list[int], p: list[int]) -> None:
    with pytest.raises(ValueError, match="class codes -1 to"):
        summary(np.array(y), np.array(p))


def test_a_perfect_answer_scores_one_though_a_class_is_absent() -> None:
    y = np.array([0, 2, 2])  # class 1 does not occur in this fold
    assert set(summary(y, y).values()) == {1.0}


def test_an_answer_that_never_occurs_in_the_truth_costs_macro_f1_and_warns_of_nothing() -> None:
    found = summary(np.array([0, 0, 1]), np.array([0, 2, 1]))
    assert found["UAR"] == pytest.approx((0.5 + 1.0) / 2)
    assert found["macro_F1"] == pytest.approx((2 / 3 + 1.0 + 0.0) / 3)


def test_support_weighted_recall_is_accuracy() -> None:
    y, p = np.array([0, 0, 0, 1, 2]), np.array([0, 1, 0, 1, 1])
    assert per_class(y, p, 3).weighted()[1] == pytest.approx(accuracy(y, p))


def test_confusion_has_the_truth_in_rows_and_keeps_absent_classes() -> None:
    assert confusion(np.array([0, 2]), np.array([2, 2]), ("a", "b", "c")).tolist() == [
        [0, 0, 1],
        [0, 0, 0],
        [0, 0, 1],
    ]


def test_no_rows_measure_nothing() -> None:
    assert np.isnan(accuracy(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)))
