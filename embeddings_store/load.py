"""The one way from the store to a model: one fold, joined by id, past the leak gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.labels import LabelSet, permute_labels
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, LabelError, StoreMismatchError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.apart import learning_groups
from embeddings_store.folds.halves import apart
from embeddings_store.folds.plan import Fold
from embeddings_store.leak_gate import Mask, refuse_fitted, refuse_leaks, unverified_views
from embeddings_store.vectors.arrays import SCORED_ROLES, StoredRows
from embeddings_store.vectors.fold_data import FoldData, RoleData
from embeddings_store.vectors.fold_files import FoldFiles
from embeddings_store.vectors.hdf5 import read_arranged
from embeddings_store.vectors.inner_folds import (
    InnerSet,
    left_out_together,
    out_of_fold_scores,
    refuse_other_rows,
)

Files = Mapping[str, StoredRows]


def load_fold(request: FoldRequest, manifest: Manifest | None = None) -> FoldData:
    """Load one fold of a plan for some views, joined by id and checked for leaks.

    A row may be tested only where every encoder says that it has not seen it (``seen = no``), and
    may validate only where no encoder was fitted on it: see :mod:`embeddings_store.leak_gate`. Rows
    without a label in the set, and rows that no view has, play no role. The rows of each role stand
    in the order of their ids, whatever their order in the store, so that the same data give the
    same numbers.

    Args:
        request: Which fold, of which encoders, on what terms.
        manifest: The corpus' manifest, for callers that load many folds and have read it already.

    Raises:
        LeakError: A test or validation row was seen by an encoder.
        StoreMismatchError: Files that do not belong together.
        StoreNotFoundError: A view has no file for this fold.
        FoldError: The plan is for other rows, or a role or a class of the fold has no rows left.
        LabelError: The corpus has no labels.
    """
    manifest = manifest or Manifest.load(request.store / request.corpus)
    request.plan.check(manifest, only=request.fold)
    labels = request.labels or manifest.labels
    if labels is None:
        raise LabelError(
            f"corpus {request.corpus!r} has no labels, so nothing can be trained or scored on it"
        )
    codes = labels.encode(manifest.column("label"))
    if request.shuffle_seed is not None:
        codes = permute_labels(codes, request.shuffle_seed)
    fold = request.plan.fold(request.fold)
    reader = FoldFiles(request.store, manifest, request.plan, fold, labels, request.shuffle_seed)
    files = {view: reader.read(ref) for view, ref in request.views.items()}
    loader = _FoldLoader(
        request, labels, reader, files, _CorpusRows.of(request, manifest, fold, codes, files)
    )
    data = loader.fold_data(files, loader.rows.roles["train"])
    data = loader.with_inner_scores(data)
    loader.require_rows(data)
    if request.spaces and request.inner:
        data = replace(data, spaces=loader.inner_spaces(request.inner))
    return data


@dataclass(frozen=True, slots=True)
class _CorpusRows:
    """All rows of the corpus, and what each does in one fold.

    Attributes:
        fold: The fold as the plan has it, whether or not its rows can be used.
        ids: (N,).
        codes: Class codes (N,), -1 for none.
        groups: What choices keep together (N,): group, else speaker, or what the plan is by.
        usable: Rows with a label and an input (N,).
        roles: ``train``, ``valid`` and ``test`` to the usable rows of that role (N,).
        kept_apart: Validation rows that are kept for choosing between systems (N,), or none.
    """

    fold: Fold
    ids: NDArray[np.str_]
    codes: NDArray[np.int64]
    groups: NDArray[np.str_]
    usable: Mask
    roles: Mapping[str, Mask]
    kept_apart: Mask | None

    @classmethod
    def of(
        cls,
        request: FoldRequest,
        manifest: Manifest,
        fold: Fold,
        codes: NDArray[np.int64],
        files: Files,
    ) -> _CorpusRows:
        has_input = np.zeros(len(codes), dtype=bool)
        if request.other_input is not None:
            has_input = request.other_input
        for file in files.values():
            has_input = has_input | file.ok
        usable = (codes >= 0) & has_input
        roles = {role: usable & fold.mask(role) for role in SCORED_ROLES}
        groups = learning_groups(manifest, request.plan.name)
        kept_apart = None
        if request.valid_split is not None and roles["valid"].any():
            # Of all rows that validate, not of the usable ones: the halves must not depend on
            # which views are loaded.
            kept_apart = apart(
                manifest.ids,
                groups,
                fold.mask("valid"),
                request.valid_split,
                f"fold {request.fold} of {request.plan.name!r}",
            )
        return cls(fold, manifest.ids, codes, groups, usable, roles, kept_apart)

    @property
    def of_any_role(self) -> Mask:
        """Rows with a label and a role, whether or not they have vectors."""
        in_fold = np.logical_or.reduce([self.fold.mask(role) for role in SCORED_ROLES])
        return np.asarray((self.codes >= 0) & in_fold)

    def in_order(self, rows: Mask) -> NDArray[np.int64]:
        """Return the positions of some rows in the order of their ids.

        Trees, networks and sums depend on the order of what they learn from. A store may hold the
        same rows in any order, and the same data must give the same numbers.
        """
        places = np.flatnonzero(rows)
        return places[np.argsort(self.ids[places], kind="stable")]

    def cut(self, files: Files, roles: Sequence[Mask]) -> list[RoleData]:
        """Return the rows of some roles, which lie below each other in one array of each view."""
        of_role = [self.in_order(mask) for mask in roles]
        whole = self._rows(files, np.concatenate(of_role))
        ends = np.cumsum([len(rows) for rows in of_role])
        return [
            whole.take(slice(end - len(rows), end)) for rows, end in zip(of_role, ends, strict=True)
        ]

    def _rows(self, files: Files, rows: NDArray[np.int64]) -> RoleData:
        return RoleData(
            ids=self.ids[rows],
            y=self.codes[rows],
            groups=self.groups[rows],
            vectors={view: read_arranged(file, rows) for view, file in files.items()},
            scores={
                view: file.scores[rows] for view, file in files.items() if file.scores is not None
            },
            present={view: file.ok[rows] for view, file in files.items()},
            fitted=self._seen_by_any(files, "fit")[rows],
            selected=self._seen_by_any(files, "select")[rows],
        )

    def _seen_by_any(self, files: Files, word: str) -> Mask:
        seen = np.zeros(len(self.ids), dtype=bool)
        for file in files.values():
            seen |= (file.seen == word) & file.ok
        return seen


@dataclass(frozen=True, slots=True)
class _FoldLoader:
    """The steps of :func:`load_fold` once files and roles are known."""

    request: FoldRequest
    labels: LabelSet
    reader: FoldFiles
    files: Files
    rows: _CorpusRows

    def fold_data(self, files: Files, train: Mask) -> FoldData:
        """Pass the leak gate and cut the arrays of each role."""
        request, rows = self.request, self.rows
        refuse_leaks(files, request.plan, rows.fold, rows.usable, request.select_on)
        train_rows, valid, test = rows.cut(files, [train, rows.roles["valid"], rows.roles["test"]])
        learning = train | rows.roles["valid"]
        fitted = [v for v, f in files.items() if ((f.seen == "fit") & f.ok & learning).any()]
        if rows.kept_apart is not None:
            valid = replace(valid, apart=rows.kept_apart[rows.in_order(rows.roles["valid"])])
        return FoldData(
            corpus=request.corpus,
            protocol=request.plan.name,
            plan_digest=request.plan.digest,
            fold=request.fold,
            labels=self.labels,
            views=dict(request.views),
            train=train_rows,
            valid=valid,
            test=test,
            unverified=unverified_views(files, rows.roles["test"] | rows.roles["valid"]),
            fitted_views=tuple(fitted),
        )

    def with_inner_scores(self, data: FoldData) -> FoldData:
        """Add the class scores of training rows, each from an encoder that has not seen it."""
        inner, train = self.request.inner, self.rows.roles["train"]
        if inner is None:
            return data
        refuse_fitted(self.files, inner, self.request.fold, train)
        scores = {}
        for view, encoders in inner.items():
            of_all_rows = out_of_fold_scores(
                encoders,
                self.request.fold,
                self.files[view],
                train,
                partial(self.reader.read_inner, encoders.ref),
            )
            scores[view] = of_all_rows[self.rows.in_order(train)]
        return replace(data, train=replace(data.train, inner_scores=scores))

    def require_rows(self, data: FoldData) -> None:
        where = f"fold {self.request.fold} of {self.request.plan.name!r}"
        for role in ("train", "test"):
            of_role = self.rows.fold.mask(role)
            if not (of_role & (self.rows.codes >= 0)).any():
                raise FoldError(
                    f"{where} has {int(of_role.sum())} {role} rows, none of them with a label; "
                    "choose other folds with --folds, or give these rows their labels"
                )
            if not len(data.role(role)):
                raise FoldError(
                    f"{where} has no {role} rows with a label and a vector; see embeddings-store "
                    "inspect for failed and missing rows"
                )
        for name in _classes_not_in_train(data):
            raise FoldError(
                f"{where} has no training row of class {name!r} that has a vector; no model can "
                "learn it. See embeddings-store inspect for failed and missing rows, or use a "
                "label set without this class"
            )

    def inner_spaces(self, inner: Mapping[str, InnerSet]) -> tuple[FoldData, ...]:
        """Load the fold in the space of each inner encoder, on the rows that it left out."""
        parts = {view: encoders.parts for view, encoders in inner.items()}
        if len(set(parts.values())) > 1:
            raise StoreMismatchError(
                "inner folds leave out different rows: "
                f"{', '.join(f'{n} of {v}' for v, n in parts.items())}; take the same number for "
                "all modalities with --inner-folds N, or fuse only class scores (--early none)"
            )
        spaces = []
        for part in range(1, max(parts.values()) + 1):
            own = {
                view: self.reader.read_inner(encoders.ref, encoders.fold(self.request.fold, part))
                for view, encoders in inner.items()
            }
            refuse_other_rows(self.files, own, self.rows.of_any_role)
            left_out = left_out_together(own, self.rows.roles["train"])
            space = self.fold_data({**self.files, **own}, left_out)
            self._require_rows_of_space(space, part)
            spaces.append(space)
        return tuple(spaces)

    def _require_rows_of_space(self, space: FoldData, part: int) -> None:
        where = f"fold {self.request.fold}.inner-{part} of {self.request.plan.name!r}"
        for name in _classes_not_in_train(space):
            raise FoldError(
                f"{where} left out no training row of class {name!r} that has a vector, so no "
                "classifier in the space of this encoder can learn it; extract fewer inner folds, "
                "choose other rows with --fit-rows, or use a label set without this class"
            )
        for view, present in space.train.present.items():
            if not present.any():
                raise FoldError(
                    f"{where}: none of the {len(space.train)} training rows that it left out has "
                    f"{view} vectors, so nothing can be learnt from them in its space; extract "
                    f"fewer inner folds, leave {view} out with --modalities, or choose other rows "
                    "with --fit-rows"
                )


def _classes_not_in_train(data: FoldData) -> list[str]:
    return [name for code, name in enumerate(data.labels.classes) if code not in data.train.y]
