"""ARFF, the tables of Weka and openSMILE, read strictly.

SciPy reads no columns of strings, which hold the ids, and the package liac-arff is no longer kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.csv_form import check_names_differ, check_text, encoding_of
from embeddings_store.errors import ManifestError
from embeddings_store.reading import reading

if TYPE_CHECKING:
    import pandas as pd

ARFF = "an ARFF table"
NUMERIC = frozenset({"numeric", "real", "integer"})
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ATTRIBUTE = re.compile(rf"@attribute\s+({_QUOTED}|[^\s'\"]\S*)\s+(\S.*)", re.IGNORECASE)
_CELL = re.compile(rf"\s*({_QUOTED}|[^,'\"][^,]*|)\s*(,|$)")
_ESCAPED = re.compile(r"\\(.)")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class ArffColumn:
    """One attribute of an ARFF table.

    Attributes:
        name: Its name.
        kind: ``numeric``, ``string``, ``date`` or ``nominal``.
        values: The values that a nominal one may have.
    """

    name: str
    kind: str
    values: frozenset[str] = frozenset()


def arff_columns(path: Path) -> tuple[ArffColumn, ...]:
    """Return the columns that the header of an ARFF file declares.

    Raises:
        ManifestError: It is no ARFF, or declares a kind of column that is none of the four.
    """
    return _header(path, _lines(path))


def read_arff(path: Path, numbers: Collection[str] = ()) -> pd.DataFrame:
    """Read an ARFF file; a cell is a string as it stands, empty where it is missing (``?``).

    Args:
        path: The file.
        numbers: Columns to read as float32, ``nan`` where a cell is missing.

    Raises:
        ManifestError: It is no ARFF, a row has another number of cells than there are columns, or
            a cell is not of its column's kind.
    """
    import pandas as pd

    lines = _lines(path)
    columns = _header(path, lines)
    wanted = set(numbers)
    wide: dict[int, int] = {}  # From a column's place to its place among the numbers.
    texts: dict[int, list[str]] = {}
    for place, column in enumerate(columns):
        if column.name in wanted:
            wide[place] = len(wide)
        else:
            texts[place] = []
    vectors: list[NDArray[np.float32]] = []
    for number, line in lines:
        where = f"{path}: line {number}"
        cells = _cells(line, where)
        if len(cells) != len(columns):
            raise ManifestError(
                f"{where} has {len(cells)} cells, the header declares {len(columns)} columns; put "
                "cells that hold a comma into quotes"
            )
        for place, column_cells in texts.items():
            column_cells.append(_text(cells[place], columns[place], where))
        vectors.append(
            _numbers([cells[place] for place in wide], [columns[p] for p in wide], where)
        )
    matrix = np.array(vectors, dtype=np.float32).reshape(len(vectors), len(wide))
    found: dict[str, object] = {}
    for place, column in enumerate(columns):
        if place in texts:
            found[column.name] = pd.Series(texts[place], dtype="str")
        else:
            found[column.name] = matrix[:, wide[place]]
    return pd.DataFrame(found)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something and are no comment, with their numbers."""
    encoding = encoding_of(path)
    try:
        with (
            reading(path, ARFF, own=(UnicodeError,)),
            path.open(encoding=encoding, newline="\n") as handle,
        ):
            for number, line in enumerate(handle, 1):
                stripped = line.strip()
                if stripped and not stripped.startswith("%"):
                    yield number, stripped
    except UnicodeError:
        check_text(path, encoding)
        raise


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[ArffColumn, ...]:
    columns: list[ArffColumn] = []
    for number, line in lines:
        word = line.split(None, 1)[0].lower()
        if word == "@data":
            if columns:
                check_names_differ(path, [column.name for column in columns])
                return tuple(columns)
            break
        if word == "@attribute":
            columns.append(_column(line, f"{path}: line {number}"))
        elif word != "@relation":
            raise ManifestError(
                f"{path}: line {number} is no header of an ARFF table ({line[:40]!r}); expected "
                "@relation, @attribute or @data"
            )
    raise ManifestError(f"{path}: is no ARFF table: it has no @attribute and @data")


def _column(line: str, where: str) -> ArffColumn:
    match = _ATTRIBUTE.fullmatch(line)
    if match is None:
        raise ManifestError(f"{where}: {line[:60]!r} is no attribute; write @attribute NAME KIND")
    name, kind = _unquoted(match[1]) or "", match[2].strip()
    if kind.startswith("{") and kind.endswith("}"):
        values = [cell or "" for cell in _cells(kind[1:-1], where)]
        return ArffColumn(name, "nominal", frozenset(values))
    word = kind.split(None, 1)[0].lower()
    if word in NUMERIC:
        return ArffColumn(name, "numeric")
    if word in ("string", "date"):
        return ArffColumn(name, word)
    raise ManifestError(
        f"{where}: column {name!r} is of the kind {kind[:40]!r}; expected numeric, string, date or "
        "values in braces"
    )


def _cells(line: str, where: str) -> list[str | None]:
    """Return the cells of a row, None where one is missing."""
    if line.startswith("{"):
        raise ManifestError(f"{where} is a sparse row; save the table as plain ARFF or CSV")
    last_quote = max(line.rfind("'"), line.rfind('"'))
    after = line.find(",", last_quote) if last_quote >= 0 else -1
    quoted, plain = line, ""
    if last_quote < 0:
        quoted, plain = "", line
    elif after >= 0:
        quoted, plain = line[:after], line[after + 1 :]
    found: list[str | None] = []
    place = 0
    while quoted:
        match = _CELL.match(quoted, place)
        if match is None:
            raise ManifestError(
                f"{where}: a quotation mark is not closed, or stands within a cell without quotes "
                f"({quoted[place : place + 40]!r}); put the cell into quotes, and a backslash "
                "before a quote in it"
            )
        found.append(_unquoted(match[1]))
        place = match.end()
        if not match[2]:
            break
    if not quoted or after >= 0:
        found += [None if cell == "?" else cell for cell in map(str.strip, plain.split(","))]
    return found


def _unquoted(cell: str) -> str | None:
    if cell[:1] in ("'", '"'):
        return _ESCAPED.sub(lambda match: _LETTERS.get(match[1], match[1]), cell[1:-1])
    cell = cell.strip()
    return None if cell == "?" else cell


def _text(cell: str | None, column: ArffColumn, where: str) -> str:
    if cell is None:
        return ""
    if column.kind == "nominal" and cell not in column.values:
        raise ManifestError(
            f"{where}: {cell[:40]!r} is none of the values that column {column.name!r} declares; "
            "correct the cell or the header"
        )
    return cell


def _numbers(cells: list[str | None], columns: list[ArffColumn], where: str) -> NDArray[np.float32]:
    filled = ["nan" if cell is None else cell for cell in cells]
    try:
        # Python takes 1_000 for a number, and nobody else does.
        values = [float(cell.replace("_", "?")) for cell in filled]
    except ValueError:
        cell, column = next(
            pair for pair in zip(filled, columns, strict=True) if not _is_number(pair[0])
        )
        raise ManifestError(
            f"{where}: column {column.name!r} holds {cell[:40]!r}, which is no number; correct the "
            "cell"
        ) from None
    with np.errstate(over="ignore"):  # What is too large is infinite, and refused with its row.
        return np.array(values, dtype=np.float64).astype(np.float32)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace("_", "?"))
    except ValueError:
        return False
    return True


def arff_text(relation: str, table: pd.DataFrame, nominal: Mapping[str, Collection[str]]) -> str:
    """Return a table as ARFF.

    Args:
        relation: Its name.
        table: Columns of strings, empty where missing, and of numbers, ``nan`` where missing.
        nominal: Columns that get a list of values, in this order.
    """
    import pandas as pd

    lines = [f"@relation {_quoted(relation)}", ""]
    columns: list[list[str]] = []
    for name in table:
        cells = table[name]
        kind = "string"
        if name in nominal:
            kind = "{" + ",".join(map(_quoted, nominal[str(name)])) + "}"
        elif pd.api.types.is_numeric_dtype(cells.dtype):
            kind = "numeric"
        lines.append(f"@attribute {_quoted(str(name))} {kind}")
        if kind == "numeric":
            columns.append(["?" if cell != cell else str(cell) for cell in cells.to_numpy()])
        else:
            columns.append([_quoted(cell) if cell else "?" for cell in cells.astype(str)])
    lines += ["", "@data"]
    for row in zip(*columns, strict=True):
        lines.append(",".join(row))
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a text in quotes, with what would end them escaped."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    for letter, real in _LETTERS.items():
        escaped = escaped.replace(real, f"\\{letter}")
    return f"'{escaped}'"
