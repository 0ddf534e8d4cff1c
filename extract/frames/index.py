"""Finds out when each frame of a file is shown and where decoding can start, from packets alone.

Nothing is decoded but the first frame. Every packet is looked at, because containers' own counts
and rates are estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MediaError, MissingDependencyError
from extract.media.opening import is_seekable, open_media, reading_media

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

# A time that is asked for may differ from a frame's by the rounding of floats.
_EPSILON_S = 1e-6
# How much earlier than promised the last frame may end before the file counts as cut.
_CUT_SLACK_S = 0.5
# DVDs have pixels from 8:9 to 64:45; what is far beyond is a torn header.
_WIDEST = 4
# Formats whose table of frames is by presentation time; the others are searched by decoding time.
_SEEKS_PRESENTED = frozenset(("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"))


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """The frames of a file in the order in which they are shown; frame ``n`` is the n-th of them.

    Attributes:
        track: Number of the video stream in the file.
        times_s: float64 (N,), when each frame appears, in seconds from the start of the file as
            players count.
        stamps: int64 (N,), the same in the stream's own units: presentation times, or decoding
            times where ``counted``.
        keys: int64 (K,), frames that decoding can start at; where ``counted``, no later than those.
        seeks: int64 (K,), the stamp to seek for each of them.
        seekable: Whether decoding can start in the middle; else it starts with the first frame.
        counted: Whether presentation times are not to be had (AVI), so that a frame is known by the
            packet that brought it out of the decoder.
        delay: By how many packets the decoder runs ahead of the frames that it gives.
        duration_s: When the last frame disappears.
        fps: Mean frames per second.
        width: Pixels, upright and square, so not always those that are stored.
        height: Likewise.
        rotation: Degrees, counter-clockwise, by which decoded pictures have to be turned.
        note: What a user should know of the file, else empty.
    """

    track: int
    times_s: NDArray[np.float64]
    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    seeks: NDArray[np.int64]
    seekable: bool
    counted: bool
    delay: int
    duration_s: float
    fps: float
    width: int
    height: int
    rotation: int
    note: str

    def shown_at(self, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the numbers of the frames that are on the screen at some times.

        Before the first one appears it is the first one.

        Args:
            times_s: float64 (n,), in seconds from the start of the file.

        Returns:
            int64 (n,).
        """
        begun = np.searchsorted(self.times_s, times_s + _EPSILON_S, side="right")
        return np.maximum(begun - 1, 0)


@dataclass(slots=True)
class _Packets:
    """What the packets of one stream say, in the order of decoding; a missing stamp is None."""

    presented: list[int | None] = field(default_factory=list)
    decoded: list[int | None] = field(default_factory=list)
    key: list[bool] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)
    last_duration: int = 0
    first_frame: VideoFrame | None = None
    delay: int = 0

    def read(self, container: InputContainer, stream: VideoStream) -> None:
        """Look at every packet; a long film has a hundred thousand of them."""
        found: list[tuple[int | None, int | None, bool, bool]] = []
        for packet in container.demux(stream):
            if self.first_frame is None:
                self.first_frame = next(iter(packet.decode()), None)
                self.delay = len(found)
            if packet.size:
                found.append((packet.pts, packet.dts, packet.is_keyframe, packet.is_discard))
                self.last_duration = packet.duration or self.last_duration
        self.presented = [presented for presented, _, _, _ in found]
        self.decoded = [decoded for _, decoded, _, _ in found]
        self.key = [key for _, _, key, _ in found]
        self.hidden = [hidden for _, _, _, hidden in found]

    def hide_what_precedes_the_first_frame(self) -> None:
        """Hide frames at the beginning that need one which is not there; decoders drop them."""
        first = self.first_frame.pts if self.first_frame else None
        if first is None or None in self.presented:
            return
        for place, at in enumerate(self.presented):
            self.hidden[place] = self.hidden[place] or (at is not None and at < first)


def scan(path: Path) -> FrameIndex:
    """Index a file's video track.

    Raises:
        MediaError: If it cannot be read, has no video track or no frame, is cut short, or holds
            frames without times.
        MissingDependencyError: If PyAV is not installed.
    """
    try:
        import av  # noqa: F401  # whether it is there
    except ImportError:
        raise MissingDependencyError(
            "reading video needs PyAV; install the extra 'extract'"
        ) from None
    with reading_media(path, "video that FFmpeg reads"), open_media(path) as container:
        stream = _video_stream(path, container)
        if stream.codec_context is None:
            raise MediaError(
                f"{path} has pictures of a codec that FFmpeg does not know; convert it again"
            )
        stream.codec_context.thread_count = 1
        packets = _Packets()
        packets.read(container, stream)
        if packets.first_frame is None:
            raise MediaError(
                f"{path} has a video track without a single frame; leave it out or fetch it again"
            )
        return _index(path, container, stream, packets, packets.first_frame)


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    from av.stream import Disposition

    for stream in container.streams.video:
        # The cover of an MP3 or M4A is a "video" of one picture.
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise MediaError(f"{path} has no video track; leave its video empty in the manifest")


def _index(
    path: Path, container: InputContainer, stream: VideoStream, packets: _Packets, first: VideoFrame
) -> FrameIndex:
    seekable = is_seekable(container)
    if not seekable:
        packets.hide_what_precedes_the_first_frame()
        _refuse_guesses(path, stream, packets)
    stamps = _stamps(path, container, packets)
    assert stream.time_base is not None  # noqa: S101  # a stream that has packets has a clock
    tick_s = float(stream.time_base)
    origin_s = (container.start_time or 0) / 1_000_000
    times_s: NDArray[np.float64] = stamps.sorted.astype(np.float64) * tick_s - origin_s
    duration_s = float(times_s[-1]) + _frame_s(times_s, packets.last_duration * tick_s, stream)
    _refuse_cut(path, container, stream, float(times_s[0]) + origin_s, duration_s + origin_s)
    aspect, odd_aspect = _pixel_aspect(stream)
    width, height = max(1, round(first.width * aspect)), first.height
    if first.rotation % 180 != 0:
        width, height = height, width
    return FrameIndex(
        track=stream.index,
        times_s=times_s,
        stamps=stamps.sorted,
        keys=stamps.keys if seekable else stamps.keys[:1],
        seeks=stamps.seeks,
        seekable=seekable,
        counted=stamps.counted,
        delay=packets.delay,
        duration_s=duration_s,
        fps=float(stream.average_rate or len(times_s) / duration_s),
        width=width,
        height=height,
        rotation=first.rotation,
        note="; ".join(
            filter(None, [_note_of_absent_frames(container, stream, packets), odd_aspect])
        ),
    )


def _pixel_aspect(stream: VideoStream) -> tuple[float, str]:
    """Return how wide a pixel is for its height, and a caution where that is not believed."""
    aspect = stream.sample_aspect_ratio
    if not aspect or aspect <= 0:
        return 1.0, ""
    if not 1 / _WIDEST <= aspect <= _WIDEST:
        ratio = f"{aspect.numerator}:{aspect.denominator}"
        return 1.0, f"the file says that its pixels are {ratio}, which was not believed"
    return float(aspect), ""


def _note_of_absent_frames(
    container: InputContainer, stream: VideoStream, packets: _Packets
) -> str:
    """Say how many of the frames that the header counts are not there, nothing where all are."""
    there = len(packets.key)
    if container.format.name == "avi":
        # An AVI counts the ticks of its clock. Where a frame was dropped, an empty chunk stands for
        # "show the last one again", and no packet is made of it.
        there = 1 + max(tick for tick in packets.decoded if tick is not None)
    absent = stream.frames - there
    if absent <= 0:
        return ""
    return f"{absent} of {stream.frames} frames that the header promises are not in the file"


@dataclass(frozen=True, slots=True, eq=False)
class _Stamps:
    """By which times, in the stream's own units, frames are known; see :class:`FrameIndex`."""

    sorted: NDArray[np.int64]
    keys: NDArray[np.int64]
    seeks: NDArray[np.int64]
    counted: bool


def _stamps(path: Path, container: InputContainer, packets: _Packets) -> _Stamps:
    shown = [at for at, hidden in zip(packets.presented, packets.hidden, strict=True) if not hidden]
    presentable = None not in packets.presented and not _repeats(shown)
    counted = container.format.name == "avi" or not presentable
    of_packets = packets.decoded if counted else packets.presented
    of_frames = packets.decoded if counted else shown
    if None in of_packets or _repeats(of_frames):
        raise MediaError(f"{path} has frames without times of their own; convert it to MP4")
    by_presentation = container.format.name in _SEEKS_PRESENTED or None in packets.decoded
    sought = of_packets if by_presentation else packets.decoded
    is_key = np.array(packets.key)
    in_order = np.sort(np.array(of_frames, dtype=np.int64))
    return _Stamps(
        sorted=in_order,
        keys=np.searchsorted(in_order, np.array(of_packets, dtype=np.int64)[is_key]),
        seeks=np.array(sought, dtype=np.int64)[is_key],
        counted=counted,
    )


def _refuse_guesses(path: Path, stream: VideoStream, packets: _Packets) -> None:
    """Refuse an MPEG program stream whose frames are less than a frame apart.

    The stream times some frames, and FFmpeg counts on from these. Where it loses count, as where
    the beginning is missing, two frames come to lie too close.
    """
    rate, tick_s = stream.codec_context.framerate, stream.time_base
    least = float(1 / (rate * tick_s)) - 1 if rate and tick_s else 1.0
    stamps = sorted(at for at in packets.presented if at is not None)
    if len(stamps) < len(packets.presented) or np.diff(stamps).min(initial=least) < least:
        raise MediaError(
            f"{path} has frames whose times contradict each other, as where its beginning is "
            "missing; convert it to MP4"
        )


def _repeats(stamps: Sequence[int | None]) -> bool:
    return len(set(stamps)) < len(stamps)


def _frame_s(times_s: NDArray[np.float64], last_s: float, stream: VideoStream) -> float:
    """Return how long the last frame stays: what its packet says, else what the others do."""
    if last_s > 0:
        return last_s
    if len(times_s) > 1:
        return float(np.median(np.diff(times_s)))
    return float(1 / (stream.average_rate or 25))


def _refuse_cut(
    path: Path, container: InputContainer, stream: VideoStream, begin_s: float, end_s: float
) -> None:
    """Compare with the length in the header.

    Cut AVIs were refused before, and their headers count dropped frames.
    """
    if container.format.name == "avi":
        return
    if stream.duration is not None and stream.time_base is not None:
        promised_s = begin_s + float(stream.duration * stream.time_base)
    elif "DURATION" in stream.metadata:  # Matroska says where the track ends: "00:00:03.023000000"
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        promised_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    else:
        return
    if end_s < promised_s - _CUT_SLACK_S:
        raise MediaError(
            f"{path} is cut short: its header promises {promised_s:.2f} s of video, it ends at "
            f"{end_s:.2f} s; fetch it again"
        )
