"""Reads the sound track of video files and of MPEG-4 sound with FFmpeg's libraries (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MediaError, MissingDependencyError
from extract.media.opening import is_seekable, open_media, reading_media
from extract.media.spans import Sound, SoundSpan

if TYPE_CHECKING:
    from fractions import Fraction

    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer

CONTAINER_SUFFIXES = frozenset(
    (
        ".3gp",
        ".aac",
        ".avi",
        ".flv",
        ".m4a",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".ts",
        ".vob",
        ".webm",
        ".wma",
        ".wmv",
    )
)

# AAC, Opus and MP3 need what came before a frame to decode it, MP3 the most: its bit reservoir
# spans up to nine frames.
_PREROLL_S = 0.5
# How far a track's own clock may be from the count of its samples. Matroska rounds times to
# milliseconds; a jump of more is sound that is missing.
_CLOCK_SLACK_S = 0.1


def read_container(path: Path, span: SoundSpan) -> Sound:
    """Decode a part of the first sound track, timed from the start of the file as players do.

    Raises:
        MediaError: If the file cannot be decoded, has no sound track, or is cut short.
        MissingDependencyError: If PyAV is not installed.
    """
    try:
        import av  # noqa: F401  # whether it is there
    except ImportError:
        raise MissingDependencyError(
            "reading the sound of video files needs PyAV; install the extra 'extract'"
        ) from None
    with reading_media(path), open_media(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path} has no sound track; leave its audio empty in the manifest")
        return _read_track(path, container, span)


def _read_track(path: Path, container: InputContainer, span: SoundSpan) -> Sound:
    track = container.streams.audio[0]
    promised_s = track_duration(path, container)
    begin_s, end_s, cut = span.within(path, promised_s)
    pieces = list(_pieces(path, container, begin_s, end_s))
    if not pieces:
        raise MediaError(
            f"{path} has a sound track without sound from {begin_s:g} s on; leave it out or fetch "
            "it again"
        )
    first_s, _ = pieces[0]
    samples = np.concatenate([samples for _, samples in pieces])
    found_s = first_s + samples.size / track.rate
    if found_s < end_s - _CLOCK_SLACK_S:
        raise MediaError(
            f"{path} is cut short: its header promises {promised_s:.2f} s of sound, it ends at "
            f"{found_s:.2f} s; fetch it again"
        )
    begin = max(0, round((begin_s - first_s) * track.rate))
    end = max(0, round((end_s - first_s) * track.rate))
    return Sound(samples[begin:end], track.rate, track.channels, promised_s, cut)


def _pieces(
    path: Path, container: InputContainer, begin_s: float, end_s: float
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Yield the start in seconds and the mono samples of every frame of a part of the track.

    The part begins some frames before ``begin_s`` and ends with the one that holds ``end_s``.
    """
    from av import AudioResampler

    track = container.streams.audio[0]
    origin_s = _origin_s(container)
    as_floats = AudioResampler(format="fltp", layout=track.layout, rate=track.rate)
    expected_s = None
    for packet in _packets_from(container, begin_s - _PREROLL_S):
        for frame in packet.decode():
            if frame.pts is not None:
                at_s = float(frame.pts * _tick(frame)) - origin_s
            elif packet.size == 0 and expected_s is not None:
                # What was still inside the decoder at the end has no packet that could time it.
                at_s = expected_s
            else:
                raise MediaError(f"{path} has sound without times; convert it to WAV")
            if expected_s is not None and abs(at_s - expected_s) > _CLOCK_SLACK_S:
                raise MediaError(
                    f"{path}: the sound jumps from {expected_s:.2f} s to {at_s:.2f} s; convert it "
                    "to WAV"
                )
            expected_s = (at_s if expected_s is None else expected_s) + frame.samples / track.rate
            if at_s >= end_s:
                return
            for plain in as_floats.resample(frame):
                yield at_s, plain.to_ndarray().mean(axis=0)


def _packets_from(container: InputContainer, begin_s: float) -> Iterator[Packet[AudioStream]]:
    """Yield the packets of the track from a time on; none of these has been decoded before."""
    track = container.streams.audio[0]
    begin = int((begin_s + _origin_s(container)) / _tick(track))
    if begin_s > 0 and is_seekable(container):
        container.seek(begin, stream=track)
        yield from container.demux(track)
        return
    for packet in container.demux(track):
        if begin_s <= 0 or packet.pts is None or packet.pts >= begin:
            yield packet


def track_duration(path: Path, container: InputContainer) -> float:
    """Return how long the first sound track is, in seconds; nothing is decoded.

    Args:
        path: The file.
        container: The same, opened.

    Raises:
        MediaError: If it cannot be read.
    """
    promised_s = _promised_duration(container)
    return _duration_by_packets(path) if promised_s is None else promised_s


def _duration_by_packets(path: Path) -> float:
    """Return where the last packet of the track ends, in seconds."""
    end_s = 0.0
    with reading_media(path), open_media(path) as container:
        for packet in container.demux(container.streams.audio[0]):
            if packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                end_s = max(end_s, end - _origin_s(container))
    return end_s


def _promised_duration(container: InputContainer) -> float | None:
    """Return the length of the sound track in seconds as the file gives it, None for no length.

    FFmpeg's length of a program stream is a guess from the last time that is written in it, which
    may be several frames from the end.

    The length of the whole file stands in only where there is no other track that it could be the
    length of.
    """
    track = container.streams.audio[0]
    if not is_seekable(container):
        return None
    if track.duration is not None:
        return float(track.duration * _tick(track))
    if "DURATION" in track.metadata:  # Matroska: "00:00:03.023000000"
        hours, minutes, seconds = track.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if len(container.streams) == 1 and container.duration is not None:
        return container.duration / 1_000_000
    return None


def _origin_s(container: InputContainer) -> float:
    """Return the time that players call the start of the file, in seconds."""
    return (container.start_time or 0) / 1_000_000


def _tick(of: AudioStream | AudioFrame) -> Fraction:
    """Return the unit of a track's or frame's times, in seconds."""
    assert of.time_base is not None  # noqa: S101  # whatever has times has a unit of them
    return of.time_base
