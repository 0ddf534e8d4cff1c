"""How strong a probe is: chosen inside the training groups, as scikit-learn would choose."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from classify.models.probe import (
    CHOICE_SPLITS,
    CHOSEN_ON,
    FIXED_C,
    NOT_CHOSEN,
    PROBE_GRID,
    choose_c,
    fit_probe,
)

CLASSES = 4
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def rows_of(width: int, cue: float, seed: int = 0, rows: int = 240) -> Rows:
    """Return vectors of which the first six columns carry the class, with codes and 24 groups."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, rows)
    X = rng.normal(size=(rows, width))
    X[:, :6] += cue * rng.normal(size=(CLASSES, 6))[y]
    return X.astype(np.float32), y, np.array([f"g{i % 24:02}" for i in range(rows)])


def losses(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> list[float]:
    """Return the summed log loss of every strength, by a plain script."""
    found = []
    for c in PROBE_GRID:
        total = 0.0
        for fit, rest in GroupKFold(CHOICE_SPLITS).split(X, groups=groups):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000))
            model.fit(X[fit], y[fit])
            p = model.predict_proba(X[rest])
            total += log_loss(y[rest], p, labels=range(CLASSES), normalize=False)
        found.append(total)
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("width", "cue"), [(6, 2.0), (6, 0.3), (60, 1.0), (300, 0.5)])
def test_the_strength_is_the_one_of_least_log_loss_in_a_plain_script(
    width: int, cue: float, seed: int
) -> None:
    X, y, groups = rows_of(width, cue, seed)
    expected = PROBE_GRID[int(np.argmin(losses(X, y, groups)))]
    assert choose_c(X, y, CLASSES, groups) == (expected, CHOSEN_ON)


def test_narrow_vectors_get_a_weak_penalty_and_wide_ones_a_strong_one() -> None:
    narrow, wide = (choose_c(*reordered(rows_of(w, 1.5))) for w in (6, 300))
    assert narrow[0] >= 1
    assert wide[0] <= 0.1


def reordered(rows: Rows) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    X, y, groups = rows
    return X, y, CLASSES, groups


def test_no_group_judges_what_learnt_from_it() -> None:
    """Rows of a group that repeat each other would ask for no penalty, were they torn apart."""
    X, y, groups = rows_of(300, 0.0, rows=80)
    X, y, groups = (np.repeat(values, 3, axis=0) for values in (X, y, groups))
    of_their_own = np.arange(len(y)).astype(str)
    assert choose_c(X, y, CLASSES, groups)[0] == PROBE_GRID[0]
    assert choose_c(X, y, CLASSES, of_their_own)[0] > 0.1


def test_ties_go_to_the_stronger_penalty() -> None:
    X = np.zeros((40, 3), dtype=np.float32)  # nothing can be learnt but the classes' shares
    groups = np.array([f"g{i // 4}" for i in range(40)])
    assert choose_c(X, np.arange(40) % 4, CLASSES, groups) == (PROBE_GRID[0], CHOSEN_ON)


@pytest.mark.parametrize("groups", [["a"] * 40, ["a"] * 20 + ["b"] * 20])
def test_rows_that_cannot_judge_take_the_stated_strength(groups: list[str]) -> None:
    """One group, or two of one class each: a choice is impossible, and that is said."""
    X, y = rows_of(6, 1.0, rows=40)[0], np.arange(40) // 20
    probe = fit_probe(X, y, CLASSES, np.array(groups))
    assert (probe.c, probe.chosen_on) == (FIXED_C, NOT_CHOSEN)


def test_a_class_that_a_part_lacks_is_judged_by_laplaces_rule() -> None:
    X, y, groups = rows_of(6, 1.0)
    y[y == 3] = 0
    y[groups == "g05"] = 3  # whoever answers this group has never met its class
    c, chosen_on = choose_c(X, y, CLASSES, groups)
    assert c in PROBE_GRID
    assert chosen_on == CHOSEN_ON
