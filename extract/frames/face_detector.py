"""Finds the faces in one picture.

With OpenCV's cascades for faces from the front and from the side (Viola and Jones 2001), whose
weights come with the package; the more accurate networks have theirs elsewhere, and nothing is
fetched here. Faces are looked for from the front, and where there is none from either side.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.errors import MissingDependencyError
from extract.frames.geometry import Pixels

if TYPE_CHECKING:
    from cv2 import CascadeClassifier
    from cv2.typing import MatLike

# Left, top, right and bottom in pixels.
Box = tuple[float, float, float, float]

FRONT, SIDE = "haarcascade_frontalface_alt2", "haarcascade_profileface"
# Pictures are made as small as this before faces are looked for; a face smaller than a tenth of it
# is none of a speaker.
SHORTER_SIDE, SMALLEST = 240, 24
SETTINGS: dict[str, object] = {
    "face_detector": f"{FRONT}, else {SIDE} and mirrored, at {SHORTER_SIDE} px, from {SMALLEST} px"
}


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


def find_faces(picture: Pixels) -> list[Box]:
    """Return the boxes of all faces in one picture, in its own pixels.

    Args:
        picture: uint8, (H, W, 3).
    """
    import cv2

    grey, scale = smaller(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8))
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


def smaller(picture: Pixels) -> tuple[Pixels, float]:
    """Return a picture as small as faces are looked for in it, and by what it was multiplied.

    Args:
        picture: uint8, (H, W, 3) or (H, W).
    """
    import cv2

    height, width = picture.shape[:2]
    scale = SHORTER_SIDE / min(height, width)
    if scale >= 1:
        return picture, 1.0
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _detect(cascade: str, grey: MatLike) -> list[Box]:
    found = _cascade(cascade).detectMultiScale(
        grey, scaleFactor=1.1, minNeighbors=4, minSize=(SMALLEST, SMALLEST)
    )
    return [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in found]


class _OfThread(threading.local):
    """The cascades of one thread: OpenCV keeps the picture that is searched in the cascade."""

    def __init__(self) -> None:
        self.cascades: dict[str, CascadeClassifier] = {}


_OF_THREAD = _OfThread()


def _cascade(name: str) -> CascadeClassifier:
    import cv2

    cascades = _OF_THREAD.cascades
    if name not in cascades:
        cv2.setNumThreads(1)  # The cores belong to the processes that decode side by side.
        cascades[name] = cv2.CascadeClassifier(str(_cascade_folder() / f"{name}.xml"))
    return cascades[name]


def _cascade_folder() -> Path:
    """Return where OpenCV keeps its cascades; versions from 5 on have none."""
    import cv2

    return Path(getattr(getattr(cv2, "data", None), "haarcascades", ""))
