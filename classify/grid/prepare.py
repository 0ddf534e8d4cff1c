"""Before anything is computed.

Corpus, encoders, folds and cells, every name checked, every fold through the leak gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from classify.grid.cells import CellInputs, list_cells
from classify.grid.config import GridConfig
from classify.grid.cross_fitting import refuse_mixed, with_whole_spaces
from classify.grid.fold_checks import (
    check_folds,
    check_valid_rows,
    load_spaces,
    refuse_shared_valid_rows,
)
from classify.grid.fold_loading import LOADER, RunSource
from classify.grid.inner_folds import INNER_PARTS
from classify.grid.prepared import PreparedGrid, shared_by_valid_alone
from classify.grid.tuning import require_optuna
from classify.grid.view_choice import ViewChoice, choose_run_views
from classify.leakage.case import AuditCase, read_files
from classify.leakage.checks import Audit, refuse, run_checks
from classify.names import AS_ALLOWED, EARLY, INNER, SYSTEM, VALID
from classify.systems.cell import Cell
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.windows import VIDEO, WINDOW, unit_of
from embeddings_store.folds.setup import Request, Setup, set_up
from embeddings_store.vectors.catalogue import Entry, catalogue, only_corpus

# What a figure is of, where it is not of utterances.
UNITS = {
    WINDOW: "rows are windows: WA, UAR and every table of them are per window; videos.csv has them "
    "per video",
    VIDEO: "rows are videos, learnt on as mean and deviation of their windows: WA and UAR are per "
    "video",
}


@dataclass(frozen=True, slots=True)
class CorpusUnderPlan:
    """A corpus as it was read, with what the protocol makes of it.

    Attributes:
        name: Its name in the store.
        manifest: Its rows.
        setup: The protocol: fold plan, label set, and what roles share.
        stored: The store's files.
    """

    name: str
    manifest: Manifest
    setup: Setup
    stored: Sequence[Entry]


def prepare(config: GridConfig) -> PreparedGrid:
    """Check a configuration against its store; reads everything once, computes nothing.

    Raises:
        UsageError: A name does not exist, or a strategy does not fit the vectors.
        LeakError: A fold would score or choose on rows that an encoder was trained on, or the audit
            finds another leak.
        StoreError, FoldError, LabelError: The store does not hold what is needed.
    """
    corpus = _read_corpus(config)
    manifest, setup = corpus.manifest, corpus.setup
    unit = unit_of(manifest)
    notes = [UNITS[unit]] if unit in UNITS else []
    views = choose_run_views(config, manifest, setup, corpus.stored, notes)
    source = RunSource(
        store=config.store,
        corpus=corpus.name,
        manifest=manifest.digest,
        plan=setup.plan,
        plan_file=config.out / "plan.parquet",
        labels=setup.labels,
        entries=views.entries,
        metadata=views.metadata,
        shuffle_seed=config.shuffle_seed,
        select_on=config.select_on,
    )
    LOADER.begin(source, setup.view)
    if config.choose == AS_ALLOWED:
        config = _as_allowed(config, source, views, setup, notes)
    if config.choose == INNER:
        refuse_shared_valid_rows(setup)
        source = replace(source, inner_parts=INNER_PARTS)
    folds = check_folds(config, source, views, setup.view)
    if config.tune:
        require_optuna()
    check_valid_rows(config, folds, setup.plan, views.candidates)
    inputs = CellInputs(
        candidates=views.candidates,
        widths=views.widths(),
        scores_from=views.scores_from(),
        folds=folds,
        n_classes=len(setup.labels.classes) if setup.labels else 0,
        joined=views.joined,
    )
    cells = _choose_cells(config, source, views, inputs, notes)
    audit = _audit(config, corpus, views)
    return PreparedGrid(
        config=config,
        corpus=corpus.name,
        manifest_digest=manifest.digest,
        setup=setup,
        source=source,
        replicas=views.replicas,
        entries=views.entries,
        folds=folds,
        scores_from=inputs.scores_from,
        cells=cells,
        notes=notes,
        audit=audit,
        metadata=views.metadata,
        leaky=views.leaky_columns(manifest),
        inner=[inner or {} for inner in views.inner],
    )


def _as_allowed(
    config: GridConfig, source: RunSource, views: ViewChoice, setup: Setup, notes: list[str]
) -> GridConfig:
    """Return the configuration with inner folds if the rows allow them, else validation rows."""
    folds = check_folds(config, source, views, setup.view)
    fitted = {ref.modality for fold in folds for ref in fold.fitted_on_both}
    shared = shared_by_valid_alone(setup)
    if fitted:
        why = f"encoders of {', '.join(sorted(fitted))} were fitted on rows of the inner folds"
    elif shared:
        why = f"validation rows share their {' and '.join(shared)} with test rows"
    elif any(fold.train_groups < 2 for fold in folds):
        why = "training rows are all of one group"
    else:
        notes.append("inner folds choose, as no encoder was fitted on their rows (--choose auto)")
        return replace(config, choose=INNER)
    notes.append(
        f"no inner folds, because {why} (--choose auto): validation rows choose, where there are "
        "any, and cells whose encoders allow it are then fitted on both (column fit_rows)"
    )
    return replace(config, choose=VALID, fit_rows=AS_ALLOWED)


def _read_corpus(config: GridConfig) -> CorpusUnderPlan:
    name = config.corpus or only_corpus(config.store)
    stored = catalogue(config.store, name)
    manifest = Manifest.load(config.store / name)
    request = Request(
        protocol=config.protocol,
        folds=config.folds,
        valid=config.valid,
        label_set=config.label_set,
        files=config.protocol_files,
    )
    return CorpusUnderPlan(name, manifest, set_up(manifest, request), stored)


def _choose_cells(
    config: GridConfig, source: RunSource, views: ViewChoice, inputs: CellInputs, notes: list[str]
) -> list[Cell]:
    """List the cells, but for those that have no rows to learn from out of fold."""
    cells = list_cells(config, inputs, notes)
    inner = views.inner[0]
    if not inner:
        return cells
    refuse_mixed(cells, inner, inputs.scores_from)
    named = []
    if config.early:
        named.append(EARLY)
    if config.systems:
        named.append(SYSTEM)
    return with_whole_spaces(
        cells,
        inner,
        inputs.scores_from,
        lambda modalities: load_spaces(config, source, views, modalities),
        named,
        notes,
    )


def _audit(config: GridConfig, corpus: CorpusUnderPlan, views: ViewChoice) -> Audit:
    """Run the leakage checks, and refuse the leaks that were not accepted."""
    setup = corpus.setup
    files = read_files(config.store, corpus.manifest, views.stored(), setup.plan)
    case = AuditCase(
        corpus.manifest,
        setup.plan,
        files,
        setup.labels,
        metadata=views.metadata_columns,
        select_on=INNER if config.choose == INNER else config.select_on,
        shuffled=config.shuffle_seed,
    )
    audit = run_checks(case, config.accept)
    refuse(audit)
    return audit.keeping(config.out)
