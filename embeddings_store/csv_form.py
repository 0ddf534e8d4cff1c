"""What form a CSV file has: its encoding, what separates its cells, and its columns' names."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embeddings_store.errors import ManifestError
from embeddings_store.reading import reading

CSV = "a table"
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
UTF_8 = "utf-8-sig"


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How a CSV file is written.

    Attributes:
        encoding: A name of Python's; UTF-8 unless the file begins like UTF-16.
        separator: What stands between two cells, one of :data:`SEPARATORS`.
        names: The columns, which differ.
    """

    encoding: str
    separator: str
    names: tuple[str, ...]

    @property
    def arrow_encoding(self) -> str:
        """The encoding as Arrow calls it, which drops a byte order mark itself."""
        return "utf8" if self.encoding == UTF_8 else self.encoding


def csv_form(path: Path) -> CsvForm:
    """Look at the beginning of a CSV file.

    The separator is the first of :data:`SEPARATORS` that stands outside quotes in the header.

    Raises:
        ManifestError: There is no header, it is not in the encoding, or a name stands twice.
    """
    encoding = encoding_of(path)
    try:
        with (
            reading(path, CSV, own=(UnicodeError,)),
            path.open(encoding=encoding, newline="") as handle,
        ):
            first = next((line for line in handle if line.strip("\r\n")), "")
            separator = _separator(first)
            handle.seek(0)
            names = next((row for row in csv.reader(handle, delimiter=separator) if row), [])
    except UnicodeError:
        check_text(path, encoding)
        raise
    if not names:
        raise ManifestError(
            f"{path}: is empty; a table starts with a row of column names, one of them 'id'"
        )
    check_names_differ(path, names)
    return CsvForm(encoding, separator, tuple(names))


def encoding_of(path: Path) -> str:
    """Return UTF-8, or UTF-16 by its byte order mark or the zeros beside two plain letters.

    Raises:
        ManifestError: The file cannot be read.
    """
    with reading(path, CSV), path.open("rb") as binary:
        head = binary.read(4)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [byte == 0 for byte in head]
    if zeros == [False, True, False, True]:
        return "utf-16-le"
    if zeros == [True, False, True, False]:
        return "utf-16-be"
    return UTF_8


def _separator(header: str) -> str:
    quoted = False
    for letter in header:
        if letter == '"':
            quoted = not quoted
        elif letter in SEPARATORS and not quoted:
            return letter
    return ","


def check_names_differ(path: Path, names: Sequence[str]) -> None:
    """Check that no column has the name of another.

    Raises:
        ManifestError: One has.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ManifestError(
            f"{path}: the column {twice[0]!r} is there {names.count(twice[0])} times; rename or "
            "remove one"
        )


def check_text(path: Path, encoding: str = UTF_8) -> None:
    """Check that a file is text in its encoding.

    Raises:
        ManifestError: It is not; the message says where.
    """
    if encoding != UTF_8:
        with reading(path, "text in UTF-16", "save it as UTF-8"):
            codecs.decode(path.read_bytes(), encoding)
        return
    before = 0
    with reading(path, CSV), path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ManifestError(
                    f"{path}: is not UTF-8 ({error.reason} at byte {before + error.start}, line "
                    f"{number}); save it as UTF-8"
                ) from error
            before += len(line)


def check_quotes(path: Path, form: CsvForm) -> None:
    """Check that every quotation mark that opens a cell is closed.

    The rows after it would be one long cell.

    Raises:
        ManifestError: One is not.
    """
    with reading(path, CSV), path.open(encoding=form.encoding, newline="") as handle:
        rows = csv.reader(handle, delimiter=form.separator, strict=True)
        try:
            for _ in rows:
                pass
        except csv.Error as error:
            raise ManifestError(
                f"{path}: a quotation mark is not closed, or closed too early, at or before line "
                f"{rows.line_num} ({error}); write a quotation mark within a cell twice, and put "
                "the cell into two"
            ) from error
