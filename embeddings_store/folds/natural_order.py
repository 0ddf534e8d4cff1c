"""The order in which people count: ``actor-2`` before ``actor-10``."""

from __future__ import annotations

import re


def natural_key(text: str) -> list[tuple[bool, int, str]]:
    """Sort key under which ``actor-2`` comes before ``actor-10``.

    >>> sorted(["a10", "a2", "b1"], key=natural_key)
    ['a2', 'a10', 'b1']
    """
    return [
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    ]
