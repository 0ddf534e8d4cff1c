"""Fold plans that are drawn: blocks of what rows name, each tested once.

Rows of a dialogue, or of a speaker where no dialogue is named, none of which has a label, play no
role: a fold of them alone would test nothing, and among others they would count as wrong.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.groups import connected_names, group_or_speaker, indivisible_groups
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.unlabelled import of_unlabelled_groups
from embeddings_store.errors import FoldError, unknown_name
from embeddings_store.folds.apart import WHAT, input_names
from embeddings_store.folds.natural_order import natural_key
from embeddings_store.folds.no_plan import offers
from embeddings_store.folds.plan import ROLE_CODE, Fold, FoldPlan

ROTATING = ("session", "speaker", "group")
COLUMNS = {**{name: name for name in ROTATING}, "corpus": "meta_corpus"}
SPEAKER_OF_SESSION = "leave-one-speaker-of-session-out"
ONE_CONNECTED = "leave-one-connected-out"
LONGEST_TITLE = 40  # letters of a sentence or a file's name as the name of a fold


def draw(manifest: Manifest, name: str, valid: str) -> FoldPlan | None:
    """Draw the plan of a name, none where this is not the name of such a plan.

    Args:
        manifest: The corpus.
        name: See :mod:`embeddings_store.folds.rules`.
        valid: The rule for validation rows.

    Raises:
        FoldError: The manifest does not allow it.
    """
    left_out = of_unlabelled_groups(manifest.table)
    if not left_out.any():
        return _drawn(manifest, name, valid)
    plan = _drawn(replace(manifest, table=manifest.table[~left_out]), name, valid)
    if plan is None:
        return None
    folds = []
    for fold in plan:
        roles = np.full(len(manifest), ROLE_CODE["unused"], dtype=np.uint8)
        roles[~left_out] = fold.roles
        folds.append(Fold(fold.number, fold.name, roles))
    return replace(plan, ids=manifest.ids, folds=tuple(folds))


def _drawn(manifest: Manifest, name: str, valid: str) -> FoldPlan | None:
    if name == SPEAKER_OF_SESSION:
        return _speakers_of_sessions(manifest, valid)
    if match := re.fullmatch(rf"{ONE_CONNECTED}|connected-kfold:(\d+)(?:@(\d+))?", name):
        return _connected(manifest, name, int(match[1] or 0), int(match[2] or 0), valid)
    if match := re.fullmatch(r"group-stratified-kfold:(\d+)(?:@(\d+))?", name):
        _require_names(manifest, name)
        _require_several(manifest, name, group_or_speaker(manifest), "group or speaker")
        groups = indivisible_groups(manifest)
        return _stratified(manifest, name, groups, int(match[1]), int(match[2] or 0), valid)
    if match := re.fullmatch(rf"({'|'.join(WHAT)})-kfold:(\d+)(?:@(\d+))?", name):
        names = _inputs(manifest, name, match[1])
        return _stratified(manifest, name, names, int(match[2]), int(match[3] or 0), valid)
    if match := re.fullmatch(r"leave-one-(\w+)-out", name):
        return _rotating(manifest, name, match[1], 0, valid)
    if match := re.fullmatch(r"(\w+)-kfold:(\d+)", name):
        return _rotating(manifest, name, match[1], int(match[2]), valid)
    return None


def _rotating(manifest: Manifest, name: str, column: str, blocks: int, valid: str) -> FoldPlan:
    if column in WHAT:
        values = _inputs(manifest, name, column)
    else:
        values = values_of(manifest, name, column, ROTATING if blocks else (*COLUMNS, *WHAT))
    groups = sorted(set(values.tolist()), key=natural_key)
    _require_several(manifest, name, values, column)
    blocks = blocks or len(groups)
    _check_blocks(name, blocks, len(groups), f"different values in column {column!r}", valid)
    block_of: dict[str, int] = {}
    names = []
    for block, part in enumerate(np.array_split(np.array(groups), blocks)):
        members = part.tolist()
        block_of |= dict.fromkeys(members, block)
        names.append("..".join(dict.fromkeys(_title(name) for name in (members[0], members[-1]))))
    position = np.array([block_of[value] for value in values.tolist()])
    return FoldPlan(name, valid, manifest.ids, _rotated(position, names, valid))


def _title(name: str) -> str:
    return name if len(name) <= LONGEST_TITLE else f"{name[: LONGEST_TITLE - 3]}..."


def _inputs(manifest: Manifest, name: str, what: str) -> NDArray[np.str_]:
    """Return what each row says or is cut from (N,)."""
    names = input_names(manifest, what)
    without = int((names == "").sum())
    if without:
        lacking = "text" if what == "sentence" else "audio or video"
        raise FoldError(
            f"plan {name!r} needs {lacking} in every row; {without} of {len(names)} rows of corpus "
            f"{manifest.name!r} have none"
        )
    return names


def _require_names(manifest: Manifest, name: str) -> None:
    """Refuse a plan that would be drawn over single rows because nothing says who speaks."""
    if (group_or_speaker(manifest) == "").all():
        raise FoldError(
            f"plan {name!r} keeps speakers and groups whole, and no row of corpus "
            f"{manifest.name!r} names one, so that anybody would be in training and test: fill "
            f"the column speaker or group{_offered(manifest)}"
        )


def _require_several(manifest: Manifest, name: str, values: NDArray[np.str_], of: str) -> None:
    """Refuse to leave out the one speaker, or whatever it is, that all rows are of."""
    if values[0] != "" and (values == values[0]).all():
        raise FoldError(
            f"plan {name!r}: all {len(values)} rows of corpus {manifest.name!r} are of one {of}, "
            f"{str(values[0])!r}, so nothing is left to train on{_offered(manifest)}"
        )


def _offered(manifest: Manifest) -> str:
    offered = offers(manifest)
    return f"; {offered}" if offered else ""


def _stratified(
    manifest: Manifest, name: str, groups: NDArray[np.str_], blocks: int, seed: int, valid: str
) -> FoldPlan:
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
    _require_names(manifest, name)
    _require_several(manifest, name, manifest.named("speaker"), "speaker")
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
    sessions = values_of(manifest, SPEAKER_OF_SESSION, "session", ROTATING)
    speakers = values_of(manifest, SPEAKER_OF_SESSION, "speaker", ROTATING)
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


def values_of(
    manifest: Manifest, name: str, column: str, known: tuple[str, ...]
) -> NDArray[np.str_]:
    """Return a column (N,) that every row fills.

    Args:
        manifest: The corpus.
        name: The plan's name, for the message.
        column: The column, one of :data:`COLUMNS`.
        known: Those that this plan takes.

    Raises:
        UnknownNameError: The plan takes no such column.
        FoldError: A row does not fill it.
    """
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
