"""Alter the bytes of a file in ways that are drawn from a seed, some of them knowing its format."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

from benchmarks.robustness import formats

Alter = Callable[[random.Random, bytes], bytes]
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
LONG_NUMBERS = (*NUMBERS, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


def altered(draw: random.Random, data: bytes, suffix: str, strange: Sequence[str]) -> bytes:
    """Return other bytes than ``data``, altered once or a few times.

    Args:
        draw: Where every choice comes from.
        data: The whole file.
        suffix: Of its name, with the dot; some formats are altered from the inside.
        strange: Words to put in, such as paths to what must not be opened.
    """
    result = data
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        inside = formats.BY_SUFFIX.get(suffix)
        if inside is not None and draw.random() < 0.5:
            result = inside(draw, result, strange)
        elif draw.random() < 0.2:
            result = put_word(draw, result, strange)
        else:
            result = draw.choice(ON_BYTES)(draw, result)
    return flip_bit(draw, data) if result == data else result


def flip_bit(draw: random.Random, data: bytes) -> bytes:
    """Flip one bit."""
    if not data:
        return b"\0"
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def set_byte(draw: random.Random, data: bytes) -> bytes:
    """Set one byte to any value."""
    place = _place(draw, data)
    return data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :]


def cut(draw: random.Random, data: bytes) -> bytes:
    """Lose the end, as a download that broke off."""
    return data[: draw.choice((0, 1, len(data) - 1, _place(draw, data), _place(draw, data)))]


def lose_piece(draw: random.Random, data: bytes) -> bytes:
    """Lose a piece from the middle."""
    begin, end = _piece(draw, data)
    return data[:begin] + data[end:]


def repeat_piece(draw: random.Random, data: bytes) -> bytes:
    """Write a piece twice, or many times."""
    begin, end = _piece(draw, data)
    return data[:end] + data[begin:end] * draw.choice((1, 1, 20)) + data[end:]


def zero_piece(draw: random.Random, data: bytes) -> bytes:
    """Fill a piece with noughts, as a disk that lost a block."""
    begin, end = _piece(draw, data)
    return data[:begin] + bytes(end - begin) + data[end:]


def noise_piece(draw: random.Random, data: bytes) -> bytes:
    """Fill a piece with noise."""
    begin, end = _piece(draw, data)
    return data[:begin] + draw.randbytes(end - begin) + data[end:]


def add_noise(draw: random.Random, data: bytes) -> bytes:
    """Add noise in the middle or at the end."""
    place = draw.choice((_place(draw, data), len(data)))
    return data[:place] + draw.randbytes(draw.choice((1, 4, 64))) + data[place:]


def put_number(draw: random.Random, data: bytes) -> bytes:
    """Write an extreme number over what is there, in either byte order."""
    place, width = _place(draw, data), draw.choice("BHIQ")
    values = LONG_NUMBERS if width == "Q" else NUMBERS
    size = struct.calcsize(f"<{width}")
    value = draw.choice(values) % (1 << 8 * size)
    return data[:place] + struct.pack(draw.choice("<>") + width, value) + data[place + size :]


def move_piece(draw: random.Random, data: bytes) -> bytes:
    """Move a piece to another place."""
    begin, end = _piece(draw, data)
    rest = data[:begin] + data[end:]
    place = _place(draw, rest)
    return rest[:place] + data[begin:end] + rest[place:]


def change_lines(draw: random.Random, data: bytes) -> bytes:
    """Lose, repeat or move a line."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return b"\n"
    line = lines.pop(draw.randrange(len(lines)))
    for _ in range(draw.choice((0, 1, 2))):
        lines.insert(draw.randrange(len(lines) + 1), line)
    return b"".join(lines)


def put_word(draw: random.Random, data: bytes, strange: Sequence[str]) -> bytes:
    """Write a strange word over a piece, or between."""
    word = formats.word(draw, strange)
    written = word if isinstance(word, str) else repr(word)
    begin, end = _piece(draw, data, 40)
    end = draw.choice((begin, end))
    return data[:begin] + written.encode("utf-8", "surrogatepass") + data[end:]


ON_BYTES: tuple[Alter, ...] = (
    flip_bit,
    flip_bit,
    set_byte,
    cut,
    lose_piece,
    repeat_piece,
    zero_piece,
    noise_piece,
    add_noise,
    put_number,
    put_number,
    move_piece,
    change_lines,
)


def _place(draw: random.Random, data: bytes) -> int:
    """Draw a position, the first bytes more often: headers stand there."""
    if not data:
        return 0
    return draw.randrange(min(len(data), 256) if draw.random() < 0.3 else len(data))


def _piece(draw: random.Random, data: bytes, longest: int = 4096) -> tuple[int, int]:
    begin = _place(draw, data)
    length = draw.choice((1, 4, 16, draw.randint(1, longest)))
    return begin, min(len(data), begin + length)
