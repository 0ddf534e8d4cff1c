"""What every table on a terminal shares: the console that it goes to, and its shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text, TextType

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


def figures_table(
    title: TextType | None, columns: Sequence[str], names: Sequence[str] = ("",)
) -> Table:
    """Return an empty table: columns of names, and columns of figures.

    Args:
        title: What stands above it.
        columns: The titles of the columns of figures.
        names: The titles of the columns of names.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def print_table(
    console: Console, table: Table, lines: Sequence[str] = (), can_go: Sequence[str] = ()
) -> None:
    """Print a table, lines below it that say what it is of, and an empty line.

    A table that is wider than the console first loses columns that can go. What is still too wide
    is printed as several, one below the other, so that neither a name nor a figure is cut.

    Args:
        console: Where to.
        table: The table: columns of names, then columns of figures.
        lines: Any number, without markup.
        can_go: Titles of columns of figures that a narrow console does without, the last first.
    """
    if table.title:  # apart, since Rich would break it to the table's width
        print_line(console, str(table.title), "bold")
    table, gone = _without_spare_columns(table, can_go, console)
    for part in _as_wide_as(table, console):
        part.title = None
        console.print(part)
    if gone:
        lines = [*lines, f"{', '.join(gone)}: in a wider window, and in the file"]
    if lines:
        console.print(Text("\n".join(lines)), style="dim", soft_wrap=True)
    console.print()


NAMES_WIDTH = 16  # what a column of names has at least in a table that does not fit


def _without_spare_columns(
    table: Table, can_go: Sequence[str], console: Console
) -> tuple[Table, list[str]]:
    """Return a table without as many spare columns as make it fit, and the titles of these."""
    gone: list[str] = []
    for title in reversed(can_go):
        if sum(map(_width, table.columns)) < console.width:
            break
        kept = [column for column in table.columns if column.header != title]
        if len(kept) < len(table.columns):
            table = _table_of(kept)
            gone.insert(0, title)
    return table, gone


def _width(column: Column) -> int:
    texts = [column.header, *column.cells]
    return max(cell_len(str(text)) for text in texts) + 3  # padding and border


def _is_of_names(column: Column) -> bool:
    return column.justify != "right"


def _table_of(columns: Sequence[Column]) -> Table:
    """Return a table, without a title, of columns that stood in another one."""
    names = [str(column.header) for column in columns if _is_of_names(column)]
    figures = [str(column.header) for column in columns if not _is_of_names(column)]
    table = figures_table(None, figures, names)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table


def _as_wide_as(table: Table, console: Console) -> list[Table]:
    """Return a table as one or more that are no wider than the console."""
    names = list(takewhile(_is_of_names, table.columns))
    figures = table.columns[len(names) :]
    if sum(map(_width, table.columns)) < console.width:
        return [table]
    most = max(NAMES_WIDTH, console.width // 2 // len(names))  # longer names are broken
    left = console.width - sum(min(_width(column), most) for column in names) - 1
    groups: list[list[Column]] = [[]]
    for column in figures:
        if groups[-1] and sum(map(_width, groups[-1])) + _width(column) > left:
            groups.append([])
        groups[-1].append(column)
    return [_table_of([*names, *group]) for group in groups]


def add_line(table: Table, *cells: str) -> None:
    """Add a line whose words stand as they are: names hold brackets, which are no markup.

    Args:
        table: The table.
        cells: A text for each column.
    """
    table.add_row(*map(Text, cells))


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
