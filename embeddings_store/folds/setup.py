"""From what a user asks for to one checked plan over one view of a corpus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.label_sets import LABEL_SETS, named_labels, rows_of_kind
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, ProjectError, UsageError
from embeddings_store.folds.plan import ROLE_CODE, Fold, FoldPlan, shared
from embeddings_store.folds.protocol_files import READERS
from embeddings_store.folds.protocols import TABLE, Protocol, find_protocol
from embeddings_store.folds.rules import make_plan, marked_shared
from embeddings_store.folds.validation_rules import SHARED, VALID_RULES


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks for; the one place of these defaults.

    Attributes:
        protocol: Name in :mod:`embeddings_store.folds.protocols`; empty for none.
        folds: Name of a fold plan, or a plan file (``.parquet``); empty takes the protocol's, else
            the corpus' own.
        valid: Rule for validation rows; empty takes the protocol's, else ``next``.
        label_set: Name in :mod:`embeddings_store.corpus.label_sets`; empty takes the protocol's,
            else the corpus' own.
        files: Folder of the files that hold a protocol's folds, where it needs some.
    """

    protocol: str = ""
    folds: str = ""
    valid: str = ""
    label_set: str = ""
    files: Path | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """A checked plan over a view of a corpus.

    Attributes:
        protocol: The protocol's name; the plan's where none was asked for.
        plan: Who does what.
        view: The corpus with the label set that counts; rows and their order are the corpus' own.
        split_digest: Over the labelled rows and their roles, the same for any store that holds
            them.
        test_digest: The same over test rows alone.
        shared: Pairs of roles that share speakers or groups, ``valid+test: speaker; train+test:
            speaker``; empty for none.
    """

    protocol: str
    plan: FoldPlan
    view: Manifest
    split_digest: str
    test_digest: str
    shared: str

    @classmethod
    def of(cls, protocol: str, plan: FoldPlan, view: Manifest) -> Setup:
        """Derive what follows from plan and view.

        Training and validation rows may share speakers, that is no news.

        Args:
            protocol: The protocol's name, or the plan's.
            plan: A checked plan.
            view: The corpus with the label set that counts.
        """
        shares = "; ".join(
            f"{pair}: {', '.join(columns)}"
            for pair, columns in shared(plan, view).items()
            if pair != "train+valid" or "group" in columns
        )
        return cls(
            protocol,
            plan,
            view,
            plan.split_digest(_counting(view)),
            plan.split_digest(_counting(view), ("test",)),
            shares,
        )

    @property
    def labels(self) -> LabelSet | None:
        """The label set that counts."""
        return self.view.labels

    def tested(self) -> tuple[int, ...]:
        """Rows with a class that each fold tests."""
        return tuple(int((fold.mask("test") & _counting(self.view)).sum()) for fold in self.plan)


def set_up(manifest: Manifest, request: Request, valid: str = "next") -> Setup:
    """Make what was asked for and check it against the corpus.

    Args:
        manifest: The corpus.
        request: What is asked for.
        valid: The rule for validation rows where neither the request nor a protocol names one.

    Raises:
        UsageError: Names that do not exist, or that contradict each other.
        FoldError: The corpus does not allow the plan, or is not the whole release that the protocol
            speaks of.
        LabelError: The corpus does not have the rows of the label set.
    """
    if not request.protocol:
        if request.files is not None:
            raise UsageError(
                "--protocol-files belongs to a protocol whose folds are in files; add --protocol "
                "(--list-protocols shows which)"
            )
        view, kind = _view(manifest, request.label_set)
        plan = _restricted(_plan(view, request, valid), view, kind)
        return Setup.of(plan.name, plan, view)
    row, value = find_protocol(request.protocol, manifest.name)
    wanted = {"folds": row.plan_for(value), "valid": row.valid, "label_set": row.label_set}
    for option, own in wanted.items():
        given = getattr(request, option)
        if own and given and given.removesuffix(SHARED) != own:
            raise UsageError(
                f"--{option.replace('_', '-')} {given} contradicts --protocol {request.protocol}, "
                f"which has {own}; leave one of them out"
            )
    view, kind = _view(manifest, row.label_set or request.label_set)
    if row.files:
        if request.files is None:
            raise UsageError(
                f"protocol {row.name!r} has its folds in files: add --protocol-files. {row.note}"
            )
        plan = marked_shared(READERS[row.files](request.files, view), view)
        plan.check(view)
    else:
        rule = row.valid if row.valid in VALID_RULES else "next"
        plan = make_plan(view, wanted["folds"], rule)
    setup = Setup.of(request.protocol, _restricted(plan, view, kind), view)
    _check_size(setup, row)
    return setup


def view_of(manifest: Manifest, label_set: str) -> Manifest:
    """Return the corpus under a label set that counts on all rows.

    Raises:
        UsageError: The set is of some rows only, or does not exist.
    """
    view, kind = _view(manifest, label_set)
    if kind:
        raise UsageError(
            f"label set {label_set!r} is of {kind} dialogues only, and --fold final trains on all "
            f"rows; read the corpus with --corpus-option kind={kind}, where its reader has that "
            "option"
        )
    return view


def applicable(manifest: Manifest) -> list[tuple[Protocol, str]]:
    """Return every protocol of this corpus, with the rows that it tests or why it does not work."""
    found = []
    for row in TABLE:
        if not row.applies_to(manifest.name):
            continue
        if row.files or "{}" in row.plan:
            found.append((row, f"give {'--protocol-files' if row.files else 'a value'}"))
            continue
        try:
            setup = set_up(manifest, Request(row.name))
            found.append((row, " ".join(map(str, setup.tested())) + " rows tested"))
        except ProjectError as error:
            found.append((row, f"not here: {error}"))
    return found


def _view(manifest: Manifest, label_set: str) -> tuple[Manifest, str]:
    """Return the corpus under a label set, and the kind of dialogue that it is restricted to."""
    if not label_set or (
        manifest.labels is not None
        and label_set == manifest.labels.name
        and label_set not in LABEL_SETS
    ):
        return manifest, ""
    named = named_labels(label_set, manifest)
    return replace(manifest, labels=named.labels), named.kind


def _plan(view: Manifest, request: Request, valid: str) -> FoldPlan:
    if request.folds.endswith(".parquet"):
        if request.valid:
            raise UsageError(
                f"--valid {request.valid} has no effect on the plan file {request.folds}, which "
                "names its own validation rows; leave it out"
            )
        plan = FoldPlan.load(Path(request.folds))
        plan.check(view)
        return marked_shared(plan, view)
    plan = make_plan(view, request.folds, request.valid or valid)
    if request.valid and plan.valid != request.valid:
        if plan.valid == request.valid + SHARED:
            raise UsageError(
                f"--valid {request.valid}: under the plan {plan.name!r} these rows share speakers "
                f"or groups with test; ask for that by its own name, --valid {plan.valid}, or "
                "choose other folds"
            )
        raise UsageError(
            f"--valid {request.valid} has no effect on the plan {plan.name!r}, whose validation "
            "rows are those of the corpus; leave it out, or choose a plan with --folds"
        )
    return plan


def _restricted(plan: FoldPlan, view: Manifest, kind: str) -> FoldPlan:
    """Let rows of another kind of dialogue play no role."""
    if not kind:
        return plan
    unused = ~rows_of_kind(view, kind)
    folds = tuple(
        Fold(f.number, f.name, np.where(unused, ROLE_CODE["unused"], f.roles).astype(np.uint8))
        for f in plan
    )
    plan = replace(plan, folds=folds)
    plan.check(view)
    return plan


def _counting(view: Manifest) -> NDArray[np.bool_]:
    """Rows that have a class (N,); all where there are no labels."""
    return np.ones(len(view), dtype=bool) if view.labels is None else np.asarray(view.codes() >= 0)


def _check_size(setup: Setup, row: Protocol) -> None:
    """Compare with the whole release; the demo has IEMOCAP's layout and not its size."""
    if setup.view.name == "demo":
        return
    there = setup.tested()
    labelled = LABEL_SETS[row.label_set].rows if row.label_set else 0
    roles = np.logical_or.reduce([fold.roles > 0 for fold in setup.plan])
    rows = int((roles & _counting(setup.view)).sum())
    if (row.test_rows and there != row.test_rows) or (labelled and rows != labelled):
        expected = f"{' '.join(map(str, row.test_rows))} of " if row.test_rows else ""
        raise FoldError(
            f"protocol {setup.protocol!r} tests {expected}{labelled or 'all'} rows; corpus "
            f"{setup.view.name!r} gives {' '.join(map(str, there))} of {rows}: "
            f"{_how_it_differs(rows - labelled if labelled else sum(there) - sum(row.test_rows))}, "
            f"or use --folds {setup.plan.name} and compare with nobody"
        )


def _how_it_differs(surplus: int) -> str:
    """Say why a corpus is not the release of a protocol, and what to do.

    Args:
        surplus: How many rows it has more than the release; fewer where it is below 0.
    """
    if surplus < 0:
        return (
            "it is not the whole release, and its figures would not be of this protocol. Complete "
            "the release"
        )
    if surplus > 0:
        return (
            f"it has {surplus} row{'s' * (surplus > 1)} more than the release, and its figures "
            "would not be of this protocol. Leave out the rows that are not of the release "
            "(check-corpus names copies)"
        )
    return (
        "it has as many rows as the release, and others in its folds, so its figures would not be "
        "of this protocol. Compare sessions, speakers, splits and labels with the release "
        "(check-corpus counts them)"
    )
