"""How far transcripts are from the corpus' own: the word error rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embeddings_store.corpus.transcripts import normalised


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Errors of all rows together.

    Attributes:
        errors: Words that were put in, left out or written as another.
        words: Words of the references.
        rows: How many rows were compared.
    """

    errors: int
    words: int
    rows: int

    @property
    def rate(self) -> float:
        """Errors by words of the references; above 1 where more was put in than said."""
        return self.errors / self.words if self.words else float("nan")

    def __str__(self) -> str:
        return (
            f"word error rate {100 * self.rate:.1f} % of {self.words:,} words in {self.rows:,} rows"
        )


def error_rate(references: Sequence[str], found: Sequence[str]) -> ErrorRate:
    """Compare transcripts row by row; case and punctuation make no difference.

    Args:
        references: What was said (n,).
        found: What was written down (n,).

    >>> print(error_rate(["Kids are talking.", "Dogs!"], ["kids were talking", "the dogs"]))
    word error rate 50.0 % of 4 words in 2 rows
    """
    errors = words = 0
    pairs = zip(_split(references), _split(found), strict=True)
    for reference, heard in pairs:
        words += len(reference)
        errors += _edits(reference, heard)
    return ErrorRate(errors, words, len(references))


def _split(texts: Sequence[str]) -> list[list[str]]:
    return [text.split() for text in normalised(np.array(texts, dtype=object)).tolist()]


def _edits(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Return Levenshtein's distance of two sequences of words."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(heard, 1):
            cheapest = min(row[place] + 1, row[place - 1] + 1, diagonal + (word != other))
            diagonal, row[place] = row[place], cheapest
    return row[-1]
