"""Which part of its film each row is: from when to when, and which half of a split screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, MediaError, UsageError
from extract.frames.face_boxes import read_boxes
from extract.frames.settings import SIDES, TimeSpan

START, END, SIDE = "meta_video_start_s", "meta_video_end_s", "meta_video_side"
# The words that a cell may hold for a side, in any case.
_WORDS = {word: side for side in SIDES for word in (side, side[0])} | {"": ""}


def video_spans(manifest: Manifest, face_boxes: str = "") -> dict[str, TimeSpan]:
    """Return the part of its video that each utterance is, by id.

    A corpus such as IEMOCAP has the sound cut into utterances and the picture not, so the two have
    times of their own: ``meta_video_start_s`` and ``_end_s`` where these columns are there. Other
    corpora share ``start_s`` and ``end_s``. ``meta_video_side`` says which half of a split screen
    the speaker is in: left or right, or L or R, in any case; nothing where the screen is not split.

    Args:
        manifest: The corpus.
        face_boxes: A file that says where the faces are, empty for none.

    Raises:
        ManifestError: A row has another side, or times that are no numbers or no part of a film, or
            the file speaks of no row of the corpus.
    """
    table = manifest.table
    if (START in table) != (END in table):
        there, absent = (START, END) if START in table else (END, START)
        raise ManifestError(
            f"corpus {manifest.name!r} has a column {there} and no {absent}; add it, with empty "
            "cells where the film's own beginning or end is meant"
        )
    own = START in table
    starts = _seconds(manifest, START) if own else table["start_s"].to_numpy(dtype=np.float64)
    ends = _seconds(manifest, END) if own else table["end_s"].to_numpy(dtype=np.float64)
    ids, boxes = manifest.ids.tolist(), {}
    if face_boxes:
        boxes = read_boxes(Path(face_boxes)).of_rows(ids, table["video"].tolist())
    spans = {}
    for row, start, end, side in zip(
        ids, starts.tolist(), ends.tolist(), _sides(manifest), strict=True
    ):
        try:
            spans[row] = TimeSpan(_given(start), _given(end), side, boxes.get(row))
        except UsageError:
            raise ManifestError(
                f"row {row!r}: {START} = {start:g} and {END} = {end:g} are no part of a film; "
                "correct them"
            ) from None
    return spans


def require_sides(manifest: Manifest, region: str) -> None:
    """Refuse a region that the rows' films do not have, before anything is decoded.

    Args:
        manifest: The corpus.
        region: A name in :data:`extract.frames.REGIONS`.

    Raises:
        UsageError: The region is a half and no row says which, or the whole picture's face and some
            film is a split screen.
        ManifestError: See :func:`video_spans`.
    """
    sides = {row: span.side for row, span in video_spans(manifest).items()}
    split = [row for row, side in sides.items() if side]
    if region.startswith("half") and not split:
        raise UsageError(
            f"region {region!r} is one half of a split screen, and no row says which: write left "
            f"or right into a column {SIDE}, or use --region full"
        )
    if region == "face" and split:
        raise UsageError(
            f"region 'face' looks at the whole picture, but the film of row {split[0]!r} is a "
            f"split screen ({SIDE} is {sides[split[0]]!r}); use --region half-face"
        )


def lacks_side(span: TimeSpan, region: str) -> bool:
    """Say whether a region is one half of the picture and the row does not say which."""
    return region.startswith("half") and not span.side


def refuse_without_side(row: str, span: TimeSpan, region: str) -> None:
    """Refuse a row whose half is wanted and not known.

    Args:
        row: Its id.
        span: Its part of the film.
        region: A name in :data:`extract.frames.REGIONS`.

    Raises:
        MediaError: Its cell is empty.
    """
    if lacks_side(span, region):
        raise MediaError(
            f"row {row!r}: {SIDE} is empty, and region {region!r} is one half of the picture; "
            "write left or right into that cell"
        )


def _sides(manifest: Manifest) -> list[str]:
    """Return ``left``, ``right`` or nothing for each row."""
    if SIDE not in manifest.table:
        return [""] * len(manifest)
    cells = ["" if cell != cell else str(cell) for cell in manifest.table[SIDE].tolist()]
    odd = [
        f"row {row!r}: {cell!r}"
        for row, cell in zip(manifest.ids.tolist(), cells, strict=True)
        if cell.strip().lower() not in _WORDS
    ]
    if odd:
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        raise ManifestError(
            f"corpus {manifest.name!r}, column {SIDE}: {', '.join(odd[:3])}{more}; write left or "
            "right (or L, R), or nothing where the screen is not split"
        )
    return [_WORDS[cell.strip().lower()] for cell in cells]


def _seconds(manifest: Manifest, column: str) -> NDArray[np.float64]:
    """Return a column of times (N,), in seconds, nan for an empty cell."""
    cells = manifest.table[column].tolist()
    times_s = np.full(len(cells), np.nan)
    for number, (row, cell) in enumerate(zip(manifest.ids.tolist(), cells, strict=True)):
        try:
            times_s[number] = float("nan" if cell == "" else cell)
        except ValueError:
            raise ManifestError(
                f"row {row!r}, column {column}: {cell!r} is no number of seconds; correct it"
            ) from None
    return times_s


def _given(value_s: float) -> float | None:
    return None if np.isnan(value_s) else value_s
