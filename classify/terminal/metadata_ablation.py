"""What each group of metadata is worth, as a table on a terminal."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table

from classify.claim import Claim
from classify.evaluation.paired_tests import P_FOR
from classify.names import NO_METADATA
from classify.terminal.statistics import PAIRED_MEANS, figure, p_value


def show_ablation(table: pd.DataFrame, console: Console) -> None:
    """Print the table, differences in points of per cent; leaky columns are named as such."""
    first = table.iloc[0]
    shown = Table(
        title=f"What metadata is worth ({first['corpus']}, {first['protocol']}, test rows, per "
        f"cent), p for {P_FOR}",
        title_justify="left",
    )
    for name in ("group", "classifier"):
        shown.add_column(name, overflow="fold")
    names = ("WA", "UAR", "difference in WA", "95 % interval", "detectable", "p", "Holm")
    for name in names:
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("", overflow="fold")
    for _, line in table.iterrows():
        interval = f"{figure(line['low'], signed=True)} to {figure(line['high'], signed=True)}"
        paired = [
            figure(line["difference"], signed=True),
            interval,
            figure(line["detectable"]),
            p_value(line["p"]),
            p_value(line["p_holm"]),
        ]
        shown.add_row(
            line["group"],
            line["classifier"],
            figure(line["WA"]),
            figure(line["UAR"]),
            *(paired if line["group"] != NO_METADATA else [""] * 5),
            Claim.read(line["claim"]).stamp,
        )
    console.print(shown)
    console.print(
        "mean over folds; the difference is of all test rows, paired by speaker with Holm's "
        f"correction over the table. {PAIRED_MEANS}",
        style="dim",
    )
