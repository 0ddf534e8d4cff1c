"""Figures 2 to 7: loss and accuracy by training step, a line per fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from classify.figures.palette import BLUE, MARKERS
from classify.figures.results_folder import ORDER, FinishedRun
from classify.figures.style import INK, LINES, RULE, Drawing, new_figure
from embeddings_store.vectors.hdf5 import read_header

SMOOTH_PARTS = 40  # a running mean over one part in so many of all steps
FIRST_LOSS, FIRST_ACCURACY = 2, 5

Histories = Mapping[int, pd.DataFrame]


def loss(run: FinishedRun, modality: str) -> Drawing | str:
    """Draw training and validation loss by step.

    A sentence says why not where nothing was trained.
    """
    histories = _histories(run, modality)
    if not histories:
        return _nothing_trained(modality)
    valid = {
        fold: h.dropna(subset=["valid_loss"]) for fold, h in histories.items() if "valid_loss" in h
    }
    valid = {fold: h for fold, h in valid.items() if len(h)}
    figure = new_figure(6.2 if valid else 4.6, 3.3)
    axes = figure.subplots(1, 2 if valid else 1, sharey=True, squeeze=False)[0]
    trained = {fold: _smooth(h.dropna(subset=["loss"]), "loss") for fold, h in histories.items()}
    tips = _lines(run, axes[0], trained, "loss", labels=not valid)
    axes[0].set(title="training (running mean)", xlabel="training step", ylabel="cross-entropy")
    if valid:
        tips |= _lines(
            run, axes[1], valid, "valid_loss", labels=True, marked=_kept(run, modality, valid)
        )
        axes[1].set(title="validation, after each epoch", xlabel="training step")
    window = max(_window(len(h.dropna(subset=["loss"]))) for h in histories.values())
    return Drawing(
        _name(FIRST_LOSS, "loss", modality),
        f"Loss by training step, {modality}",
        f"Fine-tuning of {_encoder(run, modality)}, {_folds(histories)}. Training loss is a "
        f"running mean over up to {window} steps"
        + (
            "; a ring marks the epoch whose weights were kept."
            if valid
            else "; no validation rows were looked at."
        ),
        figure,
        tips,
    )


def accuracy(run: FinishedRun, modality: str) -> Drawing | str:
    """Draw validation accuracy by step.

    A sentence says why not where nothing was trained or nothing validated.
    """
    histories = _histories(run, modality)
    if not histories:
        return _nothing_trained(modality)
    valid = {
        fold: h.dropna(subset=["valid_accuracy"])
        for fold, h in histories.items()
        if "valid_accuracy" in h
    }
    valid = {
        fold: h.assign(per_cent=100 * h["valid_accuracy"]) for fold, h in valid.items() if len(h)
    }
    if not valid:
        return (
            f"the trainings of {modality} looked at no validation rows, so there is no accuracy "
            "by step"
        )
    figure = new_figure(5.6, 3.1)
    axes = figure.subplots()
    tips = _lines(run, axes, valid, "per_cent", labels=True, marked=_kept(run, modality, valid))
    axes.set(xlabel="training step", ylabel="validation WA, %")
    return Drawing(
        _name(FIRST_ACCURACY, "accuracy", modality),
        f"Accuracy by training step, {modality}",
        f"Accuracy (WA) of {_encoder(run, modality)} on the validation rows after each epoch, "
        f"{_folds(valid)}; a ring marks the epoch whose weights were kept.",
        figure,
        tips,
    )


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Move values apart until neighbours differ by ``gap`` or more, each as little as may be.

    The order stays.

    >>> spread([1.0, 1.0, 5.0], 2.0)
    [0.0, 2.0, 5.0]
    """
    order = np.argsort(np.asarray(values), kind="stable")
    blocks: list[
        tuple[list[int], float]
    ] = []  # members and centre; a block's members stand a gap apart
    for index in order.tolist():
        members, centre = [index], float(values[index])
        while (
            blocks
            and centre - gap * (len(members) - 1) / 2
            < blocks[-1][1] + gap * (len(blocks[-1][0]) - 1) / 2 + gap
        ):
            before, _ = blocks.pop()
            members = before + members
            centre = float(np.mean([values[i] for i in members]))
        blocks.append((members, centre))
    moved = np.zeros(len(values))
    for members, centre in blocks:
        moved[members] = centre + gap * (np.arange(len(members)) - (len(members) - 1) / 2)
    return [float(v) for v in moved]


def _lines(
    run: FinishedRun,
    axes: Axes,
    tables: Histories,
    column: str,
    *,
    labels: bool,
    marked: Mapping[int, int] | None = None,
) -> dict[str, str]:
    """Draw a line per fold; where there are too many to tell apart, all in grey and their mean."""
    tips: dict[str, str] = {}
    crowd = len(tables) > len(LINES)
    for place, (fold, table) in enumerate(tables.items()):
        colour, dashes = (RULE, ()) if crowd else LINES[place]
        marker = "" if column == "loss" or crowd else MARKERS[place]
        (line,) = axes.plot(
            table["step"],
            table[column],
            color=colour,
            linewidth=0.8 if crowd else 1.4,
            marker=marker,
            markersize=4.5,
            dashes=dashes or (None, None),
        )
        gid = f"{column}-fold-{fold}"
        line.set_gid(gid)
        tips[gid] = f"fold {fold} ({_held_out(run, fold)}): {table[column].iloc[-1]:.3g} at the end"
        kept = (marked or {}).get(fold)
        if kept is not None and not crowd and kept < len(table):
            axes.plot(
                table["step"].iloc[[kept]],
                table[column].iloc[[kept]],
                marker="o",
                markersize=11,
                markerfacecolor="none",
                markeredgecolor=INK,
                markeredgewidth=1.0,
                linestyle="none",
            )
    axes.grid(axis="y")
    axes.margins(x=0.02)
    if crowd:
        _mean_line(axes, tables, column)
    elif labels:
        _end_labels(run, axes, tables, column)
    return tips


def _mean_line(axes: Axes, tables: Histories, column: str) -> None:
    steps = np.unique(np.concatenate([t["step"].to_numpy(dtype=float) for t in tables.values()]))
    within = steps[steps <= min(t["step"].max() for t in tables.values())]
    mean = np.mean([np.interp(within, t["step"], t[column]) for t in tables.values()], axis=0)
    axes.plot(within, mean, color=BLUE, linewidth=2.2)
    axes.annotate(
        f"mean of {len(tables)} folds",
        (within[-1], mean[-1]),
        xytext=(-4, 6),
        textcoords="offset points",
        ha="right",
        color=BLUE,
        fontweight="bold",
    )


def _end_labels(run: FinishedRun, axes: Axes, tables: Histories, column: str) -> None:
    """Write each fold's name at the end of its line, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    height = axes.get_position().height * axes.figure.get_size_inches()[1] * 72  # type: ignore[union-attr]
    # a training that diverged ends in inf or nan, which is nowhere on the page
    drawn = {fold: t[np.isfinite(t[column].to_numpy(dtype=float))] for fold, t in tables.items()}
    ends = [float(t[column].iloc[-1]) if len(t) else low for t in drawn.values()]
    heights = spread(ends, (high - low) * 11 / height)
    right = max(float(t["step"].max()) for t in tables.values())
    for (fold, table), end, y, (colour, _) in zip(
        drawn.items(), ends, heights, LINES, strict=False
    ):
        if not len(table):
            continue
        axes.annotate(
            _held_out(run, fold),
            (float(table["step"].iloc[-1]), end),
            xytext=(1.05 * right, y),
            textcoords="data",
            va="center",
            fontsize=8.5,
            color=INK,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.7,
                "shrinkA": 1,
                "shrinkB": 3,
            },
        )


def _histories(run: FinishedRun, modality: str) -> dict[int, pd.DataFrame]:
    found = {fold: run.history(modality, fold) for fold in run.folds}
    return {fold: history for fold, history in found.items() if history is not None}


def _kept(run: FinishedRun, modality: str, tables: Histories) -> dict[int, int]:
    """The position of the kept epoch, counted from 0, where the store records one."""
    kept = {}
    for fold in tables:
        entry = run.entry(modality, fold)
        epoch = read_header(entry.path).get("best_epoch") if entry else None
        if isinstance(epoch, int) and epoch >= 1:
            kept[fold] = epoch - 1
    return kept


def _smooth(table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.assign(
        **{column: table[column].rolling(_window(len(table)), min_periods=1, center=True).mean()}
    )


def _window(steps: int) -> int:
    return max(1, steps // SMOOTH_PARTS)


def _name(first: int, what: str, modality: str) -> str:
    return (
        f"figure{first + ORDER.index(modality):02d}_{what}_{modality}"
        if modality in ORDER
        else f"{what}_{modality}"
    )


def _encoder(run: FinishedRun, modality: str) -> str:
    entry = run.entry(modality, run.folds[0])
    return entry.ref.name if entry else modality


def _held_out(run: FinishedRun, fold: int) -> str:
    return str(run.rows.loc[run.rows["fold"] == fold, "fold_name"].iloc[0])


def _folds(tables: Histories) -> str:
    return (
        f"{len(tables)} folds, each named after what it holds out"
        if len(tables) > 1
        else "one fold"
    )


def _nothing_trained(modality: str) -> str:
    return (
        f"{modality}: the store holds no course of a training (NAME.history.csv beside the "
        "vectors); frozen and imported encoders have none"
    )
