"""What counts as the same transcript: case, punctuation and spacing do not.

Used wherever two texts are compared.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def normalised(texts: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return texts (n,) in compatible Unicode, folded case, words alone with one space between.

    ``""`` for nothing said.

    Apostrophes vanish and all other punctuation parts words, so that two hands that wrote down the
    same words agree.

    >>> normalised(np.array(["Don't  STOP -- now!", "dont stop\u2014now", "[LAUGHTER]"])).tolist()
    ['dont stop now', 'dont stop now', 'laughter']
    """
    column = pd.Series(texts, dtype="str").str.normalize("NFKC").str.casefold()
    column = (
        column.str.replace(r"['\u2019\u02bc]", "", regex=True)
        .str.replace(r"[\W_]+", " ", regex=True)
        .str.strip()
    )
    return np.asarray(column.to_numpy(dtype=str))
