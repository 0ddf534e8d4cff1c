"""Writes small videos in many containers whose frames carry their own number as twelve bars."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

NTSC = Fraction(30_000, 1001)
PAL = Fraction(25)
WIDTH, HEIGHT, BITS = 192, 96, 12
# What encoders of DivX 5 write to say that B-frames travel in the packet of the frame that they
# need.
_PACKED_MARK = b"\x00\x00\x01\xb2DivX503b1393p\x00"


def picture(number: int) -> np.ndarray:
    """Return the picture of a frame, (HEIGHT, WIDTH, 3): bars above, something that moves below."""
    drawn = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    bar = WIDTH // BITS
    for bit in range(BITS):
        drawn[: HEIGHT // 2, bit * bar : (bit + 1) * bar] = 230 if number >> bit & 1 else 20
    left = number * 5 % (WIDTH - 30)
    drawn[HEIGHT // 2 + 8 : -8, left : left + 30] = (200, 60, 40)
    return drawn


def number_of(shown: np.ndarray) -> int:
    """Read the number out of a picture of any size with the same proportions."""
    height, width = shown.shape[:2]
    bar = width / BITS
    return sum(
        1 << bit for bit in range(BITS) if shown[height // 4, int((bit + 0.5) * bar)].mean() > 128
    )


def write(  # noqa: PLR0913 - what may differ between two videos
    path: Path,
    *,
    count: int = 120,
    rate: Fraction = NTSC,
    codec: str = "mpeg4",
    gop: int = 24,
    b_frames: int = 0,
    options: dict[str, str] | None = None,
    first: int = 0,
    rotation: int = 0,
    aspect: Fraction | None = None,
) -> Path:
    """Write ``count`` numbered frames; ``first`` is the time of frame 0 in frames."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 1_000_000
        context = stream.codec_context
        context.gop_size, context.max_b_frames, context.time_base, context.thread_count = (
            gop,
            b_frames,
            1 / rate,
            1,
        )
        if path.suffix == ".avi" and codec == "mpeg4":
            context.codec_tag = "DIVX"
        if aspect is not None:
            stream.sample_aspect_ratio = context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(count):
            frame = _frame(number, rate)
            frame.pts = first + number
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def write_packed_divx(
    path: Path, *, count: int = 120, rate: Fraction = NTSC, gop: int = 24
) -> Path:
    """Write an AVI with DivX' packed B-frames.

    Each shares the packet of the frame after it, and an empty one follows.
    """
    context = av.CodecContext.create("mpeg4", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate, context.bit_rate = 1 / rate, rate, 1_000_000
    context.gop_size, context.max_b_frames, context.thread_count = gop, 1, 1
    context.options = {"b_strategy": "0"}
    coded: list[bytes] = []
    for number in range(count):
        frame = _frame(number, rate)
        frame.pts = number
        coded += [bytes(packet) for packet in context.encode(frame)]
    coded += [bytes(packet) for packet in context.encode(None)]
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.codec_tag = "DX50"
        for number, (data, is_key) in enumerate(_packed(coded)):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, 1 / rate, is_key
            packet.pts = packet.dts = number
            film.mux(packet)
    return path


def _packed(coded: list[bytes]) -> list[tuple[bytes, bool]]:
    # A picture that is not coded: type P, no whole second, marker, 15 bits of time, marker, "not
    # coded", stuffing.
    bits = "01" + "0" + "1" + "0" * 15 + "1" + "0"
    bits += "0" + "1" * ((-len(bits) - 1) % 8)
    nothing = b"\x00\x00\x01\xb6" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    found: list[tuple[bytes, bool]] = []
    position = 0
    while position < len(coded):
        data, is_key = coded[position], _kind(coded[position]) == "I"
        if is_key:
            head = data.index(b"\x00\x00\x01\xb6")
            data = data[:head] + _PACKED_MARK + data[head:]
        if position + 1 < len(coded) and _kind(coded[position + 1]) == "B":
            found += [(data + coded[position + 1], is_key), (nothing, False)]
            position += 2
        else:
            found.append((data, is_key))
            position += 1
    return found


def _kind(data: bytes) -> str:
    return "IPBS"[data[data.index(b"\x00\x00\x01\xb6") + 4] >> 6]


def _frame(number: int, rate: Fraction) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format="yuv420p")
    frame.time_base = 1 / rate
    return frame
