"""Fetches frames of one file by their number, with PyAV.

Decoding starts at the nearest frame before them that it can start at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from embeddings_store.errors import MediaError
from embeddings_store.reading import reading
from extract.frames.geometry import Pixels
from extract.frames.index import FrameIndex
from extract.media.opening import open_media

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream


# Codecs in which no frame at all is decoded from one that is marked as no reference, so that it can
# be passed over without a change to any other. In HEVC some frames with that mark are referred to.
_PASSABLE = frozenset(("h264", "mpeg4", "mpeg2video", "mpeg1video"))


class Decoder:
    """One open file.

    A frame is known by its presentation time, or by the packet that brought it out of the decoder.
    """

    def __init__(self, path: Path, index: FrameIndex, threads: int) -> None:
        """Open the file.

        Args:
            path: A video file.
            index: What its packets say of its frames.
            threads: Decoding threads.

        Raises:
            MediaError: If it cannot be opened.
        """
        self._path, self._index, self._threads = path, index, threads
        self._open()
        self._run: Iterator[tuple[int, VideoFrame]] = iter(())
        self._at: int | None = None
        self._passed = -1
        self._frame: VideoFrame | None = None
        # Stamps of the frames that are asked for, and of those that may have been passed over since
        # the last jump.
        self._wanted: set[int] = set()
        self._passed_over: set[int] = set()

    def _open(self) -> None:
        import av

        with _decoding(self._path):
            self._container = open_media(self._path)
        stream = self._container.streams[self._index.track]
        assert isinstance(stream, av.VideoStream)  # noqa: S101  # as the index was made of it
        self._stream = stream
        self._stream.codec_context.thread_count = self._threads
        # Threads by frame would bring every frame out some packets later, by which frames are
        # counted.
        self._stream.codec_context.thread_type = "SLICE" if self._index.counted else "AUTO"
        self._skips: Literal["DEFAULT", "NONREF"] = "DEFAULT"
        self._passes_over = (
            self._index.seekable
            and not self._index.counted
            and self._stream.codec_context.name in _PASSABLE
        )

    def pictures(self, numbers: Sequence[int]) -> Iterator[Pixels]:
        """Yield the frames of these numbers, upright RGB (H, W, 3) of square pixels.

        Args:
            numbers: Increasing; cheap where they continue what was read before.

        Raises:
            MediaError: If a frame cannot be decoded or reached.
        """
        index = self._index
        self._wanted = {int(index.stamps[number]) for number in numbers}
        width, height = index.width, index.height
        if index.rotation % 180 != 0:
            width, height = height, width
        for number in numbers:
            try:
                with _decoding(self._path):
                    frame = self._go_to(number)
                    decoded = frame.to_ndarray(format="rgb24", width=width, height=height)
            except MediaError:
                self._at = None
                raise
            picture: Pixels = np.asarray(decoded, dtype=np.uint8)  # as rgb24 is already
            if index.rotation:
                picture = np.ascontiguousarray(np.rot90(picture, index.rotation // 90))
            yield picture

    def close(self) -> None:
        """Let go of the file."""
        self._run, self._frame = iter(()), None
        self._container.close()

    def _go_to(self, number: int) -> VideoFrame:
        """Decode up to a frame, from where the decoder stands if that is the shorter way."""
        key = int(np.searchsorted(self._index.keys, number, side="right")) - 1
        lies_ahead = self._at is not None and self._index.keys[max(key, 0)] <= self._at <= number
        if not lies_ahead or int(self._index.stamps[number]) in self._passed_over:
            self._seek(max(key, 0))
        # Frames shown before the key frame they are decoded after need the group before; some
        # containers seek too far.
        while not self._advance(number) and key > 0:
            key -= 1
            self._seek(key)
        if self._at != number or self._frame is None:
            count = len(self._index.times_s)
            raise MediaError(
                f"{self._path}: frame {number} of {count} cannot be reached; convert it to MP4"
            )
        return self._frame

    def _seek(self, key: int) -> None:
        if self._index.seekable:
            self._container.seek(int(self._index.seeks[key]), stream=self._stream)
        else:
            self.close()
            self._open()
            self._passed = -1
        self._run, self._at = self._frames(), None
        self._passed_over.clear()

    def _advance(self, number: int) -> bool:
        """Decode until ``number`` or beyond; return whether it was met."""
        at_the_end = len(self._index.times_s), None
        while self._at is None or self._at < number:
            self._at, self._frame = next(self._run, at_the_end)
        return self._at == number

    def _frames(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield numbered frames from the first key frame on."""
        started = False
        for packet in self._container.demux(self._stream):
            started = started or packet.is_keyframe
            if started:
                self._pass_over(packet)
                frames = packet.decode()
                yield from zip(self._numbers(packet, frames), frames, strict=True)

    def _pass_over(self, packet: Packet[VideoStream]) -> None:
        """Let the decoder leave out a frame that nobody asks for and no other is decoded from."""
        if not self._passes_over:
            return
        is_wanted = packet.pts is None or packet.pts in self._wanted
        rule: Literal["DEFAULT", "NONREF"] = "DEFAULT" if is_wanted else "NONREF"
        if rule != self._skips:
            self._stream.codec_context.skip_frame = self._skips = rule
        if packet.pts is not None and not is_wanted:
            self._passed_over.add(packet.pts)

    def _numbers(self, packet: Packet[VideoStream], frames: Sequence[VideoFrame]) -> Sequence[int]:
        """Return the numbers of the frames that a packet brought out of the decoder."""
        index = self._index
        if not index.seekable:
            return [self._next(frame.pts) for frame in frames]
        if not index.counted:
            return [self._rank(frame.pts) for frame in frames]
        if not packet.size:  # The end: what was still inside the decoder comes out.
            return range(len(index.stamps) - len(frames), len(index.stamps))
        return [self._rank(packet.dts) - index.delay for _ in frames]

    def _next(self, stamp: int | None) -> int:
        """Return the number of the frame that follows the last one, and compare its stamp."""
        self._passed += 1
        if self._rank(stamp) != self._passed:
            raise MediaError(
                f"{self._path} has frames whose order is not that of their times; convert it to MP4"
            )
        return self._passed

    def _rank(self, stamp: int | None) -> int:
        """Return the number of the frame that has this stamp."""
        stamps = self._index.stamps
        if stamp is not None:
            rank = int(np.searchsorted(stamps, stamp))
            if rank < len(stamps) and stamps[rank] == stamp:
                return rank
        raise MediaError(
            f"{self._path} gives frames other times than its packets; convert it to MP4"
        )


def _decoding(path: Path) -> AbstractContextManager[None]:
    """Turn whatever a decoder raises over a frame into one :class:`MediaError`."""
    fault = "has frames that cannot be decoded"
    return reading(path, "", "fetch or convert it again", MediaError, fault=fault)
