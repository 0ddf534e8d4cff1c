"""Keeps what C libraries print while they decode from standing beside our own lines.

libmpg123, within libsndfile, tells of every torn frame on the C library's ``stderr``. Python's own
``sys.stderr`` is another thing and stays as it is.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Silence:
    """Counts who is decoding; the first one silences the C library, the last one restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: int | None = None
        self._nowhere: int | None = None

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                stream = self._stream()
                self._before = stream.value
                stream.value = self._nowhere

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._stream().value = self._before

    def _stream(self) -> ctypes.c_void_p:
        """Return the variable ``stderr`` of the C library, and open the place to put in it."""
        library = ctypes.CDLL(None)
        if self._nowhere is None:
            library.fopen.restype = ctypes.c_void_p
            library.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
            self._nowhere = library.fopen(os.devnull.encode(), b"w")
        return ctypes.c_void_p.in_dll(library, "stderr")


_SILENCE = _Silence()
# Elsewhere "stderr" is a constant or has another name.
_IS_KNOWN = platform.libc_ver()[0] == "glibc"


@contextmanager
def quiet_library() -> Iterator[None]:
    """Send what a C library prints to its ``stderr`` nowhere; threads may be inside at once."""
    if not _IS_KNOWN:
        yield
        return
    _SILENCE.enter()
    try:
        yield
    finally:
        _SILENCE.leave()
