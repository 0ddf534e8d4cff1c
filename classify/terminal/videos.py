"""The figures per video on a terminal, beside those per window."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console

from classify.evaluation.result_files import TableShape, read_rows
from classify.terminal.console import add_line, figures_table, print_line, print_table

SHAPE = TableShape(
    needed=("cell", "per", "rule", "WA", "UAR"), numbers=r"n_\w+|(?:WA|UAR)\w*|level|clusters"
)
WINDOW = "window"


def show_videos(path: Path, headline: str, console: Console) -> None:
    """Print WA of every cell per window and per video by each rule, and the reported cell's more.

    Args:
        path: ``videos.csv``.
        headline: The reported cell; empty for none.
        console: Where to.
    """
    rows = read_rows(path, SHAPE)
    rows["how"] = rows["rule"].mask(rows["per"] == WINDOW, "per window")
    columns = list(dict.fromkeys(rows["how"]))
    title = f"WA per window, and per video by each rule ({rows['corpus'].iloc[0]}, test, per cent)"
    table = figures_table(title, columns)
    for cell, part in rows.groupby("cell", sort=False):
        means = part.groupby("how", sort=False)["WA"].mean()
        add_line(table, str(cell), *(_figure(means.get(name)) for name in columns))
    first = rows.iloc[0]
    about = [
        "all test rows pooled; a video between whose labels a rule cannot decide counts as wrong",
        "margins of an SVM are no probabilities: mean and maximum are of margins, weighted is left "
        "out",
    ]
    print_table(console, table, about)
    for _, line in rows[rows["cell"] == headline].iterrows():
        what = "per window" if line["per"] == WINDOW else f"per video, {line['rule']}"
        tied = f", {line['n_tied']:.0f} tied" if line["n_tied"] else ""
        print_line(
            console,
            f"{headline}, {what}: WA {_with_interval(line, 'WA')}, UAR "
            f"{_with_interval(line, 'UAR')} ({line['n_scored']:.0f} of {line['n_planned']:.0f}"
            f"{tied}; intervals by {first['cluster_by']})",
        )


def _figure(value: float | None) -> str:
    return "-" if value is None or pd.isna(value) else f"{100 * value:.2f}"


def _with_interval(line: pd.Series, metric: str) -> str:
    value = _figure(line[metric])
    if pd.isna(line[f"{metric}_low"]):
        return value
    return f"{value} ({100 * line[f'{metric}_low']:.1f} to {100 * line[f'{metric}_high']:.1f})"
