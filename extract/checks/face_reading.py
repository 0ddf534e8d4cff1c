"""Looks for faces in the pictures of rows, and watches their mouths; a second run goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import MediaError, UnsafePathError, without_frames
from extract.checks.finding import FaceFacts
from extract.checks.memory import Remembered, digest_of
from extract.checks.mouths import loudness, mouth_curves
from extract.frames.clips import VideoFile, try_read
from extract.frames.face_source import FaceSource
from extract.frames.settings import FrameSettings, TimeSpan
from extract.media.sound import read_sound
from extract.media.spans import SoundSpan
from extract.pipeline.film_parts import video_spans

Curves = tuple[tuple[float, ...], ...]
# Of the pictures, which are only looked at, in pixels.
SIZE = 96
# A mouth is watched for four seconds in the middle of a row; from less than two nothing is said.
WATCHED_HZ, WATCHED, FEWEST = 12.5, 50, 25
# Sound is read from a little before the first picture to a little after the last.
AROUND_S = 0.3


@dataclass(frozen=True, slots=True)
class _Row:
    """What is looked at of one row: its part of the film, and of its sound."""

    id: str
    span: TimeSpan
    faces: FaceSource
    sound: Path | None
    start_s: float | None
    end_s: float | None

    def settings(self) -> FrameSettings:
        return FrameSettings(region=self._region, size=SIZE, faces=self.faces)

    def watched(self) -> FrameSettings:
        return replace(self.settings(), rule="consecutive", rate_hz=WATCHED_HZ, frames=WATCHED)

    @property
    def _region(self) -> str:
        return "half-face" if self.span.side else "face"

    def asked(self) -> list[object]:
        """Return all that changes what is seen of it, but the film."""
        span, boxes = self.span, self.span.boxes.digest if self.span.boxes else ""
        sound: list[object] = [self.start_s, self.end_s]
        if self.sound is not None:
            sound.append(digest_of(self.sound, self.sound.name))
        return [
            self.id,
            span.start_s,
            span.end_s,
            span.side,
            boxes,
            sound,
            self.watched().as_dict(),
        ]


def rows_to_look_at(manifest: Manifest, count: int | None = None) -> list[int]:
    """Return positions of rows with a film that is there, evenly spread where not all are wanted.

    Args:
        manifest: The corpus, with its root.
        count: How many; None for all.
    """
    if manifest.root is None:
        return []
    names = manifest.table["video"].tolist()
    there = {name for name in set(names) if _place(manifest, name)}
    rows = [row for row, name in enumerate(names) if name in there]
    if count is not None and count < len(rows):
        rows = [rows[i * len(rows) // count] for i in range(count)]
    return rows


def look_at_faces(
    manifest: Manifest,
    rows: Sequence[int],
    jobs: int,
    advance: Callable[[int], None],
    memory: Path | None = None,
    faces: FaceSource | None = None,
) -> list[FaceFacts]:
    """Look for the face of each row, in the half of the speaker where the film is a split screen.

    Args:
        manifest: The corpus, with its root.
        rows: Positions, see :func:`rows_to_look_at`.
        jobs: How many films at a time.
        advance: Called with the number of rows that are done.
        memory: A file of one JSON object per line, made and added to; none remembers nothing.
        faces: From where it is known where faces are; None for OpenCV's cascades.

    Returns:
        What was seen, in the order of the rows.
    """
    remembered = Remembered(memory)
    films = _films(manifest, rows, faces or FaceSource())

    def look(name: str) -> dict[str, FaceFacts]:
        found = {}
        for facts in _look(manifest, name, films[name], remembered):
            found[facts.row] = facts
            advance(1)
        return found

    seen: dict[str, FaceFacts] = {}
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for of_film in pool.map(look, films):
            seen |= of_film
    ids = manifest.ids.tolist()
    return [seen[ids[row]] for row in rows]


def _films(manifest: Manifest, rows: Sequence[int], faces: FaceSource) -> dict[str, list[_Row]]:
    """Return the rows of each film, in the order in which they are cheapest to read."""
    spans = video_spans(manifest, faces.boxes)
    films: dict[str, list[_Row]] = {}
    for position in rows:
        row = manifest.row(position)
        times_s = [None if np.isnan(time_s) else time_s for time_s in (row.start_s, row.end_s)]
        films.setdefault(row.video, []).append(
            _Row(row.id, spans[row.id], faces, _place(manifest, row.audio), *times_s)
        )
    for found in films.values():
        found.sort(key=lambda row: row.span.start_s or 0.0)
    return films


def _look(
    manifest: Manifest, name: str, rows: Sequence[_Row], remembered: Remembered
) -> Iterator[FaceFacts]:
    """Yield what is seen of each row of one film, and remember it."""
    path = manifest.media_path(name)
    new: dict[str, _Row] = {}
    for row in rows:
        state = digest_of(path, [name, *row.asked()])
        if state in remembered.known:
            yield _plain(remembered.known[state])
        else:
            new[state] = row
    if not new:
        return
    with ExitStack() as stack:
        try:
            film: VideoFile | MediaError = stack.enter_context(VideoFile(path))
        except MediaError as error:
            film = without_frames(error)
        for state, row in new.items():
            facts = _see(film, row, path, name)
            remembered.add(state, dataclasses.asdict(facts))
            yield facts


def _see(film: VideoFile | MediaError, row: _Row, path: Path, name: str) -> FaceFacts:
    clip = film if isinstance(film, MediaError) else try_read(film, row.span, row.settings())
    if isinstance(film, MediaError) or isinstance(clip, MediaError):
        return FaceFacts(row.id, 0.0, str(clip).replace(str(path), name))
    facts = FaceFacts(row.id, clip.face_share or 0.0)
    if row.sound is None:
        return facts
    mouth, times_s = _watch(film, row)
    if len(times_s) < FEWEST:
        return facts
    try:
        loud = _listen(row, row.sound, times_s - (row.span.start_s or 0.0))
    except MediaError:
        return facts  # The checks of the sound say so.
    other: Curves = ()
    if row.span.side:
        side = "left" if row.span.side == "right" else "right"
        other, _ = _watch(film, replace(row, span=replace(row.span, side=side)))
    return replace(facts, mouth=mouth, other_mouth=other, loud=loud)


def _watch(film: VideoFile, row: _Row) -> tuple[Curves, NDArray[np.float64]]:
    """Return the curves of a row's mouth and their times in the film, none without a face."""
    clip = try_read(film, row.span, row.watched())
    if isinstance(clip, MediaError):
        return (), np.empty(0)
    # At the end of a short row its last picture is shown again and again.
    new = np.diff(clip.times_s, prepend=-1.0) > 0
    if new.sum() < FEWEST:
        return (), np.empty(0)
    curves = mouth_curves(clip.frames[new])
    return tuple(_rounded(curve) for curve in curves), clip.times_s[new]


def _listen(row: _Row, path: Path, times_s: NDArray[np.float64]) -> tuple[float, ...]:
    """Return how loud a row's sound is at some times from its beginning.

    Raises:
        MediaError: The sound cannot be read.
    """
    skipped_s = max(0.0, float(times_s[0]) - AROUND_S)
    length_s = float(times_s[-1]) - skipped_s + AROUND_S
    begin_s = (row.start_s or 0.0) + skipped_s
    span = SoundSpan(start_s=begin_s, end_s=row.end_s, max_duration_s=length_s)
    sound = read_sound(path, span)
    return _rounded(loudness(sound.samples, sound.rate, times_s - skipped_s))


def _rounded(curve: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(np.round(curve, 4).tolist())


def _plain(entry: dict[str, Any]) -> FaceFacts:
    """Return what was remembered; JSON knows no tuples."""
    for name in ("mouth", "other_mouth"):
        entry[name] = tuple(tuple(curve) for curve in entry[name])
    entry["loud"] = tuple(entry["loud"])
    return FaceFacts(**entry)


def _place(manifest: Manifest, name: str) -> Path | None:
    """Return the file that a row names, none where there is none inside the corpus."""
    try:
        path = manifest.media_path(name) if name else None
        return path if path is not None and path.is_file() else None
    except (OSError, UnsafePathError):
        return None
