"""Looks for the face in the pictures of rows, film by film; a second run goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import MediaError, UnsafePathError
from extract.checks.finding import FaceFacts
from extract.checks.memory import Remembered, digest_of
from extract.frames.clips import FrameClip, read_spans
from extract.frames.face_source import FaceSource
from extract.frames.settings import FrameSettings, TimeSpan
from extract.pipeline.film_parts import video_spans

# Of the pictures, which are only looked at, in pixels.
SIZE = 64


def rows_to_look_at(manifest: Manifest, count: int | None = None) -> list[int]:
    """Return positions of rows with a film that is there, evenly spread where not all are wanted.

    Args:
        manifest: The corpus, with its root.
        count: How many; None for all.
    """
    if manifest.root is None:
        return []
    names = manifest.table["video"].tolist()
    there = {name for name in set(names) - {""} if _is_there(manifest, name)}
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
    source = faces or FaceSource()
    spans, ids = video_spans(manifest, source.boxes), manifest.ids.tolist()
    names = manifest.table["video"].tolist()
    films: dict[str, dict[str, tuple[TimeSpan, FrameSettings]]] = {}
    for row in rows:
        span = spans[ids[row]]
        region = "half-face" if span.side else "face"
        settings = FrameSettings(region=region, size=SIZE, faces=source)
        films.setdefault(names[row], {})[ids[row]] = span, settings

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
    return [seen[ids[row]] for row in rows]


def _look(
    manifest: Manifest,
    name: str,
    rows: Mapping[str, tuple[TimeSpan, FrameSettings]],
    remembered: Remembered,
) -> Iterator[FaceFacts]:
    """Yield what is seen of each row of one film, and remember it."""
    path = manifest.media_path(name)
    new: dict[FrameSettings, list[str]] = {}
    states: dict[str, str] = {}
    for row, (span, settings) in rows.items():
        boxes = span.boxes.digest if span.boxes else ""
        asked = [name, row, span.start_s, span.end_s, span.side, boxes, settings.as_dict()]
        states[row] = digest_of(path, asked)
        if states[row] in remembered.known:
            yield FaceFacts(**remembered.known[states[row]])
        else:
            new.setdefault(settings, []).append(row)
    for settings, alike in new.items():
        for position, clip in read_spans(path, [rows[row][0] for row in alike], settings):
            facts = _facts(alike[position], clip, path, name)
            remembered.add(states[facts.row], dataclasses.asdict(facts))
            yield facts


def _facts(row: str, clip: FrameClip | MediaError, path: Path, name: str) -> FaceFacts:
    if isinstance(clip, MediaError):
        return FaceFacts(row, 0.0, str(clip).replace(str(path), name))
    return FaceFacts(row, clip.face_share or 0.0)


def _is_there(manifest: Manifest, name: str) -> bool:
    try:
        return manifest.media_path(name).is_file()
    except (OSError, UnsafePathError):
        return False
