"""From a film to its subtitles: words, voice activity and emotions brought together, and timed.

It brings extraction and the subtitles together: words come from a file, from subtitles that are
there, or from a recogniser; emotions from :class:`classify.commands.emotion_model.EmotionModel`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classify.commands.emotion_model import EmotionModel
from classify.subtitles.cues import BrokenLimits, broken_limits, make_cues
from classify.subtitles.emotions import EmotionRules, EmotionTrack, add_emotions
from classify.subtitles.limits import AUTO, language_of, limits_for
from classify.subtitles.restyle import RESTYLED, read_existing
from classify.subtitles.speech_bounds import bound_words, levels_db, speech_spans
from classify.subtitles.styles import StyleSheet
from classify.subtitles.words import Cue, TimedWord, join, read_words
from classify.subtitles.writing import FORMATS, as_ass, mark_characters, with_marks
from embeddings_store.errors import MediaError

if TYPE_CHECKING:
    from classify.labelling.timeline import Timeline

RATE, PIECE_S = 16_000, 300.0  # sound is read in pieces, so a film takes no more than a clip
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WordsFrom:
    """Where the words of a film come from: one of the three is given.

    Attributes:
        words: A JSON file of words.
        subtitles: A subtitle file to be given a look.
        recogniser: A folder of Whisper, its registry name or Hub id.
        encoding: Of the subtitle file; empty finds it.
        language: What is spoken; ``auto`` finds it.
    """

    words: Path | None = None
    subtitles: Path | None = None
    recogniser: str = ""
    encoding: str = ""
    language: str = AUTO


@dataclass(frozen=True, slots=True)
class SubtitleOptions:
    """What subtitles are made like.

    Attributes:
        sheet: The looks.
        limits: Field of :class:`classify.subtitles.limits.CueLimits` to what is asked for.
        rules: When an emotion is shown.
        window_s: Length of the windows that are labelled.
        hop_s: From one to the next.
        shot_changes_s: When new shots begin.
        karaoke: Whether words light up as they are said.
        formats: Keys of :data:`classify.subtitles.writing.FORMATS`.
    """

    sheet: StyleSheet
    limits: Mapping[str, float | int] = field(default_factory=dict)
    rules: EmotionRules = field(default_factory=EmotionRules)
    window_s: float = 4.0
    hop_s: float = 2.0
    shot_changes_s: tuple[float, ...] = ()
    karaoke: bool = False
    formats: tuple[str, ...] = tuple(FORMATS)


@dataclass(frozen=True, slots=True)
class FilmSubtitles:
    """What was made of one film.

    Attributes:
        texts: Format to the text of the file.
        ass: The same as ASS, whatever formats are asked for.
        cues: With their emotions.
        neutral: The class that is no emotion.
        broken: Cues that keep a limit not; none where the cues are the user's.
        seconds: What each part took.
        film_s: How long the film is.
        unknown: Classes of the model without a look.
    """

    texts: Mapping[str, str]
    ass: str
    cues: tuple[Cue, ...]
    neutral: str
    broken: BrokenLimits | None
    seconds: Mapping[str, float]
    film_s: float
    unknown: tuple[str, ...]


def media_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the films and sound files among files and below folders.

    Raises:
        UsageError: A path does not exist, or nothing is there.
    """
    from extract.windows.fixed import find_media

    return find_media(paths)


def subtitle_film(
    film: Path,
    model: EmotionModel,
    source: WordsFrom,
    options: SubtitleOptions,
    store: Path,
    notify: Say,
) -> FilmSubtitles:
    """Make the subtitles of one film.

    Args:
        film: A film, or a sound file.
        model: Says the emotions.
        source: Where words come from.
        options: What the subtitles are like.
        store: Where vectors and transcripts are kept, so that a run that was killed goes on.
        notify: Gets a line at a time.

    Raises:
        MediaError: The film cannot be read, or nobody speaks in it.
        ManifestError: The words or subtitles cannot be read.
        MissingDependencyError: A package is not installed.
    """
    seconds: dict[str, float] = {}
    existing = read_existing(source.subtitles, source.encoding) if source.subtitles else None
    cues: list[Cue] = []
    broken = limits = None
    if existing is None:
        with _Clock(seconds, "words"):
            words, language = _words(film, source, store)
        if not words:
            raise MediaError(f"{film}: no words were found in it, so there is nothing to write")
        with _Clock(seconds, "voice activity"):
            words = bound_words(words, _speech(film))
        code = language_of(join(words)) if language == AUTO else language
        limits = limits_for(code, options.limits)
        room = dataclasses.replace(limits, mark_characters=mark_characters(options.sheet, limits))
        cues = make_cues(words, room, options.shot_changes_s)
    else:
        cues = list(existing.cues)
    with _Clock(seconds, "vectors and labels"):
        track, film_s = _track(film, model, options, store, notify)
    with _Clock(seconds, "writing"):
        cues = add_emotions(cues, track, options.rules)
        if existing is None and limits is not None:
            cues = with_marks(cues, options.sheet, limits)
            broken = broken_limits(cues, limits)
            ass = as_ass(cues, options.sheet, karaoke=options.karaoke)
            texts = {form: FORMATS[form](cues, options.sheet) for form in options.formats}
        elif existing is not None:
            ass = RESTYLED["ass"](existing, cues, options.sheet)
            texts = {
                form: RESTYLED[form](existing, cues, options.sheet) for form in options.formats
            }
        if "ass" in texts:
            texts["ass"] = ass
    unknown = tuple(name for name in track.classes if not options.sheet.has(name))
    return FilmSubtitles(texts, ass, tuple(cues), track.neutral, broken, seconds, film_s, unknown)


def _words(film: Path, source: WordsFrom, store: Path) -> tuple[list[TimedWord], str]:
    """Return the words of a film, and the code of its language or ``auto``."""
    if source.words is not None:
        return read_words(source.words), source.language
    from extract.transcription.kept import KeptTranscripts
    from extract.transcription.load import load_recogniser
    from extract.transcription.transcribe import Transcriber

    recogniser = load_recogniser(source.recogniser)
    asked = "" if source.language == AUTO else source.language
    heard = Transcriber(recogniser, KeptTranscripts(store / "transcripts")).hear(
        film, language=asked
    )
    words = [TimedWord(word.text, word.start_s, word.end_s) for word in heard.words]
    return words, heard.language or AUTO


def _speech(film: Path) -> list[tuple[float, float]]:
    from extract.media.header import probe_sound
    from extract.media.sound import load_audio

    length_s = probe_sound(film)[0]
    levels, at_s = [], 0.0
    while at_s < length_s:
        end_s = length_s if length_s - at_s < PIECE_S + 1.0 else at_s + PIECE_S
        clip = load_audio(film, start_s=at_s, end_s=end_s, max_duration_s=None, sample_rate=RATE)
        levels.append(levels_db(clip.samples, clip.sample_rate))
        at_s = end_s
    return speech_spans(np.concatenate(levels)) if levels else []


def _track(
    film: Path, model: EmotionModel, options: SubtitleOptions, store: Path, notify: Say
) -> tuple[EmotionTrack, float]:
    found = model.predict_many(
        [film], window_s=options.window_s, hop_s=options.hop_s, store=store, notify=notify
    )
    if not found.timelines:
        raise MediaError("; ".join(reason for _, reason in found.failures))
    for row, reason in found.failed_windows[:5]:
        notify(f"{row}: {reason}")
    track = track_of(found.timelines[0])
    return track, float(track.ends_s.max(initial=0.0))


def track_of(timeline: Timeline) -> EmotionTrack:
    """Return a timeline as the subtitles take it, without the windows that have no times."""
    windows = timeline.windows.dropna(subset=["start_s", "end_s"])
    columns = [f"p:{name}" for name in timeline.classes]
    return EmotionTrack(
        timeline.classes,
        windows["start_s"].to_numpy(float),
        windows["end_s"].to_numpy(float),
        windows[columns].to_numpy(float),
    )


class _Clock:
    """Notes how many seconds a part took."""

    def __init__(self, seconds: dict[str, float], part: str) -> None:
        self._seconds, self._part = seconds, part

    def __enter__(self) -> None:
        self._begin_s = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._part] = time.perf_counter() - self._begin_s
