"""Reads the tables of a results folder strictly: damage is told in one line, with its place."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.errors import StoreError, StoreNotFoundError
from embeddings_store.reading import is_file, reading

if TYPE_CHECKING:
    import pandas as pd

RESULTS_TABLE = "a table of results"
AGAIN = "run the same run-fusion-grid command again, finished cells are kept"
HEADER_LINES = 1  # a row's number in a message is its line in the file
PREDICTIONS, GRID = "predictions.parquet", "grid.csv"


@dataclass(frozen=True, slots=True)
class TableShape:
    """What a table of results must be, so that whoever reads it need not ask again.

    Attributes:
        needed: Columns that must be there; a table has at least one row where there are such.
        with_it: Column to those that must be there beside it, in tables of any version.
        numbers: A pattern of the names of columns that hold numbers, or nothing.
        key: Columns that together name a row, of which there is one.
        square: What the names of columns begin with of which there is one for each row, called by
            the row's key, in the order of the rows.
    """

    needed: Sequence[str] = ()
    numbers: str = ""
    key: Sequence[str] = ()
    square: str = ""
    with_it: Mapping[str, Sequence[str]] = field(default_factory=dict)


# Of grid.csv: seeds are names, and counts and shares are numbers.
GRID_SHAPE = TableShape(
    needed=("cell", "fold", "family", "flags"),
    numbers=r"fold|n_\w+|\w*WA\w*|UAR\w*|\w+_F1|\w*margin\w*|ECE\w*|fit_s|\w*coverage",
    key=("cell", "fold", "seed", "encoder_seed"),
    # a table that counts rows has the figures that are of them, and says what they may be called
    with_it={
        "n_valid": ("valid_WA",),
        "n_valid_scored": ("valid_WA",),
        "n_scored": ("WA", "claim"),
    },
)


def read_rows(path: Path, shape: TableShape, what: str = RESULTS_TABLE) -> pd.DataFrame:
    r"""Read a CSV file: words as they stand there, figures as numbers, ``nan`` where there is none.

    Args:
        path: The file.
        shape: What it must be.
        what: What it is, for messages.

    Raises:
        StoreNotFoundError: It is not there.
        StoreError: It is no such table; the message names the row and column.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "grid.csv"
    ...     _ = path.write_text("cell,WA\nsvm,0.5\nnn,\n")
    ...     read_rows(path, TableShape(["cell"], "WA"))["WA"].tolist()
    [0.5, nan]
    """
    rows = read_words(path, shape, what)
    numbers = {name: _numbers(path, rows[name], what) for name in _number_columns(rows, shape)}
    return rows.assign(**numbers)


def read_words(path: Path, shape: TableShape, what: str = RESULTS_TABLE) -> pd.DataFrame:
    """Read a CSV file as :func:`read_rows` does, with its figures as the words that stand there.

    Args:
        path: The file.
        shape: What it must be.
        what: What it is, for messages.

    Raises:
        StoreNotFoundError: It is not there.
        StoreError: It is no such table.
    """
    import pandas as pd

    if not is_file(path):
        raise StoreNotFoundError(
            f"{path}: no such file; give the folder that run-fusion-grid --out wrote"
        )
    _check_lines(path, shape, what)
    with reading(path, what, AGAIN, StoreError):
        rows = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8", index_col=False
        )
    _check_whole(path, rows, shape, what)
    for name in _number_columns(rows, shape):
        _numbers(path, rows[name], what)
    return rows


def read_loosely(path: Path, advice: str) -> pd.DataFrame:
    """Read the whole lines of a table that is about to be replaced, every cell a string.

    Args:
        path: The file, of whatever version; a last line without its end is left out.
        advice: What to do where it is no table at all.

    Raises:
        StoreError: It is no table.
    """
    import pandas as pd

    with reading(path, RESULTS_TABLE, advice, StoreError):
        text = path.read_text(encoding="utf-8")
        whole = io.StringIO(text[: text.rfind("\n") + 1])
        return pd.read_csv(whole, dtype=str, keep_default_na=False, index_col=False)


def _check_lines(path: Path, shape: TableShape, what: str) -> None:
    """Check that every line has as many cells as the header, which pandas fills up in silence."""
    with reading(path, what, AGAIN, StoreError):
        text = path.read_text(encoding="utf-8")
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(rows, [])
        if not header:
            raise _damaged(path, what, "it is empty")
        for number, row in enumerate(rows, 1 + HEADER_LINES):
            if row and len(row) != len(header):
                why = f"line {number} has {len(row)} cells, the header has {len(header)}"
                raise _damaged(path, what, f"{why}: the file was cut or changed")
    is_ours = bool(shape.needed or shape.numbers)
    if is_ours and not text.endswith("\n"):
        raise _damaged(path, what, "its last line has no end: the file was cut")


def _check_whole(path: Path, rows: pd.DataFrame, shape: TableShape, what: str) -> None:
    """Check that a table of words is whole: its columns are there, and each row once."""
    absent = [name for name in shape.needed if name not in rows]
    for name, beside in shape.with_it.items():
        absent += [other for other in beside if name in rows and other not in rows]
    if absent:
        raise _damaged(path, what, f"it has no column {absent[0]!r}")
    if shape.needed and not len(rows):
        raise _damaged(path, what, "it has no rows")
    key = [name for name in shape.key if name in rows]
    if key:
        twice = rows.duplicated(key).to_numpy()
        if twice.any():
            line = int(np.argmax(twice))
            named = ", ".join(f"{name} {rows[name].iloc[line]}" for name in key)
            raise _damaged(path, what, f"line {line + 1 + HEADER_LINES} is there twice: {named}")
    if shape.square:
        columns = [name for name in map(str, rows) if name.startswith(shape.square)]
        expected = [shape.square + name for name in rows[shape.key[0]]]
        if columns != expected:
            raise _damaged(path, what, f"its columns {shape.square}... are not those of its rows")


def _number_columns(rows: pd.DataFrame, shape: TableShape) -> list[str]:
    if not shape.numbers:
        return []
    return [str(name) for name in rows if re.fullmatch(shape.numbers, str(name))]


def _numbers(path: Path, column: pd.Series, what: str) -> list[float]:
    found = []
    for line, text in enumerate(column, 1 + HEADER_LINES):
        try:
            # Python's own parser: pandas' may be off by the last bit
            found.append(float(text) if text else np.nan)
        except ValueError:
            place = f"line {line}, column {column.name!r}"
            raise _damaged(path, what, f"{place}: {text[:40]!r} is no number") from None
    return found


def _damaged(path: Path, what: str, why: str) -> StoreError:
    return StoreError(f"{path}: is not {what} ({why}); {AGAIN}")
