"""What every check is given.

The rows, their roles, what made the vectors, and how a key of one role is found in another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classify.leakage.finding import SHOWN_EXAMPLES
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.plain_names import plain_names, without_corpus
from embeddings_store.errors import StoreMismatchError
from embeddings_store.folds.plan import Fold, FoldPlan
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.hdf5 import read_marks, store_path

NAMES = ("speaker", "group", "session")
RECORDINGS = ("audio", "video", "meta_video", "meta_video_id")  # columns that name what is cut
LONG_WORDS = 6  # shorter transcripts are everyday phrases, which people say twice
# A look-up that is right so much more often than a constant answer knows something of the label,
HELPS = 0.05
# unless chance alone would do that about once in so many corpora: templates that a few speakers say
# with every emotion.
BY_CHANCE = 0.01

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class VectorFile:
    """A file of vectors without its vectors.

    Attributes:
        path: Where it lies.
        ref: Which encoder.
        view: What it is called in a run, usually the modality.
        fold: The fold in its name, ``any`` for all.
        folds: Numbers of the folds that it serves.
        seen: What the encoder knows of each row (N,).
        ok: Rows that have a vector (N,).
        silent: Rows whose sound is nothing but noughts (N,).
        inputs: Digest of what the encoder was given (N,), empty where nothing was; or none where
            the file has no digests.
        attributes: What the file says of itself.
    """

    path: Path
    ref: EncoderRef
    view: str
    fold: str
    folds: frozenset[int]
    seen: NDArray[np.str_]
    ok: Mask
    silent: Mask
    inputs: NDArray[np.str_] | None
    attributes: Mapping[str, object]

    def serves(self, fold: Fold) -> bool:
        """Say whether this file is the one for a fold."""
        return fold.number in self.folds


@dataclass(frozen=True)
class AuditCase:
    """One evaluation, before anything is computed.

    Attributes:
        manifest: The rows.
        plan: Their roles; it need not have passed :meth:`FoldPlan.check`, so that a plan that tears
            groups can be judged.
        files: The files of vectors.
        labels: The label set; none takes the corpus' own.
        metadata: Metadata columns that are given to a classifier.
        select_on: Which rows choose settings and cells: ``valid``, ``inner`` or ``test``; empty for
            the default.
        shuffled: Whether the labels are permuted on purpose, and with which seed.
        media: The folder of the corpus' media, where files may be read; or none.
        follow_links: Whether media may be behind symbolic links that leave that folder.
    """

    manifest: Manifest
    plan: FoldPlan
    files: Sequence[VectorFile] = ()
    labels: LabelSet | None = None
    metadata: Sequence[str] = ()
    select_on: str = ""
    shuffled: int | None = None
    media: Path | None = None
    follow_links: bool = False

    @cached_property
    def codes(self) -> Codes:
        """Class code of each row (N,), -1 for none.

        A corpus without labels counts as of one class.
        """
        labels = self.labels or self.manifest.labels
        if labels is None:
            return np.zeros(len(self.manifest), dtype=np.int64)
        return labels.encode(self.manifest.column("label"))

    @cached_property
    def groups(self) -> Codes:
        """Code of each row's group (N,), -1 for none."""
        return self.keys("group")

    @property
    def n_test(self) -> int:
        """Labelled test rows, over all folds."""
        return sum(int(self.rows(fold, "test").sum()) for fold in self.plan)

    def keys(self, column: str) -> Codes:
        """Return a column's values as codes (N,), -1 where it is empty or names nobody."""
        if column in NAMES:
            return factorized(self.manifest.named(column))
        values = self.manifest.table[column]
        return factorized(np.where(values.isna(), "", values.astype(str)))

    def plain_keys(self, column: str) -> Codes:
        """Return a column's values as codes (N,), equal where a person would call them the same.

        See :mod:`embeddings_store.corpus.plain_names`; -1 where it is empty or names nobody.
        """
        named = column in NAMES
        values = self.manifest.named(column) if named else self.manifest.column(column)
        if column == "speaker":
            pairs = zip(values.tolist(), self.manifest.ids.tolist(), strict=True)
            values = np.array([without_corpus(name, row) for name, row in pairs], dtype=str)
        return factorized(plain_names(values))

    def rows(self, fold: Fold, *roles: str) -> Mask:
        """Labelled rows that have one of some roles in a fold (N,)."""
        return np.asarray(
            np.logical_or.reduce([fold.mask(role) for role in roles]) & (self.codes >= 0)
        )

    def torn(self, fold: Fold, one: str, other: str) -> Mask:
        """Return the rows in one of two roles whose group has rows in both (N,).

        Args:
            fold: The fold.
            one: A role.
            other: Another role.
        """
        has_group = self.groups >= 0
        in_one = fold.mask(one) & has_group
        in_other = fold.mask(other) & has_group
        shared = np.intersect1d(self.groups[in_one], self.groups[in_other])
        return np.asarray((in_one | in_other) & np.isin(self.groups, shared))

    def files_for(self, fold: Fold) -> Iterator[VectorFile]:
        """Yield the files that serve a fold."""
        return (file for file in self.files if file.serves(fold))


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many test rows share a key with rows that train or validate, over all folds.

    Attributes:
        rows: Test rows that do.
        of: Test rows that have a key.
        keys: Keys that are on both sides, in the order in which they are met.
        examples: Positions of such test rows, each with one of a training or validation row of the
            same key.
        right: How often the commonest label of the key's training and validation rows is the test
            row's own.
        constant: How often always answering the commonest label of the fold's test rows, shared or
            not, would be right on as many rows. Copies of one class only are all of one label, so
            the commonest label among themselves says nothing.
    """

    rows: int
    of: int
    keys: Codes
    examples: tuple[tuple[int, int], ...]
    right: int
    constant: float

    @property
    def share(self) -> float:
        """Part of the test rows that have a key."""
        return self.rows / self.of if self.of else 0.0

    @property
    def look_up(self) -> float:
        """Accuracy on the shared rows of looking the label up; ``nan`` for none."""
        return self.right / self.rows if self.rows else float("nan")

    @property
    def helps(self) -> bool:
        """Whether looking the label up is right so much more often that it knows something of it.

        By more than :data:`HELPS` of the rows, and beyond what chance gives: a binomial test of
        so many right ones against the constant answer, one-sided, at :data:`BY_CHANCE`.
        """
        if self.right - self.constant <= HELPS * self.rows:
            return False
        # here, because importing it takes a quarter of a second; scipy.stats takes another half
        from scipy.special import bdtrc

        return float(bdtrc(self.right - 1, self.rows, self.constant / self.rows)) < BY_CHANCE


def overlap(case: AuditCase, keys: Codes, roles: Sequence[str] = ("train", "valid")) -> Overlap:
    """Count the test rows whose key also occurs in other roles of the same fold.

    Args:
        case: The evaluation.
        keys: Code of each row (N,), -1 for none.
        roles: The roles that test rows are compared with.

    >>> columns = {"id": list("abcd"), "label": ["x", "y"] * 2, "text": list("tttt")}
    >>> m = Manifest.from_columns("m", columns)
    >>> roles = np.array([1, 1, 3, 3], dtype=np.uint8)
    >>> plan = FoldPlan("p", "none", m.ids, (Fold(1, "1", roles),))
    >>> found = overlap(AuditCase(m, plan), np.array([0, 1, 1, 2]))
    >>> found.rows, found.of, found.right
    (1, 2, 0)
    """
    import pandas as pd

    n_keys = int(keys.max(initial=-1)) + 1
    n_classes = int(case.codes.max(initial=0)) + 1
    rows = of = right = 0
    constant = 0.0
    met: dict[int, None] = {}
    examples: list[tuple[int, int]] = []
    for fold in case.plan:
        known = case.rows(fold, *roles) & (keys >= 0)
        asked = case.rows(fold, "test") & (keys >= 0)
        of += int(asked.sum())
        if not n_keys:
            continue
        # how often each key has each label among the rows that are known
        table = np.bincount(
            keys[known] * n_classes + case.codes[known], minlength=n_keys * n_classes
        ).reshape(n_keys, n_classes)
        found = np.flatnonzero(asked & (table.sum(axis=1) > 0)[keys])
        commonest = table.argmax(axis=1)[keys[found]]
        rows += len(found)
        right += int((commonest == case.codes[found]).sum())
        of_test = np.bincount(case.codes[case.rows(fold, "test")], minlength=1)
        constant += len(found) * of_test.max() / max(of_test.sum(), 1)
        met |= dict.fromkeys(pd.unique(keys[found]).tolist())
        for row in found[: max(0, SHOWN_EXAMPLES - len(examples))]:
            examples.append((int(row), int(np.argmax(known & (keys == keys[row])))))
    return Overlap(
        rows,
        of,
        np.array(list(met), dtype=np.int64),
        tuple(examples),
        right,
        constant,
    )


def factorized(values: NDArray[np.str_]) -> Codes:
    """Return texts (N,) as codes (N,) in the order in which they are met, -1 for empty ones.

    >>> factorized(np.array(["b", "", "a", "b"])).tolist()
    [0, -1, 1, 0]
    """
    import pandas as pd

    texts = np.asarray(values, dtype=object)
    given = pd.Series(texts, dtype=object).where(texts != "", None)
    return np.asarray(pd.factorize(given)[0], dtype=np.int64)


def named_views(refs: Iterable[EncoderRef]) -> dict[str, EncoderRef]:
    """Name encoders by their modality, with folder and seed where a modality has several.

    >>> two = [EncoderRef("bert", "00", "text"), EncoderRef("bert", "11", "text")]
    >>> list(named_views([*two, EncoderRef("ast", "22", "audio")]))
    ['text bert@00 seed 0', 'text bert@11 seed 0', 'audio']
    """
    different = list(dict.fromkeys(refs))
    times = Counter(ref.modality for ref in different)
    named = {}
    for ref in different:
        several = times[ref.modality] > 1
        named[f"{ref.modality} {ref.folder} seed {ref.seed}" if several else ref.modality] = ref
    return named


def read_files(
    store: Path, manifest: Manifest, views: Mapping[str, EncoderRef], plan: FoldPlan
) -> tuple[VectorFile, ...]:
    """Read what the files of some views say of each row; no vector is read.

    Args:
        store: The store's folder.
        manifest: The corpus.
        views: View name to encoder.
        plan: Its folds say which files are wanted: a fold's own, else the one that serves all.

    Raises:
        StoreError: A file is damaged.
        StoreMismatchError: A file holds other rows than the corpus.
    """
    found = []
    for view, ref in views.items():
        for name, numbers in _files_of(store, manifest.name, ref, plan).items():
            path = store_path(store, manifest.name, ref, name)
            if path.is_file():
                found.append(_read_file(path, manifest, ref, view, name, numbers))
    return tuple(found)


def _files_of(store: Path, corpus: str, ref: EncoderRef, plan: FoldPlan) -> dict[str, set[int]]:
    """Return the fold in a file's name, ``any`` for all, to the numbers of the folds it serves."""
    served: defaultdict[str, set[int]] = defaultdict(set)
    for fold in plan:
        own = str(fold.number)
        has_own = store_path(store, corpus, ref, own).is_file()
        served[own if has_own else "any"].add(fold.number)
    return served


def _read_file(
    path: Path, manifest: Manifest, ref: EncoderRef, view: str, fold: str, numbers: set[int]
) -> VectorFile:
    attributes, columns = read_marks(path)
    if not np.array_equal(columns["ids"], manifest.ids):
        raise StoreMismatchError(
            f"{path}: holds {len(columns['ids'])} other rows than the {len(manifest)} of corpus "
            f"{manifest.name!r}; extract it again with --overwrite"
        )
    return VectorFile(
        path,
        ref,
        view,
        fold,
        frozenset(numbers),
        columns["seen"],
        columns["status"] == "ok",
        np.char.startswith(columns["reason"], "silent"),
        columns.get("inputs"),
        attributes,
    )
