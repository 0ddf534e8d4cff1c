"""One fold as arrays, aligned over all views.

Rows per role with labels, vectors, scores and what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.vectors.arrays import SCORED_ROLES, EncoderRef

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class RoleData:
    """The rows of one role in one fold, aligned over all views.

    Attributes:
        ids: (n,), in ascending order where they come from :func:`embeddings_store.load.load_fold`.
        y: Class codes (n,), positions in the label set's classes.
        groups: The group, else speaker, of each row (n,); for splits inside the training rows.
        vectors: View name to (n, D); ``nan`` rows where the view is missing.
        scores: View name to (n, C) head logits, only for encoders with a head.
        present: View name to mask (n,): does this row have a vector?
        fitted: Rows that some encoder was fitted on (n,): their vectors carry their labels.
        selected: Rows by whose accuracy some encoder's epoch was chosen (n,); left out it means
            none.
        apart: Validation rows that are kept for choosing between systems (n,), where these were
            halved; left out it means none.
        inner_scores: View name to out-of-fold logits (n, C) of training rows, from encoders that
            have not seen them; ``nan`` where the view is missing, and no view at all unless it was
            asked for.
    """

    ids: NDArray[np.str_]
    y: NDArray[np.int64]
    groups: NDArray[np.str_]
    vectors: Mapping[str, NDArray[np.float32]]
    scores: Mapping[str, NDArray[np.float32]]
    present: Mapping[str, NDArray[np.bool_]]
    fitted: NDArray[np.bool_]
    selected: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    inner_scores: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    apart: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __post_init__(self) -> None:
        """Give masks that were left out their length."""
        for name in ("selected", "apart"):
            mask = getattr(self, name)
            if len(mask) != len(self.ids):
                if len(mask):
                    raise ValueError(f"{name!r} has {len(mask)} rows for {len(self.ids)} ids")
                object.__setattr__(self, name, np.zeros(len(self.ids), dtype=bool))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> RoleData:
        """Return some of the rows with all that is theirs; a slice of them copies nothing.

        Args:
            rows: A mask (n,), positions (m,), or a slice.
        """
        taken: dict[str, Any] = {}
        for one in fields(self):
            value: NDArray[Any] | Mapping[str, NDArray[Any]] = getattr(self, one.name)
            if isinstance(value, np.ndarray):
                taken[one.name] = value[rows]
            else:
                taken[one.name] = {view: array[rows] for view, array in value.items()}
        return RoleData(**taken)

    @classmethod
    def join(cls, parts: Sequence[RoleData]) -> RoleData:
        """Return the rows of one or more parts below each other; all have the views of the first.

        Out-of-fold scores belong to training rows alone, so several parts leave them out. What lies
        below each other in memory already, as the roles of a fold do, is not copied.
        """
        first = parts[0]
        if len(parts) == 1:
            return first
        joined: dict[str, Any] = {}
        for one in fields(cls):
            if one.name == "inner_scores":
                continue
            values = [getattr(part, one.name) for part in parts]
            if isinstance(values[0], np.ndarray):
                joined[one.name] = _below_each_other(values)
                continue
            by_view = {}
            for view in values[0]:
                by_view[view] = _below_each_other([value[view] for value in values])
            joined[one.name] = by_view
        return RoleData(**joined)


def _below_each_other(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Join arrays along their rows, without a copy where they are neighbours in one array."""
    filled = [part for part in parts if len(part)]
    whole = filled[0].base if filled else None
    if whole is None or whole.ndim != parts[0].ndim or not whole.flags.c_contiguous:
        return np.concatenate(parts)
    begin = end = filled[0].__array_interface__["data"][0]
    for part in filled:
        is_next = part.base is whole and part.__array_interface__["data"][0] == end
        same_rows = part.flags.c_contiguous and part.shape[1:] == whole.shape[1:]
        if not is_next or not same_rows or part.dtype != whole.dtype:
            return np.concatenate(parts)
        end += part.nbytes
    first = (begin - whole.__array_interface__["data"][0]) // whole[:1].nbytes
    return whole[first : first + sum(map(len, filled))]


@dataclass(frozen=True, slots=True)
class FoldData:
    """One fold, through the one gate: see :func:`embeddings_store.load.load_fold`.

    Attributes:
        corpus: The corpus' name.
        protocol: The fold plan's name.
        plan_digest: Which rows have which role, as twelve hex digits.
        fold: The fold's number.
        labels: The label set; codes are positions in ``labels.classes``.
        views: View name (usually the modality) to the encoder behind it.
        train: Rows to fit on.
        valid: Rows to choose on; may be empty.
        test: Rows to score.
        unverified: Views of which nobody knows what they were trained on; results must say so.
        fitted_views: Views whose encoder was fitted on training or validation rows of the fold.
        spaces: The same fold in the space of each inner encoder, where it was asked for: its
            vectors of all rows, and as training rows those that it left out.
        parts: Which inner fold each training row is answered in (n,), from 1, where training and
            validation rows were joined for choosing among them; else nothing.
    """

    corpus: str
    protocol: str
    plan_digest: str
    fold: int
    labels: LabelSet
    views: Mapping[str, EncoderRef]
    train: RoleData
    valid: RoleData
    test: RoleData
    unverified: tuple[str, ...] = ()
    fitted_views: tuple[str, ...] = ()
    spaces: tuple[FoldData, ...] = ()
    parts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def role(self, name: str) -> RoleData:
        """Return the rows of ``train``, ``valid`` or ``test``.

        Raises:
            KeyError: There is no such role.
        """
        if name not in SCORED_ROLES:
            raise KeyError(name)
        return getattr(self, name)  # type: ignore[no-any-return]

    def frame(self, role: str = "") -> pd.DataFrame:
        """Return the fold as a pandas frame, a row per utterance.

        Args:
            role: ``train``, ``valid`` or ``test``; empty takes all three below each other.

        Returns:
            Indexed by ``id``: ``role``, ``label`` (the class' name), ``group`` (else the speaker),
            then one column per component of each view's vectors, ``text.0``, ``text.1`` and so on;
            ``nan`` where a row lacks the view.

        Raises:
            KeyError: There is no such role.
        """
        import pandas as pd

        parts = []
        for name in [role] if role else SCORED_ROLES:
            rows = self.role(name)
            described = pd.DataFrame(
                {
                    "role": name,
                    "label": np.array(self.labels.classes)[rows.y],
                    "group": rows.groups,
                },
                index=pd.Index(rows.ids, name="id"),
            )
            vectors = [
                pd.DataFrame(values, described.index).add_prefix(f"{view}.")
                for view, values in rows.vectors.items()
            ]
            parts.append(pd.concat([described, *vectors], axis=1))
        return pd.concat(parts)
