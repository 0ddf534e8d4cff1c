"""Reads where faces are from a file, for those who have tracked them with another tool.

One line per picture that was looked at: ``time_s,left,top,right,bottom`` beside ``id`` (one row of
the corpus) or ``video`` (every row of that film), as CSV or Parquet. Times are seconds from the
start of the film; a box without one holds for the whole row. Empty cells, or zeros, in place of a
box say that no face was seen. Boxes are pixels of the whole picture as it is shown, upright and
with square pixels (check-corpus lists its size), from its upper left corner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import ManifestError, MediaError
from embeddings_store.provenance import file_digest
from embeddings_store.reading import reading
from embeddings_store.tables import read_table
from extract.frames.face_detector import Box

# A box is the face of a picture that is shown as much before or after it at most.
NEAR_S = 0.25
SIDES = ("left", "top", "right", "bottom")


@dataclass(frozen=True, slots=True, eq=False)
class FaceBoxes:
    """Where faces are in the pictures of one row.

    Attributes:
        times_s: float64, (n,), seconds from the start of the film; nan for the whole row.
        boxes: float64, (n, 4): left, top, right and bottom in pixels of the whole picture.
    """

    times_s: NDArray[np.float64]
    boxes: NDArray[np.float64]

    @property
    def digest(self) -> str:
        """Sixteen hex digits over times and boxes."""
        content = np.column_stack([self.times_s, self.boxes])
        return hashlib.sha256(np.ascontiguousarray(content).tobytes()).hexdigest()[:16]

    def check_inside(self, path: Path, width: int, height: int) -> None:
        """Check that the boxes are pixels of this film's pictures and of no other size of it.

        Args:
            path: The film, for the message.
            width: Of its pictures, upright and with square pixels.
            height: Likewise.

        Raises:
            MediaError: The middle of a box lies outside the picture.
        """
        middle = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        outside = ((middle < 0) | (middle > (width, height))).any(axis=1)
        if outside.any():
            shown = ", ".join(f"{side:g}" for side in self.boxes[outside][0])
            raise MediaError(
                f"{path}: the box ({shown}) lies outside of its pictures of {width} x {height}; "
                "give boxes in pixels of the picture as it is shown"
            )

    def within(
        self, region: tuple[int, int, int, int], times_s: NDArray[np.float64]
    ) -> list[list[Box]]:
        """Return the boxes of every picture that is shown at ``times_s`` (T,), in its own pixels.

        Args:
            region: Left, top, right and bottom of the part that the pictures show.
            times_s: When they are shown.

        >>> FaceBoxes(np.array([1.0]), np.array([[40.0, 10.0, 60.0, 30.0]])).within(
        ...     (30, 0, 90, 60), np.array([0.5, 0.9])
        ... )
        [[], [(10.0, 10.0, 30.0, 30.0)]]
        """
        left, top, right, bottom = region
        middle = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        inside = ((middle >= (left, top)) & (middle < (right, bottom))).all(axis=1)
        boxes = (self.boxes - (left, top, left, top))[inside]
        known_s = self.times_s[inside]
        found = []
        for time_s in times_s:
            apart_s = np.nan_to_num(np.abs(known_s - time_s))
            near = apart_s == min(apart_s.min(initial=np.inf), NEAR_S)
            found.append([(x, y, right, bottom) for x, y, right, bottom in boxes[near].tolist()])
        return found


@dataclass(frozen=True, slots=True, eq=False)
class BoxFile:
    """What a file of boxes says.

    Attributes:
        path: The file.
        by: ``id`` or ``video``: what boxes belong to.
        boxes: By the id of a row, or the path of a film as the manifest has it.
        digest: Of the file's bytes.
    """

    path: Path
    by: str
    boxes: Mapping[str, FaceBoxes]
    digest: str

    def of_rows(self, ids: Sequence[str], videos: Sequence[str]) -> dict[str, FaceBoxes]:
        """Return the boxes of each row that has any, by id.

        Args:
            ids: Of the rows.
            videos: Their films, as the manifest has them.

        Raises:
            ManifestError: The file speaks of none of them.
        """
        keys = ids if self.by == "id" else videos
        found = {
            row: self.boxes[key] for row, key in zip(ids, keys, strict=True) if key in self.boxes
        }
        if not found:
            shown, asked = next(iter(self.boxes)), next(iter(keys), "")
            raise ManifestError(
                f"{self.path}: no {self.by} of it is one of the corpus ({shown!r}; the corpus has "
                f"{asked!r}); write them as the manifest does"
            )
        return found


def read_boxes(path: Path) -> BoxFile:
    """Read a file of boxes; the same file is read once.

    Args:
        path: CSV or Parquet, see above.

    Raises:
        ManifestError: It is not there, is no such table, or a box is none.
    """
    with reading(path, "a table of boxes"):
        about = path.stat()
    return _read(path, about.st_mtime_ns, about.st_size)


def no_boxes(path: str) -> MediaError:
    """Return why a row that a file says nothing of cannot be read."""
    return MediaError(
        f"{Path(path).name} has no face box of this row; add one, or leave the row out"
    )


@lru_cache(maxsize=4)
def _read(path: Path, changed_ns: int, size: int) -> BoxFile:
    table = read_table(path)
    by = next((name for name in ("id", "video") if name in table), "")
    absent = [name for name in SIDES if name not in table]
    if absent or not by:
        raise ManifestError(
            f"{path}: no column {absent[0] if absent else 'id or video'}; expected id or video, "
            f"time_s, {', '.join(SIDES)}"
        )
    keys = table[by].astype(str).to_numpy()
    boxes = np.column_stack([_numbers(path, name, table[name].tolist()) for name in SIDES])
    times_s = np.full(len(table), np.nan)
    if "time_s" in table:
        times_s = _numbers(path, "time_s", table["time_s"].tolist())
    # Trackers write nothing, or zeros, for a picture in which they saw no face.
    is_face = ~(np.isnan(boxes) | (boxes == 0)).all(axis=1)
    odd = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    odd &= is_face
    if odd.any() or not len(table):
        number = int(np.argmax(odd)) if odd.any() else -1
        shown = boxes[number].tolist() if odd.any() else "no row"
        raise ManifestError(
            f"{path}: row {number + 1}: {shown} is no box; expected left < right and top < bottom, "
            "in pixels"
        )
    rows_of: dict[str, list[int]] = {}
    for number, key in enumerate(keys.tolist()):
        of_key = rows_of.setdefault(key, [])
        if is_face[number]:
            of_key.append(number)
    found = {key: FaceBoxes(times_s[rows], boxes[rows]) for key, rows in rows_of.items()}
    return BoxFile(path, by, found, file_digest(path))


def _numbers(path: Path, name: str, cells: Sequence[object]) -> NDArray[np.float64]:
    """Return cells as numbers (n,), an empty one as nan."""
    numbers = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        try:
            numbers[row] = np.nan if cell is None or cell == "" else float(str(cell))
        except ValueError as error:
            raise ManifestError(
                f"{path}: row {row + 1}, {name} is {cell!r}; expected a number"
            ) from error
    return numbers
