"""The rows that a fold gives to a role, whether or not anything can answer them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.folds.plan import Fold

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PlannedRows:
    """What a plan asks for, before a row is lost for want of a vector or a label.

    Rows whose label the label set drops are not asked for: leaving them out is part of the task.

    Attributes:
        labelled: Rows of the role with a class (N,).
        unlabelled: Rows of the role whose label is empty (N,).
    """

    labelled: Mask
    unlabelled: Mask

    @property
    def all(self) -> Mask:
        """Both together (N,)."""
        return np.asarray(self.labelled | self.unlabelled)


def planned_rows(
    fold: Fold, role: str, labels: LabelSet | None, raw: NDArray[np.str_]
) -> PlannedRows:
    """Return the rows that a fold gives to a role.

    Args:
        fold: The fold.
        role: ``train``, ``valid`` or ``test``.
        labels: The label set that counts; without one every row of the role has a class.
        raw: The label of each row of the manifest (N,), empty for none.

    >>> four = LabelSet("two", ("sad", "happy"), dropped=frozenset({"xxx"}))
    >>> fold = Fold(1, "1", np.array([1, 3, 3, 3], dtype=np.uint8))
    >>> found = planned_rows(fold, "test", four, np.array(["sad", "happy", "xxx", ""]))
    >>> found.labelled.tolist(), found.unlabelled.tolist()
    ([False, True, False, False], [False, False, False, True])
    """
    of_role = fold.mask(role)
    if labels is None:
        return PlannedRows(of_role, np.zeros(len(of_role), dtype=bool))
    has_class = labels.encode(raw) >= 0
    return PlannedRows(of_role & has_class, of_role & (raw == ""))
