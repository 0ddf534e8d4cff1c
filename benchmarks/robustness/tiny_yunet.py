"""Writes a network of YuNet's form by hand: it takes what is red and not blue for a face.

YuNet's own weights are on no machine of ours; this network goes through the same loader and
decoder.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path

STRIDES = (8, 16, 32)


def varint(number: int) -> bytes:
    """Return a number in protobuf's form, low bits first."""
    parts = []
    number &= (1 << 64) - 1
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def field(number: int, value: int | str | bytes) -> bytes:
    """Return a field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, shape: Sequence[int], values: Sequence[float], whole: bool = False) -> bytes:
    """Return a constant of the network."""
    data = struct.pack(f"<{len(values)}{'q' if whole else 'f'}", *values)
    dims = b"".join(field(1, size) for size in shape)
    return dims + field(2, 7 if whole else 1) + field(8, name) + field(9, data)


def node(kind: str, inputs: Sequence[str], output: str, **ints: Sequence[int]) -> bytes:
    """Return one operation of the network."""
    made = b"".join(field(1, name) for name in inputs) + field(2, output)
    made += field(3, output) + field(4, kind)
    for name, values in ints.items():
        listed = b"".join(field(8, value) for value in values)
        made += field(5, field(1, name) + listed + field(20, 7))
    return made


def value(name: str, shape: Sequence[int | str]) -> bytes:
    """Return the name and the shape of an input or output."""
    dims = b""
    for size in shape:
        dims += field(1, field(1, size) if isinstance(size, int) else field(2, size))
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))


def head(name: str, stride: int, weights: Sequence[float], bias: Sequence[float]) -> bytes:
    """Return one output: a linear map of each cell's mean colour, a row per cell."""
    channels, out = len(bias), f"{name}_{stride}"
    parts = [
        (5, tensor(f"{out}.w", (channels, 3, 1, 1), weights)),
        (5, tensor(f"{out}.b", (channels,), bias)),
        (5, tensor(f"{out}.shape", (3,), (1, -1, channels), whole=True)),
        (1, node("Conv", [f"mean_{stride}", f"{out}.w", f"{out}.b"], f"{out}.map")),
    ]
    last = f"{out}.map"
    if name in {"cls", "obj"}:
        parts.append((1, node("Sigmoid", [last], f"{out}.score")))
        last = f"{out}.score"
    parts += [
        (1, node("Transpose", [last], f"{out}.last", perm=(0, 2, 3, 1))),
        (1, node("Reshape", [f"{out}.last", f"{out}.shape"], out)),
        (12, value(out, (1, "cells", channels))),
    ]
    return b"".join(field(number, part) for number, part in parts)


def write_tiny_yunet(
    path: Path, outputs: Sequence[str] = ("cls", "obj", "bbox", "kps"), size: int = 100
) -> Path:
    """Write a network whose cells of 32 pixels find faces of ``size`` where red outweighs blue."""
    graph = field(2, "tiny") + field(11, value("input", (1, 3, "height", "width")))
    for stride in STRIDES:
        pool = node(
            "AveragePool",
            ["input"],
            f"mean_{stride}",
            kernel_shape=[stride] * 2,
            strides=[stride] * 2,
        )
        graph += field(1, pool)
    for name in outputs:
        for stride in STRIDES:
            finds = stride == STRIDES[-1]
            if name in {"cls", "obj"}:
                weights, bias = ((-0.3, 0.0, 0.3), [-12.0]) if finds else ((0.0,) * 3, [-50.0])
            elif name == "bbox":
                weights, bias = (0.0,) * 12, [0.5, 0.5, *[math.log(size / stride)] * 2]
            else:
                weights, bias = (0.0,) * 30, [0.0] * 10
            graph += head(name, stride, weights, bias)
    model = field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))
    path.write_bytes(model)
    return path
