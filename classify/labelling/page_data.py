"""A timeline as its page draws it: areas of probability, runs of one label, and lists of windows.

Of a recording with very many windows neighbours are shown together, so that a browser stays quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from classify.labelling.timeline import UNANSWERED, UNSURE, Timeline

MOST_SHOWN = 10_000
WIDTH, HEIGHT = 100_000, 1_000  # of the drawing, whatever its size on the screen
DIGITS = 3  # of probabilities; more cannot be seen


@dataclass(frozen=True, slots=True)
class ShownWindows:
    """The windows of a page; arrays have one element per window (n,), or per group of them.

    Attributes:
        left: Where its cell of the drawing begins, from 0 to 1.
        right: Where it ends. Windows that overlap part in the middle of what they share.
        probabilities: Of every class (n, C); ``nan`` where there is no answer.
        data: What the script lists, as plain JSON: ``start``, ``end``, ``label``, ``p``, ``by``,
            ``note`` and ``text`` per window, with ``left`` and ``right``, ``length`` (seconds, or
            lines of a text) and ``timed``.
        together: How many neighbouring windows each of them stands for.
    """

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    data: dict[str, object]
    together: int = 1


def shown_windows(timeline: Timeline, most: int = MOST_SHOWN) -> ShownWindows:
    """Return the windows as a page shows them.

    Args:
        timeline: What the model says.
        most: Of more windows, neighbours are shown together.
    """
    windows = timeline.windows
    together = -(-len(windows) // most)
    starts, ends, timed = _times(timeline)
    columns = [f"p:{name}" for name in timeline.classes]
    chances = windows[columns].to_numpy(dtype=np.float64)
    groups = [slice(at, at + together) for at in range(0, len(windows), together)]
    texts = windows["text"].tolist() if "text" in windows else [""] * len(windows)
    start = np.array([starts[group][0] for group in groups])
    end = np.array([ends[group].max() for group in groups])
    p = np.array([_mean(chances[group]) for group in groups])
    labels, by, notes, words = [], [], [], []
    given, answered = windows["label"].tolist(), windows["answered_by"].tolist()
    for group, row in zip(groups, p, strict=True):
        labels.append(_label(timeline, given[group], row))
        by.append("+".join(dict.fromkeys("+".join(filter(None, answered[group])).split("+"))))
        notes.append("; ".join(dict.fromkeys(filter(None, windows["note"].tolist()[group]))))
        words.append(" ".join(filter(None, texts[group])))
    left, right, length = _cells(start, end)
    data = {
        "timed": timed,
        "length": length,
        "classes": list(timeline.classes),
        "start": start.round(DIGITS).tolist(),
        "end": end.round(DIGITS).tolist(),
        "left": left.round(8).tolist(),
        "right": right.round(8).tolist(),
        "label": labels,
        "p": [None if np.isnan(row).any() else row.round(DIGITS).tolist() for row in p],
        "by": by,
        "note": notes,
        "text": words,
    }
    return ShownWindows(left, right, p, data, together)


def area_paths(shown: ShownWindows) -> list[str]:
    """Return one SVG path per class: its share of every window, one class above the other.

    >>> two = np.array([[0.25, 0.75], [0.5, 0.5]])
    >>> shown = ShownWindows(np.array([0, 0.5]), np.array([0.5, 1]), two, {})
    >>> area_paths(shown)[0]
    'M0 1000V750H50000V500H100000V1000H50000V1000H0Z'
    """
    tops = np.cumsum(shown.probabilities, axis=1)
    n_classes = shown.probabilities.shape[1]
    left, right = shown.left * WIDTH, shown.right * WIDTH
    paths: list[list[str]] = [[] for _ in range(n_classes)]
    for run in _joined(shown):
        for code in range(n_classes):
            lower = tops[:, code - 1] if code else np.zeros(len(tops))
            low, high = HEIGHT * (1 - lower), HEIGHT * (1 - tops[:, code])
            there = [f"V{high[at]:.0f}H{right[at]:.0f}" for at in run]
            back = [f"V{low[at]:.0f}H{left[at]:.0f}" for at in reversed(run)]
            first = run[0]
            begin = f"M{left[first]:.0f} {low[first]:.0f}"
            paths[code].append(begin + "".join(there) + "".join(back) + "Z")
    return ["".join(parts) for parts in paths]


def label_runs(shown: ShownWindows) -> list[dict[str, object]]:
    """Return neighbouring windows of one label as one: ``label``, ``left`` and ``width`` (%).

    >>> shown = ShownWindows(np.array([0, 0.5]), np.array([0.5, 1]), np.ones((2, 1)),
    ...                      {"label": ["sad", "sad"]})
    >>> label_runs(shown)
    [{'label': 'sad', 'left': 0.0, 'width': 100.0}]
    """
    labels = shown.data["label"]
    assert isinstance(labels, list)  # noqa: S101 - for the type checker
    found: list[dict[str, object]] = []
    for label, places in groupby(range(len(labels)), key=labels.__getitem__):
        inside = list(places)
        if label == UNANSWERED:
            continue
        left, right = float(shown.left[inside[0]]), float(shown.right[inside[-1]])
        width = round(100 * (right - left), 4)
        found.append({"label": label, "left": round(100 * left, 4), "width": width})
    return found


def _times(timeline: Timeline) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return starts and ends, in seconds, or in lines where there are no times."""
    starts = timeline.windows["start_s"].to_numpy(dtype=np.float64)
    if np.isnan(starts).any():
        lines = np.arange(len(starts), dtype=np.float64)
        return lines, lines + 1, False
    return starts, timeline.windows["end_s"].to_numpy(dtype=np.float64), True


def _cells(
    start: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return where each window is drawn, from 0 to 1, and how long the whole is."""
    between = (start[1:] + end[:-1]) / 2  # the middle of what two windows share, or of a gap
    left, right = start.copy(), end.copy()
    left[1:] = np.maximum(left[1:], between)
    right[:-1] = np.minimum(right[:-1], between)
    length = float(end.max()) or 1.0
    return left / length, right / length, length


def _joined(shown: ShownWindows) -> list[list[int]]:
    """Return the answered windows in runs without a gap."""
    runs: list[list[int]] = []
    for at in np.flatnonzero(~np.isnan(shown.probabilities).any(axis=1)).tolist():
        touches = runs and runs[-1][-1] == at - 1 and shown.left[at] - shown.right[at - 1] < 1e-9
        if touches:
            runs[-1].append(at)
        else:
            runs.append([at])
    return runs


def _mean(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the answered windows of a group (C,); ``nan`` where there is none."""
    answered = chances[~np.isnan(chances).any(axis=1)]
    return answered.mean(axis=0) if len(answered) else np.full(chances.shape[1], np.nan)


def _label(timeline: Timeline, labels: list[str], mean: NDArray[np.float64]) -> str:
    if len(labels) == 1:
        return labels[0]
    if np.isnan(mean).any():
        return UNANSWERED
    unsure = mean.max() < timeline.unsure_below
    return UNSURE if unsure else timeline.classes[int(mean.argmax())]
