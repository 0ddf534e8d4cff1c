"""Does a mouth move with a sound: a number per pair, good enough to tell corpora and no single row.

Two curves are taken of a mouth: how much it moves more than the eyes above it, and how dark it is,
since an open one is. Each is correlated with the loudness of the sound around the same instants,
which may come up to a quarter of a second later, as voices do; the best correlations are added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from extract.frames.geometry import Pixels

# Top, bottom, left and right of mouth and eyes in the square around a face, as parts of its side.
MOUTH, EYES = (0.55, 0.82, 0.28, 0.72), (0.22, 0.50, 0.25, 0.75)
# Loudness is that of a tenth of a second.
HALF_WINDOW_S = 0.05
# By how many pictures the sound may come later than the mouth.
DELAYS = (-1, 0, 1, 2, 3)


def mouth_curves(frames: Pixels) -> NDArray[np.float64]:
    """Return movement and darkness of the mouth, (2, T).

    Args:
        frames: uint8, (T, S, S, 3), squares around a face; two or more.
    """
    grey = frames.mean(axis=3)
    mouth, eyes = _part(grey, MOUTH), _part(grey, EYES)
    moves, head = _movement(mouth), _movement(eyes)
    # What moves the eyes moves the mouth as well: it is the head, or the camera.
    spread = float(head.var())
    share = float(np.mean((moves - moves.mean()) * (head - head.mean()))) / spread if spread else 0
    return np.stack([moves - np.clip(share, 0, 1.5) * head, -mouth.mean(axis=(1, 2))])


def loudness(
    samples: NDArray[np.float32], rate: int, times_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the loudness around some instants, (T,): the root of the effective value.

    Args:
        samples: float32, (n,).
        rate: Samples per second.
        times_s: float64, (T,), seconds from the first sample.
    """
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    begin = np.clip(np.rint((times_s - HALF_WINDOW_S) * rate), 0, len(samples)).astype(np.int64)
    end = np.clip(np.rint((times_s + HALF_WINDOW_S) * rate), 0, len(samples)).astype(np.int64)
    mean = (energy[end] - energy[begin]) / np.maximum(end - begin, 1)
    found: NDArray[np.float64] = np.maximum(mean, 0) ** 0.25
    return found


def agreement(curves: NDArray[np.float64], loud: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how well a mouth goes with each of some sounds, (n,), from -2 to 2.

    Args:
        curves: float64, (2, T), see :func:`mouth_curves`.
        loud: float64, (n, T), see :func:`loudness`.
    """
    length = curves.shape[1]
    best = np.full((len(curves), len(loud)), -1.0)
    for delay in DELAYS:
        count = length - abs(delay)
        mouth = _standardised(curves[:, max(0, -delay) :][:, :count])
        sound = _standardised(loud[:, max(0, delay) :][:, :count])
        best = np.maximum(best, mouth @ sound.T)
    summed: NDArray[np.float64] = best.sum(axis=0)
    return summed


def _standardised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of mean 0 and length 1; a level one becomes zeros."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    standardised: NDArray[np.float64] = centred / np.where(size > 1e-6, size, np.inf)
    return standardised


def _movement(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much every picture differs from those beside it, (T,)."""
    steps = np.abs(np.diff(part, axis=0)).mean(axis=(1, 2))
    before, after = np.concatenate([steps[:1], steps]), np.concatenate([steps, steps[-1:]])
    movement: NDArray[np.float64] = (before + after) / 2
    return movement


def _part(grey: NDArray[np.float64], place: tuple[float, ...]) -> NDArray[np.float64]:
    top, bottom, left, right = (round(part * grey.shape[1]) for part in place)
    return grey[:, top:bottom, left:right]
