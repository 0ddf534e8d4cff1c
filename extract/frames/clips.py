"""Reads spans of a video as clips: square uint8 pictures, each with the time it was shown at."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MediaError, UsageError, without_frames
from extract.frames import content
from extract.frames.decoders import Decoder
from extract.frames.face import follow_face
from extract.frames.face_boxes import no_boxes
from extract.frames.geometry import PixelBox, Pixels, cut_out, fit, region_box
from extract.frames.index import FrameIndex, scan
from extract.frames.settings import FACES, FrameSettings, TimeSpan, sample_times
from extract.media.file_check import check_media_file

# The position of a span among those asked for, and its clip or why there is none.
SpanResult = tuple[int, "FrameClip | MediaError"]


@dataclass(frozen=True, slots=True, eq=False)
class FrameClip:
    """The pictures that a video encoder gets to see of one span.

    Attributes:
        frames: uint8, (T, size, size, 3), RGB, not yet normalised.
        times_s: float64, (T,), when each picture appeared, in seconds from the start of the file.
        source_fps: Mean frames per second of the file.
        duration_s: Length of the whole video in the file.
        width: Of the whole picture as it is shown: upright, in square pixels.
        height: Likewise.
        note: A caution, else empty.
        face_share: The part of the pictures in which the face was found, none where the region is
            no face.
    """

    frames: Pixels
    times_s: NDArray[np.float64]
    source_fps: float
    duration_s: float
    width: int
    height: int
    note: str = ""
    face_share: float | None = None

    @property
    def digest(self) -> str:
        """Sixteen hex digits over the pictures: equal pictures, equal digest."""
        return hashlib.sha256(np.ascontiguousarray(self.frames).tobytes()).hexdigest()[:16]


class VideoFile:
    """An open video, from which any number of spans are read.

    Cheapest in the order of their starts. Not for several threads at once, and not to be carried
    into another process: open it there.

    Attributes:
        path: The file.
        index: When each of its frames is shown.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        """Look at the file and index its frames; nothing is decoded yet.

        Args:
            path: A video file.
            threads: Decoding threads; 1 leaves the cores to other processes. Changes no pixel.

        Raises:
            UsageError: If ``threads`` is below 1.
            MediaError: If the file is missing, torn, cut short, or has no video.
            MissingDependencyError: If PyAV is not installed.
        """
        if threads < 1:
            raise UsageError(f"threads is {threads}; expected at least 1")
        self.path = Path(path)
        check_media_file(self.path)
        self.index: FrameIndex = scan(self.path)
        self._threads = threads
        self._decoder: Decoder | None = None
        self._brightest: Pixels | None = None

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; reading again opens it again."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def read(self, span: TimeSpan, settings: FrameSettings) -> FrameClip:
        """Read one span.

        Raises:
            MediaError: If the span lies beyond the end, a frame cannot be decoded, or the region is
                a face and there is none.
            UsageError: If the region is a half and the span names no side.
            MissingDependencyError: If OpenCV or pillow is not installed.
        """
        index = self.index
        box = region_box(settings.region, span.side, index.width, index.height)
        begin_s, end_s, note = span.within(self.path, index.duration_s)
        notes = [index.note, note]
        shown = index.shown_at(sample_times(begin_s, end_s, settings))
        # A frame that is shown at several of these times is decoded once.
        numbers, uses = np.unique(shown, return_inverse=True)
        if settings.region == "half-unboxed":
            box = self._content_within(box)
        whole = self._pictures(numbers)
        pictures: Iterable[Pixels] = (cut_out(picture, box) for picture in whole)
        face_share = None
        if settings.region in FACES:
            pictures, times_s = list(pictures), index.times_s[numbers]
            if not settings.faces.boxes:
                found = settings.faces.look(pictures)
            elif span.boxes is not None:
                span.boxes.check_inside(self.path, index.width, index.height)
                found = span.boxes.within(box, times_s)
            else:
                raise no_boxes(settings.faces.boxes)
            face = follow_face(self.path, found, times_s, (box[2] - box[0], box[3] - box[1]))
            places = face.boxes.tolist()
            pictures = [cut_out(*each) for each in zip(pictures, places, strict=True)]
            notes.append(face.note)
            face_share = face.found / len(pictures)
        squares = np.stack([fit(picture, settings.size) for picture in pictures])
        return FrameClip(
            frames=squares[uses],
            times_s=index.times_s[shown],
            source_fps=index.fps,
            duration_s=index.duration_s,
            width=index.width,
            height=index.height,
            note="; ".join(filter(None, notes)),
            face_share=face_share,
        )

    def _pictures(self, numbers: NDArray[np.int64]) -> Iterator[Pixels]:
        if self._decoder is None:
            self._decoder = Decoder(self.path, self.index, self._threads)
        return self._decoder.pictures(numbers.tolist())

    def _content_within(self, box: PixelBox) -> PixelBox:
        """Return what a letterbox leaves of a region; the film is looked at once."""
        if self._brightest is None:
            spread = FrameSettings(frames=content.PICTURES)
            times_s = sample_times(0.0, self.index.duration_s, spread)
            numbers = np.unique(self.index.shown_at(times_s))
            self._brightest = content.brightest(self._pictures(numbers))
        return content.content_box(self.path, self._brightest, box)


def read_clip(
    path: str | os.PathLike[str],
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    side: str = "",
    settings: FrameSettings | None = None,
    threads: int = 1,
) -> FrameClip:
    """Read one span of one file; for several spans of a file use :func:`read_spans`.

    Args:
        path: A video file.
        start_s: Where the span starts, in seconds; None for the beginning.
        end_s: Where it ends; None for the end of the video.
        side: ``left`` or ``right`` where the region is one half of the picture.
        settings: Which frames, from which region, how large; None for the defaults of
            :class:`FrameSettings`.
        threads: Decoding threads.

    Raises:
        MediaError: If the file or the span cannot be read.
        UsageError: If the arguments describe no span or no region.
        MissingDependencyError: If PyAV is not installed.
    """
    span = TimeSpan(start_s, end_s, side)
    with VideoFile(path, threads=threads) as video:
        return video.read(span, settings or FrameSettings())


def read_spans(
    path: str | os.PathLike[str],
    spans: Sequence[TimeSpan],
    settings: FrameSettings | None = None,
    *,
    threads: int = 1,
) -> Iterator[SpanResult]:
    """Read many spans of one file, which is opened once and gone through from front to back.

    Args:
        path: A video file.
        spans: Which parts of it, in seconds.
        settings: Which frames, from which region, how large; None for the defaults.
        threads: Decoding threads.

    Yields:
        The position of each span in ``spans`` and its clip, in the order of their starts. A span
        that cannot be read comes as its error, and so do all of them where the file cannot be
        opened, so that one bad clip does not end a corpus.
    """
    order = by_start(spans)
    try:
        video = VideoFile(path, threads=threads)
    except MediaError as error:
        for position in order:
            yield position, without_frames(error)
        return
    with video:
        for position in order:
            yield position, try_read(video, spans[position], settings or FrameSettings())


def by_start(spans: Sequence[TimeSpan]) -> list[int]:
    """Return the positions of spans in the order in which they are cheapest to read.

    >>> by_start([TimeSpan(7.0, 9.0), TimeSpan(None, 1.0), TimeSpan(3.0, 8.0)])
    [1, 2, 0]
    """
    return sorted(range(len(spans)), key=lambda position: spans[position].start_s or 0.0)


def try_read(video: VideoFile, span: TimeSpan, settings: FrameSettings) -> FrameClip | MediaError:
    """Read a span, or return why it cannot be read.

    Args:
        video: An open file.
        span: Which part of it, in seconds.
        settings: Which frames, from which region, how large.
    """
    try:
        return video.read(span, settings)
    except MediaError as error:
        return without_frames(error)
