"""What stands in a cell where a name is not known, and is no name: ``unknown``, ``-``, ``?``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Whole cells, in small letters. ``na`` is not among them: it is a family name.
PLACEHOLDERS = frozenset(
    ["unknown", "unk", "n/a", "none", "null", "nan", "-", "--", "?", "??", "???"]
)


def without_placeholders(names: pd.Series) -> pd.Series:
    """Return names (N,) of speakers or groups, ``""`` where a cell only says that there is none.

    Rows whose speaker nobody knows are not one person; taken for one, they would be found on both
    sides of every split.

    >>> import pandas as pd
    >>> without_placeholders(pd.Series(["Ann", "Unknown", " ? ", "-", ""])).tolist()
    ['Ann', '', '', '', '']
    """
    placeholders = [name for name in names.unique() if name.strip().casefold() in PLACEHOLDERS]
    return names.mask(names.isin(placeholders), "") if placeholders else names
