"""Reads a manifest of any length once, in pieces, and checks and counts it in constant memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings_store.corpus.column_names import MEDIA, STRINGS, Renames, check_names, rename
from embeddings_store.corpus.columns import (
    NUMBERS,
    PROMISES,
    UNIQUE,
    Broken,
    Promise,
    normalise,
    strings,
)
from embeddings_store.corpus.duplicate_ids import KEPT, DuplicateIds, Ids
from embeddings_store.corpus.label_looks import require_single
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import NO_MEDIA, check_name, safe_name
from embeddings_store.corpus.media_paths import ABSOLUTE, BACKSLASH, settle_paths
from embeddings_store.corpus.votes import Votes
from embeddings_store.errors import LabelError, ManifestError, ProjectError, UsageError
from embeddings_store.tables import iter_tables

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 1 << 14
# Letters of an id that stand for it.
LETTERS = 200
COUNTED = ("label", "speaker", "group", "session", "split", "language")
# Letters that the different words of one column may have in all, each word with what it costs to
# keep it.
WORDS_ROOM, WORD_COST = 1 << 23, 64
# Letters that stand where a text was read in another encoding than it was written in: the
# replacement sign, the control characters that cp1252 has its quotation marks at, and UTF-8 taken
# for cp1252.
MOJIBAKE = r"[\x80-\x9f\ufffd]|\u00e2\u20ac|\u00c3[\u00a0-\u00bf\u2018-\u201d]"
LONG_S, LONGEST_S = 60.0, 3e10
# What is no broken promise and should be looked at, by name: which rows of a table it is about, and
# the column it is seen in.
REMARKS: Mapping[str, tuple[str, Callable[[pd.DataFrame], pd.Series]]] = {
    "no label": ("label", lambda table: table["label"] == ""),
    "no words": ("text", lambda table: table["text"].str.strip() == ""),
    "text in a wrong encoding": (
        "text",
        lambda table: table["text"].str.contains(MOJIBAKE, regex=True),
    ),
    f"longer than {LONG_S:.0f} s": (
        "end_s",
        lambda table: table["end_s"] - table["start_s"] > LONG_S,
    ),
}


@dataclass(frozen=True, slots=True)
class Remark:
    """Rows of which something is to be said.

    Attributes:
        name: What it is.
        count: How many rows.
        rows: The first of them, counted from 1.
        ids: Their ids.
    """

    name: str
    count: int
    rows: tuple[int, ...]
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem(Remark):
    """Rows that break a promise of every manifest.

    The sentence and the error are those of :meth:`Manifest.read`.
    """

    sentence: str
    error: type[ProjectError] = ManifestError


@dataclass(frozen=True, slots=True)
class Words:
    """The different words of a column and how often each occurs.

    Attributes:
        counts: Word to rows, in the order of the table; of the first ones only where there are too
            many to keep.
        complete: Whether these are all.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True

    def common(self, number: int) -> dict[str, int]:
        """Return the most common ones, those that come first before others that are as common."""
        return dict(sorted(self.counts.items(), key=lambda item: -item[1])[:number])

    def to_dict(self, number: int = KEPT) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "distinct": len(self.counts),
            "complete": self.complete,
            "common": self.common(number),
        }


@dataclass(frozen=True, slots=True)
class Spans:
    """How long the rows are that give both their times, to the microsecond.

    All 0 where none does.

    Attributes:
        rows: How many such rows.
        total_s: Their durations together, in seconds.
        shortest_s: The shortest duration, in seconds.
        longest_s: The longest duration, in seconds.
    """

    rows: int = 0
    total_s: float = 0.0
    shortest_s: float = 0.0
    longest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scan:
    """What a manifest holds and what is wrong with it.

    Attributes:
        name: The corpus' name.
        rows: How many rows.
        columns: Their names, as they stand in the file.
        given: Column of strings to the number of rows that give it.
        words: Column to its different words, of :data:`COUNTED`.
        spans: How long the rows are.
        problems: Promises that rows break; the first is what :meth:`Manifest.read` raises. None
            where it would read the file.
        remarks: What else is to be looked at, in the order of :data:`REMARKS`.
        votes: What became of columns ``vote_*``, a sentence or none.
    """

    name: str
    rows: int
    columns: tuple[str, ...]
    given: Mapping[str, int]
    words: Mapping[str, Words]
    spans: Spans
    problems: tuple[Problem, ...]
    remarks: tuple[Remark, ...]
    votes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, of each column of words the most common ones."""
        return {
            "name": self.name,
            "rows": self.rows,
            "columns": list(self.columns),
            "given": dict(self.given),
            "words": {column: words.to_dict() for column, words in self.words.items()},
            "spans": asdict(self.spans),
            "labels_alike": alike(self.words["label"].counts),
            "problems": [
                {**asdict(problem), "error": problem.error.__name__} for problem in self.problems
            ],
            "remarks": [asdict(remark) for remark in self.remarks],
            "votes": list(self.votes),
        }


def scan_manifest(
    path: Path,
    name: str = "",
    batch_rows: int = BATCH_ROWS,
    columns: Renames = (),
    media: Path | None = None,
) -> Scan:
    """Read a CSV or Parquet manifest in pieces, check every row, and count.

    The checks are those of :class:`Manifest`.
    Memory does not grow with the cells, and by 9 bytes for each row: a hash of its id. Where ids
    have the same hash the file is read again, and those are compared by 128
    bits of BLAKE2b; each row that has its hash with another then costs 60 bytes more.

    Args:
        path: The table.
        name: The corpus' name; the file's stem by default.
        batch_rows: Rows that are looked at together, at most; the result is the same for any.
        columns: Old names and new names of columns, see
            :func:`embeddings_store.corpus.column_names.rename`.
        media: The folder that media paths are relative to; the table's own by default.

    Raises:
        ManifestError: The file is missing, is no table, or has a column that no manifest has.
        UsageError: ``batch_rows`` is less than 1, or a column to rename is not there.
    """
    if batch_rows < 1:
        raise UsageError(f"batch_rows {batch_rows}: expected 1 or more")
    counter = _Counter(media or path.absolute().parent)
    try:
        for table in iter_tables(path, batch_rows):
            counter.add(rename(table, columns))
        name = name or safe_name(path.stem)
        check_name(name)
    except ManifestError as error:
        # What the table's reader raises names the file already.
        if str(error).startswith(f"{path}: "):
            raise
        raise type(error)(f"{path}: {error}") from error
    duplicates = counter.ids.duplicates(
        lambda: _ids(path, batch_rows, columns, counter.root, counter.columns)
    )
    return Scan(
        name,
        counter.rows,
        counter.columns,
        dict(counter.given),
        {column: Words(words.counts, words.complete) for column, words in counter.words.items()},
        counter.spans(),
        tuple(_problems(name, counter, duplicates)),
        tuple(
            Remark(word, seen.count, tuple(seen.rows), tuple(seen.ids))
            for word in (*REMARKS, ABSOLUTE, BACKSLASH)
            if (seen := counter.seen[word]).count
        ),
        counter.votes.lines(),
    )


def _ids(
    path: Path, batch_rows: int, columns: Renames, root: Path, names: Sequence[str]
) -> Iterator[pd.Series]:
    """Yield the ids again, as they were counted, from the columns that make them."""
    needed = [name for name in ("id", "audio", "video") if name in names]
    origin = {new: old for old, new in columns}
    read = list(dict.fromkeys(origin.get(name, name) for name in needed))
    renamed = tuple((old, new) for old, new in columns if new in needed)
    for table in iter_tables(path, batch_rows, read):
        settled, _ = settle_paths(rename(table, renamed), root)
        yield strings(settled["id"], "id")


def alike(words: Iterable[str]) -> list[list[str]]:
    """Return the groups of words that differ in case or spaces only.

    >>> alike(["sad", "joy", "Sad ", "joyful"])
    [['Sad ', 'sad']]
    """
    by_form: dict[str, list[str]] = defaultdict(list)
    for word in words:
        if word:
            by_form[" ".join(word.split()).casefold()].append(word)
    return [sorted(group) for group in by_form.values() if len(group) > 1]


class _Seen:
    """The rows that one check has found so far."""

    def __init__(self) -> None:
        self.count = 0
        self.rows: list[int] = []
        self.ids: list[str] = []
        self.first: dict[str, object] = {}

    def add(self, broken: pd.Series, table: pd.DataFrame, before: int) -> None:
        places = np.flatnonzero(broken)
        if len(places) and not self.count:
            self.first = {str(column): cell for column, cell in table.iloc[places[0]].items()}
        kept = places[: KEPT - len(self.rows)]
        self.rows += (before + kept + 1).tolist()
        self.ids += [str(cell)[:LETTERS] for cell in table["id"].iloc[kept]]
        self.count += len(places)


class _Words:
    """The words of one column so far."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.complete = True
        self.room = WORDS_ROOM

    def add(self, column: pd.Series) -> None:
        import pandas as pd

        codes, words = pd.factorize(column)
        for word, count in zip(
            words, np.bincount(codes, minlength=len(words)).tolist(), strict=True
        ):
            if word in self.counts:
                self.counts[word] += count
            elif word and (cost := WORD_COST + len(word)) <= self.room:
                self.counts[str(word)] = count
                self.room -= cost
            elif word:
                self.complete = False


class _Counter:
    """Everything that is known of the rows so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows = 0
        self.columns: tuple[str, ...] = ()
        self.seen: dict[str, _Seen] = defaultdict(_Seen)
        self.words = {column: _Words() for column in COUNTED}
        self.given = dict.fromkeys(STRINGS, 0)
        self.ids = Ids()
        self.votes = Votes()
        self.timed, self.total_us, self.shortest_us, self.longest_us = 0, 0, 0, 0

    def add(self, raw: pd.DataFrame) -> None:
        if not self.columns:
            self.columns = tuple(map(str, raw.columns))
            check_names(self.columns)
        raw, settled = settle_paths(self.votes.settle(raw), self.root)
        table = normalise(self._numbers(raw))
        for kind, rows in settled.items():
            self.seen[kind].add(rows, table, self.rows)
        for promise in PROMISES:
            if promise is not UNIQUE and (promise.column in raw):
                self.seen[promise.name].add(promise.broken(table), table, self.rows)
        for name, (column, about) in REMARKS.items():
            if column in raw:
                self.seen[name].add(about(table), table, self.rows)
        for column in STRINGS:
            if column in raw:
                self.given[column] += int((table[column] != "").sum())
        for column in COUNTED:
            if column in raw:
                self.words[column].add(table[column])
        self._measure(table)
        self.ids.add(table["id"])
        self.rows += len(table)

    def _numbers(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Note the cells of times that are no numbers, and leave them out."""
        for name, promise in NUMBERS.items():
            if name in raw and (broken := promise.broken(raw)).any():
                self.seen[promise.name].add(
                    broken, raw.assign(id=strings(raw["id"], "id")), self.rows
                )
                raw = raw.assign(**{name: strings(raw[name], name).mask(broken, "")})
        return raw

    def _measure(self, table: pd.DataFrame) -> None:
        start, end = (table[name].to_numpy() for name in NUMBERS)
        sound = np.isfinite(start) & np.isfinite(end) & (start >= 0) & (start < end)
        if sound.any():
            # Whole microseconds sum to the same in any order; no recording takes a thousand years.
            spans_us = np.rint(np.minimum(end[sound] - start[sound], LONGEST_S) * 1e6).astype(
                np.int64
            )
            self.shortest_us = min(
                int(spans_us.min()), self.shortest_us if self.timed else int(spans_us.min())
            )
            self.longest_us = max(int(spans_us.max()), self.longest_us)
            self.total_us += sum(spans_us.tolist())
            self.timed += len(spans_us)

    def spans(self) -> Spans:
        return Spans(self.timed, self.total_us / 1e6, self.shortest_us / 1e6, self.longest_us / 1e6)


def _problems(name: str, counter: _Counter, duplicates: DuplicateIds) -> Iterator[Problem]:
    """Yield what is wrong in the order in which :meth:`Manifest.read` looks for it."""
    if not any(counter.given[medium] for medium in MEDIA):
        yield Problem("no media", counter.rows, (), (), NO_MEDIA)
    if labels := counter.words["label"].counts:
        try:
            LabelSet.from_labels(name, labels)
        except LabelError as error:
            yield Problem("too few labels", counter.given["label"], (), (), str(error), LabelError)
        try:
            require_single(labels)
        except ManifestError as error:
            yield Problem("several labels", counter.given["label"], (), (), str(error))
    for promise in (*NUMBERS.values(), *PROMISES):
        if promise is UNIQUE:
            if duplicates.count:
                yield _problem(
                    promise,
                    duplicates,
                    Broken(
                        duplicates.count,
                        counter.rows,
                        duplicates.rows[0] + 1,
                        {"id": duplicates.ids[0]},
                        duplicates.before + 1,
                    ),
                    [row + 1 for row in duplicates.rows],
                )
        elif (seen := counter.seen[promise.name]).count:
            yield _problem(
                promise, seen, Broken(seen.count, counter.rows, seen.rows[0], seen.first), seen.rows
            )


def _problem(
    promise: Promise, seen: _Seen | DuplicateIds, broken: Broken, rows: Sequence[int]
) -> Problem:
    return Problem(
        promise.name,
        seen.count,
        tuple(rows),
        tuple(cell[:LETTERS] for cell in seen.ids),
        promise.message(broken),
        promise.error,
    )
