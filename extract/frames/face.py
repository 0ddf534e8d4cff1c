"""Follows the speaker's face through the pictures of a clip, so that an encoder sees no room.

The rule: in every picture that is drawn, faces are looked for. A face is the one of the picture
before it if the two boxes, half as large again, share some area; where several do, those that share
most go together. The clip's face is the one of which most is seen: the area of its boxes, summed
over the pictures. Where it is not found its place is taken from the pictures before and after.
Places and sizes are smoothed over about a quarter of a second, so that a detector's trembling does
not look like movement and a nod stays one, while a head that walks through the picture is followed.
Every picture is cut to a square around its own place. A clip in which this face is found in fewer
than a quarter of the pictures is refused, with the count: it never falls back on the whole picture.
Other faces beside it are noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import NoFaceError
from extract.frames.face_detector import Box

# A cascade's box ends at the brows and at the chin; with a quarter more on each side hair and neck
# are in it. Between two pictures a head may move as far.
MARGIN = 1.5
LEAST_SHARE = 0.25
# Deviation of the bell curve that places are smoothed with: nods at 1.5 Hz stay in the picture,
# turns of some seconds are followed. Pictures further apart keep their own places.
SMOOTH_S = 0.25
SETTINGS: dict[str, object] = {
    "face_rule": f"followed by overlap, most area, smoothed over {SMOOTH_S:g} s, box x {MARGIN:g} "
    f"of each picture, in {LEAST_SHARE:.0%} of pictures or refused",
}
# Keeps a line through one point level instead of dividing by nothing.
_STIFF_S2 = 1e-4

# The number of each picture in which a face is found, and where.
Track = dict[int, Box]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """Where the face of a clip is.

    Attributes:
        boxes: int64, (T, 4): left, top, right and bottom of a square in each picture, in its
            pixels.
        found: In how many of the pictures it was found; elsewhere its place is a guess.
        note: A caution, else empty.
    """

    boxes: NDArray[np.int64]
    found: int
    note: str = ""


def follow_face(
    path: Path,
    found: Sequence[Sequence[Box]],
    times_s: NDArray[np.float64],
    size: tuple[int, int],
) -> Face:
    """Follow the face of a clip by the rule above.

    Args:
        path: The film, for the message.
        found: The faces in each picture.
        times_s: float64, (T,), when each picture is shown, increasing.
        size: Width and height of the pictures, in pixels.

    Raises:
        NoFaceError: No face is in a quarter of the pictures.
    """
    tracks = _tracks(found)
    if not tracks:
        raise NoFaceError(
            f"{path}: no face in any of {len(found)} pictures; leave the clip out, use another "
            "--region, or give --face-weights or --face-boxes"
        )
    face = max(tracks, key=_seen_area)
    if len(face) < max(1, round(LEAST_SHARE * len(found))):
        raise NoFaceError(
            f"{path}: a face in only {len(face)} of {len(found)} pictures, which may be a mistake; "
            "leave the clip out, use another --region, or give --face-weights or --face-boxes"
        )
    boxes = _squares(smooth(face, times_s), *size)
    return Face(boxes, len(face), _note(face, found))


def _note(face: Track, found: Sequence[Sequence[Box]]) -> str:
    """Say in how many pictures the face is not found, and in how many others are beside it."""
    notes = []
    if len(face) < len(found):
        notes.append(f"a face in {len(face)} of {len(found)} pictures")
    with_others = 0
    for number, boxes in enumerate(found):
        with_others += len(boxes) > (number in face)
    if with_others:
        notes.append(
            f"other faces in {with_others} of {len(found)} pictures; the one of which most is "
            "seen was taken"
        )
    return "; ".join(notes)


def _tracks(found: Sequence[Sequence[Box]]) -> list[Track]:
    """Sort the boxes of all pictures into faces.

    >>> _tracks([[(0, 0, 9, 9)], [(50, 0, 59, 9), (2, 0, 11, 9)]])
    [{0: (0, 0, 9, 9), 1: (2, 0, 11, 9)}, {1: (50, 0, 59, 9)}]
    """
    tracks: list[Track] = []
    for number, boxes in enumerate(found):
        pairs = []
        for i, track in enumerate(tracks):
            last = track[max(track)]
            for k, box in enumerate(boxes):
                shared = _overlap(_grown(last), _grown(box))
                if shared > 0:
                    pairs.append((shared, i, k))
        taken: set[int] = set()
        for _, i, k in sorted(pairs, key=lambda pair: -pair[0]):
            if number not in tracks[i] and k not in taken:
                tracks[i][number] = boxes[k]
                taken.add(k)
        tracks += [{number: box} for k, box in enumerate(boxes) if k not in taken]
    return tracks


def smooth(face: Track, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return middle and side of the face in every picture, (T, 3), in pixels.

    Args:
        face: Where it is found, in one picture at least.
        times_s: float64, (T,), when each picture is shown, increasing.
    """
    numbers = sorted(face)
    boxes = np.array([face[number] for number in numbers])
    sizes = boxes[:, 2:] - boxes[:, :2]
    places = np.column_stack([(boxes[:, :2] + boxes[:, 2:]) / 2, sizes.max(axis=1)])
    # One box that is off is outvoted by its neighbours.
    beside = np.pad(places, ((1, 1), (0, 0)), mode="edge")
    places = np.median([beside[:-2], places, beside[2:]], axis=0)
    everywhere = np.column_stack(
        [np.interp(times_s, times_s[numbers], column) for column in places.T]
    )
    # A line through the neighbours, the nearer the heavier: a mean would lag at both ends.
    apart_s = times_s - times_s[:, np.newaxis]
    weights = np.exp(-0.5 * (apart_s / SMOOTH_S) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    mean_s = (weights * apart_s).sum(axis=1, keepdims=True)
    weighted = weights * (apart_s - mean_s)
    slope = (weighted @ everywhere) / ((weighted * apart_s).sum(axis=1, keepdims=True) + _STIFF_S2)
    smoothed: NDArray[np.float64] = weights @ everywhere - slope * mean_s
    return smoothed


def _squares(places: NDArray[np.float64], width: int, height: int) -> NDArray[np.int64]:
    """Return the squares around places (T, 3), moved into the picture and no larger than it.

    >>> _squares(np.array([[20.0, 20.0, 20.0], [30.0, 30.0, 60.0]]), 100, 60).tolist()
    [[5, 5, 35, 35], [0, 0, 60, 60]]
    """
    side = np.clip(np.rint(MARGIN * places[:, 2]), 1, min(width, height))
    left = np.clip(np.rint(places[:, 0] - side / 2), 0, width - side)
    top = np.clip(np.rint(places[:, 1] - side / 2), 0, height - side)
    return np.column_stack([left, top, left + side, top + side]).astype(np.int64)


def _seen_area(face: Track) -> float:
    return sum(_overlap(box, box) for box in face.values())


def _grown(box: Box) -> Box:
    """Return a box with ``MARGIN`` around it.

    >>> _grown((10, 10, 30, 30))
    (5.0, 5.0, 35.0, 35.0)
    """
    left, top, right, bottom = box
    across, down = (MARGIN - 1) / 2 * (right - left), (MARGIN - 1) / 2 * (bottom - top)
    return left - across, top - down, right + across, bottom + down


def _overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share, in square pixels.

    >>> _overlap((0, 0, 10, 10), (5, 5, 20, 20)), _overlap((0, 0, 1, 1), (2, 2, 3, 3))
    (25, 0)
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)
