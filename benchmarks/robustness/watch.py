"""Notice when a command runs something, or opens what lies outside of what it was given.

Two witnesses: Python's audit events, and inotify on a folder of bait, which also sees what
libraries in C open. What an undisturbed run does is allowed.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

OPENED, CREATED, CHANGED, REMOVED, MOVED = 0x20, 0x100, 0x2, 0x200, 0xC0
RUNS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "pickle.find_class",
)
NETWORK = ("socket.connect", "socket.getaddrinfo", "urllib.Request")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
FREE = ("/dev/", "/proc/", "/sys/")  # anybody may open these


class Bait:
    """A folder that nothing may open, with files that a stranger's file can name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = {path.name for path in folder.iterdir()}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._events = self._libc.inotify_init1(os.O_NONBLOCK)
        mask = OPENED | CREATED | CHANGED | REMOVED | MOVED
        if (
            self._events < 0
            or self._libc.inotify_add_watch(self._events, os.fsencode(folder), mask) < 0
        ):
            raise OSError(ctypes.get_errno(), "inotify is not there; run this on Linux")

    def taken(self) -> list[str]:
        """Return what happened in the folder since the last call: ``opened secret.wav``."""
        found = []
        try:
            raw = os.read(self._events, 1 << 16)
        except BlockingIOError:
            return []
        while raw:
            _, mask, _, length = struct.unpack_from("iIII", raw)
            name = raw[16 : 16 + length].rstrip(b"\0").decode()
            if name:  # else the folder itself was listed
                found.append(f"{'opened' if mask & OPENED else 'wrote'} {name}")
            raw = raw[16 + length :]
        for path in self.folder.iterdir():
            if path.name not in self._own:
                path.unlink()
        return found


class Witness:
    """Keeps the audit events that would be a breach; there is one per process, for good."""

    def __init__(self, allowed: Iterable[str], free: Iterable[Path]) -> None:
        self.allowed = set(allowed)
        self._free = tuple(str(path.absolute()) for path in free)
        self._seen: set[str] = set()
        self.world = ""
        sys.addaudithook(self._hear)

    def taken(self) -> set[str]:
        """Return what was done since the last call that is not allowed."""
        seen, self._seen = self._seen, set()
        return seen - self.allowed

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.world:
            return
        if event in RUNS or event in NETWORK:
            kind = "ran" if event in RUNS else "outside"
            self._seen.add(f"{kind} {event} {_shown(arguments[:2])}".replace(self.world, "WORLD"))
        elif event in ("exec", "compile"):
            name = str(getattr(arguments[0], "co_filename", arguments[-1]))
            if name.startswith(self.world):
                self._seen.add(f"ran {event} {name}".replace(self.world, "WORLD"))
        elif event == "open":
            self._hear_open(arguments)

    def _hear_open(self, arguments: tuple[object, ...]) -> None:
        name, _, flags = arguments
        if not isinstance(name, str | bytes) or not isinstance(flags, int) or not flags & WRITES:
            return
        path = os.path.normpath(Path(os.fsdecode(name)).absolute())  # and follows no link
        if not path.startswith((self.world, *self._free, *FREE)):
            self._seen.add(f"outside wrote {path}")


def _shown(arguments: tuple[object, ...]) -> str:
    return " ".join(str(argument) for argument in arguments)[:200]
