"""Which cells a run of the grid has.

Every family over the modalities that are there, every system that was written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from classify.fusion.early import check_widths
from classify.fusion.rules import late_methods
from classify.fusion.strategies import STRATEGIES, vector_strategies
from classify.models.classifiers import baselines
from classify.names import BASELINE, EARLY, HEAD, LATE, LAYER, LAYER_JUDGE, PROBE, RULE, UNIMODAL
from classify.systems.cell import Cell, default_fit_mode
from classify.systems.definitions import (
    FitConditions,
    check_fit_rows,
    check_heads,
    sets_of,
    system_cells,
)
from embeddings_store.errors import FoldError, UsageError
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import Entry

if TYPE_CHECKING:
    from classify.grid.config import GridConfig
    from classify.grid.prepared import FoldFacts


def list_cells(
    config: GridConfig,
    views: Mapping[str, Sequence[EncoderRef]],
    entries: Sequence[Entry],
    folds: Sequence[FoldFacts],
    scores_from: Mapping[str, str],
    n_classes: int,
    notes: list[str],
) -> list[Cell]:
    """List every cell; strategies that were not asked for by name and cannot work are noted instead.

    Args:
        config: What was asked for.
        views: Modality to candidates.
        entries: The store's files.
        folds: What the gate found.
        scores_from: Modality to ``head`` or ``probe``.
        n_classes: Size of the label set.
        notes: Where to say what was left out.

    Raises:
        UsageError, FoldError: Something that was asked for by name cannot work.
    """
    modalities = tuple(views)
    probes_work = _probes_work(config, modalities, folds, scores_from, notes)
    cells = [Cell(BASELINE, "", modalities, name) for name in baselines()]
    for modality, refs in views.items():
        if len(refs) > 1:
            judged = dict.fromkeys((LAYER_JUDGE, *config.classifiers))
            cells += [
                Cell(LAYER, "", (modality,), name, layer)
                for layer in range(len(refs))
                for name in judged
            ]
    for modality in modalities:
        own = [scores_from[modality]] if scores_from[modality] == HEAD or probes_work else []
        cells += [Cell(UNIMODAL, "", (modality,), name) for name in (*config.classifiers, *own)]
    widths = {m: next(e.dim for e in entries if e.ref == refs[0]) for m, refs in views.items()}
    there = _circumstances(folds)
    cells += _fused(config, widths, scores_from, there, notes, probes=probes_work)
    systems = system_cells(
        config.systems, widths, config.settings, n_classes, subsets=config.subsets
    )
    for cell in systems:
        check_heads(cell, cell.tree({}, scores_from), scores_from)
        check_fit_rows(cell, cell.tree({}, scores_from), default_fit_mode(config.fit_rows), there)
    return cells + systems


def _fused(
    config: GridConfig,
    widths: Mapping[str, int],
    scores_from: Mapping[str, str],
    there: FitConditions,
    notes: list[str],
    *,
    probes: bool,
) -> list[Cell]:
    modalities = tuple(widths)
    if len(modalities) < 2:
        if config.early or config.late:
            raise UsageError(
                f"fusion takes two modalities or more, and there is only {modalities[0]}; extract "
                "another one, "
                "or leave out --early and --late"
            )
        notes.append(f"one modality ({modalities[0]}), so there is nothing to fuse")
        return []
    sets = (
        [chosen for chosen in sets_of(modalities) if len(chosen) > 1]
        if config.subsets
        else [modalities]
    )
    cells = [
        Cell(EARLY, method, chosen, name)
        for chosen in reversed(sets)
        for method in _possible_early(config, {m: widths[m] for m in chosen}, notes)
        for name in config.classifiers
    ]
    late = late_methods() if config.late is None else config.late
    if late and PROBE in scores_from.values() and not probes:
        late = ()
    for chosen in reversed(sets):
        for method in late:
            if method in STRATEGIES:
                cells += [Cell(LATE, method, chosen, name) for name in config.classifiers]
                continue
            cell = Cell(LATE, method, chosen, RULE)
            try:
                check_fit_rows(
                    cell, cell.tree({}, scores_from), default_fit_mode(config.fit_rows), there
                )
            except (FoldError, UsageError) as error:
                if config.late is not None:
                    raise
                notes.append(f"left out: {error}")
            else:
                cells.append(cell)
    notes[:] = dict.fromkeys(notes)
    return cells


def _circumstances(folds: Sequence[FoldFacts]) -> FitConditions:
    return FitConditions(
        any(fold.train_seen for fold in folds),
        frozenset.intersection(*(fold.honest for fold in folds)),
        min(fold.counts["valid"] for fold in folds),
        min(fold.valid_groups for fold in folds),
        min(fold.train_groups for fold in folds),
    )


def _probes_work(
    config: GridConfig,
    modalities: Sequence[str],
    folds: Sequence[FoldFacts],
    scores_from: Mapping[str, str],
    notes: list[str],
) -> bool:
    poor = [fold for fold in folds if fold.train_groups < 2]
    if not poor or PROBE not in scores_from.values():
        return True
    why = (
        f"the training rows of fold {poor[0].number} ({poor[0].name}) are all of one group, so "
        "probes cannot score them "
        "out of fold"
    )
    if config.late and len(modalities) > 1:
        raise FoldError(
            f"late fusion without a head is impossible: {why}; use another fold plan, fill the "
            "manifest's "
            "column 'group', or leave out --late"
        )
    notes.append(f"no probes and no late fusion: {why}")
    return False


def _possible_early(config: GridConfig, widths: Mapping[str, int], notes: list[str]) -> list[str]:
    """Return the methods that the widths allow, with a projection where they differ and one was asked for."""
    possible = []
    for method in vector_strategies() if config.early is None else config.early:
        if config.project and STRATEGIES[method].equal_widths and len(set(widths.values())) > 1:
            possible.append(f"{method}[{config.project}]")
            continue
        try:
            check_widths(method, widths)
        except UsageError as error:
            if config.early is not None:
                raise
            notes.append(f"left out: {error}")
        else:
            possible.append(method)
    return possible
