"""``statistics.csv`` and ``comparisons.csv``.

Every figure with its interval, and a declared family of comparisons.

``statistics.csv`` has one row per cell, metric and class (empty: all classes). ``pooled`` is the
figure of all test rows, ``low`` and ``high`` its interval (:mod:`classify.evaluation.intervals`),
``mean`` and ``sd`` mean and sample deviation over folds; ``sessions`` says in how many sessions
speakers sit together, 0 where each has its own or there are none. Several seeds are pooled:
``n_rows`` counts every answer, and speakers keep the answers to one utterance together. Shares, not
per cent. ``comparisons.csv`` has one row per comparison of the declared family
(:mod:`classify.evaluation.comparisons`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from classify.evaluation.comparisons import Pair
from classify.evaluation.intervals import (
    INTERVAL,
    LEVEL,
    Estimate,
    Figure,
    calibration_error,
    estimate,
    of_class,
    overall,
)
from classify.evaluation.metrics import METRICS, of_counts, per_class_of_counts
from classify.evaluation.paired_tests import compare, holm, mcnemar, nadeau_bengio
from classify.evaluation.predictions import SEEDS, Answers, Rows
from classify.results.files import write_csv

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


def write_statistics(
    answers: Answers, pairs: Sequence[Pair], metric: str, out: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write both files into a results folder, each whole or not at all, and return them."""
    statistics, comparisons = statistics_table(answers), comparisons_table(answers, pairs, metric)
    write_csv(out / STATISTICS, statistics)
    write_csv(out / COMPARISONS, comparisons)
    return statistics, comparisons


def read_statistics(results: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read both files back; words are never ``nan``, numbers are where there is none."""
    statistics, comparisons = (
        pd.read_csv(results / name, keep_default_na=False, na_values={c: [""] for c in NUMBERS})
        for name in (STATISTICS, COMPARISONS)
    )
    return statistics, comparisons


def statistics_table(answers: Answers) -> pd.DataFrame:
    """Return one row per cell, metric and class."""
    about = _about(answers)
    lines = []
    for name, rows in answers.cells.items():
        of_cell = answers.grid[answers.grid["cell"] == name]
        head = about | {"cell": name, **{c: of_cell[c].iloc[0] for c in NAMED if c in of_cell}}
        lines += [
            head | line | {"n_missing": int(of_cell["n_missing"].sum())}
            for line in _cell_lines(answers, rows)
        ]
    return pd.DataFrame(lines)


def comparisons_table(answers: Answers, pairs: Sequence[Pair], metric: str) -> pd.DataFrame:
    """Return one row per pair, Holm's correction over all of them.

    An empty table has the columns too.

    Args:
        answers: What the cells answered.
        pairs: The declared family.
        metric: The one metric that it is about.
    """
    lines = [_pair_line(answers, pair, metric) for pair in pairs]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    table["p_holm"] = holm(table["p"].astype(float).tolist())
    table["family_size"] = int(table["p"].notna().sum())
    table["survives"] = np.where(
        table["p_holm"].isna(), "", np.where(table["p_holm"] < ALPHA, "yes", "no")
    )
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
    "folds",
    "cluster_by",
    "clusters",
    "effective_clusters",
    "note",
)


def _cell_lines(answers: Answers, rows: Rows) -> list[dict[str, object]]:
    counts, folds = answers.counts(rows), answers.fold_counts(rows)
    by_fold, by_fold_class = of_counts(folds), per_class_of_counts(folds)
    lines = [
        _line(answers, metric, "", counts, overall(metric), by_fold[metric]) for metric in METRICS
    ]
    for code, name in enumerate(answers.classes):
        held = by_fold_class["support"][:, code] > 0
        lines += [
            _line(
                answers,
                metric,
                name,
                counts,
                of_class(metric, code),
                by_fold_class[metric][held, code],
                counts[:, code, :].sum(-1),
            )
            for metric in CLASS_METRICS
        ]
    if rows.largest is not None:
        right = rows.y_true == rows.y_pred
        each = np.array(
            [
                calibration_error(rows.largest[rows.fold == fold], right[rows.fold == fold])
                for fold in np.unique(rows.fold)
            ]
        )
        nan = float("nan")
        found = Estimate(
            calibration_error(rows.largest, right), nan, nan, nan, 0, nan, NO_ECE_INTERVAL
        )
        lines.append(_figures(answers, ECE, "", found, each, len(right)))
    return lines


def _line(
    answers: Answers,
    metric: str,
    name: str,
    counts: np.ndarray,
    figure: Figure,
    folds: np.ndarray,
    sizes: np.ndarray | None = None,
) -> dict[str, object]:
    sizes = counts.sum((-1, -2)) if sizes is None else sizes
    found = estimate(counts, figure, sizes)
    return _figures(answers, metric, name, found, folds, int(sizes.sum()))


def _figures(
    answers: Answers, metric: str, name: str, found: Estimate, folds: np.ndarray, n_rows: int
) -> dict[str, object]:
    why = answers.cluster_note or found.why_none
    low, high = (float("nan"), float("nan")) if why else (found.low, found.high)
    return {
        "metric": metric,
        "class": name,
        "pooled": found.value,
        "low": low,
        "high": high,
        "level": LEVEL,
        "mean": float(folds.mean()) if len(folds) else float("nan"),
        "sd": float(folds.std(ddof=1)) if len(folds) > 1 else float("nan"),
        "folds": len(folds),
        "n_rows": n_rows,
        "cluster_by": answers.cluster_by,
        "clusters": found.clusters,
        "effective_clusters": found.effective,
        "sessions": answers.sessions,
        "interval": "" if why else INTERVAL,
        "note": why,
    }


def _pair_line(answers: Answers, pair: Pair, metric: str) -> dict[str, object]:
    first, second = answers.cell(pair.first), answers.cell(pair.second)
    common = np.intersect1d(first.key, second.key, assume_unique=True)
    left_out = len(np.union1d(first.key, second.key)) - len(common)
    first, second = first.take(np.isin(first.key, common)), second.take(np.isin(second.key, common))
    figure = overall(metric)
    found = compare(answers.counts(first), answers.counts(second), figure)
    by_fold = figure(answers.fold_counts(first)) - figure(answers.fold_counts(second))
    right, other = first.y_pred == first.y_true, second.y_pred == second.y_true
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    seeds = [c for c in SEEDS if c in answers.grid]
    once = (
        not seeds or len(answers.grid[seeds].drop_duplicates()) == 1
    )  # several seeds answer each row again
    grid = answers.grid[answers.grid["cell"] == pair.first]
    effect, why = found.difference, answers.cluster_note or found.difference.why_none
    nan = float("nan")
    return _about(answers) | {
        "family": pair.family,
        "question": pair.question,
        "first": pair.first,
        "second": pair.second,
        "metric": metric,
        "first_value": found.first,
        "second_value": found.second,
        "difference": effect.value,
        "low": nan if why else effect.low,
        "high": nan if why else effect.high,
        "level": LEVEL,
        "p": nan if why else found.p,
        "p_sign_flip": nan if answers.cluster_note else found.p_sign_flip,
        "p_mcnemar": mcnemar(only_first, only_second) if once else nan,
        "p_nadeau_bengio": nadeau_bengio(by_fold, float((grid["n_test"] / grid["n_fit"]).mean())),
        "better": found.better,
        "worse": found.worse,
        "only_first_right": only_first,
        "only_second_right": only_second,
        "n_rows": len(common),
        "n_left_out": left_out,
        "folds": len(by_fold),
        "cluster_by": answers.cluster_by,
        "clusters": effect.clusters,
        "effective_clusters": effect.effective,
        "note": why,
    }


def _about(answers: Answers) -> dict[str, object]:
    return {c: answers.grid[c].iloc[0] for c in ABOUT if c in answers.grid}
