"""The cells of the grid: which there are, and what one cell computes from one fold.

============  ===================================  =======================================  =====================
family        input                                method                                   classifier
============  ===================================  =======================================  =====================
``baseline``  nothing                              none                                     majority, ...
``unimodal``  one modality's vectors               none                                     svm, ..., head or probe
``layer``     one layer's vectors of one modality  none                                     svm, ...
``early``     all modalities' vectors              :data:`classify.fusion.STRATEGIES`       svm, ...
``late``      all modalities' class scores         :data:`classify.late_fusion.STRATEGIES`  svm, ...
============  ===================================  =======================================  =====================

``head`` and ``probe`` answer with the largest class score themselves. A cell is fitted in one or two *stages*: on ``train``,
and with ``fit_rows="train+valid"`` again on both. Validation rows are always answered by the first stage, so what is
chosen on them was not fitted on them; training and test rows by the last. A probe's training rows are out of fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from classify.fusion import EarlyFusion
from classify.late_fusion import (
    HEAD,
    PROBE,
    LateFusion,
    LogProbabilities,
    fit_probe,
    head_scores,
    inner_groups,
    out_of_fold,
    spread,
)
from classify.models import BASELINES, LOG_PROBABILITY, Predictions, Settings, fit_classifier
from embeddings_store.arrays import SCORED_ROLES, FoldData, RoleData
from embeddings_store.errors import StoreMismatchError, unknown_name

BASELINE, UNIMODAL, LAYER, EARLY, LATE = FAMILIES = ("baseline", "unimodal", "layer", "early", "late")
FIT_ROWS: Mapping[str, tuple[str, ...]] = {"train": ("train",), "train+valid": ("train", "valid")}
ONE_MODALITY = "concatenation"  # the early strategy that leaves a single block as it is

Stage = dict[str, Predictions]


@dataclass(frozen=True, slots=True)
class Cell:
    """One system: what goes in, how it is fused, and what classifies it.

    Attributes:
        family: One of :data:`FAMILIES`.
        method: Fusion strategy; empty where nothing is fused.
        modalities: What goes in, in this order; for a baseline only which rows it is compared on.
        classifier: Name in :data:`classify.models.CLASSIFIERS`, or ``head`` or ``probe``.
        layer: Position among a modality's candidate layers; only in the family ``layer``, else -1.
    """

    family: str
    method: str
    modalities: tuple[str, ...]
    classifier: str
    layer: int = -1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one cell says of one fold.

    Attributes:
        ids: Role to utterance ids (n,), the rows that the cell can answer: they have one of its modalities.
        y: Role to true class codes (n,).
        stages: Stage to role to predictions, in the order of fitting.
        facts: Counts and circumstances, plain JSON types.
    """

    ids: Mapping[str, NDArray[np.str_]]
    y: Mapping[str, NDArray[np.int64]]
    stages: Mapping[str, Stage]
    facts: Mapping[str, object]

    def reported(self, role: str) -> Predictions:
        """Return the predictions that count: the first stage's for ``valid``, else the last stage's."""
        stages = list(self.stages.values())
        return (stages[0] if role == "valid" else stages[-1])[role]


def compute(cell: Cell, data: FoldData, *, fit_rows: str = "train", settings: Settings | None = None, seed: int = 0,
            probes: Mapping[str, Outcome] | None = None) -> Outcome:
    """Fit one cell on one fold and answer its training, validation and test rows.

    Args:
        cell: What to compute.
        data: The fold; its views are the cell's modalities.
        fit_rows: A name of :data:`FIT_ROWS`.
        settings: Those of the classifier that differ from the defaults.
        seed: For whatever is random in the classifier.
        probes: Modality to the outcome of its ``probe`` cell on the same fold; ``late`` takes the head's scores for others.

    Raises:
        UsageError: Widths do not fit the strategy.
        FoldError: Training rows that nothing can be learnt from.
    """
    if fit_rows not in FIT_ROWS:
        unknown_name("choice of rows to fit on", fit_rows, list(FIT_ROWS))
    names = ["train"] if fit_rows == "train" or not len(data.valid) else list(FIT_ROWS)
    with threadpool_limits(limits=1):  # the same sums in the same order for any number of jobs
        stages = {name: _stage(cell, data, FIT_ROWS[name], name, settings or {}, seed, probes or {}) for name in names}
    fitted = join([data.role(role) for role in FIT_ROWS[names[-1]]])
    lacking = ~np.logical_and.reduce([data.test.present[m] for m in cell.modalities])
    facts = {"n_fit": len(fitted), "n_fit_seen": int(fitted.fitted.sum()), "n_missing": int(lacking.sum()),
             "n_test_selected": int(data.test.selected.sum()),
             "unverified": [m for m in cell.modalities if m in data.unverified]}
    return Outcome({role: data.role(role).ids for role in SCORED_ROLES}, {role: data.role(role).y for role in SCORED_ROLES},
                   stages, facts)


def join(parts: Sequence[RoleData]) -> RoleData:
    """Put the rows of several roles below each other."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return RoleData(
        np.concatenate([p.ids for p in parts]), np.concatenate([p.y for p in parts]),
        np.concatenate([p.groups for p in parts]),
        {name: np.concatenate([p.vectors[name] for p in parts]) for name in first.vectors},
        {name: np.concatenate([p.scores[name] for p in parts]) for name in first.scores},
        {name: np.concatenate([p.present[name] for p in parts]) for name in first.present},
        np.concatenate([p.fitted for p in parts]), np.concatenate([p.selected for p in parts]))


def _stage(cell: Cell, data: FoldData, fit_roles: tuple[str, ...], stage: str, settings: Settings, seed: int,
           probes: Mapping[str, Outcome]) -> Stage:
    if cell.classifier == HEAD:
        return {role: _answer(head_scores(data.role(role).scores[cell.modalities[0]])) for role in SCORED_ROLES}
    if cell.classifier == PROBE:
        return _probe_stage(cell.modalities[0], data, fit_roles)
    fit = join([data.role(role) for role in fit_roles])
    features: dict[str, NDArray[np.floating]]
    if cell.family == LATE:
        scores = {role: [_scores(data, role, m, stage, probes) for m in cell.modalities] for role in SCORED_ROLES}
        fit_scores = [np.concatenate(parts) for parts in zip(*(scores[role] for role in fit_roles), strict=True)]
        late = LateFusion(cell.method).fit(fit_scores)
        features = {role: late.transform(scores[role]) for role in SCORED_ROLES}
    elif cell.classifier in BASELINES:
        features = {role: np.zeros((len(data.role(role)), 1)) for role in SCORED_ROLES}
    else:
        early = EarlyFusion(cell.method or ONE_MODALITY, cell.modalities).fit(fit)
        features = {role: early.transform(data.role(role)).X for role in SCORED_ROLES}
    X = np.concatenate([features[role] for role in fit_roles]) if len(fit_roles) > 1 else features[fit_roles[0]]
    if cell.classifier in BASELINES:
        seed += data.fold  # else folds whose rows have the classes in the same order would get the same draws
    model = fit_classifier(cell.classifier, X, fit.y, len(data.labels.classes), settings=settings, seed=seed)
    return {role: model.predict(features[role]) for role in SCORED_ROLES}


def _probe_stage(modality: str, data: FoldData, fit_roles: tuple[str, ...]) -> Stage:
    fit, n_classes = join([data.role(role) for role in fit_roles]), len(data.labels.classes)
    probe = fit_probe(fit.vectors[modality], fit.y, n_classes)
    stage = {role: _answer(probe.scores(data.role(role).vectors[modality])) for role in SCORED_ROLES}
    inner = out_of_fold(fit.vectors[modality], fit.y, inner_groups(fit), n_classes)
    ends = np.cumsum([len(data.role(role)) for role in fit_roles])[:-1]
    return stage | {role: _answer(part) for role, part in zip(fit_roles, np.split(inner, ends), strict=True)}


def _answer(scores: LogProbabilities) -> Predictions:
    return Predictions(scores, LOG_PROBABILITY)


def _scores(data: FoldData, role: str, modality: str, stage: str, probes: Mapping[str, Outcome]) -> LogProbabilities:
    """One modality's log probabilities for every row of a role (n, C), uniform where it is missing."""
    rows = data.role(role)
    present = rows.present[modality]
    if modality not in probes:
        return spread(head_scores(rows.scores[modality][present]), present)
    if not np.array_equal(probes[modality].ids[role], rows.ids[present]):
        raise StoreMismatchError(f"fold {data.fold}: the {modality} probe answered {len(probes[modality].ids[role])} other "
                                 f"{role} rows than the {int(present.sum())} that have {modality} vectors; delete the "
                                 "folder 'cells' and run again")
    return spread(probes[modality].stages[stage][role].values, present)
