"""Voice activity: in which seconds somebody speaks.

Two detectors. ``silero`` is the network that comes with faster-whisper. ``energy`` is always there:
a frame of 30 ms is speech where its level is above all of

* -55 dB of full scale,
* 35 dB below the loudest frame,
* 9 dB above the quietest tenth of the frames, or 20 dB below the loudest where that is lower.

Sound of a second or more whose level hardly moves (by less than 6 dB between the quietest tenth and
the loudest twentieth) is a hum or noise, and no speech. Louder noise that comes and goes is taken
for speech; Silero knows better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MissingDependencyError

RATE = 16_000
FRAME, HOP = 480, 160  # samples: 30 ms every 10 ms
FLOOR_DB, BELOW_LOUDEST_DB, ABOVE_QUIET_DB, LEAST_BELOW_DB = -55.0, 35.0, 9.0, 20.0
STEADY_DB, STEADY_FROM_S = 6.0, 1.0
JOIN_S, SHORTEST_S, PAD_S = 0.3, 0.1, 0.1

Samples = NDArray[np.float32]
Span = tuple[float, float]
Detector = Callable[[Samples], list[Span]]


def speech_by_energy(samples: Samples) -> list[Span]:
    """Return the spans of speech, in seconds from the first sample.

    Args:
        samples: At 16 kHz (n,).

    >>> tone = np.sin(np.arange(16_000) / 5).astype(np.float32) / 4
    >>> quiet = np.zeros(16_000, dtype=np.float32)
    >>> speech_by_energy(np.concatenate([quiet, tone, quiet])), speech_by_energy(quiet)
    ([(0.88, 2.12)], [])
    """
    levels = _levels(samples)
    if not len(levels):
        return []
    loudest = levels.max()
    quiet, loud = np.percentile(levels, [10, 95])
    if len(samples) >= STEADY_FROM_S * RATE and loud - quiet < STEADY_DB:
        return []
    threshold = max(
        FLOOR_DB,
        loudest - BELOW_LOUDEST_DB,
        min(quiet + ABOVE_QUIET_DB, loudest - LEAST_BELOW_DB),
    )
    above = np.concatenate([[False], levels > threshold, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2)
    # a frame stands for the 30 ms that it is measured over
    spans = [
        (begin * HOP / RATE, ((end - 1) * HOP + FRAME) / RATE) for begin, end in edges.tolist()
    ]
    joined = joined_spans(spans, JOIN_S)
    kept = [span for span in joined if span[1] - span[0] >= SHORTEST_S]
    length_s = len(samples) / RATE
    padded = [(max(0.0, a - PAD_S), min(length_s, b + PAD_S)) for a, b in kept]
    return [(round(a, 3), round(b, 3)) for a, b in joined_spans(padded, 0.0)]


def speech_by_silero(samples: Samples) -> list[Span]:
    """Return the spans of speech by Silero's network, in seconds from the first sample.

    Args:
        samples: At 16 kHz (n,).

    Raises:
        MissingDependencyError: faster-whisper is not installed.
    """
    try:
        from faster_whisper.vad import VadOptions, get_speech_timestamps
    except ImportError:
        raise MissingDependencyError(
            "Silero comes with faster-whisper, which is not installed; install the extra "
            "'transcribe', or take --speech energy"
        ) from None
    options = VadOptions(
        min_silence_duration_ms=int(1000 * JOIN_S), speech_pad_ms=int(1000 * PAD_S)
    )
    found = get_speech_timestamps(samples, options)
    return [(round(s["start"] / RATE, 3), round(s["end"] / RATE, 3)) for s in found]


DETECTORS: Mapping[str, Detector] = {"energy": speech_by_energy, "silero": speech_by_silero}


def joined_spans(spans: Iterable[Span], gap_s: float) -> list[Span]:
    """Return ascending spans, those joined that are at most so far apart.

    >>> joined_spans([(0.0, 1.0), (1.2, 2.0), (4.0, 5.0)], 0.3)
    [(0.0, 2.0), (4.0, 5.0)]
    """
    found: list[Span] = []
    for start_s, end_s in spans:
        if found and start_s - found[-1][1] <= gap_s:
            found[-1] = (found[-1][0], max(end_s, found[-1][1]))
        else:
            found.append((start_s, end_s))
    return found


def quietest_s(samples: Samples, start_s: float, end_s: float) -> float:
    """Return the time of the quietest frame in a span, in seconds.

    Args:
        samples: At 16 kHz (n,).
        start_s: Where the span begins.
        end_s: Where it ends.
    """
    first = int(start_s * RATE)
    levels = _levels(samples[first : int(end_s * RATE)])
    return (first + int(np.argmin(levels)) * HOP + FRAME // 2) / RATE


def _levels(samples: Samples) -> NDArray[np.float64]:
    """Return the level of each frame in dB of full scale (m,)."""
    if len(samples) < FRAME:
        return np.zeros(0)
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    begins = np.arange(0, len(samples) - FRAME + 1, HOP)
    mean = np.maximum(energy[begins + FRAME] - energy[begins], 0.0) / FRAME
    return np.asarray(10 * np.log10(mean + 1e-12))
