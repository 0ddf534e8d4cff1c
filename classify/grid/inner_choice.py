"""``--choose inner``: settings are chosen, and the cell is judged, by rows it was fitted without.

The rows are the training and validation rows of a fold, in the inner folds of
:mod:`classify.grid.inner_folds`. Every candidate, a value of each ladder in the table of
classifiers, is fitted once for each inner fold without its rows and answers them. The candidate
with the most right answers over all inner folds counts, ties going to the earlier one, and the cell
is fitted with it on all of the rows to answer test rows.

The rows of an inner fold do not choose the settings by which they are answered, or the figure that
judges the cell would be that of the best of a few candidates on the very rows that chose it. What
stands as the cell's answers to the rows that choose (the role ``valid``) is, in each inner fold, of
the candidate that is best on the other ones. That costs no fit.
``benchmarks/results/choice_bias.csv`` has by how much the figure still flatters.

Rules over probes need the probes of each inner fold: a finished probe keeps them in stages of its
own, one for each inner fold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from classify.evaluation.metrics import accuracy
from classify.grid.inner_folds import inner_data
from classify.grid.outcome import CellOutcome, Stage
from classify.grid.tuning import Trial, Tuned
from classify.models.class_scores import ClassScores
from classify.models.classifiers import CLASSIFIERS, resolve
from classify.models.specification import Settings
from classify.names import INNER
from classify.systems.expression import PROJECT
from embeddings_store.vectors.fold_data import FoldData

WITHOUT = "without {}"  # the stage of a probe that was fitted without an inner fold
WHOLE = "train+valid"

Fit = Callable[..., CellOutcome]
Probes = Mapping[str, CellOutcome]


@dataclass(frozen=True, slots=True)
class Ladder:
    """The settings of a classifier that inner folds choose among.

    Attributes:
        classifier: Whose.
        fixed: Settings that the user gave; they are not chosen.
        widths: How many columns a projection may leave, where its width is chosen, too.
        steps: Setting to its values; follows from the classifier and the widths.
    """

    classifier: str
    fixed: Settings
    widths: tuple[int, ...] = ()
    steps: Mapping[str, tuple[float, ...]] = field(init=False)

    def __post_init__(self) -> None:
        """Look the steps up, so that they are part of what a cell depends on."""
        steps: dict[str, tuple[float, ...]] = {PROJECT: self.widths} if self.widths else {}
        for name, setting in CLASSIFIERS[self.classifier].settings.items():
            if setting.ladder and name not in self.fixed:
                steps[name] = setting.ladder
        object.__setattr__(self, "steps", steps)

    @property
    def candidates(self) -> list[dict[str, float]]:
        """Every combination, with what is fixed; one where there is nothing to choose.

        >>> Ladder("svm", {"c": 2.0}).candidates
        [{'c': 2.0, 'gamma': 1.0}, {'c': 2.0, 'gamma': 0.3}]
        """
        values = product(*self.steps.values())
        return [{**self.fixed, **dict(zip(self.steps, step, strict=True))} for step in values]

    def possible(self, data: FoldData) -> list[dict[str, float]]:
        """Return the candidates whose projection every inner fold has rows and columns for.

        Args:
            data: The fold with its inner folds.
        """
        whole = np.logical_and.reduce(list(data.train.present.values()))
        rows = [int((whole & (data.parts != part)).sum()) for part in np.unique(data.parts)]
        columns = [vectors.shape[1] for vectors in data.train.vectors.values()]
        most = min(*rows, *columns)
        return [step for step in self.candidates if step.get(PROJECT, 0) < most]


@dataclass(frozen=True, slots=True)
class InsideChoice:
    """What :func:`choose_inside` found.

    Attributes:
        settings: The settings that count.
        outcome: What the cell answers with them; its role ``valid`` holds every row of the inner
            folds, as fits without it answered, with settings that the other inner folds chose.
        parts: What each of these fits answered, in the order of the inner folds: its role ``test``
            holds the rows of the inner fold.
    """

    settings: Settings
    outcome: CellOutcome
    parts: Sequence[CellOutcome]


def choose_inside(
    fit: Fit, data: FoldData, candidates: Sequence[Settings], probes: Probes, classifier: str
) -> InsideChoice:
    """Choose the settings of a cell in the inner folds of a fold, and fit it with them.

    Args:
        fit: Computes the cell: ``fit(data, settings=..., probes=...)``.
        data: The fold with its inner folds; test rows are not looked at before all is chosen.
        candidates: The settings to choose among; of one nothing is chosen.
        probes: Modality to the finished probe of the same fold.
        classifier: The cell's, for the record.
    """
    answered: list[list[CellOutcome]] = [[] for _ in candidates]
    taken_s = [0.0] * len(candidates)
    # the candidates side by side on one inner fold, because they share its distances
    for number, part in zip(np.unique(data.parts), inner_data(data), strict=True):
        of_part = {m: _in_part(probe, data, int(number)) for m, probe in probes.items()}
        for place, settings in enumerate(candidates):
            started = time.perf_counter()
            answered[place].append(fit(part, settings=settings, probes=of_part))
            taken_s[place] += time.perf_counter() - started
    scores = [_share_right(of_parts) for of_parts in answered]
    trials = [Trial(*about) for about in zip(candidates, scores, taken_s, strict=True)]
    chosen = max(trials, key=lambda trial: trial.score).settings  # of equals the first
    without = chosen_without(_count_right(answered))
    judged = [answered[candidate][part] for part, candidate in enumerate(without)]
    whole = fit(data, settings=chosen, probes={m: on_all_rows(p) for m, p in probes.items()})
    outcome = _with_inner_answers(whole, judged)
    if len(candidates) > 1:
        own = {name: value for name, value in chosen.items() if name != PROJECT}
        resolved = {**chosen, **resolve(classifier, own)}
        found = Tuned({name: resolved[name] for name in chosen}, INNER, trials)
        outcome = replace(outcome, facts={**outcome.facts, "tuned": found.facts})
    return InsideChoice(chosen, outcome, judged)


def answered_inside(
    fit: Fit, data: FoldData, by_part: Sequence[Settings], whole: Settings
) -> InsideChoice:
    """Answer every inner fold with settings that are chosen already, and fit on all of them.

    Args:
        fit: Computes the cell: ``fit(data, settings=..., probes=...)``.
        data: The fold with its inner folds.
        by_part: The settings that answer each inner fold, in their order.
        whole: Those of the fit on all rows, which answers test rows.
    """
    parts = [
        fit(part, settings=settings, probes={})
        for part, settings in zip(inner_data(data), by_part, strict=True)
    ]
    outcome = fit(data, settings=whole, probes={})
    return InsideChoice(whole, _with_inner_answers(outcome, parts), parts)


def chosen_without(right: NDArray[np.int64]) -> list[int]:
    """Return for every inner fold the candidate that is best on all the others.

    Args:
        right: Right answers of every candidate in every inner fold (candidates, inner folds).

    Returns:
        A position among the candidates for each inner fold; of equals the first.

    >>> chosen_without(np.array([[9, 4, 5], [7, 6, 6]]))
    [1, 0, 0]
    """
    elsewhere = right.sum(axis=1, keepdims=True) - right
    return [int(candidate) for candidate in elsewhere.argmax(axis=0)]


def keep_inner_probes(found: InsideChoice, data: FoldData) -> CellOutcome:
    """Return a probe's outcome with what it says without each inner fold, as stages.

    Args:
        found: The probe's.
        data: The fold with its inner folds.

    Returns:
        The same outcome; the stage ``without N`` answers every row of the inner folds by a probe
        that was fitted without inner fold N, and without the row's own group as ever.
    """
    outcome = found.outcome
    whole = outcome.stages[WHOLE]
    stages: dict[str, Stage] = {}
    for number, part in zip(np.unique(data.parts), found.parts, strict=True):
        answers = np.zeros_like(whole["train"].values)
        for role in ("train", "test"):
            at = np.searchsorted(outcome.ids["train"], part.ids[role])
            answers[at] = part.reported(role).values
        scores = ClassScores(answers, whole["train"].kind)
        stages[WITHOUT.format(number)] = {**whole, "train": scores}
    return replace(outcome, stages={**stages, WHOLE: whole})


def on_all_rows(probe: CellOutcome) -> CellOutcome:
    """Return a finished probe as that of all rows of the inner folds, out of fold as ever."""
    everyone = np.ones(len(probe.ids["train"]), dtype=bool)
    return _with_rows(probe, probe.stages[WHOLE], everyone)


def _in_part(probe: CellOutcome, data: FoldData, number: int) -> CellOutcome:
    """Return a finished probe as that of the fold in which one inner fold is tested."""
    part_of = dict(zip(data.train.ids.tolist(), data.parts.tolist(), strict=True))
    tested = np.array([part_of[name] == number for name in probe.ids["train"].tolist()], dtype=bool)
    return _with_rows(probe, probe.stages[WITHOUT.format(number)], ~tested, tested)


def _with_rows(
    probe: CellOutcome,
    stage: Stage,
    fitted: NDArray[np.bool_],
    tested: NDArray[np.bool_] | None = None,
) -> CellOutcome:
    """Return a probe whose rows are parted anew into those of ``train`` and of ``test``."""
    ids, y, answers = probe.ids["train"], probe.y["train"], stage["train"]

    def rows(mask: NDArray[np.bool_]) -> ClassScores:
        return ClassScores(answers.values[mask], answers.kind)

    nobody = np.zeros(len(ids), dtype=bool)
    parted = {"train": rows(fitted), "valid": rows(nobody)}
    if tested is None:
        of_test, test_ids, test_y = stage["test"], probe.ids["test"], probe.y["test"]
    else:
        of_test, test_ids, test_y = rows(tested), ids[tested], y[tested]
    return CellOutcome(
        {"train": ids[fitted], "valid": ids[nobody], "test": test_ids},
        {"train": y[fitted], "valid": y[nobody], "test": test_y},
        {"train": {**parted, "test": of_test}},
        probe.facts,
    )


def _count_right(answers: Sequence[Sequence[CellOutcome]]) -> NDArray[np.int64]:
    """Return the right answers of every candidate in every inner fold (candidates, folds)."""
    counts = []
    for answered in answers:
        by_part = [outcome.reported("test").labels == outcome.y["test"] for outcome in answered]
        counts.append([int(right.sum()) for right in by_part])
    return np.array(counts, dtype=np.int64)


def _share_right(answered: Sequence[CellOutcome]) -> float:
    """Return the share of right answers in [0, 1] over the rows of all inner folds."""
    y = np.concatenate([outcome.y["test"] for outcome in answered])
    labels = np.concatenate([outcome.reported("test").labels for outcome in answered])
    return accuracy(y, labels)


def _with_inner_answers(whole: CellOutcome, answered: Sequence[CellOutcome]) -> CellOutcome:
    """Return an outcome whose role ``valid`` holds what fits without each row said of it."""
    ids = np.concatenate([outcome.ids["test"] for outcome in answered])
    order = np.argsort(ids, kind="stable")
    y = np.concatenate([outcome.y["test"] for outcome in answered])[order]
    values = np.concatenate([outcome.reported("test").values for outcome in answered])[order]
    stage = whole.stages["train"]
    kind = stage["test"].kind
    return replace(
        whole,
        ids={**whole.ids, "valid": ids[order]},
        y={**whole.y, "valid": y},
        stages={WHOLE: {**stage, "valid": ClassScores(values, kind)}},
    )
