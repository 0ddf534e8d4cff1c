"""Cells and layers are chosen by one mean, and of those that are equally good the first wins."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from classify.evaluation.comparisons import declared
from classify.evaluation.means import first_best, mean_right
from classify.evaluation.predictions import StoredPredictions
from classify.results.selection import with_flags
from classify.results.table import BEST_ON_TEST, CHOSEN

OF = 12  # rows that choose, in each fold


def grid(**right: tuple[int, ...]) -> pd.DataFrame:
    """Return rows of ``grid.csv`` of early fusion by how many of :data:`OF` each fold has right."""
    lines = [
        {
            "cell": f"early concatenation audio+text {name}",
            "family": "early",
            "method": "concatenation",
            "modalities": "audio+text",
            "classifier": name,
            "fold": fold,
            "WA": count / OF,
            "valid_WA": count / OF,
        }
        for name, counts in right.items()
        for fold, count in enumerate(counts, start=1)
    ]
    sizes = dict.fromkeys(("n_test", "n_scored", "n_valid", "n_choice", "n_valid_scored"), OF)
    return pd.DataFrame(lines).assign(**sizes)


def test_the_order_of_folds_does_not_choose_between_cells_that_are_equally_good() -> None:
    """The tie at which a flag differs from versions that compared means unrounded."""
    rows = grid(svm=(1, 2, 10), xgboost=(2, 1, 10))
    means = mean_right(rows, "valid_WA", "n_valid_scored", "n_choice")
    assert means.idxmax() == "early concatenation audio+text xgboost"  # by its last bit alone
    assert means.max() - means.min() < 1e-15
    assert first_best(means.to_dict()) == "early concatenation audio+text svm"
    flags = with_flags(rows, "valid").groupby("cell", sort=False)["flags"].first()
    assert flags.tolist() == [f"{CHOSEN} {BEST_ON_TEST}", ""]
    turned = with_flags(grid(xgboost=(2, 1, 10), svm=(1, 2, 10)), "valid")
    assert set(turned.loc[turned["flags"] != "", "classifier"]) == {"xgboost"}


def test_the_cell_that_the_grid_chooses_is_the_one_that_comparisons_are_about() -> None:
    single = grid(svm=(1, 1, 1)).assign(
        cell="unimodal audio svm", family="unimodal", method="", modalities="audio"
    )
    for order in permutations((1, 2, 10)):
        rows = pd.concat([single, grid(svm=(1, 2, 10), xgboost=order)], ignore_index=True)
        flagged = with_flags(rows, "valid")
        chosen = flagged.loc[flagged["flags"].str.contains(CHOSEN), "cell"].unique().tolist()
        answers = StoredPredictions(rows, ("sad", "happy"), dict.fromkeys(rows["cell"]), "", [])
        assert [pair.first for pair in declared(answers, ["fused"])] == chosen
        assert chosen == ["early concatenation audio+text svm"]


def test_a_better_cell_wins_wherever_it_stands_and_unanswered_rows_count_as_wrong() -> None:
    rows = grid(svm=(1, 2, 10), xgboost=(2, 2, 10))
    means = mean_right(rows, "valid_WA", "n_valid_scored", "n_choice")
    assert first_best(means.to_dict()) == "early concatenation audio+text xgboost"
    rows.loc[rows["classifier"] == "xgboost", "n_valid_scored"] = OF // 2
    means = mean_right(rows, "valid_WA", "n_valid_scored", "n_choice")
    assert means.tolist() == pytest.approx([13 / 36, 7 / 36])
    assert first_best(means.to_dict()) == "early concatenation audio+text svm"


def test_where_nothing_was_answered_the_first_stands_and_any_number_is_better() -> None:
    nan = float("nan")
    assert first_best({3: nan, 5: nan}) == 3
    assert first_best({3: nan, 5: 0.0}) == 5
    rows = grid(svm=(3, 3)).assign(valid_WA=np.nan)
    assert mean_right(rows, "valid_WA", "n_valid_scored", "n_choice").tolist() == [0.0]
