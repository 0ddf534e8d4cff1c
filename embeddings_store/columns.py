"""A manifest's columns: their fixed form, the checks that every row passes, and the bytes that a digest is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from embeddings_store.errors import ManifestError, UnsafePathError, UsageError, did_you_mean

MEDIA = ("text", "audio", "video")
STRINGS = ("id", "label", "speaker", "group", "session", "split", "language", *MEDIA)
TIMES = ("start_s", "end_s")
# What a metadata column may tell a model: nothing about the label (who speaks, when), what any listener knows beforehand (the
# topic, the dialogue so far), or what somebody noted who knew the label (ratings, causes, acted intensity).
LEAK_TAGS = ("safe", "context", "leaky")
UNTAGGED = "unknown"
CHUNK_ROWS = 1 << 20
# An absolute path, a backslash, a step upwards, a drive or scheme before the first slash.
UNSAFE = r"^/|\\|(?:^|/)\.\.(?:/|$)|^(?:\./)*[^/]*:"


def normalise(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with every fixed column: strings, seconds as float64, metadata as strings or numbers; nothing else."""
    if "id" not in table:
        raise ManifestError(f"a manifest needs a column 'id'; got {', '.join(map(str, table.columns)) or 'no columns'}")
    columns: dict[str, pd.Series] = {}
    for name in STRINGS:
        columns[name] = strings(table[name], name) if name in table else pd.Series("", index=table.index, dtype="str")
    for name in TIMES:
        source = table[name] if name in table else pd.Series(np.nan, index=table.index)
        try:
            columns[name] = pd.to_numeric(source.replace("", np.nan)).astype(np.float64)
        except (ValueError, TypeError) as error:
            raise ManifestError(f"column {name!r} must hold seconds as numbers: {error}") from error
    columns |= {str(name): _metadata(table[name], str(name)) for name in table.columns if str(name).startswith("meta_")}
    return pd.DataFrame(columns).reset_index(drop=True)


def check_table(table: pd.DataFrame) -> None:
    """Check what is true of every manifest: ids unique and not empty, ``start_s < end_s``, no path leaves the root, no NUL.

    Raises:
        ManifestError: How many rows break which promise, and the first of them.
    """
    for column in STRINGS:
        _check_text(table[column], column)
    _check_ids(table["id"])
    _check_times(table)
    for column in ("audio", "video"):
        _check_paths(table[column], column)


def check_tags(tags: Mapping[str, str], table: pd.DataFrame) -> None:
    """Check that every leak tag is a known word and stands for a metadata column that is there.

    Raises:
        ManifestError: Which column or word is not; both with the nearest that is.
    """
    columns = [str(c) for c in table.columns if str(c).startswith("meta_")]
    for column, tag in tags.items():
        if column not in columns:
            raise ManifestError(f"a leak tag is given for {column!r}, which is no metadata column{did_you_mean(column, columns)} "
                                f"(there are {', '.join(columns) or 'none'})")
        if tag not in LEAK_TAGS:
            raise ManifestError(f"column {column!r} has the leak tag {tag!r}{did_you_mean(tag, LEAK_TAGS)} "
                                f"(tags are {', '.join(LEAK_TAGS)})")


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
                raise UsageError(f"column {column!r} is named both {tags[column]} and {tag}; leave it in one list")
    return tags


def strings(column: pd.Series, name: str) -> pd.Series:
    """Return a column of strings, empty where nothing is given."""
    if column.dtype == "str" and not column.hasnans:
        return column
    try:
        return column.astype("str").fillna("").astype("str")
    except UnicodeEncodeError as error:
        raise ManifestError(f"column {name!r} holds {str(error.object)!r}, which is no Unicode text (half of a surrogate pair); "
                            "read the source with its right encoding") from error


def _metadata(column: pd.Series, name: str) -> pd.Series:
    """Return a column as int64, as float64 if it is another kind of number, else as strings."""
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return strings(column, name)
    if column.dtype == np.int64:
        return column
    return pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan), index=column.index)


def numbers(column: pd.Series) -> pd.Series | None:
    """Return a metadata column as float64, ``nan`` where nothing finite is given, or none where it holds words.

    A CSV file does not say which of its columns are numbers: those are in which every cell that is not empty is one.

    >>> numbers(pd.Series(["3", "", "4.5"])).tolist(), numbers(pd.Series(["3", "old"])) is None
    ([3.0, nan, 4.5], True)
    """
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.astype(np.float64).replace([np.inf, -np.inf], np.nan)
    given = column.replace("", np.nan)
    parsed = pd.to_numeric(given, errors="coerce").astype(np.float64)
    return parsed if given.notna().any() and bool(np.isfinite(parsed[given.notna()]).all()) else None


def _check_text(column: pd.Series, name: str) -> None:
    bad = np.flatnonzero(column.str.contains("\x00", regex=False))
    if len(bad):
        raise ManifestError(f"column {name!r} holds a NUL character in {len(bad)} rows, first row {bad[0] + 1} "
                            f"({column.iloc[bad[0]]!r}); the source is damaged or not text")


def _check_ids(ids: pd.Series) -> None:
    empty = np.flatnonzero(ids == "")
    if len(empty):
        raise ManifestError(f"{len(empty)} of {len(ids)} rows have an empty id, first row {empty[0] + 1}")
    twice = ids[ids.duplicated()]
    if len(twice):
        rows = np.flatnonzero(ids == twice.iloc[0]) + 1
        raise ManifestError(f"{len(twice)} duplicate ids, first {twice.iloc[0]!r} in rows {rows[0]} and {rows[1]}; "
                            "an id names one utterance (put the split or dialogue into it where numbers repeat)")


def _check_times(table: pd.DataFrame) -> None:
    start, end = table["start_s"].fillna(0.0), table["end_s"]
    bad = np.flatnonzero((start < 0) | (end.notna() & ~(start < end)) | np.isinf(start) | np.isinf(end))
    if len(bad):
        row = table.iloc[bad[0]]
        raise ManifestError(f"{len(bad)} rows need 0 <= start_s < end_s, first {row['id']!r} with "
                            f"start_s={row['start_s']}, end_s={row['end_s']}")


def _check_paths(paths: pd.Series, column: str) -> None:
    bad = paths[paths.str.contains(UNSAFE, regex=True)]
    if len(bad):
        raise UnsafePathError(f"column {column!r} holds {bad.iloc[0]!r}; media paths are relative to the manifest, with '/', "
                              "and may not leave its folder")


def column_bytes(name: str, column: pd.Series) -> Iterator[bytes]:
    """Yield a column as bytes that no other column has: name and kind, then numbers, or lengths and cells."""
    if column.dtype == np.int64:
        yield f"\x00{len(name)} {name} <i8\x00".encode() + column.to_numpy(dtype="<i8").tobytes()
    elif column.dtype == np.float64:
        numbers = column.to_numpy(dtype="<f8")
        yield f"\x00{len(name)} {name} <f8\x00".encode() + np.where(np.isnan(numbers), np.nan, numbers + 0.0).tobytes()
    else:
        yield f"\x00{len(name)} {name} utf-8\x00".encode()
        for start in range(0, len(column), CHUNK_ROWS):
            yield from _string_bytes(pa.array(column.iloc[start:start + CHUNK_ROWS], type=pa.large_string()))


def _string_bytes(cells: pa.LargeStringArray) -> Iterator[bytes]:
    """Yield the length of each cell in bytes, then the cells, out of Arrow's own buffers."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    _, offsets, data = cells.buffers()
    ends = np.frombuffer(offsets, dtype="<i8", count=len(cells) + 1, offset=8 * cells.offset)
    yield np.diff(ends).astype("<i8").tobytes()
    if data is not None:
        yield memoryview(data)[ends[0]:ends[-1]].tobytes()
