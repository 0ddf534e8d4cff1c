"""One demo dialogue as IEMOCAP's files: evaluation, transcription, wavs and film."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.corpora.demo_release import voice
from extract.corpora.demo_release.design import DemoTurn, Dialogue
from extract.corpora.demo_release.words import sentence

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
RATED = {
    "ang": "Anger",
    "hap": "Happiness",
    "exc": "Excited",
    "neu": "Neutral",
    "sad": "Sadness",
    "fru": "Frustration",
}
# Where raters place a label on the five-point scales of valence, activation and dominance.
SCALES = {
    "ang": (1.8, 3.8, 4.0),
    "hap": (4.0, 3.2, 3.1),
    "exc": (4.1, 3.8, 3.4),
    "neu": (3.0, 2.6, 2.9),
    "sad": (2.1, 2.2, 2.7),
    "fru": (2.2, 3.1, 3.4),
    "xxx": (2.8, 2.9, 3.0),
}
WORDS, SOUND, FILM, RATINGS = range(4)


def write_dialogue(release: Path, dialogue: Dialogue, seed: list[int], video: bool) -> None:
    """Write every file of a dialogue; each kind of file has a random stream of its own.

    Args:
        release: The release's folder.
        dialogue: Who talks when, showing what.
        seed: Of the dialogue's random streams.
        video: Whether the film is written, too.
    """
    session = release / dialogue.session
    words, sound, ratings = (
        np.random.default_rng([*seed, kind]) for kind in (WORDS, SOUND, RATINGS)
    )
    _write(
        session / "dialog" / "EmoEvaluation" / f"{dialogue.id}.txt", _evaluation(dialogue, ratings)
    )
    _write(
        session / "dialog" / "transcriptions" / f"{dialogue.id}.txt",
        _transcription(dialogue, words),
    )
    _write_sound(session, dialogue, sound)
    if video:
        from extract.corpora.demo_release.film import shoot

        path = session / "dialog" / "avi" / "DivX" / f"{dialogue.id}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        shoot(dialogue, path, [*seed, FILM])


def _evaluation(dialogue: Dialogue, rng: np.random.Generator) -> str:
    return HEADER + "\n".join(_rated(turn, rng) for turn in dialogue.turns)


def _rated(turn: DemoTurn, rng: np.random.Generator) -> str:
    """Return a turn's consensus line and those of three raters; the third may disagree."""
    scores = np.clip(np.rint(np.array(SCALES[turn.raw]) + rng.normal(0, 0.6, (2, 3))), 1, 5).astype(
        int
    )
    names = sorted(set(RATED.values()))
    agreed = RATED.get(turn.raw, "")
    votes = [agreed or names[(i * 2) % len(names)] for i in range(2)] + [
        str(rng.choice([agreed or "Other", *names]))
    ]
    valence, activation, dominance = scores.mean(axis=0)
    lines = [
        f"[{turn.start_s:.4f} - {turn.end_s:.4f}]\t{turn.id}\t{turn.raw}\t"
        f"[{valence:.4f}, {activation:.4f}, {dominance:.4f}]"
    ]
    lines += [f"C-E{number}:\t{vote};\t()" for number, vote in enumerate(votes, start=2)]
    lines += [f"C-{turn.id[-4]}1:\t{votes[0]};\t()"]
    lines += [
        f"A-E{number}:\tval {v}; act {a}; dom  {d};\t()"
        for number, (v, a, d) in enumerate(scores.tolist(), start=3)
    ]
    return "\n".join(lines) + "\n"


def _transcription(dialogue: Dialogue, rng: np.random.Generator) -> str:
    """Return the transcription.

    It ends, as some of the release do, with a turn that nobody labelled and a stray line.
    """
    lines = [
        f"{turn.id} [{turn.start_s:08.4f}-{turn.end_s:08.4f}]: {sentence(turn.cues['text'], rng)}"
        for turn in dialogue.turns
    ]
    last = dialogue.turns[-1].end_s
    lines += [
        f"{dialogue.id}_{dialogue.id[5]}XX0 [{last + 0.1:08.4f}-{last + 0.4:08.4f}]: Mmhmm.",
        "M: Okay.",
    ]
    return "\n".join(lines) + "\n"


def _write_sound(session: Path, dialogue: Dialogue, rng: np.random.Generator) -> None:
    whole = np.zeros(round(dialogue.end_s * voice.RATE), dtype=np.int16)
    for turn in dialogue.turns:
        spoken = voice.speak(turn.cues["audio"], turn.speaker, turn.end_s - turn.start_s, rng)
        start = round(turn.start_s * voice.RATE)
        whole[start : start + len(spoken)] = spoken
        _write_wav(session / "sentences" / "wav" / dialogue.id / f"{turn.id}.wav", spoken)
    _write_wav(session / "dialog" / "wav" / f"{dialogue.id}.wav", whole)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(voice.RATE)
        file.writeframes(samples.astype("<i2").tobytes())
