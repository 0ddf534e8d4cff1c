"""What the reader noticed, sorted by what it means: half a release, a row to look at, or a fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from extract.checks.finding import BAD_MEDIA, INCOMPLETE, CorpusFinding, ReleaseUnderCheck
from extract.corpora import Note
from extract.corpora import _notes as kinds
from extract.corpora.iemocap import DROPPED
from extract.corpora.meld import NO_MEDIA

# Kind to level, exit status and advice; any other kind is a warning. Counts that differ have a
# check of their own.
MEANING: Mapping[str, tuple[str, int, str]] = {
    kinds.SUMMARY: ("fact", 0, ""),
    kinds.HIDDEN: ("fact", 0, ""),
    kinds.SPELLING: ("fact", 0, ""),
    DROPPED: ("fact", 0, ""),
    "clip of the other channel left out": ("fact", 0, ""),
    kinds.KNOWN_BAD: (
        "warning",
        0,
        "they are documented defects of the release; the reader's options say whether they are "
        "used",
    ),
    kinds.POINTER: ("error", INCOMPLETE, "run 'git lfs pull' in the release's repository"),
    kinds.EMPTY: ("error", BAD_MEDIA, "fetch these files again"),
}
LACKING = {kinds.NO_AUDIO, kinds.NO_VIDEO, NO_MEDIA}
OTHERWISE = ("warning", 0, "see whether that is what you expect")


def from_notes(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Yield the notes of the reader as findings."""
    for line in release.manifest.notes:
        note = line if isinstance(line, Note) else Note(line)
        if note.kind == kinds.DIFFERS:
            continue
        level, status, advice = _meaning(note, len(release.manifest))
        sentence = note.kind if note.examples else str(note)
        yield CorpusFinding(level, "reader", sentence, note.count, note.examples, advice, status)


def _meaning(note: Note, rows: int) -> tuple[str, int, str]:
    """Return level, exit status and advice.

    A modality that no row has was not downloaded; one that only some rows lack is torn.
    """
    if note.kind in LACKING:
        if note.count >= rows:
            return "fact", 0, ""
        return "error", INCOMPLETE, "fetch them again; until then the modality is missing there"
    return MEANING.get(note.kind, OTHERWISE)
