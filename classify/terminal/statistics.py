"""The statistics in words.

The result with its interval, how many speakers that rests on, and what survives Holm's correction.
"""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Table

from classify.evaluation.metrics import METRICS
from classify.names import RESULT
from classify.results.statistics_tables import ALPHA, COMPARISONS

SHOWN = 6  # survivors in words; all of them stand in the file
OTHER_TESTS = {
    "p_sign_flip": "sign-flip",
    "p_mcnemar": "McNemar (ignores speakers)",
    "p_nadeau_bengio": "Nadeau-Bengio (folds)",
}
ASSUMPTIONS = (
    "p and Holm are of the t by speaker and count. Sign-flip exchanges the answers of speakers. "
    "McNemar takes rows "
    "for independent, which they are not, and rejects too often; Nadeau-Bengio takes folds for "
    "random resamples and "
    "rejects too rarely: benchmarks/README.md has the rates"
)


def in_words(statistics: pd.DataFrame, comparisons: pd.DataFrame, headline: str) -> list[str]:
    """Return the lines that stand under the tables.

    Args:
        statistics: As in ``statistics.csv``.
        comparisons: As in ``comparisons.csv``.
        headline: The cell that counts; empty where there is none.
    """
    return [*_result(statistics, headline), *_family(comparisons)]


def comparison_table(comparisons: pd.DataFrame) -> Table:
    """Return every comparison as a line of a table, differences in points of per cent."""
    first = comparisons.iloc[0]
    table = Table(
        title=f"Comparisons ({first['metric']}, test rows, by {first['cluster_by'] or 'row'})",
        title_justify="left",
    )
    for name in ("first", "second"):
        table.add_column(name, overflow="fold")
    for name in (
        "difference",
        f"{100 * first['level']:.0f} % interval",
        "p",
        "Holm",
        *OTHER_TESTS.values(),
        "better",
        "rows",
    ):
        table.add_column(name, justify="right", no_wrap=name == "difference")
    for _, line in comparisons.iterrows():
        table.add_row(
            line["first"],
            line["second"],
            figure(line["difference"], signed=True),
            f"{figure(line['low'], signed=True)} to {figure(line['high'], signed=True)}",
            p_value(line["p"]),
            p_value(line["p_holm"]),
            *(p_value(line[name]) for name in OTHER_TESTS),
            f"{line['better']} of {line['clusters']}",
            str(line["n_rows"]),
        )
    return table


def figure(value: float, *, signed: bool = False) -> str:
    """Return a share in per cent with one decimal, ``-`` for ``nan``."""
    return "-" if math.isnan(value) else f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def p_value(p: float) -> str:
    """Return a p value with two digits that count.

    >>> p_value(0.00004), p_value(0.0321), p_value(0.4), p_value(float("nan"))
    ('< 0.001', '0.032', '0.40', '-')
    """
    if math.isnan(p):
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _result(statistics: pd.DataFrame, headline: str) -> list[str]:
    lines = statistics[(statistics["cell"] == headline) & (statistics["class"] == "")].set_index(
        "metric"
    )
    if not len(lines):
        return []
    first = lines.loc[METRICS[0]]
    claim = (
        ""
        if first.get("claim", RESULT) == RESULT
        else f" ({str(first['claim']).upper()}, no result)"
    )
    if first["note"]:
        shown = ", ".join(f"{metric} {figure(lines.loc[metric, 'pooled'])}" for metric in METRICS)
        return [f"interval{claim}: none, {first['note']}; all test rows pooled: {shown}"]
    intervals = ", ".join(
        f"{metric} {figure(line['pooled'])} ({figure(line['low'])} to {figure(line['high'])})"
        for metric, line in lines.loc[list(METRICS)].iterrows()
    )
    told = [
        f"interval{claim}, {100 * first['level']:.0f} %, all test rows pooled: {intervals}; it "
        f"rests on {_clusters(first)} "
        "and leaves out what another training would change"
    ]
    if first["sessions"]:
        told.append(
            f"note: these speakers sit in {first['sessions']} sessions; if those of a session are "
            "alike, the interval is "
            "wider: compare-systems --cluster session"
        )
    return told


def _family(comparisons: pd.DataFrame) -> list[str]:
    if not len(comparisons):
        return [
            "comparisons: none; fusion takes two modalities, or name two cells with "
            "compare-systems --pair"
        ]
    size, metric = int(comparisons["family_size"].iloc[0]), comparisons["metric"].iloc[0]
    survivors = comparisons[comparisons["survives"] == "yes"]
    names = " and ".join(dict.fromkeys(comparisons["family"]))
    better = int((survivors["difference"] > 0).sum())
    head = f"comparisons: {len(comparisons)} declared ({names}; {metric})"
    if not size:
        return [f"{head}; none could be tested: {comparisons['note'].iloc[0]}"]
    lines = [
        f"{head}; after Holm's correction at {ALPHA:g} {better} better, {len(survivors) - better} "
        "worse, "
        f"{len(comparisons) - len(survivors)} undecided"
    ]
    lines += [f"  {sentence(line)}" for _, line in survivors.head(SHOWN).iterrows()]
    return lines + (
        [f"  and {len(survivors) - SHOWN} more in {COMPARISONS}"] if len(survivors) > SHOWN else []
    )


def sentence(line: pd.Series) -> str:
    """Return one comparison as a sentence."""
    return (
        f"{line['first']} against {line['second']}: {figure(line['difference'], signed=True)} "
        f"({figure(line['low'], signed=True)} to {figure(line['high'], signed=True)}), p "
        f"{p_value(line['p'])}, "
        f"Holm {p_value(line['p_holm'])}; better for {line['better']} of {line['clusters']}"
    )


def _clusters(line: pd.Series) -> str:
    worth = (
        f", worth {line['effective_clusters']:.1f} of one size"
        if line["clusters"] - line["effective_clusters"] >= 1
        else ""
    )
    return f"{line['clusters']} {line['cluster_by']}s{worth}"
