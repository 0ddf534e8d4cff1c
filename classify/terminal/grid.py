"""The results on a terminal: the paper's tables with their notes, and the cell that counts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from classify.evaluation.metrics import COMPLETENESS, METRICS
from classify.evaluation.result_files import AGAIN, RESULTS_TABLE
from classify.grid.calibration import margin_note
from classify.models.classifiers import CLASSIFIERS, competitors
from classify.names import BY_VIEW, EARLY, LATE, LAYER, SYSTEM, UNIMODAL
from classify.results import choices
from classify.results.degradation import DEGRADATION, in_short
from classify.results.paper_tables import PER_CLASS, VALID, is_incomplete, paper_table
from classify.results.shapley import CONTRIBUTIONS, EXACT
from classify.results.statistics_tables import read_statistics
from classify.results.write import GridResult
from classify.terminal.console import (
    add_line,
    figures_table,
    print_line,
    print_table,
    two_decimals,
)
from classify.terminal.notes import cautions, footer, print_banner, stamp, verdict
from classify.terminal.statistics import in_words
from classify.terminal.text_overlap import show_subsets
from embeddings_store.errors import StoreError
from embeddings_store.reading import reading

NOT_BY_VIEW = (
    "what each view of a modality contributes by itself is not known, because sets of views were "
    "not fused; --subsets view fuses them"
)
OWN = "no classifier"  # the largest class score of a head, a probe, a rule or a system
TITLES = {
    UNIMODAL: "Table 4: one modality",
    LAYER: "Layers, one at a time",
    EARLY: "Table 5: early fusion",
    LATE: "Table 6: late fusion",
    SYSTEM: "Systems",
}


def show_results(result: GridResult, console: Console) -> None:
    """Print every table, each with its footer, and then the cell that counts.

    Args:
        result: The run.
        console: Where to.
    """
    rows, prepared = result.table.rows, result.prepared
    print_banner(prepared, console)
    for family, title in TITLES.items():
        if (rows["family"] == family).any():
            full_title = f"{title} ({prepared.corpus}, test rows, per cent{stamp(prepared)})"
            table = _accuracies(full_title, paper_table(rows, family))
            print_table(console, table, footer(result, family))
    for path in result.files:
        if path.name in (CONTRIBUTIONS, DEGRADATION):
            _show_modalities(path, result, console)
        if path.name == PER_CLASS:
            _show_per_class(path, result, console)
    show_subsets(prepared.config.out, result.table.headline, console)
    statistics, comparisons = read_statistics(prepared.config.out)
    for line in verdict(result.table, statistics):
        print_line(console, line, "bold")
    for line in in_words(statistics, comparisons, result.table.headline):
        print_line(console, line)
    for line in cautions(prepared):
        print_line(console, line)
    is_split = prepared.config.valid_split is not None
    for note in (margin_note(rows), choices.note(rows, is_split)):
        if note:
            print_line(console, f"note: {note}")
    print_banner(prepared, console)


def _accuracies(title: str, frame: pd.DataFrame) -> Table:
    """Return accuracy per classifier, then the averages of every metric.

    Args:
        title: What stands above the table.
        frame: A table of :func:`classify.results.paper_tables.paper_table`.
    """
    columns = {name: CLASSIFIERS[name].title for name in competitors() if name in frame}
    # the order of the columns: classifiers, their own class scores, and the mean of the former
    if "own" in frame:
        columns["own"] = OWN
    columns["average"] = "average WA"
    others = [metric for metric in METRICS if metric != "WA"]
    if is_incomplete(frame):
        others += COMPLETENESS
    if (frame["metric"] == VALID).any():
        others.append(VALID)
    table = figures_table(title, [*columns.values(), *(f"avg {metric}" for metric in others)])
    by_metric = {}
    for metric, part in frame.groupby("metric", sort=False):
        by_metric[metric] = part.set_index("row")
    for label, line in by_metric["WA"].iterrows():
        cells = [_mean_and_deviation(line, name) for name in columns]
        cells += [_mean_and_deviation(by_metric[m].loc[label], "average") for m in others]
        add_line(table, str(label), *cells)
    return table


def _mean_and_deviation(line: pd.Series, name: str) -> str:
    """Return a mean with its deviations over folds and over seeds, where there are such."""
    if pd.isna(line[name]):
        return "-"
    text = f"{line[name]:.2f}"
    over_folds, over_seeds = line[f"{name}_sd"], line.get(f"{name}_seed_sd", float("nan"))
    if not pd.isna(over_folds):
        text += f" ± {over_folds:.2f}"
    if not pd.isna(over_seeds):
        text += f" (± {over_seeds:.2f})"
    return text


def _show_per_class(path: Path, result: GridResult, console: Console) -> None:
    """Print precision, recall and F1 of every class of the cell that counts."""
    with reading(path, RESULTS_TABLE, AGAIN, StoreError):
        frame = pd.read_csv(path, dtype={"class": str, "cell": str}, keep_default_na=True)
    prepared, headline = result.prepared, result.table.headline
    more = ("planned", *COMPLETENESS) if (frame["planned"] > frame["support"]).any() else ()
    table = figures_table(
        f"Table 7: per class ({prepared.corpus}, test rows, per cent{stamp(prepared)})",
        ("precision", "recall", "F1", "support", *more),
    )
    for _, line in frame.iterrows():
        figures = [_mean_and_deviation(line, name) for name in ("precision", "recall", "F1")]
        figures.append(str(line["support"]))
        if more:
            figures.append(str(line["planned"]))
            figures += [two_decimals(line[name]) for name in COMPLETENESS]
        add_line(table, str(line["class"]), *figures)
    rows = result.table.rows
    family = str(rows.loc[rows["cell"] == headline, "family"].iloc[0])
    about = f"of {headline}; 'all' is weighted by support in each fold, then averaged over folds"
    print_table(console, table, [about, *footer(result, family)])


def _show_modalities(path: Path, result: GridResult, console: Console) -> None:
    """Print one line per way of fusing: points per modality, or accuracy as modalities are lost."""
    empty = {name: [""] for name in ("shapley_sd", "shapley_se", "alone", "last")}
    with reading(path, RESULTS_TABLE, AGAIN, StoreError):
        frame = pd.read_csv(path, keep_default_na=False, na_values=empty)
    prepared = result.prepared
    if path.name == CONTRIBUTIONS:
        for (game, how), part in frame.groupby(["game", "how"], sort=False):
            _show_shares(str(game), str(how), part, result, console)
        by_view = prepared.config.subsets_by == BY_VIEW or prepared.joined
        if not by_view and len(prepared.modality_of) > len(set(prepared.modality_of.values())):
            print_line(console, f"note: {NOT_BY_VIEW}")
        return
    lines = in_short(frame)
    title = f"Test WA, per cent, as modalities are lost (seed {frame['drop_seed'].iloc[0]})"
    table = figures_table(
        f"{title} ({prepared.corpus}{stamp(prepared)})", [str(name) for name in lines.columns]
    )
    for label, line in lines.iterrows():
        add_line(table, str(label), *(two_decimals(value) for value in line))
    print_table(console, table)


def _show_shares(
    game: str, how: str, frame: pd.DataFrame, result: GridResult, console: Console
) -> None:
    """Print the Shapley values of one game, a line per way of fusing."""
    names = frame["family"] + " " + frame["method"] + " " + frame["classifier"]
    players = list(dict.fromkeys(frame["modality"]))
    table = figures_table(
        f"What each {game} contributes: Shapley value, {how}, points of test WA above the "
        f"commonest class ({result.prepared.corpus}{stamp(result.prepared)})",
        [*players, "all"],
    )
    for label, part in frame.groupby(names, sort=False):
        by_player = part.set_index("modality").reindex(players)  # a system may lack some
        cells = []
        for share, error in zip(by_player["shapley"], by_player["shapley_se"], strict=True):
            cells.append(two_decimals(share) + ("" if pd.isna(error) else f" ± {error:.2f}"))
        add_line(table, str(label), *cells, two_decimals(by_player["shapley"].sum()))
    is_exact = how == EXACT
    print_table(console, table, [] if is_exact else ["± is the standard error over the orders"])
