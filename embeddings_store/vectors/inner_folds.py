"""Training rows out of fold.

Their class scores and vectors from inner encoders, each of which has not seen the rows it is for.

The encoder of fold 3 was fitted on the fold's training rows, so it is over-confident on them.
``extract-features --fold 3 --inner-folds 2`` trains two more, ``3.inner-1`` and ``3.inner-2``, each
without its part of these rows. What may be done:

* *Class scores of the left-out rows* may stand below each other, and beside those that the fold's
  own encoder gives to other rows: probabilities of the same classes, each of an encoder that did
  not see it.
* *Vectors of the left-out rows* may not: every encoder has a space of its own, in which no column
  means what it means in another one, so a scaler or classifier over several of them learns nothing.
* *Vectors within one inner encoder* may, as in any file: fit on the rows that it left out, answer
  the others, let only answers leave; those of all inner encoders may then be averaged.

So the gate gives out the scores of left-out rows together, and vectors as
:attr:`embeddings_store.vectors.fold_data.FoldData.spaces`, one fold of its own for each inner
encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import StoreMismatchError, StoreNotFoundError, UsageError
from embeddings_store.vectors.arrays import EncoderRef, StoredRows
from embeddings_store.vectors.catalogue import Entry, family


@dataclass(frozen=True, slots=True)
class InnerSet:
    """All inner encoders of one encoder.

    Attributes:
        ref: Their place in the store; they differ from the fold's own encoder in nothing but the
            rows they were given.
        parts: How many there are, 2 or more.
    """

    ref: EncoderRef
    parts: int

    def fold(self, fold: int, part: int) -> str:
        """Return the name of an inner fold, part from 1.

        >>> InnerSet(EncoderRef("wav2vec2-base", "0123456789ab", "audio"), 2).fold(3, 1)
        '3.inner-1'
        """
        return f"{fold}.inner-{part}"


def find_inner(
    entries: Sequence[Entry], ref: EncoderRef, folds: Sequence[int], parts: int = 0
) -> InnerSet:
    """Find the inner encoders that belong to an encoder.

    Same settings, seed and plan, and complete for these folds.

    Args:
        entries: The catalogue of the corpus.
        ref: The encoder that was trained on all training rows.
        folds: Numbers of the folds that need them.
        parts: How many inner folds, where the store has several choices; 0 takes the only one.

    Raises:
        StoreNotFoundError: They are not there, or not all; the message says what to extract.
        UsageError: There are several.
    """
    outer = next(e for e in entries if e.ref == ref)
    same = [
        e
        for e in entries
        if ".inner-" in e.fold
        and (e.ref.modality, e.ref.layer, e.ref.seed) == (ref.modality, ref.layer, ref.seed)
        and _but_inner(e) == _but_inner(outer)
    ]
    sets = sorted(
        {InnerSet(e.ref, int(str(e.settings.get("inner", 0)))) for e in same}, key=lambda s: s.parts
    )
    if parts:
        sets = [s for s in sets if s.parts == parts]
    if len(sets) > 1:
        raise UsageError(
            f"{ref.folder} has inner encoders of {' and of '.join(str(s.parts) for s in sets)} "
            "inner folds, and this program does not guess between them: choose with --inner-folds N"
        )
    needed = (
        f"extract-features --corpus {outer.corpus} --modality {ref.modality} --seed {ref.seed} "
        f"--inner-folds {sets[0].parts if sets else parts or 'N'}, with the same settings otherwise"
    )
    if not sets:
        raise StoreNotFoundError(
            f"{ref.folder} was fitted on its training rows, and the store has no "
            f"{f'{parts} ' if parts else ''}inner encoders that left some of them out; run {needed}"
        )
    found = sets[0]
    there = {e.fold for e in same if e.ref == found.ref}
    lacking = []
    for fold in folds:
        needed_of_fold = [found.fold(fold, part) for part in range(1, found.parts + 1)]
        lacking += [name for name in needed_of_fold if name not in there]
    if lacking:
        raise StoreNotFoundError(
            f"{found.ref.folder} (seed {ref.seed}) lacks {len(lacking)} of "
            f"{len(folds) * found.parts} inner folds "
            f"({', '.join(lacking[:6])}{', ...' if len(lacking) > 6 else ''}); run {needed}"
        )
    return found


def out_of_fold_scores(
    inner: InnerSet,
    fold: int,
    outer: StoredRows,
    rows: NDArray[np.bool_],
    read: Callable[[str], StoredRows],
) -> NDArray[np.float32]:
    """Return the class scores of training rows (N, C), each from an encoder that has not seen it.

    Exactly one inner encoder has left out each training row.

    Args:
        inner: Which encoders.
        fold: Number of the fold.
        outer: The fold's own vectors; rows without one are not looked for.
        rows: The training rows (N,); all others are ``nan``.
        read: Inner fold to its vectors, aligned and checked as any file.

    Raises:
        StoreMismatchError: A row was left out by no encoder or by several, or a file has no scores.
    """
    wanted = rows & outer.ok
    scores = np.full((len(rows), len(outer.classes)), np.nan, dtype=np.float32)
    times = np.zeros(len(rows), dtype=np.int64)
    for part in range(1, inner.parts + 1):
        name = inner.fold(fold, part)
        file = read(name)
        if file.scores is None:
            raise StoreMismatchError(
                f"{inner.ref.folder}, fold {name}: has no class scores; extract it again with "
                "--overwrite"
            )
        left_out = wanted & file.ok & (file.seen != "fit")
        scores[left_out] = file.scores[left_out]
        times += left_out
    for bad, what in ((wanted & (times == 0), "no"), (wanted & (times > 1), "more than one")):
        if bad.any():
            first = str(outer.ids[np.flatnonzero(bad)[0]])
            raise StoreMismatchError(
                f"{inner.ref.folder}, fold {fold}: {int(bad.sum())} of {int(wanted.sum())} "
                f"training rows were left out by {what} inner encoder, first {first!r}; inner "
                f"folds must be disjoint and cover the training rows: extract all {inner.parts} "
                "again with --overwrite"
            )
    return scores


def left_out_together(
    files: Mapping[str, StoredRows], rows: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which training rows (N,) the inner encoders of one inner fold left out.

    One that has no vector is left out by all.

    Args:
        files: View name to the vectors of this inner fold.
        rows: The training rows (N,).

    Raises:
        StoreMismatchError: A row was left out by one view's encoder, and another's was fitted on
            it.
    """
    fitted = {view: rows & file.ok & (file.seen == "fit") for view, file in files.items()}
    by_any = np.logical_or.reduce(list(fitted.values()))
    for view, file in files.items():
        bad = np.flatnonzero(rows & file.ok & ~fitted[view] & by_any)
        if len(bad):
            other = next(v for v, mask in fitted.items() if mask[bad[0]])
            raise StoreMismatchError(
                f"fold {file.fold}: {len(bad)} training rows were left out by the {view} encoder "
                f"and not by every other, first {str(file.ids[bad[0]])!r} ({other} was fitted on "
                "it), so no vectors of theirs are out of fold together; extract the inner folds of "
                "all modalities again from the same rows, or fuse only class scores (--early none)"
            )
    return np.asarray(rows & ~by_any)


def refuse_other_rows(
    outer: Mapping[str, StoredRows], inner: Mapping[str, StoredRows], rows: NDArray[np.bool_]
) -> None:
    """Check that inner encoders have vectors of the same rows as the fold's own.

    Only then do all spaces answer the same rows.

    Args:
        outer: View name to the fold's own vectors.
        inner: View name to the vectors of one inner fold.
        rows: Rows (N,) with a label and a role.

    Raises:
        StoreMismatchError: One of them has not.
    """
    for view, file in inner.items():
        bad = np.flatnonzero(rows & (file.ok != outer[view].ok))
        if len(bad):
            raise StoreMismatchError(
                f"{file.encoder.folder}, fold {file.fold}: {len(bad)} rows have a {view} vector "
                "here and none of the fold's own encoder, or the reverse, first "
                f"{str(file.ids[bad[0]])!r}; extract the failed rows again with --retry-failed"
            )


def _but_inner(entry: Entry) -> tuple[str, Mapping[str, object]]:
    return family(entry), {k: v for k, v in entry.settings.items() if k != "inner"}
