"""Alter a file within its format, so that what is wrong with it gets past the first check.

Each function takes where choices come from, the file's bytes and strange words, and returns the
bytes of another valid file of that format where it can, else the bytes as they are.
"""

from __future__ import annotations

import csv
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
from pyarrow import parquet

WORDS: tuple[object, ...] = (
    "",
    " ",
    "nan",
    "None",
    "-1",
    "0",
    "1e999",
    "inf",
    "1" * 400,
    "x" * 300,
    "..",
    "../..",
    "/etc/passwd",
    "file:///etc/passwd",
    "a\0b",
    "\x1b[31m",
    "\ud800",
    "e\u0301\u202e",
    '"',
    ",",
    ";",
    "\n",
    "a;b",
    "[[[[",
    "{}",
    "!!python/object/apply:os.getcwd []",
    None,
    True,
    False,
    0,
    -1,
    1 << 31,
    1 << 40,
    1 << 70,
    -0.5,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [None],
    {"a": {"a": {}}},
)
Inside = Callable[[random.Random, bytes, Sequence[str]], bytes]


def word(draw: random.Random, strange: Sequence[str]) -> object:
    """Return a value that nobody expects."""
    return draw.choice(strange) if strange and draw.random() < 0.3 else draw.choice(WORDS)


def in_json(draw: random.Random, data: bytes, strange: Sequence[str]) -> bytes:
    """Change, rename, lose or add one value of a JSON file, or nest the whole of it deeply."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if draw.random() < 0.02:
        return b"[" * 100_000 + data
    holder = {"top": content}
    node, key = draw.choice(_places(holder))
    _change(draw, node, key, strange)
    return json.dumps(holder.get("top")).encode()


def in_json_lines(draw: random.Random, data: bytes, strange: Sequence[str]) -> bytes:
    """Do the same to one line of a file that holds JSON in each."""
    lines = data.splitlines(keepends=True)
    if lines:
        place = draw.randrange(len(lines))
        lines[place] = in_json(draw, lines[place], strange) + b"\n"
    return b"".join(lines)


def _places(top: dict[str, Any]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting: list[Any] = [top]
    while waiting:
        node = waiting.pop()
        pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
        for key, value in pairs:
            found.append((node, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    return found


def _change(draw: random.Random, node: Any, key: Any, strange: Sequence[str]) -> None:
    how = draw.randrange(5)
    if how == 0 and len(node) > 1:
        del node[key]
    elif how == 1 and isinstance(node, dict):
        node[str(word(draw, strange))] = node[key]
    elif how == 2 and isinstance(node[key], int | float):
        node[key] = draw.choice((-node[key], node[key] + 1, node[key] * 1000, str(node[key])))
    else:
        node[key] = word(draw, strange)


def in_csv(draw: random.Random, data: bytes, strange: Sequence[str]) -> bytes:
    """Change a cell, a header or the order, or lose or repeat a row or column, of a table."""
    try:
        text = data.decode()
        mark = max(",;\t", key=text.splitlines()[0].count) if text else ","
        rows = list(csv.reader(io.StringIO(text), delimiter=mark))
    except (ValueError, IndexError, csv.Error):
        return data
    if not rows or not rows[0]:
        return data
    row = draw.choice((0, draw.randrange(len(rows)), draw.randrange(len(rows))))
    column = draw.randrange(len(rows[row]) or 1)
    how = draw.randrange(6)
    if how == 0:
        del rows[row]
    elif how == 1:
        rows.insert(draw.randrange(len(rows) + 1), list(rows[row]))
    elif how == 2:
        rows = [[cell for place, cell in enumerate(cells) if place != column] for cells in rows]
    elif how == 3:
        rows = [[*cells, *cells[column : column + 1]] for cells in rows]
    elif rows[row]:
        rows[row][column] = str(word(draw, strange))
    written = io.StringIO()
    csv.writer(written, delimiter=mark, lineterminator="\n").writerows(rows)
    return written.getvalue().encode("utf-8", "surrogatepass")


def in_zip(draw: random.Random, data: bytes, strange: Sequence[str]) -> bytes:
    """Alter a member of an archive, with a right checksum; or rename, lose or squeeze it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, ValueError, EOFError):
        return data
    if not members:
        return data
    name = draw.choice(sorted(members))
    how, form = draw.randrange(5), zipfile.ZIP_STORED
    if how == 0:
        del members[name]
    elif how == 1:
        members[str(word(draw, strange)).replace("\0", "0") or "x"] = members.pop(name)
    elif how == 2:
        form = zipfile.ZIP_DEFLATED
    else:
        members[name] = _in_array(draw, members[name])
    written = io.BytesIO()
    try:
        with zipfile.ZipFile(written, "w", form) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
    except (ValueError, UnicodeError):
        return data
    return written.getvalue()


def in_array(draw: random.Random, data: bytes, strange: Sequence[str]) -> bytes:
    """Change shape, type or order in the header of a ``.npy``, or a number in it."""
    return _in_array(draw, data)


SHAPES = ("(0,)", "(1,)", "(-1, 3)", "(2, 3)", "()", "(1 << 40, 3)", "(4294967296, 4294967296)")
TYPES = ("<f4", "<f8", ">f4", "<i8", "|O", "<U5", "|S3", "<c16", "|b1", "evil", "<M8[ns]", "<f2")


def _in_array(draw: random.Random, data: bytes) -> bytes:
    if data[:6] != b"\x93NUMPY" or len(data) < 12:
        return data
    (length,) = struct.unpack("<H", data[8:10])
    header, values = data[10 : 10 + length], data[10 + length :]
    how = draw.randrange(3)
    if how == 0:
        shape, kind = draw.choice(SHAPES), draw.choice(TYPES)
        text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        header = text.encode().ljust(length - 1) + b"\n"
    elif how == 1:
        header = header.replace(b"False", b"True ")
    elif len(values) >= 4:
        place = draw.randrange(len(values) // 4) * 4
        number = draw.choice((float("nan"), float("inf"), -0.0, 1e38, draw.gauss(0, 1)))
        values = values[:place] + struct.pack("<f", number) + values[place + 4 :]
    return data[:8] + struct.pack("<H", len(header)) + header + values


def in_hdf5(draw: random.Random, data: bytes, strange: Sequence[str]) -> bytes:
    """Change, lose or add an attribute or a dataset of an HDF5 file, its checksums kept right."""
    held = io.BytesIO(data)
    try:
        with h5py.File(held, "r+", libver=("v110", "v110")) as file:
            if draw.random() < 0.5 and len(file.attrs):
                _change_attribute(draw, file, strange)
            elif len(file):
                _change_dataset(draw, file, strange)
    except Exception:  # the file was damaged before, in any way
        return data
    return held.getvalue()


def _change_attribute(draw: random.Random, file: h5py.File, strange: Sequence[str]) -> None:
    key = draw.choice(sorted(file.attrs))
    how = draw.randrange(4)
    if how == 0:
        del file.attrs[key]
        return
    value = word(draw, strange)
    if how == 1 and isinstance(file.attrs[key], str):
        value = in_json(draw, file.attrs[key].encode(), strange).decode()
    if isinstance(value, str):
        value = np.bytes_(value.encode("utf-8", "surrogatepass") or b" ")
    elif not isinstance(value, int | float):
        value = np.zeros(draw.choice((0, 3)), dtype=draw.choice(("<f4", "S3")))
    file.attrs[key] = value


def _change_dataset(draw: random.Random, file: h5py.File, strange: Sequence[str]) -> None:
    name = draw.choice(sorted(file))
    values = file[name][()]
    how = draw.randrange(6)
    if how == 0:
        del file[name]
        return
    if how == 1:
        file.move(name, str(word(draw, strange)).strip("/.") or "x")
        return
    if how == 2:
        values = values[: draw.randrange(len(values) + 1)]
    elif how == 3:
        values = values.astype(draw.choice(("S5", "<f8", "<i4", "<f2")))
    elif how == 4:
        values = values[draw.sample(range(len(values)), len(values))]
    else:
        place = draw.randrange(values.size)
        values.flat[place] = draw.choice((0, 1, 9e9)) if values.dtype.kind == "f" else b"no"
    del file[name]
    file.create_dataset(name, data=values, compression=draw.choice((None, None, None, "gzip")))


def in_parquet(draw: random.Random, data: bytes, strange: Sequence[str]) -> bytes:
    """Change a column, its type, its name, the order of rows or the metadata of a Parquet file."""
    try:
        table = parquet.read_table(io.BytesIO(data))
        table = _changed_table(draw, table, strange)
        written = io.BytesIO()
        parquet.write_table(table, written)
    except Exception:  # the file was damaged before, or Arrow does not hold such a thing
        return data
    return written.getvalue()


def _changed_table(draw: random.Random, table: pa.Table, strange: Sequence[str]) -> pa.Table:
    place, how = draw.randrange(table.num_columns), draw.randrange(8)
    name = table.column_names[place]
    column = table.column(place)
    if how == 0:
        return table.remove_column(place)
    if how == 1:
        return table.append_column(name, column)
    if how == 2:
        names = list(table.column_names)
        names[place] = str(word(draw, strange))
        return table.rename_columns(names)
    if how == 3:
        return table.take(pa.array(draw.sample(range(len(table)), len(table))))
    if how == 4:
        return table.slice(draw.randrange(len(table) + 1))
    if how == 5:
        metadata = dict(table.schema.metadata or {})
        metadata[draw.choice((b"pandas", b"format", b"names", b"version", b"digest"))] = str(
            word(draw, strange)
        ).encode("utf-8", "surrogatepass")
        return table.replace_schema_metadata(metadata)
    values = column.to_pylist()
    values[draw.randrange(len(values))] = word(draw, strange)
    if how == 6:
        return table.set_column(place, name, pa.array(values, type=column.type))
    return table.set_column(place, name, pa.array(_as_one_type(draw, values)))


def _as_one_type(draw: random.Random, values: Sequence[object]) -> list[object]:
    kind = draw.choice((str, _bytes, len, _float, _listed))
    return [None if value is None else kind(str(value)) for value in values]


def _bytes(text: str) -> bytes:
    return text.encode("utf-16")


def _float(text: str) -> float:
    return float(len(text))


def _listed(text: str) -> list[str]:
    return [text]


def in_safetensors(draw: random.Random, data: bytes, strange: Sequence[str]) -> bytes:
    """Alter the JSON at the front of a file of weights and give it a right length."""
    if len(data) < 8:
        return data
    (length,) = struct.unpack("<Q", data[:8])
    header = in_json(draw, data[8 : 8 + length], strange)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


BY_SUFFIX: Mapping[str, Inside] = {
    ".csv": in_csv,
    ".h5": in_hdf5,
    ".json": in_json,
    ".jsonl": in_json_lines,
    ".npy": in_array,
    ".npz": in_zip,
    ".parquet": in_parquet,
    ".pt": in_zip,
    ".safetensors": in_safetensors,
    ".tsv": in_csv,
}
