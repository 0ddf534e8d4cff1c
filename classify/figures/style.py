"""One look for every figure, and files that are the same byte for byte each time."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from classify.claim import CLAIM, Claim
from classify.figures.palette import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from embeddings_store.atomic import make_folder, replacing
from embeddings_store.reading import visible

INK, MUTED, RULE, PAPER = (
    "#1c2330",
    "#5b6472",
    "#d5dae1",
    "#ffffff",
)  # a report replaces these by its theme's
ON_LIGHT, ON_DARK = "#11161f", "#fefefe"  # text on a coloured area, the same in every theme
ACCENT, SECOND = BLUE, VERMILLION
LINES: tuple[tuple[str, tuple[float, ...]], ...] = (
    (BLUE, ()),
    (VERMILLION, (5, 1.5)),
    (GREEN, (1, 1)),
    (PURPLE, (6, 1.5, 1, 1.5)),
    (ORANGE, (3, 1)),
    (SKY, (8, 2)),
)
DPI = 200
STAMP_COLOUR = "#b00020"  # a report replaces it by its theme's colour of warnings
STAMP_LETTERS_PER_INCH, STAMP_LINE_IN, STAMP_MARGIN_IN = 10, 0.16, 0.08
STYLE: Mapping[Any, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 2.4,
    "lines.linewidth": 1.5,
    "hatch.linewidth": 0.6,
    "hatch.color": ON_LIGHT,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "emotion-fusion",
    "figure.constrained_layout.use": True,
}

Tips = Mapping[str, "str | Sequence[str]"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """One finished figure.

    Attributes:
        name: The files' stem; the paper's figures begin with ``figure01_`` and so on.
        title: What it shows, in a few words.
        caption: What to see, of which rows, and how it was made: whole sentences.
        figure: The picture.
        tips: Values to show under the pointer: the ``gid`` of a part to its text, or to a text per
            point.
        claim: What its figures may be called; :func:`stamped` draws it.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    tips: Tips = field(default_factory=dict)
    claim: Claim = field(default_factory=Claim)

    @property
    def number(self) -> int | None:
        """The number of the paper's figure, or none."""
        head = self.name.partition("_")[0].removeprefix("figure")
        return int(head) if head.isdecimal() else None


@contextmanager
def style() -> Iterator[None]:
    """Draw in the project's style, whatever the user's own settings are."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        warnings.filterwarnings(
            "ignore", message=r"Glyph .* missing from", category=UserWarning
        )  # labels in any script
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, bound to no window system."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def bare(text: object, limit: int = 40) -> str:
    """Shorten a name for an axis.

    >>> bare("x" * 50, 8)
    'xxxxxxx…'
    """
    shown = str(text)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def stamped(drawing: Drawing, claim: Claim) -> Drawing:
    """Return the drawing with what its figures may be called above it; a plain result as it is.

    The picture grows by a strip, so that nothing in it is covered.

    Args:
        drawing: What was drawn, not yet laid out.
        claim: What its figures may be called.
    """
    if claim.is_result:
        return drawing
    figure = drawing.figure
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(claim.stamp, max(1, int(width * STAMP_LETTERS_PER_INCH)))
    strip = STAMP_LINE_IN * len(lines) + STAMP_MARGIN_IN
    figure.set_size_inches(width, height + strip)
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.set(rect=(0, 0, 1, height / (height + strip)))  # type: ignore[call-arg]
    figure.text(
        0.01,
        1 - STAMP_MARGIN_IN / 2 / (height + strip),
        "\n".join(lines),
        ha="left",
        va="top",
        fontsize=8.5,
        fontweight="bold",
        color=STAMP_COLOUR,
        in_layout=False,
        gid="claim",
    )
    return replace(drawing, caption=f"{claim.stamp}. {drawing.caption}", claim=claim)


def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write ``NAME.png`` and ``NAME.svg``, each whole or not at all.

    Equal runs give equal bytes.
    """
    make_folder(folder)
    files = []
    about: dict[str, dict[str, str | None]] = {
        "png": {"Software": None, "Title": drawing.title},
        "svg": {"Date": None, "Creator": None, "Title": drawing.title},
    }
    for metadata in about.values():
        metadata["Title"] = visible(drawing.title)
        metadata["Description"] = f"{CLAIM}: {drawing.claim.text}"
    with style():
        drawing.figure.draw_without_rendering()
        drawing.figure.set_layout_engine("none")  # laid out once, not again for each file
        for kind, metadata in about.items():
            path = folder / f"{drawing.name}.{kind}"
            with replacing(path) as temporary:
                drawn = io.BytesIO()
                drawing.figure.savefig(drawn, format=kind, dpi=DPI, metadata=metadata)
                content = drawn.getvalue()
                if kind == "svg":  # a label may hold what XML does not allow
                    content = visible(content.decode("utf-8")).encode("utf-8")
                temporary.write_bytes(content)
            files.append(path)
    return files
