"""A manifest's columns.

Their fixed form, the checks that every row passes, and the bytes that a digest is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.corpus.column_names import STRINGS, TIMES, check_id_column
from embeddings_store.errors import ManifestError, UnsafePathError, UsageError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# What the column split may say, and which role it is.
SPLIT_ROLES = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "development": "valid",
    "test": "test",
    "tst": "test",
    "": "unused",
}
# What a metadata column may tell a model: nothing about the label (who speaks, when), what any
# listener knows beforehand (the topic, the dialogue so far), or what somebody noted who knew the
# label (ratings, causes, acted intensity).
LEAK_TAGS = ("safe", "context", "leaky")
UNTAGGED = "unknown"
CHUNK_ROWS = 1 << 20
# How pandas, audformat and openSMILE write a time; two parts alone might be minutes or hours.
# Of several times that are all whole days, pandas writes the days alone: openSMILE's start is so.
CLOCK = r"(?:\d+ days? )?\d{1,3}:\d\d:\d\d(?:\.\d+)?|\d+ days?"
# An absolute path, a backslash, a step upwards, a drive or scheme before the first slash.
UNSAFE = r"^/|\\|(?:^|/)\.\.(?:/|$)|^(?:\./)*[^/]*:"


@dataclass(frozen=True, slots=True)
class Broken:
    """How often a promise is broken in a table.

    Attributes:
        count: Rows that break it.
        total: Rows of the table.
        row: The first of them, counted from 1.
        cells: What stands in that row.
        earlier: The row before it that has the same id, counted from 1; 0 where the promise is
            another one.
    """

    count: int
    total: int
    row: int
    cells: Mapping[str, object]
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class Promise:
    """What is true of every row of a manifest.

    Attributes:
        name: What is so where it is broken.
        column: Where it is seen; examples show it.
        broken: Says for each row of a table whether it breaks it, shape (n,).
        message: The sentence about a broken one, for users.
        error: Its class.
    """

    name: str
    column: str
    broken: Callable[[pd.DataFrame], pd.Series]
    message: Callable[[Broken], str]
    error: type[ManifestError] = ManifestError

    def require(self, table: pd.DataFrame) -> None:
        """Check that no row breaks the promise.

        Raises:
            ManifestError: A row does; the class is :attr:`error`.
        """
        rows = np.flatnonzero(self.broken(table))
        if len(rows):
            first = table.iloc[rows[0]].to_dict()
            earlier = 0
            if self is UNIQUE:
                earlier = int(np.flatnonzero(table["id"] == first["id"])[0]) + 1
            raise self.error(
                self.message(Broken(len(rows), len(table), int(rows[0]) + 1, first, earlier))
            )


def normalise(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with every fixed column.

    Strings, seconds as float64, metadata as strings or numbers; nothing else.
    """
    import pandas as pd

    check_id_column([str(name) for name in table.columns])
    columns: dict[str, pd.Series] = {}
    for name in STRINGS:
        columns[name] = (
            strings(table[name], name)
            if name in table
            else pd.Series("", index=table.index, dtype="str")
        )
    for name in TIMES:
        columns[name], bad = seconds(table, name)
        if bad.any():
            NUMBERS[name].require(table)
    columns |= {
        str(name): _metadata(table[name], str(name))
        for name in table.columns
        if str(name).startswith("meta_")
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def check_table(table: pd.DataFrame) -> None:
    """Check what is true of every manifest.

    Ids unique and not empty, ``start_s < end_s``, no path leaves the root, no NUL.

    Raises:
        ManifestError: How many rows break which promise, and the first of them.
    """
    for promise in PROMISES:
        promise.require(table)


def check_tags(tags: Mapping[str, str], names: Iterable[str]) -> None:
    """Check that every leak tag is a known word and stands for a metadata column that is there.

    Raises:
        ManifestError: Which column or word is not; both with the nearest that is.
    """
    columns = [str(c) for c in names if str(c).startswith("meta_")]
    for column, tag in tags.items():
        if column not in columns:
            raise ManifestError(
                f"a leak tag is given for {column!r}, which is no metadata "
                f"column{did_you_mean(column, columns)} (there are {', '.join(columns) or 'none'})"
            )
        if tag not in LEAK_TAGS:
            raise ManifestError(
                f"column {column!r} has the leak tag {tag!r}{did_you_mean(tag, LEAK_TAGS)} (tags "
                f"are {', '.join(LEAK_TAGS)})"
            )


def parse_tags(**named: str) -> dict[str, str]:
    """Return column to leak tag from lists as a command line gives them.

    >>> parse_tags(safe="meta_age,meta_sex", leaky="meta_cause")
    {'meta_age': 'safe', 'meta_sex': 'safe', 'meta_cause': 'leaky'}

    Raises:
        UsageError: A column is named under two tags.
    """
    tags: dict[str, str] = {}
    for tag, names in named.items():
        for column in filter(None, (name.strip() for name in names.split(","))):
            if tags.setdefault(column, tag) != tag:
                raise UsageError(
                    f"column {column!r} is named both {tags[column]} and {tag}; leave it in one "
                    "list"
                )
    return tags


def strings(column: pd.Series, name: str) -> pd.Series:
    """Return a column of strings, empty where nothing is given.

    Raises:
        ManifestError: A cell is no Unicode text.
    """
    if column.dtype == "str" and not column.hasnans:
        return column
    try:
        return column.astype("str").fillna("").astype("str")
    except UnicodeEncodeError as error:
        raise ManifestError(
            f"column {name!r} holds {str(error.object)!r}, which is no Unicode text (half of a "
            "surrogate pair); read the source with its right encoding"
        ) from error
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"column {name!r} holds {error.object[:40]!r}, bytes that are not UTF-8; save it as "
            "text"
        ) from error


def _metadata(column: pd.Series, name: str) -> pd.Series:
    """Return a column as int64, as float64 if it is another kind of number, else as strings."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column.dtype):
        return strings(column, name)
    if column.dtype == np.int64:
        return column
    return pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan), index=column.index)


def numbers(column: pd.Series) -> pd.Series | None:
    """Return a metadata column as float64, or none where it holds words.

    Cells in which nothing finite is given become ``nan``.
    A CSV file does not say which of its columns are numbers: those are in which every cell that is
    not empty is one.

    >>> import pandas as pd
    >>> numbers(pd.Series(["3", "", "4.5"])).tolist(), numbers(pd.Series(["3", "old"])) is None
    ([3.0, nan, 4.5], True)
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.astype(np.float64).replace([np.inf, -np.inf], np.nan)
    given = column.replace("", np.nan)
    parsed = pd.to_numeric(given, errors="coerce").astype(np.float64)
    filled = given.notna()
    if not filled.any() or not np.isfinite(parsed[filled]).all():
        return None
    return parsed


def comma_notes(table: pd.DataFrame) -> tuple[str, ...]:
    """Return a sentence for each metadata column whose numbers are words because of a comma.

    >>> import pandas as pd
    >>> comma_notes(pd.DataFrame({"meta_age": ["23,5", "31", ""], "meta_note": ["1,5", "so", ""]}))
    ("column 'meta_age' holds numbers with a decimal comma, which count as words; write points",)
    """
    import pandas as pd

    sentences = []
    for name in map(str, table.columns):
        if not name.startswith("meta_") or pd.api.types.is_numeric_dtype(table[name].dtype):
            continue
        cells = table[name][table[name] != ""]
        commas = cells.str.fullmatch(r"-?\d+,\d+")
        if commas.any() and (commas | cells.str.fullmatch(r"-?\d+")).all():
            sentences.append(
                f"column {name!r} holds numbers with a decimal comma, which count as words; write "
                "points"
            )
    return tuple(sentences)


def seconds(table: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series]:
    """Return a column of times as float64, and which of its cells hold something that is no time.

    Words, dates, yes and no. Beside numbers, hours with minutes and seconds are times.

    >>> import pandas as pd
    >>> seconds(pd.DataFrame({"end_s": ["1.5", "0 days 00:01:00.25", "soon"]}), "end_s")[0].tolist()
    [1.5, 60.25, nan]
    """
    import pandas as pd

    column = table[name] if name in table else pd.Series(np.nan, index=table.index)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return pd.Series(
            column.to_numpy(dtype=np.float64, na_value=np.nan), column.index
        ), pd.Series(False, column.index)
    cells = strings(column, name)
    values = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    clock = cells.str.fullmatch(CLOCK)
    if clock.any():
        values = values.mask(clock, pd.to_timedelta(cells.where(clock, "0")).dt.total_seconds())
    return values, values.isna() & ~cells.isin(["", "NaT"])


def _odd_times(table: pd.DataFrame) -> pd.Series:
    start, end = table["start_s"].fillna(0.0), table["end_s"]
    return (start < 0) | (end.notna() & ~(start < end)) | np.isinf(start) | np.isinf(end)


def _text_promise(column: str) -> Promise:
    return Promise(
        f"NUL character in {column!r}",
        column,
        lambda table: table[column].str.contains("\x00", regex=False),
        lambda seen: (
            f"column {column!r} holds a NUL character in {seen.count} rows, first row {seen.row} "
            f"({seen.cells[column]!r}); the source is damaged or not text"
        ),
    )


def _number_promise(column: str) -> Promise:
    return Promise(
        f"no number in {column!r}",
        column,
        lambda table: seconds(table, column)[1],
        lambda seen: (
            f"column {column!r} must hold seconds as numbers with a decimal point; {seen.count} "
            f"of {seen.total} rows do not, first row {seen.row} ({str(seen.cells[column])!r})"
        ),
    )


def _path_promise(column: str) -> Promise:
    return Promise(
        f"unsafe path in {column!r}",
        column,
        lambda table: table[column].str.contains(UNSAFE, regex=True),
        lambda seen: (
            f"column {column!r} holds {seen.cells[column]!r}; media paths are relative to the "
            "manifest, with '/', and may not leave its folder; where the media lie in another one, "
            "name that with media=DIR"
        ),
        UnsafePathError,
    )


UNIQUE = Promise(
    "duplicate id",
    "id",
    lambda table: table["id"].duplicated(),
    lambda seen: (
        f"{seen.count} duplicate ids, first {seen.cells['id']!r} in rows {seen.earlier} and "
        f"{seen.row}; an id names one utterance (put the split or dialogue into it where numbers "
        "repeat)"
    ),
)
# Of a table as it was read; then those of a table in its fixed form.
NUMBERS = {column: _number_promise(column) for column in TIMES}
PROMISES = (
    *map(_text_promise, STRINGS),
    Promise(
        "empty id",
        "id",
        lambda table: table["id"] == "",
        lambda seen: f"{seen.count} of {seen.total} rows have an empty id, first row {seen.row}",
    ),
    UNIQUE,
    Promise(
        "odd times",
        "id",
        _odd_times,
        lambda seen: (
            f"{seen.count} rows need 0 <= start_s < end_s, first {seen.cells['id']!r} with "
            f"start_s={seen.cells['start_s']}, end_s={seen.cells['end_s']}"
        ),
    ),
    *map(_path_promise, ("audio", "video")),
)


def column_bytes(name: str, column: pd.Series) -> Iterator[bytes]:
    """Yield a column as bytes that no other column has.

    Name and kind, then numbers, or lengths and cells.
    """
    import pyarrow as pa

    if column.dtype == np.int64:
        yield f"\x00{len(name)} {name} <i8\x00".encode() + column.to_numpy(dtype="<i8").tobytes()
    elif column.dtype == np.float64:
        numbers = column.to_numpy(dtype="<f8")
        yield (
            f"\x00{len(name)} {name} <f8\x00".encode()
            + np.where(np.isnan(numbers), np.nan, numbers + 0.0).tobytes()
        )
    else:
        yield f"\x00{len(name)} {name} utf-8\x00".encode()
        for start in range(0, len(column), CHUNK_ROWS):
            yield from _string_bytes(
                pa.array(column.iloc[start : start + CHUNK_ROWS], type=pa.large_string())
            )


def _string_bytes(cells: pa.LargeStringArray) -> Iterator[bytes]:
    """Yield the length of each cell in bytes, then the cells, out of Arrow's own buffers."""
    import pyarrow as pa

    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    _, offsets, data = cells.buffers()
    ends = np.frombuffer(offsets, dtype="<i8", count=len(cells) + 1, offset=8 * cells.offset)
    yield np.diff(ends).astype("<i8").tobytes()
    if data is not None:
        yield memoryview(data)[ends[0] : ends[-1]].tobytes()
