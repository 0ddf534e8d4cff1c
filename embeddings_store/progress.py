"""The progress bar of every command: one look, and nothing where the output is no terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """One bar on the terminal, or nothing at all where there is none.

    Attributes:
        display: The lines on the terminal that the bar is one of.
        task: Which of them.
    """

    display: Progress
    task: TaskID

    def advance(self, count: int = 1) -> None:
        """Move on by so many of the things that are counted."""
        self.display.advance(self.task, count)

    def resize(self, total: int) -> None:
        """Change how many things there are to do."""
        self.display.update(self.task, total=total)


@contextmanager
def progress_bars(
    tasks: Sequence[tuple[str, int]], console: Console | None = None
) -> Iterator[tuple[ProgressBar, ...]]:
    """Show one bar per task while the block runs, and remove them at its end.

    Args:
        tasks: Title and number of things to do, for each bar.
        console: Where they are drawn; none is the standard error. A quiet one draws nothing.

    >>> with progress_bars([("cells", 3), ("files", 2)]) as (cells, files):
    ...     cells.advance()
    """
    # The store's modules load without rich; only whoever draws a bar pays for its import.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = console or Console(stderr=True)
    display = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal or console.quiet,
    )
    with display:
        yield tuple(
            ProgressBar(display, display.add_task(title, total=total)) for title, total in tasks
        )


@contextmanager
def progress_bar(title: str, total: int, console: Console | None = None) -> Iterator[ProgressBar]:
    """Show a single bar, see :func:`progress_bars`.

    Args:
        title: What is counted.
        total: How many there are.
        console: Where it is drawn; none is the standard error.
    """
    with progress_bars([(title, total)], console) as (bar,):
        yield bar
