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
``given``                             those that the columns ``meta_fold_1``,
                                      ``meta_fold_2`` ... hold, a role per row
====================================  ========================================================

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
from embeddings_store.corpus.groups import connected_names, indivisible_groups
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, UsageError, did_you_mean, unknown_name
from embeddings_store.folds.no_plan import why_no_plan
from embeddings_store.folds.plan import ROLE_CODE, Fold, FoldPlan, shared
from embeddings_store.folds.validation_rules import SHARED, VALID_RULES

ROTATING = ("session", "speaker", "group")
COLUMNS = {**{name: name for name in ROTATING}, "corpus": "meta_corpus"}
SPEAKER_OF_SESSION = "leave-one-speaker-of-session-out"
ONE_CONNECTED = "leave-one-connected-out"
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
        raise FoldError(
            f"{why_no_plan(manifest)}; fill one of these columns, or choose --folds from "
            f"{', '.join(PLAN_NAMES)}"
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


def natural_key(text: str) -> list[tuple[bool, int, str]]:
    """Sort key under which ``actor-2`` comes before ``actor-10``.

    >>> sorted(["a10", "a2", "b1"], key=natural_key)
    ['a2', 'a10', 'b1']
    """
    return [
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    ]


def _made(manifest: Manifest, name: str, valid: str) -> FoldPlan:
    if name == "split":
        return FoldPlan(
            name, "split", manifest.ids, (Fold(1, "split", _roles_in(manifest, "split")),)
        )
    if name == "given":
        return FoldPlan(name, "given", manifest.ids, tuple(_given_folds(manifest)))
    if name == SPEAKER_OF_SESSION:
        plan = _speakers_of_sessions(manifest, valid)
    elif match := re.fullmatch(rf"{ONE_CONNECTED}|connected-kfold:(\d+)(?:@(\d+))?", name):
        plan = _connected(manifest, name, int(match[1] or 0), int(match[2] or 0), valid)
    elif match := re.fullmatch(r"group-stratified-kfold:(\d+)(?:@(\d+))?", name):
        plan = _stratified(manifest, name, int(match[1]), int(match[2] or 0), valid)
    elif match := re.fullmatch(r"(\w+)-holdout:([^/]+)(?:/([^/]+))?", name):
        return _with_fifth(
            _holdout(manifest, name, match[1], match[2], match[3] or "", valid), manifest
        )
    elif match := re.fullmatch(r"leave-one-(\w+)-out", name):
        plan = _rotating(manifest, name, match[1], 0, valid)
    elif match := re.fullmatch(r"(\w+)-kfold:(\d+)", name):
        plan = _rotating(manifest, name, match[1], int(match[2]), valid)
    else:
        unknown_name("fold plan", name, PLAN_NAMES)
    return _with_fifth(plan, manifest)


def _roles_in(manifest: Manifest, column: str) -> NDArray[np.uint8]:
    """Return the role of each row (N,) that a column names."""
    splits = manifest.table[column].str.lower()
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


def _rotating(manifest: Manifest, name: str, column: str, blocks: int, valid: str) -> FoldPlan:
    values = _values(manifest, name, column, ROTATING if blocks else tuple(COLUMNS))
    groups = sorted(set(values.tolist()), key=natural_key)
    blocks = blocks or len(groups)
    _check_blocks(name, blocks, len(groups), f"different values in column {column!r}", valid)
    block_of: dict[str, int] = {}
    names = []
    for block, part in enumerate(np.array_split(np.array(groups), blocks)):
        members = part.tolist()
        block_of |= dict.fromkeys(members, block)
        names.append(members[0] if len(members) == 1 else f"{members[0]}..{members[-1]}")
    position = np.array([block_of[value] for value in values.tolist()])
    return FoldPlan(name, valid, manifest.ids, _rotated(position, names, valid))


def _stratified(manifest: Manifest, name: str, blocks: int, seed: int, valid: str) -> FoldPlan:
    groups = indivisible_groups(manifest)
    _check_blocks(name, blocks, len(set(groups.tolist())), "groups", valid)
    position = stratified_blocks(manifest.codes(), groups, blocks, seed)
    return FoldPlan(
        name,
        valid,
        manifest.ids,
        _rotated(position, [f"part {b + 1} of {blocks}" for b in range(blocks)], valid),
    )


def _connected(manifest: Manifest, name: str, blocks: int, seed: int, valid: str) -> FoldPlan:
    """Keep speakers and groups that hang together whole; 0 blocks: a fold for each part."""
    names = connected_names(manifest)
    parts = sorted(set(names.tolist()), key=natural_key)
    needed = 3 if valid == "next" else 2
    if len(parts) < max(blocks, needed):
        raise FoldError(_too_few_parts(manifest, name, len(parts), max(blocks, needed)))
    if not blocks or blocks == len(parts):
        rank = {part: number for number, part in enumerate(parts)}
        position = np.array([rank[part] for part in names.tolist()])
        return FoldPlan(name, valid, manifest.ids, _rotated(position, parts, valid))
    _check_blocks(name, blocks, len(parts), "connected parts", valid)
    position = stratified_blocks(manifest.codes(), names, blocks, seed)
    titles = [f"part {block + 1} of {blocks}" for block in range(blocks)]
    return FoldPlan(name, valid, manifest.ids, _rotated(position, titles, valid))


def _too_few_parts(manifest: Manifest, name: str, parts: int, needed: int) -> str:
    found = (
        "all speakers and groups hang together, directly or through others, in one part"
        if parts == 1
        else f"speakers and groups hang together in {parts} parts"
    )
    return (
        f"plan {name!r} takes {needed} connected parts or more; in corpus {manifest.name!r} "
        f"{found}, "
        "so no such folds keep both apart. --folds group-kfold:5 keeps groups "
        "whole, and every result says that speakers are shared"
    )


def _check_blocks(name: str, blocks: int, available: int, of: str, valid: str) -> None:
    needed = 3 if valid == "next" else 2
    if not needed <= blocks <= available:
        raise FoldError(
            f"plan {name!r} asks for {blocks} folds of {available} {of}; it takes {needed} folds "
            f"or more (test, train{', valid' if needed == 3 else ''}) and a value for each"
        )


def _rotated(position: NDArray[np.int64], names: list[str], valid: str) -> tuple[Fold, ...]:
    """Make one fold per block; ``position`` is each row's block (N,)."""
    folds = []
    for held_out, name in enumerate(names):
        roles = np.full(len(position), ROLE_CODE["train"], dtype=np.uint8)
        if valid == "next":
            roles[position == (held_out + 1) % len(names)] = ROLE_CODE["valid"]
        roles[position == held_out] = ROLE_CODE["test"]
        folds.append(Fold(held_out + 1, name, roles))
    return tuple(folds)


def _speakers_of_sessions(manifest: Manifest, valid: str) -> FoldPlan:
    sessions = _values(manifest, SPEAKER_OF_SESSION, "session", ROTATING)
    speakers = _values(manifest, SPEAKER_OF_SESSION, "speaker", ROTATING)
    order = sorted(set(sessions.tolist()), key=natural_key)
    _check_blocks(SPEAKER_OF_SESSION, len(order), len(order), "sessions", valid)
    folds: list[Fold] = []
    for speaker in sorted(set(speakers.tolist()), key=natural_key):
        own = sorted(set(sessions[speakers == speaker].tolist()))
        if len(own) > 1:
            raise FoldError(
                f"plan {SPEAKER_OF_SESSION!r} needs each speaker in one session; {speaker!r} is in "
                f"{', '.join(own)}; choose leave-one-speaker-out"
            )
        roles = np.full(len(speakers), ROLE_CODE["train"], dtype=np.uint8)
        roles[sessions == own[0]] = ROLE_CODE["valid" if valid == "partner" else "unused"]
        if valid == "next":
            roles[sessions == order[(order.index(own[0]) + 1) % len(order)]] = ROLE_CODE["valid"]
        roles[speakers == speaker] = ROLE_CODE["test"]
        folds.append(Fold(len(folds) + 1, speaker, roles))
    return FoldPlan(
        SPEAKER_OF_SESSION,
        valid,
        manifest.ids,
        tuple(folds),
        ("valid+test",) if valid == "partner" else (),
    )


def _holdout(
    manifest: Manifest, name: str, column: str, test: str, validating: str, valid: str
) -> FoldPlan:
    values = _values(manifest, name, column, tuple(COLUMNS))
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
    groups, codes = indivisible_groups(manifest), manifest.codes()
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


def stratified_blocks(
    codes: NDArray[np.int64], groups: NDArray[np.str_], blocks: int, seed: int
) -> NDArray[np.int64]:
    """Divide rows into blocks of whole groups, with classes as even as scikit-learn makes them.

    Rows without a class go with their group, and into the first block where none of its rows has
    one.

    Args:
        codes: Class codes (n,), -1 for none.
        groups: The group of each row (n,).
        blocks: How many blocks.
        seed: Which of the possible divisions.

    Returns:
        The block of each row (n,), from 0.

    Raises:
        FoldError: A class has fewer rows than there are blocks.
    """
    # Both stages need the same plan, and neither may import the other; this is the store's one use
    # of scikit-learn.
    from sklearn.model_selection import StratifiedGroupKFold

    labelled = np.flatnonzero(codes >= 0)
    counts = np.unique(codes[labelled], return_counts=True)[1]
    if not len(counts) or counts.min() < blocks:
        raise FoldError(
            f"{blocks} stratified parts cannot be made where the rarest class has "
            f"{min(counts, default=0)} rows; use fewer, or a label set without this class"
        )
    parts = StratifiedGroupKFold(blocks, shuffle=True, random_state=seed)
    block_of: dict[str, int] = {}
    for block, (_, rows) in enumerate(parts.split(labelled, codes[labelled], groups[labelled])):
        block_of |= dict.fromkeys(groups[labelled[rows]].tolist(), block)
    return np.array([block_of.get(group, 0) for group in groups.tolist()])


def _values(manifest: Manifest, name: str, column: str, known: tuple[str, ...]) -> NDArray[np.str_]:
    """Return a column (N,) that every row fills."""
    if column not in known:
        unknown_name("column to fold by", column, known)
    if COLUMNS[column] not in manifest.table:
        raise FoldError(
            f"plan {name!r} needs a joined corpus, whose rows say which corpus they are of; make "
            "one with embeddings-store join"
        )
    values = manifest.named(COLUMNS[column])
    if (values == "").any():
        raise FoldError(
            f"plan {name!r} needs a {column} for every row; {int((values == '').sum())} of "
            f"{len(values)} rows of corpus {manifest.name!r} have none"
        )
    return values
