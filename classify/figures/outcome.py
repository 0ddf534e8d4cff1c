"""Figures 1 and 12, and each class.

What the corpus holds, and what the reported system made of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from classify.figures.palette import SKY, YELLOW, class_styles
from classify.figures.results_folder import FinishedRun
from classify.figures.style import ACCENT, INK, ON_DARK, ON_LIGHT, PAPER, Drawing, bare, new_figure
from classify.results.paper_tables import CONFUSION, PER_CLASS
from embeddings_store.folds.natural_order import natural_key

MAX_ABOVE = 5  # classes whose names fit into one line
MAX_GROUPED = 60  # bars side by side; more are stacked
MAX_NAMED = 40  # sessions with a name and bars wide enough for a hatch
MAX_WRITTEN = 12  # classes whose cells still hold a readable number
HEAT = LinearSegmentedColormap.from_list("recall", ["#f4f8fb", "#9cc7e4", "#2b7bba", "#08306b"])


def label_counts(run: FinishedRun) -> Drawing | str:
    """Figure 1: how many utterances of each class every session holds."""
    first = str(run.rows["cell"].iloc[0])
    table = run.answers(
        first, ("train", "valid", "test") if run.manifest is not None else ("test",)
    )
    table = table.drop_duplicates("id")
    by, where = _blocks(run, table)
    counts = pd.crosstab(where, pd.Categorical(table["y_true"], run.classes), dropna=False)
    counts = counts.loc[sorted(counts.index, key=lambda b: natural_key(str(b)))]
    blocks, found = [str(b) for b in counts.index], class_styles(run.classes)
    stacked, crowded = counts.size > MAX_GROUPED, len(blocks) > MAX_NAMED
    legend = 0.0 if len(run.classes) <= MAX_ABOVE else 1.8 * (1 + len(run.classes) // 17)
    width = 1.6 + (0.22 if stacked else 0.2 * len(run.classes)) * len(blocks)
    figure = new_figure(min(11.0, max(4.6, width)) + legend, 3.2)
    axes = figure.subplots()
    bottom, width, tips = np.zeros(len(blocks)), 0.84 / (1 if stacked else len(run.classes)), {}
    for code, name in enumerate(run.classes):
        height, look = counts[name].to_numpy(dtype=float), found[name]
        left = np.arange(len(blocks)) + (
            0 if stacked else (code - (len(run.classes) - 1) / 2) * width
        )
        bars = axes.bar(
            left,
            height,
            width * 0.94,
            bottom=bottom if stacked else None,
            color=look.colour,
            hatch="" if crowded else look.hatch,
            edgecolor=ON_LIGHT,
            linewidth=0.5,
            label=bare(name, 24),
        )
        for block, bar, value in zip(blocks, bars, height, strict=True):
            gid = f"count-{code}-{blocks.index(block)}"
            bar.set_gid(gid)
            tips[gid] = f"{by} {block}, {name}: {value:.0f}"
        if not stacked and len(blocks) * len(run.classes) <= 24:
            axes.bar_label(bars, fmt="%d", fontsize=7.5, padding=1.5, color=INK)
        bottom += height
    every = 1 + (len(blocks) - 1) // MAX_NAMED
    axes.set_xticks(
        np.arange(len(blocks))[::every],
        [bare(b, 14) for b in blocks[::every]],
        rotation=90 if len(blocks) > 8 else 0,
    )
    axes.set(ylabel="utterances", xlabel=by)
    axes.grid(axis="y")
    above: dict[str, Any] = {
        "loc": "lower left",
        "bbox_to_anchor": (0, 1.0),
        "ncols": len(run.classes),
    }
    beside: dict[str, Any] = {
        "loc": "upper left",
        "bbox_to_anchor": (1.0, 1.0),
        "ncols": 1 + len(run.classes) // 17,
    }
    axes.legend(
        handlelength=1.6, columnspacing=1.2, **(above if len(run.classes) <= MAX_ABOVE else beside)
    )
    shuffled = " The labels are permuted." if run.shuffled else ""
    return Drawing(
        "figure01_label_counts",
        f"Label counts per {by}",
        f"The {len(table):,} utterances of {run.corpus} that have a label of the set and a "
        f"vector, by {by}.{shuffled}",
        figure,
        tips,
    )


def confusion(run: FinishedRun) -> Drawing | str:
    """Figure 12: what the headline cell took for what."""
    table = run.table(CONFUSION)
    if table is None or not run.headline:
        return (
            "no cell counts as the result (nothing was chosen or fixed beforehand), so there is no "
            "confusion to draw"
        )
    names = table["truth"].tolist()
    counts = table.filter(regex="^predicted:").to_numpy(
        dtype=float
    )  # a run that is no plain result has a column more
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(
        3.2, 1.5 + 0.55 * min(len(names), MAX_WRITTEN) + 0.2 * max(0, len(names) - MAX_WRITTEN)
    )
    figure = new_figure(side + 1.1, side)
    axes = figure.subplots()
    tips = {}
    for row, truth in enumerate(names):
        for column, answer in enumerate(names):
            value = share[row, column]
            gid = f"cell-{row}-{column}"
            patch = axes.add_patch(_square(column, row, HEAT(value)))
            patch.set_gid(gid)
            tips[gid] = (
                f"{truth} taken for {answer}: {counts[row, column]:.0f} of "
                f"{counts[row].sum():.0f} ({100 * value:.1f} %)"
            )
            if len(names) <= MAX_WRITTEN:
                axes.text(
                    column,
                    row,
                    f"{100 * value:.0f} %\n{counts[row, column]:.0f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=ON_DARK if value > 0.5 else ON_LIGHT,
                    fontweight="bold" if row == column else "normal",
                )
    axes.set(
        xlim=(-0.5, len(names) - 0.5),
        ylim=(len(names) - 0.5, -0.5),
        aspect="equal",
        xlabel="answer",
        ylabel="truth",
    )
    ticks, shown = np.arange(len(names)), [bare(n, 16) for n in names]
    axes.set_xticks(ticks, shown, rotation=90 if len(names) > 6 else 0)
    axes.set_yticks(ticks, shown)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return Drawing(
        "figure12_confusion",
        "Confusion of the reported system",
        f"Answers of {run.headline}: each row is a true class and adds up to 100 %; the number "
        "below is the count of test utterances, all folds together. The diagonal is each class' "
        "recall over all rows, which can differ a little from the mean over folds in Table 7.",
        figure,
        tips,
    )


def per_class(run: FinishedRun) -> Drawing | str:
    """Draw precision, recall and F1 of each class for the headline cell."""
    table = run.table(PER_CLASS)
    if table is None:
        return "no cell counts as the result, so there are no figures per class"
    table = table.iloc[[*(table["class"] != "all").to_numpy().nonzero()[0]]]
    figure = new_figure(min(11.0, max(4.6, 1.4 + 0.75 * len(table))), 3.2)
    axes = figure.subplots()
    tips: dict[str, str] = {}
    looks_of = (("precision", SKY, "///"), ("recall", ACCENT, ""), ("F1", YELLOW, "..."))
    for place, (metric, colour, hatch) in enumerate(looks_of):
        left = np.arange(len(table)) + (place - 1) * 0.27
        values = table[metric].to_numpy(dtype=float)
        bars = axes.bar(
            left,
            values,
            0.25,
            color=colour,
            hatch=hatch,
            edgecolor=ON_LIGHT,
            linewidth=0.5,
            label=metric,
        )
        deviations = table[f"{metric}_sd"].to_numpy(dtype=float)
        if np.isfinite(deviations).any():
            axes.errorbar(
                left,
                values,
                yerr=np.nan_to_num(deviations),
                fmt="none",
                ecolor=INK,
                elinewidth=0.8,
                capsize=2,
            )
        for bar, (_, line) in zip(bars, table.iterrows(), strict=True):
            gid = f"{metric}-{len(tips)}"
            bar.set_gid(gid)
            tips[gid] = (
                f"{line['class']}: {metric} {line[metric]:.1f} %, standard deviation over folds "
                f"{line[f'{metric}_sd']:.1f}"
            )
    names = [
        f"{bare(name, 16)}\n({n})" for name, n in zip(table["class"], table["support"], strict=True)
    ]
    axes.set_xticks(np.arange(len(table)), names, rotation=90 if len(table) > 8 else 0)
    axes.set(ylabel="per cent", ylim=(0, 100))
    axes.grid(axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, handlelength=1.6)
    return Drawing(
        "per_class",
        "Each class",
        f"Of {run.headline}: mean over the folds that hold the class, test rows; the thin lines "
        "are the standard deviation over folds, the numbers in brackets how many test utterances "
        "the class has.",
        figure,
        tips,
    )


def _blocks(run: FinishedRun, table: pd.DataFrame) -> tuple[str, pd.Series]:
    """Say by what the utterances are counted, and which block each belongs to.

    Sessions if the corpus has them.
    """
    names = dict(zip(run.rows["fold"], run.rows["fold_name"], strict=True))
    if run.manifest is None:
        return "fold", table["fold"].map(names)
    rows = pd.DataFrame({"id": run.manifest.ids})
    for column in ("session", "split", "speaker"):
        rows[column] = run.manifest.column(column)
        if (rows[column] != "").all() and rows[column].nunique() > 1:
            return column, table["id"].map(rows.set_index("id")[column])
    return "corpus", pd.Series(run.corpus, index=table.index)


def _square(column: int, row: int, colour: tuple[float, ...]) -> Rectangle:
    return Rectangle(
        (column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour, edgecolor=PAPER, linewidth=0
    )
