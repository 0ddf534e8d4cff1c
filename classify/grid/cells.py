"""Which cells a run of the grid has.

Every family over the modalities that are there, every system that was written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from classify.fusion.early import check_widths
from classify.fusion.rules import FROM_SCORES, RULES, late_methods
from classify.fusion.strategies import STRATEGIES, vector_strategies
from classify.grid.config import GridConfig
from classify.grid.prepared import FoldFacts
from classify.models.classifiers import baselines
from classify.names import (
    BASELINE,
    BY_VIEW,
    EARLY,
    HEAD,
    INNER,
    LATE,
    LAYER,
    LAYER_JUDGE,
    PROBE,
    RULE,
    UNIMODAL,
)
from classify.systems.cell import Cell, default_fit_mode
from classify.systems.definitions import (
    FitConditions,
    check_fit_rows,
    check_heads,
    sets_by_modality,
    system_cells,
)
from classify.systems.expression import judges_of
from classify.systems.joined_views import JoinedViews, inputs_of
from classify.systems.view_sets import view_sets
from embeddings_store.errors import FoldError, UsageError
from embeddings_store.vectors.arrays import EncoderRef


@dataclass(frozen=True, slots=True)
class CellInputs:
    """What the cells of a run have to work with.

    Attributes:
        candidates: Modality to its encoder, or to several layers.
        widths: Modality to the number of columns of its vectors.
        scores_from: Modality to ``head`` or ``probe``.
        folds: What the gate found.
        n_classes: Size of the label set.
        joined: Layers that stand for their modality as one.
    """

    candidates: Mapping[str, Sequence[EncoderRef]]
    widths: Mapping[str, int]
    scores_from: Mapping[str, str]
    folds: Sequence[FoldFacts]
    n_classes: int
    joined: tuple[JoinedViews, ...] = ()

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities, in the order of their blocks."""
        return tuple(self.candidates)

    @property
    def modality_of(self) -> dict[str, str]:
        """View to its modality."""
        return {view: refs[0].modality for view, refs in self.candidates.items()}

    def joined_in(self, views: Sequence[str]) -> tuple[JoinedViews, ...]:
        """Return what is joined among the views of a cell."""
        return tuple(one for one in self.joined if set(one.views) <= set(views))

    def inputs(self, views: Sequence[str]) -> list[str | JoinedViews]:
        """Return what a cell over some views takes: single views, and joined ones in their place.

        Args:
            views: The views.
        """
        return inputs_of(views, self.joined_in(views))

    @property
    def conditions(self) -> FitConditions:
        """What decides which rows a cell can learn from, over all folds."""
        return FitConditions(
            any(fold.train_seen for fold in self.folds),
            frozenset.intersection(*(fold.out_of_fold for fold in self.folds)),
            min(0 if fold.inside else fold.counts["valid"] for fold in self.folds),
            min(fold.valid_groups for fold in self.folds),
            min(fold.train_groups for fold in self.folds),
        )


def list_cells(config: GridConfig, inputs: CellInputs, notes: list[str]) -> list[Cell]:
    """List every cell; what was not asked for by name and cannot work is noted instead.

    Args:
        config: What was asked for.
        inputs: What there is.
        notes: Where to say what was left out.

    Raises:
        UsageError, FoldError: Something that was asked for by name cannot work.
    """
    if inputs.joined and config.subsets_by == BY_VIEW:
        raise UsageError(
            f"--subsets {BY_VIEW} does not go with --layers-as {config.layers_as}, which makes one "
            "of all layers of a modality; leave one of them out"
        )
    with_probes = _with_probes(config, inputs, notes)
    systems = _systems(config, inputs)
    cells = [Cell(BASELINE, "", inputs.modalities, name) for name in baselines()]
    cells += _layer_cells(config, inputs, systems, with_probes=with_probes)
    for one in inputs.inputs(inputs.modalities):
        cells += _alone(config, inputs, one, with_probes=with_probes)
    cells += _fused(config, inputs, notes, with_probes=with_probes)
    return cells + systems


def _alone(
    config: GridConfig, inputs: CellInputs, one: str | JoinedViews, *, with_probes: bool
) -> list[Cell]:
    """Return the cells of one view, or of layers that stand for their modality as one.

    Layers that are stacked stand beside the stack, each by itself.
    """
    if isinstance(one, str):
        names = list(config.classifiers)
        source = inputs.scores_from[one]
        if source == HEAD or with_probes:
            names.append(source)
        return [Cell(UNIMODAL, "", (one,), name) for name in names]
    if not one.is_scores:
        names = [*config.classifiers, *([PROBE] if with_probes else [])]
        return [Cell(UNIMODAL, "", one.views, name, joined=(one,)) for name in names]
    cells: list[Cell] = []
    for view in one.views:
        cells += _alone(config, inputs, view, with_probes=with_probes)
    stack = Cell(UNIMODAL, "", one.views, RULE, joined=(one,))
    tree = stack.tree({}, inputs.scores_from)
    check_fit_rows(stack, tree, default_fit_mode(config.fit_rows), inputs.conditions)
    return [*cells, stack]


def _layer_cells(
    config: GridConfig, inputs: CellInputs, systems: Sequence[Cell], *, with_probes: bool
) -> list[Cell]:
    """Return a cell for each layer and classifier where a modality has several layers."""
    cells = []
    for modality, refs in inputs.candidates.items():
        judges = _judges(config, inputs, systems, modality, with_probes=with_probes)
        layers = range(len(refs)) if len(refs) > 1 else ()
        for layer in layers:
            cells += [Cell(LAYER, "", (modality,), name, layer) for name in judges]
    return cells


def _judges(
    config: GridConfig,
    inputs: CellInputs,
    systems: Sequence[Cell],
    modality: str,
    *,
    with_probes: bool,
) -> dict[str, None]:
    """Return the classifiers that judge the layers of a modality, each once.

    On validation rows one judges for all cells, in inner folds each for itself.
    """
    judges = dict.fromkeys(config.classifiers)
    if config.choose != INNER:
        return dict.fromkeys((LAYER_JUDGE, *judges))
    if with_probes and inputs.scores_from[modality] == PROBE:
        judges[PROBE] = None
    for system in systems:
        judge = judges_of(system.tree({}, inputs.scores_from)).get(modality)
        if judge:
            judges[judge] = None
    return judges


def _systems(config: GridConfig, inputs: CellInputs) -> list[Cell]:
    cells = system_cells(
        config.systems,
        inputs.widths,
        config.settings,
        inputs.n_classes,
        joined=inputs.joined,
        smaller_sets=partial(_sets_to_fuse, config, inputs) if config.subsets else None,
    )
    for cell in cells:
        tree = cell.tree({}, inputs.scores_from)
        check_heads(cell, tree, inputs.scores_from)
        check_fit_rows(cell, tree, default_fit_mode(config.fit_rows), inputs.conditions)
    return cells


def _fused(
    config: GridConfig, inputs: CellInputs, notes: list[str], *, with_probes: bool
) -> list[Cell]:
    modalities = inputs.modalities
    goes_in = inputs.inputs(modalities)
    if len(goes_in) < 2:
        only = goes_in[0] if isinstance(goes_in[0], str) else goes_in[0].name
        if config.early or config.late:
            raise UsageError(
                f"fusion takes two modalities or more, and there is only {only}; extract "
                "another one, or leave out --early and --late"
            )
        notes.append(f"one modality ({only}), so there is nothing to fuse")
        return []
    sets = [modalities]
    if config.subsets:
        wanted = _sets_to_fuse(config, inputs, modalities)
        sets = [chosen for chosen in reversed(wanted) if len(inputs.inputs(chosen)) > 1]
    cells: list[Cell] = []
    for chosen in sets:
        cells += _early_cells(config, inputs, chosen, notes)
    if with_probes or PROBE not in inputs.scores_from.values():
        for chosen in sets:
            cells += _late_cells(config, inputs, chosen, notes)
    notes[:] = dict.fromkeys(notes)  # subsets repeat what was noted of all modalities
    return cells


def _sets_to_fuse(
    config: GridConfig, inputs: CellInputs, views: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return every set of modalities with all their views, and sets of views where asked."""
    sets = sets_by_modality(views, inputs.modality_of)
    if config.subsets_by == BY_VIEW:
        sets = list(dict.fromkeys([*view_sets(views), *sets]))
        sets.sort(key=len)  # stable, so what is of one size keeps its order
    return sets


def _early_cells(
    config: GridConfig, inputs: CellInputs, chosen: tuple[str, ...], notes: list[str]
) -> list[Cell]:
    joined = inputs.joined_in(chosen)
    stacked = [one.name for one in joined if one.is_scores]
    if stacked:
        why = f"{stacked[0]} is class scores, so there are no vectors of it to fuse early"
        if config.early:
            raise UsageError(f"{why}; leave out --early, or take another --layers-as")
        notes.append(f"no early fusion: {why}")
        return []
    widths = {}
    for one in inputs.inputs(chosen):
        if isinstance(one, str):
            widths[one] = inputs.widths[one]
        else:
            widths[one.name] = one.width(inputs.widths)
    cells = []
    for method in _possible_early(config, widths, notes):
        cells += [Cell(EARLY, method, chosen, name, joined=joined) for name in config.classifiers]
    return cells


def _late_cells(
    config: GridConfig, inputs: CellInputs, chosen: tuple[str, ...], notes: list[str]
) -> list[Cell]:
    cells = []
    joined = inputs.joined_in(chosen)
    for method in late_methods() if config.late is None else config.late:
        if method in STRATEGIES:
            names = config.classifiers
            cells += [Cell(LATE, method, chosen, name, joined=joined) for name in names]
            continue
        cell = Cell(LATE, method, chosen, RULE, joined=joined)
        if config.late is None and RULES[method].learns == FROM_SCORES:
            stacked = [one.name for one in joined if one.is_scores]
            if stacked:
                notes.append(
                    f"left out: late {method}, which would fit {stacked[0]} again for every one of "
                    "its own splits; name it with --late to have it all the same"
                )
                continue
        try:
            tree = cell.tree({}, inputs.scores_from)
            check_fit_rows(cell, tree, default_fit_mode(config.fit_rows), inputs.conditions)
        except (FoldError, UsageError) as error:
            if config.late is not None:
                raise
            notes.append(f"left out: {error}")
        else:
            cells.append(cell)
    return cells


def _with_probes(config: GridConfig, inputs: CellInputs, notes: list[str]) -> bool:
    """Say whether probes stand for heads: late fusion is wanted, and they can score its rows.

    They are there for late fusion and dearer than most classifiers, so ``--late none`` leaves them
    out. Systems that name a probe fit it for themselves.
    """
    if config.late is not None and not config.late:
        return False
    poor = [fold for fold in inputs.folds if fold.train_groups < 2]
    if not poor or PROBE not in inputs.scores_from.values():
        return True
    why = (
        f"the training rows of fold {poor[0].number} ({poor[0].name}) are all of one group, so "
        "probes cannot score them out of fold"
    )
    if config.late and len(inputs.modalities) > 1:
        raise FoldError(
            f"late fusion without a head is impossible: {why}; use another fold plan, fill the "
            "manifest's column 'group', or leave out --late"
        )
    notes.append(f"no probes and no late fusion: {why}")
    return False


def _possible_early(config: GridConfig, widths: Mapping[str, int], notes: list[str]) -> list[str]:
    """Return the methods that the widths allow, projected where they differ and that was asked."""
    projects = bool(config.project) and len(set(widths.values())) > 1
    possible = []
    for method in vector_strategies() if config.early is None else config.early:
        if projects and STRATEGIES[method].equal_widths:
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
