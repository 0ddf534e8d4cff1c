"""Systems and runs beside each other.

Every system, how sure each is, what each modality adds, one run against another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from classify.evaluation.means import choosing_rows_in_words, has_chosen, mean_on_valid
from classify.figures.palette import COLOURS, HATCHES, MARKERS
from classify.figures.results_folder import FinishedRun, probabilities, same_run
from classify.figures.style import (
    ACCENT,
    INK,
    LINES,
    MUTED,
    ON_LIGHT,
    RULE,
    SECOND,
    Drawing,
    bare,
    new_figure,
)
from classify.names import BASELINE, HEAD, PROBE, UNIMODAL
from classify.results.table import inputs_shown
from embeddings_store.errors import UsageError

CONTRIBUTIONS = "contributions.csv"
MAX_SYSTEMS = 40
BINS = 10


def systems(run: FinishedRun) -> Drawing | str:
    """Draw WA of every system beside chance: a small mark per fold, a large one for the mean."""
    rows = run.rows[run.rows["family"] != BASELINE]
    cells = list(dict.fromkeys(rows["cell"]))
    families = list(dict.fromkeys(rows["family"]))
    left_out = ""
    if len(cells) > MAX_SYSTEMS:
        means = mean_on_valid(rows).sort_values(ascending=False, kind="stable")
        keep = {*means.index[:MAX_SYSTEMS], run.headline}
        which = (
            f"that did worse on {choosing_rows_in_words(rows)}"
            if has_chosen(rows)
            else "that come later in the table"
        )
        left_out = f" {len(cells) - len(keep)} systems {which} are left out; grid.csv lists all."
        cells = [c for c in cells if c in keep]
    cells = sorted(cells, key=lambda c: families.index(run.of(c)["family"].iloc[0]))
    figure = new_figure(7.0, 0.9 + 0.21 * len(cells))
    axes = figure.subplots()
    tips, before = {}, ""
    for height, cell in enumerate(cells):
        of_cell = run.of(cell)
        family, folds = str(of_cell["family"].iloc[0]), run.by_fold(cell).to_numpy(dtype=float)
        place = families.index(family)
        colour, counts = LINES[place % len(LINES)][0], cell == run.headline
        axes.plot(
            folds,
            np.full(len(folds), height),
            marker="|",
            markersize=11,
            linestyle="none",
            color=MUTED,
            markeredgewidth=0.9,
        )
        (mean,) = axes.plot(
            [np.nanmean(folds)],
            [height],
            marker="*" if counts else MARKERS[place % len(MARKERS)],
            markersize=12 if counts else 6.5,
            color=colour,
            markeredgecolor=ON_LIGHT,
            markeredgewidth=0.6,
            linestyle="none",
        )
        mean.set_gid(f"system-{height}")
        tips[f"system-{height}"] = (
            f"{cell}: WA {np.nanmean(folds):.2f} % (folds {np.nanmin(folds):.1f} to "
            f"{np.nanmax(folds):.1f})"
        )
        if before and family != before:
            axes.axhline(height - 0.5, color=RULE, linewidth=0.8)
        before = family
    for cell in dict.fromkeys(run.rows.loc[run.rows["family"] == BASELINE, "cell"]):
        if "majority" in cell:
            axes.axvline(run.mean(cell), color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
            axes.annotate(
                "always the commonest class",
                (run.mean(cell), 0),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=8,
                va="center",
                color=INK,
            )
    axes.set_yticks(range(len(cells)), [_short(run, c) for c in cells])
    for tick, cell in zip(axes.get_yticklabels(), cells, strict=True):
        tick.set_fontweight("bold" if cell == run.headline else "normal")
    axes.set(ylim=(len(cells) - 0.5, -0.5), xlabel="WA on test rows, %")
    axes.grid(axis="x")
    return Drawing(
        "systems",
        "Every system",
        "WA on test rows: a stroke per fold, a mark for their mean; the star is the reported "
        f"system, {run.how_chosen}.{left_out}",
        figure,
        tips,
    )


def reliability(run: FinishedRun) -> Drawing | str:
    """Draw how often answers of a given confidence are right, where there are probabilities."""
    wanted = [run.headline] if run.headline else []
    for modality in run.modalities:
        own = (f"{UNIMODAL} {modality} {HEAD}", f"{UNIMODAL} {modality} {PROBE}")
        wanted += [cell for cell in dict.fromkeys(run.rows["cell"]) if cell in own]
    curves = []
    for cell in wanted:
        answers = run.answers(cell)
        chances = probabilities(answers, run.classes)
        if chances is not None:
            curves.append(
                (cell, chances.max(axis=1), (answers["y_true"] == answers["y_pred"]).to_numpy())
            )
    if not curves:
        return (
            "no reported system gives probabilities (an SVM gives margins), so there is no "
            "reliability to draw"
        )
    figure = new_figure(5.6, 3.6)
    axes = figure.subplots()
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)))
    axes.text(
        99,
        91,
        "as sure as right",
        ha="right",
        va="top",
        fontsize=8,
        color=MUTED,
        rotation=45,
        rotation_mode="anchor",
        transform_rotates_text=True,
    )
    tips = {}
    for place, (cell, sure, right) in enumerate(curves[: len(LINES)]):
        bins = reliability_bins(sure, right)
        error = calibration_error(sure, right)
        (line,) = axes.plot(
            100 * bins["sure"],
            100 * bins["right"],
            marker=MARKERS[place],
            color=LINES[place][0],
            markersize=5.5,
            markeredgecolor=ON_LIGHT,
            markeredgewidth=0.4,
            label=f"{_short(run, cell)}: {100 * error:.1f}",
        )
        line.set_gid(f"curve-{place}")
        rows = ", ".join(f"{n:.0f}" for n in bins["rows"])
        tips[f"curve-{place}"] = (
            f"{cell}: calibration error {100 * error:.1f} points; rows behind the points: {rows}"
        )
    axes.set(
        xlim=(0, 100),
        ylim=(0, 100),
        xlabel="largest probability, %",
        ylabel="answers that are right, %",
    )
    axes.grid()
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        title="calibration error, points",
        title_fontsize=8.5,
        alignment="left",
    )
    margins = (
        ""
        if run.headline in [c for c, _, _ in curves]
        else (
            f" The reported system, {run.headline}, gives margins and no probabilities, so it has "
            "no curve."
        )
    )
    return Drawing(
        "reliability",
        "Is it as sure as it is right?",
        f"Test rows in {BINS} bins of the largest class probability. Below the broken line a "
        "system is surer than it is right. The calibration error is the mean distance from that "
        "line, weighted by rows: 0 is perfect. A "
        "point may rest on few rows; point at a curve to read how many." + margins,
        figure,
        tips,
    )


def contributions(run: FinishedRun) -> Drawing | str:
    """Draw what each modality adds to each way of fusing, from ``contributions.csv``."""
    table = run.table(CONTRIBUTIONS)
    if table is None:
        return f"the results hold no {CONTRIBUTIONS}"
    absent = [c for c in ("modality", "shapley") if c not in table]
    if absent or not len(table):
        return f"{CONTRIBUTIONS} has no {absent[0] if absent else 'rows'}"
    if "game" in table:  # by view only where there is one modality
        table = table[table["game"] == table["game"].iloc[0]]
    named = [c for c in ("family", "method", "classifier") if c in table]
    table = table.assign(
        system=table[named]
        .fillna("")
        .agg(lambda line: ", ".join(filter(None, map(str, line))), axis=1)
    )
    systems = list(dict.fromkeys(table["system"]))[:MAX_SYSTEMS]
    there = list(dict.fromkeys(table["modality"]))  # a modality of several views is no view
    order = run.modalities
    modalities = sorted(there, key=lambda m: order.index(m) if m in order else len(order))
    figure = new_figure(7.0, 1.1 + 0.26 * len(systems))
    axes = figure.subplots()
    ends, tips = {1: np.zeros(len(systems)), -1: np.zeros(len(systems))}, {}
    for place, modality in enumerate(modalities):
        of_modality = table[table["modality"] == modality].set_index("system")["shapley"]
        shares = of_modality.reindex(systems).fillna(0.0).to_numpy(dtype=float)
        left = np.where(shares >= 0, ends[1], ends[-1])
        bars = axes.barh(
            np.arange(len(systems)),
            shares,
            left=left,
            height=0.68,
            color=COLOURS[(2, 1, 3, 0)[place % 4]],
            hatch=HATCHES[place % len(HATCHES)],
            edgecolor=ON_LIGHT,
            linewidth=0.5,
            label=bare(modality, 24),
        )
        for row, (bar, share) in enumerate(zip(bars, shares, strict=True)):
            bar.set_gid(f"share-{place}-{row}")
            tips[f"share-{place}-{row}"] = f"{systems[row]}: {modality} {share:+.1f} points"
        for sign, end in ends.items():
            end += np.where(np.sign(shares) == sign, shares, 0.0)
    axes.set_yticks(np.arange(len(systems)), [bare(s or "fusion", 60) for s in systems])
    axes.invert_yaxis()
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set(xlabel="points of WA above always answering the commonest class")
    axes.grid(axis="x")
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=max(1, len(modalities)), handlelength=1.6
    )
    return Drawing(
        "contributions",
        "What each modality adds",
        "Shapley values: a modality's gain, averaged over all orders in which modalities could be "
        "added; together they are the system's lead over always answering the commonest class. "
        "Test rows, mean over folds.",
        figure,
        tips,
    )


def against(run: FinishedRun, other: FinishedRun) -> Drawing:
    """Draw the systems that two runs share, for example frozen beside fine-tuned encoders.

    Raises:
        UsageError: The runs are of other rows, folds or labels.
    """
    same_run(run, other)
    kinds = [_kind(run), _kind(other)]
    names = kinds if kinds[0] != kinds[1] else [_named(run), _named(other)]
    rows = run.rows[run.rows["family"] != BASELINE]
    cells = [c for c in dict.fromkeys(rows["cell"]) if (other.rows["cell"] == c).any()][
        :MAX_SYSTEMS
    ]
    if not cells:
        raise UsageError(
            f"{run.folder} and {other.folder} have no system in common; run both grids with the "
            "same --modalities, --early, --late and --classifiers"
        )
    figure = new_figure(7.0, 1.3 + 0.24 * len(cells))
    axes = figure.subplots()
    ys = np.arange(len(cells))
    pairs = np.array([[run.mean(c), other.mean(c)] for c in cells])
    axes.hlines(ys, pairs.min(axis=1), pairs.max(axis=1), color=MUTED, linewidth=1.0)
    tips: dict[str, str | Sequence[str]] = {}
    for place, (name, colour, marker) in enumerate(
        zip(names, (ACCENT, SECOND), ("o", "^"), strict=True)
    ):
        points = axes.scatter(
            pairs[:, place],
            ys,
            s=40,
            c=colour,
            marker=marker,
            edgecolors=ON_LIGHT,
            linewidths=0.5,
            zorder=3,
            label=name,
        )
        points.set_gid(f"run-{place}")
        tips[f"run-{place}"] = [
            f"{cell}, {name}: WA {value:.2f} %"
            for cell, value in zip(cells, pairs[:, place], strict=True)
        ]
    axes.set_yticks(ys, [_short(run, c) for c in cells])
    axes.set(xlabel="WA on test rows, mean over folds, %", ylim=(len(cells) - 0.5, -0.5))
    axes.grid(axis="x")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    return Drawing(
        "against",
        f"{names[0]} against {names[1]}",
        f"The same rows, folds and labels, and two runs: {names[0]} ({_named(run)}) and {names[1]} "
        f"({_named(other)}).",
        figure,
        tips,
    )


def reliability_bins(sure: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """Return per occupied bin the mean confidence, the share that is right, and the rows.

    Args:
        sure: Confidences (n,) in [0, 1].
        right: Whether each answer is right, (n,).

    >>> bins = reliability_bins(np.array([0.95, 0.91, 0.42]), np.array([True, False, True]))
    >>> bins.round(2).values.tolist()
    [[0.42, 1.0, 1.0], [0.93, 0.5, 2.0]]
    """
    table = pd.DataFrame(
        {
            "bin": np.minimum((np.asarray(sure) * BINS).astype(int), BINS - 1),
            "sure": sure,
            "right": right,
        }
    )
    return (
        table.groupby("bin")
        .agg(sure=("sure", "mean"), right=("right", "mean"), rows=("right", "size"))
        .reset_index(drop=True)
    )


def calibration_error(sure: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error in [0, 1].

    The mean distance of confidence and accuracy over the bins' rows.

    Args:
        sure: Confidences (n,) in [0, 1].
        right: Whether each answer is right, (n,).
    """
    bins = reliability_bins(sure, right)
    return float(((bins["sure"] - bins["right"]).abs() * bins["rows"]).sum() / bins["rows"].sum())


def _short(run: FinishedRun, cell: str) -> str:
    """Name a cell without what all systems of its kind share.

    ``early, sum, svm``, or ``text, svm``.
    """
    row = run.of(cell).iloc[0]
    views = str(row["modalities"]).split("+")
    whole = set(views) == set(run.modalities)
    parts = (
        row["family"] if row["family"] != UNIMODAL else "",
        row.get("method", ""),
        inputs_shown(row) if row["family"] == UNIMODAL or not whole else "",
        row["classifier"],
    )
    return bare(", ".join(str(part) for part in parts if part), 60)


def _named(run: FinishedRun) -> str:
    """The end of a run's path: its folder may be called ``results`` like all others."""
    return "/".join(run.folder.parts[-2:])


def _kind(run: FinishedRun) -> str:
    """Say whether a run's encoders were fine-tuned, as far as the store says."""
    folds: set[str] = set()
    for modality in run.modalities:
        folds.update(entry.fold for entry in run.entries_of(modality))
    if not folds:
        return _named(run)
    if folds == {"any"}:
        return "frozen"
    return "some fine-tuned" if "any" in folds else "fine-tuned"
