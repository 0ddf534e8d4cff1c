"""How the demo's actors sound: pitch, melody, tempo and brightness of vowels, set by the cue.

Everything is drawn per turn around the cue's style and the speaker's own pitch, so that cues
overlap a little and no two turns are alike. How long a turn lasts is decided elsewhere and does not
depend on the cue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
# Formant frequencies in Hz of a, e, i, o, u (Peterson and Barney 1952, adult averages, rounded).
VOWELS = np.array(
    [[730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410], [300, 870, 2240]],
    dtype=float,
)
BANDWIDTHS = np.array([110.0, 160.0, 240.0])


@dataclass(frozen=True, slots=True)
class Style:
    """A way of speaking.

    Attributes:
        pitch: Relative to the speaker's own.
        rise: Over the whole turn, in octaves.
        swing: Up and down within a syllable, in octaves.
        tempo: Syllables per second.
        tilt: Fall of the spectrum, as an exponent over the harmonic's number; small sounds bright.
        rough: Depth, from 0 to 1, of a flutter of the loudness at :data:`ROUGH_HZ`.
        loudness: Root mean square of samples between -1 and 1.
    """

    pitch: float
    rise: float
    swing: float
    tempo: float
    tilt: float
    rough: float
    loudness: float


STYLES = {
    "anger": Style(
        pitch=1.25, rise=-0.25, swing=0.10, tempo=6.0, tilt=0.0, rough=0.7, loudness=0.20
    ),
    "happiness": Style(
        pitch=1.60, rise=0.40, swing=0.32, tempo=5.0, tilt=0.75, rough=0.0, loudness=0.13
    ),
    "neutral": Style(
        pitch=1.00, rise=-0.05, swing=0.04, tempo=4.0, tilt=1.5, rough=0.0, loudness=0.08
    ),
    "sadness": Style(
        pitch=0.80, rise=-0.30, swing=0.04, tempo=2.4, tilt=2.4, rough=0.0, loudness=0.04
    ),
}
# Roughness is heard where loudness flutters at 30 to 150 Hz, as in screams (Arnal et al. 2015).
ROUGH_HZ = (60.0, 75.0)
NOISE_DB = (-42.0, -36.0)
OWN_PITCH = {"F": (190.0, 220.0), "M": (105.0, 129.0)}


def own_pitch(speaker: str) -> float:
    """Return a speaker's resting pitch in Hz.

    ``Ses01_F`` to ``Ses05_F`` lie side by side in the women's range.

    >>> own_pitch("Ses01_M"), own_pitch("Ses05_M")
    (105.0, 129.0)
    """
    low, high = OWN_PITCH[speaker[-1]]
    return low + (high - low) * (int(speaker[3:5]) - 1) / 4


def speak(cue: str, speaker: str, duration_s: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """Return a turn as sound.

    Args:
        cue: What the voice shows.
        speaker: Who talks, for example ``Ses03_F``.
        duration_s: How long.
        rng: Draws the melody's and the noise's small differences.

    Returns:
        16-bit samples at 16 kHz, shape (round(duration_s * 16000),).
    """
    style, count = STYLES[cue], round(duration_s * RATE)
    time = np.arange(count) / RATE
    tempo = style.tempo * rng.uniform(0.9, 1.1)
    beat = tempo * time + rng.uniform(0, 0.3)
    octaves = style.rise * rng.uniform(0.7, 1.3) * (time / duration_s - 0.5)
    octaves += style.swing * np.sin(2 * np.pi * beat + rng.uniform(0, 6))
    pitch = own_pitch(speaker) * style.pitch * rng.uniform(0.95, 1.05) * 2.0**octaves
    syllables = 0.08 + np.abs(np.sin(np.pi * beat)) ** 0.7
    syllables *= 1 - style.rough * (0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(*ROUGH_HZ) * time))
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.03)
    voice = _at_level(
        _vowels(pitch, beat, style.tilt + rng.uniform(-0.08, 0.08), rng) * syllables * fade
    )
    voice = _at_level(voice + _at_level(rng.standard_normal(count), rng.uniform(*NOISE_DB)))
    voice *= style.loudness * 10 ** (rng.uniform(-2, 2) / 20)
    return np.asarray(np.clip(voice, -0.99, 0.99) * 32767, dtype=np.int16)


def _at_level(samples: NDArray[np.float64], db: float = 0.0) -> NDArray[np.float64]:
    """Return the samples with this root mean square, in decibels relative to 1."""
    return np.asarray(samples * 10 ** (db / 20) / np.sqrt(np.mean(samples**2)))


def _vowels(
    pitch: NDArray[np.float64], beat: NDArray[np.float64], tilt: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Sum the harmonics of ``pitch`` (Hz, per sample), weighted by one vowel per beat.

    sin(k x) comes from the recurrence ``sin(k x) = 2 cos(x) sin((k-1) x) - sin((k-2) x)``, several
    times faster than sin.
    """
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    vowels = VOWELS[rng.integers(len(VOWELS), size=int(beat[-1]) + 2)]
    harmonics = np.arange(1, int(7000 / pitch.max()) + 1)
    frequencies = harmonics[:, None, None] * pitch.mean()
    gains = (
        np.exp(-0.5 * ((frequencies - vowels) / BANDWIDTHS) ** 2) @ np.array([1.0, 0.7, 0.4]) + 0.12
    )
    gains *= harmonics[:, None] ** -tilt
    total = np.zeros_like(pitch)
    before, current, double = np.zeros_like(phase), np.sin(phase), 2 * np.cos(phase)
    for gain in gains:
        total += np.interp(beat, np.arange(len(gain)), gain) * current
        before, current = current, double * current - before
    return total
