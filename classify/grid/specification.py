"""What one cell of one fold is computed from, all of it, as one frozen value.

A worker computes a cell from its :class:`CellSpec` and from nothing else. The key of the finished
cell is a digest over the fields that change its numbers, the record in its file repeats them, and
the data are where its source says. A value that cannot matter for a cell, such as the seed of a
classifier that draws nothing, is neutral in its specification (:func:`classify.grid.bind.specify`
sees to that), so cells with equal numbers have equal keys and are computed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module, metadata
from pathlib import Path

from classify.grid.field_declarations import (
    CHANGES_NUMBERS,
    ITS_FIELDS_DECLARE,
    changes_no_number,
    every_field_declared,
    numbers_of,
)
from classify.grid.fold_loading import FoldSource
from classify.grid.inner_choice import Ladder
from classify.grid.missing_modalities import Drop
from classify.grid.tuning import Search
from classify.models.classifiers import CLASSIFIERS
from classify.models.specification import Settings
from classify.names import SYSTEM
from classify.systems.cell import Cell
from classify.systems.joined_views import JoinedViews
from embeddings_store.provenance import fingerprint

# Add one whenever a change to classify/ changes a number: every cell is then computed again.
ALGORITHM = 9

# Library to the packages that bring it.
LIBRARIES = {
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "sklearn": ("scikit-learn",),
    "xgboost": ("xgboost", "xgboost-cpu"),
}


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute.

    They are read without importing the libraries, which a run that computes nothing does not need.
    """
    return {library: _version(library, names) for library, names in LIBRARIES.items()}


@cache
def _version(library: str, names: tuple[str, ...]) -> str:
    """Return what is installed, or where that is not one thing, what is imported."""
    found = set()
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found.add(metadata.version(name))
    return found.pop() if len(found) == 1 else str(import_module(library).__version__)


@every_field_declared
@dataclass(frozen=True)
class CellSpec:
    """Everything that one cell of one fold is computed from.

    Attributes:
        family: A name of :data:`classify.names.FAMILIES`; a candidate layer is ``unimodal``, which
            it becomes where it is chosen.
        method: Fusion strategy or rule, or the name of a system; empty where nothing is fused.
        classifier: Name of a classifier, ``head``, ``probe`` or ``rule``; of a system its outermost
            word.
        expression: What a rule or a system is, written out; other families follow from the rest.
        settings: Every setting of the classifier; of a rule or a system the defaults of every
            classifier in it, as ``classifier.setting``.
        scores_from: Modality to ``head`` or ``probe``, for cells over class scores.
        probe: How probes are fitted, where one answers.
        fit_rows: A name of :data:`classify.names.FIT_ROWS`.
        seed: For the classifier; 0 where nothing is drawn.
        search: How settings are chosen first, or none.
        ladder: Which settings inner folds choose among, or none.
        drops: What test rows lose; nothing for a cell of the grid.
        drop_seed: Which of them lose it.
        joined: Layers that go in as one.
        source: On which data.
        probes: What a probe is over, written out, to the key of its finished cell.
        whole: Key of the same cell without losses, where there are drops.
        folder: Where cell files lie.
        origin: Commit and command.
        algorithm: Version of the code that computes, see :data:`ALGORITHM`.
        versions: Library to version.
    """

    family: str = field(metadata=CHANGES_NUMBERS)
    method: str = field(metadata=CHANGES_NUMBERS)
    classifier: str = field(metadata=CHANGES_NUMBERS)
    expression: str = field(metadata=CHANGES_NUMBERS)
    settings: Settings = field(metadata=CHANGES_NUMBERS)
    scores_from: Mapping[str, str] = field(metadata=CHANGES_NUMBERS)
    probe: Mapping[str, float] = field(metadata=CHANGES_NUMBERS)
    fit_rows: str = field(metadata=CHANGES_NUMBERS)
    seed: int = field(metadata=CHANGES_NUMBERS)
    search: Search | None = field(metadata=CHANGES_NUMBERS)
    ladder: Ladder | None = field(metadata=CHANGES_NUMBERS)
    source: FoldSource = field(metadata=ITS_FIELDS_DECLARE)
    folder: Path = field(metadata=changes_no_number("where the result is kept"))
    origin: Mapping[str, str] = field(metadata=changes_no_number("who computed it, for the record"))
    probes: Mapping[str, str] = field(
        default_factory=dict,
        metadata=changes_no_number("saves fitting again what source and probe determine"),
    )
    drops: tuple[Drop, ...] = field(default=(), metadata=CHANGES_NUMBERS)
    drop_seed: int = field(default=0, metadata=CHANGES_NUMBERS)
    joined: tuple[JoinedViews, ...] = field(default=(), metadata=CHANGES_NUMBERS)
    whole: str = field(
        default="", metadata=changes_no_number("follows from all other fields but the drops")
    )
    algorithm: int = field(default=ALGORITHM, metadata=CHANGES_NUMBERS)
    versions: Mapping[str, str] = field(default_factory=library_versions, metadata=CHANGES_NUMBERS)

    @property
    def record(self) -> dict[str, object]:
        """Everything that changes the numbers, as plain JSON types."""
        return numbers_of(self)

    @cached_property
    def key(self) -> str:
        """Twelve hex digits over everything that changes the numbers."""
        return fingerprint(self.record)

    @property
    def path(self) -> Path:
        """The file of the finished cell."""
        return self.file_of(self.classifier, self.key)

    def file_of(self, classifier: str, key: str) -> Path:
        """Return the file of another finished cell of the same fold and run.

        Args:
            classifier: Its classifier, ``head``, ``probe`` or ``rule``.
            key: Its key.
        """
        return self.folder / f"{classifier}.fold-{self.source.fold}.{key}.npz"

    @property
    def modalities(self) -> tuple[str, ...]:
        """What goes in, in this order."""
        return tuple(view for view, _, _ in self.source.views)

    @property
    def cell(self) -> Cell:
        """The system that is fitted."""
        expression = self.expression if self.family == SYSTEM else ""
        return Cell(
            self.family,
            self.method,
            self.modalities,
            self.classifier,
            expression=expression,
            joined=self.joined,
        )

    @property
    def own_settings(self) -> Settings:
        """Settings of the classifier itself; a rule has none, and a system's are in its text."""
        own = self.classifier in CLASSIFIERS and self.family != SYSTEM
        return self.settings if own else {}
