"""The vectors that the audit looks at: of each encoder one layer and seed, and a sample of rows.

What is compared grows with the square of the rows, so rows and folds beyond a number are sampled,
always the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classify.leakage.case import AuditCase, VectorFile
from classify.leakage.neighbours import Rows, sample
from embeddings_store.folds.plan import Fold
from embeddings_store.vectors.hdf5 import read_vectors

FOLDS = 10  # that are looked at
JUDGED = 6_000  # test rows, and as many validation rows, of all folds together
POOL = 8_000  # training rows of a fold
ROLES = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class SampledFold:
    """The rows of one fold that are looked at, with their vectors.

    Attributes:
        file: The file that the vectors are from.
        fold: The fold.
        rows: Role to positions of its sampled rows among the corpus' rows.
        places: Role to positions of the same rows in ``vectors``.
        vectors: Of the sampled rows of all roles, and perhaps of more (n, D).
        judged: How many rows of each role are asked for their neighbours at most.
        left_out: How many rows of the fold were not sampled.
    """

    file: VectorFile
    fold: Fold
    rows: Mapping[str, Rows]
    places: Mapping[str, Rows]
    vectors: NDArray[np.float32]
    judged: int
    left_out: int


def sampled_folds(case: AuditCase) -> Iterator[SampledFold]:
    """Yield the folds of every file that is looked at; a file is read once.

    Raises:
        StoreError: A file is damaged.
    """
    folds = list(case.plan)
    if len(folds) > FOLDS:
        spread = np.linspace(0, len(folds) - 1, FOLDS).round().astype(int)
        folds = [folds[place] for place in spread]
    judged = JUDGED // max(len(folds), 1)
    for file in looked_at(case):
        served = [fold for fold in folds if file.serves(fold)]
        if not served:
            continue
        rows = {fold.number: _rows(case, file, fold, judged) for fold in served}
        wanted = np.unique(np.concatenate([r for roles in rows.values() for r in roles.values()]))
        vectors = read_vectors(file.path, wanted)
        has_vector = np.asarray(
            vectors.any(axis=1)
        )  # nothing but noughts is no vector: a face that was not found
        for fold in served:
            own = {
                role: r[has_vector[np.searchsorted(wanted, r)]]
                for role, r in rows[fold.number].items()
            }
            usable = file.ok & ~file.silent & case.rows(fold, *ROLES)
            yield SampledFold(
                file,
                fold,
                own,
                {role: np.searchsorted(wanted, positions) for role, positions in own.items()},
                vectors,
                judged,
                int(usable.sum()) - sum(map(len, rows[fold.number].values())),
            )


def looked_at(case: AuditCase) -> list[VectorFile]:
    """Return the files of each encoder's last layer and first seed.

    A copy is one in every layer, and vectors that know the labels do in the last.
    """
    best: dict[tuple[str, str], tuple[int, int]] = {}
    for file in case.files:
        rank = (-file.ref.layer, file.ref.seed)
        best[_encoder(file)] = min(best.get(_encoder(file), rank), rank)
    return [file for file in case.files if best[_encoder(file)] == (-file.ref.layer, file.ref.seed)]


def _encoder(file: VectorFile) -> tuple[str, str]:
    return file.ref.modality, file.ref.name.removesuffix(f".L{file.ref.layer}")


def _rows(case: AuditCase, file: VectorFile, fold: Fold, judged: int) -> dict[str, Rows]:
    """Return the positions of the rows of each role that are looked at."""
    usable = file.ok & ~file.silent  # all silent clips have one vector
    return {
        role: sample(
            np.flatnonzero(case.rows(fold, role) & usable), POOL if role == "train" else judged
        )
        for role in ROLES
    }
