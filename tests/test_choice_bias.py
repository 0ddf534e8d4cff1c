"""The simulation of how figures in inner folds flatter."""

from __future__ import annotations

import numpy as np

from benchmarks.choice_bias import Answers, best_of_all, chosen_elsewhere, fixed, rows


def test_each_way_is_off_by_what_it_states_less_what_its_fits_are_worth() -> None:
    right = np.array([[5, 5, 5, 5, 5], [9, 6, 6, 6, 6]])
    true = np.array([[0.5] * 5, [0.55, 0.65, 0.65, 0.65, 0.65]])
    answers = Answers(right, true, rows=50)
    assert np.isclose(fixed(answers), 0.5 - 0.5)
    assert np.isclose(best_of_all(answers), 33 / 50 - 0.63)
    assert np.isclose(chosen_elsewhere(answers), 33 / 50 - 0.63)
    shaky = Answers(np.array([[6, 6], [9, 4]])[:, [0, 1, 1, 1, 1]], true, rows=50)
    # without the first inner fold the first candidate is best, without another one as well
    assert np.isclose(chosen_elsewhere(shaky), 30 / 50 - 0.5)


def test_a_few_corpora_give_every_row() -> None:
    found = rows(2)
    assert [(line["classifier"], line["candidates"]) for line in found] == [
        ("svm", 15),
        ("svm", 15),
        ("probe", 5),
        ("probe", 5),
    ]
