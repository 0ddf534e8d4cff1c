"""Tables that people have: CSV and ARFF read strictly, with every cell a string, and Parquet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings_store.arff_files import arff_columns, read_arff
from embeddings_store.csv_form import (
    CSV,
    SEPARATORS,
    UTF_8,
    check_names_differ,
    check_quotes,
    check_text,
    csv_form,
)
from embeddings_store.errors import ManifestError
from embeddings_store.reading import is_file, reading

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

PARQUET = frozenset({".parquet", ".pq"})
ARFF_SUFFIX = ".arff"
# What a table's name may end in; tables of lines are CSV, whatever separates their cells.
TABLES = (".csv", ".tsv", ".arff", ".parquet", ".pq")
TABLE, PARQUET_TABLE = CSV, "a Parquet table"
BLOCK_BYTES = 1 << 24  # A row must fit into a block; a transcript of 16 MB is no utterance.
# Of what is read in pieces: Arrow reads 32 blocks ahead; where a row is longer than a small block,
# large ones are taken.
SMALL_BLOCK_BYTES = 1 << 20
BUFFER_BYTES = 1 << 18
STEP_ROWS = 1 << 10


def read_table(path: Path) -> pd.DataFrame:
    """Read CSV or ARFF (every cell a string) or Parquet, by the file's suffix.

    Raises:
        ManifestError: Missing, empty, no text, or not a table.
    """
    if not is_file(path):
        raise ManifestError(f"{path}: no such file")
    if path.suffix.lower() == ARFF_SUFFIX:
        return read_arff(path)
    if path.suffix.lower() not in PARQUET:
        return read_csv(path)
    with reading(path, PARQUET_TABLE):
        table = _read_columns(path)
        names = table.column_names
        frame = _pandas(table)
        for name in names:  # pandas' notes in the file may rename a column, or make it the index
            if name not in frame and name not in frame.index.names:
                raise ManifestError(
                    f"{path}: pandas' notes in this file call the column {name!r} otherwise; save "
                    "the table again"
                )
        return frame


def column_names(path: Path) -> list[str]:
    """Return the names of a table's columns without reading its rows.

    Raises:
        ManifestError: As :func:`read_table`.
    """
    from pyarrow import parquet

    if not is_file(path):
        raise ManifestError(f"{path}: no such file")
    if path.suffix.lower() == ARFF_SUFFIX:
        return [column.name for column in arff_columns(path)]
    if path.suffix.lower() not in PARQUET:
        return list(csv_form(path).names)
    with reading(path, PARQUET_TABLE), path.open("rb") as handle:
        return [str(name) for name in parquet.read_schema(handle).names]


def _read_columns(path: Path) -> pa.Table:
    """Read Parquet a column at a time: all at once takes twice the memory that is kept."""
    import pyarrow as pa
    from pyarrow import parquet

    # Arrow takes no name that is not UTF-8, so it gets the file.
    with path.open("rb") as handle, parquet.ParquetFile(handle, pre_buffer=False) as file:
        schema = file.schema_arrow
        check_names_differ(path, schema.names)
        columns = []
        for name in schema.names:
            column = file.read(columns=[name], use_threads=False).column(0)
            _check_column(path, name, column)
            is_string = pa.types.is_string(column.type)
            columns.append(column.cast(pa.large_string()) if is_string else column)
    return pa.table(
        columns,
        pa.schema(
            [field.with_type(column.type) for field, column in zip(schema, columns, strict=True)],
            schema.metadata,
        ),
    )


def _check_column(
    path: Path, name: str, column: pa.ChunkedArray | pa.Array, before: int = 0
) -> None:
    """Refuse text that is not UTF-8, which pandas would carry along as it is.

    ``before`` is the number of rows above the column's first.
    """
    import pyarrow as pa

    with suppress(pa.ArrowInvalid):
        column.validate(full=True)
        return
    for number, cell in enumerate(column.cast(pa.large_binary()).to_pylist(), before + 1):
        try:
            (cell or b"").decode("utf-8")
        except UnicodeDecodeError as error:
            raise ManifestError(
                f"{path}: row {number}, column {name!r} is not UTF-8 ({error.reason} at byte "
                f"{error.start} of {cell[:40]!r}); save the table again from text in UTF-8"
            ) from error
    column.validate(full=True)


def _pandas(table: pa.Table) -> pd.DataFrame:
    """Turn a table into pandas without a second copy; the table cannot be used afterwards."""
    import pandas as pd

    return pd.DataFrame(table.to_pandas(split_blocks=True, self_destruct=True))


def read_csv(
    path: Path, types: Mapping[str, pa.DataType] | None = None, decimal_point: str = "."
) -> pd.DataFrame:
    """Read CSV whose rows all have as many fields as its header.

    A cell is a string unless ``types`` says otherwise.

    Lenient readers take a longer first row for an index and move every column by one, and fill up
    shorter rows: a label then stands in another column, and nobody would know.

    Args:
        path: The file, in UTF-8 or UTF-16, its cells separated by commas, semicolons or tabs.
        types: Types of some columns; an empty cell of a number is ``nan``.
        decimal_point: What those numbers have before their decimals.

    Raises:
        ManifestError: The file is empty, no text, or some row has another number of fields.
    """
    import pyarrow as pa

    batches = _csv_batches(path, types, decimal_point=decimal_point)
    return _pandas(pa.Table.from_batches(list(batches)))


def _csv_batches(
    path: Path,
    types: Mapping[str, pa.DataType] | None = None,
    only: Sequence[str] = (),
    blocks: Sequence[int] = (BLOCK_BYTES,),
    done: int = 0,
    decimal_point: str = ".",
) -> Iterator[pa.RecordBatch]:
    """Yield a CSV file in blocks of bytes, after ``done`` rows.

    What is wrong with its form is reported when met, or at the end.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    form = csv_form(path)
    odd: list[arrow_csv.InvalidRow] = []

    def remember(row: arrow_csv.InvalidRow) -> str:
        odd.append(row)
        return "skip" if len(odd) == 1 else "error"

    wanted = dict.fromkeys(form.names, pa.large_string()) | dict(types or {})
    try:
        with (
            reading(path, TABLE, own=(pa.ArrowException, OSError, UnicodeError)),
            path.open("rb") as source,
            arrow_csv.open_csv(
                source,
                arrow_csv.ReadOptions(
                    use_threads=False, block_size=blocks[0], encoding=form.arrow_encoding
                ),
                arrow_csv.ParseOptions(
                    delimiter=form.separator, newlines_in_values=True, invalid_row_handler=remember
                ),
                arrow_csv.ConvertOptions(
                    column_types=wanted,
                    strings_can_be_null=False,
                    null_values=["", "nan", "NaN", "NA"],
                    include_columns=list(only) or None,
                    decimal_point=decimal_point,
                ),
            ) as reader,
        ):
            yield _empty(reader.schema)
            place = 0
            for batch in reader:
                place += batch.num_rows
                if place > done:
                    yield batch.slice(max(0, batch.num_rows - (place - done)))
                    done = place
    except (pa.ArrowException, OSError, UnicodeError) as error:
        if "straddl" in str(error) and len(blocks) > 1:
            yield from _csv_batches(path, types, only, blocks[1:], done, decimal_point)
            return
        if not odd:
            check_text(path, form.encoding)
            with reading(path, TABLE):
                raise
    if odd:
        raise ManifestError(
            f"{path}: row {odd[0].number} has {odd[0].actual_columns} fields, the header has "
            f"{odd[0].expected_columns} ({odd[0].text[:60]!r}); put cells that hold a "
            f"{SEPARATORS[form.separator]} into double quotes"
        )
    with reading(path, TABLE), path.open("rb") as handle:
        marks = sum(piece.count(b'"') for piece in iter(lambda: handle.read(BLOCK_BYTES), b""))
    if marks % 2 or form.encoding != UTF_8:
        check_quotes(path, form)


def _parquet_batches(path: Path, only: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """Yield Parquet a few rows at a time, with the columns' kinds that pandas gives the whole."""
    import pyarrow as pa
    from pyarrow import parquet

    with (
        reading(path, PARQUET_TABLE),
        path.open("rb") as handle,
        parquet.ParquetFile(handle, pre_buffer=False, buffer_size=BUFFER_BYTES) as file,
    ):
        names = list(only) or file.schema_arrow.names
        check_names_differ(path, file.schema_arrow.names)
        # Whole numbers among which one is missing are floating ones in pandas: 1 becomes "1.0" in
        # every row, not only there.
        torn = set()
        for field in file.schema_arrow:
            if field.name in names and pa.types.is_integer(field.type):
                pieces = file.iter_batches(STEP_ROWS, columns=[field.name])
                if any(piece.column(0).null_count for piece in pieces):
                    torn.add(field.name)
        yield _floats(_empty(file.schema_arrow).select(names), torn)
        before = 0
        for batch in file.iter_batches(STEP_ROWS, columns=names, use_threads=False):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                _check_column(path, name, column, before)
            before += batch.num_rows
            yield _floats(batch, torn)


def _floats(batch: pa.RecordBatch, names: Collection[str]) -> pa.RecordBatch:
    import pyarrow as pa

    for name in names:
        place = batch.schema.get_field_index(name)
        batch = batch.set_column(place, name, batch.column(place).cast(pa.float64(), safe=False))
    return batch


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def iter_tables(path: Path, rows: int, only: Sequence[str] = ()) -> Iterator[pd.DataFrame]:
    """Read what :func:`read_table` reads in pieces of one or more rows, fewer for long cells.

    ARFF is held whole in memory.

    Args:
        path: CSV, ARFF or Parquet.
        rows: At most so many in a piece.
        only: The columns to read; all by default.

    Raises:
        ManifestError: As :func:`read_table`, but after what could be read.
    """
    if not is_file(path):
        raise ManifestError(f"{path}: no such file")
    if path.suffix.lower() == ARFF_SUFFIX:
        whole = read_arff(path)
        for start in range(0, max(1, len(whole)), rows):
            piece = whole.iloc[start : start + rows].reset_index(drop=True)
            yield piece[list(only)] if only else piece
        return
    batches = (
        _parquet_batches(path, only)
        if path.suffix.lower() in PARQUET
        else _csv_batches(path, only=only, blocks=(SMALL_BLOCK_BYTES, BLOCK_BYTES))
    )
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        for start in range(0, max(1, batch.num_rows), rows):
            piece = batch.slice(start, rows)
            if waiting and (
                sum(b.num_rows for b in waiting) + piece.num_rows > rows
                or sum(b.nbytes for b in waiting) + piece.nbytes > BLOCK_BYTES
            ):
                yield _piece(path, waiting)
                waiting = []
            waiting.append(piece)
    yield _piece(path, waiting)


def _piece(path: Path, batches: list[pa.RecordBatch]) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    with reading(path, TABLE):
        return pd.DataFrame(pa.Table.from_batches(batches).to_pandas())


def count_rows(path: Path) -> int:
    """Return how many rows a table has at most.

    Of Parquet exactly, of CSV as many as it has lines.
    """
    from pyarrow import parquet

    if path.suffix.lower() in PARQUET:
        with (
            suppress(ManifestError),
            reading(path, PARQUET_TABLE),
            path.open("rb") as handle,
        ):
            return int(parquet.read_metadata(handle).num_rows)
        return 0
    with reading(path, TABLE), path.open("rb") as handle:
        return sum(piece.count(b"\n") for piece in iter(lambda: handle.read(BLOCK_BYTES), b""))
