"""What checking a run found.

The corpus, the folds, the encoders and the cells that will be computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from classify.claim import Claim
from classify.grid.config import GridConfig
from classify.grid.fold_loading import RunSource
from classify.leakage.checks import Audit
from classify.leakage.finding import LEAK
from classify.metadata import MetadataColumns
from classify.names import OOF, TRAIN, VALID
from classify.systems.cell import Cell
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.errors import LabelError
from embeddings_store.folds.apart import apart_by
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.setup import Setup
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import Entry
from embeddings_store.vectors.inner_folds import InnerSet


@dataclass(frozen=True, slots=True)
class FoldFacts:
    """What the gate found in one fold, over all modalities.

    Attributes:
        number: The fold's number.
        name: What it holds out.
        counts: Role to rows with a label and a vector.
        n_planned: Role to rows that the plan gives it, with a label of the set or with none.
        n_unlabelled: Test rows of the plan that have no label.
        n_choice: Validation rows of the plan that choose the cell.
        train_seen: Training rows that some encoder was fitted on.
        train_groups: The smallest number of groups that any modality's training rows have.
        valid_groups: How many groups those validation rows are of that may be learnt from.
        out_of_fold: Modalities with out-of-fold scores of training rows, from inner encoders.
        apart: Ids of validation rows that are kept for choosing the cell; empty where they were not
            halved.
        answered: A digest over which rows of each role each modality can answer.
        inside: Whether training and validation rows are joined and answered in inner folds; then
            ``train`` and ``valid`` both count all of them.
        on_fitted: Whether these rows choose although an encoder was fitted on some.
        fitted_on_both: Encoders that were fitted on training or validation rows, of all seeds.
        part_of: Id to the inner fold that answers it, from 1; empty without inner folds.
    """

    number: int
    name: str
    counts: Mapping[str, int]
    n_planned: Mapping[str, int]
    n_unlabelled: int
    n_choice: int
    train_seen: int
    train_groups: int
    valid_groups: int
    out_of_fold: frozenset[str]
    apart: frozenset[str] = frozenset()
    answered: str = ""
    inside: bool = False
    on_fitted: bool = False
    part_of: Mapping[str, int] = field(default_factory=dict)
    fitted_on_both: frozenset[EncoderRef] = frozenset()

    @property
    def n_learning(self) -> int:
        """Validation rows of the plan that may be learnt from: all, or the other half."""
        n_valid = self.n_planned["valid"]
        return n_valid - self.n_choice if self.apart else n_valid


def shared_by_valid_alone(setup: Setup) -> list[str]:
    """Return what validation rows share with test rows and training rows do not, such as speakers.

    Args:
        setup: The protocol, with what its roles share.
    """
    of_pair = {}
    for part in setup.shared.split("; ") if setup.shared else []:
        pair, _, columns = part.partition(": ")
        of_pair[pair] = set(columns.split(", "))
    return sorted(of_pair.get("valid+test", set()) - of_pair.get("train+test", set()))


@dataclass(frozen=True, slots=True)
class PreparedGrid:
    """A checked run: what :func:`prepare` found.

    Attributes:
        config: What was asked for.
        corpus: The corpus' name.
        manifest_digest: Over every column of the manifest and its own label set.
        setup: The protocol: fold plan, label set, and what roles share.
        source: Where the data of every fold lie.
        replicas: For each seed of the fine-tuning, modality to candidates; more than one only for
            ``layer="valid"``.
        entries: The store's files.
        folds: What the gate found.
        scores_from: Modality to ``head`` or ``probe``.
        cells: Every cell of the grid, in the order of the tables.
        notes: What was left out, and why; what a reader must know.
        metadata: The views that are metadata.
        leaky: Metadata columns in use that may explain the label.
        audit: What the leakage audit found; it has no leak but those that ``config.accept`` names.
        inner: For each seed of the fine-tuning, modality to the encoders of its inner folds;
            nothing unless ``oof`` needs them.
    """

    config: GridConfig
    corpus: str
    manifest_digest: str
    setup: Setup
    source: RunSource
    replicas: Sequence[Mapping[str, Sequence[EncoderRef]]]
    entries: Sequence[Entry]
    folds: Sequence[FoldFacts]
    scores_from: Mapping[str, str]
    cells: Sequence[Cell]
    notes: Sequence[str]
    audit: Audit
    metadata: tuple[MetadataColumns, ...] = ()
    leaky: tuple[str, ...] = ()
    inner: Sequence[Mapping[str, InnerSet]] = ()

    @property
    def claim(self) -> Claim:
        """What the figures may be called: the options say it, and the audit of this very run."""
        leaks = self.audit.having(LEAK)
        return Claim.of_run(
            upper_bound=self.config.select_on == "test" or "choices" in leaks,
            leaky=bool(self.leaky),
            shuffle_seed=self.config.shuffle_seed,
            apart_by=apart_by(self.plan.name),
            accepted=[name for name in leaks if name in self.audit.accepted],
            found=self.audit.refused,
        )

    @property
    def on_fitted(self) -> bool:
        """Whether rows choose that an encoder was fitted on."""
        return any(fold.on_fitted for fold in self.folds)

    @property
    def tune_on(self) -> str:
        """Which rows choose the settings of classifiers.

        Training rows only if their vectors do not carry their labels.
        """
        if self.config.tune_on:
            return self.config.tune_on
        encoders_fitted = any(fold.train_seen for fold in self.folds)
        has_valid = all(fold.counts["valid"] for fold in self.folds)
        return VALID if encoders_fitted and has_valid and self.config.fit_rows != OOF else TRAIN

    def fits_on_both(self, fold: int, refs: Iterable[EncoderRef]) -> bool:
        """Say whether a cell may be fitted on validation rows, too, once it was chosen on them.

        Args:
            fold: The fold's number.
            refs: The encoders of its views.
        """
        facts = next(one for one in self.folds if one.number == fold)
        seen = facts.fitted_on_both.intersection(refs)
        return bool(facts.counts["valid"]) and not seen and not shared_by_valid_alone(self.setup)

    @property
    def views(self) -> Mapping[str, Sequence[EncoderRef]]:
        """Modality to candidates, of the first seed.

        Other seeds have the same modalities and layers.
        """
        return self.replicas[0]

    @property
    def joined(self) -> bool:
        """Whether layers stand for their modality as one."""
        return any(cell.joined for cell in self.cells)

    @property
    def modality_of(self) -> dict[str, str]:
        """View to its modality."""
        return {view: refs[0].modality for view, refs in self.views.items()}

    @property
    def plan(self) -> FoldPlan:
        """The fold plan."""
        return self.setup.plan

    @property
    def labels(self) -> LabelSet:
        """The label set.

        Raises:
            LabelError: There is none, which the leak gate has refused already.
        """
        if self.setup.labels is None:
            raise LabelError(f"corpus {self.corpus!r} has no labels")
        return self.setup.labels

    def entry(self, ref: EncoderRef, fold: int) -> Entry:
        """Return the file that serves a fold: its own, else the one for every fold."""
        by_fold = {e.fold: e for e in self.entries if e.ref == ref}
        return by_fold.get(str(fold)) or by_fold["any"]
