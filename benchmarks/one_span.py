"""Sixteen pictures of five seconds inside a long film, by us and by the libraries that offer it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from importlib import metadata
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from extract.frames import FrameSettings, TimeSpan
from extract.frames.clips import VideoFile
from extract.frames.geometry import Pixels, cut_out, fit, region_box
from extract.frames.settings import sample_times

RATE, WIDTH, HEIGHT = Fraction(30_000, 1_001), 720, 480
SPAN_S = 5.0
REMARKS = {"torchcodec, approximate": "trusts the rate in the header"}
# Of 255: other libraries convert colours a little otherwise; another frame is further away.
SAME_FRAME = 2.0
Clip = NDArray[np.uint8]


def compare(length_s: float, rounds: int) -> list[dict[str, object]]:
    """Return a row per way: seconds, and how many of its pictures are ours."""
    span = TimeSpan(0.6 * length_s, 0.6 * length_s + SPAN_S)
    ways: dict[str, Callable[[Path, TimeSpan], Clip]] = {
        "extract-features": ours,
        "PyAV": by_pyav,
        "decord": by_decord,
        "torchcodec, exact": lambda film, span: by_torchcodec(film, span, "exact"),
        "torchcodec, approximate": lambda film, span: by_torchcodec(film, span, "approximate"),
    }
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    clips: dict[str, Clip] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        film = write_film(Path(folder) / "film.mp4", length_s)
        for _ in range(rounds):
            for way, read in ways.items():
                if way in failed:
                    continue
                started = time.perf_counter(), time.process_time()
                try:
                    clips[way] = read(film, span)
                except (ImportError, OSError, RuntimeError) as error:
                    failed[way] = f"not measured: {' '.join(str(error).split())[:60]}"
                    continue
                ended = time.perf_counter(), time.process_time()
                seconds[way].append((ended[1] - started[1], ended[0] - started[0]))
    own_s = float(np.median([cpu_s for cpu_s, _ in seconds["extract-features"]]))
    rows: list[dict[str, object]] = []
    for way in ways:
        about = {"way": way, "library": version(way), "minutes": length_s / 60, "rounds": rounds}
        if way in failed:
            rows.append({**about, "remark": failed[way]})
            continue
        cpu_s, wall_s = np.median(seconds[way], axis=0).tolist()
        rows.append(
            {
                **about,
                "remark": REMARKS.get(way, ""),
                "cpu_s": cpu_s,
                "wall_s": wall_s,
                "ours_to_this": own_s / cpu_s,
                "same_frames": same_frames(clips[way], clips["extract-features"]),
            }
        )
    best_s = min(float(row["cpu_s"]) for row in rows[1:] if "cpu_s" in row)
    slower = own_s / best_s - 1
    rows[0]["remark"] = "no slower than the best" if slower <= 0 else f"missed by {slower:.0%}"
    return rows


def same_frames(found: Clip, expected: Clip) -> float:
    """Return the part of the pictures that are of the same frame as ours."""
    apart = np.abs(found.astype(np.int16) - expected).mean(axis=(1, 2, 3))
    return float((apart < SAME_FRAME).mean())


def version(way: str) -> str:
    """Return name and version of the library, empty where it is not installed."""
    name = {"extract-features": "av", "PyAV": "av"}.get(way, way.partition(",")[0])
    try:
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return ""


def ours(film: Path, span: TimeSpan) -> Clip:
    """Read as ``extract-features`` does without a cache."""
    with VideoFile(film) as video:
        return video.read(span, FrameSettings()).frames


def by_pyav(film: Path, span: TimeSpan) -> Clip:
    """Seek to the key frame before the span and decode from there."""
    times = wanted(span)
    found: list[Pixels] = []
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        container.seek(int(times[0] / stream.time_base), stream=stream)
        last = None
        for frame in container.decode(stream):
            # the one that is on the screen at a time is the last that began before it
            while last is not None and len(found) < len(times) and frame.time > times[len(found)]:
                found.append(last.to_ndarray(format="rgb24"))
            if len(found) == len(times):
                break
            last = frame
    return sized(found)


def by_decord(film: Path, span: TimeSpan) -> Clip:
    """Ask for frames by their numbers."""
    from decord import VideoReader, cpu

    reader = VideoReader(str(film), ctx=cpu(0), num_threads=1)
    numbers = (wanted(span) * reader.get_avg_fps()).astype(int)
    return sized(list(reader.get_batch(numbers.tolist()).asnumpy()))


def by_torchcodec(film: Path, span: TimeSpan, mode: str) -> Clip:
    """Ask for the frames that are played at some times."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(film), seek_mode=mode, num_ffmpeg_threads=1, dimension_order="NHWC")
    return sized(list(decoder.get_frames_played_at(wanted(span).tolist()).data.numpy()))


def wanted(span: TimeSpan) -> NDArray[np.float64]:
    """Return the times of the pictures, in seconds; a tick later, as floats are not exact."""
    return np.asarray(sample_times(span.start_s, span.end_s, FrameSettings())) + 1e-6


def sized(pictures: list[Pixels]) -> Clip:
    """Bring pictures to the encoder's size, as ours are."""
    settings = FrameSettings()
    box = region_box(settings.region, "", WIDTH, HEIGHT)
    return np.stack([fit(cut_out(picture, box), settings.size) for picture in pictures])


def write_film(path: Path, length_s: float) -> Path:
    """Write a film of a moving, cloudy picture as H.264 with frames that refer to later ones."""
    generator = np.random.default_rng(0)
    clouds = generator.integers(0, 255, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
    still = clouds.repeat(16, axis=0).repeat(16, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "g": "250", "sc_threshold": "0"}
        for number in range(int(length_s * RATE)):
            picture = np.roll(still, 3 * number, axis=1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        container.mux(stream.encode())
    return path
