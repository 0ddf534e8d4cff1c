"""The table of every system of the grid, and the confusion of the reported one."""

from __future__ import annotations

from classify.evaluation.means import choosing_rows_in_words
from classify.evaluation.metrics import COMPLETENESS
from classify.figures.results_folder import FinishedRun
from classify.report.tables.cells import count_cell, mean_cell
from classify.report.tables.paper_tables import COMPLETENESS_HINTS
from classify.report.tables.table import MAX_LINES, Table, TableCell
from classify.results.paper_tables import CONFUSION

METRICS_SHOWN = ("WA", "UAR", "macro_F1", "weighted_F1", "valid_WA", "train_WA")


def all_systems(run: FinishedRun) -> Table:
    """Return every cell of the grid with its figures, per cent, mean and deviation over folds."""
    metrics = [metric for metric in METRICS_SHOWN if metric in run.rows]
    if run.is_incomplete:
        metrics[1:1] = COMPLETENESS
    rows, strong = [], set()
    for number, (name, part) in enumerate(run.rows.groupby("cell", sort=False)):
        family, flags = str(part["family"].iloc[0]), str(part["flags"].iloc[0])
        figures = [mean_cell(run.by_fold(str(name), metric)) for metric in metrics]
        remark = TableCell(flags.replace("_", " "))
        rows.append([TableCell(str(name)), TableCell(family), *figures, remark])
        if name == run.headline:
            strong.add(number)
    titles = [metric.replace("_", " ") for metric in metrics]
    return Table(
        "systems",
        "Every system",
        ["system", "family", *titles, "remark"],
        rows[:MAX_LINES],
        "Per cent, mean ± standard deviation over folds, test rows unless the title says otherwise "
        "(valid, train).",
        frozenset(strong),
        {
            **COMPLETENESS_HINTS,
            "valid WA": f"on {choosing_rows_in_words(run.rows)}, by which the result was chosen",
            "train WA": "on the rows that were learnt from: no measure of quality",
        },
    )


def confusion_table(run: FinishedRun) -> Table | None:
    """Return counts of true class by answer, or none where no cell counts as the result."""
    table = run.table(CONFUSION)
    if table is None:
        return None
    # by prefix, because a run that is no plain result has a column that says so
    counts = table.filter(regex="^predicted:")
    answers = [str(column).removeprefix("predicted:") for column in counts]
    rows = []
    for truth, line in zip(table["truth"], counts.to_numpy(), strict=True):
        rows.append([TableCell(str(truth)), *map(count_cell, line)])
    return Table(
        "confusion",
        "Which class is taken for which",
        ["true class", *answers],
        rows,
        "Counts of test utterances, all folds together; the columns are the system's answers.",
    )
