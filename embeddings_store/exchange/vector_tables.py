"""Vectors in tables: which columns are dimensions, and which say whose vector a row is."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.arff_files import arff_columns, read_arff
from embeddings_store.corpus.column_names import (
    SHOWN,
    STRINGS,
    TIMES,
    Renames,
    check_id_column,
    columns_option,
    proposals,
    rename,
)
from embeddings_store.corpus.columns import seconds, strings
from embeddings_store.csv_form import csv_form
from embeddings_store.errors import ManifestError
from embeddings_store.exchange.opensmile import CLASS, ids_of_places, own_columns, plain_names
from embeddings_store.reading import reading
from embeddings_store.tables import (
    ARFF_SUFFIX,
    PARQUET,
    TABLE,
    column_names,
    read_csv,
    read_table,
)

if TYPE_CHECKING:
    import pandas as pd

# What `export` adds to the vectors, and `import` asks for anew.
EXPORTED = ("seen", "status", "reason", "scores", "classes")
DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+([eE][-+]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class VectorTable:
    """What a table of vectors holds.

    Attributes:
        rows: The columns of a manifest that it has, ``id`` among them.
        vectors: Shape (n, D).
        by_place: Its ids are files and times, which rows from elsewhere may call otherwise.
    """

    rows: pd.DataFrame
    vectors: NDArray[np.float32]
    by_place: bool


def read_vector_table(path: Path, columns: Renames = ()) -> VectorTable:
    """Read CSV, ARFF or Parquet with one row per utterance and one column per dimension.

    Args:
        path: The table; openSMILE's own columns are known.
        columns: Old names and new names of columns.

    Raises:
        ManifestError: It is no table, has no ids, or a dimension holds words.
        UsageError: A column to rename is not there.
    """
    import pandas as pd

    names = column_names(path)
    renamed = {old for old, _ in columns}
    own = own_columns([name for name in names if name not in renamed])
    columns = columns + own
    header = rename(pd.DataFrame(columns=names, dtype="str"), columns)
    by_place = "id" not in header and own[:1] == (("file", "audio"),)
    if not by_place:
        check_ids(path, list(map(str, header.columns)))
    origin = {new: old for old, new in columns}
    wide = [name for name in map(str, header.columns) if is_dimension(name)]
    table = _read(path, names, [origin.get(name, name) for name in wide])
    table = rename(table, columns)
    if own:
        wide = _without_empty_class(table, wide)
    rows = table[[name for name in table.columns if not is_dimension(str(name))]].copy()
    rows = rows.drop(columns=[name for name in rows if str(name) in EXPORTED])
    rows = rows.drop(columns=[name for name in rows if str(name).startswith("score:")])
    if by_place:
        rows["audio"] = strings(rows["audio"], "audio")
        for name in TIMES:
            rows[name] = _times(path, rows, name)
        rows["id"] = ids_of_places(path, rows)
    elif own:
        rows["id"] = plain_names(path, strings(rows["id"], "id"))
        rows = rows.drop(columns=[new for _, new in own if new != "id"])
    vectors = np.empty((len(table), 0), dtype=np.float32)
    if wide:
        vectors = table[wide].to_numpy(dtype=np.float32, na_value=np.nan)
    return VectorTable(rows, vectors, by_place)


def _times(path: Path, rows: pd.DataFrame, name: str) -> pd.Series:
    values, bad = seconds(rows, name)
    if bad.any():
        raise ManifestError(
            f"{path}: column {name!r} holds {str(rows[name][bad].iloc[0])!r}; expected seconds, or "
            "hours, minutes and seconds"
        )
    return values


def is_dimension(name: str) -> bool:
    """Say whether a column of this name is a dimension of the vectors.

    >>> is_dimension("v0"), is_dimension("speaker"), is_dimension("meta_age")
    (True, False, False)
    """
    known = name in STRINGS or name in TIMES or name in EXPORTED
    return not known and not name.startswith(("meta_", "score:"))


def check_ids(path: Path, names: Sequence[str]) -> None:
    """Check that a table has a column ``id``.

    Raises:
        ManifestError: It has none; the message says which columns may be meant.
    """
    if "id" in names:
        return
    named = tuple((old, new) for old, new in proposals(names) if not new.startswith("meta_"))
    hint = f"; say what the others are with --columns {columns_option(named)}" if named else ""
    try:
        check_id_column(names[:SHOWN])
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}{hint}") from None


def _read(path: Path, names: Sequence[str], wide: Sequence[str]) -> pd.DataFrame:
    """Read a table, its dimensions as numbers."""
    import pandas as pd
    import pyarrow as pa

    kind = path.suffix.lower()
    if kind in PARQUET:
        table = read_table(path)
        for name in wide:
            if name not in table:
                raise ManifestError(
                    f"{path}: the column {name!r} is the table's index; save it as a column "
                    "(reset_index)"
                )
        words = [name for name in wide if not pd.api.types.is_numeric_dtype(table[name].dtype)]
        _refuse_words(path, names, words)
        return table
    if kind == ARFF_SUFFIX:
        numeric = {column.name for column in arff_columns(path) if column.kind == "numeric"}
        _refuse_words(path, names, [name for name in wide if name not in numeric])
        return read_arff(path, wide)
    first = _first_row(path)
    cells = {name: first[name] for name in wide if first.get(name)}
    comma = any(DECIMAL_COMMA.fullmatch(cell) for cell in cells.values())
    words = []
    for name, cell in cells.items():
        if not _is_number(cell.replace(",", ".") if comma else cell):
            words.append(name)
    _refuse_words(path, names, words)
    return read_csv(path, dict.fromkeys(wide, pa.float32()), "," if comma else ".")


def _first_row(path: Path) -> dict[str, str]:
    form = csv_form(path)
    with reading(path, TABLE), path.open(encoding=form.encoding, newline="") as handle:
        rows = (row for row in csv.reader(handle, delimiter=form.separator) if row)
        next(rows, None)
        return dict(zip(form.names, next(rows, []), strict=False))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() == "NA"
    return True


def _refuse_words(path: Path, names: Sequence[str], words: Sequence[str]) -> None:
    if not words:
        return
    shown = ", ".join(map(repr, words[:SHOWN])) + ", ..." * (len(words) > SHOWN)
    plural = len(words) > 1
    meant = tuple((old, new) for old, new in proposals(names) if old in words)
    raise ManifestError(
        f"{path}: column{'s' * plural} {shown} {'do' if plural else 'does'} not hold numbers; "
        "every column beside id, label and their like is a dimension, so say what they are with "
        f"--columns {columns_option(meant)}"
    )


def _without_empty_class(table: pd.DataFrame, wide: Sequence[str]) -> list[str]:
    """Return the dimensions without the class that openSMILE leaves open in every row."""
    return [name for name in wide if name not in CLASS or table[name].notna().any()]
