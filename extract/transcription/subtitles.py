"""Words from subtitles that are there: SRT, WebVTT, ASS, in whatever encoding.

A cue has times, and its words have none of their own: they are spread over it by their letters.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from embeddings_store.errors import ManifestError, MissingDependencyError
from embeddings_store.reading import reading
from extract.transcription.words import Transcript, Word

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
EXPECTED, ADVICE = "subtitles", "save them again as SRT in UTF-8"


def find_subtitles(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the subtitles of a clip: a file below a folder that is called like it.

    Args:
        folder: Where they lie.
        names: What the clip is called: its id, and its files without their endings.
    """
    for name in filter(None, names):
        for suffix in SUFFIXES:
            path = folder / f"{name}{suffix}"
            if path.resolve().is_relative_to(folder.resolve()) and path.is_file():
                return path
    return None


def read_subtitles(path: Path, language: str = "") -> Transcript:
    """Read subtitles.

    Args:
        path: The file.
        language: What is spoken, where it is known.

    Raises:
        ManifestError: They cannot be read.
        MissingDependencyError: pysubs2 is not installed.
    """
    try:
        import charset_normalizer
        import pysubs2
    except ImportError as error:
        raise MissingDependencyError(
            f"reading subtitles needs the package {error.name}; install the extra 'transcribe'"
        ) from None
    with reading(path, EXPECTED, ADVICE):
        raw = path.read_bytes()
        guess = charset_normalizer.from_bytes(raw).best()
        if raw and guess is None:
            raise ManifestError(f"{path}: is in no encoding that is known; {ADVICE}")
        events = pysubs2.SSAFile.from_string(str(guess or ""))
    words: list[Word] = []
    spans, counts = [], []
    for event in sorted(events, key=lambda event: event.start):
        start_s, end_s = event.start / 1000, event.end / 1000
        if event.is_comment or end_s <= start_s:
            continue
        spoken = list(_spread(event.plaintext, start_s, end_s))
        if spoken:
            words += spoken
            spans.append((start_s, end_s))
            counts.append(len(spoken))
    return Transcript(tuple(words), language, tuple(spans), cues=tuple(counts))


def _spread(spoken: str, start_s: float, end_s: float) -> Iterator[Word]:
    """Yield the words of a cue, each as long as its letters are of the cue's.

    >>> [(word.text, word.start_s) for word in _spread("oh no now", 1.0, 2.4)]
    [('oh', 1.0), ('no', 1.4), ('now', 1.8)]
    """
    words = spoken.split()
    letters = sum(map(len, words))
    begin = 0
    for text in words:
        times_s = [
            round(start_s + (end_s - start_s) * count / letters, 3)
            for count in (begin, begin + len(text))
        ]
        yield Word(times_s[0], times_s[1], text)
        begin += len(text)
