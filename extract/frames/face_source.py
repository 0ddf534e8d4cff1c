"""From where it is known where faces are: OpenCV's cascades, or a file of boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from extract.frames.face_boxes import read_boxes
from extract.frames.face_detector import SETTINGS, check_detector


@dataclass(frozen=True, slots=True)
class FaceSource:
    """From where it is known where faces are.

    Attributes:
        boxes: A file that says so, see :mod:`extract.frames.face_boxes`; empty to look for them,
            see :mod:`extract.frames.face_detector`.
    """

    boxes: str = ""

    def check(self) -> None:
        """Check that it can be used.

        Raises:
            ManifestError: The file is no table of boxes.
            MissingDependencyError: The detector is not installed.
        """
        if self.boxes:
            read_boxes(Path(self.boxes))
        else:
            check_detector()

    def as_dict(self) -> dict[str, object]:
        """Return what changes a box, fit for a fingerprint."""
        if self.boxes:
            return {"face_detector": f"boxes of a file, {read_boxes(Path(self.boxes)).digest}"}
        return dict(SETTINGS)
