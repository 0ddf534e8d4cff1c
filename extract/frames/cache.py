"""Keeps decoded clips on disk, so that a corpus is decoded once.

Without it, it would be decoded once per epoch, fold and encoder.

One ``.npz`` file per clip: 2.4 MB for 16 frames of 224 px, 13.3 GB for IEMOCAP's 5,531 utterances.
Pixels are kept exactly, since a cache must not change a number, and uncompressed: over four clips
lossless codecs saved 25 % (zlib), 44 % (zlib of differences), 49 % (PNG) and 62 % (WebP), but took
20 to 130 ms to read where the bare pixels take 0.6 ms, and decoding the video afresh takes about
100. A file carries a checksum of its arrays; one that does not read is decoded again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from embeddings_store.array_files import read_npz
from embeddings_store.atomic import exclusive, remove_leftovers, replacing
from embeddings_store.errors import ManifestError, MediaError, UsageError, without_frames
from embeddings_store.provenance import fingerprint
from embeddings_store.reading import is_file, reading
from extract.frames.clips import FrameClip, SpanResult, VideoFile, by_start, try_read
from extract.frames.refusals import LOCK_WAIT_S, SUFFIX, Refusals
from extract.frames.settings import FACES, FrameSettings, TimeSpan
from extract.media.file_check import check_media_file
from extract.media.opening import reading_media

# To be raised whenever the same video, span and settings give other pixels, or the files look
# otherwise.
CACHE_VERSION = 2
# Room for IEMOCAP's 13.3 GB and for other settings on a part of it.
DEFAULT_MAX_GB = 20.0

# The names under which OpenCV is published; only where faces are cut out does it make pixels.
OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)

_SAMPLE_BYTES = 65_536
# How full the cache is after it was emptied to make room: the fuller, the more often all files have
# to be looked at.
_KEPT = 0.9
# Other processes write too: after so many clips of our own all files are looked at again.
_RECOUNT_EVERY = 256


class FrameCache:
    """Clips on disk, shared by any number of processes.

    A clip is found by what it was made of: the file's size, time of change and a sample of its
    content, the span, the frame settings, and the versions of the decoding libraries. Moving a
    corpus keeps its clips, touching a file does not.

    Attributes:
        folder: Where the clips lie; made when the first is written.
        max_gb: Size in 10^9 bytes above which the clips that were not used for the longest time are
            removed; 0 keeps none. A little more may lie there for a while, since every process
            counts its own clips and now and then all. Less than the corpus takes is of little use:
            by the time an epoch comes round to a clip, it is gone.
    """

    def __init__(self, folder: str | os.PathLike[str], max_gb: float = DEFAULT_MAX_GB) -> None:
        """Name a folder; it need not exist.

        Raises:
            UsageError: If ``max_gb`` is negative or not a number.
        """
        if not max_gb >= 0:
            raise UsageError(f"max_gb is {max_gb}; expected 0 for no cache, or more")
        self.folder = Path(folder)
        self.max_gb = max_gb
        self._identities: dict[tuple[str, int, int], str] = {}
        self._size: int | None = None
        self._unchecked = 0
        self._refusals = Refusals(self.folder, on_disk=max_gb > 0)

    def read_clip(
        self,
        path: str | os.PathLike[str],
        span: TimeSpan,
        settings: FrameSettings,
        *,
        threads: int = 1,
    ) -> FrameClip:
        """Return one clip, decoding it only if it is not here.

        Args:
            path: A video file.
            span: Which part of it, in seconds.
            settings: Which frames, from which region, how large.
            threads: Decoding threads.

        Raises:
            MediaError: If the file or the span cannot be read.
            StoreFullError: If the disk is full.
        """
        _, found = next(self.read_spans(path, [span], settings, threads=threads))
        if isinstance(found, MediaError):
            raise found
        return found

    def read_spans(
        self,
        path: str | os.PathLike[str],
        spans: Sequence[TimeSpan],
        settings: FrameSettings,
        *,
        threads: int = 1,
    ) -> Iterator[SpanResult]:
        """Do what :func:`extract.frames.clips.read_spans` does, from the cache where it can.

        The file is opened only if a clip is not here.

        Args:
            path: A video file.
            spans: Which parts of it, in seconds.
            settings: Which frames, from which region, how large.
            threads: Decoding threads.

        Yields:
            The position of each span in ``spans`` and its clip, or why it cannot be read.

        Raises:
            StoreFullError: If the disk is full.
        """
        file = Path(path)
        video: VideoFile | MediaError | None = None
        try:
            for position in by_start(spans):
                span = spans[position]
                found = self._known(file, span, settings)
                if found is None:
                    video = video or self._open(file, threads)
                    found = self._decode(video, span, settings)
                yield position, found
        finally:
            if isinstance(video, VideoFile):
                video.close()

    def get(self, path: Path, span: TimeSpan, settings: FrameSettings) -> FrameClip | None:
        """Return a clip that is here, or None.

        Args:
            path: The video file.
            span: Which part of it, in seconds.
            settings: Which frames, from which region, how large.

        Raises:
            MediaError: If the video itself is not there.
        """
        entry = self._entry(path, span, settings)
        if not is_file(entry):
            return None
        try:
            with reading(entry, "a clip of the cache"):
                arrays = read_npz(entry)
                facts = json.loads(str(arrays["facts"]))
                frames, times_s = arrays["frames"], arrays["times_s"]
                clip = FrameClip(frames=frames, times_s=times_s, **facts)  # type: ignore[arg-type]
                # Times of access are off on many disks; the time of change stands in.
                os.utime(entry)
        except ManifestError:
            return None  # Written over by the next put.
        shape = (settings.frames, settings.size, settings.size, 3)
        if clip.frames.shape != shape or clip.frames.dtype != np.uint8:
            return None
        return clip

    def put(self, path: Path, span: TimeSpan, settings: FrameSettings, clip: FrameClip) -> None:
        """Keep a clip, and make room for it.

        Args:
            path: The video file that it was read from.
            span: Which part of it, in seconds.
            settings: Which frames were read, from which region, how large.
            clip: What was read.

        Raises:
            StoreFullError: If the disk is full.
            StoreBusyError: If another process has been writing next to it for a minute.
        """
        if clip.frames.nbytes > self.max_gb * 1e9:
            return
        entry = self._entry(path, span, settings)
        facts = {
            "source_fps": clip.source_fps,
            "duration_s": clip.duration_s,
            "width": clip.width,
            "height": clip.height,
            "note": clip.note,
            "face_share": clip.face_share,
        }
        # Two threads of one process would write to the same temporary file without the lock.
        with exclusive(entry.parent / ".lock", str(entry), wait_s=LOCK_WAIT_S):
            remove_leftovers(entry.parent)
            with replacing(entry) as temporary, temporary.open("wb") as file:
                np.savez(
                    file,
                    frames=clip.frames,
                    times_s=clip.times_s,
                    facts=np.array(json.dumps(facts)),
                )
        self._account(entry.stat().st_size)

    def size_bytes(self) -> int:
        """Return what all clips take on the disk, in bytes."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> int:
        """Remove every clip, and nothing else that lies in the folder.

        Returns:
            How many there were.
        """
        entries = self._entries()
        for _, _, entry in entries:
            entry.unlink(missing_ok=True)
        self._size = 0
        return len(entries)

    def _known(
        self, path: Path, span: TimeSpan, settings: FrameSettings
    ) -> FrameClip | MediaError | None:
        """Return a clip that is here, or why there is none, or None if that has to be seen."""
        try:
            clip = self.get(path, span, settings)
            return clip or self._refusals.get(self._entry(path, span, settings).stem, path)
        except MediaError as error:
            return without_frames(error)

    def _open(self, path: Path, threads: int) -> VideoFile | MediaError:
        key = ""
        try:
            key = self._identity(path)
            return self._refusals.get(key, path) or VideoFile(path, threads=threads)
        except MediaError as error:
            if key:
                self._refusals.keep(key, path, error)
            return without_frames(error)

    def _decode(
        self, video: VideoFile | MediaError, span: TimeSpan, settings: FrameSettings
    ) -> FrameClip | MediaError:
        if isinstance(video, MediaError):
            return video
        clip = try_read(video, span, settings)
        if isinstance(clip, FrameClip):
            self.put(video.path, span, settings, clip)
        else:
            key = self._entry(video.path, span, settings).stem
            self._refusals.keep(key, video.path, clip)
        return clip

    def _entry(self, path: Path, span: TimeSpan, settings: FrameSettings) -> Path:
        needs_side = settings.region.startswith("half")
        content: dict[str, object] = {
            "version": CACHE_VERSION,
            "libraries": _libraries(settings.region in FACES),
            "media": self._identity(path),
            **settings.as_dict(),
            "start_s": span.start_s,
            "end_s": span.end_s,
            "side": span.side if needs_side else "",
        }
        if settings.faces.boxes and span.boxes is not None:
            content["boxes"] = span.boxes.digest
        key = fingerprint(content)
        return self.folder / key[:2] / f"{key}.npz"

    def _identity(self, path: Path) -> str:
        """Return what tells a video from any other.

        A whole digest would cost a second per gigabyte, every time.
        """
        check_media_file(path)
        found = path.stat()
        known = (str(path), found.st_size, found.st_mtime_ns)
        if known in self._identities:
            return self._identities[known]
        digest = hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode())
        end = max(0, found.st_size - _SAMPLE_BYTES)
        with reading_media(path), path.open("rb") as file:
            for begin in (0, found.st_size // 2, end):
                file.seek(begin)
                digest.update(file.read(_SAMPLE_BYTES))
        self._identities[known] = digest.hexdigest()
        return self._identities[known]

    def _entries(self) -> list[tuple[int, int, Path]]:
        """Return time of last use, size and path of every clip.

        One that another process removes meanwhile is left out.
        """
        found = []
        for entry in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if entry.suffix not in (".npz", SUFFIX):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime_ns, status.st_size, entry))
        return found

    def _account(self, written: int) -> None:
        """Count what was written, in bytes, and make room where that is too much."""
        self._unchecked += 1
        if self._size is None or self._unchecked >= _RECOUNT_EVERY:
            self._size, self._unchecked = self.size_bytes(), 0
        else:
            self._size += written
        if self._size > self.max_gb * 1e9:
            self._make_room()

    def _make_room(self) -> None:
        """Remove the clips that were not used for the longest time."""
        oldest_first = sorted(self._entries())
        size = sum(entry_size for _, entry_size, _ in oldest_first)
        limit = self.max_gb * 1e9
        if size > limit:
            for _, entry_size, entry in oldest_first:
                if size <= _KEPT * limit:
                    break
                entry.unlink(missing_ok=True)
                size -= entry_size
        self._size = size


def _libraries(faces: bool) -> dict[str, str]:
    """Return the versions of what makes the pixels; one that is not installed has made none."""
    found = {}
    of_faces = OPENCV if faces else ()
    for name in ("av", "pillow", *of_faces):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
