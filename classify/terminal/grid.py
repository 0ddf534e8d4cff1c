"""The results on a terminal: the paper's tables with their notes, and the cell that counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from classify.evaluation.means import first_best, has_chosen, mean_on_valid
from classify.evaluation.metrics import COMPLETENESS, METRICS
from classify.evaluation.result_files import AGAIN, RESULTS_TABLE
from classify.grid.calibration import margin_note
from classify.models.classifiers import CLASSIFIERS, competitors
from classify.names import BASELINE, BY_VIEW, EARLY, LATE, LAYER, SYSTEM, UNIMODAL
from classify.results import choices
from classify.results.absent_classes import two_uars
from classify.results.degradation import DEGRADATION, in_short
from classify.results.paper_tables import PER_CLASS, VALID, is_incomplete, paper_table
from classify.results.shapley import CONTRIBUTIONS, EXACT
from classify.results.statistics_tables import read_statistics
from classify.results.table import ResultTable
from classify.results.write import GridResult
from classify.terminal.closing import closing
from classify.terminal.console import (
    add_line,
    figures_table,
    print_line,
    print_table,
    two_decimals,
)
from classify.terminal.notes import (
    cautions,
    footer,
    for_scale,
    headline,
    print_banner,
    stamp,
)
from classify.terminal.statistics import (
    comparisons_in_words,
    interval_in_words,
    interval_notes,
)
from classify.terminal.text_overlap import show_subsets
from embeddings_store.errors import StoreError
from embeddings_store.reading import reading

NOT_BY_VIEW = (
    "what each view of a modality contributes by itself is not known, because sets of views were "
    "not fused; --subsets view fuses them"
)
OWN = "no classifier"  # the largest class score of a head, a probe, a rule or a system
# In a narrow window the last of these go first; names, classifiers and what was chosen by stay.
AVERAGES_THAT_CAN_GO = ["average WA", *(f"avg {name}" for name in (VALID, *METRICS[1:]))]
TITLES = {
    UNIMODAL: "Table 4: one modality",
    LAYER: "Layers, one at a time",
    EARLY: "Table 5: early fusion",
    LATE: "Table 6: late fusion",
    SYSTEM: "Systems",
}


def show_results(result: GridResult, console: Console, *, verbose: bool = False) -> None:
    """Print every table, what they are of, and last the few lines that count.

    Args:
        result: The run.
        console: Where to.
        verbose: See :func:`show_tables` and :func:`show_closing`.
    """
    show_tables(result, console, verbose=verbose)
    show_closing(result, result.files, console, verbose=verbose)


def show_closing(
    result: GridResult, files: Sequence[Path], console: Console, *, verbose: bool = False
) -> None:
    """Print what the tables are of, what is to be noted, and last the few lines that count.

    Args:
        result: The run.
        files: What was written.
        console: Where to.
        verbose: Print also what stands for scale, and the comparisons that survive correction.
    """
    prepared, name = result.prepared, result.table.headline
    for line in footer(result):
        print_line(console, line, "dim")
    statistics, comparisons = read_statistics(prepared.config.out)
    if verbose:
        about = [
            *for_scale(result.table),
            *interval_in_words(statistics, name),
            *comparisons_in_words(comparisons),
        ]
        for line in about:
            print_line(console, line)
    notes = [*_notes(result), *interval_notes(statistics, name)]
    for line in notes:
        print_line(console, line)
    print_line(console, _what_was_written(result, files), "dim")
    print_banner(prepared, console)
    for number, line in enumerate(closing(result, statistics, comparisons, len(notes))):
        print_line(console, line, "" if number else "bold")


def one_line(result: GridResult, files: Sequence[Path]) -> str:
    """Return the result, and where it lies, in one line.

    Args:
        result: The run.
        files: What was written.
    """
    statistics, _ = read_statistics(result.prepared.config.out)
    found = headline(result.table, two_uars(statistics, result.table.headline))
    return f"{found}; {_what_was_written(result, files)}"


def _what_was_written(result: GridResult, files: Sequence[Path]) -> str:
    claim = result.prepared.claim
    stamped = f" ({claim.stamp})" if claim.stamp else ""
    return (
        f"{len(result.table.rows)} rows (cells x folds){stamped} in {result.prepared.config.out}: "
        f"{', '.join(path.name for path in files)}"
    )


def _notes(result: GridResult) -> list[str]:
    """Return what a reader must know beside the figures, a line each."""
    prepared = result.prepared
    is_split = prepared.config.valid_split is not None
    found = (margin_note(result.table.rows), choices.note(result.table.rows, is_split))
    return [*cautions(prepared), *(f"note: {note}" for note in found if note)]


def show_tables(result: GridResult, console: Console, *, verbose: bool = False) -> None:
    """Print every table.

    Args:
        result: The run.
        console: Where to.
        verbose: Print every way of fusing in the tables of modalities, not the one that counts.
    """
    rows, prepared = result.table.rows, result.prepared
    print_banner(prepared, console)
    shown = [family for family in TITLES if (rows["family"] == family).any()]
    for family in shown:
        title = f"{TITLES[family]} ({prepared.corpus}, test rows, per cent{stamp(prepared)})"
        of_family = rows if family == shown[0] else rows[rows["family"] != BASELINE]
        print_table(
            console, _accuracies(title, paper_table(of_family, family)), can_go=AVERAGES_THAT_CAN_GO
        )
    for path in result.files:
        if path.name == PER_CLASS:
            _show_per_class(path, result, console)
        if path.name in (CONTRIBUTIONS, DEGRADATION):
            _show_modalities(path, result, console, verbose=verbose)
    show_subsets(prepared.config.out, result.table.headline, console)


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
    prepared, cell = result.prepared, result.table.headline
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
    about = f"of {cell}; 'all' is weighted by support in each fold, then averaged over folds"
    print_table(console, table, [about])


def _show_modalities(path: Path, result: GridResult, console: Console, *, verbose: bool) -> None:
    """Print one line per way of fusing: points per modality, or accuracy as modalities are lost."""
    empty = {name: [""] for name in ("shapley_sd", "shapley_se", "alone", "last")}
    with reading(path, RESULTS_TABLE, AGAIN, StoreError):
        frame = pd.read_csv(path, keep_default_na=False, na_values=empty)
    prepared = result.prepared
    if path.name == CONTRIBUTIONS:
        only = None if verbose else _fused_that_counts(result.table)
        for _, part in frame.groupby(["game", "how"], sort=False):
            _show_shares(part, only, result, console)
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


def _fused_that_counts(table: ResultTable) -> str | None:
    """Return family, method and classifier of the headline, or of what fuses and came next to it.

    None where nothing fuses, or where no rows choose.
    """
    fused = table.rows[table.rows["family"].isin([EARLY, LATE, SYSTEM])]
    name = table.headline
    if name not in set(fused["cell"]):
        if not len(fused) or not has_chosen(fused):
            return None
        name = first_best(mean_on_valid(fused).to_dict())
    return str(_ways(fused[fused["cell"] == name]).iloc[0])


def _ways(rows: pd.DataFrame) -> pd.Series:
    return rows["family"] + " " + rows["method"] + " " + rows["classifier"]


def _show_shares(
    frame: pd.DataFrame, only: str | None, result: GridResult, console: Console
) -> None:
    """Print the Shapley values of one game, a line per way of fusing.

    Args:
        frame: The lines of the game.
        only: The way that is shown; none for all of them.
        result: The run.
        console: Where to.
    """
    ways, (game, how) = _ways(frame), frame.iloc[0][["game", "how"]]
    players = list(dict.fromkeys(frame["modality"]))
    table = figures_table(
        f"What each {game} contributes: Shapley value, {how}, points of test WA above the "
        f"commonest class ({result.prepared.corpus}{stamp(result.prepared)})",
        [*players, "all"],
    )
    shown = frame[ways == only] if only in set(ways) else frame
    for label, part in shown.groupby(ways, sort=False):
        by_player = part.set_index("modality").reindex(players)  # a system may lack some
        cells = []
        for share, error in zip(by_player["shapley"], by_player["shapley_se"], strict=True):
            cells.append(two_decimals(share) + ("" if pd.isna(error) else f" ± {error:.2f}"))
        add_line(table, str(label), *cells, two_decimals(by_player["shapley"].sum()))
    about = [] if how == EXACT else ["± is the standard error over the orders"]
    if len(shown) < len(frame):
        about.append(f"the other ways of fusing: --verbose, or {CONTRIBUTIONS}")
    print_table(console, table, about)
