"""From where it is known where faces are: OpenCV's cascades, YuNet, or a file of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embeddings_store.errors import UsageError
from extract.frames.face_boxes import read_boxes
from extract.frames.face_detector import SETTINGS, Box, check_detector, find_faces
from extract.frames.face_network import check_network, find_faces_with, network_settings
from extract.frames.geometry import Pixels


@dataclass(frozen=True, slots=True)
class FaceSource:
    """From where it is known where faces are; OpenCV's cascades where nothing else is named.

    Attributes:
        boxes: A file that says so, see :mod:`extract.frames.face_boxes`; else empty.
        weights: YuNet's weights, see :mod:`extract.frames.face_network`; else empty.
    """

    boxes: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        """Refuse two answers to one question.

        Raises:
            UsageError: Both are given.
        """
        if self.boxes and self.weights:
            raise UsageError(
                f"faces are taken from {self.boxes} or looked for with {self.weights}; name one"
            )

    def check(self) -> None:
        """Check that it can be used.

        Raises:
            ManifestError: The file is no table of boxes.
            ModelLoadError: The weights are no YuNet.
            MissingDependencyError: The detector is not installed.
        """
        if self.boxes:
            read_boxes(Path(self.boxes))
        elif self.weights:
            check_network(Path(self.weights))
        else:
            check_detector()

    def as_dict(self) -> dict[str, object]:
        """Return what changes a box, fit for a fingerprint."""
        if self.boxes:
            return {"face_detector": f"boxes of a file, {read_boxes(Path(self.boxes)).digest}"}
        if self.weights:
            return network_settings(Path(self.weights))
        return dict(SETTINGS)

    def look(self, pictures: Sequence[Pixels]) -> list[list[Box]]:
        """Return the faces in every picture, in its own pixels.

        Args:
            pictures: uint8, each (H, W, 3).
        """
        if self.weights:
            return [find_faces_with(Path(self.weights), picture) for picture in pictures]
        return [find_faces(picture) for picture in pictures]
