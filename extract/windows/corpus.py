"""The rows of a corpus cut into windows, which inherit everything but their times and their words.

Sound, pictures and words of a window are of the same seconds. A row that cannot be measured stays
whole, so that whoever reads its media says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.default_protocol import default_protocol
from embeddings_store.corpus.manifest import Manifest, Utterance
from embeddings_store.corpus.windows import CLIP
from embeddings_store.errors import MediaError, UnsafePathError
from extract.frames.index import scan
from extract.media.header import probe_sound
from extract.windows.fixed import FixedWindows

if TYPE_CHECKING:
    import pandas as pd

FILM_TIMES = ("meta_video_start_s", "meta_video_end_s")
Span = tuple[float, float]
Advance = Callable[[int], None]
# Rounded like the spans of FixedWindows, so that a time has one spelling.
DIGITS = 6


@dataclass(frozen=True, slots=True)
class CorpusWindows:
    """How the rows of a corpus are cut.

    Attributes:
        fixed: Length and distance of the windows.
    """

    fixed: FixedWindows = field(default_factory=FixedWindows)

    @property
    def ending(self) -> str:
        """What the corpus' name ends with, so that other windows are another corpus.

        >>> CorpusWindows(FixedWindows(1.0, 0.5)).ending
        '-1s-0.5s'
        """
        return f"-{self.fixed.window_s:g}s-{self.fixed.hop_s:g}s"

    def __str__(self) -> str:
        return f"windows of {self.fixed.window_s:g} s every {self.fixed.hop_s:g} s"


@dataclass(frozen=True, slots=True)
class _Clip:
    """One row and the spans that it is cut into, in seconds of its own files."""

    position: int
    spans: Sequence[Span]


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
    """
    clips, reasons = [], []
    for position in range(len(manifest)):
        row = manifest.row(position)
        try:
            spans: Sequence[Span] = tuple(_spans(manifest, row, windows))
        except (MediaError, UnsafePathError) as error:
            spans = ()
            reasons.append(f"{row.id} ({_reason(manifest, error)})")
        clips.append(_Clip(position, spans))
        advance(1)
    table = _table(manifest, clips)
    n_cut = sum(len(clip.spans) > 0 for clip in clips)
    notes = [
        f"cut into {windows}: {n_cut} of {len(manifest)} clips into "
        f"{len(table) - len(manifest) + n_cut} windows, which share the role of their clip"
    ]
    if reasons:
        notes.append(f"{len(reasons)} clips that cannot be read stay whole, first {reasons[0]}")
    return replace(
        manifest,
        name=f"{manifest.name}{windows.ending}",
        table=table,
        protocol=manifest.protocol or default_protocol(table),
        notes=(*manifest.notes, *notes),
    )


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


def _spans(manifest: Manifest, row: Utterance, windows: CorpusWindows) -> Iterator[Span]:
    lasts_s = duration_of(manifest, row)
    if lasts_s is None:  # words alone have no times
        return
    start_s = 0.0 if np.isnan(row.start_s) else row.start_s
    end_s = lasts_s if np.isnan(row.end_s) else row.end_s
    for begin_s, stop_s in windows.fixed.spans(end_s - start_s):
        yield round(start_s + begin_s, DIGITS), round(start_s + stop_s, DIGITS)


def _table(manifest: Manifest, clips: Iterable[_Clip]) -> pd.DataFrame:
    """Return the rows of all windows, those of a clip that stays whole as they were."""
    positions, starts, ends, names = [], [], [], []
    ids = manifest.ids
    for clip in clips:
        own = str(ids[clip.position])
        for number, (start_s, end_s) in enumerate(clip.spans or [(np.nan, np.nan)]):
            positions.append(clip.position)
            starts.append(start_s)
            ends.append(end_s)
            names.append(f"{own}#{number:06d}" if clip.spans else own)
    table = manifest.table.iloc[positions].reset_index(drop=True)
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
