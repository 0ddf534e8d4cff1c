"""Ctrl-C where it may be heard: never inside what would swallow it, and never lost.

Libraries catch the exception that Ctrl-C raises (scikit-learn's network then calls a half-trained
model finished), forget it (HDF5 while it closes a file), or turn it into another one (imports).
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


@dataclass(slots=True)
class Interrupt:
    """Whether Ctrl-C was pressed.

    Attributes:
        came: At least once.
    """

    came: bool = False


@contextlib.contextmanager
def interrupts_later() -> Iterator[Interrupt]:
    """Only note SIGINT while the block runs, and hand it on when the block has ended.

    Nothing in the block ever sees an exception of it, so keep the block short, or look at what is
    yielded. In a thread that is not the main one nothing is done, because Python raises there
    nothing either. SIGTERM is left alone: it ends the process at once, and files are renamed into
    place when whole.

    Yields:
        Whether the signal has come so far.

    Raises:
        KeyboardInterrupt: After the block, if it came and the handler before was Python's own.
    """
    interrupt = Interrupt()
    before = _own_handler()
    if before is None:
        yield interrupt
        return

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        interrupt.came = True

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
        if interrupt.came:
            before(signal.SIGINT, None)


@contextlib.contextmanager
def interrupts_counted() -> Iterator[Interrupt]:
    """Let SIGINT do what it does, and note it, for whoever asks whether a library swallowed it.

    Yields:
        Whether the signal has come so far.
    """
    interrupt = Interrupt()
    before = _own_handler()
    if before is None:
        yield interrupt
        return

    def count(number: int, frame: FrameType | None) -> None:
        interrupt.came = True
        before(number, frame)

    signal.signal(signal.SIGINT, count)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


def _own_handler() -> Handler | None:
    """Return the Python function that hears SIGINT, if there is one and this thread may set it."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGINT)
    return handler if callable(handler) else None
