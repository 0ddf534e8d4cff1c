"""Draws the label picture: how many rows each class has in each session, as PNG and SVG.

Readable in colour, in grey and by colour-blind people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import replacing
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, MissingDependencyError
from embeddings_store.folds.natural_order import natural_key
from embeddings_store.folds.plan import ROLES, FoldPlan
from embeddings_store.folds.rules import make_plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any colour vision tell apart, beginning with four of
# different lightness.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo", "---")
MOST_GROUPS = 12
# With more bars than these their numbers would run into each other.
MOST_NUMBERED_BARS = 48


def label_groups(manifest: Manifest) -> tuple[str, list[str], NDArray[np.int64]]:
    """Return what rows are grouped by, the groups' names, and the counts (groups, classes).

    Groups are sessions where there are 2 to 12, else the parts of the official split, else what
    each fold tests, else all.

    >>> columns = {"id": list("abcd"), "label": list("xyxx"), "session": list("1122")}
    >>> by, names, counts = label_groups(Manifest.from_columns("m", columns))
    >>> by, names, counts.tolist()
    ('session', ['1', '2'], [[1, 1], [2, 0]])
    """
    codes = manifest.codes()
    classes = len(manifest.labels.classes) if manifest.labels else 0
    by, names, group_of = _groups(manifest)
    counts = np.zeros((len(names), classes), dtype=np.int64)
    kept = (codes >= 0) & (group_of >= 0)
    np.add.at(counts, (group_of[kept], codes[kept]), 1)
    return by, names, counts


def draw_labels(manifest: Manifest, folder: Path) -> list[Path]:
    """Write ``labels.png`` and ``labels.svg`` into ``folder``; nothing for a corpus without labels.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    if manifest.labels is None:
        return []
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "drawing needs matplotlib; install the extra: pip install 'emotion-fusion[report]'"
        ) from None
    by, names, counts = label_groups(manifest)
    classes = manifest.labels.classes
    with mpl.rc_context(
        {"svg.hashsalt": "emotion-fusion", "svg.fonttype": "none", "hatch.linewidth": 0.6}
    ):
        width = max(6.0, min(16.0, 1.2 + 0.24 * len(names) * len(classes)))
        figure = Figure(figsize=(width, 3.8), layout="constrained")
        axes = figure.add_subplot()
        _draw_bars(axes, classes, counts)
        axes.set_xticks(range(len(names)), names)
        # Rows come whole. (Stubs do not know that the default locator takes this.)
        axes.yaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        axes.set_xlabel(by)
        axes.set_ylabel("rows")
        axes.set_title(
            f"{manifest.name}: {counts.sum():,} rows by class and {by}", fontsize=10, loc="left"
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01, y=0.1)
        axes.legend(fontsize=7.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return _save(figure, folder)


def _draw_bars(axes: Axes, classes: Sequence[str], counts: NDArray[np.int64]) -> None:
    """Draw a bar per group and class, the classes of a group side by side."""
    groups = np.arange(len(counts))
    width = 0.84 / len(classes)
    for code, name in enumerate(classes):
        offset = (code - (len(classes) - 1) / 2) * width
        # Where the colours begin again, the hatches are one further.
        hatch = HATCHES[(code + code // len(COLOURS)) % len(HATCHES)]
        bars = axes.bar(
            groups + offset,
            counts[:, code],
            width * 0.94,
            label=f"{name} ({counts[:, code].sum():,})",
            color=COLOURS[code % len(COLOURS)],
            edgecolor="white",
            linewidth=0.5,
            hatch=hatch,
        )
        if counts.size <= MOST_NUMBERED_BARS:
            axes.bar_label(bars, fontsize=6.5, padding=1.5, color="#333333")


def _save(figure: Figure, folder: Path) -> list[Path]:
    """Write PNG and SVG without what differs from one run to the next."""
    undated: dict[str, dict[str, str | None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
    }
    written = []
    for suffix, metadata in undated.items():
        target = folder / f"labels.{suffix}"
        with replacing(target) as temporary:
            figure.savefig(temporary, format=suffix, dpi=160, metadata=metadata)
        written.append(target)
    return written


def _groups(manifest: Manifest) -> tuple[str, list[str], NDArray[np.int64]]:
    """Return what groups are called, their names, and each row's group (N,), -1 for none."""
    for column in ("session", "split"):
        values = manifest.column(column).tolist()
        names = sorted({value for value in values if value}, key=natural_key)
        if column == "split":
            names = sorted(names, key=_place_of_role)
        if 2 <= len(names) <= MOST_GROUPS:
            place = {name: i for i, name in enumerate(names)}
            group_of = np.array([place.get(value, -1) for value in values], dtype=np.int64)
            return column, names, group_of
    plan = _plan(manifest)
    if plan is not None and 2 <= len(plan) <= MOST_GROUPS:
        group_of = np.full(len(manifest), -1, dtype=np.int64)
        for i, fold in enumerate(plan):
            group_of[fold.mask("test")] = i
        return f"fold of {plan.name}", [fold.name for fold in plan], group_of
    return "corpus", ["all rows"], np.zeros(len(manifest), dtype=np.int64)


def _place_of_role(name: str) -> int:
    """Order the parts of a split as roles are ordered, any other name behind them."""
    return ROLES.index(name) if name in ROLES else len(ROLES)


def _plan(manifest: Manifest) -> FoldPlan | None:
    """Return the corpus' own folds, None where it has none that can be made."""
    if not manifest.protocol:
        return None
    try:
        return make_plan(manifest)
    except FoldError:
        return None
