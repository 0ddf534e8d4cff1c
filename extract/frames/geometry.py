"""Cuts a region out of a picture and brings it to a square, as the paper's image processor does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MissingDependencyError, UsageError

Pixels = NDArray[np.uint8]
# Left, top, right and bottom.
PixelBox = tuple[int, int, int, int]


def region_box(region: str, side: str, width: int, height: int) -> PixelBox:
    """Return left, top, right and bottom of a region, in pixels of the whole picture.

    Of a face, and of what a letterbox leaves, where it is looked for.

    Args:
        region: A name in ``REGIONS`` of :mod:`extract.frames.settings`.
        side: ``left`` or ``right`` where the region is one half of the picture, else empty.
        width: Of the whole picture, in pixels.
        height: Of the whole picture, in pixels.

    Raises:
        UsageError: If the region is one half of the picture and ``side`` does not say which, or a
            face anywhere and it does.

    >>> region_box("half-face", "right", 720, 480)
    (360, 0, 720, 480)
    >>> region_box("half", "left", 720, 480)
    (0, 0, 360, 480)
    """
    if region == "face" and side:
        raise UsageError(
            "region 'face' looks at the whole picture, but this film is a split screen; use "
            "region 'half-face'"
        )
    if region in ("full", "face"):
        return 0, 0, width, height
    if not side:
        raise UsageError(
            f"region {region!r} is one half of the picture; say which, left or right, or use "
            "region 'full'"
        )
    half = width // 2
    left = width - half if side == "right" else 0
    return left, 0, left + half, height


def cut_out(picture: Pixels, box: Sequence[int]) -> Pixels:
    """Return the part of a picture, (H, W) or (H, W, 3), within a box.

    Args:
        picture: uint8.
        box: Left, top, right and bottom, in pixels.
    """
    left, top, right, bottom = box
    return picture[top:bottom, left:right]


def fit(picture: Pixels, size: int) -> Pixels:
    """Scale the shorter side to ``size``, bilinearly, and keep the central square.

    This is what Transformers' ``VideoMAEImageProcessorPil`` does, to the bit. A face is not
    squeezed; of a picture that is not square, the ends of the longer side are left off: of
    IEMOCAP's whole screen 120 of the 720 columns on either side, of one half of it nothing but
    letterbox.

    Args:
        picture: uint8, (H, W, 3).
        size: Side of the square in pixels.

    Returns:
        uint8, (size, size, 3).

    Raises:
        MissingDependencyError: If pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependencyError(
            "scaling pictures needs pillow; install the extra 'extract'"
        ) from None
    height, width = picture.shape[:2]
    shorter = min(height, width)
    to_height, to_width = int(size * height / shorter), int(size * width / shorter)
    scaled = np.asarray(
        Image.fromarray(picture).resize((to_width, to_height), Image.Resampling.BILINEAR)
    )
    top, left = (to_height - size) // 2, (to_width - size) // 2
    return scaled[top : top + size, left : left + size]


def flip(frames: Pixels) -> Pixels:
    """Mirror a clip, all frames alike: the paper's only augmentation, for training alone.

    Args:
        frames: (..., H, W, 3).

    >>> flip(np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)).ravel().tolist()
    [3, 4, 5, 0, 1, 2]
    """
    return np.ascontiguousarray(frames[..., ::-1, :])
