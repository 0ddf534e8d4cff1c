"""libass by ctypes: what it has read of a script, and which columns of a picture it paints."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from ctypes import POINTER, Structure, c_char_p, c_int, c_longlong, c_ubyte, c_void_p
from typing import Any

import numpy as np

WIDTH, HEIGHT, SIZE = 1280, 240, 40
MONO = "DejaVu Sans Mono"
HEAD = f"""[Script Info]
ScriptType: v4.00+
PlayResX: {WIDTH}
PlayResY: {HEIGHT}
WrapStyle: 2

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,{MONO},{SIZE},&H00FFFFFF,&H0,&H0,&H0,0,0,0,0,100,100,0,0,1,0,0,7,0,0,0,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


class Event(Structure):
    _fields_ = (
        ("start", c_longlong),
        ("duration", c_longlong),
        ("order", c_int),
        ("layer", c_int),
        ("style", c_int),
        ("name", c_char_p),
        ("margins", c_int * 3),
        ("effect", c_char_p),
        ("text", c_char_p),
        ("private", c_void_p),
    )


class Style(Structure):
    _fields_ = (
        ("name", c_char_p),
        ("font", c_char_p),
        ("size", ctypes.c_double),
        ("colours", ctypes.c_uint32 * 4),
        ("flags", c_int * 4),
        ("scales", ctypes.c_double * 4),
        ("border", c_int),
        ("outline", ctypes.c_double),
        ("shadow", ctypes.c_double),
        ("others", c_int * 6),
        ("blur", ctypes.c_double),
        ("justify", c_int),
    )


class Track(Structure):
    _fields_ = (
        ("n_styles", c_int),
        ("max_styles", c_int),
        ("n_events", c_int),
        ("max_events", c_int),
        ("styles", POINTER(Style)),
        ("events", POINTER(Event)),
    )


class Image(Structure):
    pass


Image._fields_ = (
    ("w", c_int),
    ("h", c_int),
    ("stride", c_int),
    ("bitmap", POINTER(c_ubyte)),
    ("colour", ctypes.c_uint32),
    ("x", c_int),
    ("y", c_int),
    ("next", POINTER(Image)),
)


class Libass:
    """A library and a renderer; a context in which they live."""

    def __init__(self, dll: ctypes.CDLL) -> None:
        self._dll: Any = dll
        for name in ("ass_library_init", "ass_renderer_init"):
            getattr(dll, name).restype = c_void_p
        dll.ass_read_memory.restype = POINTER(Track)
        dll.ass_read_memory.argtypes = [c_void_p, c_char_p, ctypes.c_size_t, c_char_p]
        dll.ass_render_frame.restype = POINTER(Image)
        dll.ass_render_frame.argtypes = [c_void_p, POINTER(Track), c_longlong, POINTER(c_int)]
        dll.ass_renderer_init.argtypes = [c_void_p]
        dll.ass_set_frame_size.argtypes = [c_void_p, c_int, c_int]
        dll.ass_set_fonts.argtypes = [c_void_p, c_char_p, c_char_p, c_int, c_char_p, c_int]
        dll.ass_free_track.argtypes = [POINTER(Track)]
        for name in ("ass_renderer_done", "ass_library_done"):
            getattr(dll, name).argtypes = [c_void_p]
        silent = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p, c_void_p)
        self._quiet = silent(lambda *_: None)
        dll.ass_set_message_cb.argtypes = [c_void_p, silent, c_void_p]
        self._advance = 0.0

    def __enter__(self) -> Libass:
        self._library = self._dll.ass_library_init()
        self._dll.ass_set_message_cb(self._library, self._quiet, None)
        self._renderer = self._dll.ass_renderer_init(self._library)
        self._dll.ass_set_frame_size(self._renderer, WIDTH, HEIGHT)
        self._dll.ass_set_fonts(self._renderer, None, MONO.encode(), 1, None, 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._dll.ass_renderer_done(self._renderer)
        self._dll.ass_library_done(self._library)

    def events(self, script: str) -> list[tuple[str, str]]:
        """Return text and style of each event."""
        track = self._track(script)
        read = track.contents
        found = []
        for event in read.events[: read.n_events]:
            name = read.styles[event.style].name.decode()
            found.append((event.text.decode(), name))
        self._dll.ass_free_track(track)
        return found

    def ink(self, text: str, cells: int) -> list[int]:
        """Return how many pixels a line paints in each cell of the width of a letter."""
        return self._cells([(0.0, text)], cells)

    def ink_of_letters(self, text: str) -> list[int]:
        """Return the same of letters that are events of their own, side by side.

        Alone, neither a brace nor a backslash can be markup.
        """
        placed = [(self._width() * n, letter) for n, letter in enumerate(text)]
        return self._cells(placed, len(text))

    def _cells(self, texts: list[tuple[float, str]], cells: int) -> list[int]:
        columns = self._painted(texts)
        edges = [round(self._width() * n) for n in range(cells)]
        parts = np.split(columns, edges[1:])
        return [int(part.sum()) for part in parts]

    def _width(self) -> float:
        """Return how wide a letter is: a part of the way from one stroke to another."""
        if not self._advance:
            far, near = (np.flatnonzero(self._painted([(0.0, t)])) for t in ("a" * 40 + "|", "|"))
            self._advance = float(far[-1] - near[-1]) / 40
        return self._advance

    def _painted(self, texts: list[tuple[float, str]]) -> Any:
        lines = [
            f"Dialogue: {n},0:00:00.00,0:00:09.00,Default,,0,0,0,,{{\\pos({x:.2f},10)}}{text}"
            for n, (x, text) in enumerate(texts)
        ]
        track = self._track(HEAD + "\n".join(lines) + "\n")
        picture = np.zeros((HEIGHT, WIDTH), np.int64)
        image = self._dll.ass_render_frame(self._renderer, track, 1000, None)
        for part in _images(image):
            size = part.stride * (part.h - 1) + part.w
            flat = np.zeros(part.stride * part.h, np.int64)
            flat[:size] = np.ctypeslib.as_array(part.bitmap, (size,))
            own = flat.reshape(part.h, part.stride)[:, : part.w]
            picture[part.y : part.y + part.h, part.x : part.x + part.w] += own
        self._dll.ass_free_track(track)
        return np.asarray(picture > 96).sum(axis=0)

    def _track(self, script: str) -> Any:
        data = script.encode()
        track = self._dll.ass_read_memory(self._library, data, len(data), None)
        assert track, "libass read nothing"
        return track


def _images(image: Any) -> Iterator[Any]:
    while image:
        yield image.contents
        image = image.contents.next


def load_libass() -> Libass | None:
    """Return the library, none where it is not installed."""
    name = ctypes.util.find_library("ass")
    return Libass(ctypes.CDLL(name)) if name else None
