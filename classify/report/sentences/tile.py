"""A tile: a figure that stands out at the top of the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure that stands out: the number, what it is, and how to read it.

    Attributes:
        value: The number with its unit.
        name: What it is.
        reading: How to read it.
        strong: Whether it is the one figure that counts.
    """

    value: str
    name: str
    reading: str
    strong: bool = False
