"""The progress bar of every command: one look, and a line a minute where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


# A log is read later, and a run of hours should not fill it.
LINE_EVERY_S = 60.0


@dataclass(slots=True)
class _Log:
    """What stands in a log instead of a bar."""

    title: str
    total: int
    console: Console
    done: int = 0
    # What is counted, and seconds of the clock, when the last line was written.
    before: int = 0
    before_s: float = field(default_factory=lambda: time.monotonic())

    def advance(self, count: int) -> None:
        """Count, and write a line where the last one is a minute old."""
        self.done += count
        since_s = time.monotonic() - self.before_s
        if since_s < LINE_EVERY_S:
            return
        made = self.done - self.before
        rest = ""
        if made > 0 and self.done < self.total:
            rest = f", about {(self.total - self.done) * since_s / made / 60:.0f} min left"
        self.console.print(f"{self.title}: {self.done} of {self.total}{rest}", markup=False)
        self.before, self.before_s = self.done, time.monotonic()


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """One bar on the terminal, or a line a minute where there is none.

    Attributes:
        display: The lines on the terminal that the bar is one of.
        task: Which of them.
        log: What is written where there is no terminal; none where there is one, or in quiet.
    """

    display: Progress
    task: TaskID
    log: _Log | None = None

    def advance(self, count: int = 1) -> None:
        """Move on by so many of the things that are counted."""
        self.display.advance(self.task, count)
        if self.log is not None:
            self.log.advance(count)

    def resize(self, total: int) -> None:
        """Change how many things there are to do."""
        self.display.update(self.task, total=total)
        if self.log is not None:
            self.log.total = total


@contextmanager
def progress_bars(
    tasks: Sequence[tuple[str, int]], console: Console | None = None
) -> Iterator[tuple[ProgressBar, ...]]:
    """Show one bar per task while the block runs, and remove them at its end.

    Args:
        tasks: Title and number of things to do, for each bar.
        console: Where they are drawn; none is the standard error. A quiet one draws nothing, and
            one that is no terminal gets a line a minute.

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
            ProgressBar(
                display,
                display.add_task(title, total=total),
                None if console.is_terminal or console.quiet else _Log(title, total, console),
            )
            for title, total in tasks
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
