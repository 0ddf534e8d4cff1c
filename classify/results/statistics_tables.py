"""``statistics.csv`` and ``comparisons.csv``: figures with intervals, and declared comparisons.

``statistics.csv`` has one row per cell, metric and class (empty: all classes). ``pooled`` is the
figure of all test rows, ``low`` and ``high`` its interval (:mod:`classify.evaluation.intervals`),
``mean`` and ``sd`` mean and sample deviation over folds; ``sessions`` says in how many sessions
speakers sit together, 0 where each has its own or there are none. Several seeds are pooled:
``n_rows`` counts every answer, and speakers keep the answers to one utterance together. ``n_test``
counts every row of the plan likewise; ``coverage`` and ``WA_all`` are of these, all pooled. Shares,
not per cent. ``comparisons.csv`` has one row per comparison of the declared family
(:mod:`classify.evaluation.comparisons`): ``n_rows`` of the plan's ``n_test`` rows were answered by
both cells, and every figure in it is of these. ``models`` says of what ``p``, ``p_holm``,
``p_sign_flip`` and ``p_mcnemar`` are: these fitted models. ``detectable`` is the smallest
difference that the corpus could have shown (:func:`classify.evaluation.paired_tests.detectable`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classify.claim import Claim
from classify.evaluation.comparisons import Pair
from classify.evaluation.intervals import (
    INTERVAL,
    LEVEL,
    Estimate,
    all_of_class,
    all_overall,
    calibration_error,
    estimates,
    overall,
)
from classify.evaluation.metrics import (
    COVERAGE,
    METRICS,
    WA_ALL,
    completeness,
    of_counts,
    per_class_of_counts,
)
from classify.evaluation.paired_tests import P_FOR, compare, holm, mcnemar, nadeau_bengio
from classify.evaluation.predictions import SEEDS, CellPredictions, StoredPredictions
from classify.evaluation.result_files import AGAIN, RESULTS_TABLE
from classify.results.files import write_csv
from embeddings_store.errors import StoreError
from embeddings_store.reading import reading

if TYPE_CHECKING:
    import pandas as pd

STATISTICS, COMPARISONS = "statistics.csv", "comparisons.csv"
CLASS_METRICS = ("precision", "recall", "F1")
ABOUT = ("claim", "corpus", "protocol", "label_set", "labels_shuffled")
NAMED = ("family", "method", "modalities", "classifier", "flags")
NUMBERS = (
    "pooled",
    "low",
    "high",
    "mean",
    "sd",
    "effective_clusters",
    "difference",
    "detectable",
    "first_value",
    "second_value",
    "p",
    "p_holm",
    "p_sign_flip",
    "p_mcnemar",
    "p_nadeau_bengio",
)
ALPHA = 0.05
DECLARED_METRIC = "WA"  # what the grid chooses by is what its comparisons are about
ECE = "ECE"
NO_ECE_INTERVAL = "binning biases it upwards, so no interval"
NAN = float("nan")
# what comparisons take from grid.csv
READ = {*ABOUT, *SEEDS, "cell", "n_scored", "n_fit", "n_test"}

Floats = NDArray[np.float64]


def write_statistics(
    answers: StoredPredictions, pairs: Sequence[Pair], metric: str, out: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write both files into a results folder, each whole or not at all, and return them.

    Args:
        answers: What the cells answered.
        pairs: The declared family.
        metric: The one metric that the comparisons are about.
        out: The folder.
    """
    statistics = statistics_table(answers)
    comparisons = comparisons_table(answers, pairs, metric)
    claim = Claim.of_rows(answers.grid)
    write_csv(out / STATISTICS, statistics, claim)
    write_csv(out / COMPARISONS, comparisons, claim)
    return statistics, comparisons


def read_statistics(results: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read both files back; words are never ``nan``, numbers are where there is none."""
    return _read(results / STATISTICS), _read(results / COMPARISONS)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    empty_numbers = {column: [""] for column in NUMBERS}
    with reading(path, RESULTS_TABLE, AGAIN, StoreError):
        return pd.read_csv(path, keep_default_na=False, na_values=empty_numbers)


def statistics_table(answers: StoredPredictions) -> pd.DataFrame:
    """Return one row per cell, metric and class."""
    import pandas as pd

    about = _about(answers)
    lines = []
    of_cells = ("cell", *NAMED, "n_test", "n_missing")  # every choice of rows copies all columns
    read = answers.grid[[name for name in answers.grid if name in of_cells]]
    by_cell = dict(iter(read.groupby("cell", sort=False)))
    for name, rows in answers.cells.items():
        of_cell = by_cell[name]
        named = {column: of_cell[column].iloc[0] for column in NAMED if column in of_cell}
        planned = _planned(of_cell, rows)
        for line in _cell_lines(answers, rows):
            lines.append({**about, "cell": name, **named, **line, **planned})
    return pd.DataFrame(lines)


def _planned(of_cell: pd.DataFrame, rows: CellPredictions) -> dict[str, object]:
    """Return of how many rows of the plan the figures of a cell are, all folds and seeds pooled.

    Args:
        of_cell: The cell's rows of ``grid.csv``.
        rows: What it answered.
    """
    n_test = int(of_cell["n_test"].sum())
    right = float((rows.y_true == rows.y_pred).mean()) if len(rows.key) else NAN
    covered, right_of_all = completeness(right, len(rows.key), n_test)
    return {
        "n_missing": int(of_cell["n_missing"].sum()),
        "n_test": n_test,
        COVERAGE: float(covered),
        WA_ALL: float(right_of_all),
    }


def comparisons_table(
    answers: StoredPredictions, pairs: Sequence[Pair], metric: str
) -> pd.DataFrame:
    """Return one row per pair, Holm's correction over all of them.

    An empty table has the columns too.

    Args:
        answers: What the cells answered.
        pairs: The declared family.
        metric: The one metric that it is about.
    """
    import pandas as pd

    read = [name for name in answers.grid if name in READ]  # each choice of rows copies all columns
    answers = replace(answers, grid=answers.grid[read])
    once = _answered_once(answers)
    lines = [_pair_line(answers, pair, metric, once) for pair in pairs]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    table["p_holm"] = holm(table["p"].astype(float).tolist())
    table["family_size"] = int(table["p"].notna().sum())
    decided = np.where(table["p_holm"] < ALPHA, "yes", "no")
    table["survives"] = np.where(table["p_holm"].isna(), "", decided)
    return table


COLUMNS = (
    *ABOUT,
    "family",
    "question",
    "first",
    "second",
    "metric",
    "first_value",
    "second_value",
    "difference",
    "low",
    "high",
    "level",
    "detectable",
    "models",
    "p",
    "p_holm",
    "family_size",
    "survives",
    "p_sign_flip",
    "p_mcnemar",
    "p_nadeau_bengio",
    "better",
    "worse",
    "only_first_right",
    "only_second_right",
    "n_rows",
    "n_left_out",
    "n_test",
    "folds",
    "cluster_by",
    "clusters",
    "effective_clusters",
    "note",
)


@dataclass(frozen=True, slots=True)
class _Figure:
    """One figure of one cell.

    Attributes:
        metric: Its name.
        of_class: The class that it is of; empty for all classes.
        found: Its value over all test rows, with the interval.
        by_fold: Its value in every fold that has rows (K,).
        n_rows: How many rows it is of.
    """

    metric: str
    of_class: str
    found: Estimate
    by_fold: Floats
    n_rows: int


def _cell_lines(answers: StoredPredictions, rows: CellPredictions) -> list[dict[str, object]]:
    """Return one line per metric, per class and metric, and for calibration where there is such."""
    counts, folds = answers.counts(rows), answers.fold_counts(rows)
    by_fold, by_fold_class = of_counts(folds), per_class_of_counts(folds)
    figures = []
    sizes = counts.sum((-1, -2))
    overall_figures = estimates(counts, all_overall(METRICS), sizes)
    for metric, found in zip(METRICS, overall_figures, strict=True):
        figures.append(_Figure(metric, "", found, by_fold[metric], int(sizes.sum())))
    for code, name in enumerate(answers.classes):
        sizes = counts[:, code, :].sum(-1)
        # a fold without rows of a class says nothing of it
        held = by_fold_class["support"][:, code] > 0
        of_class = estimates(counts, all_of_class(CLASS_METRICS, code), sizes)
        for metric, found in zip(CLASS_METRICS, of_class, strict=True):
            in_folds = by_fold_class[metric][held, code]
            figures.append(_Figure(metric, name, found, in_folds, int(sizes.sum())))
    if rows.largest is not None:
        figures.append(_calibration_figure(rows, rows.largest))
    return [_statistics_line(answers, figure) for figure in figures]


def _calibration_figure(rows: CellPredictions, largest: Floats) -> _Figure:
    """Return the calibration error of the largest probabilities (n,), without an interval."""
    right = rows.y_true == rows.y_pred
    by_fold = []
    for fold in np.unique(rows.fold):
        of_fold = rows.fold == fold
        by_fold.append(calibration_error(largest[of_fold], right[of_fold]))
    value = calibration_error(largest, right)
    found = Estimate(value, NAN, NAN, NAN, 0, NAN, NO_ECE_INTERVAL)
    return _Figure(ECE, "", found, np.array(by_fold), len(right))


def _statistics_line(answers: StoredPredictions, figure: _Figure) -> dict[str, object]:
    found, folds = figure.found, figure.by_fold
    why_none = answers.cluster_note or found.why_none
    return {
        "metric": figure.metric,
        "class": figure.of_class,
        "pooled": found.value,
        "low": NAN if why_none else found.low,
        "high": NAN if why_none else found.high,
        "level": LEVEL,
        "mean": float(folds.mean()) if len(folds) else NAN,
        "sd": float(folds.std(ddof=1)) if len(folds) > 1 else NAN,
        "folds": len(folds),
        "n_rows": figure.n_rows,
        "cluster_by": answers.cluster_by,
        "clusters": found.clusters,
        "effective_clusters": found.effective,
        "sessions": answers.sessions,
        "interval": "" if why_none else INTERVAL,
        "note": why_none,
    }


def _pair_line(
    answers: StoredPredictions, pair: Pair, metric: str, once: bool
) -> dict[str, object]:
    """Return one comparison, on the rows that both cells answered; of McNemar if each once."""
    first, second = answers.cell(pair.first), answers.cell(pair.second)
    first, second, n_left_out = _on_common_rows(first, second)
    figure = overall(metric)
    found = compare(answers.counts(first), answers.counts(second), figure)
    by_fold = figure(answers.fold_counts(first)) - figure(answers.fold_counts(second))
    first_right = first.y_pred == first.y_true
    second_right = second.y_pred == second.y_true
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    grid = answers.grid[answers.grid["cell"] == pair.first]
    # how far folds share training rows, by which the corrected test widens the variance
    test_per_fit = float((grid["n_scored"] / grid["n_fit"]).mean())
    effect = found.difference
    why_none = answers.cluster_note or effect.why_none
    return _about(answers) | {
        "family": pair.family,
        "question": pair.question,
        "first": pair.first,
        "second": pair.second,
        "metric": metric,
        "first_value": found.first,
        "second_value": found.second,
        "difference": effect.value,
        "low": NAN if why_none else effect.low,
        "high": NAN if why_none else effect.high,
        "level": LEVEL,
        "detectable": NAN if why_none else found.detectable,
        "models": P_FOR,
        "p": NAN if why_none else found.p,
        "p_sign_flip": NAN if answers.cluster_note else found.p_sign_flip,
        "p_mcnemar": mcnemar(only_first, only_second) if once else NAN,
        "p_nadeau_bengio": nadeau_bengio(by_fold, test_per_fit),
        "better": found.better,
        "worse": found.worse,
        "only_first_right": only_first,
        "only_second_right": only_second,
        "n_rows": len(first.key),
        "n_left_out": n_left_out,
        "n_test": int(grid["n_test"].sum()),
        "folds": len(by_fold),
        "cluster_by": answers.cluster_by,
        "clusters": effect.clusters,
        "effective_clusters": effect.effective,
        "note": why_none,
    }


def _on_common_rows(
    first: CellPredictions, second: CellPredictions
) -> tuple[CellPredictions, CellPredictions, int]:
    """Return the rows that both cells answered, and how many one of them did not."""
    if np.array_equal(first.key, second.key):
        return first, second, 0
    # a system cannot answer rows that lack all of its modalities
    common = np.intersect1d(first.key, second.key, assume_unique=True)
    n_left_out = len(np.union1d(first.key, second.key)) - len(common)
    mine, its = np.isin(first.key, common), np.isin(second.key, common)
    return first.take(mine), second.take(its), n_left_out


def _answered_once(answers: StoredPredictions) -> bool:
    """Return whether every row was answered once: several seeds answer each of them again."""
    seeds = [column for column in SEEDS if column in answers.grid]
    return not seeds or len(answers.grid[seeds].drop_duplicates()) == 1


def _about(answers: StoredPredictions) -> dict[str, object]:
    return {column: answers.grid[column].iloc[0] for column in ABOUT if column in answers.grid}
