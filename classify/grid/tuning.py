"""``--tune``: choose a classifier's settings on training or validation rows, inside one cell and fold, within a budget.

Optuna proposes (its tree-structured Parzen estimator), because it knows whole numbers and
logarithmic ranges, makes the same proposals for the same seed and answers, and lets go between two
trials. scikit-learn's successive halving is still marked experimental, knows no time limit, and
saves work by fitting on few rows, which a corpus of a thousand does not have to spare. The first
trial is always the defaults. The spaces stand beside the settings in
:mod:`classify.models.classifiers`. A trial is scored by its accuracy on one of

``train``  grouped splits of the training rows (:data:`SPLITS`): a row is answered by a model that has not seen its group
``valid``  validation rows, answered by models that have not seen them; with ``--valid-split`` the half to learn from

The cell is then fitted as ever with the settings of the best trial; ties go to the earlier one.
Test rows are cut off before the search begins. Every finished trial is written down beside the
cell, so a killed search goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from classify.evaluation.metrics import accuracy
from classify.grid.field_declarations import plain
from classify.grid.outcome import CellOutcome
from classify.grid.validation_rows import learning_rows
from classify.models.classifiers import CLASSIFIERS, resolve
from classify.models.probe import inner_groups
from classify.models.specification import SearchRange, Settings
from classify.names import TRAIN, VALID
from embeddings_store.atomic import write_json
from embeddings_store.errors import FoldError, MissingDependencyError
from embeddings_store.vectors.fold_data import FoldData, RoleData

SPLITS = 3
TRIALS = 20  # what --tune without a number means

Fit = Callable[..., CellOutcome]


@dataclass(frozen=True, slots=True)
class Search:
    """What to search, and how long.

    Attributes:
        classifier: Whose settings.
        fixed: Settings that the user gave; they are not searched.
        trials: At most so many, the defaults included.
        minutes: No trial begins after so many minutes of trials; 0 for no limit.
        on: One of :data:`classify.names.TUNE_ON`.
        seed: Of the proposals.
        splits: How many parts of the training rows are answered, where these choose.
        ranges: Setting to the range that is searched; follows from the classifier.
    """

    classifier: str
    fixed: Settings
    trials: int
    minutes: float
    on: str
    seed: int
    splits: int = SPLITS
    ranges: Mapping[str, SearchRange] = field(init=False)

    def __post_init__(self) -> None:
        """Look the ranges up, so that they are part of what a cell depends on."""
        ranges = {}
        for name, setting in CLASSIFIERS[self.classifier].settings.items():
            if setting.search is not None and name not in self.fixed:
                ranges[name] = setting.search
        object.__setattr__(self, "ranges", ranges)


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of everything, how well it did, and how long that took in seconds."""

    settings: Mapping[str, float]
    score: float
    took_s: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search chose.

    Attributes:
        settings: All of the classifier's settings that differ from the defaults or were searched.
        on: Which rows, in words.
        trials: Every trial, in their order.
    """

    settings: dict[str, float]
    on: str
    trials: Sequence[Trial]

    @property
    def facts(self) -> dict[str, object]:
        """Plain JSON types, for the cell's file."""
        return {
            "settings": self.settings,
            "on": self.on,
            "trials": [[dict(t.settings), t.score, round(t.took_s, 3)] for t in self.trials],
        }


def search(task: Search, fit: Fit, data: FoldData, log: Path) -> Tuned:
    """Choose settings.

    Args:
        task: What to search.
        fit: Computes the cell: ``fit(data, settings=...)``.
        data: The fold; its test rows are not looked at.
        log: Where finished trials are written down; removed by whoever keeps the result.

    Raises:
        FoldError: The rows to score on are all of one group, or there are none.
    """
    parts, on = _parts(task, data)
    spec, done = CLASSIFIERS[task.classifier], _read(log, task)
    study = _study(task.seed)
    study.enqueue_trial({name: spec.settings[name].default for name in task.ranges})
    trials: list[Trial] = []
    for number in range(task.trials if task.ranges else 1):
        if number and task.minutes and sum(t.took_s for t in trials) > 60 * task.minutes:
            break
        proposal = study.ask(_distributions(task))
        settings = {**task.fixed, **proposal.params}
        trial = (
            done[number] if number < len(done) and dict(done[number].settings) == settings else None
        )
        if trial is None:
            started = time.perf_counter()
            score = float(np.mean([part(fit, settings) for part in parts]))
            trial, done = Trial(settings, score, time.perf_counter() - started), []
            write_json(
                log,
                {
                    "what": plain(task),
                    "trials": [[dict(t.settings), t.score, t.took_s] for t in (*trials, trial)],
                },
            )
        trials.append(trial)
        study.tell(proposal, trial.score)
    best = max(trials, key=lambda t: t.score)  # of equals the first
    chosen = resolve(task.classifier, best.settings)
    return Tuned(
        {name: chosen[name] for name in best.settings}, f"{on}, {len(trials)} trials", trials
    )


def trial_rows(row: Mapping[str, object], outcome: CellOutcome) -> list[dict[str, object]]:
    """Return one line of ``tuning.csv`` per trial of a cell and fold.

    ``chosen`` marks the one that was taken.
    """
    tuned = outcome.facts.get("tuned")
    if not isinstance(tuned, dict):
        return []
    best = max(range(len(tuned["trials"])), key=lambda i: tuned["trials"][i][1])
    head = {
        name: row[name]
        for name in ("claim", "corpus", "cell", "classifier", "fold", "seed", "encoder_seed")
    }
    return [
        head
        | {
            "trial": i,
            "chosen": "yes" if i == best else "",
            "scored_on": tuned["on"],
            "WA": score,
            "took_s": took,
            "settings": "; ".join(f"{k}={v:g}" for k, v in settings.items()),
        }
        for i, (settings, score, took) in enumerate(tuned["trials"])
    ]


def require_optuna() -> None:
    """Check that the extra is installed, before anything is computed.

    Raises:
        MissingDependencyError: It is not.
    """
    if find_spec("optuna") is None:
        raise MissingDependencyError(
            "--tune needs the package optuna, which is not installed; install the extra: pip "
            "install 'emotion-fusion[tune]'"
        )


def _parts(task: Search, data: FoldData) -> tuple[list[Callable[[Fit, Settings], float]], str]:
    """Return what scores a trial, each part fitted and answered by itself, and the rows in words."""
    if data.spaces and task.on == TRAIN:
        each = [_parts(task, space) for space in data.spaces]
        return [
            part for parts, _ in each for part in parts
        ], f"{each[0][1]} in each of {len(each)} inner encoders"
    blind = _without_test(data)
    if task.on == VALID:
        learn = ~data.valid.apart
        if not learn.any():
            raise FoldError(
                f"fold {data.fold} has no validation rows to choose settings on; choose --tune-on "
                "train"
            )

        def on_valid(fit: Fit, settings: Settings) -> float:
            outcome = fit(blind, settings=settings)
            return accuracy(outcome.y["valid"][learn], outcome.reported("valid").labels[learn])

        return [on_valid], learning_rows(bool(data.valid.apart.any()))
    groups = inner_groups(data.train)
    count = len(np.unique(groups))
    if count < 2:
        raise FoldError(
            f"the training rows of fold {data.fold} are all of one group, so no part of them can "
            "score what was "
            "fitted on the rest; choose --tune-on valid, or fill the manifest's column 'group'"
        )
    splits = [
        (
            data.train.take(_mask(fit, len(data.train))),
            _answered(data.train.take(_mask(rest, len(data.train)))),
        )
        for fit, rest in GroupKFold(min(task.splits, count)).split(groups, groups=groups)
    ]

    def on_train(train: RoleData, rest: RoleData) -> Callable[[Fit, Settings], float]:
        def score(fit: Fit, settings: Settings) -> float:
            outcome = fit(replace(blind, train=train, test=rest), settings=settings)
            return accuracy(outcome.y["test"], outcome.reported("test").labels)

        return score

    return [on_train(*split) for split in splits], f"train ({len(splits)} grouped splits)"


def _without_test(data: FoldData) -> FoldData:
    return replace(
        data,
        test=data.test.take(np.zeros(len(data.test), dtype=bool)),
        spaces=tuple(_without_test(space) for space in data.spaces),
    )


def _answered(rows: RoleData) -> RoleData:
    """Training rows that stand where test rows stand.

    Their out-of-fold scores, where there are any, are their scores.
    """
    return replace(rows, scores={**rows.scores, **rows.inner_scores}, inner_scores={})


def _mask(positions: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    mask[positions] = True
    return mask


def _study(seed: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))


def _distributions(task: Search) -> dict[str, Any]:
    from optuna.distributions import FloatDistribution, IntDistribution

    whole = {
        name: isinstance(CLASSIFIERS[task.classifier].settings[name].default, int)
        for name in task.ranges
    }
    return {
        name: IntDistribution(int(span.low), int(span.high), log=span.log)
        if whole[name]
        else FloatDistribution(span.low, span.high, log=span.log)
        for name, span in task.ranges.items()
    }


def _read(log: Path, task: Search) -> list[Trial]:
    """Return the trials of a search that was killed; what cannot be read is made again."""
    try:
        found = json.loads(log.read_text(encoding="utf-8"))
        same = found["what"] == plain(task)
        return (
            [Trial(dict(s), float(score), float(took)) for s, score, took in found["trials"]]
            if same
            else []
        )
    except (OSError, ValueError, KeyError, TypeError):
        return []
