"""Reads a part of a sound as mono float32 at one rate, and refuses whatever is not all there.

Sound files are read with libsndfile, the sound of video files with FFmpeg's libraries; both seek,
so a span costs what the span holds and not what the file holds. A cut file is known by its header,
which promises more; Ogg files promise nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MediaError, MissingDependencyError, UsageError, unknown_name
from extract.media.containers import CONTAINER_SUFFIXES, read_container
from extract.media.file_check import check_media_file
from extract.media.opening import reading_media
from extract.media.quiet import quiet_library
from extract.media.spans import LONG_RULES, Sound, SoundSpan

# A header may promise a little more than there is: writers round to blocks, and the last one may be
# half empty.
_SHORTFALL_S = 0.05

# libsndfile's log of a WAV, AIFF, AU, W64 or RF64 file whose sound is cut: "data : 384000 (should
# be 191978)". A WAV's outer "RIFF" size is left alone: sloppy writers get it wrong around sound
# that is whole.
_PROMISED = re.compile(
    r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE
)
# Programs that write to a pipe cannot know the size and put the largest number there; sox and
# FFmpeg differ in its last bits.
_UNKNOWN_SIZE = 0x7FFF_0000


@dataclass(frozen=True, slots=True)
class AudioClip:
    """The part of a sound that an encoder gets to hear.

    Attributes:
        samples: float32, one-dimensional, mean of all channels.
        sample_rate: Hz, of ``samples``.
        duration_s: Length of the part that was used.
        source_duration_s: Length of the whole sound in the file.
        source_rate: Hz, in the file.
        source_channels: Channels in the file.
        cut: Whether the part asked for was longer than allowed, so that some of it was left out.
        peak: Largest absolute sample; 0 says that the part is digital silence.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    duration_s: float
    source_duration_s: float
    source_rate: int
    source_channels: int
    cut: bool
    peak: float


def load_audio(
    path: str | os.PathLike[str],
    *,
    sample_rate: int = 16_000,
    start_s: float | None = None,
    end_s: float | None = None,
    max_duration_s: float | None = 10.0,
    long_rule: str = "first",
) -> AudioClip:
    """Read one part of one file.

    Args:
        path: A sound file, or a video file with a sound track.
        sample_rate: Rate to resample to, in Hz.
        start_s: Where the part starts; None for the beginning.
        end_s: Where it ends; None for the end of the file. A tenth of a second beyond it is
            forgiven, for times that were rounded.
        max_duration_s: What is longer is cut; None for never.
        long_rule: Which part of a longer one is kept: ``"first"`` or ``"middle"``.

    Raises:
        MediaError: If the file is not there, is not sound, is cut short, or has nothing where the
            part should be.
        UsageError: If the arguments do not describe a part.
        MissingDependencyError: If the library for this kind of file is not installed.
    """
    if long_rule not in LONG_RULES:
        unknown_name("long_rule", long_rule, LONG_RULES)
    if sample_rate < 1:
        raise UsageError(f"sample_rate is {sample_rate}; expected a rate in Hz, such as 16000")
    span = SoundSpan(
        start_s=start_s, end_s=end_s, max_duration_s=max_duration_s, middle=long_rule == "middle"
    )
    file = Path(path)
    return _as_clip(file, read_sound(file, span), sample_rate)


def read_sound(path: Path, span: SoundSpan) -> Sound:
    """Read one part of one file at the file's own rate; see :func:`load_audio`.

    Raises:
        MediaError: If the file is not there, is not sound, is cut short, or has nothing where the
            part should be.
        MissingDependencyError: If the library for this kind of file is not installed.
    """
    check_media_file(path)
    read = read_container if path.suffix.lower() in CONTAINER_SUFFIXES else _read_sound_file
    return read(path, span)


def require_duration(clip: AudioClip, min_duration_s: float) -> None:
    """Refuse a clip that is too short for an encoder to make one frame of it.

    Raises:
        MediaError: If the clip is shorter than ``min_duration_s``.
    """
    if clip.duration_s < min_duration_s:
        raise MediaError(
            f"the clip is {clip.duration_s:.4f} s long, but the encoder needs at least "
            f"{min_duration_s:g} s; leave it out or give a longer span"
        )


def _read_sound_file(path: Path, span: SoundSpan) -> Sound:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, the C library is not
        raise MissingDependencyError(
            f"reading sound needs soundfile ({error}); install the extra 'extract'"
        ) from None
    with (
        reading_media(path, "sound that libsndfile reads"),
        quiet_library(),
        soundfile.SoundFile(path) as file,
    ):
        _check_promise(path, file.extra_info, file.samplerate * file.channels)
        duration_s = file.frames / file.samplerate
        begin_s, end_s, cut = span.within(path, duration_s)
        begin = round(begin_s * file.samplerate)
        end = min(round(end_s * file.samplerate), file.frames)
        if end < file.frames:
            # Only reading the last frame shows that a FLAC or MP3 file is cut behind the part
            # that is read.
            file.seek(file.frames - 1)
            _check_count(path, len(file.read(1)), 1, file.frames)
        file.seek(begin)
        samples = file.read(end - begin, dtype="float32", always_2d=True)
        _check_count(path, len(samples), end - begin, file.frames)
        return Sound(samples.mean(axis=1), file.samplerate, file.channels, duration_s, cut)


def _check_promise(path: Path, log: str, samples_per_s: int) -> None:
    promised = _PROMISED.search(log)
    if promised is None:
        return
    size, there = map(int, promised.groups())
    # One byte a sample is the least that any of these formats takes.
    if there < size < _UNKNOWN_SIZE and size - there > _SHORTFALL_S * samples_per_s:
        raise MediaError(
            f"{path} is cut short: its header promises {size} bytes of sound, {there} are there; "
            "fetch it again"
        )


def _check_count(path: Path, found: int, expected: int, promised: int) -> None:
    if found < expected:
        raise MediaError(
            f"{path} is cut short: its header promises {promised} samples per channel, but they "
            "end earlier; fetch it again"
        )


def _as_clip(path: Path, sound: Sound, sample_rate: int) -> AudioClip:
    used = sound.samples
    if used.size == 0:
        raise MediaError(
            f"{path} holds no samples in the part asked for; leave it out or fetch it again"
        )
    broken = np.flatnonzero(~np.isfinite(used))
    if broken.size:
        raise MediaError(
            f"{path} has {broken.size} samples that are not finite, first number {broken[0]}; "
            "export it again"
        )
    samples = _resample(used, sound.rate, sample_rate)
    if samples.size == 0:
        raise MediaError(
            f"{path} has {used.size} samples in the part asked for, too few to resample; give a "
            "longer span"
        )
    return AudioClip(
        samples=samples,
        sample_rate=sample_rate,
        duration_s=used.size / sound.rate,
        source_duration_s=sound.duration_s,
        source_rate=sound.rate,
        source_channels=sound.channels,
        cut=sound.cut,
        peak=float(np.abs(samples).max()),
    )


def _resample(samples: NDArray[np.float32], rate: int, to: int) -> NDArray[np.float32]:
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    if rate == to:
        return samples
    try:
        import librosa  # here, because it takes a second and most corpora already have the rate
    except ImportError:
        raise MissingDependencyError(
            "resampling sound needs librosa; install the extra 'extract'"
        ) from None
    return np.asarray(librosa.resample(samples, orig_sr=rate, target_sr=to), dtype=np.float32)
