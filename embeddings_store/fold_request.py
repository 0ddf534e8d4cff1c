"""Which fold is asked for, over which encoders, and on what terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.errors import UsageError, unknown_name
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.inner_folds import InnerSet

SELECT_ON = ("valid", "test")


@dataclass(frozen=True, slots=True)
class FoldRequest:
    """One fold of a plan for some views, as :func:`embeddings_store.load.load_fold` takes it.

    Attributes:
        store: The store's folder.
        corpus: The corpus' name.
        views: View name (usually the modality) to encoder.
        plan: The fold plan over the corpus' manifest.
        fold: Number of the fold, from 1.
        labels: Another label set than the corpus' own.
        shuffle_seed: Permute the labels of all labelled rows with this seed, 0 or more, to see
            whether the pipeline then falls to chance.
        select_on: ``valid``, or ``test`` to let rows be tested by which an encoder's epoch was
            chosen (``select``). What is then measured is an upper bound, and the caller has to
            stamp it so. Rows that it was fitted on stay refused.
        inner: View name to inner encoders, for out-of-fold scores of training rows; see
            :mod:`embeddings_store.vectors.inner_folds`. Where it is given, even if empty, every
            other view must not have been fitted on training rows.
        valid_split: Mark a half of the validation rows as kept apart, by group in the order of this
            seed; the halves are the same whatever views are loaded.
        other_input: Rows (N,) that have an input which is no vector of the store, such as metadata;
            they count although no view has them, and then there may be no view at all.
        spaces: Whether the fold is also loaded in the space of each inner encoder, each through the
            same checks.
    """

    store: Path
    corpus: str
    views: Mapping[str, EncoderRef]
    plan: FoldPlan
    fold: int
    labels: LabelSet | None = None
    shuffle_seed: int | None = None
    select_on: str = "valid"
    inner: Mapping[str, InnerSet] | None = None
    valid_split: int | None = None
    other_input: NDArray[np.bool_] | None = None
    spaces: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without the store.

        Raises:
            UsageError: There is nothing to load, or an option is out of its range.
        """
        if not self.views and self.other_input is None:
            raise UsageError("no view is named; a fold is loaded for one or more encoders")
        if self.select_on not in SELECT_ON:
            unknown_name("role to choose on", self.select_on, SELECT_ON)
        if self.shuffle_seed is not None and self.shuffle_seed < 0:
            raise UsageError(
                f"the seed to permute labels with is {self.shuffle_seed}; expected 0 or more"
            )
