"""The figures on subsets of the test rows, as a table for a terminal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from classify.names import BASELINE
from classify.results.paper_tables import per_cent
from classify.results.text_overlap import LOOK_UP, SUBSETS_FILE


def show_subsets(results: Path, headline: str, console: Console) -> None:
    """Print accuracy on the subsets, of the cell that counts, the look-up and the baselines.

    Nothing where there are none.
    """
    path = results / SUBSETS_FILE
    if not path.is_file():
        return
    frame = pd.read_csv(path, dtype={"cell": str})
    subsets = list(dict.fromkeys(frame["subset"]))
    table = Table(title="Subsets of the test rows (WA, per cent)", title_justify="left")
    table.add_column("", overflow="fold")
    for name in subsets:
        table.add_column(name, justify="right", no_wrap=True)
    shown = frame[(frame["cell"] == headline) | frame["cell"].str.startswith(f"{BASELINE} ")]
    for cell, of_cell in shown.groupby("cell", sort=False):
        by_subset = of_cell.set_index("subset")
        table.add_row(str(cell), *(_figure(by_subset, name) for name in subsets))
    rows = frame[frame["cell"] == LOOK_UP].set_index("subset")["n"]
    table.add_row("rows", *(str(rows[name]) for name in subsets))
    console.print(table)
    console.print(
        Text(
            "text-unseen: the normalised transcript does not occur in the fold's training rows; "
            "the look-up answers "
            "with the commonest class of the same transcript in training; means over folds",
            style="dim",
        ),
        soft_wrap=True,
    )
    console.print()


def _figure(rows: pd.DataFrame, name: str) -> str:
    if name not in rows.index or pd.isna(rows.loc[name, "WA"]):
        return "-"
    return f"{per_cent(rows.loc[name, 'WA']):.2f}"
