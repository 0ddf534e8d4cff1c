"""The grid in the shape of the paper's Tables 4 to 7: per cent, mean and deviation over folds.

In ``table4_unimodal``, ``table5_early``, ``table6_late`` (and ``table_layers`` and
``table_systems`` where there are such) there is one line per row of the paper's table and metric: a
column per classifier, each with its deviation ``_sd``, and ``average`` over these classifiers,
which judges the fusion apart from the classifier. ``own`` is the largest class score itself (of a
head, a probe, a rule or a system); where no classifier stands in a line it is the ``average`` too.
Baselines stand below, in ``average``. The lines of the metrics ``coverage`` and ``WA_all`` say of
how many test rows of the plan the others are, and what is left where the rest counts as wrong.
``_sd`` is the sample deviation (n - 1) over folds and empty for a single fold. Where there are
several seeds, of the classifier or of the fine-tuning, every figure is the mean over them, ``_sd``
is the deviation over folds of means over seeds, and ``_seed_sd`` the deviation over seeds of means
over folds.

``table7_per_class`` and ``confusion`` are of the headline cell. ``planned`` are the test rows of
the plan, ``coverage`` is ``support`` over these and ``WA_all`` how many of these are right; a row
without a label is of no class and stands in ``all`` alone, whose two figures are those of
``grid.csv``. A class is averaged over the folds whose test rows hold it, ``all`` is weighted by
support inside each fold and then averaged over folds, as the paper's line is. Counts of the
confusion are summed over folds and seeds; ``support`` is that of one seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classify.claim import Claim
from classify.evaluation.metrics import (
    COMPLETENESS,
    COVERAGE,
    METRICS,
    WA_ALL,
    PerClass,
    completeness,
    confusion,
    per_class,
)
from classify.models.classifiers import CLASSIFIERS, competitors
from classify.names import BASELINE, EARLY, HEAD, LATE, LAYER, PROBE, RULE, SYSTEM, UNIMODAL
from classify.results.cell_rows import CellRows, Places, spreads
from classify.results.files import write_csv
from classify.results.table import inputs_shown

PAPER_TABLES = {
    UNIMODAL: "table4_unimodal.csv",
    EARLY: "table5_early.csv",
    LATE: "table6_late.csv",
    LAYER: "table_layers.csv",
    SYSTEM: "table_systems.csv",
}
PER_CLASS, CONFUSION = "table7_per_class.csv", "confusion.csv"
ROW = {EARLY: "method", LATE: "method", LAYER: "layer", SYSTEM: "method"}
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
VALID, VALID_ALL = "valid_WA", "valid_WA_all"
# what the tables are made of
WORDS = (
    *("cell", "family", "method", "modalities", "classifier", "layer"),
    *("encoders", "verified", "scores_from"),
)
READ = {*ABOUT, *METRICS, *COMPLETENESS, VALID, VALID_ALL, "fold", *WORDS}

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


def write_paper_tables(rows: pd.DataFrame, out: Path) -> list[Path]:
    """Write a table for every family that ran, and remove what an earlier run left for others.

    Args:
        rows: The rows of a :class:`classify.results.table.ResultTable`.
        out: Where to.
    """
    written = []
    for family, name in PAPER_TABLES.items():
        if (rows["family"] == family).any():
            write_csv(out / name, paper_table(rows, family), Claim.of_rows(rows))
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
    rows = rows[[name for name in rows if name in READ]]  # every choice of rows copies all columns
    part = rows[rows["family"] == family]
    metrics = [*METRICS, *COMPLETENESS]
    if rows[VALID].notna().any():
        metrics += [VALID, VALID_ALL]
    cells = CellRows.of(rows, WORDS, metrics)
    by_label = [
        _line(label, cells, places, family) for label, places in _by_label(cells, family).items()
    ]
    for name, places in cells.by("classifier", cells.having("family", BASELINE)).items():
        by_label.append(_Line({"row": CLASSIFIERS[name].title}, {"average": places}))
    lines = _written(by_label, cells)
    about = about_of(part)
    table = pd.DataFrame(lines)
    for position, name in enumerate(ABOUT):
        table.insert(position, name, about[name])
    table.insert(len(ABOUT), "folds", rows["fold"].nunique())
    return table


def is_incomplete(table: pd.DataFrame) -> bool:
    """Say whether any figure of a table is of fewer test rows than the plan has.

    Args:
        table: What :func:`paper_table` returns, or the file that was written of it.
    """
    covered = table[table["metric"] == COVERAGE]
    columns = [name for name in covered if f"{name}_sd" in covered]
    return bool((covered[columns] < 100).any(axis=None))


def about_of(rows: pd.DataFrame) -> dict[str, str]:
    """Return what is the same for all rows, and where there are several seeds or fit rows all.

    Seeds of classifiers stand between commas, the others between semicolons.
    """
    about = {name: str(rows.iloc[0][name]) for name in ABOUT}
    for name, mark in (("seed", ","), ("encoder_seed", "; "), ("fit_rows", "; ")):
        about[name] = mark.join(map(str, rows[name].drop_duplicates()))
    return about


@dataclass(frozen=True, slots=True)
class Headline:
    """What the cell that counts answered on test rows.

    Attributes:
        cell: Its name; empty where none counts.
        classes: The label order.
        answers: Per fold and seed true and predicted class codes (n,) each.
        folds: Which fold each of these is of.
        planned: Fold to how many test rows of each class (C,) the plan has.
    """

    cell: str
    classes: Sequence[str]
    answers: Sequence[tuple[Codes, Codes]]
    folds: Sequence[int]
    planned: Mapping[int, Codes]


def write_per_class(headline: Headline, rows: pd.DataFrame, out: Path) -> list[Path]:
    """Write precision, recall, F1 and support of every class, and the confusion.

    Args:
        headline: Of which cell; where there is none, what an earlier run left is removed.
        rows: The rows of a :class:`classify.results.table.ResultTable`.
        out: Where to.
    """
    if not headline.answers:
        for name in (PER_CLASS, CONFUSION):
            (out / name).unlink(missing_ok=True)
        return []
    table = per_class_table(headline.answers, headline.classes, headline.folds)
    of_cell = rows[rows["cell"] == headline.cell]
    table = table.assign(**_completeness_per_class(headline, of_cell))
    about = about_of(of_cell) | {"cell": headline.cell, "flags": of_cell["flags"].iloc[0]}
    for position, name in enumerate((*ABOUT, "cell", "flags")):
        table.insert(position, name, about[name])
    claim = Claim.of_rows(rows)
    write_csv(out / PER_CLASS, table, claim)
    write_csv(out / CONFUSION, _confusion_table(headline), claim)
    return [out / PER_CLASS, out / CONFUSION]


def _completeness_per_class(headline: Headline, of_cell: pd.DataFrame) -> dict[str, list[float]]:
    """Return planned rows, coverage and WA_all (per cent) of each class, and last of all rows.

    Args:
        headline: What the cell answered, and what the plan has.
        of_cell: Its rows of ``grid.csv``.
    """
    planned = np.sum(list(headline.planned.values()), axis=0)
    # every seed answers the same rows again
    per_seed = len(headline.folds) / len(headline.planned)
    support, right = np.zeros(len(planned)), np.zeros(len(planned))
    for y_true, y_pred in headline.answers:
        support += np.bincount(y_true, minlength=len(planned)) / per_seed
        right += np.bincount(y_true[y_true == y_pred], minlength=len(planned)) / per_seed
    recall = np.divide(right, support, out=np.zeros(len(planned)), where=support > 0)
    covered, of_all = completeness(recall, support, planned)
    n_test = of_cell.drop_duplicates("fold")["n_test"].sum()
    by_fold = of_cell.groupby("fold")[list(COMPLETENESS)].mean().mean()
    return {
        "planned": [*map(int, planned), int(n_test)],
        COVERAGE: [*map(per_cent, covered), per_cent(by_fold[COVERAGE])],
        WA_ALL: [*map(per_cent, of_all), per_cent(by_fold[WA_ALL])],
    }


def _confusion_table(headline: Headline) -> pd.DataFrame:
    """Return counts over all folds and seeds, a row per true class, a column per predicted one."""
    classes = headline.classes
    counts = [confusion(y_true, y_pred, classes) for y_true, y_pred in headline.answers]
    table = pd.DataFrame(np.sum(counts, axis=0), columns=[f"predicted:{name}" for name in classes])
    table.insert(0, "truth", list(classes))
    return table


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
    >>> for line in table[["class", "precision", "recall", "F1", "support"]].values.tolist():
    ...     print(*line)
    sad 100.0 50.0 66.67 2
    happy 50.0 100.0 66.67 1
    all 83.33 66.67 66.67 3
    """
    by_fold: dict[int, list[PerClass]] = {}
    for number, (y_true, y_pred) in zip(of_fold or range(len(answers)), answers, strict=True):
        by_fold.setdefault(number, []).append(per_class(y_true, y_pred, len(classes)))
    folds = list(by_fold.values())
    support = np.sum([seeds[0].support for seeds in folds], axis=0)
    lines: list[dict[str, object]] = []
    for code, name in enumerate(classes):
        figures = [_of_class(seeds, code) for seeds in folds if seeds[0].support[code]]
        lines.append(_per_class_line(name, figures or [np.full(3, np.nan)], int(support[code])))
    weighted = [_weighted(seeds) for seeds in folds]
    lines.append(_per_class_line("all", weighted, int(support.sum())))
    return pd.DataFrame(lines)


def _of_class(seeds: Sequence[PerClass], code: int) -> Floats:
    """Return precision, recall and F1 (3,) of one class in one fold, means over seeds."""
    each = [[seed.precision[code], seed.recall[code], seed.f1[code]] for seed in seeds]
    return np.asarray(np.mean(each, axis=0))


def _weighted(seeds: Sequence[PerClass]) -> Floats:
    """Return precision, recall and F1 (3,) of one fold weighted by support, means over seeds."""
    return np.asarray(np.mean([seed.weighted() for seed in seeds], axis=0))


def per_cent(share: float) -> float:
    """Return a share in per cent with two decimals."""
    return round(100 * float(share), 2)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a table of the paper, before it is said of which metric.

    Attributes:
        about: The columns that are the same for every metric.
        columns: Name of a column of figures to the rows whose mean it is.
    """

    about: dict[str, str]
    columns: dict[str, Places]


def _by_label(cells: CellRows, family: str) -> dict[str, Places]:
    """Return the first column of a family's table to the rows that each line is about."""
    part = cells.having("family", family)
    names = ("cell", "family", "modalities", "classifier", "method")
    shown, label = {}, {}
    for place in part:
        shown[place] = inputs_shown({name: cells.words[name][place] for name in names})
        label[place] = shown[place] if family == UNIMODAL else cells.words[ROW[family]][place]
    sets: dict[str, set[str]] = {}
    for place in part:
        sets.setdefault(label[place], set()).add(cells.words["modalities"][place])
    # where subsets of the modalities ran as well, a method alone names no row
    ambiguous = max(map(len, sets.values())) > 1
    found: dict[str, Places] = {}
    for place in part:
        name = f"{label[place]} of {shown[place]}" if ambiguous else label[place]
        found.setdefault(name, []).append(place)
    return found


def _line(label: str, cells: CellRows, places: Places, family: str) -> _Line:
    """Return one row of the paper's table: its columns of classifiers and averages.

    Args:
        label: What stands in the first column.
        cells: The whole table.
        places: The rows that the line is about, on every fold and seed.
        family: Their family.
    """
    about = {
        "row": label,
        "encoders": cells.joined("encoders", places),
        "verified": cells.joined("verified", places),
    }
    if family in (LATE, UNIMODAL):
        about["scores_from"] = cells.joined("scores_from", places)
    of_classifier = {} if family == SYSTEM else cells.by("classifier", places)
    columns = {name: of_classifier[name] for name in competitors() if name in of_classifier}
    # heads, probes and rules are no choice of classifier, so averages leave them out
    competing = {place for of_one in columns.values() for place in of_one}
    columns["average"] = [place for place in places if place in competing] or places
    names = cells.words["classifier"]
    own = [p for p in places if family == SYSTEM or names[p] in (HEAD, PROBE, RULE)]
    if own:
        columns["own"] = own
    return _Line(about, columns)


def _written(lines: Sequence[_Line], cells: CellRows) -> list[dict[str, object]]:
    """Return the lines of a table, all of them for the first metric, then for the next."""
    columns = [places for line in lines for places in line.columns.values()]
    of_folds = spreads(columns, cells.fold, cells.figures)
    of_seeds = spreads(columns, cells.seeds, cells.figures)
    found: list[dict[str, object]] = []
    for m, metric in enumerate(cells.metrics):
        place = 0
        for line in lines:
            written: dict[str, object] = {"row": line.about["row"], "metric": metric, **line.about}
            for name in line.columns:
                folds, seeds = of_folds[place], of_seeds[place]
                written[name] = per_cent(folds.mean[m])
                written[f"{name}_sd"] = per_cent(folds.deviation[m])
                if seeds.runs > 1:
                    written[f"{name}_seed_sd"] = per_cent(seeds.deviation[m])
                place += 1
            found.append(written)
    return found


def _per_class_line(name: str, figures: Sequence[Floats], support: int) -> dict[str, object]:
    """Return a line of Table 7 in per cent from precision, recall and F1 (3,) of every fold."""
    means = np.mean(figures, axis=0)
    deviations = np.std(figures, axis=0, ddof=1) if len(figures) > 1 else np.full(3, np.nan)
    line: dict[str, object] = {"class": name}
    titles = ("precision", "recall", "F1")
    for title, mean, deviation in zip(titles, means, deviations, strict=True):
        line |= {title: per_cent(mean), f"{title}_sd": per_cent(deviation)}
    return line | {"support": support}
