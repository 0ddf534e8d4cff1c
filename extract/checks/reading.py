"""Reads the media, many at a time and each once; a second run goes on where one was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from embeddings_store.corpus.manifest import Manifest, resolve_media
from embeddings_store.errors import MediaError, UnsafePathError
from extract.checks.finding import MediaFacts
from extract.media.file_check import check_media_file
from extract.media.header import probe_sound
from extract.media.sound import read_sound
from extract.media.spans import SoundSpan
from extract.pipeline.inputs import video_spans

# Longer sound is read in pieces, so that memory does not grow with a film's length.
PIECE_S = 120.0
AHEAD = 4
# A header may promise a few pictures more than there are.
SHORTFALL_S = 0.3


@dataclass(frozen=True, slots=True)
class ReadTask:
    """One file to read, with the parts of it that rows want.

    Id to start and end in seconds, none for the whole.
    """

    name: str
    medium: str
    parts: Mapping[str, tuple[float | None, float | None, str]]
    hashed: bool


def tasks_of(manifest: Manifest, count: int | None = None) -> list[ReadTask]:
    """Return the files that rows name and that are there, in their order.

    ``count`` takes as many, evenly spread.
    """
    if manifest.root is None:
        return []
    parts: dict[tuple[str, str], dict[str, tuple[float | None, float | None, str]]] = defaultdict(
        dict
    )
    ids = manifest.ids.tolist()
    starts, ends = manifest.table["start_s"].tolist(), manifest.table["end_s"].tolist()
    for name, row, start, end in zip(
        manifest.table["audio"].tolist(), ids, starts, ends, strict=True
    ):
        if name:
            parts[name, "audio"][row] = (_given(start), _given(end), "")
    if manifest.has("video"):
        spans = video_spans(manifest)
        for name, row in zip(manifest.table["video"].tolist(), ids, strict=True):
            if name:
                parts[name, "video"][row] = (spans[row].start_s, spans[row].end_s, spans[row].side)
    sizes = {key: _size(manifest.root, key[0]) for key in parts}
    there = [key for key in parts if sizes[key] is not None]
    alike = Counter((sizes[key], key[1]) for key in there)
    if count is not None and count < len(there):
        there = [there[i * len(there) // count] for i in range(count)]
    return [ReadTask(*key, parts[key], alike[sizes[key], key[1]] > 1) for key in there]


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
    """
    root = manifest.root or Path()
    known = _remembered(memory)
    found: dict[int, MediaFacts] = {}
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        handle = memory.open("a", encoding="utf-8") if memory is not None else None
        try:
            running: dict[Future[MediaFacts], tuple[int, str]] = {}
            for position, task in enumerate(tasks):
                state = _state(root, task)
                if state in known:
                    found[position] = known[state]
                    advance(1)
                    continue
                running[pool.submit(_read, root, task)] = position, state
                while len(running) >= AHEAD * max(1, jobs):
                    _collect(running, found, handle, advance)
            while running:
                _collect(running, found, handle, advance)
        finally:
            if handle is not None:
                handle.close()
    return [found[position] for position in range(len(tasks))]


def _read(root: Path, task: ReadTask) -> MediaFacts:
    """Read one file; every fault becomes a sentence without the place of the user's corpus."""
    try:
        path = resolve_media(root, task.name)
        check_media_file(path)
        facts = _read_sound(path, task) if task.medium == "audio" else _read_film(path, task)
        digest = _digest(path) if task.hashed else ""
    except (MediaError, UnsafePathError) as error:
        return MediaFacts(task.name, task.medium, problem=_placeless(str(error), root, task))
    bad = {row: _placeless(reason, root, task) for row, reason in facts.bad_rows.items()}
    return dataclasses.replace(facts, digest=digest, bad_rows=bad)


def _read_sound(path: Path, task: ReadTask) -> MediaFacts:
    length_s, rate, channels = probe_sound(path)
    whole = [row for row, (start, end, _) in task.parts.items() if start is None and end is None]
    bad, mute = dict[str, str](), list[str]()
    if whole:
        heard = False
        for begin in np.arange(0.0, max(length_s, 1e-9), PIECE_S).tolist():
            last = begin + PIECE_S >= length_s
            sound = read_sound(
                path, SoundSpan(start_s=begin or None, end_s=None if last else begin + PIECE_S)
            )
            heard = heard or bool(np.any(sound.samples))
            if not np.isfinite(sound.samples).all():
                raise MediaError(f"{path} has samples that are not finite; export it again")
            length_s = sound.duration_s
        mute += [] if heard else whole
    for row, (start, end, _) in task.parts.items():
        if row in whole:
            continue
        try:
            if not np.any(read_sound(path, SoundSpan(start_s=start, end_s=end)).samples):
                mute.append(row)
        except MediaError as error:
            bad[row] = str(error)
    return MediaFacts(
        task.name,
        task.medium,
        length_s,
        float(rate),
        channels,
        bad_rows=bad,
        silent_rows=tuple(mute),
    )


def _read_film(path: Path, task: ReadTask) -> MediaFacts:
    import av

    from extract.frames import FrameSettings, TimeSpan, read_spans

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MediaError(f"{path} has no pictures; leave its video empty in the manifest")
            stream = container.streams.video[0]
            length_s = (
                float(stream.duration * stream.time_base)
                if stream.duration and stream.time_base
                else ((container.duration or 0) / 1_000_000)
            )
            rate, size = float(stream.average_rate or 0), (stream.width, stream.height)
            facts = MediaFacts(task.name, task.medium, length_s, rate, size=size)
            _require_end(path, container)
    except (av.FFmpegError, ValueError, IndexError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(
            f"{path} is torn, or is not a film that FFmpeg reads; fetch or convert it again"
        ) from error
    rows, bad, plain = list(task.parts), dict[str, str](), list[str]()
    # The last picture of each part proves that the film is there to its end.
    spans = [TimeSpan(start, end, "") for start, end, _ in task.parts.values()]
    for position, clip in read_spans(path, spans, FrameSettings(frames=3, size=32)):
        if isinstance(clip, MediaError):
            bad[rows[position]] = str(clip)
        elif max(int(np.ptp(picture)) for picture in clip.frames) <= 2:
            plain.append(rows[position])
    if len(bad) == len(rows):
        raise MediaError(next(iter(bad.values())))
    return dataclasses.replace(facts, bad_rows=bad, silent_rows=tuple(plain))


def _require_end(path: Path, container: Any) -> None:
    """Refuse a film whose packets end before its header says.

    FLV and Matroska play what is left, and nobody is told.
    """
    promised_s = (container.duration or 0) / 1_000_000
    found_s = 0.0
    for packet in container.demux():
        if packet.pts is not None:
            found_s = max(found_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    found_s -= (container.start_time or 0) / 1_000_000
    if found_s < promised_s - SHORTFALL_S:
        raise MediaError(
            f"{path} is cut short: its header promises {promised_s:.2f} s, it ends at "
            f"{found_s:.2f} s; fetch it "
            "again"
        )


def _collect(
    running: dict[Future[MediaFacts], tuple[int, str]],
    found: dict[int, MediaFacts],
    handle: TextIO | None,
    advance: Callable[[int], None],
) -> None:
    for done in wait(running, return_when=FIRST_COMPLETED).done:
        position, state = running.pop(done)
        found[position] = facts = done.result()
        if handle is not None:
            handle.write(
                json.dumps({"state": state, **dataclasses.asdict(facts)}, ensure_ascii=False) + "\n"
            )
            handle.flush()
        advance(1)


def _remembered(memory: Path | None) -> dict[str, MediaFacts]:
    """Return what an earlier run found; a line that a kill tore is left out."""
    known: dict[str, MediaFacts] = {}
    if memory is None or not memory.is_file():
        return known
    for line in memory.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            state = entry.pop("state")
            known[state] = MediaFacts(
                **{
                    **entry,
                    "size": tuple(entry["size"]),
                    "silent_rows": tuple(entry["silent_rows"]),
                }
            )
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _state(root: Path, task: ReadTask) -> str:
    """Return a digest that changes with the file, as its size and time tell, and with what is asked of it."""
    try:
        about = (root / task.name).stat()
        changed = f"{about.st_size} {about.st_mtime_ns}"
    except OSError:
        changed = "gone"
    told = json.dumps(
        [task.name, task.medium, sorted(task.parts.items()), task.hashed, changed],
        ensure_ascii=False,
    )
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def _size(root: Path, name: str) -> int | None:
    try:
        return resolve_media(root, name).stat().st_size
    except (OSError, UnsafePathError):
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:24]


def _placeless(reason: str, root: Path, task: ReadTask) -> str:
    return reason.replace(f"{root.resolve() / task.name} ", "").replace(f"{root.resolve()}/", "")


def _given(value_s: float) -> float | None:
    return None if math.isnan(value_s) else value_s
