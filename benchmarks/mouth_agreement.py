"""How often check-corpus cautions that the person in the picture is not the one who speaks.

Composed: drawn heads that sway and blink in noisy pictures, whose mouths open with real speech to a
stated part and at random otherwise. Faces are given, not looked for. What it says of real mouths is
unknown; how well these go with their sound is in the table, so that the two can be compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import record
from embeddings_store.corpus.manifest import Manifest
from extract.checks.faces import speakers_seen
from extract.checks.finding import FaceFacts, ReleaseUnderCheck
from extract.checks.mouths import loudness, mouth_curves
from extract.corpora.demo_release import faces
from extract.media.sound import load_audio

HZ, PICTURES, RATE, SIDE = 12.5, 50, 16_000, 96
OPENINGS, LEAD_S = 16, 0.1
# The part of a mouth's opening that follows the sound; the rest is random.
FOLLOWS = (1.0, 0.6, 0.4, 0.2, 0.1)
LISTENERS = (0.0, 0.1, 0.25, 0.47, 1.0)
Floats = NDArray[np.float64]
Curves = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ComposedRow:
    """One sound, and the curves of mouths that go with it to some part."""

    loud: tuple[float, ...]
    speaker: dict[float, Curves]
    correlation: dict[float, float]
    listener: Curves


def compose(sounds: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> list[ComposedRow]:
    """Compose a row for every sound."""
    times_s = np.arange(PICTURES) / HZ
    drawn = [_heads(f"Ses0{number}_{letter}") for number in range(1, 6) for letter in "FM"]
    rows = []
    for sound in sounds:
        heads = drawn[rng.integers(len(drawn))]
        spoken = loudness(sound, RATE, times_s + LEAD_S)
        spoken = spoken / max(float(spoken.max()), 1e-9)
        speaker, correlation = {}, {}
        for part in FOLLOWS:
            opening = np.clip(part * spoken + (1 - part) * _random(rng), 0, 1)
            speaker[part] = _curves(heads, opening, rng)
            correlation[part] = float(np.corrcoef(opening, spoken)[0, 1])
        listener = _curves(heads, 0.4 * _random(rng), rng)
        loud = tuple(loudness(sound, RATE, times_s).tolist())
        rows.append(ComposedRow(loud, speaker, correlation, listener))
    return rows


def _heads(speaker: str) -> NDArray[np.uint8]:
    """Draw a head with its mouth ever wider open, eyes open and closed: (openings, 2, S, S, 3)."""
    look, face = faces.look_of(speaker, False), faces.EXPRESSIONS["neutral"]
    drawn = []
    for number in range(OPENINGS):
        wide = replace(face, gap=30.0 * number / (OPENINGS - 1))
        drawn.append([faces.draw(look, wide, 0.0, blink) for blink in (False, True)])
    return np.array(drawn)[:, :, 32:224:2, 32:224:2]


def _random(rng: np.random.Generator) -> Floats:
    """Return a curve as quick as speech, from 0 to 1."""
    curve = np.convolve(rng.normal(size=PICTURES + 4), [0.1, 0.25, 0.3, 0.25, 0.1], "valid")
    return np.clip(0.4 + 0.25 * curve / curve.std(), 0, 1)


def _curves(heads: NDArray[np.uint8], opening: Floats, rng: np.random.Generator) -> Curves:
    sway = [np.rint(3 * (2 * _random(rng) - 1)).astype(int) for _ in range(2)]
    blinks = (rng.random(PICTURES) < 0.05).astype(int)
    frames = []
    for number in range(PICTURES):
        head = heads[round((OPENINGS - 1) * opening[number]), blinks[number]]
        head = np.roll(head, (sway[0][number], sway[1][number]), axis=(0, 1))
        frames.append(np.clip(head + rng.normal(0, 6, head.shape), 0, 255).astype(np.uint8))
    return tuple(tuple(curve) for curve in mouth_curves(np.stack(frames)).tolist())


def measure(
    rows: Sequence[ComposedRow], count: int, corpora: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    """Draw corpora of ``count`` rows and count what the check says of them."""
    manifest = Manifest.from_columns("composed", {"id": ["a"]})
    found: list[dict[str, object]] = []
    for part in FOLLOWS:
        for halves in (1, 2):
            for listeners in LISTENERS:
                disagree, cautioned = 0.0, 0
                for _ in range(corpora):
                    drawn = rng.choice(len(rows), count, replace=False)
                    listens = rng.permutation(count) < round(listeners * count)
                    facts = [
                        _facts(str(k), rows[row], part, bool(listens[k]), halves)
                        for k, row in enumerate(drawn)
                    ]
                    release = ReleaseUnderCheck(manifest, Path(), faces=facts)
                    (finding,) = speakers_seen(release)
                    disagree += len(finding.data["disagree"]) / count
                    cautioned += finding.level == "warning"
                found.append(
                    {
                        "follows": part,
                        "correlation": float(np.mean([row.correlation[part] for row in rows])),
                        "halves": halves,
                        "listeners": 100 * listeners,
                        "rows": count,
                        "corpora": corpora,
                        "disagree": 100 * disagree / corpora,
                        "cautioned": 100 * cautioned / corpora,
                    }
                )
                print({key: _short(value) for key, value in found[-1].items()}, flush=True)
    return found


def _facts(name: str, row: ComposedRow, part: float, listens: bool, halves: int) -> FaceFacts:
    shown, other = row.speaker[part], row.listener
    if listens:
        shown, other = other, shown
    return FaceFacts(
        name, 1.0, mouth=shown, other_mouth=other if halves == 2 else (), loud=row.loud
    )


def _short(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


def speech(folder: Path, count: int, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Join clips of one actor, without the silence around them, to sounds of five seconds."""
    actors = sorted(path for path in folder.iterdir() if path.is_dir())
    sounds = []
    for _ in range(count):
        clips = sorted(actors[rng.integers(len(actors))].glob("*.flac"))
        joined = np.empty(0, np.float32)
        while len(joined) < 5 * RATE:
            clip = load_audio(clips[rng.integers(len(clips))], sample_rate=RATE).samples
            heard = np.flatnonzero(np.abs(clip) > 0.05 * np.abs(clip).max())
            pause = np.zeros(int(rng.uniform(0.05, 0.4) * RATE), np.float32)
            joined = np.concatenate([joined, clip[heard[0] : heard[-1]], pause])
        sounds.append(joined)
    return sounds


def main() -> None:
    """Compose rows, draw corpora, and record what the check says."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--clips", type=Path, required=True, help="folders of RAVDESS' actors")
    arguments.add_argument("--pool", type=int, default=150, help="composed rows (default: 150)")
    arguments.add_argument("--rows", type=int, default=50, help="of a corpus (default: 50)")
    arguments.add_argument("--corpora", type=int, default=40, help="drawn (default: 40)")
    given = arguments.parse_args()
    rng = np.random.default_rng(0)
    rows = compose(speech(given.clips, given.pool, rng), rng)
    table = measure(rows, given.rows, given.corpora, rng)
    command = "python -m benchmarks.mouth_agreement --clips RAVDESS"
    print(record("mouth_agreement", table, command))


if __name__ == "__main__":
    main()
