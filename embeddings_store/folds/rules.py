"""Fold plans by name.

The rules that say who trains, who validates and who is tested, disjoint by group.

A plan is named by what makes it, so that two results say whether they may be compared:

====================================  ========================================================
name                                  folds
====================================  ========================================================
``split``                             one: the corpus' own ``split`` column
                                      (train, valid or dev, test)
``leave-one-session-out``             one per session; likewise ``speaker``, ``group``
                                      and ``corpus``
``speaker-kfold:6``                   six blocks of neighbouring speakers; likewise
                                      ``session`` and ``group``
``leave-one-speaker-of-session-out``  one per speaker; the others of its session do not train
``session-holdout:Ses05/Ses04``       one: session Ses05 is tested, Ses04 validates;
                                      likewise the other columns
``group-stratified-kfold:5``          five, with groups whole and classes as even as can be;
                                      ``:5@1`` for seed 1
``leave-one-connected-out``           one per connected part: speakers and dialogues that hang
                                      together, so that neither is in two roles
``connected-kfold:5``                 five, with connected parts whole and classes as even as can
                                      be; ``:5@1`` for seed 1
``sentence-kfold:5``                  five, with rows that say the same whole and classes as even
                                      as can be; likewise ``recording`` and
                                      ``leave-one-sentence-out``. People are in several roles:
                                      every result says so
``given``                             those that the columns ``meta_fold_1``,
                                      ``meta_fold_2`` ... hold, a role per row
====================================  ========================================================

Dialogues, and speakers where no dialogue is named, without any label play no role in a plan that is
drawn; ``split``, ``given`` and a holdout are taken as they are named.

Which training rows validate is a rule of its own:

===========  =================================================================================
``next``     the next block, cyclically (for a speaker of a session: the next session)
``none``     nobody, and everything that is not tested trains
``partner``  with ``leave-one-speaker-of-session-out``: the others of the session,
             who share dialogues with test
``fifth``    a fifth of the training groups, classes as even as can be, drawn with seed 0
===========  =================================================================================

Where validation rows share speakers or groups with test, the rule ends in ``-shared``, and every
result says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.columns import SPLIT_ROLES
from embeddings_store.corpus.groups import indivisible_groups
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, UsageError, did_you_mean, unknown_name
from embeddings_store.folds.apart import WHAT, apart_by, input_names
from embeddings_store.folds.drawn import (
    COLUMNS,
    ONE_CONNECTED,
    ROTATING,
    SPEAKER_OF_SESSION,
    draw,
    stratified_blocks,
    values_of,
)
from embeddings_store.folds.natural_order import natural_key
from embeddings_store.folds.no_plan import offers, why_no_plan
from embeddings_store.folds.plan import ROLE_CODE, Fold, FoldPlan, shared
from embeddings_store.folds.validation_rules import SHARED, VALID_RULES

PLAN_NAMES = (
    "split",
    "given",
    *(f"leave-one-{c}-out" for c in COLUMNS),
    *(f"{c}-kfold:K" for c in ROTATING),
    SPEAKER_OF_SESSION,
    *(f"{c}-holdout:TEST/VALID" for c in COLUMNS),
    "group-stratified-kfold:K",
    ONE_CONNECTED,
    "connected-kfold:K",
    *(f"leave-one-{what}-out" for what in WHAT),
    *(f"{what}-kfold:K" for what in WHAT),
)


def make_plan(manifest: Manifest, name: str = "", valid: str = "next") -> FoldPlan:
    """Make and check a plan by its name.

    Args:
        manifest: The corpus.
        name: See the table above; empty means the corpus' own protocol.
        valid: The rule for validation rows, see above.

    >>> from embeddings_store.folds.plan import ROLES
    >>> m = Manifest.from_columns("m", {"id": list("abcdef"), "text": ["t"] * 6,
    ...                                 "label": ["x", "y"] * 3,
    ...                                 "session": ["1", "1", "2", "2", "3", "3"]})
    >>> plan = make_plan(m, "leave-one-session-out")
    >>> [ROLES[r] for r in plan.fold(1).roles]
    ['test', 'test', 'valid', 'valid', 'train', 'train']

    Raises:
        UnknownNameError: No plan has this name.
        FoldError: The manifest does not allow it.
    """
    name = name or manifest.protocol
    if not name:
        offered = offers(manifest)
        raise FoldError(
            f"{why_no_plan(manifest)}; fill one of these columns{f'; {offered}' if offered else ''}"
            f"; or choose --folds from {', '.join(PLAN_NAMES)}"
        )
    if valid not in VALID_RULES:
        unknown_name("validation rule", valid, VALID_RULES)
    if valid == "partner" and name != SPEAKER_OF_SESSION:
        raise UsageError(
            f"validation rule 'partner' belongs to the plan {SPEAKER_OF_SESSION!r}, not to "
            f"{name!r}; choose another of {', '.join(VALID_RULES)}"
        )
    plan = _made(manifest, name, valid.removesuffix(SHARED))
    plan.check(manifest)
    plan = marked_shared(plan, manifest)
    if valid.endswith(SHARED) and plan.valid != valid:
        raise UsageError(
            f"--valid {valid}: the validation rows of plan {name!r} share no speaker and no group "
            f"with test; choose --valid {plan.valid}"
        )
    return plan


def marked_shared(plan: FoldPlan, manifest: Manifest) -> FoldPlan:
    """Return the plan, its rule marked where validation shares speakers or groups with test."""
    if (
        plan.valid.endswith(SHARED)
        or plan.valid == "partner"
        or "valid+test" not in shared(plan, manifest)
    ):
        return plan
    return replace(plan, valid=plan.valid + SHARED)


def _made(manifest: Manifest, name: str, valid: str) -> FoldPlan:
    if name == "split":
        return FoldPlan(
            name, "split", manifest.ids, (Fold(1, "split", _roles_in(manifest, "split")),)
        )
    if name == "given":
        return FoldPlan(name, "given", manifest.ids, tuple(_given_folds(manifest)))
    if match := re.fullmatch(r"(\w+)-holdout:([^/]+)(?:/([^/]+))?", name):
        return _with_fifth(
            _holdout(manifest, name, match[1], match[2], match[3] or "", valid), manifest
        )
    plan = draw(manifest, name, valid)
    if plan is None:
        unknown_name("fold plan", name, PLAN_NAMES)
    return _with_fifth(plan, manifest)


def _roles_in(manifest: Manifest, column: str) -> NDArray[np.uint8]:
    """Return the role of each row (N,) that a column names."""
    cells = manifest.table[column]
    # meta columns may hold numbers, none of which is the name of a role
    splits = cells.astype(str).where(cells.notna(), "").str.lower()
    unknown = sorted(set(splits) - set(SPLIT_ROLES))
    if unknown:
        hint, rows = did_you_mean(unknown[0], SPLIT_ROLES) or ";", int((splits == unknown[0]).sum())
        raise FoldError(
            f"corpus {manifest.name!r} has the {column} {unknown[0]!r} in {rows} rows{hint} known: "
            f"{', '.join(filter(None, SPLIT_ROLES))}; leave it empty for rows that play no role"
        )
    return np.asarray(splits.map(SPLIT_ROLES).map(ROLE_CODE).to_numpy(dtype=np.uint8))


def _given_folds(manifest: Manifest) -> Iterator[Fold]:
    """Yield the folds that somebody else drew: one for each column ``meta_fold_<number>``."""
    numbers = sorted(
        int(match[1]) for c in manifest.table if (match := re.fullmatch(r"meta_fold_(\d+)", str(c)))
    )
    if not numbers:
        raise FoldError(
            f"corpus {manifest.name!r} has no columns meta_fold_1, meta_fold_2 ... with train, "
            "valid or test in each row; add them, or choose another plan"
        )
    for number in numbers:
        yield Fold(number, f"fold-{number}", _roles_in(manifest, f"meta_fold_{number}"))


def _holdout(
    manifest: Manifest, name: str, column: str, test: str, validating: str, valid: str
) -> FoldPlan:
    values = values_of(manifest, name, column, tuple(COLUMNS))
    roles = np.full(len(values), ROLE_CODE["train"], dtype=np.uint8)
    for role, listed in (("valid", validating), ("test", test)):
        for wanted in filter(None, listed.split(",")):
            if wanted not in values:
                unknown_name(column, wanted, sorted(set(values.tolist()), key=natural_key))
            roles[values == wanted] = ROLE_CODE[role]
    rule = "named" if validating else "fifth" if valid == "fifth" else "none"
    return FoldPlan(name, rule, manifest.ids, (Fold(1, test, roles),))


def _with_fifth(plan: FoldPlan, manifest: Manifest) -> FoldPlan:
    """Let a fifth of each fold's training groups validate, where that is the rule."""
    if plan.valid != "fifth":
        return plan
    by_input = apart_by(plan.name)
    groups = input_names(manifest, by_input) if by_input else indivisible_groups(manifest)
    codes = manifest.codes()
    folds: list[Fold] = []
    for fold in plan:
        rows = np.flatnonzero(fold.mask("train"))
        if len(set(groups[rows].tolist())) < 5:
            raise FoldError(
                f"fold {fold.number} ({fold.name}) of {plan.name!r} has "
                f"{len(set(groups[rows].tolist()))} groups in training; --valid fifth takes 5 or "
                "more. Choose --valid next or none"
            )
        roles = fold.roles.copy()
        roles[rows[stratified_blocks(codes[rows], groups[rows], 5, 0) == 0]] = ROLE_CODE["valid"]
        folds.append(Fold(fold.number, fold.name, roles))
    return replace(plan, folds=tuple(folds))
