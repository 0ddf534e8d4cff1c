"""The rows of a corpus cut into windows, which inherit everything but their times and their words.

Sound, pictures and words of a window are of the same seconds. A row that cannot be measured stays
whole, so that whoever reads its media says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.default_protocol import default_protocol
from embeddings_store.corpus.manifest import Manifest, Utterance
from embeddings_store.corpus.windows import CLIP
from embeddings_store.errors import (
    ManifestError,
    MediaError,
    UnsafePathError,
    UsageError,
    unknown_name,
)
from extract.frames.index import scan
from extract.media.header import probe_sound
from extract.transcription.error_rate import error_rate
from extract.transcription.source import WordSource
from extract.transcription.words import Transcript
from extract.windows.fixed import FixedWindows

if TYPE_CHECKING:
    import pandas as pd

FILM_TIMES = ("meta_video_start_s", "meta_video_end_s")
FIXED, SPEECH, CUES, ROWS = "fixed", "speech", "cues", "rows"
KINDS = {
    FIXED: "from the start of a row, --hop-s apart",
    SPEECH: "where somebody speaks; what is longer than --window-s is cut",
    CUES: "the cues of subtitles, or sentences of what was heard",
}
GOLD, ASR = "gold", "asr"
Span = tuple[float, float]
Advance = Callable[[int], None]
# Rounded like the spans of FixedWindows, so that a time has one spelling.
DIGITS = 6
SHORTEST_S = 0.05  # a shorter span has nothing to hear or to see


@dataclass(frozen=True, slots=True)
class CorpusWindows:
    """How the rows of a corpus are cut, and where their words come from.

    Attributes:
        fixed: Length and distance of the windows; of 0 s where speech and cues are not cut.
        kind: One of :data:`KINDS`, or ``rows``, which are not cut.
        words: What says who speaks when and which words; none is not asked.
        text_source: Whose words a window has: ``gold`` leaves a row's own transcript, which is the
            whole row's, where it has one; ``asr`` takes those that were heard in it.
    """

    fixed: FixedWindows = field(default_factory=FixedWindows)
    kind: str = FIXED
    words: WordSource | None = None
    text_source: str = GOLD

    def __post_init__(self) -> None:
        """Check that the parts fit.

        Raises:
            UsageError: They do not.
        """
        if self.kind not in (*KINDS, ROWS):
            unknown_name("kind of windows", self.kind, [*KINDS, ROWS])
        if self.kind == FIXED and not self.fixed.window_s:
            raise UsageError("fixed windows need a length; give --window-s")
        has_words = self.words is not None and bool(self.words.name)
        if not has_words and (self.kind == CUES or self.text_source == ASR):
            raise UsageError("there are no cues and no words without --transcribe; add it")
        if self.kind == SPEECH and self.words is None:
            raise UsageError("speech is found by a source of words")

    @property
    def ending(self) -> str:
        """What the corpus' name ends with, so that other windows are another corpus.

        >>> CorpusWindows(FixedWindows(1.0, 0.5)).ending
        '-1s-0.5s'
        """
        found = f"-{self.kind}" if self.kind in (SPEECH, CUES) else ""
        if self.fixed.window_s:
            found += f"-{self.fixed.window_s:g}s-{self.fixed.hop_s:g}s"
        return found + ("-asr" if self.text_source == ASR else "")

    @property
    def work(self) -> str:
        """What is being done to the clips, for a bar of progress."""
        return "clips cut into windows" if self.words is None else "clips listened to"

    def __str__(self) -> str:
        what = {FIXED: "", SPEECH: "speech, in ", CUES: "cues, in "}[self.kind]
        if not self.fixed.window_s:
            return what.removesuffix(", in ")
        return f"{what}windows of {self.fixed.window_s:g} s every {self.fixed.hop_s:g} s"


@dataclass(frozen=True, slots=True)
class _Clip:
    """One row and the spans that it is cut into, in seconds of its own files.

    Attributes:
        position: Of the row.
        spans: None where it stays whole.
        heard: Its words, where somebody was asked for them.
        fault: Why it cannot be read.
    """

    position: int
    spans: Sequence[Span] = ()
    heard: Transcript | None = None
    fault: str = ""


def cut_corpus(
    manifest: Manifest, windows: CorpusWindows, advance: Advance = lambda count: None
) -> Manifest:
    """Return a corpus of windows, one behind the other, clip by clip.

    A window has the label, group, speaker, session, split and metadata of its clip, and the column
    ``meta_clip`` names that. Where a row names neither group nor speaker, its clip is the group, so
    that no plan can tear it.

    Args:
        manifest: The corpus, with the folder that its media lie in.
        windows: How it is cut.
        advance: Called with the number of rows that were just measured.

    Raises:
        ProjectError: The source of words cannot be used.
    """
    listen = windows.words.listener() if windows.words else None
    clips = []
    for position in range(len(manifest)):
        row = manifest.row(position)
        try:
            heard = listen(manifest, row) if listen else None
            spans = tuple(_spans(manifest, row, windows, heard))
            clips.append(_Clip(position, spans, heard))
        except (MediaError, UnsafePathError, ManifestError) as error:
            clips.append(_Clip(position, fault=f"{row.id} ({_reason(manifest, error)})"))
        advance(1)
    table = _table(manifest, clips, windows)
    return replace(
        manifest,
        name=f"{manifest.name}{windows.ending}",
        table=table,
        protocol=manifest.protocol or default_protocol(table),
        notes=(*manifest.notes, *_notes(manifest, clips, windows)),
    )


def _notes(manifest: Manifest, clips: Sequence[_Clip], windows: CorpusWindows) -> Iterator[str]:
    """Yield what came of it."""
    faults = [clip.fault for clip in clips if clip.fault]
    if windows.kind != ROWS:
        n_cut = sum(bool(clip.spans) for clip in clips)
        yield (
            f"cut into {windows}: {n_cut} of {len(clips)} clips into "
            f"{sum(len(clip.spans) for clip in clips)} windows, which share the role of their clip"
        )
    if faults:
        yield f"{len(faults)} clips that cannot be read stay whole, first {faults[0]}"
    if windows.kind in (SPEECH, CUES):
        mute = [clip for clip in clips if clip.heard and not clip.spans]
        if mute:
            yield f"{len(mute)} clips in which nobody speaks stay whole"
    if windows.words is None or not windows.words.name:
        return
    heard = [clip for clip in clips if clip.heard]
    transcripts = [clip.heard for clip in heard if clip.heard]
    dropped = sum(one.dropped for one in transcripts)
    n_words = sum(len(one.words) for one in transcripts)
    yield (
        f"{n_words:,} words in {len(transcripts)} of {len(clips)} clips; "
        f"{dropped:,} written where nobody speaks, and dropped"
    )
    own = manifest.table["text"].tolist()
    both = [clip for clip in heard if own[clip.position]]
    if both:
        found = [clip.heard.text() for clip in both if clip.heard]
        yield f"{error_rate([own[clip.position] for clip in both], found)}, by the corpus' own"


def duration_of(manifest: Manifest, row: Utterance) -> float | None:
    """Return up to where sound and picture of a row's files both last, none of a row without.

    Raises:
        MediaError: A file cannot be read.
        UnsafePathError: It is behind a link that leaves the corpus' folder.
    """
    lengths_s = []
    if row.audio:
        lengths_s.append(probe_sound(manifest.media_path(row.audio))[0])
    if row.video:
        lengths_s.append(scan(manifest.media_path(row.video)).duration_s)
    return min(lengths_s, default=None)


def _spans(
    manifest: Manifest, row: Utterance, windows: CorpusWindows, heard: Transcript | None
) -> Iterator[Span]:
    lasts_s = None if windows.kind == ROWS else duration_of(manifest, row)
    if lasts_s is None:  # words alone have no times
        return
    first_s = 0.0 if np.isnan(row.start_s) else row.start_s
    last_s = lasts_s if np.isnan(row.end_s) else row.end_s
    parts: Iterable[Span] = [(first_s, last_s)]
    if windows.kind == SPEECH:
        parts = heard.speech if heard else []
    elif windows.kind == CUES:
        parts = heard.spoken_cues() if heard else []
    for start_s, end_s in parts:
        start_s, end_s = max(start_s, first_s), min(end_s, last_s)
        if end_s - start_s < SHORTEST_S:
            continue
        for begin_s, stop_s in windows.fixed.spans(end_s - start_s):
            yield round(start_s + begin_s, DIGITS), round(start_s + stop_s, DIGITS)


def _table(manifest: Manifest, clips: Iterable[_Clip], windows: CorpusWindows) -> pd.DataFrame:
    """Return the rows of all windows, those of a clip that stays whole as they were."""
    positions, starts, ends, names, texts, languages = [], [], [], [], [], []
    ids, own = manifest.ids.tolist(), manifest.table["text"].tolist()
    for clip in clips:
        name = ids[clip.position]
        for number, (start_s, end_s) in enumerate(clip.spans or [(math.nan, math.nan)]):
            positions.append(clip.position)
            starts.append(start_s)
            ends.append(end_s)
            names.append(f"{name}#{number:06d}" if clip.spans else name)
            texts.append(_text(clip, (start_s, end_s), own[clip.position], windows))
            languages.append(clip.heard.language if clip.heard else "")
    table = manifest.table.iloc[positions].reset_index(drop=True)
    table["text"] = texts
    table["language"] = table["language"].mask(table["language"] == "", languages)
    if windows.kind == ROWS:
        return table
    table[CLIP] = table["id"]
    table["id"] = names
    nameless = (table["group"] == "") & (table["speaker"] == "")
    table["group"] = table["group"].mask(nameless, table[CLIP])
    cut = ~np.isnan(starts)
    if set(FILM_TIMES) <= set(table):
        _shift_film(table, cut, np.array(starts), np.array(ends))
    table["start_s"] = np.where(cut, starts, table["start_s"])
    table["end_s"] = np.where(cut, ends, table["end_s"])
    return table


def _text(clip: _Clip, span: Span, own: str, windows: CorpusWindows) -> str:
    """Return the words of a window."""
    if clip.heard is None or (windows.text_source == GOLD and own):
        return own
    return clip.heard.text(*span) if clip.spans else clip.heard.text()


def _shift_film(
    table: pd.DataFrame,
    cut: NDArray[np.bool_],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
) -> None:
    """Move the times of the film, where it has times of its own, as those of the sound move."""
    import pandas as pd

    of_sound = table["start_s"].fillna(0.0).to_numpy()
    film = pd.to_numeric(table[FILM_TIMES[0]], errors="coerce").fillna(0.0).to_numpy()
    for column, times in zip(FILM_TIMES, (starts, ends), strict=True):
        own = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
        table[column] = np.where(cut, np.round(film + times - of_sound, DIGITS), own)


def _reason(manifest: Manifest, error: Exception) -> str:
    """Return why, without the place on this disk, since the note goes into the store."""
    return str(error).replace(f"{(manifest.root or Path()).resolve()}/", "")
