"""Reads the media, many at a time and each once; a second run goes on where one was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import MediaError, UnsafePathError
from extract.checks.finding import MediaFacts
from extract.checks.memory import Remembered, digest_of
from extract.media.file_check import check_media_file
from extract.media.header import probe_sound
from extract.media.opening import open_media, reading_media
from extract.media.sound import read_sound
from extract.media.spans import SoundSpan
from extract.pipeline.film_parts import video_spans

if TYPE_CHECKING:
    from av.container import InputContainer

# Longer sound is read in pieces, so that memory does not grow with a film's length.
PIECE_S = 120.0
# Files that are handed out for each process beside the one that it reads.
AHEAD = 4
# To be raised whenever the same file shows other facts, so that none of earlier ones is remembered.
FACTS_VERSION = 2
# A header may promise a few pictures more than there are.
SHORTFALL_S = 0.3

# Start and end of a row's part in seconds, none for those of the file, and the side of a split
# screen.
Part = tuple[float | None, float | None, str]


@dataclass(frozen=True, slots=True)
class ReadTask:
    """One file to read, with the parts of it that rows take.

    Attributes:
        name: Path in the manifest.
        medium: ``audio`` or ``video``.
        parts: Row to its part.
        hashed: Whether its bytes are to be compared with another file's, which is as long.
    """

    name: str
    medium: str
    parts: Mapping[str, Part]
    hashed: bool


def tasks_of(manifest: Manifest, count: int | None = None) -> list[ReadTask]:
    """Return the files that rows name and that are there, in their order.

    Args:
        manifest: The corpus, with its root.
        count: Take as many, evenly spread; None for all.
    """
    if manifest.root is None:
        return []
    files = _parts_of_files(manifest)
    sizes: dict[tuple[str, str], int] = {}
    for name, medium in files:
        size = _size(manifest, name)
        if size is not None:
            sizes[name, medium] = size
    alike = Counter((size, medium) for (_, medium), size in sizes.items())
    there = list(sizes)
    if count is not None and count < len(there):
        there = [there[i * len(there) // count] for i in range(count)]
    tasks = []
    for name, medium in there:
        hashed = alike[sizes[name, medium], medium] > 1
        tasks.append(ReadTask(name, medium, files[name, medium], hashed))
    return tasks


def _parts_of_files(manifest: Manifest) -> dict[tuple[str, str], dict[str, Part]]:
    """Return path and medium of each named file, with the parts that its rows take."""
    files: dict[tuple[str, str], dict[str, Part]] = {}
    ids, table = manifest.ids.tolist(), manifest.table
    sounds = zip(
        table["audio"].tolist(),
        ids,
        table["start_s"].tolist(),
        table["end_s"].tolist(),
        strict=True,
    )
    for name, row, start_s, end_s in sounds:
        if name:
            files.setdefault((name, "audio"), {})[row] = (_given(start_s), _given(end_s), "")
    if manifest.has("video"):
        spans = video_spans(manifest)
        for name, row in zip(table["video"].tolist(), ids, strict=True):
            if name:
                span = spans[row]
                part = (span.start_s, span.end_s, span.side)
                files.setdefault((name, "video"), {})[row] = part
    return files


def read_media(
    manifest: Manifest,
    tasks: Sequence[ReadTask],
    jobs: int,
    advance: Callable[[int], None],
    memory: Path | None = None,
) -> list[MediaFacts]:
    """Read every file; what was read before, and has not changed since, is taken from ``memory``.

    Args:
        manifest: The corpus, with its root.
        tasks: See :func:`tasks_of`.
        jobs: How many files at a time.
        advance: Called with the number of files that are done.
        memory: A file of one JSON object per line, made and added to; none remembers nothing.

    Returns:
        The facts of every file, in the order of the tasks.
    """
    root = manifest.root or Path()
    jobs = max(1, jobs)
    remembered = Remembered(memory)
    known = _remembered(remembered)
    found: dict[int, MediaFacts] = {}
    with ThreadPoolExecutor(jobs) as pool:
        running: dict[Future[MediaFacts], tuple[int, str]] = {}
        for position, task in enumerate(tasks):
            asked = [FACTS_VERSION, task.name, task.medium, sorted(task.parts.items()), task.hashed]
            state = digest_of(root / task.name, asked)
            if state in known:
                found[position] = known[state]
                advance(1)
                continue
            running[pool.submit(_read, manifest, task)] = position, state
            while len(running) >= AHEAD * jobs:
                _collect(running, found, remembered, advance)
        while running:
            _collect(running, found, remembered, advance)
    return [found[position] for position in range(len(tasks))]


def _read(manifest: Manifest, task: ReadTask) -> MediaFacts:
    """Read one file; every fault becomes a sentence without the place of the user's corpus."""
    root = manifest.root or Path()
    try:
        path = manifest.media_path(task.name)
    except UnsafePathError as error:
        return MediaFacts(task.name, task.medium, problem=str(error))
    try:
        check_media_file(path)
        facts = _read_sound(path, task) if task.medium == "audio" else _read_film(path, task)
        digest = _digest(path) if task.hashed else ""
    except MediaError as error:
        return MediaFacts(task.name, task.medium, problem=_placeless(str(error), root, path))
    bad = {row: _placeless(reason, root, path) for row, reason in facts.bad_rows.items()}
    return dataclasses.replace(facts, digest=digest, bad_rows=bad)


def _read_sound(path: Path, task: ReadTask) -> MediaFacts:
    length_s, rate, channels = probe_sound(path)
    rows_of_all: list[str] = []
    bad: dict[str, str] = {}
    silent: list[str] = []
    for row, (start_s, end_s, _) in task.parts.items():
        if start_s is None and end_s is None:
            rows_of_all.append(row)
    if rows_of_all:
        length_s, heard = _hear_all(path, length_s)
        if not heard:
            silent += rows_of_all
    for row, (start_s, end_s, _) in task.parts.items():
        if row in rows_of_all:
            continue
        try:
            if not np.any(read_sound(path, SoundSpan(start_s=start_s, end_s=end_s)).samples):
                silent.append(row)
        except MediaError as error:
            bad[row] = str(error)
    return MediaFacts(
        task.name,
        task.medium,
        length_s,
        float(rate),
        channels,
        bad_rows=bad,
        silent_rows=tuple(silent),
    )


def _hear_all(path: Path, length_s: float) -> tuple[float, bool]:
    """Read a whole sound in pieces; return its length, and whether any sample is not zero."""
    heard, begin_s, header_s = False, 0.0, length_s
    while begin_s == 0.0 or begin_s < header_s:  # which may be any length
        end_s = begin_s + PIECE_S
        is_last = end_s >= length_s
        span = SoundSpan(start_s=begin_s or None, end_s=None if is_last else end_s)
        sound = read_sound(path, span)
        heard = heard or bool(np.any(sound.samples))
        if not np.isfinite(sound.samples).all():
            raise MediaError(f"{path} has samples that are not finite; export it again")
        length_s, begin_s = sound.duration_s, end_s
    return length_s, heard


def _read_film(path: Path, task: ReadTask) -> MediaFacts:
    from extract.frames.clips import read_spans
    from extract.frames.settings import FrameSettings, TimeSpan

    length_s, rate = _film_header(path)
    size = (0, 0)
    rows = list(task.parts)
    bad: dict[str, str] = {}
    plain: list[str] = []
    # The last picture of each part proves that the film is there to its end.
    spans = [TimeSpan(start_s, end_s, "") for start_s, end_s, _ in task.parts.values()]
    for position, clip in read_spans(path, spans, FrameSettings(frames=3, size=32)):
        if isinstance(clip, MediaError):
            bad[rows[position]] = str(clip)
            continue
        size = clip.width, clip.height
        if max(int(np.ptp(picture)) for picture in clip.frames) <= 2:
            plain.append(rows[position])
    if len(bad) == len(rows):
        raise MediaError(next(iter(bad.values())))
    return MediaFacts(
        task.name,
        task.medium,
        length_s,
        rate,
        size=size,
        bad_rows=bad,
        silent_rows=tuple(plain),
    )


def _film_header(path: Path) -> tuple[float, float]:
    """Return length in seconds and pictures per second of a film that is there to its end."""
    with reading_media(path, "a film that FFmpeg reads"), open_media(path) as container:
        if not container.streams.video:
            raise MediaError(f"{path} has no pictures; leave its video empty in the manifest")
        stream = container.streams.video[0]
        if stream.duration and stream.time_base:
            length_s = float(stream.duration * stream.time_base)
        else:
            length_s = (container.duration or 0) / 1_000_000
        rate = float(stream.average_rate or 0)
        _require_end(path, container)
        return length_s, rate


def _require_end(path: Path, container: InputContainer) -> None:
    """Refuse a film whose packets end before its header says.

    FLV and Matroska play what is left without a word.
    """
    promised_s = (container.duration or 0) / 1_000_000
    found_s = 0.0
    for packet in container.demux():
        if packet.pts is not None and packet.time_base is not None:
            end = packet.pts + (packet.duration or 0)
            found_s = max(found_s, float(end * packet.time_base))
    found_s -= (container.start_time or 0) / 1_000_000
    if found_s < promised_s - SHORTFALL_S:
        raise MediaError(
            f"{path} is cut short: its header promises {promised_s:.2f} s, it ends at "
            f"{found_s:.2f} s; fetch it again"
        )


def _collect(
    running: dict[Future[MediaFacts], tuple[int, str]],
    found: dict[int, MediaFacts],
    remembered: Remembered,
    advance: Callable[[int], None],
) -> None:
    """Wait for the next files that are done, and remember what they showed."""
    for done in wait(running, return_when=FIRST_COMPLETED).done:
        position, state = running.pop(done)
        facts = done.result()
        found[position] = facts
        remembered.add(state, dataclasses.asdict(facts))
        advance(1)


def _remembered(memory: Remembered) -> dict[str, MediaFacts]:
    """Return what an earlier run found; an entry of another make is left out."""
    known: dict[str, MediaFacts] = {}
    for state, entry in memory.known.items():
        with suppress(KeyError, TypeError):
            entry["size"] = tuple(entry["size"])
            entry["silent_rows"] = tuple(entry["silent_rows"])
            known[state] = MediaFacts(**entry)
    return known


def _size(manifest: Manifest, name: str) -> int | None:
    try:
        return manifest.media_path(name).stat().st_size
    except (OSError, UnsafePathError):
        return None


def _digest(path: Path) -> str:
    with reading_media(path), path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:24]


def _placeless(reason: str, root: Path, path: Path) -> str:
    for place_words in (f"{path}: ", f"{path} ", f"{root.resolve()}/"):
        reason = reason.replace(place_words, "")
    return reason


def _given(value_s: float) -> float | None:
    return None if math.isnan(value_s) else value_s
