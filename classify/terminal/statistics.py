"""The statistics in words: the result's interval, and what survives Holm's correction."""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Table

from classify.claim import Claim
from classify.evaluation.metrics import METRICS
from classify.evaluation.paired_tests import P_FOR, POWER
from classify.results.absent_classes import two_uars
from classify.results.statistics_tables import ALPHA, COMPARISONS
from classify.terminal.console import add_line, figures_table

SHOWN = 6  # survivors in words; all of them stand in the file
OTHER_TESTS = {
    "p_sign_flip": "sign-flip",
    "p_mcnemar": "McNemar (ignores speakers)",
    "p_nadeau_bengio": "Nadeau-Bengio (folds)",
}
PAIRED_MEANS = (
    f"p and Holm are for {P_FOR}: another training is not in them. Detectable is the smallest "
    f"difference that this corpus could have shown, in {100 * POWER:.0f} % of such corpora at 5 % "
    "before Holm's correction"
)
ASSUMPTIONS = (
    f"{PAIRED_MEANS}. They "
    "are of the t by speaker and count. Sign-flip exchanges the answers of speakers. "
    "McNemar takes rows for independent, which they are not, and rejects too often; Nadeau-Bengio "
    "makes room for another training, and rejects too rarely on most corpora: "
    "benchmarks/README.md has the rates"
)


def in_words(statistics: pd.DataFrame, comparisons: pd.DataFrame, headline: str) -> list[str]:
    """Return the lines that stand under the tables.

    Args:
        statistics: As in ``statistics.csv``.
        comparisons: As in ``comparisons.csv``.
        headline: The cell that counts; empty where there is none.
    """
    return [
        *interval_in_words(statistics, headline),
        *interval_notes(statistics, headline),
        *comparisons_in_words(comparisons),
    ]


def comparison_table(comparisons: pd.DataFrame) -> Table:
    """Return every comparison as a line of a table, differences in points of per cent."""
    first = comparisons.iloc[0]
    mark = Claim.of_rows(comparisons).mark
    interval = f"{100 * first['level']:.0f} % interval"
    tests = ("p", "Holm", *OTHER_TESTS.values())
    table = figures_table(
        f"Comparisons ({first['metric']}, test rows, by {first['cluster_by'] or 'row'}"
        f"{f', {mark}' if mark else ''}), p for {P_FOR}",
        ("difference", interval, "detectable", *tests, "better", "rows"),
        ("first", "second"),
    )
    for _, line in comparisons.iterrows():
        add_line(
            table,
            line["first"],
            line["second"],
            figure(line["difference"], signed=True),
            f"{figure(line['low'], signed=True)} to {figure(line['high'], signed=True)}",
            figure(line["detectable"]),
            p_value(line["p"]),
            p_value(line["p_holm"]),
            *(p_value(line[name]) for name in OTHER_TESTS),
            f"{line['better']} of {line['clusters']}",
            common_rows(line),
        )
    return table


def figure(value: float, *, signed: bool = False) -> str:
    """Return a share in per cent with one decimal, ``-`` for ``nan``.

    >>> figure(0.71234), figure(0.0123, signed=True), figure(float("nan"))
    ('71.2', '+1.2', '-')
    """
    if math.isnan(value):
        return "-"
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def p_value(p: float) -> str:
    """Return a p value with two digits that count.

    >>> p_value(0.00004), p_value(0.0321), p_value(0.4), p_value(float("nan"))
    ('< 0.001', '0.032', '0.40', '-')
    """
    if math.isnan(p):
        return "-"
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def interval_in_words(statistics: pd.DataFrame, headline: str) -> list[str]:
    """Return the headline's interval in every metric, or why it has none; nothing without one.

    Args:
        statistics: As in ``statistics.csv``.
        headline: The cell that counts; empty where there is none.
    """
    lines = _of_all_classes(statistics, headline)
    if not len(lines):
        return []
    first = lines.loc[METRICS[0]]
    stamp = Claim.of_rows(statistics).stamp
    claim = f" ({stamp})" if stamp else ""
    if first["note"]:
        shown = ", ".join(f"{metric} {figure(lines.loc[metric, 'pooled'])}" for metric in METRICS)
        return [f"interval{claim}: none, {first['note']}; {_pooled(first)}: {shown}"]
    intervals = ", ".join(_interval(metric, lines.loc[metric]) for metric in METRICS)
    return [
        f"interval{claim}, {100 * first['level']:.0f} %, {_pooled(first)}: {intervals}; it "
        f"rests on {clusters_in_words(first)} and leaves out what another training would change"
    ]


def interval_notes(statistics: pd.DataFrame, headline: str) -> list[str]:
    """Return what makes the headline's interval, or its UAR, easy to misread.

    Args:
        statistics: As in ``statistics.csv``.
        headline: The cell that counts; empty where there is none.
    """
    lines = _of_all_classes(statistics, headline)
    if not len(lines):
        return []
    first, two = lines.loc[METRICS[0]], two_uars(statistics, headline)
    notes = [f"note: {two.sentence}"] if two else []
    if first["sessions"] and not first["note"]:
        notes.append(
            f"note: these speakers sit in {first['sessions']} sessions; if those of a session are "
            "alike, the interval is wider: compare-systems --cluster session"
        )
    return notes


def _of_all_classes(statistics: pd.DataFrame, cell: str) -> pd.DataFrame:
    """Return the lines of a cell that are of no one class, by metric."""
    chosen = (statistics["cell"] == cell) & (statistics["class"] == "")
    return statistics[chosen].set_index("metric")


def _pooled(line: pd.Series) -> str:
    shown = common_rows(line)
    return f"{shown} test rows pooled" if " of " in shown else "all test rows pooled"


def _interval(metric: str, line: pd.Series) -> str:
    return f"{metric} {figure(line['pooled'])} ({figure(line['low'])} to {figure(line['high'])})"


def comparisons_in_words(comparisons: pd.DataFrame) -> list[str]:
    """Return how many comparisons were declared, and those that survive Holm's correction.

    Args:
        comparisons: As in ``comparisons.csv``.
    """
    if not len(comparisons):
        return [
            "comparisons: none; fusion takes two modalities, or name two cells with "
            "compare-systems --pair"
        ]
    size, metric = int(comparisons["family_size"].iloc[0]), comparisons["metric"].iloc[0]
    names = " and ".join(dict.fromkeys(comparisons["family"]))
    head = f"comparisons: {len(comparisons)} declared ({names}; {metric})"
    if not size:
        return [f"{head}; none could be tested: {comparisons['note'].iloc[0]}"]
    survivors = comparisons[comparisons["survives"] == "yes"]
    n_better = int((survivors["difference"] > 0).sum())
    lines = [
        f"{head}; after Holm's correction at {ALPHA:g}, for {P_FOR}, {n_better} "
        f"better, {len(survivors) - n_better} worse, {len(comparisons) - len(survivors)} undecided"
    ]
    lines += [f"  {sentence(line)}" for _, line in survivors.head(SHOWN).iterrows()]
    if len(survivors) > SHOWN:
        lines.append(f"  and {len(survivors) - SHOWN} more in {COMPARISONS}")
    return lines


def sentence(line: pd.Series) -> str:
    """Return one comparison as a sentence."""
    return (
        f"{line['first']} against {line['second']}: {figure(line['difference'], signed=True)} "
        f"({figure(line['low'], signed=True)} to {figure(line['high'], signed=True)}), p "
        f"{p_value(line['p'])}, Holm {p_value(line['p_holm'])} for {P_FOR}; smallest difference "
        f"that this corpus could have shown {figure(line['detectable'])}; better for "
        f"{line['better']} of {line['clusters']}{_on_common_rows(line)}"
    )


def common_rows(line: pd.Series) -> str:
    """Return how many rows a figure is of, and of how many planned ones where some are missing.

    >>> common_rows(pd.Series({"n_rows": 48, "n_test": 60})), common_rows(pd.Series({"n_rows": 60}))
    ('48 of 60', '60')
    """
    n_rows, n_test = int(line["n_rows"]), int(line.get("n_test", line["n_rows"]))
    return str(n_rows) if n_rows == n_test else f"{n_rows} of {n_test}"


def _on_common_rows(line: pd.Series) -> str:
    shown = common_rows(line)
    return f"; on the {shown} test rows that both answered" if " of " in shown else ""


def clusters_in_words(line: pd.Series) -> str:
    """Return how many speakers an interval rests on, and what they are worth if uneven."""
    clusters, effective = line["clusters"], line["effective_clusters"]
    worth = ""
    if clusters - effective >= 1:
        worth = f", worth {effective:.1f} of one size"
    return f"{clusters} {line['cluster_by']}s{worth}"
