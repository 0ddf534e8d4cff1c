"""Draws how many rows each class has in each session, as PNG and SVG.

Readable in colour, in grey and by colour-blind people.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import replacing
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, MissingDependencyError
from embeddings_store.folds.plan import ROLES
from embeddings_store.folds.rules import make_plan, natural_key

# Okabe and Ito's colours, which people with any colour vision tell apart, beginning with four of
# different lightness.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo", "---")
MOST_GROUPS = 12


def label_groups(manifest: Manifest) -> tuple[str, list[str], NDArray[np.int64]]:
    """Return what rows are grouped by, the groups' names, and the counts (groups, classes).

    Groups are sessions where there are 2 to 12, else the parts of the official split, else what
    each fold tests, else all.

    >>> m = Manifest.from_columns("m", {"id": list("abcd"), "label": ["x", "y", "x", "x"], "session": ["1", "1", "2", "2"]})
    >>> label_groups(m)[0], label_groups(m)[1], label_groups(m)[2].tolist()
    ('session', ['1', '2'], [[1, 1], [2, 0]])
    """
    codes, classes = manifest.codes(), len(manifest.labels.classes) if manifest.labels else 0
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
    width = 0.84 / len(classes)
    with mpl.rc_context(
        {"svg.hashsalt": "emotion-fusion", "svg.fonttype": "none", "hatch.linewidth": 0.6}
    ):
        figure = Figure(
            figsize=(max(6.0, min(16.0, 1.2 + 0.24 * len(names) * len(classes))), 3.8),
            layout="constrained",
        )
        axes = figure.add_subplot()
        for code, name in enumerate(classes):
            places = np.arange(len(names)) + (code - (len(classes) - 1) / 2) * width
            bars = axes.bar(
                places,
                counts[:, code],
                width * 0.94,
                label=f"{name} ({counts[:, code].sum():,})",
                color=COLOURS[code % len(COLOURS)],
                edgecolor="white",
                linewidth=0.5,
                hatch=HATCHES[(code + code // len(COLOURS)) % len(HATCHES)],
            )
            if counts.size <= 48:
                axes.bar_label(bars, fontsize=6.5, padding=1.5, color="#333333")
        axes.set_xticks(range(len(names)), names)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel(by)
        axes.set_ylabel("rows")
        axes.set_title(
            f"{manifest.name}: {counts.sum():,} rows by class and {by}", fontsize=10, loc="left"
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01, y=0.1)
        axes.legend(fontsize=7.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        written = []
        for suffix, about in (
            (".png", {"Software": None}),
            (".svg", {"Date": None, "Creator": None}),
        ):
            target = folder / f"labels{suffix}"
            with replacing(target) as temporary:
                figure.savefig(temporary, format=suffix[1:], dpi=160, metadata=about)
            written.append(target)
    return written


def _groups(manifest: Manifest) -> tuple[str, list[str], NDArray[np.int64]]:
    """Return what groups are called, their names, and each row's group (N,), -1 for none."""
    for column in ("session", "split"):
        values = manifest.column(column)
        names = sorted({v for v in values.tolist() if v}, key=natural_key)
        if column == "split":
            names = sorted(
                names, key=lambda name: ROLES.index(name) if name in ROLES else len(ROLES)
            )
        if 2 <= len(names) <= MOST_GROUPS:
            place = {name: i for i, name in enumerate(names)}
            return (
                column,
                names,
                np.array([place.get(v, -1) for v in values.tolist()], dtype=np.int64),
            )
    try:
        plan = make_plan(manifest) if manifest.protocol else None
    except FoldError:
        plan = None
    if plan is not None and 2 <= len(plan) <= MOST_GROUPS:
        group_of = np.full(len(manifest), -1, dtype=np.int64)
        for i, fold in enumerate(plan):
            group_of[fold.mask("test")] = i
        return f"fold of {plan.name}", [fold.name for fold in plan], group_of
    return "corpus", ["all rows"], np.zeros(len(manifest), dtype=np.int64)
