"""Utterances decoded per second from long dialogues, against the loop that one writes first.

The plain loop opens the dialogue anew for every utterance and reads its frames one after the other
from the start with PyAV until the last one that it needs. Ours opens each dialogue once and seeks;
the second time everything comes from the cache. Films are generated: MPEG-4 part 2 in AVI at 29.97
fps and 720 x 480, as IEMOCAP has them.

Then one span of 5 s inside a film of 5 minutes (H.264 in MP4, a key frame every 250 frames), for
which the file is opened anew each time, against what libraries offer: decord, PyAV and torchcodec,
where they are installed. All run in turn and in one thread, the median of several rounds counts,
and all pictures are brought to the same size in the same way.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pandas as pd

from benchmarks import one_span
from benchmarks.record import record
from extract.frames import FrameCache, FrameSettings, TimeSpan, read_spans
from extract.frames.settings import sample_times

RATE = Fraction(30_000, 1_001)  # frames per second
HALF_A_FRAME_S = 0.5 / float(RATE)


def main() -> None:
    """Measure the three ways over the same spans."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--minutes", type=float, default=1.0, help="length of the dialogue (default: %(default)s)"
    )
    options.add_argument("--utterances", type=int, default=16, help="(default: %(default)s)")
    options.add_argument(
        "--film-minutes", type=float, default=5.0, help="of the single span (default: %(default)s)"
    )
    options.add_argument("--rounds", type=int, default=15, help="(default: %(default)s)")
    given = options.parse_args()
    settings = FrameSettings()
    with tempfile.TemporaryDirectory() as folder:
        film = write_film(Path(folder) / "dialogue.avi", given.minutes * 60)
        edges = np.linspace(0.5, given.minutes * 60 - 0.5, given.utterances + 1)
        spans = [TimeSpan(float(a), float(b - 0.1)) for a, b in pairwise(edges)]
        cache = FrameCache(Path(folder) / "cache")
        ways = {
            "plain loop from the start": lambda: [plain(film, span, settings) for span in spans],
            "one open film, seeking": lambda: list(read_spans(film, spans, settings)),
            "the same into the cache": lambda: list(cache.read_spans(film, spans, settings)),
            "from the cache": lambda: list(cache.read_spans(film, spans, settings)),
        }
        rows = []
        for way, decode in ways.items():
            started = time.perf_counter()
            decode()
            rows.append({"way": way, "wall_s": time.perf_counter() - started})
    for row in rows:
        row |= {
            "minutes": given.minutes,
            "utterances": given.utterances,
            "utterances_per_s": given.utterances / row["wall_s"],
            "ratio_to_plain": rows[0]["wall_s"] / row["wall_s"],
        }
    command = (
        f"python -m benchmarks.decoding --minutes {given.minutes:g} --utterances {given.utterances}"
    )
    print(record("decoding", rows, command))
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    rows = one_span.compare(given.film_minutes * 60, given.rounds)
    command = f"python -m benchmarks.decoding --film-minutes {given.film_minutes:g}"
    print(record("decoding_span", rows, f"{command} --rounds {given.rounds}"))
    print(pd.DataFrame(rows).round(3).to_string(index=False))


def plain(film: Path, span: TimeSpan, settings: FrameSettings) -> list[np.ndarray]:
    """Read from the start and keep the pictures nearest to the sampled times."""
    times = sample_times(span.start_s or 0.0, span.end_s or 0.0, settings)
    found: list[np.ndarray] = []
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            # one picture may be the nearest to several times
            while len(found) < len(times) and frame.time >= times[len(found)] - HALF_A_FRAME_S:
                picture = frame.reformat(width=336, height=224, format="rgb24").to_ndarray()
                found.append(picture[:, 56:280])
            if len(found) == len(times):
                break
    return found


def write_film(path: Path, length_s: float) -> Path:
    """Write a film of moving noise, a key frame every 250 frames as DivX does."""
    generator = np.random.default_rng(0)
    still = generator.integers(0, 255, (480, 720, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height = 720, 480
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 1_500_000
        stream.codec_context.gop_size = 250
        stream.codec_context.codec_tag = "DIVX"
        for number in range(int(length_s * RATE)):
            picture = np.roll(still, number, axis=1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
