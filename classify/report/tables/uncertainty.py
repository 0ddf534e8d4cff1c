"""How sure figures are, and which differences can be believed.

From ``statistics.csv`` and ``comparisons.csv``.
"""

from __future__ import annotations

import pandas as pd

from classify.evaluation.paired_tests import P_FOR
from classify.figures.results_folder import FinishedRun
from classify.report.sentences.intervals import USUAL_LEVEL
from classify.report.tables.cells import interval_cell, plain_cell
from classify.report.tables.table import MAX_LINES, NO_VALUE, Table, TableCell

INTERVAL_METRICS = ("WA", "UAR", "macro_F1")


def statistics_tables(run: FinishedRun) -> list[Table]:
    """Return intervals and comparisons where the run has them."""
    found = []
    statistics = run.table("statistics.csv")
    if statistics is not None and {"cell", "metric", "pooled", "low", "high"} <= set(statistics):
        found.append(_intervals(statistics, run.headline))
    comparisons = run.table("comparisons.csv")
    needed = {"first", "second", "difference", "low", "high"}
    if comparisons is not None and len(comparisons) and needed <= set(comparisons):
        found.append(_comparisons(comparisons))
    return found


def _intervals(statistics: pd.DataFrame, headline: str) -> Table:
    whole = statistics[statistics["class"].isna()] if "class" in statistics else statistics
    rows, strong = [], set()
    for number, (name, part) in enumerate(whole.groupby("cell", sort=False)):
        by_metric = part.set_index("metric")
        cells = [TableCell(str(name))]
        for metric in INTERVAL_METRICS:
            there = metric in by_metric.index
            cells.append(interval_cell(by_metric.loc[metric]) if there else NO_VALUE)
        rows.append(cells)
        if name == headline:
            strong.add(number)
    return Table(
        "intervals",
        "How sure the figures are",
        ["system", "WA", "UAR", "macro F1"],
        rows[:MAX_LINES],
        f"All scored test rows pooled, per cent, with {_level(whole)} confidence "
        f"intervals{_clusters(whole)}. Pooled figures can differ from means over folds, most of "
        "all UAR and F1 of the baselines.",
        frozenset(strong),
    )


def _comparisons(table: pd.DataFrame) -> Table:
    rows = []
    for _, line in table.iterrows():
        value = 100 * float(line["difference"])
        ends = ""
        if not pd.isna(line["low"]):
            ends = f" ({100 * float(line['low']):+.1f} to {100 * float(line['high']):+.1f})"
        rows.append(
            [
                TableCell(str(line["first"])),
                TableCell(str(line["second"])),
                TableCell(f"{value:+.1f}{ends}", value),
                _detectable_cell(line.get("detectable", float("nan"))),
                _p_cell(line.get("p_holm", float("nan"))),
                plain_cell(line.get("survives")),
            ]
        )
    return Table(
        "comparisons",
        "Which differences can be believed",
        ["system", "against", "difference in WA", "detectable", f"p, {P_FOR}", "believable"],
        rows,
        f"The system minus the one it is set against, in percentage points, with {_level(table)} "
        "confidence intervals; p after Holm's correction for making many comparisons. Only p is "
        f"corrected, so an interval without 0 may stand beside a “no”; both are for {P_FOR}: "
        "another training is not in them. And “no” means not shown, not that the two are equal.",
        hints={
            "believable": "whether the difference survives that correction",
            "detectable": "the smallest true difference that this corpus would have shown in 80 % "
            "of cases, at 5 % before that correction",
        },
    )


def _detectable_cell(share: float) -> TableCell:
    if pd.isna(share):
        return NO_VALUE
    return TableCell(f"{100 * share:.1f}", 100 * float(share))


def _p_cell(p: float) -> TableCell:
    if pd.isna(p):
        return NO_VALUE
    return TableCell("< 0.001" if p < 0.001 else f"{p:.3f}", float(p))


def _level(table: pd.DataFrame) -> str:
    levels = table["level"].dropna().tolist() if "level" in table else []
    level = float(levels[0]) if levels else USUAL_LEVEL
    return f"{100 * level:.0f} %"


def _clusters(table: pd.DataFrame) -> str:
    """Say what the intervals take as drawn together, where the file does."""
    columns = ["cluster_by", "clusters"]
    if not set(columns) <= set(table) or table[columns].isna().any(axis=None):
        return ""
    first = table.iloc[0]
    return (
        f" that judge by how much {first['clusters']:.0f} {first['cluster_by']}s differ from each "
        "other"
    )
