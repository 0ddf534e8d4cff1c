"""``--tune``: choose a classifier's settings inside one cell and fold, within a budget.

Optuna proposes (its tree-structured Parzen estimator), because it knows whole numbers and
logarithmic ranges, makes the same proposals for the same seed and answers, and lets go between two
trials. scikit-learn's successive halving is still marked experimental, knows no time limit, and
saves work by fitting on few rows, which a corpus of a thousand does not have to spare. The first
trial is always the defaults. The spaces stand beside the settings in
:mod:`classify.models.classifiers`. A trial is scored by its accuracy on one of

* ``train``: grouped splits of the training rows (:data:`SPLITS`); a row is answered by a model that
  has not seen its group
* ``inner``: training and validation rows in the inner folds of ``--choose inner``
* ``valid``: validation rows, answered by models that have not seen them; with ``--valid-split`` the
  half to learn from

The cell is then fitted as ever with the settings of the best trial; ties go to the earlier one.
Test rows are cut off before the search begins. Every finished trial is written down beside the
cell, so a killed search goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classify.evaluation.metrics import accuracy
from classify.grid.field_declarations import plain
from classify.grid.inner_folds import inner_data
from classify.grid.outcome import CellOutcome
from classify.grid.validation_rows import learning_rows
from classify.models.classifiers import CLASSIFIERS, resolve
from classify.models.probe import inner_groups
from classify.models.specification import SearchRange, Settings
from classify.names import INNER, TRAIN, VALID
from embeddings_store.atomic import write_json
from embeddings_store.errors import FoldError, ManifestError, MissingDependencyError
from embeddings_store.reading import read_json, reading
from embeddings_store.vectors.fold_data import FoldData, RoleData

SPLITS = 3
TRIALS = 20  # what --tune without a number means

# columns of the cell's row in the results that stand before each of its trials
COPIED_COLUMNS = ("claim", "corpus", "cell", "classifier", "fold", "seed", "encoder_seed")

Fit = Callable[..., CellOutcome]
Score = Callable[[Fit, Settings], float]


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
    """One trial of a search.

    Attributes:
        settings: Every setting that was tried.
        score: Accuracy in [0, 1] of the rows that the search looks at.
        took_s: How long it took, in seconds.
    """

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
        if number < len(done) and dict(done[number].settings) == settings:
            trials.append(done[number])
        else:
            done = []  # what follows a trial that is another one was proposed for that one
            started = time.perf_counter()
            score = float(np.mean([part(fit, settings) for part in parts]))
            trials.append(Trial(settings, score, time.perf_counter() - started))
            _write(log, task, trials)
        study.tell(proposal, trials[-1].score)
    best = max(trials, key=lambda t: t.score)  # of equals the first
    chosen = resolve(task.classifier, best.settings)
    return Tuned(
        {name: chosen[name] for name in best.settings}, f"{on}, {len(trials)} trials", trials
    )


def trial_rows(row: Mapping[str, object], outcome: CellOutcome) -> list[dict[str, object]]:
    """Return one line of ``tuning.csv`` per trial of a cell and fold.

    Args:
        row: The cell's row in the results.
        outcome: What the cell answered; ``chosen`` marks the trial that it was fitted with.
    """
    tuned = outcome.facts.get("tuned")
    if not isinstance(tuned, dict):
        return []
    scores = [score for _, score, _ in tuned["trials"]]
    best = scores.index(max(scores))  # of equals the first
    lines = []
    for number, (settings, score, took_s) in enumerate(tuned["trials"]):
        line: dict[str, object] = {name: row[name] for name in COPIED_COLUMNS}
        line["trial"] = number
        line["chosen"] = "yes" if number == best else ""
        line["scored_on"] = tuned["on"]
        line["WA"] = score
        line["took_s"] = took_s
        line["settings"] = "; ".join(f"{name}={value:g}" for name, value in settings.items())
        lines.append(line)
    return lines


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


def _parts(task: Search, data: FoldData) -> tuple[list[Score], str]:
    """Return what scores a trial, each part fitted by itself, and the rows in words."""
    from sklearn.model_selection import GroupKFold

    if len(data.parts):
        of_parts = [partial(_on_train, part) for part in inner_data(data)]
        return list(of_parts), INNER
    if data.spaces and task.on == TRAIN:
        parts: list[Score] = []
        for space in data.spaces:
            of_space, on = _parts(task, space)
            parts += of_space
        return parts, f"{on} in each of {len(data.spaces)} inner encoders"
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
            "score what was fitted on the rest; choose --tune-on valid, or fill the manifest's "
            "column 'group'"
        )
    scores = []
    for fit, rest in GroupKFold(min(task.splits, count)).split(groups, groups=groups):
        train = data.train.take(_mask(fit, len(data.train)))
        answered = _in_place_of_test(data.train.take(_mask(rest, len(data.train))))
        scores.append(partial(_on_train, replace(blind, train=train, test=answered)))
    return list(scores), f"train ({len(scores)} grouped splits)"


def _on_train(part: FoldData, fit: Fit, settings: Settings) -> float:
    """Score a trial on the training rows that stand in place of test rows."""
    outcome = fit(part, settings=settings)
    return accuracy(outcome.y["test"], outcome.reported("test").labels)


def _without_test(data: FoldData) -> FoldData:
    return replace(
        data,
        test=data.test.take(np.zeros(len(data.test), dtype=bool)),
        spaces=tuple(_without_test(space) for space in data.spaces),
    )


def _in_place_of_test(rows: RoleData) -> RoleData:
    """Return training rows as test rows: their out-of-fold scores, if any, are their scores."""
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

    found: dict[str, Any] = {}
    for name, span in task.ranges.items():
        if isinstance(CLASSIFIERS[task.classifier].settings[name].default, int):
            found[name] = IntDistribution(int(span.low), int(span.high), log=span.log)
        else:
            found[name] = FloatDistribution(span.low, span.high, log=span.log)
    return found


def _write(log: Path, task: Search, trials: Sequence[Trial]) -> None:
    lines = [[dict(trial.settings), trial.score, trial.took_s] for trial in trials]
    write_json(log, {"what": plain(task), "trials": lines})


def _read(log: Path, task: Search) -> list[Trial]:
    """Return the trials of a search that was killed; what cannot be read is made again."""
    with suppress(ManifestError), reading(log, "the trials of a search"):
        found = read_json(log)
        if found["what"] != plain(task):
            return []
        return [Trial(dict(s), float(score), float(took)) for s, score, took in found["trials"]]
    return []
