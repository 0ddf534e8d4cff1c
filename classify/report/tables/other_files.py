"""Every further CSV of the results folder, as it is."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from classify.figures.results_folder import FinishedRun
from classify.report.tables.cells import plain_cell
from classify.report.tables.paper_tables import TITLES
from classify.report.tables.table import MAX_LINES, Table, key_of
from classify.results.paper_tables import CONFUSION, PER_CLASS

# File to its title and note; others go by their names.
EXPLAINED: Mapping[str, tuple[str, str]] = {
    "subsets.csv": (
        "Parts of the test rows (subsets.csv)",
        "As in the file: WA and UAR are shares from 0 to 1, mean and standard deviation (sd) over "
        "folds; n is the number of test rows.",
    )
}
SHOWN_ELSEWHERE = {*TITLES, PER_CLASS, CONFUSION, "grid.csv", "statistics.csv", "comparisons.csv"}
# Columns that say the same of every line of a run, and stand under Provenance.
RUN_COLUMNS = frozenset(
    {
        "corpus",
        "protocol",
        "label_set",
        "command",
        "commit",
        "machine",
        "date",
        "versions",
        "labels_shuffled",
        "valid_rule",
        "claim",
        "split_digest",
        "fit_rows",
    }
)


def other_tables(run: FinishedRun) -> list[Table]:
    """Return every further CSV of the results folder that is small enough to read, as it is."""
    found = []
    for path in sorted(run.folder.glob("*.csv")):
        if path.name in SHOWN_ELSEWHERE:
            continue
        table = run.table(path.name)
        if table is not None and 0 < len(table) <= MAX_LINES:
            found.append(_as_it_is(path.name, table))
    return found


def _as_it_is(name: str, table: pd.DataFrame) -> Table:
    title, note = EXPLAINED.get(name, (name, ""))
    constant = [
        column
        for column in table
        if column in RUN_COLUMNS and table[column].nunique(dropna=False) == 1
    ]
    shown = table.drop(columns=constant)
    rows = [list(map(plain_cell, line)) for line in shown.itertuples(index=False)]
    titles = [str(column).replace("_", " ") for column in shown]
    return Table(key_of(name), title, titles, rows, note)
