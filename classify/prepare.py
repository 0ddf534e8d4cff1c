"""Before anything is computed: corpus, encoders, folds and cells, every name checked, every fold through the leak gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import numpy as np

from classify import fusion
from classify.audits import Audit, Case, refuse, run_checks
from classify.audits.case import named_views, read_files
from classify.cells import EARLY, FIT_ROWS, OOF, SYSTEM, Cell
from classify.confidence import METHODS as CALIBRATIONS
from classify.late_fusion import HEAD, PROBE, inner_groups
from classify.listing import LATE_METHODS, list_cells
from classify.metadata import BANNED, METADATA, Chosen, choose_columns, entry, load_with_metadata
from classify.models import COMPETITORS, Settings, resolve
from classify.oof import inner_sets, refuse_mixed, with_whole_spaces
from classify.purposes import VALID
from classify.systems import System
from classify.tune import TRAIN, TUNE_ON, require_optuna
from embeddings_store.arrays import SCORED_ROLES, EncoderRef, FoldData
from embeddings_store.entries import Entry, catalogue, choose_seeds, choose_views, corpora
from embeddings_store.errors import FoldError, LabelError, StoreMismatchError, UsageError, unknown_name
from embeddings_store.folds import FoldPlan
from embeddings_store.inner import InnerSet
from embeddings_store.labels import LabelSet
from embeddings_store.load import SELECT_ON
from embeddings_store.manifest import Manifest
from embeddings_store.protocol_setup import Request, Setup, set_up
from embeddings_store.provenance import fingerprint

RESULT, UPPER_BOUND, LEAKY = "result", "upper bound", "leaky metadata"  # what the figures may be called
SEEDS_BELOW = 2 ** 31


@dataclass(frozen=True, slots=True)
class GridConfig:
    """Everything that a run of the grid depends on; the one place of its defaults.

    Attributes:
        store: The store's folder.
        out: Where results go.
        corpus: Which corpus; empty takes the only one.
        modalities: Which modalities, in the order of their blocks; empty takes all, sorted, but metadata columns that a text
            encoder read only where their leak tag is safe or context.
        metadata: Tags and columns that become the modality ``metadata``, see :func:`classify.metadata.choose_columns`.
        encoders: Modality to ``NAME[@FINGERPRINT]``, where the store has several.
        encoder_seeds: Seeds of the fine-tuning, to compare several; empty means all; none takes the only one.
        layer: ``""`` the only one, ``last``, a number, or ``valid`` to choose per fold on validation rows.
        folds: A plan's name or a plan file (``.parquet``); empty takes the corpus' own.
        valid: A rule of :mod:`embeddings_store.folds`; empty takes the protocol's, else the default there.
        protocol: Name in :mod:`embeddings_store.protocols`; empty for none.
        protocol_files: Folder of the files that hold the protocol's folds, where it needs some.
        label_set: Name in :mod:`embeddings_store.label_sets`; empty takes the protocol's, else the corpus' own.
        fit_rows: A name of :data:`classify.cells.FIT_ROWS`.
        inner_folds: How many inner folds ``oof`` takes training rows from, where the store has several choices; 0 the only one.
        classifiers: Names of :data:`classify.models.COMPETITORS`.
        early: Early strategies; none means all that the widths allow.
        late: Late strategies and rules; none means all that the rows allow.
        project: How early sums and products bring unequal widths to one, see :mod:`classify.fusion`; empty leaves them out.
        systems: Systems that a user wrote down.
        subsets: Whether every set of modalities is fused, not only all of them.
        drop_rates: Shares of test rows' modalities to take away, to see how each way of fusing degrades; empty leaves it out.
        drop_seed: Which of them.
        settings: Classifier to the settings that differ from its defaults.
        seeds: For classifiers that draw random numbers; everything is done once with each.
        shuffle_seed: Permute the labels with this seed; results must then be at chance.
        select_on: ``valid``, or ``test`` to choose the cell on test rows and to score vectors whose epoch was chosen on
            them; every output is then stamped as an upper bound.
        calibrate: A name of :data:`classify.confidence.METHODS`.
        tune: Trials by which each classifier's settings are chosen, see :mod:`classify.tune`; 0 takes them as they are.
        tune_minutes: No trial begins after so many minutes per cell and fold; 0 for no limit.
        tune_on: ``train`` or ``valid``; empty takes ``valid`` where encoders were fitted on training rows and there are any.
        valid_split: Keep a half of the validation rows, by group in the order of this seed, for choosing the cell.
        accept: Checks of :mod:`classify.audits` whose leak is taken knowingly; every output then says so.
        jobs: Processes; 0 takes every processor.
    """

    store: Path = Path("embeddings")
    out: Path = Path("results")
    corpus: str = ""
    modalities: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    encoders: Mapping[str, str] = field(default_factory=dict)
    encoder_seeds: tuple[int, ...] | None = None
    layer: str = ""
    folds: str = ""
    valid: str = ""
    protocol: str = ""
    protocol_files: Path | None = None
    label_set: str = ""
    fit_rows: str = "train"
    inner_folds: int = 0
    classifiers: tuple[str, ...] = COMPETITORS
    early: tuple[str, ...] | None = None
    late: tuple[str, ...] | None = None
    project: str = ""
    systems: tuple[System, ...] = ()
    subsets: bool = False
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
        for what, names, known in (("classifier", self.classifiers, COMPETITORS),
                                   ("early fusion", self.early or (), fusion.STRATEGIES),
                                   ("late fusion", self.late or (), LATE_METHODS),
                                   ("choice of rows to fit on", (self.fit_rows,), FIT_ROWS),
                                   ("role to choose on", (self.select_on,), SELECT_ON),
                                   ("calibration", (self.calibrate,), CALIBRATIONS)):
            for name in names:
                if name not in known:
                    unknown_name(what, name, list(known))
            if len(set(names)) < len(names):
                raise UsageError(f"{what} names one thing twice: {' '.join(names)}")
        if not self.classifiers:
            raise UsageError(f"the grid needs a classifier or more of {', '.join(COMPETITORS)}")
        for name, settings in self.settings.items():
            resolve(name, settings)
        if self.project:
            fusion.read_projection(self.project)
        if not all(0 < rate < 1 for rate in self.drop_rates) or self.drop_seed < 0:
            raise UsageError(f"modalities are dropped at rates between 0 and 1, with a seed of 0 or more, not at "
                             f"{', '.join(f'{rate:g}' for rate in self.drop_rates)} with the seed {self.drop_seed}")
        if (self.jobs < 0 or min(self.seeds, default=-1) < 0 or max(self.seeds) >= SEEDS_BELOW
                or len(set(self.seeds)) < len(self.seeds)):
            raise UsageError(f"jobs and seeds are 0 or more, seeds are below {SEEDS_BELOW}, and none is there twice; not "
                             f"{self.jobs} and {', '.join(map(str, self.seeds)) or 'no seed'}")
        if self.valid_split is not None and self.valid_split < 0:
            raise UsageError(f"--valid-split takes a seed of 0 or more, not {self.valid_split}")
        if self.tune_on and self.tune_on not in TUNE_ON:
            unknown_name("rows to tune on", self.tune_on, TUNE_ON)
        if self.tune < 0 or not 0 <= self.tune_minutes < inf or (not self.tune and (self.tune_minutes or self.tune_on)):
            raise UsageError(f"--tune takes a number of trials of 1 or more, and --tune-minutes and --tune-on have no effect "
                             f"without it; got {self.tune} trials, {self.tune_minutes:g} minutes, {self.tune_on or 'no rows'}")
        if self.inner_folds and self.fit_rows != OOF:
            raise UsageError(f"--inner-folds {self.inner_folds} has no effect without --fit-rows {OOF}; leave it out")


@dataclass(frozen=True, slots=True)
class FoldFacts:
    """What the gate found in one fold, over all modalities.

    Attributes:
        number: The fold's number.
        name: What it holds out.
        counts: Role to rows with a label and a vector.
        train_seen: Training rows that some encoder was fitted on.
        train_groups: The smallest number of groups that any modality's training rows have.
        valid_groups: How many groups those validation rows are of that may be learnt from.
        honest: Modalities with out-of-fold scores of training rows, from inner encoders.
        apart: Ids of validation rows that are kept for choosing the cell; empty where they were not halved.
        answered: A digest over which rows of each role each modality can answer.
    """

    number: int
    name: str
    counts: Mapping[str, int]
    train_seen: int
    train_groups: int
    valid_groups: int
    honest: frozenset[str]
    apart: frozenset[str] = frozenset()
    answered: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked run: what :func:`prepare` found.

    Attributes:
        config: What was asked for.
        corpus: The corpus' name.
        manifest_digest: Over every column of the manifest and its own label set.
        setup: The protocol: fold plan, label set, and what roles share.
        replicas: For each seed of the fine-tuning, modality to candidates; more than one only for ``layer="valid"``.
        entries: The store's files.
        folds: What the gate found.
        scores_from: Modality to ``head`` or ``probe``.
        cells: Every cell of the grid, in the order of the tables.
        notes: What was left out, and why; what a reader must know.
        metadata: The views that are metadata.
        leaky: Metadata columns in use that may explain the label.
        audit: What the leakage audit found; it has no leak but those that ``config.accept`` names.
        inner: For each seed of the fine-tuning, modality to the encoders of its inner folds; nothing unless ``oof`` needs them.
    """

    config: GridConfig
    corpus: str
    manifest_digest: str
    setup: Setup
    replicas: Sequence[Mapping[str, Sequence[EncoderRef]]]
    entries: Sequence[Entry]
    folds: Sequence[FoldFacts]
    scores_from: Mapping[str, str]
    cells: Sequence[Cell]
    notes: Sequence[str]
    audit: Audit
    metadata: tuple[Chosen, ...] = ()
    leaky: tuple[str, ...] = ()
    inner: Sequence[Mapping[str, InnerSet]] = ()

    @property
    def claim(self) -> str:
        """What the figures are: :data:`RESULT`, or why they are none: test rows chose, or metadata explains the label."""
        why = [UPPER_BOUND] * (self.config.select_on == "test") + [LEAKY] * bool(self.leaky)
        return "; ".join(why) or RESULT

    @property
    def tune_on(self) -> str:
        """Which rows choose the settings of classifiers: training rows only if their vectors do not carry their labels."""
        taught = any(f.train_seen for f in self.folds) and self.config.fit_rows != OOF
        default = VALID if taught and all(f.counts["valid"] for f in self.folds) else TRAIN
        return self.config.tune_on or default

    @property
    def views(self) -> Mapping[str, Sequence[EncoderRef]]:
        """Modality to candidates, of the first seed; other seeds have the same modalities and layers."""
        return self.replicas[0]

    @property
    def plan(self) -> FoldPlan:
        """The fold plan."""
        return self.setup.plan

    @property
    def labels(self) -> LabelSet:
        """The label set; load_fold has refused a corpus without one."""
        if self.setup.labels is None:
            raise LabelError(f"corpus {self.corpus!r} has no labels")
        return self.setup.labels

    def entry(self, ref: EncoderRef, fold: int) -> Entry:
        """Return the file that serves a fold: its own, else the one for every fold."""
        by_fold = {e.fold: e for e in self.entries if e.ref == ref}
        return by_fold.get(str(fold)) or by_fold["any"]


def prepare(config: GridConfig) -> Prepared:
    """Check a configuration against its store; reads everything once, computes nothing.

    Raises:
        UsageError: A name does not exist, or a strategy does not fit the vectors.
        LeakError: A fold would score or choose on rows that an encoder was trained on, or the audit finds another leak.
        StoreError, FoldError, LabelError: The store does not hold what is needed.
    """
    corpus = config.corpus or only_corpus(config.store)
    entries = catalogue(config.store, corpus)
    manifest = Manifest.load(config.store / corpus)
    setup = set_up(manifest, Request(config.protocol, config.folds, config.valid, config.label_set, config.protocol_files))
    notes: list[str] = []
    metadata = _metadata(config, manifest, entries, notes)
    entries += [entry(manifest, chosen, config.store / corpus) for chosen in metadata]
    replicas = _replicas(config, entries, _modalities(config, manifest, entries, notes))
    views = replicas[0]
    inner = [inner_sets(entries, refs, [f.number for f in setup.plan], config.inner_folds) if config.fit_rows == OOF else None
             for refs in replicas]
    folds = []
    for fold in setup.plan:
        facts = []
        for refs, encoders in zip(replicas, inner, strict=True):
            every = {m if len(some) == 1 else f"{m} layer {ref.layer}": ref for m, some in refs.items() for ref in some}
            data = load_with_metadata(config.store, setup.view, every, setup.plan, fold.number, metadata,
                                      shuffle_seed=config.shuffle_seed, select_on=config.select_on, inner=encoders,
                                      valid_split=config.valid_split)
            facts.append(_facts(data, fold.name))
        folds.append(_same_rows(facts))
    if config.tune:
        require_optuna()
    _check_valid_rows(config, folds, setup.plan, views)
    used = {m: {ref for refs in replicas for ref in refs[m]} for m in views}
    scores_from = {m: HEAD if all(e.has_scores for e in entries if e.ref in used[m]) else PROBE for m in views}
    cells = list_cells(config, views, entries, folds, scores_from, len(data.labels.classes), notes)
    if inner[0]:
        def load_spaces(modalities: tuple[str, ...]) -> None:
            for refs, encoders in zip(replicas, inner, strict=True):
                own = {m: found for m, found in (encoders or {}).items() if m in modalities}
                for fold in setup.plan:
                    load_with_metadata(config.store, setup.view, {m: refs[m][0] for m in modalities}, setup.plan, fold.number,
                                       metadata, shuffle_seed=config.shuffle_seed, select_on=config.select_on, inner=own,
                                       valid_split=config.valid_split, spaces=True)

        refuse_mixed(cells, inner[0], scores_from)
        asked = [family for family, named in ((EARLY, config.early), (SYSTEM, config.systems)) if named]
        cells = with_whole_spaces(cells, inner[0], scores_from, load_spaces, asked, notes)
    files = read_files(config.store, manifest, _files(replicas, metadata), setup.plan)
    audit = run_checks(Case(manifest, setup.plan, files, setup.labels,
                            metadata=[c for chosen in metadata if chosen.view in views for c in chosen.columns],
                            select_on=config.select_on, shuffled=config.shuffle_seed), config.accept)
    refuse(audit)
    return Prepared(config, corpus, manifest.digest, setup, replicas, entries, folds, scores_from, cells, notes,
                    audit.keeping(config.out), metadata, _leaky(manifest, metadata, views),
                    [encoders or {} for encoders in inner])


def only_corpus(store: Path) -> str:
    """Return the name of a store's only corpus.

    Raises:
        UsageError: There are several; they are listed.
    """
    names = corpora(store)
    if len(names) > 1:
        raise UsageError(f"{store} holds {len(names)} corpora; choose one with --corpus: {', '.join(names)}")
    return names[0]


def _metadata(config: GridConfig, manifest: Manifest, entries: Sequence[Entry], notes: list[str]) -> tuple[Chosen, ...]:
    stored = METADATA in {e.ref.modality for e in entries}
    if not config.metadata:
        if METADATA in config.modalities and not stored:
            raise UsageError(f"the modality {METADATA} is made of columns; say which, for example --metadata safe")
        return ()
    if stored:
        raise UsageError(f"the store has vectors of a modality called {METADATA} already; leave out --metadata to use them")
    chosen = choose_columns(manifest, config.metadata)
    notes.append(f"metadata is {', '.join(f'{c} ({manifest.tag(c)})' for c in chosen.columns)}")
    if chosen.left_out:
        notes.append(f"left out of metadata: {', '.join(chosen.left_out)}, which are text; extract-features --modality text "
                     "--text-column NAME makes vectors of them")
    return (chosen,)


def _modalities(config: GridConfig, manifest: Manifest, entries: Sequence[Entry], notes: list[str]) -> tuple[str, ...]:
    """Return what was named, else all that may be used without being named; metadata stands last."""
    named = config.modalities
    if not named:
        known = sorted({e.ref.modality for e in entries}, key=lambda m: (bool(config.metadata) and m == METADATA, m))
        banned = [m for m in known if m in manifest.tagged(*BANNED)]
        if banned:
            notes.append(f"left out: {', '.join(banned)}, whose leak tag is {' or '.join(BANNED)}; name them with --modalities "
                         "to use them all the same")
        return tuple(m for m in known if m not in banned)
    return (*named, METADATA) if config.metadata and METADATA not in named else named


def _leaky(manifest: Manifest, metadata: Sequence[Chosen], views: Mapping[str, object]) -> tuple[str, ...]:
    used = {c for chosen in metadata if chosen.view in views for c in chosen.columns} | set(views)
    return tuple(c for c in manifest.tagged(*BANNED) if c in used)


def _files(replicas: Sequence[Mapping[str, Sequence[EncoderRef]]], metadata: Sequence[Chosen]) -> dict[str, EncoderRef]:
    """Name every encoder whose vectors are files, all layers and seeds."""
    made = {chosen.view for chosen in metadata}
    return named_views(ref for refs in replicas for view, some in refs.items() if view not in made for ref in some)


def _replicas(config: GridConfig, entries: Sequence[Entry], modalities: Sequence[str]) -> list[dict[str, list[EncoderRef]]]:
    """Return the views once for each seed of the fine-tuning; one dictionary where no seed is asked for."""
    if config.encoder_seeds is None:
        return [choose_views(entries, modalities=modalities, encoders=config.encoders, layer=config.layer)]
    by_seed = choose_seeds(entries, config.encoder_seeds, modalities=modalities, encoders=config.encoders,
                           layer=config.layer)
    return list(by_seed.values())


def _same_rows(facts: Sequence[FoldFacts]) -> FoldFacts:
    """Seeds are compared on the same rows, or not at all."""
    first = facts[0]
    for other in facts[1:]:
        if (other.counts, other.answered) != (first.counts, first.answered):
            counts = "other ones of as many" if other.counts == first.counts else f"{dict(first.counts)} and {dict(other.counts)}"
            raise StoreMismatchError(f"fold {first.number} ({first.name}): seeds of the fine-tuning have vectors of different "
                                     f"rows ({counts}), so they cannot be compared; extract "
                                     "the failed rows again with --retry-failed, or choose one with --encoder-seed")
    return first


def _facts(data: FoldData, name: str) -> FoldFacts:
    for role, rows in (("train", data.train), ("test", data.test)):
        for view, present in rows.present.items():
            if not present.any():
                raise FoldError(f"fold {data.fold} ({name}): none of its {len(rows)} {role} rows has "
                                f"{data.views[view].modality} vectors; extract them, use other folds, or leave the modality "
                                "out with --modalities")
    groups = inner_groups(data.train)
    fewest = min(len(np.unique(groups[present])) for present in data.train.present.values())
    return FoldFacts(data.fold, name, {"train": len(data.train), "valid": len(data.valid), "test": len(data.test)},
                     int(data.train.fitted.sum()), fewest, len(np.unique(inner_groups(data.valid)[~data.valid.apart])),
                     frozenset(data.train.inner_scores), frozenset(data.valid.ids[data.valid.apart].tolist()),
                     fingerprint({role: [[view, *data.role(role).ids[present].tolist()] for view, present in
                                         data.role(role).present.items()] for role in SCORED_ROLES}))


def _check_valid_rows(config: GridConfig, folds: Sequence[FoldFacts], plan: FoldPlan,
                      views: Mapping[str, Sequence[EncoderRef]]) -> None:
    empty = [fold for fold in folds if not fold.counts["valid"]]
    for wanted, why in ((config.fit_rows in ("valid", "train+valid"), f"--fit-rows {config.fit_rows}"),
                        (config.calibrate != "none", f"--calibrate {config.calibrate}"),
                        (config.tune_on == VALID, f"--tune-on {VALID}"),
                        (config.valid_split is not None, "--valid-split"),
                        (any(len(refs) > 1 for refs in views.values()), f"--layer {config.layer}")):
        if wanted and empty:
            raise UsageError(f"{why} needs validation rows, and fold {empty[0].number} ({empty[0].name}) of plan "
                             f"{plan.name!r} (valid: {plan.valid}) has none; choose --folds and --valid so that it has")
    for fold in folds if config.valid_split is not None else []:
        if not fold.apart or not fold.valid_groups:
            raise FoldError(f"--valid-split {config.valid_split}: one half of the validation rows of fold {fold.number} "
                            f"({fold.name}) has no row with a label and a vector, so nothing can be "
                            f"{'learnt' if fold.apart else 'chosen'} on it; take another seed, or leave it out")
