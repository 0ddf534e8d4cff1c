"""Reads the media, many at a time and each once, and says which cannot be used; a second run goes on where one was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embeddings_store.errors import MediaError, UnsafePathError
from embeddings_store.manifest import Manifest, resolve_media
from extract.checks.finding import BAD_MEDIA, Finding, MediaFacts, Release
from extract.corpora._notes import EMPTY, POINTER
from extract.inputs import video_spans
from extract.media import read_sound
from extract.mediafile import check_media_file
from extract.probe import probe_sound
from extract.spans import Wanted

# Longer sound is read in pieces, so that memory does not grow with a film's length.
PIECE_S = 120.0
AHEAD = 4
# A header may promise a few pictures more than there are.
SHORTFALL_S = 0.3


@dataclass(frozen=True, slots=True)
class Task:
    """One file to read, with the parts of it that rows want: id to start and end in seconds, none for the whole."""

    name: str
    medium: str
    parts: Mapping[str, tuple[float | None, float | None, str]]
    hashed: bool


def tasks_of(manifest: Manifest, count: int | None = None) -> list[Task]:
    """Return the files that rows name and that are there, in their order; ``count`` takes as many, evenly spread."""
    if manifest.root is None:
        return []
    parts: dict[tuple[str, str], dict[str, tuple[float | None, float | None, str]]] = defaultdict(dict)
    ids = manifest.ids.tolist()
    starts, ends = manifest.table["start_s"].tolist(), manifest.table["end_s"].tolist()
    for name, row, start, end in zip(manifest.table["audio"].tolist(), ids, starts, ends, strict=True):
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
    return [Task(*key, parts[key], alike[sizes[key], key[1]] > 1) for key in there]


def read_media(manifest: Manifest, tasks: Sequence[Task], jobs: int, advance: Callable[[int], None],
               memory: Path | None = None) -> list[MediaFacts]:
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


def unreadable(release: Release) -> Iterator[Finding]:
    """Files that no decoder reads whole."""
    for medium in ("audio", "video"):
        bad = [f for f in release.media if f.medium == medium and f.problem and f.name not in release.noted(POINTER, EMPTY)]
        if bad:
            yield Finding("error", f"{medium} unreadable", f"{medium} file that cannot be read whole", len(bad),
                          [f"{f.name}: {f.problem}" for f in bad], "fetch them again, or leave their rows out", BAD_MEDIA)
    if release.sampled:
        yield Finding("fact", "media read", f"{release.sampled:,} of {release.sampled + len(release.media):,} media files were "
                      "not read, as --media asks", release.sampled)


def silent(release: Release) -> Iterator[Finding]:
    """Rows whose sound is nothing but zeros."""
    rows = [row for f in release.media if f.medium == "audio" for row in f.silent_rows]
    if rows:
        yield Finding("error", "silent", "silent row: every sample is zero", len(rows), tuple(rows),
                      "a vector of silence says nothing about a voice; leave the rows out", BAD_MEDIA)


def black(release: Release) -> Iterator[Finding]:
    """Rows whose pictures have one colour only."""
    rows = [row for f in release.media if f.medium == "video" for row in f.silent_rows]
    if rows:
        yield Finding("warning", "one colour", "row whose pictures are of one colour", len(rows), tuple(rows),
                      "look at them on the contact sheet (--out DIR)")


def odd_spans(release: Release) -> Iterator[Finding]:
    """Rows whose times lie outside their file."""
    bad = [f"{row}: {reason}" for f in release.media for row, reason in f.bad_rows.items()]
    if bad:
        yield Finding("error", "times outside the file", "row whose times do not fit its file", len(bad), tuple(bad),
                      "correct start_s and end_s", BAD_MEDIA)


def rates(release: Release) -> Iterator[Finding]:
    """Which rates, channels and sizes there are; more than one is worth knowing."""
    for medium in ("audio", "video"):
        forms: dict[str, list[str]] = defaultdict(list)
        for facts in release.media:
            if facts.medium == medium and not facts.problem:
                forms[_form(facts)].append(facts.name)
        if not forms:
            continue
        usual, *others = sorted(forms, key=lambda form: -len(forms[form]))
        told = ", ".join(f"{form} ({len(forms[form]):,})" for form in (usual, *others))
        rare = [f"{name}: {form}" for form in reversed(others) for name in forms[form]]
        if rare:
            yield Finding("warning", f"{medium} formats", f"{medium} file of another format than most: {told}", len(rare),
                          tuple(rare), "all are brought to one form, but one that goes with a label or a speaker is a cue")
        else:
            yield Finding("fact", f"{medium} formats", f"{medium}: {told}", len(forms[usual]))


def durations(release: Release) -> Iterator[Finding]:
    """How long the rows' parts are, and how many an encoder would cut."""
    length_of = {(f.name, f.medium): f.length_s for f in release.media}
    table, seen = release.manifest.table, []
    for name, start, end in zip(table["audio"], table["start_s"], table["end_s"], strict=True):
        whole = length_of.get((name, "audio"), math.nan)
        seen.append((end if not math.isnan(end) else whole) - (start if not math.isnan(start) else 0.0) if name else math.nan)
    lengths = np.array(seen, dtype=float)
    there = lengths[np.isfinite(lengths)]
    if not len(there) or not release.media:
        return
    long = int((there > release.cut_s).sum())
    middle = float(np.median(there))
    facts = {"rows": len(there), "hours": float(there.sum() / 3600), "min_s": float(there.min()), "median_s": middle,
             "mean_s": float(there.mean()), "max_s": float(there.max()), f"longer_than_{release.cut_s:g}_s": long}
    yield Finding("fact", "durations", f"{facts['hours']:.2f} h in {len(there):,} rows: min {facts['min_s']:.2f} s, median "
                  f"{facts['median_s']:.2f} s, mean {facts['mean_s']:.2f} s, max {facts['max_s']:.2f} s; {long:,} "
                  f"({long / len(there):.1%}) are longer than {release.cut_s:g} s and are cut there", len(there), data=facts)
    far = np.flatnonzero((lengths > max(60.0, 10 * middle)) | (lengths < 0.05))
    if len(far):
        yield Finding("warning", "durations", f"row that lasts far more or less than the others (median {middle:.2f} s)",
                      len(far), [f"{release.manifest.ids[i]}: {lengths[i]:.3f} s" for i in far],
                      "listen to them; a wrong cut holds other people's words")


def same_bytes(release: Release) -> Iterator[Finding]:
    """Files with the same bytes under several names."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    for f in release.media:
        if f.digest and f.name not in by_digest[f.digest]:
            by_digest[f.digest].append(f.name)
    twins = [names for names in by_digest.values() if len(names) > 1]
    if twins:
        labels = dict(zip(release.manifest.table["audio"], release.manifest.table["label"], strict=True))
        differ = sum(len({labels.get(name, "") for name in names}) > 1 for names in twins)
        yield Finding("error" if differ else "warning", "same bytes", "file that is byte for byte another one"
                      + (f", and {differ} of these have several labels" if differ else ""),
                      sum(len(names) - 1 for names in twins), [" = ".join(names) for names in twins],
                      "a copy in training and in test is a leak; keep one of each",
                      BAD_MEDIA if differ else 0)


def _read(root: Path, task: Task) -> MediaFacts:
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


def _read_sound(path: Path, task: Task) -> MediaFacts:
    length_s, rate, channels = probe_sound(path)
    whole = [row for row, (start, end, _) in task.parts.items() if start is None and end is None]
    bad, mute = dict[str, str](), list[str]()
    if whole:
        heard = False
        for begin in np.arange(0.0, max(length_s, 1e-9), PIECE_S).tolist():
            last = begin + PIECE_S >= length_s
            sound = read_sound(path, Wanted(start_s=begin or None, end_s=None if last else begin + PIECE_S))
            heard = heard or bool(np.any(sound.samples))
            if not np.isfinite(sound.samples).all():
                raise MediaError(f"{path} has samples that are not finite; export it again")
            length_s = sound.duration_s
        mute += [] if heard else whole
    for row, (start, end, _) in task.parts.items():
        if row in whole:
            continue
        try:
            if not np.any(read_sound(path, Wanted(start_s=start, end_s=end)).samples):
                mute.append(row)
        except MediaError as error:
            bad[row] = str(error)
    return MediaFacts(task.name, task.medium, length_s, float(rate), channels, bad_rows=bad, silent_rows=tuple(mute))


def _read_film(path: Path, task: Task) -> MediaFacts:
    import av

    from extract.frames import FrameSettings, Span, read_spans

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MediaError(f"{path} has no pictures; leave its video empty in the manifest")
            stream = container.streams.video[0]
            length_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else (
                (container.duration or 0) / 1_000_000)
            rate, size = float(stream.average_rate or 0), (stream.width, stream.height)
            facts = MediaFacts(task.name, task.medium, length_s, rate, size=size)
            _require_end(path, container)
    except (av.FFmpegError, ValueError, IndexError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"{path} is torn, or is not a film that FFmpeg reads; fetch or convert it again") from error
    rows, bad, plain = list(task.parts), dict[str, str](), list[str]()
    # The last picture of each part proves that the film is there to its end.
    spans = [Span(start, end, "") for start, end, _ in task.parts.values()]
    for position, clip in read_spans(path, spans, FrameSettings(frames=3, size=32)):
        if isinstance(clip, MediaError):
            bad[rows[position]] = str(clip)
        elif max(int(np.ptp(picture)) for picture in clip.frames) <= 2:
            plain.append(rows[position])
    if len(bad) == len(rows):
        raise MediaError(next(iter(bad.values())))
    return dataclasses.replace(facts, bad_rows=bad, silent_rows=tuple(plain))


def _require_end(path: Path, container: Any) -> None:
    """Refuse a film whose packets end before its header says: FLV and Matroska play what is left, and nobody is told."""
    promised_s = (container.duration or 0) / 1_000_000
    found_s = 0.0
    for packet in container.demux():
        if packet.pts is not None:
            found_s = max(found_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    found_s -= (container.start_time or 0) / 1_000_000
    if found_s < promised_s - SHORTFALL_S:
        raise MediaError(f"{path} is cut short: its header promises {promised_s:.2f} s, it ends at {found_s:.2f} s; fetch it "
                         "again")


def _collect(running: dict[Future[MediaFacts], tuple[int, str]], found: dict[int, MediaFacts], handle: object,
             advance: Callable[[int], None]) -> None:
    for done in wait(running, return_when=FIRST_COMPLETED).done:
        position, state = running.pop(done)
        found[position] = facts = done.result()
        if handle is not None:
            handle.write(json.dumps({"state": state, **dataclasses.asdict(facts)}, ensure_ascii=False) + "\n")  # type: ignore[attr-defined]
            handle.flush()  # type: ignore[attr-defined]
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
            known[state] = MediaFacts(**{**entry, "size": tuple(entry["size"]), "silent_rows": tuple(entry["silent_rows"])})
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _state(root: Path, task: Task) -> str:
    """Return a digest that changes with the file, as its size and time tell, and with what is asked of it."""
    try:
        about = (root / task.name).stat()
        changed = f"{about.st_size} {about.st_mtime_ns}"
    except OSError:
        changed = "gone"
    told = json.dumps([task.name, task.medium, sorted(task.parts.items()), task.hashed, changed], ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def _size(root: Path, name: str) -> int | None:
    try:
        return resolve_media(root, name).stat().st_size
    except (OSError, UnsafePathError):
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:24]


def _placeless(reason: str, root: Path, task: Task) -> str:
    return reason.replace(f"{root.resolve() / task.name} ", "").replace(f"{root.resolve()}/", "")


def _given(value_s: float) -> float | None:
    return None if math.isnan(value_s) else value_s


def _form(facts: MediaFacts) -> str:
    """Return what a file is like, in words."""
    if facts.medium == "video":
        return f"{facts.size[0]} x {facts.size[1]} at {facts.rate:.4g} pictures/s"
    return f"{facts.rate:g} Hz {({1: 'mono', 2: 'stereo'}).get(facts.channels, f'{facts.channels} channels')}"
