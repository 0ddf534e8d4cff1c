"""Finds what a letterbox leaves of a film's picture, by looking at pictures of the whole film.

The rule: a row or column belongs to the content if a tenth of it is brighter than 32 of 255 in at
least one of 16 pictures, evenly spread over the film. The content goes from the first such row to
the last, and within these rows from the first such column to the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MediaError
from extract.frames.geometry import PixelBox, Pixels, cut_out

PICTURES = 16
# Bars of compressed films are not quite black; by far the most of a lit room is brighter.
LIT, LEAST_SHARE = 32, 0.1
RULE: dict[str, object] = {
    "content_rule": f"rows and columns of which {LEAST_SHARE:.0%} are brighter than {LIT} in one "
    f"of {PICTURES} pictures of the film",
}


def brightest(pictures: Iterable[Pixels]) -> Pixels:
    """Return how bright each pixel is at its brightest, (H, W).

    Args:
        pictures: At least one, uint8, each (H, W, 3), all of one size.
    """
    found: Pixels | None = None
    for picture in pictures:
        bright = picture.max(axis=2)
        found = bright if found is None else np.maximum(found, bright)
    assert found is not None  # noqa: S101  # a film has pictures
    return found


def content_box(path: Path, bright: Pixels, region: PixelBox) -> PixelBox:
    """Return left, top, right and bottom of the content within a region of the picture.

    Args:
        path: The film, for the message.
        bright: (H, W), see :func:`brightest`.
        region: Left, top, right and bottom of where to look.

    Raises:
        MediaError: There is none.

    >>> bright = np.zeros((48, 72), dtype=np.uint8)
    >>> bright[12:36, 2:34] = 200
    >>> content_box(Path("a.avi"), bright, (0, 0, 36, 48))
    (2, 12, 34, 36)
    """
    lit = cut_out(bright, region) > LIT
    top, bottom = _ends(lit)
    first, last = _ends(lit[top:bottom].T)
    if bottom == 0 or last == 0:
        raise MediaError(
            f"{path}: that part of the picture is black in the whole film, so no letterbox can be "
            "told from it; use --region half, or leave the film out"
        )
    left, above = region[:2]
    return left + first, above + top, left + last, above + bottom


def _ends(lit: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first row that is lit, and the one behind the last; noughts for none."""
    if not lit.size:
        return 0, 0
    rows = np.flatnonzero(lit.mean(axis=1) >= LEAST_SHARE)
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
