"""What every table on a terminal shares: the console that it goes to, and its shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from embeddings_store.reading import visible


class _Visible:
    """What is to be printed, with the control characters of its words as their numbers."""

    def __init__(self, inside: ConsoleRenderable) -> None:
        """Keep what is to be printed."""
        self.inside = inside

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield the printed pieces; those that steer the terminal are Rich's own."""
        for piece in console.render(self.inside, options):
            yield piece if piece.control else Segment(visible(piece.text), piece.style)


class _NoControls(RenderHook):
    """Puts every table and line through :class:`_Visible`: labels are words of somebody else."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Return what is printed instead."""
        return [_Visible(renderable) for renderable in renderables]


FILE_WIDTH = 200  # columns where the output is no terminal, so that nothing is cut


def console_for_output() -> Console:
    """Return a console on standard output that never cuts a table in a file."""
    # Rich would colour numbers, which mean nothing by their colour here
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH, highlight=False)
    console.push_render_hook(_NoControls())
    return console


def figures_table(title: str, columns: Sequence[str]) -> Table:
    """Return an empty table: a column of names without a title, and columns of figures.

    Args:
        title: What stands above it.
        columns: The titles of the columns of figures.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def print_table(console: Console, table: Table, lines: Sequence[str] = ()) -> None:
    """Print a table, lines below it that say what it is of, and an empty line.

    Args:
        console: Where to.
        table: The table.
        lines: Any number, without markup.
    """
    console.print(table)
    if lines:
        console.print(Text("\n".join(lines)), style="dim", soft_wrap=True)
    console.print()


def print_line(console: Console, line: str, style: str = "") -> None:
    """Print one line as it is: without markup, and never broken.

    Args:
        console: Where to.
        line: The line.
        style: A style of Rich; none for plain text.
    """
    # names of cells hold brackets, which markup would swallow
    console.print(line, style=style, markup=False, soft_wrap=True)


def two_decimals(value: float) -> str:
    """Return a figure with two decimals, ``-`` for ``nan``.

    >>> two_decimals(71.204), two_decimals(float("nan"))
    ('71.20', '-')
    """
    return "-" if pd.isna(value) else f"{value:.2f}"
