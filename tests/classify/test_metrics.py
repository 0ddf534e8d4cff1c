"""The metrics agree with their formulas and with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from classify.evaluation.metrics import accuracy, confusion, per_class, summary


def test_they_are_what_scikit_learn_says() -> None:
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    found = summary(y, p)
    assert found["WA"] == pytest.approx((y == p).mean())
    assert found["UAR"] == pytest.approx(balanced_accuracy_score(y, p))
    assert found["macro_F1"] == pytest.approx(f1_score(y, p, average="macro"))
    assert found["weighted_F1"] == pytest.approx(f1_score(y, p, average="weighted"))


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
