"""What a reader noticed, as sentences that carry their facts, and what a release documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from embeddings_store.corpus.manifest import Manifest

SHOWN = 6

# Kinds that several readers use. A reader may count any other kind under a name of its own.
SUMMARY = "what is there"
HIDDEN = "hidden name skipped"
ODD_NAME = "odd file name skipped"
POINTER = "Git-LFS pointer where media should be; run git lfs pull"
DANGLING = "link that leads nowhere where media should be; run git annex get"
EMPTY = "empty file where media should be; fetch it again"
SPELLING = "file whose name on the disk spells the same letters in another way (Unicode)"
NO_AUDIO = "row without an audio file"
NO_VIDEO = "row without a video file"
KNOWN_BAD = "clip known to be bad"
UNMAPPED = "label that could not be mapped"
NOT_LOCAL = "link, which is not local and is never fetched"
DIFFERS = "count differs from the full release"


class Note(str):
    """A sentence of a reader; it reads, compares and is stored as text.

    Attributes:
        kind: What was noticed, the same words for every file or row that it happened to.
        count: How often.
        examples: The names of what it happened to: all of them, where the reader knows them.

    >>> note = Note("2 x odd file name skipped: 'a.wav', 'b.wav'", ODD_NAME, 2, ("a.wav", "b.wav"))
    >>> note.count, note.examples, note.startswith("2 x")
    (2, ('a.wav', 'b.wav'), True)
    """

    kind: str
    count: int  # type: ignore[assignment]  # hides str.count, which nobody needs on a sentence
    examples: tuple[str, ...]

    def __new__(
        cls, sentence: str, kind: str = SUMMARY, count: int = 1, examples: Iterable[str] = ()
    ) -> Note:
        """Make a note of a sentence and its facts."""
        note = super().__new__(cls, sentence)
        note.kind, note.count, note.examples = kind, count, tuple(examples)
        return note


class Notes:
    """Collects what a reader notices, one :class:`Note` per kind however often it happened.

    >>> notes = Notes()
    >>> notes.count("odd file name", "a.wav")
    >>> notes.count("odd file name", "b.wav")
    >>> notes.say("2 of 24 actors")
    >>> notes.lines()
    ('2 of 24 actors', "2 x odd file name: 'a.wav', 'b.wav'")
    """

    def __init__(self) -> None:
        self._said: list[Note] = []
        self._counted: dict[str, list[str]] = {}

    def say(
        self, line: str, kind: str = SUMMARY, count: int = 1, examples: Iterable[str] = ()
    ) -> None:
        """Add one sentence.

        Args:
            line: The sentence.
            kind: What it is about.
            count: How often that occurs.
            examples: Names where it does.
        """
        self._said.append(Note(line, kind, count, examples))

    def count(self, kind: str, name: str) -> None:
        """Count one more ``name`` of a ``kind``."""
        self._counted.setdefault(kind, []).append(name)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return every name that was counted under ``kind``."""
        return tuple(self._counted.get(kind, ()))

    def lines(self) -> tuple[Note, ...]:
        """Return what was said, then one note per kind with its count and its first names."""
        return (
            *self._said,
            *(
                Note(f"{len(names)} x {kind}: {listed(names)}", kind, len(names), names)
                for kind, names in self._counted.items()
            ),
        )


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return the first names, quoted, and how many more there are.

    >>> listed(["a", "b", "c"], shown=2)
    "'a', 'b' and 1 more"
    """
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(repr(name) for name in names[:shown]) or "nothing") + more


@dataclass(frozen=True, slots=True)
class Documented:
    """One count that a release's documents state; a reader's file lists them as ``DOCUMENTED``.

    Attributes:
        count: How many rows, or how many different values of ``distinct``.
        where: Column to value: which rows are meant, all by default.
        distinct: A column whose different values are counted instead of rows; empty values do not
            count.
        options: Option of the reader to the value, or the values, under which the count holds; any
            other option may be anything.

    >>> Documented(1440, options={"channel": "speech"}).title
    'rows'
    >>> Documented(10, distinct="speaker").title
    'different speaker'
    >>> Documented(229, {"label": "ang", "session": "Ses01"}).title
    'rows with label ang, session Ses01'
    """

    count: int
    where: Mapping[str, str] = field(default_factory=dict)
    distinct: str = ""
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What is counted, in words."""
        what = f"different {self.distinct}" if self.distinct else "rows"
        if not self.where:
            return what
        conditions = [f"{column} {value}" for column, value in self.where.items()]
        return f"{what} with {', '.join(conditions)}"

    def holds(self, options: Mapping[str, object]) -> bool:
        """Say whether the count is meant for a manifest read with these options, defaults too."""
        for name, wanted in self.options.items():
            allowed = wanted if isinstance(wanted, tuple) else (wanted,)
            if options.get(name) not in allowed:
                return False
        return True

    def seen(self, manifest: Manifest) -> int:
        """Return the count in a manifest."""
        table = manifest.table
        for column, value in self.where.items():
            table = table[table[column] == value]
        if not self.distinct:
            return len(table)
        values = table[self.distinct]
        return int(values[values != ""].nunique())


def differences(manifest: Manifest, documented: Iterable[Documented]) -> tuple[Note, ...]:
    """Return a note for each documented count that a manifest does not have."""
    found = ((count, count.seen(manifest)) for count in documented)
    return tuple(
        Note(
            f"{count.title}: {seen:,}, where the full release has {count.count:,}",
            DIFFERS,
            abs(seen - count.count),
            (count.title,),
        )
        for count, seen in found
        if seen != count.count
    )
