"""What stands in a cell where a name is not known, and is no name: ``unknown``, ``-``, ``?``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Whole cells, in small letters. ``na`` is not among them: it is a family name.
PLACEHOLDERS = frozenset(
    ["unknown", "unk", "n/a", "none", "null", "nan", "-", "--", "?", "??", "???"]
)


def without_placeholders(names: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return names (N,) of speakers or groups, ``""`` where a cell only says that there is none.

    Rows whose speaker nobody knows are not one person; taken for one, they would be found on both
    sides of every split.

    >>> without_placeholders(np.array(["Ann", "Unknown", " ? ", "-", ""])).tolist()
    ['Ann', '', '', '', '']
    """
    place, different = pd.factorize(names)
    plain = [str(name).strip().casefold() for name in different]
    if PLACEHOLDERS.isdisjoint(plain):
        return names
    kept = [
        "" if word in PLACEHOLDERS else name for word, name in zip(plain, different, strict=True)
    ]
    return np.asarray(np.array(kept, dtype=names.dtype)[place])
