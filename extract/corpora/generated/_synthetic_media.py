"""What all generated releases are made with: the demo's voices and faces, and ways to spoil them.

Everything is drawn from one seed and written without dates, by one thread: same seed and library
versions, same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from extract.corpora.demo_release import faces, voice

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

# Which of the demo's four ways of speaking and looking an emotion gets: these releases show
# layouts, they measure nothing.
CUES = {
    **dict.fromkeys(("anger", "angry", "disgust", "disgusted", "contempt"), "anger"),
    **dict.fromkeys(
        ("happiness", "happy", "joy", "surprise", "surprised", "proud", "trust"), "happiness"
    ),
    **dict.fromkeys(("neutral", "calm", "boredom"), "neutral"),
    **dict.fromkeys(("sadness", "sad", "fear", "fearful"), "sadness"),
}
PICTURES_PER_S = 10
CODECS = {".mp4": ("libx264", "aac", 48_000), ".flv": ("flv", "mp3", 22_050)}
SAME = {"flags": "+bitexact", "threads": "1"}
OPTIONS = {
    "libx264": {**SAME, "preset": "ultrafast"},
    "flv": SAME,
    "aac": {**SAME, "aac_coder": "fast"},
    "mp3": SAME,
}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 61234\n"
# The first bytes of what macOS writes beside a file on other disks.
APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "


@dataclass(frozen=True, slots=True)
class Studio:
    """Writes below one folder.

    Attributes:
        root: The release that is being made.
        seed: Same seed, same bytes.
    """

    root: Path
    seed: int

    def rng(self, name: str) -> np.random.Generator:
        """Return a random stream of its own for a file, whatever else is written."""
        return np.random.default_rng([self.seed, crc32(name.encode())])

    def path(self, name: str) -> Path:
        """Return where a file goes, its folder made."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self, name: str, content: str, encoding: str = "utf-8") -> str:
        """Write a text file with line feeds; returns ``name``, as all of these do.

        Args:
            name: The file, below the release's folder, like every ``name`` here.
            content: The text.
            encoding: Of the file.
        """
        self.path(name).write_bytes(content.encode(encoding))
        return name

    def sound(
        self,
        name: str,
        emotion: str,
        speaker: int,
        *,
        duration_s: float = 0.6,
        rate: int = 16_000,
        channels: int = 1,
    ) -> str:
        """Write a voice as 16-bit wav or flac, by the name's suffix.

        Args:
            name: The file.
            emotion: What the voice shows, a key of :data:`CUES`.
            speaker: The speaker's number.
            duration_s: How long the sound is.
            rate: Samples per second.
            channels: How many, all alike.
        """
        import soundfile

        samples = self._voice(name, emotion, speaker, duration_s, rate)
        # to memory first: libsndfile does not tell a full disk from a bug
        made = io.BytesIO()
        soundfile.write(
            made,
            np.repeat(samples[:, None], channels, axis=1),
            rate,
            subtype="PCM_16",
            format=Path(name).suffix[1:],
        )
        self.path(name).write_bytes(made.getvalue())
        return name

    def film(
        self,
        name: str,
        emotion: str,
        speaker: int,
        *,
        duration_s: float = 0.5,
        sound: bool = True,
        size: int = 128,
    ) -> str:
        """Write a talking head with its voice.

        H.264 and AAC in mp4, Sorenson H.263 and MP3 in flv.

        Args:
            name: The file.
            emotion: What voice and face show, a key of :data:`CUES`.
            speaker: The speaker's number.
            duration_s: How long the film is.
            sound: Whether it has a sound track.
            size: Width and height in pixels.
        """
        import av

        picture, track, rate = CODECS[Path(name).suffix]
        made, kind = io.BytesIO(), Path(name).suffix[1:]
        # to memory first: FFmpeg forgets what fails when it closes a file
        with av.open(made, "w", format=kind, options={"fflags": "+bitexact"}) as film:
            # A codec that is named by a variable is any kind of stream to PyAV's types.
            pictures = cast(
                "VideoStream",
                film.add_stream(picture, rate=PICTURES_PER_S, options=OPTIONS[picture]),
            )
            pictures.width = pictures.height = size
            pictures.pix_fmt = "yuv420p"
            voices: AudioStream | None = None
            if sound:
                stream = film.add_stream(track, rate=rate, options=OPTIONS[track])
                voices = cast("AudioStream", stream)
                voices.layout = "mono"
            heads = self._lit(name, _heads(_persona(speaker), CUES[emotion], faces.SIZE // size))
            for number in range(round(duration_s * PICTURES_PER_S)):
                frame = av.VideoFrame.from_ndarray(heads[number % len(heads)], format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, PICTURES_PER_S)
                film.mux(pictures.encode(frame))
            film.mux(pictures.encode(None))
            if voices is not None:
                samples = self._voice(name, emotion, speaker, duration_s, rate)
                for heard in _pieces(samples, rate, voices.codec_context.frame_size or 1024):
                    film.mux(voices.encode(heard))
                film.mux(voices.encode(None))
        self.path(name).write_bytes(made.getvalue())
        return name

    def apple_double(self, name: str) -> str:
        """Put an AppleDouble file beside ``name``."""
        path = self.root / name
        path.with_name(f"._{path.name}").write_bytes(APPLE_DOUBLE)
        return path.with_name(f"._{path.name}").relative_to(self.root).as_posix()

    def pointer(self, name: str) -> str:
        """Put a Git-LFS pointer where media should be."""
        return self.text(name, POINTER.format(digest=f"{crc32(name.encode()):064x}"))

    def cut(self, name: str) -> str:
        """Cut a file in half, as a broken download does."""
        path = self.root / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return name

    def empty(self, name: str) -> str:
        """Leave nothing of a file but its name."""
        self.path(name).write_bytes(b"")
        return name

    def remove(self, name: str) -> str:
        """Take a file out of the release."""
        (self.root / name).unlink()
        return name

    def rename(self, name: str, new: str) -> str:
        """Give a file another name."""
        (self.root / name).rename(self.path(new))
        return new

    def edit(self, name: str, old: str, new: str, encoding: str = "utf-8") -> str:
        """Replace one piece of a text file, which has to be there exactly once.

        Args:
            name: The file.
            old: The piece.
            new: What stands there afterwards.
            encoding: Of the file afterwards.

        Raises:
            ValueError: The piece is not there, or several times.
        """
        content = (self.root / name).read_bytes().decode()
        if content.count(old) != 1:
            raise ValueError(f"{name} holds {old!r} {content.count(old)} times")
        return self.text(name, content.replace(old, new), encoding)

    def _lit(self, name: str, heads: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """Return the pictures as one film shows them.

        Every film has a light and a place of its own, so no two are alike.
        """
        rng = self.rng(name)
        light, shift = rng.uniform(0.8, 1.0, 3), rng.integers(-6, 7, 2)
        return [np.roll((head * light).astype(np.uint8), shift, axis=(0, 1)) for head in heads]

    def _voice(
        self, name: str, emotion: str, speaker: int, duration_s: float, rate: int
    ) -> NDArray[np.int16]:
        samples = voice.speak(CUES[emotion], _persona(speaker), duration_s, self.rng(name))
        at = np.linspace(0, len(samples) - 1, round(duration_s * rate))
        return np.interp(at, np.arange(len(samples)), samples).astype(np.int16)


def _pieces(samples: NDArray[np.int16], rate: int, size: int) -> Iterator[Any]:
    """Yield samples as the frames of ``size`` that an encoder takes."""
    import av

    heard = av.AudioFrame.from_ndarray(
        (samples / 32_768).astype(np.float32)[None], format="fltp", layout="mono"
    )
    heard.sample_rate, heard.pts, heard.time_base = rate, 0, Fraction(1, rate)
    fifo = av.AudioFifo()
    fifo.write(heard)
    yield from fifo.read_many(size, partial=True)


@lru_cache
def _heads(persona: str, cue: str, step: int) -> list[NDArray[np.uint8]]:
    """Return a moving head, drawn once for all its films.

    Three pictures (256 / step, 256 / step, 3).
    """
    look = faces.look_of(persona, markers=False)
    phases = (faces.draw(look, faces.EXPRESSIONS[cue], phase) for phase in (0.0, 0.35, 0.7))
    return [np.ascontiguousarray(picture[::step, ::step]) for picture in phases]


def _persona(speaker: int) -> str:
    """Return one of the demo's ten speakers for any speaker's number.

    Even numbers are women, as in RAVDESS.

    >>> _persona(1001), _persona(2)
    ('Ses01_M', 'Ses02_F')
    """
    return f"Ses{(speaker - 1) % 5 + 1:02d}_{'M' if speaker % 2 else 'F'}"
