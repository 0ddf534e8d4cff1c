"""The configuration of a run of the grid: every option, its default and its check."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from classify.fusion.projections import read_projection
from classify.fusion.rules import check_late_method, late_methods
from classify.fusion.strategies import vector_fusion, vector_strategies
from classify.grid.calibration import METHODS as CALIBRATIONS
from classify.models.classifiers import competitors, resolve
from classify.models.specification import Settings
from classify.names import (
    AS_ALLOWED,
    AS_VIEWS,
    BY_MODALITY,
    CHOOSE,
    FIT_ROWS,
    FITTED,
    INNER,
    LAYERS_AS,
    OOF,
    SUBSETS_BY,
    TUNE_ON,
    VALID,
)
from classify.systems.definitions import System
from embeddings_store.errors import UsageError, unknown_name
from embeddings_store.fold_request import SELECT_ON
from embeddings_store.vectors.view_names import read_view

SEEDS_BELOW = 2**31


@dataclass(frozen=True, slots=True)
class GridConfig:
    """Everything that a run of the grid depends on; the one place of its defaults.

    Attributes:
        store: The store's folder.
        out: Where results go.
        corpus: Which corpus; empty takes the only one.
        modalities: Which modalities, in the order of their blocks; empty takes all, sorted, but
            metadata columns that a text encoder read only where their leak tag is safe or context.
        metadata: Tags and columns that become the modality ``metadata``, see
            :func:`classify.metadata.choose_columns`.
        encoders: Modality to ``NAME[@FINGERPRINT]``, where the store has several.
        views: Views as :func:`embeddings_store.vectors.view_names.read_view` reads them, in this
            order, several of one modality if need be; none takes one for each modality.
        layers: ``all``, or numbers and ranges of layers, each of which becomes a view of its own.
        layers_as: What stands for a modality of several ``layers``, a name of
            :data:`classify.names.LAYERS_AS`; see :mod:`classify.systems.joined_views`.
        encoder_seeds: Seeds of the fine-tuning, to compare several; empty means all; none takes the
            only one.
        layer: ``""`` the only one, ``last``, a number, ``valid`` to choose per fold on validation
            rows, or ``choose`` to choose it as ``choose`` says.
        folds: A plan's name or a plan file (``.parquet``); empty takes the corpus' own.
        valid: A rule of :mod:`embeddings_store.folds.rules`; empty takes the protocol's, else the
            default there.
        protocol: Name in :mod:`embeddings_store.folds.protocols`; empty for none.
        protocol_files: Folder of the files that hold the protocol's folds, where it needs some.
        label_set: Name in :mod:`embeddings_store.corpus.label_sets`; empty takes the protocol's,
            else the corpus' own.
        choose: ``valid`` to choose layers, settings and the cell on validation rows, ``inner`` to
            choose them in inner folds of training and validation rows together, see
            :mod:`classify.grid.inner_choice`; ``auto`` for inner folds where no encoder of the run
            was fitted on these rows, and else validation rows with ``fit_rows="auto"``.
        choose_on: ``fitted`` lets inner folds choose on rows that an encoder was fitted on, which
            every output then says; empty refuses them.
        fit_rows: A name of :data:`classify.names.FIT_ROWS`, or ``auto``: each cell on training and
            validation rows, once all is chosen, where none of its encoders was fitted on them.
        inner_folds: How many inner folds ``oof`` takes training rows from, where the store has
            several choices; 0 the only one.
        classifiers: Names of :data:`classify.models.classifiers.CLASSIFIERS` that compete.
        early: Early strategies; none means all that the widths allow.
        late: Late strategies and rules; none means all that the rows allow.
        project: How early sums and products bring unequal widths to one, see
            :data:`classify.fusion.strategies.STRATEGIES`; empty leaves them out.
        systems: Systems that a user wrote down.
        subsets: Whether every set of modalities is fused, not only all of them.
        subsets_by: ``view`` to fuse sets of views as well, see :mod:`classify.systems.view_sets`.
        drop_rates: Shares of test rows' modalities to take away, to see how each way of fusing
            degrades; empty leaves it out.
        drop_seed: Which of them.
        settings: Classifier to the settings that differ from its defaults.
        seeds: For classifiers that draw random numbers; everything is done once with each.
        shuffle_seed: Permute the labels with this seed; results must then be at chance.
        select_on: ``valid``, or ``test`` to choose the cell on test rows and to score vectors whose
            epoch was chosen on them; every output is then stamped as an upper bound.
        calibrate: A name of :data:`classify.grid.calibration.METHODS`.
        tune: Trials by which each classifier's settings are chosen, see
            :mod:`classify.grid.tuning`; 0 takes them as they are.
        tune_minutes: No trial begins after so many minutes per cell and fold; 0 for no limit.
        tune_on: ``train`` or ``valid``; empty takes ``valid`` where encoders were fitted on
            training rows and there are any.
        valid_split: Keep a half of the validation rows, by group in the order of this seed, for
            choosing the cell.
        accept: Checks of :mod:`classify.leakage.checks` whose leak is taken knowingly; every output
            then says so.
        jobs: Processes; 0 takes every processor.
    """

    store: Path = Path("embeddings")
    out: Path = Path("results")
    corpus: str = ""
    modalities: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    encoders: Mapping[str, str] = field(default_factory=dict)
    views: tuple[str, ...] = ()
    layers: str = ""
    layers_as: str = AS_VIEWS
    encoder_seeds: tuple[int, ...] | None = None
    layer: str = ""
    folds: str = ""
    valid: str = ""
    protocol: str = ""
    protocol_files: Path | None = None
    label_set: str = ""
    choose: str = VALID
    choose_on: str = ""
    fit_rows: str = "train"
    inner_folds: int = 0
    classifiers: tuple[str, ...] = field(default_factory=competitors)
    early: tuple[str, ...] | None = None
    late: tuple[str, ...] | None = None
    project: str = ""
    systems: tuple[System, ...] = ()
    subsets: bool = False
    subsets_by: str = BY_MODALITY
    drop_rates: tuple[float, ...] = ()
    drop_seed: int = 0
    settings: Mapping[str, Settings] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    shuffle_seed: int | None = None
    select_on: str = "valid"
    calibrate: str = "none"
    tune: int = 0
    tune_minutes: float = 0.0
    tune_on: str = ""
    valid_split: int | None = None
    accept: tuple[str, ...] = ()
    jobs: int = 0

    def __post_init__(self) -> None:
        """Check every name and number that needs no store."""
        self._check_names()
        self._check_views()
        self._check_settings()
        self._check_drops()
        self._check_seeds()
        self._check_tuning()
        self._check_inner_folds()
        self._check_choice()

    def _check_names(self) -> None:
        for name in self.early or ():
            vector_fusion(name)
        for name in self.late or ():
            check_late_method(name)
        choices: tuple[tuple[str, Sequence[str], Collection[str]], ...] = (
            ("classifier", self.classifiers, competitors()),
            ("early fusion", self.early or (), vector_strategies()),
            ("late fusion", self.late or (), late_methods()),
            ("rows to choose on", (self.choose,), CHOOSE),
            ("choice of rows to fit on", (self.fit_rows,), (*FIT_ROWS, AS_ALLOWED)),
            ("role to choose on", (self.select_on,), SELECT_ON),
            ("calibration", (self.calibrate,), CALIBRATIONS),
            ("use of layers", (self.layers_as,), LAYERS_AS),
            ("subsets", (self.subsets_by,), SUBSETS_BY),
        )
        for what, names, known in choices:
            for name in names:
                if name not in known:
                    unknown_name(what, name, list(known))
            if len(set(names)) < len(names):
                raise UsageError(f"{what} names one thing twice: {' '.join(names)}")
        if not self.classifiers:
            raise UsageError(f"the grid needs a classifier or more of {', '.join(competitors())}")

    def _check_views(self) -> None:
        for text in self.views:
            read_view(text)
        if self.views and (self.modalities or self.encoders or self.layer or self.layers):
            raise UsageError(
                "--view names modality, encoder and layer of every view; leave out --modalities, "
                "--encoder, --layer and --layers"
            )
        if self.layers and self.layer:
            raise UsageError(
                f"--layers {self.layers} makes every layer a view, --layer {self.layer} takes one; "
                "give one of them"
            )
        if self.layers_as != AS_VIEWS and not self.layers:
            raise UsageError(
                f"--layers-as {self.layers_as} says what becomes of several layers; say which with "
                "--layers all"
            )

    def _check_settings(self) -> None:
        for name, settings in self.settings.items():
            resolve(name, settings)
        if self.project:
            read_projection(self.project)

    def _check_drops(self) -> None:
        if all(0 < rate < 1 for rate in self.drop_rates) and self.drop_seed >= 0:
            return
        rates = ", ".join(f"{rate:g}" for rate in self.drop_rates)
        raise UsageError(
            "modalities are dropped at rates between 0 and 1, with a seed of 0 or more, not at "
            f"{rates} with the seed {self.drop_seed}"
        )

    def _check_seeds(self) -> None:
        in_range = all(0 <= seed < SEEDS_BELOW for seed in self.seeds)
        different = len(set(self.seeds)) == len(self.seeds)
        if not self.seeds or not in_range or not different or self.jobs < 0:
            seeds = ", ".join(map(str, self.seeds)) or "no seed"
            raise UsageError(
                f"jobs and seeds are 0 or more, seeds are below {SEEDS_BELOW}, and none is there "
                f"twice; not {self.jobs} and {seeds}"
            )
        if self.valid_split is not None and self.valid_split < 0:
            raise UsageError(f"--valid-split takes a seed of 0 or more, not {self.valid_split}")

    def _check_tuning(self) -> None:
        if self.tune_on and self.tune_on not in TUNE_ON:
            unknown_name("rows to tune on", self.tune_on, TUNE_ON)
        without_effect = not self.tune and (self.tune_minutes or self.tune_on)
        if self.tune < 0 or not 0 <= self.tune_minutes < inf or without_effect:
            raise UsageError(
                "--tune takes a number of trials of 1 or more, and --tune-minutes and --tune-on "
                f"have no effect without it; got {self.tune} trials, {self.tune_minutes:g} "
                f"minutes, {self.tune_on or 'no rows'}"
            )

    def _check_inner_folds(self) -> None:
        if self.inner_folds and self.fit_rows != OOF:
            raise UsageError(
                f"--inner-folds {self.inner_folds} has no effect without --fit-rows {OOF}; leave "
                "it out"
            )

    def _check_choice(self) -> None:
        if self.choose_on not in {"", FITTED}:
            unknown_name("rows to choose on", self.choose_on, [FITTED])
        if self.choose_on and (self.choose != INNER or self.calibrate != "none"):
            raise UsageError(
                f"--choose-on {self.choose_on} is for --choose {INNER}, and nothing is calibrated "
                "on rows whose vectors carry their labels; add the one, and leave out --calibrate"
            )
        if self.choose == VALID:
            return
        contrary = {
            f"--fit-rows {self.fit_rows}": self.fit_rows != "train",
            "--valid-split": self.valid_split is not None,
            f"--select-on {self.select_on}": self.select_on != VALID,
            f"--layer {VALID}": self.layer == VALID,
            f"--tune-on {self.tune_on}": bool(self.tune_on),
        }
        for option, given in contrary.items():
            if given:
                advice = "write --layer choose" if "layer" in option else f"leave out {option}"
                raise UsageError(
                    f"--choose {self.choose} chooses in inner folds of training and validation "
                    f"rows, and then fits on both, so it does not go with {option}; {advice}"
                )
