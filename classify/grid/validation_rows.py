"""Which validation rows are learnt from, and which are kept to choose between systems."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from classify.names import CHOICE, LEARN, VALID


def learning_rows(split: bool) -> str:
    """Return the name of the validation rows that may be learnt from."""
    return LEARN if split else VALID


def choosing_rows(split: bool) -> str:
    """Return the name of the validation rows that choose the cell."""
    return CHOICE if split else VALID


def for_choice(ids: NDArray[np.str_], apart: frozenset[str]) -> NDArray[np.bool_]:
    """Return which validation rows (n,) choose the cell.

    Those kept apart, or all where nothing was halved.
    """
    return np.isin(ids, list(apart)) if apart else np.ones(len(ids), dtype=bool)


def for_learning(ids: NDArray[np.str_], apart: frozenset[str]) -> NDArray[np.bool_]:
    """Return which validation rows (n,) may be learnt from."""
    return ~for_choice(ids, apart) if apart else np.ones(len(ids), dtype=bool)
