"""What a check sees, a release with its media facts, and what it says, a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from embeddings_store.corpus.manifest import Manifest
from extract.corpora import Documented, Note

LEVELS = ("error", "warning", "fact")
# Exit statuses that an error asks for: the release is not what it should be, or some of its media
# are not.
INCOMPLETE, BAD_MEDIA = 3, 4
# Examples on the terminal, and in the report.
SHOWN, KEPT = 3, 30


@dataclass(frozen=True, slots=True)
class CorpusFinding:
    """What a check says: one sentence about a release.

    Attributes:
        level: ``error``, ``warning`` or ``fact``.
        check: Name of the check, the same words each time.
        sentence: What is so: one of those that are counted where there are examples, else a whole
            sentence.
        count: How many rows or files it is about.
        examples: Their names, the first ones at least.
        advice: What to do, for errors and warnings.
        status: Exit status that it asks for, 0 for none.
        data: Numbers for programs.
    """

    level: str
    check: str
    sentence: str
    count: int = 1
    examples: Sequence[str] = ()
    advice: str = ""
    status: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep the first examples."""
        object.__setattr__(self, "examples", tuple(self.examples[:KEPT]))

    @property
    def rank(self) -> int:
        """Errors before warnings before facts."""
        return LEVELS.index(self.level)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "examples": list(self.examples), "data": dict(self.data)}


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What reading one file of sound or film showed.

    Attributes:
        name: Path in the manifest.
        medium: ``audio`` or ``video``.
        length_s: Length of the sound or film, nan where it could not be read.
        rate: Hz, or pictures per second of a film; 0 where it could not be read.
        channels: Of the sound; 0 for a film.
        size: Width and height of a film as it is shown, upright and in square pixels, else zeros.
        problem: Why it cannot be used, else empty.
        bad_rows: Row to reason, where the file is fine and the row's part of it is not.
        silent_rows: Rows whose sound is nothing but zeros, or whose pictures are of one colour.
        digest: Of its bytes, where another file has as many; else empty.
    """

    name: str
    medium: str
    length_s: float = float("nan")
    rate: float = 0.0
    channels: int = 0
    size: tuple[int, int] = (0, 0)
    problem: str = ""
    bad_rows: Mapping[str, str] = field(default_factory=dict)
    silent_rows: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class FaceFacts:
    """What looking for the speaker's face in the pictures of one row showed.

    Attributes:
        row: Its id.
        share: The part of the pictures in which the face was found; 0 where it cannot be followed.
        problem: Why not, else empty.
        mouth: Two curves of its mouth, see :mod:`extract.checks.mouths`; none where the row has no
            sound, is shorter than two seconds, or its face cannot be followed.
        other_mouth: Those of the other half of a split screen.
        loud: The loudness of the row's sound at the same instants.
    """

    row: str
    share: float
    problem: str = ""
    mouth: tuple[tuple[float, ...], ...] = ()
    other_mouth: tuple[tuple[float, ...], ...] = ()
    loud: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseUnderCheck:
    """What a check sees: a corpus with what is known of it.

    Attributes:
        manifest: Its rows; ``root`` is the folder of its media.
        root: What the user named.
        documented: Counts that its documents state.
        media: What reading showed, none of it where nothing was read.
        sampled: How many files were not read because a sample was asked for.
        cut_s: Length at which an encoder cuts, in seconds.
        faces: What looking for faces showed, none of it where nobody looked.
        sample_rate_hz: Rate of the release's sound, in Hz, as its documents state it; 0 where they
            do not.
    """

    manifest: Manifest
    root: Path
    documented: Sequence[Documented] = ()
    media: Sequence[MediaFacts] = ()
    sampled: int = 0
    cut_s: float = 10.0
    faces: Sequence[FaceFacts] = ()
    sample_rate_hz: int = 0

    def noted(self, *kinds: str) -> set[str]:
        """Return the names that the reader noted under these kinds."""
        names: set[str] = set()
        for note in self.manifest.notes:
            if isinstance(note, Note) and note.kind in kinds:
                names.update(note.examples)
        return names

    def media_of(self, medium: str) -> list[MediaFacts]:
        """Return what reading the files of one medium showed, ``audio`` or ``video``."""
        return [facts for facts in self.media if facts.medium == medium]

    def files(self, medium: str) -> list[str]:
        """Return the different paths that the rows name, in their order."""
        column = self.manifest.table[medium]
        return [str(name) for name in column[column != ""].unique()]
