"""How sure a figure or a difference is: from ``statistics.csv`` and ``comparisons.csv``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from classify.evaluation.paired_tests import P_FOR
from classify.figures.results_folder import FinishedRun

USUAL_LEVEL = 0.95  # of files that name none


@dataclass(frozen=True, slots=True)
class PercentInterval:
    """A confidence interval in per cent.

    Attributes:
        low: The lower end.
        high: The upper end.
        level: How often such an interval holds the truth.
    """

    low: float
    high: float
    level: float


def interval(run: FinishedRun, cell: str, metric: str) -> PercentInterval | None:
    """Return a cell's interval from ``statistics.csv``, none where it gives none.

    Args:
        run: The run.
        cell: The cell.
        metric: ``WA`` or another metric, over all classes.
    """
    table = run.table("statistics.csv")
    if table is None or not {"cell", "metric", "low", "high"} <= set(table):
        return None
    found = table[(table["cell"] == cell) & (table["metric"] == metric)]
    if "class" in found:
        found = found[found["class"].isna()]
    if not len(found) or found[["low", "high"]].isna().any(axis=None):
        return None
    line = found.iloc[0]
    return PercentInterval(
        100 * float(line["low"]),
        100 * float(line["high"]),
        100 * float(line.get("level", USUAL_LEVEL)),
    )


def common_difference(run: FinishedRun, first: str, second: str) -> float:
    """Return the difference in WA, in points, over the test rows that two cells both answered.

    Args:
        run: The run.
        first: The cell that the difference is of.
        second: The cell that it is set against.

    Returns:
        The mean over folds.
    """
    one, other = run.right(first), run.right(second)
    both = one.index.intersection(other.index)
    by_fold = [right.loc[both].groupby("fold").mean() for right in (one, other)]
    return float(100 * (by_fold[0] - by_fold[1]).mean())


def difference_in_brackets(run: FinishedRun, first: str, second: str) -> str:
    """Say in brackets, from ``comparisons.csv``, how sure a difference in WA is.

    Args:
        run: The run.
        first: The cell that the difference is of.
        second: The cell that it is set against.

    Returns:
        The interval, the corrected p and what it is for, and the smallest difference that could
        have been shown; nothing where the file does not compare the two.
    """
    table = run.table("comparisons.csv")
    if table is None or not {"first", "second", "metric", "low", "high", "p_holm"} <= set(table):
        return ""
    of_pair = (table["first"] == first) & (table["second"] == second)
    found = table[of_pair & (table["metric"] == "WA")]
    if not len(found) or found[["low", "high", "p_holm"]].isna().any(axis=None):
        return ""
    line = found.iloc[0]
    level = 100 * float(line.get("level", USUAL_LEVEL))
    shown = float(line.get("detectable", float("nan")))
    smallest = ""
    if not math.isnan(shown):
        smallest = f"; the smallest difference that could have been shown is {100 * shown:.1f}"
    p = "p < 0.001" if line["p_holm"] < 0.001 else f"p = {line['p_holm']:.3f}"
    return (
        f" ({level:.0f} % confidence interval {100 * line['low']:+.1f} to "
        f"{100 * line['high']:+.1f}; {p} for {P_FOR} after Holm's correction{smallest})"
    )
