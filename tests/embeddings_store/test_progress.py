"""Progress where there is no terminal: a line a minute, and none in quiet."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from embeddings_store import progress
from embeddings_store.progress import progress_bar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


def test_a_log_gets_a_line_a_minute(clock) -> None:
    out = io.StringIO()
    with progress_bar("vectors", 1000, Console(file=out)) as bar:
        bar.advance(100)
        clock(59.0)
        bar.advance(50)
        assert out.getvalue() == ""
        clock(1.0)
        bar.advance(50)
        clock(1.0)
        bar.advance(50)
        clock(120.0)
        bar.advance(30)
    first, second = out.getvalue().splitlines()
    assert first == "vectors: 200 of 1000, about 4 min left"
    assert second == "vectors: 280 of 1000, about 18 min left"


def test_a_terminal_and_a_quiet_console_get_no_line(clock) -> None:
    for console in (Console(file=io.StringIO(), quiet=True), Console(force_terminal=True)):
        with progress_bar("vectors", 10, console) as bar:
            clock(100.0)
            bar.advance(5)
            assert bar.log is None
