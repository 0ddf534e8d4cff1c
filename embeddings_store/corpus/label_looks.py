"""Says of labels that hardly are classes what they look like.

Missing ones, several at once, ratings, one word in several spellings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from embeddings_store.corpus.plain_names import spelling
from embeddings_store.errors import ManifestError

if TYPE_CHECKING:
    import pandas as pd

MISSING = frozenset({"-", "--", "?", "n/a", "na", "nan", "nil", "none", "null", "nat"})
SEVERAL = re.compile(r"[^\s;|,+/]+(\s*[;|,+/]\s*[^\s;|,+/]+)+")
# More different numbers than this are no coded classes: the largest sets of emotions have 27.
MOST_CODES = 10


def label_notes(labels: pd.Series) -> tuple[str, ...]:
    """Return a sentence for every kind of label that looks like no class; they all count as such.

    >>> import pandas as pd
    >>> label_notes(pd.Series(["sad", "nan", "happy;sad", "happy"]))[0]
    "label 'nan' (1 row) looks like a missing one, and counts as a class; leave the cell empty if \
it is missing"

    Args:
        labels: The raw label of each row, empty for none.
    """
    return count_notes(labels[labels != ""].value_counts())


def count_notes(counts: pd.Series) -> tuple[str, ...]:
    """Return what :func:`label_notes` says of labels of which so many rows (n,) have each.

    Args:
        counts: How many rows have a label, by label.
    """
    import pandas as pd

    sentences = []
    missing = [name for name in counts.index if name.strip().lower() in MISSING]
    for name in sorted(missing):
        sentences.append(
            f"label {name!r} ({_rows(counts[name])}) looks like a missing one, and counts as a "
            "class; leave the cell empty if it is missing"
        )
    numbers = pd.to_numeric(counts.index.to_series(), errors="coerce").dropna()
    if len(numbers) > MOST_CODES and len(numbers) > len(counts) / 2:
        sentences.append(
            f"{len(numbers)} different labels are numbers, from {numbers.min():g} to "
            f"{numbers.max():g}: they look like ratings, and each counts as a class. Regression is "
            "not supported: cut the ratings into classes and write these as words"
        )
    for spelled in spelled_alike(counts.index):
        rows = int(counts[list(spelled)].sum())
        sentences.append(
            f"labels {', '.join(map(repr, spelled))} ({_rows(rows)}) look like one word, and each "
            "counts as a class; write it in one way"
        )
    return tuple(sentences)


def spelled_alike(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Return labels that are one to a person, each such word as the ways in which it is spelled.

    >>> spelled_alike(["anger", "ANGER", "joy", "anger "])
    [('ANGER', 'anger', 'anger ')]
    """
    words: dict[str, list[str]] = {}
    for label in sorted(labels):
        words.setdefault(spelling(label), []).append(label)
    return [tuple(ways) for ways in words.values() if len(ways) > 1]


def require_single(counts: Mapping[str, int]) -> None:
    """Refuse labels that join several in one cell, because a row is of one class.

    Args:
        counts: Each label and its number of rows.

    Raises:
        ManifestError: Which labels do, in how many rows, and what to do.
    """
    several = sorted(name for name in counts if _is_several(name, counts))
    if several:
        more = f" and {len(several) - 1} more" if len(several) > 1 else ""
        rows = sum(counts[name] for name in several)
        raise ManifestError(
            f"label {several[0]!r}{more} ({_rows(rows)}) {'look' if more else 'looks'} like "
            "several labels at once, and a row is of one class: keep the one that counts, or leave "
            "the cell empty; where raters disagree, give each a column vote_NAME in the place of "
            "label, and their majority counts; where it is one class, join its words with '_'"
        )


def _is_several(name: str, all_names: Iterable[str]) -> bool:
    """Say whether a label joins labels, of which one at least occurs alone."""
    if SEVERAL.fullmatch(name.strip()) is None:
        return False
    parts = {part.strip() for part in re.split(r"[;|,+/]", name)}
    return bool(parts & set(all_names)) or ";" in name or "|" in name


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
