"""Votes of several raters: columns ``vote_*`` become metadata, and their majority the label.

A column is a rater, whose cells say a class; or a class, whose cells say how many raters chose it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.columns import strings
from embeddings_store.errors import ManifestError

if TYPE_CHECKING:
    import pandas as pd

PREFIX, KEPT_AS = "vote_", "meta_vote_"
# What a rater is called, and a class is not: a number in such a column is a code of a class.
RATER = re.compile(
    r"(?:[a-z]|rater|annotator|coder|judge|worker|evaluator)?[_-]?\d+", re.IGNORECASE
)
JOINS = re.compile(r"[;|]")
RULE = "the label is the class with more votes than any other"


class Votes:
    """The votes of a table that may come in pieces.

    >>> import pandas as pd
    >>> votes = Votes()
    >>> columns = {"vote_1": ["sad", "sad", ""], "vote_2": ["sad", "calm", ""]}
    >>> votes.settle(pd.DataFrame({"id": ["a", "b", "c"]} | columns))["label"].tolist()
    ['sad', '', '']
    >>> votes.lines()[0].partition("; ")[2]
    'the label is the class with more votes than any other; 1 row ties, 1 row has no vote'
    """

    def __init__(self) -> None:
        self.kind = ""
        self.columns: list[str] = []
        self.is_label_given = False
        self.ties = 0
        self.without = 0

    def settle(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with its votes as ``meta_vote_*``, and a label where it has no column.

        Args:
            table: Columns as a file has them; one without votes comes back as it is.

        Raises:
            ManifestError: Votes are neither words nor numbers of raters throughout, or a rater
                gives several labels.
        """
        import pandas as pd

        names = [name for name in map(str, table.columns) if name.startswith(PREFIX)]
        if not names:
            return table
        self.columns = names
        cells = pd.DataFrame({name: strings(table[name], name).str.strip() for name in names})
        self._decide_kind(cells)
        taken = sorted(set(self.kept) & set(map(str, table.columns)))
        if taken:
            raise ManifestError(
                f"column {taken[0]!r} is there beside {names[self.kept.index(taken[0])]!r}, which "
                "would be kept under that name; rename one"
            )
        renamed = table.rename(columns=dict(zip(names, self.kept, strict=True)))
        if "label" in table:
            self.is_label_given = True
            return renamed
        return renamed.assign(label=self._majority(cells))

    @property
    def kept(self) -> list[str]:
        """What the columns are called from then on."""
        return [name.replace(PREFIX, KEPT_AS, 1) for name in self.columns]

    def lines(self) -> tuple[str, ...]:
        """Return what is to be said of the votes; nothing where there are none."""
        if not self.columns:
            return ()
        shown = ", ".join(self.columns[:3]) + (", ..." if len(self.columns) > 3 else "")
        kept = f"votes ({shown}) are kept as meta_vote_*"
        if self.is_label_given:
            return (f"{kept}; the label is the table's own column",)
        meaning = (
            "each column is a rater"
            if self.kind == "words"
            else "each column is a class, its cells the raters who chose it"
        )
        ties = f"{_rows(self.ties)} {'ties' if self.ties == 1 else 'tie'}"
        without = f"{_rows(self.without)} {'has' if self.without == 1 else 'have'} no vote"
        return (f"{kept}: {meaning}; {RULE}; {ties}, {without}",)

    def _decide_kind(self, cells: pd.DataFrame) -> None:
        """Find out what the cells are, the same in all columns and all pieces."""
        import pandas as pd

        for name in cells:
            given = cells[name][cells[name] != ""]
            if given.empty:
                continue
            numbers = pd.to_numeric(given, errors="coerce")
            kind = "numbers" if numbers.notna().all() else "words"
            is_mixed = kind == "words" and numbers.notna().any()
            if is_mixed or kind != (self.kind or kind):
                raise ManifestError(
                    f"column {str(name)!r} holds {str(given.iloc[0])!r}: votes are words in some "
                    "cells and numbers in others; where a column is a rater, write the class as a "
                    "word, where it is a class, the number of its votes"
                )
            self.kind = kind
            if kind == "words":
                self._check_words(str(name), given)
            else:
                self._check_numbers(str(name), numbers)

    def _check_words(self, name: str, given: pd.Series) -> None:
        several = given[given.str.contains(JOINS)]
        if len(several):
            raise ManifestError(
                f"column {name!r} holds {str(several.iloc[0])!r}, several labels of one rater in "
                f"{_rows(len(several))}; give each vote a column of its own, {PREFIX}NAME"
            )

    def _check_numbers(self, name: str, numbers: pd.Series) -> None:
        if RATER.fullmatch(name.removeprefix(PREFIX)):
            raise ManifestError(
                f"column {name!r} is called like a rater and holds numbers ({numbers.iloc[0]:g}); "
                "write the class that the rater chose as a word, or call the column after its "
                f"class, {PREFIX}happy, if it holds how many raters chose it"
            )
        if not (np.isfinite(numbers) & (numbers >= 0)).all():
            raise ManifestError(
                f"column {name!r} must hold how many raters chose the class, 0 or more; it holds "
                f"{numbers[~(numbers >= 0) | ~np.isfinite(numbers)].iloc[0]:g}"
            )

    def _majority(self, cells: pd.DataFrame) -> NDArray[np.object_]:
        """Return the label of each row (n,), empty where classes tie or nobody voted."""
        counts, classes = _counted(cells) if self.kind == "words" else _given(cells)
        if not classes:
            self.without += len(cells)
            return np.full(len(cells), "", dtype=object)
        most = counts.max(axis=1)
        is_sole = (counts == most[:, None]).sum(axis=1) == 1
        labels = np.where(is_sole, np.array(classes, dtype=object)[counts.argmax(axis=1)], "")
        self.without += int((most == 0).sum())
        self.ties += int((~is_sole & (most > 0)).sum())
        labels[most == 0] = ""
        return labels


def _counted(cells: pd.DataFrame) -> tuple[NDArray[np.float64], list[str]]:
    """Return how many raters name each class (n, classes), and the classes."""
    classes = sorted(set(cells.to_numpy().ravel().tolist()) - {""})
    counts = np.zeros((len(cells), len(classes)))
    for place, name in enumerate(classes):
        counts[:, place] = (cells == name).sum(axis=1)
    return counts, classes


def _given(cells: pd.DataFrame) -> tuple[NDArray[np.float64], list[str]]:
    """Return the numbers of votes of each class (n, classes), 0 for none, and the classes."""
    import pandas as pd

    numbers = cells.apply(pd.to_numeric, errors="coerce").fillna(0.0)
    return numbers.to_numpy(dtype=float), [str(name).removeprefix(PREFIX) for name in cells]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
