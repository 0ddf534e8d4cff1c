"""A table of the page and its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MAX_LINES = 1_000  # a page must stay quick to open and to sort


@dataclass(frozen=True, slots=True)
class TableCell:
    """What one place of a table shows.

    Attributes:
        text: What is read.
        value: The number that it is sorted by, none where it is not one.
        spread: A standard deviation to stand behind the text, or nothing.
    """

    text: str
    value: float | None = None
    spread: str = ""


NO_VALUE = TableCell("-")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page.

    Attributes:
        key: A name for links, of letters, digits and dashes.
        title: What stands above it.
        columns: Titles of the columns.
        rows: Cells, as many as columns each.
        note: What to know when reading it.
        strong: Numbers of the rows that stand out.
        hints: Title of a column to what it means.
    """

    key: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    note: str = ""
    strong: frozenset[int] = frozenset()
    hints: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that every row is as wide as the head."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.key!r} has a row of {len(row)} cells under {len(self.columns)} "
                    "titles"
                )

    def is_number(self, column: int) -> bool:
        """Say whether a column holds numbers, which stand to the right."""
        return any(row[column].value is not None for row in self.rows)


def key_of(file_name: str) -> str:
    """Return the key of a CSV's table: its stem, and dashes for whatever a link cannot hold.

    >>> key_of("table4_unimodal.csv")
    'table4-unimodal'
    """
    stem = file_name.removesuffix(".csv")
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem)
