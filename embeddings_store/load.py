"""The one gate from the store to a model.

It finds vectors, joins them by id, and refuses what a leak would need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.groups import group_or_speaker
from embeddings_store.corpus.labels import LabelSet, permute_labels
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import (
    FoldError,
    LabelError,
    LeakError,
    StoreMismatchError,
    StoreNotFoundError,
    UsageError,
    unknown_name,
)
from embeddings_store.folds.halves import apart
from embeddings_store.folds.plan import Fold, FoldPlan
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.fold_data import FoldData, RoleData
from embeddings_store.vectors.hdf5 import read_embeddings, store_path
from embeddings_store.vectors.inner_folds import (
    InnerSet,
    left_out_together,
    out_of_fold_scores,
    refuse_other_rows,
)

SELECT_ON = ("valid", "test")


def load_fold(
    store: Path,
    corpus: str,
    views: Mapping[str, EncoderRef],
    plan: FoldPlan,
    fold: int,
    *,
    labels: LabelSet | None = None,
    shuffle_seed: int | None = None,
    manifest: Manifest | None = None,
    select_on: str = "valid",
    inner: Mapping[str, InnerSet] | None = None,
    valid_split: int | None = None,
    also: NDArray[np.bool_] | None = None,
    spaces: bool = False,
) -> FoldData:
    """Load one fold of a plan for some views, joined by id and checked for leaks.

    A row may be tested only where every encoder says that it has not seen it (``seen = no``), and
    may validate only where no encoder was fitted on it. Rows without a label in the set, and rows
    that no view has, play no role.

    Args:
        store: The store's folder.
        corpus: The corpus' name.
        views: View name (usually the modality) to encoder.
        plan: The fold plan over the corpus' manifest.
        fold: Number of the fold, from 1.
        labels: Another label set than the corpus' own.
        shuffle_seed: Permute the labels of all labelled rows, to see whether the pipeline then
            falls to chance.
        manifest: The corpus' manifest, for callers that load many folds and have read it already.
        select_on: ``valid``, or ``test`` to let rows be tested by which an encoder's epoch was
            chosen (``select``). What is then measured is an upper bound, and the caller has to
            stamp it so. Rows that it was fitted on stay refused.
        inner: View name to inner encoders, for out-of-fold scores of training rows; see
            :mod:`embeddings_store.vectors.inner_folds`. Where it is given, even if empty, every
            other view must not have been fitted on training rows.
        valid_split: Mark a half of the validation rows as kept apart, by group in the order of this
            seed; the halves are the same whatever views are loaded.
        also: Rows (N,) that have an input which is no vector of the store, such as metadata; they
            count although no view has them, and then there may be no view at all.
        spaces: Whether the fold is also loaded in the space of each inner encoder, each through the
            same checks.

    Raises:
        LeakError: A test or validation row was seen by an encoder.
        StoreMismatchError: Files that do not belong together.
        StoreNotFoundError: A view has no file for this fold.
        FoldError: The plan is for other rows, or a role or a class of the fold has no rows left.
        LabelError: The corpus has no labels.
    """
    if not views and also is None:
        raise UsageError("no view is named; a fold is loaded for one or more encoders")
    if select_on not in SELECT_ON:
        unknown_name("role to choose on", select_on, SELECT_ON)
    manifest = manifest or Manifest.load(store / corpus)
    plan.check(manifest, only=fold)
    labels = labels or manifest.labels
    if shuffle_seed is not None and shuffle_seed < 0:
        raise UsageError(f"the seed to permute labels with is {shuffle_seed}; expected 0 or more")
    if labels is None:
        raise LabelError(
            f"corpus {corpus!r} has no labels, so nothing can be trained or scored on it"
        )
    y = labels.encode(manifest.column("label"))
    if shuffle_seed is not None:
        y = permute_labels(y, shuffle_seed)
    chosen = plan.fold(fold)
    files = {
        name: _aligned(
            _file_for(store, corpus, ref, chosen), manifest, plan, chosen, ref, labels, shuffle_seed
        )
        for name, ref in views.items()
    }
    has_input = np.zeros(len(y), dtype=bool) if also is None else also
    usable = (y >= 0) & np.logical_or.reduce([has_input, *(f.ok for f in files.values())])
    groups = group_or_speaker(manifest)
    masks = {role: usable & chosen.mask(role) for role in ("train", "valid", "test")}
    kept = None
    if valid_split is not None and masks["valid"].any():
        kept = apart(
            manifest.ids, groups, chosen.mask("valid"), valid_split, f"fold {fold} of {plan.name!r}"
        )[masks["valid"]]

    def build(files: Mapping[str, Embeddings], train: NDArray[np.bool_]) -> FoldData:
        _refuse_leaks(files, plan, chosen, usable, select_on)
        unverified = tuple(
            name
            for name, f in files.items()
            if (f.seen[f.ok & (masks["test"] | masks["valid"])] == "unknown").any()
        )
        roles = {
            role: _role(files, manifest.ids, y, groups, mask)
            for role, mask in (masks | {"train": train}).items()
        }
        if kept is not None:
            roles["valid"] = replace(roles["valid"], apart=kept)
        return FoldData(
            corpus,
            plan.name,
            plan.digest,
            fold,
            labels,
            dict(views),
            roles["train"],
            roles["valid"],
            roles["test"],
            unverified,
        )

    data = build(files, masks["train"])
    for view in [] if inner is None else [v for v in files if v not in inner]:
        if (files[view].seen[files[view].ok & masks["train"]] == "fit").any():
            raise LeakError(
                f"fold {fold}: the {view} encoder {files[view].encoder.folder} was fitted on "
                "training rows and has "
                "no inner encoders that left some of them out, so nothing can be learnt from its "
                "training rows out "
                f"of fold; leave {view} out with --modalities, or choose other rows with --fit-rows"
            )

    def read(ref: EncoderRef, name: str) -> Embeddings:
        return _aligned(
            _inner_file(store, corpus, ref, name),
            manifest,
            plan,
            chosen,
            ref,
            labels,
            shuffle_seed,
            name,
        )

    found = {
        view: out_of_fold_scores(
            encoders, fold, files[view], masks["train"], partial(read, encoders.ref)
        )[masks["train"]]
        for view, encoders in (inner or {}).items()
    }
    data = replace(data, train=replace(data.train, inner_scores=found))
    for role in ("train", "test"):
        if not len(data.role(role)):
            raise FoldError(
                f"fold {fold} of {plan.name!r} has no {role} rows with a label and a vector; see "
                "embeddings-store inspect for failed and missing rows"
            )
    for name in _absent(data):
        raise FoldError(
            f"fold {fold} of {plan.name!r} has no training row of class {name!r} that has a "
            "vector; no model can learn it. See embeddings-store inspect for failed and missing "
            "rows, or use a "
            "label set without this class"
        )
    if not spaces or not inner:
        return data
    parts = {view: encoders.parts for view, encoders in inner.items()}
    if len(set(parts.values())) > 1:
        raise StoreMismatchError(
            "inner folds leave out different rows: "
            f"{', '.join(f'{n} of {v}' for v, n in parts.items())}; "
            "take the same number for all modalities with --inner-folds N, or fuse only class "
            "scores "
            "(--early none)"
        )
    built = []
    for part in range(1, max(parts.values()) + 1):
        own = {
            view: read(encoders.ref, encoders.fold(fold, part)) for view, encoders in inner.items()
        }
        refuse_other_rows(
            files, own, (y >= 0) & np.logical_or.reduce([chosen.mask(role) for role in masks])
        )
        space = build({**files, **own}, left_out_together(own, masks["train"]))
        for name in _absent(space):
            raise FoldError(
                f"fold {fold}.inner-{part} of {plan.name!r} left out no training row of class "
                f"{name!r} that has a "
                "vector, so no classifier in the space of this encoder can learn it; extract "
                "fewer inner folds, "
                "choose other rows with --fit-rows, or use a label set without this class"
            )
        for view in (v for v, present in space.train.present.items() if not present.any()):
            raise FoldError(
                f"fold {fold}.inner-{part} of {plan.name!r}: none of the {len(space.train)} "
                "training rows that it "
                f"left out has {view} vectors, so nothing can be learnt from them in its space; "
                "extract fewer inner "
                f"folds, leave {view} out with --modalities, or choose other rows with --fit-rows"
            )
        built.append(space)
    return replace(data, spaces=tuple(built))


def _absent(data: FoldData) -> list[str]:
    return [name for code, name in enumerate(data.labels.classes) if code not in data.train.y]


def _file_for(store: Path, corpus: str, ref: EncoderRef, fold: Fold) -> Path:
    for name in (str(fold.number), "any"):
        path = store_path(store, corpus, ref, name)
        if path.is_file():
            return path
    folder = store_path(store, corpus, ref, "any").parent
    there = ", ".join(sorted(p.stem for p in folder.glob("fold-*.h5"))) or "nothing"
    raise StoreNotFoundError(
        f"{folder}: no vectors for fold {fold.number} (there: {there}); run extract-features "
        f"--corpus {corpus} --modality {ref.modality} --fold {fold.number}"
    )


def _inner_file(store: Path, corpus: str, ref: EncoderRef, name: str) -> Path:
    path = store_path(store, corpus, ref, name)
    if not path.is_file():
        raise StoreNotFoundError(
            f"{path}: no such inner fold; run extract-features with the same settings and "
            "--inner-folds again"
        )
    return path


def _aligned(
    path: Path,
    manifest: Manifest,
    plan: FoldPlan,
    fold: Fold,
    ref: EncoderRef,
    labels: LabelSet,
    shuffle_seed: int | None,
    inner: str = "",
) -> Embeddings:
    """Read a file and check that it belongs to this corpus, plan, fold (or inner fold) and label set, and to this reference."""
    file = read_embeddings(path)
    told = file.attributes
    if file.encoder != ref or told.get("corpus") != manifest.name:
        raise StoreMismatchError(
            f"{path}: holds {file.encoder.folder} of corpus {told.get('corpus')!r}, wanted is "
            f"{ref.folder} "
            f"of {manifest.name!r}; run embeddings-store verify and move the file back"
        )
    inputs = manifest.inputs_digest_of(ref.modality)
    if told.get("inputs_digest") != inputs or not np.array_equal(file.ids, manifest.ids):
        raise StoreMismatchError(
            f"{path}: was made from other inputs (digest {told.get('inputs_digest')}, "
            f"{len(file.ids)} rows) "
            f"than the corpus beside it ({inputs}, {len(manifest)} rows); extract it "
            "again with --overwrite, or keep the two corpora in stores of their own"
        )
    if file.fold != "any" and (
        file.fold != (inner or str(fold.number)) or told.get("plan_digest") != plan.digest
    ):
        trained = (
            f"--protocol {told['protocol']}"
            if told.get("protocol")
            else f"--folds {told.get('plan')} --valid {told.get('plan_valid')}"
        )
        raise StoreMismatchError(
            f"{path}: was fine-tuned for fold {file.fold} of plan {told.get('plan')!r} (valid: "
            f"{told.get('plan_valid')}, digest {told.get('plan_digest')}), not fold {fold.number} "
            "of "
            f"{plan.name!r} (valid: {plan.valid}, {plan.digest}); an encoder serves only the fold "
            "it was "
            f"trained for: {trained}"
        )
    shuffled = int(str(told.get("labels_shuffled", -1)))
    if file.fold != "any" and shuffled != (-1 if shuffle_seed is None else shuffle_seed):
        advice = (
            f"permuted labels; score it with --shuffle-labels {shuffled}"
            if shuffled >= 0
            else "true labels; leave out --shuffle-labels, or fine-tune with the same "
            "--shuffle-labels first"
        )
        raise StoreMismatchError(f"{path}: was fine-tuned on {advice}")
    if file.fold != "any" and told.get("labels_digest", labels.digest) != labels.digest:
        other = told.get("label_set") or told["labels_digest"]
        raise StoreMismatchError(
            f"{path}: was fine-tuned on the label set {other!r}, not on {labels.name!r}, which "
            "counts other "
            "rows or classes; use --label-set of the training, or fine-tune again (frozen vectors "
            "serve "
            "every label set)"
        )
    if file.scores is not None and file.classes != labels.classes:
        raise StoreMismatchError(
            f"{path}: its scores are of the classes {file.classes}, the label set {labels.name!r} "
            "has "
            f"{labels.classes}; use the label set that the encoder was trained with"
        )
    return file


def _refuse_leaks(
    files: Mapping[str, Embeddings],
    plan: FoldPlan,
    fold: Fold,
    usable: NDArray[np.bool_],
    select_on: str,
) -> None:
    for role, refused in (
        ("test", ("fit", "select") if select_on == "valid" else ("fit",)),
        ("valid", ("fit",)),
    ):
        rows = usable & fold.mask(role)
        for name, file in files.items():
            bad = np.flatnonzero(rows & file.ok & np.isin(file.seen, refused))
            if len(bad):
                raise LeakError(_explain(name, file, plan, fold, role, bad, int(rows.sum())))


def _explain(
    view: str,
    file: Embeddings,
    plan: FoldPlan,
    fold: Fold,
    role: str,
    bad: NDArray[np.int64],
    rows: int,
) -> str:
    verb = "score" if role == "test" else "choose on"
    word = str(file.seen[bad[0]])
    act = "trained on them" if word == "fit" else "chosen by its accuracy on them"
    unseen = int((file.seen == "no").sum())
    first = str(file.ids[bad[0]])
    inner = f", fold {file.fold}," if ".inner-" in file.fold else ""
    bound = (
        ", or add --select-on test, which stamps every result as an upper bound"
        if word == "select"
        else ""
    )
    return (
        f"refused: fold {fold.number} ({fold.name}) of {plan.name!r} would {verb} {len(bad)} of "
        f"{rows} {role} rows that the "
        f"{view} encoder {file.encoder.folder}{inner} has seen (seen={word}, first {first!r}). "
        f"The encoder was {act}, so "
        "their vectors carry their labels and the accuracy would be far too high. Only the "
        f"{unseen} rows with seen=no can "
        "be scored: use the plan under which the encoder was trained (often --folds split), drop "
        "the view with "
        f"--modalities, or extract vectors with an encoder per fold{bound}"
    )


def _role(
    files: Mapping[str, Embeddings],
    ids: NDArray[np.str_],
    y: NDArray[np.int64],
    groups: NDArray[np.str_],
    rows: NDArray[np.bool_],
) -> RoleData:
    nothing = np.zeros(len(ids), dtype=bool)
    fitted, selected = (
        np.logical_or.reduce([nothing, *((f.seen == word) & f.ok for f in files.values())])
        for word in ("fit", "select")
    )
    return RoleData(
        ids[rows],
        y[rows],
        groups[rows],
        {name: f.vectors[rows] for name, f in files.items()},
        {name: f.scores[rows] for name, f in files.items() if f.scores is not None},
        {name: f.ok[rows] for name, f in files.items()},
        fitted[rows],
        selected[rows],
    )
