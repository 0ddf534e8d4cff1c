"""The grid in the shape of the paper's Tables 4 to 7, as CSV.

One file per table, per-cent, mean and deviation over folds.

In ``table4_unimodal``, ``table5_early``, ``table6_late`` (and ``table_layers`` and
``table_systems`` where there are such) there is one line per row of the paper's table and metric: a
column per classifier, each with its deviation ``_sd``, and ``average`` over these classifiers,
which judges the fusion apart from the classifier. ``own`` is the largest class score itself (of a
head, a probe, a rule or a system); where no classifier stands in a line it is the ``average`` too.
Baselines stand below, in ``average``. ``_sd`` is the sample deviation (n - 1) over folds and empty
for a single fold. Where there are several seeds, of the classifier or of the fine-tuning, every
figure is the mean over them, ``_sd`` is the deviation over folds of means over seeds, and
``_seed_sd`` the deviation over seeds of means over folds.

``table7_per_class`` and ``confusion`` are of the headline cell: a class is averaged over the folds
whose test rows hold it, ``all`` is weighted by support inside each fold and then averaged over
folds, as the paper's line is. Counts of the confusion are summed over folds and seeds; ``support``
is that of one seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classify.evaluation.metrics import METRICS, PerClass, confusion, per_class
from classify.models.classifiers import CLASSIFIERS, COMPETITORS
from classify.names import BASELINE, EARLY, HEAD, LATE, LAYER, PROBE, RESULT, RULE, SYSTEM, UNIMODAL
from classify.results.files import write_csv

PAPER_TABLES = {
    UNIMODAL: "table4_unimodal.csv",
    EARLY: "table5_early.csv",
    LATE: "table6_late.csv",
    LAYER: "table_layers.csv",
    SYSTEM: "table_systems.csv",
}
PER_CLASS, CONFUSION = "table7_per_class.csv", "confusion.csv"
ROW = {UNIMODAL: "modalities", EARLY: "method", LATE: "method", LAYER: "layer", SYSTEM: "method"}
ABOUT = (
    "claim",
    "corpus",
    "protocol",
    "plan",
    "split_digest",
    "valid_rule",
    "shared",
    "label_set",
    "labels_shuffled",
    "fit_rows",
    "seed",
    "encoder_seed",
)
SEEDS = ["seed", "encoder_seed"]
VALID = "valid_WA"

Codes = NDArray[np.int64]


def write_paper_tables(rows: pd.DataFrame, out: Path) -> list[Path]:
    """Write a table for every family that ran, and remove a table that an earlier run left for one that did not."""
    written = []
    for family, name in PAPER_TABLES.items():
        if (rows["family"] == family).any():
            write_csv(out / name, paper_table(rows, family))
            written.append(out / name)
        else:
            (out / name).unlink(missing_ok=True)
    return written


def paper_table(rows: pd.DataFrame, family: str) -> pd.DataFrame:
    """Return one family's table, and the baselines below it.

    Args:
        rows: The rows of a :class:`classify.results.table.ResultTable`.
        family: ``unimodal``, ``early``, ``late``, ``layer`` or ``system``.
    """
    part = rows[rows["family"] == family]
    labels = part[ROW[family]]
    if part.groupby(labels)["modalities"].nunique().max() > 1:  # subsets of the modalities
        labels = labels + " of " + part["modalities"]
    metrics = [*METRICS, *([VALID] if rows[VALID].notna().any() else [])]
    lines = []
    for metric in metrics:
        for label, of_row in part.groupby(labels, sort=False):
            lines.append(_line(str(label), metric, of_row, family))
        for name, of_baseline in rows[rows["family"] == BASELINE].groupby("classifier", sort=False):
            lines.append(
                {
                    "row": CLASSIFIERS[str(name)].title,
                    "metric": metric,
                    **_mean_sd("average", of_baseline, metric),
                }
            )
    about = about_of(part)
    table = pd.DataFrame(lines)
    for position, name in enumerate(ABOUT):
        table.insert(position, name, about[name])
    table.insert(len(ABOUT), "folds", rows["fold"].nunique())
    return table


def about_of(rows: pd.DataFrame) -> dict[str, str]:
    """Return what is the same for all rows, and all seeds with commas (fit rows and those of fine-tunings with semicolons)."""
    first = rows.iloc[0]
    marks = {"seed": ",", "encoder_seed": "; ", "fit_rows": "; "}
    several = {
        name: mark.join(map(str, rows[name].drop_duplicates())) for name, mark in marks.items()
    }
    return {name: str(first[name]) for name in ABOUT} | several


def per_class_tables(
    answers: Sequence[tuple[Codes, Codes]],
    folds: Sequence[int],
    rows: pd.DataFrame,
    headline: str,
    classes: Sequence[str],
    out: Path,
) -> list[Path]:
    """Write precision, recall, F1, support and the confusion of the headline cell.

    Args:
        answers: Per fold and seed true and predicted codes of the test rows; empty where there is
            no headline.
        folds: Which fold each of them is of.
        rows: The rows of a :class:`classify.results.table.ResultTable`.
        headline: The cell's name.
        classes: The label order.
        out: Where to.
    """
    if not answers:
        for name in (PER_CLASS, CONFUSION):
            (out / name).unlink(missing_ok=True)
        return []
    table = per_class_table(answers, classes, folds)
    of_cell = rows[rows["cell"] == headline]
    about = about_of(of_cell) | {"cell": headline, "flags": of_cell["flags"].iloc[0]}
    for position, name in enumerate((*ABOUT, "cell", "flags")):
        table.insert(position, name, about[name])
    write_csv(out / PER_CLASS, table)
    counts = np.sum([confusion(y_true, y_pred, classes) for y_true, y_pred in answers], axis=0)
    crossed = pd.DataFrame(counts, columns=[f"predicted:{name}" for name in classes])
    crossed.insert(0, "truth", list(classes))
    if about["claim"] != RESULT:
        crossed["claim"] = about["claim"]
    write_csv(out / CONFUSION, crossed)
    return [out / PER_CLASS, out / CONFUSION]


def per_class_table(
    answers: Sequence[tuple[Codes, Codes]],
    classes: Sequence[str],
    of_fold: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Return class, precision, recall, F1 (per cent) and support; the last line is ``all``.

    Args:
        answers: Per fold, or per fold and seed, true and predicted codes.
        classes: The label order.
        of_fold: Which fold each answer is of; answers of one fold are averaged first. None: each is
            a fold of its own.

    >>> table = per_class_table([(np.array([0, 0, 1]), np.array([0, 1, 1]))], ("sad", "happy"))
    >>> table[["class", "precision", "recall", "F1", "support"]].values.tolist()
    [['sad', 100.0, 50.0, 66.67, 2], ['happy', 50.0, 100.0, 66.67, 1], ['all', 83.33, 66.67, 66.67, 3]]
    """
    by_fold: dict[int, list[PerClass]] = {}
    for number, (y_true, y_pred) in zip(of_fold or range(len(answers)), answers, strict=True):
        by_fold.setdefault(number, []).append(per_class(y_true, y_pred, len(classes)))
    folds = list(by_fold.values())
    support = np.sum([seeds[0].support for seeds in folds], axis=0)
    lines: list[dict[str, object]] = []
    for code, name in enumerate(classes):
        held = [seeds for seeds in folds if seeds[0].support[code]]
        figures = [
            np.mean([[s.precision[code], s.recall[code], s.f1[code]] for s in seeds], axis=0)
            for seeds in held
        ]
        lines.append(_per_class_line(name, figures or [np.full(3, np.nan)], int(support[code])))
    lines.append(
        _per_class_line(
            "all",
            [np.mean([s.weighted() for s in seeds], axis=0) for seeds in folds],
            int(support.sum()),
        )
    )
    return pd.DataFrame(lines)


def per_cent(share: float) -> float:
    """Return a share in per cent with two decimals."""
    return round(100 * float(share), 2)


def _line(label: str, metric: str, rows: pd.DataFrame, family: str) -> dict[str, object]:
    line: dict[str, object] = {
        "row": label,
        "metric": metric,
        "encoders": "; ".join(dict.fromkeys(rows["encoders"])),
        "verified": "; ".join(dict.fromkeys(rows["verified"])),
    }
    sources = [s for s in dict.fromkeys(rows["scores_from"]) if s]
    if family in (LATE, UNIMODAL):
        line["scores_from"] = "; ".join(sources)
    named = rows[rows["family"] != SYSTEM]
    for name in COMPETITORS:
        of_classifier = named[named["classifier"] == name]
        if len(of_classifier):
            line |= _mean_sd(name, of_classifier, metric)
    competing = named[named["classifier"].isin(COMPETITORS)]
    line |= _mean_sd("average", competing if len(competing) else rows, metric)
    own = rows[rows["classifier"].isin((HEAD, PROBE, RULE)) | (rows["family"] == SYSTEM)]
    if len(own):
        line |= _mean_sd("own", own, metric)
    return line


def _mean_sd(name: str, rows: pd.DataFrame, metric: str) -> dict[str, float]:
    """Mean, deviation over folds, and where there are several seeds the deviation over these."""
    by_fold, by_seed = rows.groupby("fold")[metric].mean(), rows.groupby(SEEDS)[metric].mean()
    found = {name: per_cent(by_fold.mean()), f"{name}_sd": per_cent(by_fold.std(ddof=1))}
    return found | ({f"{name}_seed_sd": per_cent(by_seed.std(ddof=1))} if len(by_seed) > 1 else {})


def _per_class_line(
    name: str, figures: Sequence[NDArray[np.float64]], support: int
) -> dict[str, object]:
    means = np.mean(figures, axis=0)
    deviations = np.std(figures, axis=0, ddof=1) if len(figures) > 1 else np.full(3, np.nan)
    line: dict[str, object] = {"class": name}
    for title, mean, deviation in zip(
        ("precision", "recall", "F1"), means, deviations, strict=True
    ):
        line |= {title: per_cent(mean), f"{title}_sd": per_cent(deviation)}
    return line | {"support": support}
