"""Every fold through the leak gate, and whether its rows suffice for what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from classify.grid.config import GridConfig
from classify.grid.fold_loading import LOADER, RunSource
from classify.grid.prepared import FoldFacts, shared_by_valid_alone
from classify.grid.view_choice import Candidates, ViewChoice
from classify.models.probe import inner_groups
from classify.names import FITTED, INNER, VALID
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, StoreMismatchError, UsageError
from embeddings_store.folds.apart import learning_groups
from embeddings_store.folds.halves import apart
from embeddings_store.folds.plan import Fold, FoldPlan
from embeddings_store.folds.planned_rows import planned_rows
from embeddings_store.folds.setup import Setup
from embeddings_store.provenance import fingerprint
from embeddings_store.vectors.arrays import SCORED_ROLES, EncoderRef
from embeddings_store.vectors.fold_data import FoldData


def check_folds(
    config: GridConfig, source: RunSource, views: ViewChoice, corpus: Manifest
) -> list[FoldFacts]:
    """Load every fold with all views, and say what the gate found.

    Args:
        config: What was asked for.
        source: Where the data of every fold lie.
        views: Modalities, encoders and metadata.
        corpus: The corpus under the label set that counts.

    Raises:
        LeakError: A fold would score or choose on rows that an encoder was trained on.
        FoldError: A role has no vectors of a modality.
        StoreMismatchError: Seeds of the fine-tuning have vectors of different rows.
    """
    folds = []
    for fold in source.plan:
        facts = []
        for candidates, inner in zip(views.replicas, views.inner, strict=True):
            wanted = source.fold(
                fold.number,
                _with_layers(candidates),
                inner=inner,
                valid_split=config.valid_split,
            )
            data = LOADER.load(wanted)
            found = _facts(data, fold, corpus, config.valid_split)
            if source.inner_parts:
                found = _joined(found, data, fold, corpus, config.choose_on)
            facts.append(found)
        _check_same_rows(facts)
        fitted = frozenset.union(*(found.fitted_on_both for found in facts))
        folds.append(replace(facts[0], fitted_on_both=fitted))
    return folds


def load_spaces(
    config: GridConfig, source: RunSource, views: ViewChoice, modalities: Sequence[str]
) -> None:
    """Load every fold of some modalities in the space of each inner encoder.

    Args:
        config: What was asked for.
        source: Where the data of every fold lie.
        views: Modalities, encoders and metadata.
        modalities: Which of them.

    Raises:
        LeakError: An inner encoder has seen rows of another role.
        FoldError: What an inner encoder left out lacks a class.
        StoreMismatchError: Inner encoders of several modalities left out different rows.
    """
    for candidates, inner in zip(views.replicas, views.inner, strict=True):
        refs = {modality: candidates[modality][0] for modality in modalities}
        own = {view: found for view, found in (inner or {}).items() if view in modalities}
        for fold in source.plan:
            wanted = source.fold(
                fold.number, refs, inner=own, valid_split=config.valid_split, spaces=True
            )
            LOADER.load(wanted)


def check_valid_rows(
    config: GridConfig, folds: Sequence[FoldFacts], plan: FoldPlan, candidates: Candidates
) -> None:
    """Check that there are validation rows where something is chosen or learnt on them.

    Args:
        config: What was asked for.
        folds: What the gate found.
        plan: The fold plan.
        candidates: Modality to its encoder, or to several layers.

    Raises:
        UsageError: A fold has none.
        FoldError: A half of them is empty.
    """
    empty = [fold for fold in folds if not fold.counts["valid"]]
    reasons = _needs_valid_rows(config, candidates)
    if empty and reasons:
        raise UsageError(
            f"{reasons[0]} needs validation rows, and fold {empty[0].number} ({empty[0].name}) of "
            f"plan {plan.name!r} (valid: {plan.valid}) has none; choose --folds and --valid so "
            "that it has"
        )
    if config.valid_split is None:
        return
    for fold in folds:
        if not fold.apart or not fold.valid_groups:
            raise FoldError(
                f"--valid-split {config.valid_split}: one half of the validation rows of fold "
                f"{fold.number} ({fold.name}) has no row with a label and a vector, so nothing can "
                f"be {'learnt' if fold.apart else 'chosen'} on it; take another seed, or leave it "
                "out"
            )


def refuse_shared_valid_rows(setup: Setup) -> None:
    """Check that validation rows may be fitted on: they share with test rows what training does.

    Args:
        setup: The protocol, with what its roles share.

    Raises:
        UsageError: They share speakers or groups with test rows, and training rows do not.
    """
    more = shared_by_valid_alone(setup)
    if more:
        raise UsageError(
            f"--choose {INNER} fits on training and validation rows, and under plan "
            f"{setup.plan.name!r} (valid: {setup.plan.valid}) validation rows share their "
            f"{' and '.join(more)} with test rows; take another rule with --valid, or "
            f"choose with --choose {VALID}"
        )


def _needs_valid_rows(config: GridConfig, candidates: Candidates) -> list[str]:
    """Return the options that need validation rows in every fold."""
    reasons = []
    if config.fit_rows in ("valid", "train+valid"):
        reasons.append(f"--fit-rows {config.fit_rows}")
    if config.calibrate != "none":
        reasons.append(f"--calibrate {config.calibrate}")
    if config.tune_on == VALID:
        reasons.append(f"--tune-on {VALID}")
    if config.valid_split is not None:
        reasons.append("--valid-split")
    if any(len(layers) > 1 for layers in candidates.values()):
        reasons.append(f"--layer {config.layer}")
    return reasons


def _with_layers(candidates: Candidates) -> dict[str, EncoderRef]:
    """Name every candidate of a modality, so that all layers go through the gate."""
    views = {}
    for modality, refs in candidates.items():
        for ref in refs:
            views[modality if len(refs) == 1 else f"{modality} layer {ref.layer}"] = ref
    return views


def _check_same_rows(facts: Sequence[FoldFacts]) -> None:
    """Seeds are compared on the same rows, or not at all."""
    first = facts[0]
    for other in facts[1:]:
        if other.counts != first.counts:
            counts = f"{dict(first.counts)} and {dict(other.counts)}"
        elif other.answered != first.answered:
            counts = "other ones of as many"
        else:
            continue
        raise StoreMismatchError(
            f"fold {first.number} ({first.name}): seeds of the fine-tuning have vectors of "
            f"different rows ({counts}), so they cannot be compared; extract the failed rows again "
            "with --retry-failed, or choose one with --encoder-seed"
        )


def _facts(data: FoldData, fold: Fold, corpus: Manifest, valid_split: int | None) -> FoldFacts:
    for role, rows in (("train", data.train), ("test", data.test)):
        for view, present in rows.present.items():
            if not present.any():
                raise FoldError(
                    f"fold {data.fold} ({fold.name}): none of its {len(rows)} {role} rows has "
                    f"{data.views[view].modality} vectors; extract them, use other folds, or "
                    "leave the modality out with --modalities"
                )
    train_groups = inner_groups(data.train)
    valid_groups = inner_groups(data.valid)
    raw = corpus.column("label")
    planned = {role: planned_rows(fold, role, data.labels, raw) for role in SCORED_ROLES}
    choosing = planned["valid"].all
    if valid_split is not None and data.valid.apart.any():
        choosing &= apart(
            corpus.ids,
            learning_groups(corpus, data.protocol),
            fold.mask("valid"),
            valid_split,
            fold.name,
        )
    return FoldFacts(
        number=data.fold,
        name=fold.name,
        counts={role: len(data.role(role)) for role in ("train", "valid", "test")},
        n_planned={role: int(rows.all.sum()) for role, rows in planned.items()},
        n_unlabelled=int(planned["test"].unlabelled.sum()),
        n_choice=int(choosing.sum()),
        train_seen=int(data.train.fitted.sum()),
        train_groups=min(
            len(np.unique(train_groups[present])) for present in data.train.present.values()
        ),
        valid_groups=len(np.unique(valid_groups[~data.valid.apart])),
        out_of_fold=frozenset(data.train.inner_scores),
        apart=frozenset(data.valid.ids[data.valid.apart].tolist()),
        answered=_digest_of_rows(data),
        fitted_on_both=frozenset(data.views[view] for view in data.fitted_views),
    )


def _joined(
    facts: FoldFacts, data: FoldData, fold: Fold, corpus: Manifest, choose_on: str
) -> FoldFacts:
    """Return what the gate found where training and validation rows are one and answer inside.

    Raises:
        UsageError: An encoder was fitted on training rows, whose vectors carry their labels.
    """
    if facts.train_seen and choose_on != FITTED:
        raise UsageError(
            f"--choose {INNER} answers training rows by fits without their group, and fold "
            f"{fold.number} ({fold.name}) has {facts.train_seen} that an encoder was fitted on, "
            f"whose vectors carry their labels; choose with --choose {VALID}, use frozen "
            f"encoders, or choose on them all the same with --choose-on {FITTED}"
        )
    raw = corpus.column("label")
    of_valid = planned_rows(fold, VALID, data.labels, raw)
    n_joined = facts.n_planned["train"] + int(of_valid.all.sum())
    both = {"train": len(data.train), "valid": len(data.train)}
    return replace(
        facts,
        counts={**facts.counts, **both},
        n_planned={**facts.n_planned, "train": n_joined, "valid": n_joined},
        n_choice=n_joined,
        inside=True,
        on_fitted=bool(facts.train_seen),
        part_of=dict(zip(data.train.ids.tolist(), data.parts.tolist(), strict=True)),
    )


def _digest_of_rows(data: FoldData) -> str:
    """Return a digest over which rows of each role each modality can answer."""
    answered = {}
    for role in SCORED_ROLES:
        rows = data.role(role)
        answered[role] = [
            [view, *rows.ids[present].tolist()] for view, present in rows.present.items()
        ]
    return fingerprint(answered)
