"""The mean by which layers and cells are chosen, and how ties fall.

Of a cell that was run on folds and seeds k, with rows(k) rows that choose, of which it answered
answered(k) with the share right(k),

    mean = 1 / K  sum over k of  right(k) * answered(k) / rows(k)

so that a row that a cell cannot answer, for want of its modality, of any vector or of a label,
counts as wrong: it is the mean of ``WA_all`` (:mod:`classify.evaluation.metrics`). Everything that
chooses between cells, encoders or layers calls :func:`mean_on_valid` or :func:`mean_on_test`.

Means are compared after rounding to :data:`DECIMALS` decimals, because the last bits of a sum hang
on the order in which folds are added: with 2, 1 and 10 of 12 rows right the mean comes out larger
than with 1, 2 and 10. Unrounded, such bits would choose between cells that are equally good. Of
equals the first counts, in the order of the tables: rows of ``grid.csv`` for cells, the lowest for
layers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, TypeVar

from classify.evaluation.metrics import completeness
from classify.names import INNER

if TYPE_CHECKING:
    import pandas as pd

DECIMALS = 12
FITTED_WA = "fitted_WA"  # on rows that choose although an encoder was fitted on them

Name = TypeVar("Name", bound=Hashable)


def mean_right(rows: pd.DataFrame, right: str, answered: str, of: str) -> pd.Series:
    """Return each cell's mean share of right answers in [0, 1], cells in the order of the rows.

    Args:
        rows: One per cell, fold and seed, with the column ``cell`` and those named here.
        right: The column with the share of right answers in [0, 1]; ``nan`` where none was given.
        answered: The column with the number of rows that were answered.
        of: The column with the number of rows that choose, at least 1.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"cell": ["b", "a"], "WA": [1.0, 0.5], "n": [2, 4], "of": [4, 4]})
    >>> mean_right(rows, "WA", "n", "of").to_dict()
    {'b': 0.5, 'a': 0.5}
    """
    import pandas as pd

    _, share = completeness(rows[right].fillna(0.0), rows[answered], rows[of])
    return pd.Series(share, rows.index).groupby(rows["cell"], sort=False).mean()


def has_chosen(rows: pd.DataFrame) -> bool:
    """Say whether rows that are not tested choose in every fold.

    Args:
        rows: Rows of ``grid.csv``.
    """
    if not len(rows):
        return False
    if "n_valid" in rows:
        return bool((rows["n_valid"] > 0).all()) or _on_fitted_rows(rows)
    return "valid_WA" in rows and bool(rows["valid_WA"].notna().all())  # of an earlier version


def choosing_rows_in_words(rows: pd.DataFrame) -> str:
    """Return which rows choose between the cells of a table, in words.

    Args:
        rows: Rows of ``grid.csv``.

    >>> import pandas as pd
    >>> choosing_rows_in_words(pd.DataFrame({"chosen_on": ["settings: inner; cell: inner"]}))
    'rows of inner folds'
    """
    if _on_fitted_rows(rows):
        return "FITTED rows in inner folds"
    chosen_on = rows["chosen_on"].astype(str) if "chosen_on" in rows else ()
    inside = any(f"cell: {INNER}" in purposes for purposes in chosen_on)
    return "rows of inner folds" if inside else "validation rows"


def _on_fitted_rows(rows: pd.DataFrame) -> bool:
    return FITTED_WA in rows and bool(rows[FITTED_WA].notna().all())


def mean_on_valid(rows: pd.DataFrame) -> pd.Series:
    """Return each cell's mean share of right answers on the rows that choose.

    These are validation rows, or all rows of inner folds.

    Args:
        rows: Rows of ``grid.csv``, at least one of them a choosing row in every fold. A table that
            does not count rows says that every row was answered.
    """
    if _on_fitted_rows(rows):
        return rows.groupby("cell", sort=False)[FITTED_WA].mean()
    # an earlier version had no half of the validation rows for choosing
    of = "n_choice" if "n_choice" in rows else "n_valid"
    if not {"n_valid_scored", of} <= set(rows):
        rows, of = rows.assign(n_valid_scored=1, n_choice=1), "n_choice"
    return mean_right(rows, "valid_WA", "n_valid_scored", of)


def mean_on_test(rows: pd.DataFrame) -> pd.Series:
    """Return each cell's mean share of right answers on the test rows of the plan.

    Args:
        rows: Rows of ``grid.csv``; a table that does not count rows says that all were answered.
    """
    if "n_scored" not in rows:
        rows = rows.assign(n_scored=1, n_test=1)
    return mean_right(rows, "WA", "n_scored", "n_test")


def first_best(means: Mapping[Name, float]) -> Name:
    """Return the name of the largest mean, the first of equals; ``nan`` is below every number.

    Args:
        means: At least one.

    >>> first_best({"svm": 0.3611111111111111, "nn": 0.36111111111111116, "xgboost": 0.25})
    'svm'
    """

    def rounded(name: Name) -> float:
        mean = float(means[name])
        return round(mean, DECIMALS) if mean == mean else float("-inf")

    return max(means, key=rounded)
