"""Which rows of a corpus do what in one training, and what the encoder then knows of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.labels import permute_labels
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, LabelError, UsageError
from embeddings_store.folds.apart import apart_by, input_names
from embeddings_store.folds.natural_order import natural_key
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.protocols import find_protocol
from embeddings_store.folds.setup import Request, Setup, set_up
from embeddings_store.folds.validation_rules import (
    FIXED_EPOCHS,
    ON_TEST,
    SELECTION_RULES,
    VALID_SESSION,
)


@dataclass(frozen=True, slots=True)
class FoldChoice:
    """Which fold is trained for.

    Attributes:
        number: The fold's number from 1, or ``final`` to train on all rows for later use.
        inner_folds: How many inner folds the training rows are cut into; 0 for none, and then the
            one file of the fold is made.
        inner_fold: Which of them, from 1: its rows are left out of training, so that their vectors
            are out-of-fold; the epoch is still chosen on the fold's validation rows.
    """

    number: str
    inner_folds: int = 0
    inner_fold: int = 0

    @property
    def is_final(self) -> bool:
        """Whether all rows are trained on."""
        return self.number == "final"

    @property
    def name(self) -> str:
        """The fold's name in the store.

        >>> FoldChoice("3").name, FoldChoice("3", 5, 2).name
        ('3', '3.inner-2')
        """
        return f"{self.number}.inner-{self.inner_fold}" if self.inner_folds else self.number


@dataclass(frozen=True, slots=True)
class Roles:
    """Which rows do what in one training.

    Attributes:
        fit: Manifest positions that are trained on.
        choose: Manifest positions whose accuracy chooses the epoch; may be empty.
    """

    fit: NDArray[np.int64]
    choose: NDArray[np.int64]

    def seen_after(self, before: NDArray[np.str_]) -> NDArray[np.str_]:
        """Return what the encoder knows of each row (N,) once it is trained.

        Args:
            before: What it knew of each row (N,).

        >>> before = np.array(["no", "unknown", "fit", "unknown"])
        >>> Roles(np.array([0]), np.array([1, 2])).seen_after(before).tolist()
        ['fit', 'select', 'fit', 'unknown']
        """
        seen = before.astype("U7")
        seen[self.choose] = np.where(before[self.choose] == "fit", "fit", "select")
        seen[self.fit] = "fit"
        return seen


def training_setup(manifest: Manifest, request: Request, rule: str) -> Setup:
    """Make the fold plan that a selection rule needs, over the label set that was asked for.

    Args:
        manifest: The corpus.
        request: Protocol, fold plan and label set.
        rule: Which rows choose the epoch, see
            :data:`embeddings_store.folds.validation_rules.SELECTION_RULES`.

    Raises:
        FoldError: The manifest does not allow it, or has no rows to choose the epoch on.
        UsageError: The protocol has another selection rule.
    """
    if request.protocol:
        own = find_protocol(request.protocol, manifest.name)[0].rule
        if own and rule != own and not (rule == ON_TEST and own == FIXED_EPOCHS):
            raise UsageError(
                f"--rule {rule} contradicts --protocol {request.protocol}, whose epochs are "
                f"chosen by {own}; leave it out, or choose another protocol"
            )
    setup = set_up(manifest, request, SELECTION_RULES[rule].valid)
    if rule == VALID_SESSION and not setup.plan.has_valid:
        raise FoldError(
            f"plan {setup.plan.name!r} has no validation rows to choose the epoch on; choose "
            "--rule fixed-epochs, or add validation rows to the split"
        )
    return setup


def class_codes(manifest: Manifest, shuffle_seed: int | None) -> NDArray[np.int64]:
    """Return the class code of each row (N,), -1 for none.

    A seed permutes those of all labelled rows.

    A grid with the same seed sees the labels that the encoder was trained on, because both take
    :func:`embeddings_store.corpus.labels.permute_labels`.

    Raises:
        LabelError: The corpus has no labels.
    """
    if manifest.labels is None:
        raise LabelError(
            f"corpus {manifest.name!r} has no labels to train on; add --frozen to use the encoder "
            "as it is"
        )
    codes = manifest.codes()
    if shuffle_seed is not None:
        codes = permute_labels(codes, shuffle_seed)
    return codes


def assign_roles(
    manifest: Manifest,
    modality: str,
    plan: FoldPlan | None,
    fold: FoldChoice,
    rule: str,
    codes: NDArray[np.int64],
) -> Roles:
    """Say which rows are trained on and which choose the epoch.

    Args:
        manifest: The corpus.
        modality: Rows without it play no role.
        plan: None trains on all rows.
        fold: Which fold; its number is without meaning where there is no plan.
        rule: See :data:`embeddings_store.folds.validation_rules.SELECTION_RULES`.
        codes: Class code of each row (N,), -1 for none; such rows play no role.

    Raises:
        FoldError: There is no such fold, a class has no row to train on, or no row chooses.
        UsageError: An inner fold cannot be made.
    """
    usable = (codes >= 0) & manifest.given(modality)
    fit, choose = usable, np.zeros_like(usable)
    if plan is not None:
        roles = plan.fold(int(fold.number))
        fit = usable & roles.mask("train")
        if rule != FIXED_EPOCHS:
            choose = usable & roles.mask("test" if rule == ON_TEST else "valid")
            if not choose.any():
                raise FoldError(
                    f"fold {fold.number} of {plan.name!r}: none of the rows that choose the epoch "
                    f"({rule}) has a label and {modality}; choose --rule fixed-epochs, or another "
                    "plan"
                )
    if fold.inner_folds:
        by_input = apart_by(plan.name) if plan is not None else ""
        part = _inner_part(manifest, fit, fold.inner_fold, fold.inner_folds, by_input)
        fit = fit & ~part
    classes = manifest.labels.classes if manifest.labels else ()
    require_classes(classes, codes[fit], f"fold {fold.number}")
    return Roles(np.flatnonzero(fit), np.flatnonzero(choose))


def require_classes(classes: Sequence[str], codes: NDArray[np.int64], where: str) -> None:
    """Refuse training rows (n,) that lack a class.

    Args:
        classes: The names of all classes.
        codes: Class code of each row (n,).
        where: Which rows they are, for the message.

    Raises:
        FoldError: Which class is absent.
    """
    absent = [name for code, name in enumerate(classes) if not (codes == code).any()]
    if absent:
        raise FoldError(
            f"{where}: no row to train on of class {absent[0]!r} ({len(absent)} of {len(classes)} "
            "classes absent); use fewer folds, another grouping, or a label set without it"
        )


def _inner_part(
    manifest: Manifest, fit: NDArray[np.bool_], part: int, parts: int, by_input: str
) -> NDArray[np.bool_]:
    """Return which training rows (N,) belong to one of ``parts`` blocks of neighbours.

    The blocks are made of sessions, else speakers, else groups: the first column that has so many
    values and keeps the rows of a group together, so that no half of a dialogue is left out while
    its other half is trained on. Under a plan by sentence or recording they are made of those.
    """
    tried = []
    groups = [""] if by_input else manifest.named("group")[fit].tolist()
    for column in (by_input,) if by_input else ("session", "speaker", "group"):
        named = input_names(manifest, column) if by_input else manifest.named(column)
        values = named[fit].tolist()
        names = sorted(set(values), key=natural_key)
        if "" in names:
            continue
        found = f"{len(names)} in {column!r}"
        if not 2 <= parts <= len(names):
            tried.append(found)
            continue
        block = _blocks(values, names, parts)
        if _tears_apart(groups, block):
            tried.append(f"{found} (which would tear groups apart)")
            continue
        left_out = np.zeros_like(fit)
        left_out[np.flatnonzero(fit)[block == part]] = True
        return left_out
    raise UsageError(
        f"--inner-folds {parts}: it takes 2 or more, and as many different values among the "
        f"training rows; they have {', '.join(tried) or 'neither session, speaker nor group'}"
    )


def _blocks(values: Sequence[str], names: Sequence[str], parts: int) -> NDArray[np.int64]:
    """Return the block (n,), counted from 1, that each row's value belongs to."""
    block_of: dict[str, int] = {}
    for number, some in enumerate(np.array_split(np.array(names), parts), start=1):
        block_of |= dict.fromkeys(some.tolist(), number)
    return np.array([block_of[value] for value in values])


def _tears_apart(groups: Sequence[str], block: NDArray[np.int64]) -> bool:
    """Say whether rows of one group lie in different blocks; rows without a group cannot."""
    if "" in groups:
        return False
    pairs = set(zip(groups, block.tolist(), strict=True))
    return len(pairs) > len(set(groups))
