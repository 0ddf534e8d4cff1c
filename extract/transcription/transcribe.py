"""A clip's words: read piece by piece, heard where somebody speaks, and kept.

Sound is read in pieces of five minutes, so a film takes no more memory than a clip, and what was
heard is written after each piece. Whisper is given spans of up to 28 s that begin and end in a
pause. Words that it writes where nobody speaks are dropped and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from extract.media.header import probe_sound
from extract.media.sound import load_audio
from extract.transcription.kept import Heard, KeptTranscripts
from extract.transcription.recogniser import Recogniser
from extract.transcription.speech import DETECTORS, RATE, Samples, Span, quietest_s
from extract.transcription.words import Transcript, Word

PIECE_S = 300.0
LONGEST_S, SEARCH_S, APART_S = 28.0, 8.0, 3.0  # Whisper hears 30 s at once


@dataclass(frozen=True, slots=True)
class Transcriber:
    """How sound becomes words.

    Attributes:
        recogniser: Writes down what is said; none finds speech alone.
        kept: Where transcripts lie; none keeps nothing.
        detector: What says where somebody speaks, a name of
            :data:`extract.transcription.speech.DETECTORS`.
    """

    recogniser: Recogniser | None = None
    kept: KeptTranscripts | None = None
    detector: str = "energy"

    def about(self, language: str = "") -> dict[str, object]:
        """Return everything that changes a transcript."""
        made = dict(self.recogniser.about) if self.recogniser else {"engine": "none"}
        return {**made, "language": language or "found", "speech": self.detector}

    def hear(
        self, path: Path, start_s: float = 0.0, end_s: float = math.inf, language: str = ""
    ) -> Transcript:
        """Return what is said in a part of a file; times are the file's.

        Args:
            path: A sound file, or a film.
            start_s: Where the part begins, in seconds.
            end_s: Where it ends; more than the file is its end.
            language: What is spoken; empty finds it in the first words.

        Raises:
            MediaError: The file cannot be read.
            StoreError: What was kept of it is damaged.
        """
        end_s = min(end_s, probe_sound(path)[0])
        place = self.kept.place(path, (start_s, end_s), self.about(language)) if self.kept else None
        heard = self.kept.read(place) if self.kept and place else None
        heard = heard or Heard(start_s, Transcript((), language))
        while heard.up_to_s < end_s:
            heard = self._hear_on(path, heard, end_s)
            if self.kept and place:
                self.kept.write(place, heard)
        return heard.transcript

    def _hear_on(self, path: Path, heard: Heard, end_s: float) -> Heard:
        """Return what was heard with one more piece."""
        begin_s = heard.up_to_s
        stop_s = min(begin_s + PIECE_S, end_s)
        if end_s - stop_s < 1.0:
            stop_s = end_s
        clip = load_audio(path, start_s=begin_s, end_s=stop_s, max_duration_s=None)
        spans = DETECTORS[self.detector](clip.samples)
        if stop_s < end_s and spans:
            spans, stop_s = _up_to_a_pause(spans, begin_s, stop_s)
        known = heard.transcript
        speech = tuple((round(a + begin_s, 3), round(b + begin_s, 3)) for a, b in spans)
        transcript = replace(known, speech=(*known.speech, *speech))
        if self.recogniser:
            for chunk in _chunks(spans, clip.samples):
                transcript = _with_words(transcript, self.recogniser, clip.samples, chunk, begin_s)
        return Heard(stop_s, transcript)


def _with_words(
    transcript: Transcript, recogniser: Recogniser, samples: Samples, chunk: Span, begin_s: float
) -> Transcript:
    """Return a transcript with the words of one more chunk of a piece.

    Args:
        transcript: The transcript so far, which knows where somebody speaks.
        recogniser: Writes them down.
        samples: Of the piece (n,).
        chunk: Which part of it, in seconds from its first sample.
        begin_s: Where the piece begins in its file.
    """
    first, last = (round(time_s * RATE) for time_s in chunk)
    part = samples[first:last]
    language = transcript.language or recogniser.language_of(part)
    found = [_moved(word, begin_s + chunk[0]) for word in recogniser.words(part, language)]
    spoken = [word for word in found if _is_spoken(word, transcript.speech)]
    return replace(
        transcript,
        words=(*transcript.words, *spoken),
        language=language,
        dropped=transcript.dropped + len(found) - len(spoken),
    )


def _up_to_a_pause(spans: list[Span], begin_s: float, stop_s: float) -> tuple[list[Span], float]:
    """Leave speech that reaches the end of a piece to the next one, unless it is all of it."""
    last_start_s, last_end_s = spans[-1]
    if last_start_s <= 0 or last_end_s < stop_s - begin_s - 0.05:
        return spans, stop_s
    return spans[:-1], round(begin_s + last_start_s, 3)


def _chunks(spans: Sequence[Span], samples: Samples) -> Iterator[Span]:
    """Yield what Whisper is given at once: neighbouring spans together, long ones in parts."""
    group: Span | None = None
    for start_s, end_s in spans:
        if group and start_s - group[1] <= APART_S and end_s - group[0] <= LONGEST_S:
            group = (group[0], end_s)
            continue
        if group:
            yield group
        while end_s - start_s > LONGEST_S:
            latest_s = start_s + LONGEST_S
            cut_s = round(quietest_s(samples, latest_s - SEARCH_S, latest_s), 3)
            yield start_s, cut_s
            start_s = cut_s
        group = (start_s, end_s)
    if group:
        yield group


def _is_spoken(word: Word, spans: Sequence[Span]) -> bool:
    """Say whether a word touches speech: Whisper writes words over silence, too."""
    return any(word.start_s < end_s and word.end_s > start_s for start_s, end_s in spans)


def _moved(word: Word, by_s: float) -> Word:
    return replace(word, start_s=round(word.start_s + by_s, 3), end_s=round(word.end_s + by_s, 3))
