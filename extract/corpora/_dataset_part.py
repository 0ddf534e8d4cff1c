"""One split of a Hugging Face dataset as its reader sees it, wherever its rows come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cells = dict[str, Any]
BATCH = 64  # rows at a time; sound lies in them


@dataclass(frozen=True, slots=True)
class DatasetPart:
    """One split: what its columns are, and its rows.

    Attributes:
        name: The split's name, empty where the dataset has none.
        columns: The names of all columns that a row can take a value from.
        classes: Columns of codes to the names of their classes.
        several: The names of columns that hold several values in a row; ``columns`` need not have
            them.
        rows: Yields the rows of these columns, one value by column.
    """

    name: str
    columns: tuple[str, ...]
    classes: Mapping[str, Sequence[str]]
    several: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[Cells]]
