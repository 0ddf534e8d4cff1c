"""``--fit-rows oof``: training rows come from inner encoders that have not seen them.

Late fusion learns from the class scores of all of them together. Vectors of several inner encoders
are several spaces (:mod:`embeddings_store.vectors.inner_folds`), so a cell over vectors is
*cross-fitted*: in the space of each of N inner encoders it is fitted on the training rows that this
one left out, and answers validation and test rows; the N answers are averaged, margins as margins
and probabilities as probabilities. A training row is answered where it was fitted on, in the space
of the encoder that left it out. Vectors that no encoder was fitted on, frozen ones and metadata,
take part with the same rows; a row that has only such vectors was left out by all.

The price: each classifier learns from 1/N of the training rows. The gain: from vectors like those
of test rows, which ``margin_gap`` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classify.fusion.rules import LOG_ZERO
from classify.grid.outcome import CellOutcome, Stage
from classify.models.class_scores import LOG_PROBABILITY, ClassScores
from classify.names import BASELINE, HEAD, SYSTEM
from classify.systems.cell import Cell
from classify.systems.expression import Call, Expression, View, learns_from_scores, walk
from embeddings_store.errors import FoldError, StoreMismatchError, UsageError
from embeddings_store.vectors.arrays import SCORED_ROLES, EncoderRef
from embeddings_store.vectors.catalogue import Entry
from embeddings_store.vectors.fold_data import FoldData
from embeddings_store.vectors.inner_folds import InnerSet, find_inner


def inner_sets(
    entries: Sequence[Entry],
    views: Mapping[str, Sequence[EncoderRef]],
    folds: Sequence[int],
    parts: int = 0,
) -> dict[str, InnerSet]:
    """Return the inner encoders of every modality that was fine-tuned per fold.

    Args:
        entries: The catalogue.
        views: Modality to encoders.
        folds: Numbers of the folds.
        parts: How many inner folds, where the store has several choices; 0 takes the only one.

    Raises:
        StoreNotFoundError: They are not there, or not all.
        UsageError: There are several, or several layers.
    """
    per_fold = {entry.ref for entry in entries if entry.fold != "any"}
    finetuned = [m for m, refs in views.items() if per_fold.intersection(refs)]
    for layered in finetuned:
        if len(views[layered]) == 1:
            continue
        raise UsageError(
            f"--fit-rows oof does not go with a choice of layers of {layered}, because a layer is "
            "chosen by a classifier over vectors, and out of fold these are of several inner "
            "encoders, which are looked for in one layer only; take one with --layer N or --layer "
            "last"
        )
    return {m: find_inner(entries, views[m][0], folds, parts) for m in finetuned}


def crosses(cell: Cell, finetuned: Collection[str], scores_from: Mapping[str, str]) -> bool:
    """Say whether a cell is cross-fitted: it learns from vectors of fine-tuned encoders.

    Args:
        cell: The cell.
        finetuned: Modalities whose encoders were fitted on training rows; none unless these are
            answered out of fold.
        scores_from: Modality to ``head`` or ``probe``.
    """
    return cell.family != BASELINE and learns_from_finetuned_vectors(
        cell.tree({}, scores_from), finetuned
    )


def refuse_mixed(
    cells: Iterable[Cell], finetuned: Collection[str], scores_from: Mapping[str, str]
) -> None:
    """Refuse systems that would learn from class scores of classifiers in several spaces.

    Args:
        cells: All cells.
        finetuned: Modalities whose encoders were fitted on training rows.
        scores_from: Modality to ``head`` or ``probe``.

    Raises:
        UsageError: With the part that does.
    """
    for cell in cells:
        if cell.family != SYSTEM or not crosses(cell, finetuned, scores_from):
            continue
        calls = [part for part in walk(cell.tree({}, scores_from)) if isinstance(part, Call)]
        learnt = [call for call in calls if learns_from_scores(call)]
        if learnt:
            raise UsageError(
                f"--fit-rows oof does not go with the system {cell.method} over "
                f"{' and '.join(sorted(finetuned))}: {learnt[0].word} learns from class scores, "
                "and classifiers over vectors that are out of fold stand in several spaces, one "
                "for each inner encoder, whose answers are only averaged; fuse probabilities (nn, "
                "xgboost, head) by a rule that learns nothing, or leave one of the two out"
            )


def with_whole_spaces(
    cells: Sequence[Cell],
    finetuned: Collection[str],
    scores_from: Mapping[str, str],
    load: Callable[[tuple[str, ...]], None],
    asked: Collection[str],
    notes: list[str],
) -> list[Cell]:
    """Leave out the cells that cannot be cross-fitted on some fold, and note why.

    The others' price is noted, too.

    Args:
        cells: All cells.
        finetuned: Modalities whose encoders were fitted on training rows.
        scores_from: Modality to ``head`` or ``probe``.
        load: Loads every fold of some modalities through the gate, in all spaces.
        asked: Families of which cells were asked for by name; what fails among these is an error.
        notes: Where to say it.

    Raises:
        FoldError: What an inner encoder left out lacks a class.
        StoreMismatchError: Inner encoders of several modalities left out different rows.
        LeakError: An inner encoder has seen rows of another role; never only noted.
    """
    crossed = [cell for cell in cells if crosses(cell, finetuned, scores_from)]
    gone: list[Cell] = []
    for modalities in dict.fromkeys(cell.modalities for cell in crossed):
        here = [cell for cell in crossed if cell.modalities == modalities]
        try:
            load(modalities)
        except (FoldError, StoreMismatchError) as error:
            if any(cell.family in asked for cell in here):
                raise
            notes.append(
                f"left out with --fit-rows oof: {len(here)} cells over vectors of "
                f"{'+'.join(modalities)} ({error})"
            )
            gone += here
    if len(crossed) > len(gone):
        notes.append(
            "classifiers over vectors of fine-tuned encoders learn in the space of each inner "
            "encoder from the training rows that it left out, a part of them each, and their "
            "answers are averaged; margin_gap shows what that is worth"
        )
    return [cell for cell in cells if cell not in gone]


def cross_fit(fit: Callable[..., CellOutcome], data: FoldData, **how: object) -> CellOutcome:
    """Fit and answer in every space of a fold, and average the answers to each row.

    Args:
        fit: Computes the cell: ``fit(data, **how)``.
        data: The fold; where it has no spaces, the cell is computed once, as it is.
        how: What ``fit`` takes beside the fold.
    """
    if not data.spaces:
        return fit(data, **how)
    outcomes = [fit(space, **how) for space in data.spaces]
    first = outcomes[0]
    ids, y = {}, {}
    stages: dict[str, Stage] = {stage: {} for stage in first.stages}
    for role in SCORED_ROLES:
        rows = data.role(role)
        answered = np.isin(rows.ids, np.concatenate([o.ids[role] for o in outcomes]))
        ids[role], y[role] = rows.ids[answered], rows.y[answered]
        for stage in stages:
            each = [(o.ids[role], o.stages[stage][role]) for o in outcomes]
            stages[stage][role] = _mean(ids[role], each)
    facts = _facts([o.facts for o in outcomes], len(ids["train"])) if first.facts else {}
    return replace(first, ids=ids, y=y, stages=stages, facts=facts)


def _mean(
    ids: NDArray[np.str_], answers: Sequence[tuple[NDArray[np.str_], ClassScores]]
) -> ClassScores:
    """Average the answers to each row over the spaces that answer it, log probabilities as such."""
    first = answers[0][1]
    kind = first.kind
    total, times = np.zeros((len(ids), first.values.shape[1])), np.zeros((len(ids), 1))
    for answered, scores in answers:
        here = np.isin(ids, answered)  # in all of them rows stand in the order of ids
        total[here] += np.exp(scores.values) if kind == LOG_PROBABILITY else scores.values
        times[here] += 1
    if kind == LOG_PROBABILITY:
        with np.errstate(divide="ignore"):
            return ClassScores(np.maximum(np.log(total / times), LOG_ZERO), kind)
    return ClassScores(total / times, kind)


def _facts(each: Sequence[Mapping[str, object]], n_fit: int) -> dict[str, object]:
    """Put the facts of all spaces together: the worst of counts, and mean weights."""
    found = dict(each[0])
    for name in ("n_fit_seen", "n_test_selected", "n_valid_selected"):
        found[name] = max(int(str(facts[name])) for facts in each)
    weights = [dict(facts["weights"]) for facts in each]  # type: ignore[call-overload]
    mean_weights = {}
    for part in weights[0]:
        mean_weights[part] = round(float(np.mean([w[part] for w in weights])), 6)
    found["probes"] = _probes_of_spaces(each)
    found["n_fit"] = n_fit
    found["learnt_on"] = f"oof vectors of {len(each)} inner encoders"
    found["weights"] = mean_weights
    return found


def _probes_of_spaces(each: Sequence[Mapping[str, object]]) -> dict[str, list[str]]:
    """Return the strengths of each probe in all spaces, and what chose the first one."""
    found: dict[str, list[str]] = {}
    for facts in each:
        of_space: Mapping[str, Sequence[str]] = facts["probes"]  # type: ignore[assignment]
        for part, (c, chosen_on) in of_space.items():
            before = found.get(part)
            found[part] = [f"{before[0]}, {c}", before[1]] if before else [c, chosen_on]
    return found


def learns_from_finetuned_vectors(node: Expression, finetuned: Collection[str]) -> bool:
    """Say whether a classifier would be fitted on vectors that carry labels of training rows.

    >>> from classify.systems.expression import Call
    >>> learns_from_finetuned_vectors(Call("svm", (View("audio"),)), {"audio"})
    True
    >>> both = Call("mean", (Call("head", (View("audio"),)), Call("svm", (View("text"),))))
    >>> learns_from_finetuned_vectors(both, {"audio"})
    False
    """
    if isinstance(node, View):
        return node.name in finetuned
    return node.word != HEAD and any(
        learns_from_finetuned_vectors(argument, finetuned) for argument in node.arguments
    )
