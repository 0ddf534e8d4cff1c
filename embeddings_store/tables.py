"""Tables that people write by hand: CSV read strictly, with every cell a string, and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
from pyarrow import parquet
from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions

from embeddings_store.errors import ManifestError

PARQUET = frozenset({".parquet", ".pq"})
BLOCK_BYTES = 1 << 24  # A row must fit into a block; a transcript of 16 MB is no utterance.


def read_table(path: Path) -> pd.DataFrame:
    """Read CSV (UTF-8, every cell a string) or Parquet, by the file's suffix.

    Raises:
        ManifestError: Missing, empty, not UTF-8, or not a table.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file")
    if path.suffix.lower() not in PARQUET:
        return read_csv(path)
    try:
        return _pandas(_read_columns(path))
    except (ValueError, OSError, KeyError, pa.ArrowException) as error:
        raise ManifestError(f"{path}: cannot be read as a Parquet table: {first_line(error)}") from error


def _read_columns(path: Path) -> pa.Table:
    """Read Parquet a column at a time: all at once takes twice the memory that is kept."""
    with parquet.ParquetFile(path, pre_buffer=False) as file:
        schema = file.schema_arrow
        _check_names(path, schema.names)
        columns = [file.read(columns=[name], use_threads=False).column(0) for name in schema.names]
        columns = [column.cast(pa.large_string()) if pa.types.is_string(column.type) else column for column in columns]
    return pa.table(columns, pa.schema([field.with_type(column.type) for field, column in zip(schema, columns, strict=True)],
                                       schema.metadata))


def _pandas(table: pa.Table) -> pd.DataFrame:
    """Turn a table into pandas without a second copy; the table cannot be used afterwards."""
    return pd.DataFrame(table.to_pandas(split_blocks=True, self_destruct=True))


def read_csv(path: Path, types: Mapping[str, pa.DataType] | None = None) -> pd.DataFrame:
    """Read CSV whose rows all have as many fields as its header; a cell is a string unless ``types`` says otherwise.

    Lenient readers take a longer first row for an index and move every column by one, and fill up shorter rows:
    a label then stands in another column, and nobody is told.

    Args:
        path: The file, UTF-8 with or without a byte order mark.
        types: Types of some columns; an empty cell of a number is ``nan``.

    Raises:
        ManifestError: The file is empty, not UTF-8, or some row has another number of fields.
    """
    names = csv_header(path)
    odd: list[pyarrow.csv.InvalidRow] = []

    def remember(row: pyarrow.csv.InvalidRow) -> str:
        odd.append(row)
        return "skip" if len(odd) == 1 else "error"

    wanted = dict.fromkeys(names, pa.large_string()) | dict(types or {})
    try:
        table = pyarrow.csv.read_csv(
            path, ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            ParseOptions(newlines_in_values=True, invalid_row_handler=remember),
            ConvertOptions(column_types=wanted, strings_can_be_null=False, null_values=["", "nan", "NaN", "NA"]))
    except (pa.ArrowException, OSError) as error:
        if not odd:
            _check_text(path)
            raise ManifestError(f"{path}: cannot be read as a table: {first_line(error)}") from error
    if odd:
        raise ManifestError(f"{path}: row {odd[0].number} has {odd[0].actual_columns} fields, the header has "
                            f"{odd[0].expected_columns} ({odd[0].text[:60]!r}); put cells that hold a comma into double quotes")
    with path.open("rb") as handle:
        marks = sum(piece.count(b'"') for piece in iter(lambda: handle.read(BLOCK_BYTES), b""))
    if marks % 2:
        _check_quotes(path)
    return _pandas(table)


def csv_header(path: Path) -> list[str]:
    """Return the names of the columns, which must differ.

    Raises:
        ManifestError: There is no header, it is not UTF-8, or a name stands twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            names = next((row for row in csv.reader(handle) if row), [])
    except (UnicodeDecodeError, csv.Error) as error:
        _check_text(path)
        raise ManifestError(f"{path}: cannot be read as a table: {first_line(error)}") from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    if not names:
        raise ManifestError(f"{path}: is empty; a table starts with a row of column names, one of them 'id'")
    _check_names(path, names)
    return names


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ManifestError(f"{path}: the column {twice[0]!r} is there {names.count(twice[0])} times; rename or remove one")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, for messages of one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _check_text(path: Path) -> None:
    """Raise if the file is not UTF-8, and say where."""
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}, line {line}); "
                            "save it as UTF-8") from error


def _check_quotes(path: Path) -> None:
    """Raise if a quotation mark opens a cell that never ends; the rows after it would be one long cell."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = csv.reader(handle, strict=True)
        try:
            for _ in rows:
                pass
        except csv.Error as error:
            raise ManifestError(f"{path}: a quotation mark is not closed, or closed too early, at or before line {rows.line_num} "
                                f"({error}); write a quotation mark within a cell twice, and put the cell into two") from error
