"""Finds the speaker's face in the pictures of a clip, so that an encoder sees no room.

Found with OpenCV's cascades for faces from the front and from the side (Viola and Jones 2001),
whose weights come with the package; the more accurate networks have theirs elsewhere, and nothing
is fetched here.

The rule: in every picture that is drawn, faces are looked for from the front, and where there is
none from either side. The clip's face is the largest that was found, together with the faces of the
other pictures that overlap it. All pictures are cut alike, to a square around the median of these
boxes, so that a detector's trembling does not look like movement. A clip in which this face is seen
in fewer than a quarter of the pictures is refused, with the count: it never falls back on the whole
picture. Other faces beside it are noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.errors import MediaError, MissingDependencyError
from extract.frames.geometry import Pixels

if TYPE_CHECKING:
    from cv2 import CascadeClassifier
    from cv2.typing import MatLike

Box = tuple[float, float, float, float]

FRONT, SIDE = "haarcascade_frontalface_alt2", "haarcascade_profileface"
# Pictures are made as small as this before faces are looked for; a face smaller than a tenth of it
# is none of a speaker.
SHORTER_SIDE, SMALLEST = 240, 24
# A cascade's box ends at the brows and at the chin; with a quarter more on each side hair and neck
# are in it.
MARGIN = 1.5
LEAST_SHARE = 0.25
SETTINGS: dict[str, object] = {
    "face_detector": f"{FRONT}, else {SIDE} and mirrored, at {SHORTER_SIDE} px, from {SMALLEST} px",
    "face_rule": f"largest and what overlaps it, median box x {MARGIN:g}, in {LEAST_SHARE:.0%} of "
    "pictures or refused",
}


@dataclass(frozen=True, slots=True)
class Face:
    """Where the face of a clip is.

    Attributes:
        box: Left, top, right and bottom of a square, in pixels of the pictures that were looked at.
        note: A caution, else empty.
    """

    box: tuple[int, int, int, int]
    note: str = ""


def check_detector() -> None:
    """Check that OpenCV is there and has its cascades.

    Raises:
        MissingDependencyError: It is not installed, or its version comes without them.
    """
    try:
        import cv2
    except ImportError as error:
        # Not installed, or one of the system's libraries is missing that the other wheel needs.
        raise MissingDependencyError(
            f"cutting out faces needs OpenCV, which cannot be imported ({error}); install the "
            "extra: pip install 'emotion-fusion[face]'"
        ) from error
    folder = _cascade_folder()
    absent = [name for name in (FRONT, SIDE) if not (folder / f"{name}.xml").is_file()]
    if absent or not hasattr(cv2, "CascadeClassifier"):
        raise MissingDependencyError(
            f"OpenCV {cv2.__version__} comes without the face cascades that versions below 5 have; "
            "install the extra: pip install 'emotion-fusion[face]'"
        )


def _cascade_folder() -> Path:
    """Return where OpenCV keeps its cascades; versions from 5 on have none."""
    import cv2

    return Path(getattr(getattr(cv2, "data", None), "haarcascades", ""))


def find_face(path: Path, pictures: Sequence[Pixels]) -> Face:
    """Find the face of a clip by the rule above.

    Args:
        path: The film, for the message.
        pictures: uint8, each (H, W, 3), all of one size.

    Raises:
        MediaError: No face is in a quarter of the pictures.
    """
    found = [_faces(picture) for picture in pictures]
    largest = max(chain.from_iterable(found), key=_area, default=None)
    if largest is None:
        raise MediaError(
            f"{path}: no face in any of {len(pictures)} pictures; leave the clip out, or use "
            "another --region"
        )
    # The same face in each picture, and in how many pictures somebody else is seen beside it.
    same: list[Box] = []
    with_others = 0
    for boxes in found:
        overlaps = [_overlap(box, largest) for box in boxes]
        if max(overlaps, default=0) > 0:
            same.append(boxes[int(np.argmax(overlaps))])
        if 0 in overlaps:
            with_others += 1
    if len(same) < max(1, round(LEAST_SHARE * len(pictures))):
        raise MediaError(
            f"{path}: a face in only {len(same)} of {len(pictures)} pictures, which may be a "
            "mistake; leave the clip out, or use another --region"
        )
    note = ""
    if with_others:
        note = f"other faces in {with_others} of {len(pictures)} pictures; the largest was taken"
    height, width = pictures[0].shape[:2]
    return Face(_square(np.median(np.array(same), axis=0), width, height), note)


def _square(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the square around a box, moved into the picture, and as large as the picture allows.

    >>> _square(np.array([10.0, 10.0, 30.0, 30.0]), 100, 60)
    (5, 5, 35, 35)
    >>> _square(np.array([0.0, 0.0, 60.0, 60.0]), 100, 60)
    (0, 0, 60, 60)
    """
    left, top, right, bottom = box.tolist()
    side = min(round(MARGIN * max(right - left, bottom - top)), width, height)
    x = min(max(round((left + right - side) / 2), 0), width - side)
    y = min(max(round((top + bottom - side) / 2), 0), height - side)
    return x, y, x + side, y + side


def _faces(picture: Pixels) -> list[Box]:
    """Return the boxes of all faces in one picture, in its own pixels."""
    import cv2

    height, width = picture.shape[:2]
    scale = min(1.0, SHORTER_SIDE / min(height, width))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    boxes = _detect(FRONT, grey) or _detect(SIDE, grey)
    if not boxes:
        # The cascade knows profiles that look one way only.
        mirrored = grey.shape[1]
        for left, top, right, bottom in _detect(SIDE, cv2.flip(grey, 1)):
            boxes.append((mirrored - right, top, mirrored - left, bottom))
    return [
        (left / scale, top / scale, right / scale, bottom / scale)
        for left, top, right, bottom in boxes
    ]


def _detect(cascade: str, grey: MatLike) -> list[Box]:
    found = _cascade(cascade).detectMultiScale(
        grey, scaleFactor=1.1, minNeighbors=4, minSize=(SMALLEST, SMALLEST)
    )
    return [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in found]


@lru_cache
def _cascade(name: str) -> CascadeClassifier:
    import cv2

    cv2.setNumThreads(1)  # The cores belong to the processes that decode side by side.
    return cv2.CascadeClassifier(str(_cascade_folder() / f"{name}.xml"))


def _area(box: Box) -> float:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def _overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share, in square pixels.

    >>> _overlap((0, 0, 10, 10), (5, 5, 20, 20)), _overlap((0, 0, 1, 1), (2, 2, 3, 3))
    (25, 0)
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)
