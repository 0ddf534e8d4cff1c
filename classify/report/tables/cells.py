"""From a value of the results to the cell that shows it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from classify.report.tables.table import NO_VALUE, TableCell

COUNTS_BELOW = 1e9  # whole numbers from here on are no counts, and too wide to read


def count_cell(count: float) -> TableCell:
    """Show a whole number."""
    return TableCell(f"{int(count)}", float(count))


def number_cell(value: object, digits: int) -> TableCell:
    """Show a number with so many digits after the point, ``nan`` as a dash."""
    number = float(str(value))
    return NO_VALUE if np.isnan(number) else TableCell(f"{number:.{digits}f}", number)


def plain_cell(value: object) -> TableCell:
    """Show a value of a file of which nothing is known: text as it is, numbers shortened."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return NO_VALUE
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        number = float(value)
        if number.is_integer() and abs(number) < COUNTS_BELOW:
            return TableCell(f"{number:,.0f}", number)
        return TableCell(f"{number:.3g}", number)
    return TableCell(str(value))


def mean_cell(by_fold: pd.Series) -> TableCell:
    """Show the mean and the standard deviation of a value per fold, of shape (folds,)."""
    if by_fold.isna().all():
        return NO_VALUE
    # Rounded first as the CSV files are, so that one figure is one text in both.
    mean = round(float(by_fold.mean()), 2)
    return _with_spread(mean, round(float(by_fold.std(ddof=1)), 2))


def recorded_cell(line: pd.Series, name: str) -> TableCell:
    """Show the column ``name`` of a table's line, and its ``name_sd`` where there is one."""
    if pd.isna(line[name]):
        return NO_VALUE
    return _with_spread(float(line[name]), float(line.get(f"{name}_sd", np.nan)))


def interval_cell(line: pd.Series) -> TableCell:
    """Show ``pooled`` with its interval from ``low`` to ``high``, shares in per cent."""
    value = 100 * float(line["pooled"])
    if pd.isna(line["low"]) or pd.isna(line["high"]):
        return TableCell(f"{value:.1f}", value)
    low, high = 100 * float(line["low"]), 100 * float(line["high"])
    return TableCell(f"{value:.1f} ({low:.1f} to {high:.1f})", value)


def _with_spread(mean: float, deviation: float) -> TableCell:
    """A single fold has no deviation."""
    return TableCell(f"{mean:.1f}", mean, "" if np.isnan(deviation) else f"{deviation:.1f}")
