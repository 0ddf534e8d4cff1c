"""Finds the faces in one picture with YuNet, whose weights the user names.

The ``.onnx`` file of 2023 or later, see github.com/opencv/opencv_zoo, models/face_detection_yunet.
Nothing is fetched.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.errors import MissingDependencyError, ModelLoadError
from embeddings_store.provenance import file_digest
from embeddings_store.reading import reading
from extract.frames.face_detector import SHORTER_SIDE, SMALLEST, Box, smaller
from extract.frames.geometry import Pixels
from extract.media.lfs_pointer import is_lfs_pointer

if TYPE_CHECKING:
    from cv2 import FaceDetectorYN

# A box needs this score, of overlapping ones the best stays, and as many are looked at: as its
# authors have it.
SCORE, OVERLAP, MOST = 0.6, 0.3, 5000
# Sizes of the pictures that weights are tried on, and for how long.
_TRIED, _TRY_S = ((64, 64), (SHORTER_SIDE, 320)), 60
_ADVICE = "name YuNet's .onnx file of 2023 or later, whole (opencv_zoo, face_detection_yunet)"


def check_network(weights: Path) -> None:
    """Check that OpenCV loads the weights and that they find faces, or none, in a picture.

    Raises:
        ModelLoadError: They are no YuNet.
        MissingDependencyError: OpenCV is not installed, or too old.
    """
    _opencv()
    with reading(weights, "YuNet's weights", _ADVICE, ModelLoadError):
        about = weights.stat()
    _try_apart(weights, about.st_mtime_ns, about.st_size)
    try_network(weights)


def try_network(weights: Path) -> None:
    """Look for faces in blank pictures.

    Raises:
        ModelLoadError: The weights are no YuNet.
        MissingDependencyError: OpenCV is not installed, or too old.
    """
    for height, width in _TRIED:
        find_faces_with(weights, np.zeros((height, width, 3), dtype=np.uint8))


@lru_cache(maxsize=4)
def _try_apart(weights: Path, changed_ns: int, size: int) -> None:
    """Refuse weights that end the process: OpenCV crashes over some, so another one tries first."""
    code = (
        f"import sys, pathlib, contextlib; sys.path[:] = {sys.path!r}\n"
        "from embeddings_store.errors import ProjectError\n"
        "from extract.frames.face_network import try_network\n"
        "with contextlib.suppress(ProjectError):\n"
        "    try_network(pathlib.Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", code, str(weights)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TRY_S, check=False)
    except subprocess.TimeoutExpired:
        raise ModelLoadError(f"{weights}: OpenCV comes to no end over it; {_ADVICE}") from None
    if done.returncode != 0:
        raise ModelLoadError(f"{weights}: OpenCV breaks over it; {_ADVICE}")


def network_settings(weights: Path) -> dict[str, object]:
    """Return what changes a box, fit for a fingerprint; the place of the file does not.

    Raises:
        ModelLoadError: The file is not there.
    """
    with reading(weights, "weights", _ADVICE, ModelLoadError):
        about = weights.stat()
    digest = _digest(weights, about.st_mtime_ns, about.st_size)
    return {
        "face_detector": f"YuNet {digest[:16]} at {SHORTER_SIDE} px, from {SMALLEST} px, score "
        f"{SCORE:g}"
    }


def find_faces_with(weights: Path, picture: Pixels) -> list[Box]:
    """Return the boxes of all faces in one picture, in its own pixels.

    Args:
        weights: YuNet's ``.onnx`` file.
        picture: uint8, (H, W, 3).

    Raises:
        ModelLoadError: The weights are no YuNet.
        MissingDependencyError: OpenCV is not installed, or too old.
    """
    small, scale = smaller(picture)
    height, width = small.shape[:2]
    network = _network(weights)
    with reading(weights, "YuNet's weights", _ADVICE, ModelLoadError):
        network.setInputSize((width, height))
        # Blue, green, red.
        _, found = network.detect(np.ascontiguousarray(small[..., ::-1]))
    boxes: list[Box] = []
    # Nothing was found: none, where the stubs say an array.
    rows = np.empty((0, 15)) if found is None else np.asarray(found)
    for x, y, across, down in rows[:, :4].tolist():
        if min(across, down) >= SMALLEST:
            boxes.append((x / scale, y / scale, (x + across) / scale, (y + down) / scale))
    return boxes


class _OfThread(threading.local):
    """The networks of one thread: OpenCV keeps the picture that is searched in the network."""

    def __init__(self) -> None:
        self.networks: dict[Path, FaceDetectorYN] = {}


_OF_THREAD = _OfThread()


def _network(weights: Path) -> FaceDetectorYN:
    networks = _OF_THREAD.networks
    if weights not in networks:
        networks[weights] = _load(weights)
    return networks[weights]


def _opencv() -> ModuleType:
    """Return OpenCV where it can run YuNet."""
    try:
        import cv2
    except ImportError as error:
        raise MissingDependencyError(
            f"cutting out faces needs OpenCV, which cannot be imported ({error}); install the "
            "extra: pip install 'emotion-fusion[face]'"
        ) from error
    if not hasattr(cv2, "FaceDetectorYN"):
        raise MissingDependencyError(
            f"OpenCV {cv2.__version__} cannot run YuNet; install the extra: pip install "
            "'emotion-fusion[face]'"
        )
    return cv2


def _load(weights: Path) -> FaceDetectorYN:
    cv2 = _opencv()
    cv2.setNumThreads(1)  # The cores belong to the processes that decode side by side.
    # It prints what is wrong with a file beside our one line.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    with reading(weights, "YuNet's weights", _ADVICE, ModelLoadError):
        # From memory: a network that names other files has no folder to find them in.
        content = np.fromfile(weights, dtype=np.uint8)
        if is_lfs_pointer(weights):
            raise ModelLoadError(
                f"{weights} is a Git-LFS pointer, not the weights; run 'git lfs pull' there"
            )
        nothing = np.empty(0, dtype=np.uint8)
        network: FaceDetectorYN = cv2.FaceDetectorYN.create(
            "onnx", content, nothing, (SHORTER_SIDE, SHORTER_SIDE), SCORE, OVERLAP, MOST
        )
        return network


@lru_cache(maxsize=4)
def _digest(weights: Path, changed_ns: int, size: int) -> str:
    return file_digest(weights)
