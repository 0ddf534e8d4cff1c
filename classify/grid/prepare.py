"""Before anything is computed.

Corpus, encoders, folds and cells, every name checked, every fold through the leak gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from classify.grid.cells import list_cells
from classify.grid.config import GridConfig
from classify.grid.cross_fitting import inner_sets, refuse_mixed, with_whole_spaces
from classify.grid.fold_loading import LOADER, RunSource
from classify.grid.prepared import FoldFacts, PreparedGrid
from classify.grid.tuning import require_optuna
from classify.leakage.case import AuditCase, named_views, read_files
from classify.leakage.checks import refuse, run_checks
from classify.metadata import BANNED, METADATA, MetadataColumns, choose_columns, entry
from classify.models.probe import inner_groups
from classify.names import EARLY, HEAD, OOF, PROBE, SYSTEM, VALID
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, StoreMismatchError, UsageError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.setup import Request, set_up
from embeddings_store.provenance import fingerprint
from embeddings_store.vectors.arrays import SCORED_ROLES, EncoderRef
from embeddings_store.vectors.catalogue import (
    Entry,
    catalogue,
    choose_seeds,
    choose_views,
    only_corpus,
)
from embeddings_store.vectors.fold_data import FoldData


def prepare(config: GridConfig) -> PreparedGrid:
    """Check a configuration against its store; reads everything once, computes nothing.

    Raises:
        UsageError: A name does not exist, or a strategy does not fit the vectors.
        LeakError: A fold would score or choose on rows that an encoder was trained on, or the audit
            finds another leak.
        StoreError, FoldError, LabelError: The store does not hold what is needed.
    """
    corpus = config.corpus or only_corpus(config.store)
    entries = catalogue(config.store, corpus)
    manifest = Manifest.load(config.store / corpus)
    setup = set_up(
        manifest,
        Request(
            config.protocol, config.folds, config.valid, config.label_set, config.protocol_files
        ),
    )
    notes: list[str] = []
    metadata = _metadata(config, manifest, entries, notes)
    entries += [entry(manifest, chosen, config.store / corpus) for chosen in metadata]
    replicas = _replicas(config, entries, _modalities(config, manifest, entries, notes))
    views = replicas[0]
    inner = [
        inner_sets(entries, refs, [f.number for f in setup.plan], config.inner_folds)
        if config.fit_rows == OOF
        else None
        for refs in replicas
    ]
    source = RunSource(
        config.store,
        corpus,
        manifest.digest,
        setup.plan,
        config.out / "plan.parquet",
        setup.labels,
        entries,
        metadata,
        config.shuffle_seed,
        config.select_on,
    )
    LOADER.begin(source, setup.view)
    folds = []
    for fold in setup.plan:
        facts = []
        for refs, encoders in zip(replicas, inner, strict=True):
            every = {
                m if len(some) == 1 else f"{m} layer {ref.layer}": ref
                for m, some in refs.items()
                for ref in some
            }
            data = LOADER.load(
                source.fold(fold.number, every, inner=encoders, valid_split=config.valid_split)
            )
            facts.append(_facts(data, fold.name))
        folds.append(_same_rows(facts))
    if config.tune:
        require_optuna()
    _check_valid_rows(config, folds, setup.plan, views)
    used = {m: {ref for refs in replicas for ref in refs[m]} for m in views}
    scores_from = {
        m: HEAD if all(e.has_scores for e in entries if e.ref in used[m]) else PROBE for m in views
    }
    cells = list_cells(config, views, entries, folds, scores_from, len(data.labels.classes), notes)
    if inner[0]:

        def load_spaces(modalities: tuple[str, ...]) -> None:
            for refs, encoders in zip(replicas, inner, strict=True):
                own = {m: found for m, found in (encoders or {}).items() if m in modalities}
                for fold in setup.plan:
                    LOADER.load(
                        source.fold(
                            fold.number,
                            {m: refs[m][0] for m in modalities},
                            inner=own,
                            valid_split=config.valid_split,
                            spaces=True,
                        )
                    )

        refuse_mixed(cells, inner[0], scores_from)
        asked = [
            family for family, named in ((EARLY, config.early), (SYSTEM, config.systems)) if named
        ]
        cells = with_whole_spaces(cells, inner[0], scores_from, load_spaces, asked, notes)
    files = read_files(config.store, manifest, _files(replicas, metadata), setup.plan)
    audit = run_checks(
        AuditCase(
            manifest,
            setup.plan,
            files,
            setup.labels,
            metadata=[c for chosen in metadata if chosen.view in views for c in chosen.columns],
            select_on=config.select_on,
            shuffled=config.shuffle_seed,
        ),
        config.accept,
    )
    refuse(audit)
    return PreparedGrid(
        config,
        corpus,
        manifest.digest,
        setup,
        source,
        replicas,
        entries,
        folds,
        scores_from,
        cells,
        notes,
        audit.keeping(config.out),
        metadata,
        _leaky(manifest, metadata, views),
        [encoders or {} for encoders in inner],
    )


def _metadata(
    config: GridConfig, manifest: Manifest, entries: Sequence[Entry], notes: list[str]
) -> tuple[MetadataColumns, ...]:
    stored = METADATA in {e.ref.modality for e in entries}
    if not config.metadata:
        if METADATA in config.modalities and not stored:
            raise UsageError(
                f"the modality {METADATA} is made of columns; say which, for example --metadata "
                "safe"
            )
        return ()
    if stored:
        raise UsageError(
            f"the store has vectors of a modality called {METADATA} already; leave out --metadata "
            "to use them"
        )
    chosen = choose_columns(manifest, config.metadata)
    notes.append(f"metadata is {', '.join(f'{c} ({manifest.tag(c)})' for c in chosen.columns)}")
    if chosen.left_out:
        notes.append(
            f"left out of metadata: {', '.join(chosen.left_out)}, which are text; "
            "extract-features --modality text "
            "--text-column NAME makes vectors of them"
        )
    return (chosen,)


def _modalities(
    config: GridConfig, manifest: Manifest, entries: Sequence[Entry], notes: list[str]
) -> tuple[str, ...]:
    """Return what was named, else all that may be used without being named.

    Metadata stands last.
    """
    named = config.modalities
    if not named:
        known = sorted(
            {e.ref.modality for e in entries},
            key=lambda m: (bool(config.metadata) and m == METADATA, m),
        )
        banned = [m for m in known if m in manifest.tagged(*BANNED)]
        if banned:
            notes.append(
                f"left out: {', '.join(banned)}, whose leak tag is {' or '.join(BANNED)}; name "
                "them with --modalities "
                "to use them all the same"
            )
        return tuple(m for m in known if m not in banned)
    return (*named, METADATA) if config.metadata and METADATA not in named else named


def _leaky(
    manifest: Manifest, metadata: Sequence[MetadataColumns], views: Mapping[str, object]
) -> tuple[str, ...]:
    used = {c for chosen in metadata if chosen.view in views for c in chosen.columns} | set(views)
    return tuple(c for c in manifest.tagged(*BANNED) if c in used)


def _files(
    replicas: Sequence[Mapping[str, Sequence[EncoderRef]]], metadata: Sequence[MetadataColumns]
) -> dict[str, EncoderRef]:
    """Name every encoder whose vectors are files, all layers and seeds."""
    made = {chosen.view for chosen in metadata}
    return named_views(
        ref for refs in replicas for view, some in refs.items() if view not in made for ref in some
    )


def _replicas(
    config: GridConfig, entries: Sequence[Entry], modalities: Sequence[str]
) -> list[dict[str, list[EncoderRef]]]:
    """Return the views once for each seed of the fine-tuning.

    One dictionary where no seed is asked for.
    """
    if config.encoder_seeds is None:
        return [
            choose_views(
                entries, modalities=modalities, encoders=config.encoders, layer=config.layer
            )
        ]
    by_seed = choose_seeds(
        entries,
        config.encoder_seeds,
        modalities=modalities,
        encoders=config.encoders,
        layer=config.layer,
    )
    return list(by_seed.values())


def _same_rows(facts: Sequence[FoldFacts]) -> FoldFacts:
    """Seeds are compared on the same rows, or not at all."""
    first = facts[0]
    for other in facts[1:]:
        if (other.counts, other.answered) != (first.counts, first.answered):
            counts = (
                "other ones of as many"
                if other.counts == first.counts
                else f"{dict(first.counts)} and {dict(other.counts)}"
            )
            raise StoreMismatchError(
                f"fold {first.number} ({first.name}): seeds of the fine-tuning have vectors of "
                "different "
                f"rows ({counts}), so they cannot be compared; extract "
                "the failed rows again with --retry-failed, or choose one with --encoder-seed"
            )
    return first


def _facts(data: FoldData, name: str) -> FoldFacts:
    for role, rows in (("train", data.train), ("test", data.test)):
        for view, present in rows.present.items():
            if not present.any():
                raise FoldError(
                    f"fold {data.fold} ({name}): none of its {len(rows)} {role} rows has "
                    f"{data.views[view].modality} vectors; extract them, use other folds, or "
                    "leave the modality "
                    "out with --modalities"
                )
    groups = inner_groups(data.train)
    fewest = min(len(np.unique(groups[present])) for present in data.train.present.values())
    return FoldFacts(
        data.fold,
        name,
        {"train": len(data.train), "valid": len(data.valid), "test": len(data.test)},
        int(data.train.fitted.sum()),
        fewest,
        len(np.unique(inner_groups(data.valid)[~data.valid.apart])),
        frozenset(data.train.inner_scores),
        frozenset(data.valid.ids[data.valid.apart].tolist()),
        fingerprint(
            {
                role: [
                    [view, *data.role(role).ids[present].tolist()]
                    for view, present in data.role(role).present.items()
                ]
                for role in SCORED_ROLES
            }
        ),
    )


def _check_valid_rows(
    config: GridConfig,
    folds: Sequence[FoldFacts],
    plan: FoldPlan,
    views: Mapping[str, Sequence[EncoderRef]],
) -> None:
    empty = [fold for fold in folds if not fold.counts["valid"]]
    for wanted, why in (
        (config.fit_rows in ("valid", "train+valid"), f"--fit-rows {config.fit_rows}"),
        (config.calibrate != "none", f"--calibrate {config.calibrate}"),
        (config.tune_on == VALID, f"--tune-on {VALID}"),
        (config.valid_split is not None, "--valid-split"),
        (any(len(refs) > 1 for refs in views.values()), f"--layer {config.layer}"),
    ):
        if wanted and empty:
            raise UsageError(
                f"{why} needs validation rows, and fold {empty[0].number} ({empty[0].name}) of "
                "plan "
                f"{plan.name!r} (valid: {plan.valid}) has none; choose --folds and --valid so "
                "that it has"
            )
    for fold in folds if config.valid_split is not None else []:
        if not fold.apart or not fold.valid_groups:
            raise FoldError(
                f"--valid-split {config.valid_split}: one half of the validation rows of fold "
                f"{fold.number} "
                f"({fold.name}) has no row with a label and a vector, so nothing can be "
                f"{'learnt' if fold.apart else 'chosen'} on it; take another seed, or leave it out"
            )
