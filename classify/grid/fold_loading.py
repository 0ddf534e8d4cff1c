"""Where the data of a cell lie, and the one function that loads them, once per process.

The checks before a run and the cells of the run ask the same :data:`LOADER`, so with one job every
fold is read once for each set of views. Worker processes have a loader each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from classify.grid.field_declarations import (
    CHANGES_NUMBERS,
    changes_no_number,
    every_field_declared,
)
from classify.grid.inner_folds import with_inner_parts
from classify.metadata import MetadataColumns, load_with_metadata
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreMismatchError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import Entry
from embeddings_store.vectors.fold_data import FoldData, RoleData
from embeddings_store.vectors.inner_folds import InnerSet

# Five folds of IEMOCAP's 5,531 utterances with 2,304 columns are 255 MB, and each modality alone as
# much again: such a corpus stays in memory whole, a larger one fold by fold.
KEPT_BYTES = 512 * 2**20
# All modalities, and each of three alone. They are small beside what the cells themselves need.
KEPT_OF_ONE_FOLD = 4


@every_field_declared
@dataclass(frozen=True, slots=True)
class FoldSource:
    """Where a process finds the data of one cell; equal sources are read once per process.

    Attributes:
        store: The store's folder.
        corpus: The corpus' name.
        manifest: Digest of the corpus' manifest, with its own label set.
        plan: Digest of the fold plan.
        plan_file: The fold plan as a file.
        labels: Digest of the label set that counts.
        label_set: That label set, as JSON.
        fold: Number of the fold.
        views: Modality, encoder and content digest of each view.
        shuffle_seed: Seed of permuted labels, or none.
        select_on: ``valid`` or ``test``, for the gate.
        valid_split: Seed by which validation rows are halved, or none where nothing looks at it.
        metadata: Which of the views are metadata, and of which columns.
        inner: Modality, inner encoders and content digests of their files, where training rows are
            answered out of fold.
        spaces: Whether the vectors of inner encoders are needed, not only their scores.
        inner_parts: In how many inner folds training and validation rows are answered, joined; 0
            where they are apart.
    """

    store: Path = field(metadata=changes_no_number("digests say what lies there"))
    corpus: str = field(metadata=CHANGES_NUMBERS)
    manifest: str = field(metadata=CHANGES_NUMBERS)
    plan: str = field(metadata=CHANGES_NUMBERS)
    plan_file: Path = field(metadata=changes_no_number("the plan's digest says what it holds"))
    labels: str = field(metadata=CHANGES_NUMBERS)
    label_set: str = field(metadata=changes_no_number("its digest says what counts of it"))
    fold: int = field(metadata=CHANGES_NUMBERS)
    views: tuple[tuple[str, EncoderRef, str], ...] = field(metadata=CHANGES_NUMBERS)
    shuffle_seed: int | None = field(metadata=CHANGES_NUMBERS)
    select_on: str = field(metadata=changes_no_number("lets rows through the gate or refuses them"))
    valid_split: int | None = field(metadata=CHANGES_NUMBERS)
    metadata: tuple[MetadataColumns, ...] = field(metadata=CHANGES_NUMBERS)
    inner: tuple[tuple[str, InnerSet, tuple[str, ...]], ...] | None = field(
        metadata=CHANGES_NUMBERS
    )
    spaces: bool = field(metadata=CHANGES_NUMBERS)
    inner_parts: int = field(metadata=CHANGES_NUMBERS)

    @property
    def modality_of(self) -> dict[str, str]:
        """View to its modality."""
        return {view: ref.modality for view, ref, _ in self.views}


@dataclass(frozen=True, slots=True)
class RunSource:
    """What all folds of a run have in common; :meth:`fold` names the data of one.

    Attributes:
        store: The store's folder.
        corpus: The corpus' name.
        manifest: Digest of the corpus' manifest, with its own label set.
        plan: The fold plan.
        plan_file: Where the run writes the plan.
        labels: The label set that counts; without one the gate refuses the corpus.
        entries: The store's files and the views that are made of columns, for their digests.
        metadata: The views that are metadata.
        shuffle_seed: Seed of permuted labels, or none.
        select_on: ``valid`` or ``test``, for the gate.
        inner_parts: In how many inner folds training and validation rows are answered, joined; 0
            where they are apart.
    """

    store: Path
    corpus: str
    manifest: str
    plan: FoldPlan
    plan_file: Path
    labels: LabelSet | None
    entries: Sequence[Entry]
    metadata: tuple[MetadataColumns, ...]
    shuffle_seed: int | None
    select_on: str
    inner_parts: int = 0

    def fold(
        self,
        number: int,
        views: Mapping[str, EncoderRef],
        *,
        valid_split: int | None = None,
        inner: Mapping[str, InnerSet] | None = None,
        spaces: bool = False,
    ) -> FoldSource:
        """Name the data of one fold.

        Args:
            number: The fold's number, from 1.
            views: View name to encoder.
            valid_split: Seed by which validation rows are halved, or none.
            inner: View name to inner encoders, where training rows are answered out of fold.
            spaces: Whether the vectors of inner encoders are needed, not only their scores.
        """
        return FoldSource(
            self.store,
            self.corpus,
            self.manifest,
            self.plan.digest,
            self.plan_file,
            self.labels_digest,
            json.dumps(self.labels.to_dict() if self.labels else None),
            number,
            tuple((name, ref, self._digest(ref, number)) for name, ref in views.items()),
            self.shuffle_seed,
            self.select_on,
            valid_split,
            # columns that were left out are no part of the view
            tuple(replace(c, left_out=()) for c in self.metadata if c.view in views),
            None if inner is None else tuple(self._inner(inner, number)),
            spaces,
            self.inner_parts,
        )

    @property
    def labels_digest(self) -> str:
        """Digest of the label set that counts."""
        return self.labels.digest if self.labels else ""

    def _digest(self, ref: EncoderRef, fold: int) -> str:
        """Return the content digest of the file that serves a fold; the gate misses files."""
        by_fold = {entry.fold: entry.digest for entry in self.entries if entry.ref == ref}
        return by_fold.get(str(fold), by_fold.get("any", ""))

    def _inner(
        self, inner: Mapping[str, InnerSet], fold: int
    ) -> Iterator[tuple[str, InnerSet, tuple[str, ...]]]:
        for view, encoders in inner.items():
            by_fold = {e.fold: e.digest for e in self.entries if e.ref == encoders.ref}
            names = [encoders.fold(fold, part) for part in range(1, encoders.parts + 1)]
            yield view, encoders, tuple(by_fold[name] for name in names if name in by_fold)


class FoldLoader:
    """Loads folds through the gate and keeps what fits.

    Of the fold that was asked for last, up to :data:`KEPT_OF_ONE_FOLD` sets of views are kept
    whatever their size; anything beyond that only while all together stays below ``kept_bytes``.
    So the data of a large corpus are never in memory all at once.

    Args:
        kept_bytes: How much may be kept.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self.kept_bytes = kept_bytes
        self._folds: dict[FoldSource, FoldData] = {}  # the last used stands last
        self._corpora: dict[tuple[str, str], Manifest] = {}
        self._plans: dict[str, FoldPlan] = {}

    @property
    def kept(self) -> tuple[FoldSource, ...]:
        """What is in memory, the last used last."""
        return tuple(self._folds)

    def begin(self, source: RunSource, manifest: Manifest) -> None:
        """Start a run: forget earlier ones, and take over what has been read already.

        Args:
            source: The run's data.
            manifest: The corpus under the label set that counts.
        """
        self.forget()
        self._corpora[source.manifest, source.labels_digest] = manifest
        self._plans[source.plan.digest] = source.plan

    def forget(self) -> None:
        """Free the memory."""
        self._folds.clear()
        self._corpora.clear()
        self._plans.clear()

    def load(self, source: FoldSource) -> FoldData:
        """Return the data of a cell, from memory if they are there.

        Raises:
            StoreMismatchError: The corpus or the plan was replaced during the run.
            StoreError, FoldError, LeakError: As :func:`embeddings_store.load.load_fold`.
        """
        data = self._folds.pop(source, None)
        if data is None:
            data = self._read(source)
        self._folds[source] = data
        self._drop_what_does_not_fit(source.fold)
        return data

    def _read(self, source: FoldSource) -> FoldData:
        inner = source.inner
        manifest = self._manifest(source)
        request = FoldRequest(
            source.store,
            source.corpus,
            {view: ref for view, ref, _ in source.views},
            self._plan(source),
            source.fold,
            shuffle_seed=source.shuffle_seed,
            select_on=source.select_on,
            valid_split=source.valid_split,
            inner=None if inner is None else {view: encoders for view, encoders, _ in inner},
            spaces=source.spaces,
        )
        data = load_with_metadata(request, manifest, source.metadata)
        if not source.inner_parts:
            return data
        return with_inner_parts(data, manifest, self._plan(source), source.inner_parts)

    def _drop_what_does_not_fit(self, fold: int) -> None:
        total = sum(_bytes_of(data) for data in self._folds.values())
        of_others = [source for source in self._folds if source.fold != fold]
        of_this = [source for source in self._folds if source.fold == fold]
        for source in [*of_others, *of_this[:-KEPT_OF_ONE_FOLD]]:  # each from the oldest on
            if total <= self.kept_bytes:
                break
            total -= _bytes_of(self._folds.pop(source))

    def _manifest(self, source: FoldSource) -> Manifest:
        known = (source.manifest, source.labels)
        if known not in self._corpora:
            folder = source.store / source.corpus
            manifest = Manifest.load(folder)
            if manifest.digest != source.manifest:
                raise StoreMismatchError(
                    f"{folder}: the corpus was replaced while it was read (digest "
                    f"{manifest.digest}, not {source.manifest}); run the same command again"
                )
            labels = LabelSet.from_dict(json.loads(source.label_set))
            self._corpora[known] = replace(manifest, labels=labels)
        return self._corpora[known]

    def _plan(self, source: FoldSource) -> FoldPlan:
        if source.plan not in self._plans:
            plan = FoldPlan.load(source.plan_file)
            if plan.digest != source.plan:
                raise RuntimeError(
                    f"{source.plan_file} was replaced during the run (digest {plan.digest}, not "
                    f"{source.plan}), though its folder is locked"
                )
            self._plans[source.plan] = plan
        return self._plans[source.plan]


LOADER = FoldLoader()


def _bytes_of(data: FoldData) -> int:
    """Return what vectors and scores of a fold take in memory; ids and labels are small."""
    roles = sum(_bytes_of_rows(rows) for rows in (data.train, data.valid, data.test))
    return roles + sum(_bytes_of(space) for space in data.spaces)


def _bytes_of_rows(rows: RoleData) -> int:
    total = 0
    for by_view in (rows.vectors, rows.scores, rows.inner_scores):
        total += sum(values.nbytes for values in by_view.values())
    return total
