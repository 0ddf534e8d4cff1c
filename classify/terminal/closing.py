"""The last lines of a run: what came out, how sure, against what, can it be believed, what next.

They stand last because that is where a terminal stops, and there are at most six of them.
"""

from __future__ import annotations

import shlex

import pandas as pd

from classify.evaluation.means import first_best, has_chosen, mean_on_valid
from classify.evaluation.metrics import METRICS
from classify.leakage.finding import NOT_CHECKED
from classify.names import BASELINE, UNIMODAL
from classify.results.absent_classes import two_uars
from classify.results.paper_tables import per_cent
from classify.results.statistics_tables import ALPHA
from classify.results.table import ResultTable
from classify.results.write import GridResult
from classify.terminal.notes import headline
from classify.terminal.statistics import clusters_in_words, common_rows, figure

DEFAULT_STORE = "embeddings"
ACCURACY = METRICS[0]


def closing(
    result: GridResult, statistics: pd.DataFrame, comparisons: pd.DataFrame, n_notes: int = 0
) -> list[str]:
    """Return the last lines of a run.

    Args:
        result: The run.
        statistics: As in ``statistics.csv``.
        comparisons: As in ``comparisons.csv``.
        n_notes: How many notes stand above these lines.
    """
    table = result.table
    lines = [headline(table, two_uars(statistics, table.headline))]
    if table.headline:
        lines.append(f"how sure: {_interval(statistics, table.headline)}")
    against = [_chance(table.rows), *_one_modality(table), *_compared(comparisons)]
    lines.append(f"against: {'; '.join(against)}")
    lines.append(f"to believe it: {_belief(result, n_notes)}")
    lines.append(f"next: {_next(result)}")
    return lines


def _interval(statistics: pd.DataFrame, cell: str) -> str:
    """Return the interval of the accuracy, and what it rests on."""
    found = statistics[(statistics["cell"] == cell) & (statistics["class"] == "")]
    of_accuracy = found[found["metric"] == ACCURACY]
    if not len(of_accuracy):
        return "not known, there are no statistics of this cell"
    line = of_accuracy.iloc[0]
    pooled = f"{ACCURACY} {figure(line['pooled'])} of {common_rows(line)} test rows pooled"
    if line["note"]:
        return f"{pooled}; no interval, {line['note']}"
    return (
        f"{pooled}, {100 * line['level']:.0f} % interval {figure(line['low'])} to "
        f"{figure(line['high'])}, by {clusters_in_words(line)}; what another training would "
        "change is not in it"
    )


def _chance(rows: pd.DataFrame) -> str:
    """Return what no system gives: the commonest class of the training rows, or what is there."""
    baselines = rows[rows["family"] == BASELINE]
    if not len(baselines):
        return "chance was not run"
    best = baselines.groupby("cell", sort=False)[ACCURACY].mean()
    return f"chance {per_cent(best.max()):.2f} ({str(best.idxmax()).removeprefix(BASELINE + ' ')})"


def _one_modality(table: ResultTable) -> list[str]:
    """Return the single modality that the same rule would have chosen, below a fused headline."""
    rows = table.rows
    alone = rows[rows["family"] == UNIMODAL]
    if table.headline in set(alone["cell"]) or not len(alone) or not has_chosen(alone):
        return []
    name = first_best(mean_on_valid(alone).to_dict())
    accuracy = per_cent(alone.loc[alone["cell"] == name, ACCURACY].mean())
    return [f"one modality, chosen likewise: {accuracy:.2f} ({name})"]


def _compared(comparisons: pd.DataFrame) -> list[str]:
    """Return how the declared comparisons came out, after correction for their number."""
    tested = int(comparisons["family_size"].iloc[0]) if len(comparisons) else 0
    if not tested:
        return []
    survivors = comparisons[comparisons["survives"] == "yes"]
    better = int((survivors["difference"] > 0).sum())
    return [
        f"of {len(comparisons)} comparisons between systems {better} better, "
        f"{len(survivors) - better} worse, {len(comparisons) - len(survivors)} not shown (Holm, "
        f"{ALPHA:g})"
    ]


def _belief(result: GridResult, n_notes: int) -> str:
    """Return the audit's line, and how many notes are to be read."""
    line = result.prepared.audit.line()
    if n_notes:
        line += f"; read the {n_notes} note{'s' if n_notes > 1 else ''} above"
    return line


def _next(result: GridResult) -> str:
    """Return the commands that show the run, and that check what was not checked."""
    config = result.prepared.config
    store = [] if str(config.store) == DEFAULT_STORE else ["--store", str(config.store)]
    page = shlex.join(["make-report", str(config.out), *store])
    lines = [f"{page} (figures and a page)"]
    if "shuffled" in result.prepared.audit.having(NOT_CHECKED):
        check = shlex.join(["audit-leakage", "--results", str(config.out), *store, "--shuffled"])
        lines.append(f"{check} (permuted labels must fall to chance)")
    return "; ".join(lines)
