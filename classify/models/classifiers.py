"""The table of classifiers, and how one of them is fitted.

To add one, write an entry in :data:`CLASSIFIERS`: a
:class:`classify.models.specification.ClassifierSpec`, which holds its names, its settings with
their reasons, and how it is built. The grid, the command's options, the language of systems and
the tables take it from there. What builds it imports its library when it is called: this table is
read for ``--help``, which loads no library that learns.

A fitted model gives one value per class of the whole label set, even if its training rows lack a
class: such a class has the probability 0, or a margin of one below the row's smallest. Its answer
is always the class with the largest value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from classify.models.baselines import MAJORITY, STRATIFIED_RANDOM
from classify.models.boosted_trees import BOOSTED_TREES
from classify.models.class_scores import PROBABILITY, ClassScores
from classify.models.network import NETWORK
from classify.models.specification import (
    BlockwiseEstimator,
    ClassifierSpec,
    Codes,
    Estimator,
    Matrix,
    Settings,
)
from classify.models.svm import SVM
from embeddings_store.errors import FoldError, UsageError, unknown_name
from embeddings_store.interrupts import interrupts_later

CLASSIFIERS: Mapping[str, ClassifierSpec] = {
    spec.name: spec for spec in (SVM, NETWORK, BOOSTED_TREES, MAJORITY, STRATIFIED_RANDOM)
}


def competitors() -> tuple[str, ...]:
    """Return the names of the classifiers that compete, in the table's order.

    >>> competitors()
    ('svm', 'nn', 'xgboost')
    """
    return tuple(name for name, spec in CLASSIFIERS.items() if not spec.baseline)


def baselines() -> tuple[str, ...]:
    """Return the names of the classifiers that stand for chance, in the table's order.

    >>> baselines()
    ('majority', 'stratified-random')
    """
    return tuple(name for name, spec in CLASSIFIERS.items() if spec.baseline)


@dataclass(frozen=True, slots=True)
class FittedClassifier:
    """A fitted model, made by :func:`fit_classifier`.

    Attributes:
        spec: Its entry in the table.
        estimator: What was fitted, on codes 0 .. k-1 of the classes that its rows hold.
        known: Which class of the label set each of these codes is (k,), ascending.
        n_classes: Size of the label set, C.
    """

    spec: ClassifierSpec
    estimator: Estimator
    known: Codes
    n_classes: int

    @property
    def about(self) -> str:
        """What was fitted in place of what its name says; mostly nothing."""
        return self.estimator.about if isinstance(self.estimator, BlockwiseEstimator) else ""

    def predict(self, X: Matrix) -> ClassScores:
        """Return the scores of rows (n, D) for every class of the label set (n, C)."""
        if not len(X):
            return ClassScores(np.zeros((0, self.n_classes)), self.spec.kind)
        with interrupts_later():
            of_known = self.estimator.values(X)
        if self.spec.kind == PROBABILITY:
            values = np.zeros((len(X), self.n_classes))
        else:
            below_all = of_known.min(axis=1, keepdims=True) - 1.0
            values = np.broadcast_to(below_all, (len(X), self.n_classes)).astype(np.float64)
        values[:, self.known] = of_known
        return ClassScores(values, self.spec.kind)


def fit_classifier(
    name: str,
    X: Matrix,
    y: Codes,
    n_classes: int,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    blocks: Sequence[slice] = (),
) -> FittedClassifier:
    """Fit one classifier of the table.

    Args:
        name: A name of :data:`CLASSIFIERS`.
        X: Rows to fit on (n, D), finite.
        y: Their class codes (n,), positions in the label set.
        n_classes: Size of the label set, C.
        settings: Those that differ from the defaults.
        seed: For whatever is random in it.
        blocks: Which columns belong together, in order; nothing where all do.

    Raises:
        UnknownNameError: No such classifier or setting.
        FoldError: The rows are of one class only.

    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> model = fit_classifier("svm", X, np.array([0, 0, 2, 2]), 3)
    >>> model.predict(np.array([[0.4], [10.6]])).labels.tolist()
    [0, 2]
    """
    spec = _spec(name)
    known, codes = np.unique(y, return_inverse=True)
    if len(known) < 2 and not spec.baseline:
        raise FoldError(
            f"{spec.title} has {len(y)} training rows of one class; it takes two or more. Use "
            "fewer folds, or extract vectors for the rows that have none"
        )
    estimator = spec.build(resolve(name, settings or {}), seed)
    if isinstance(estimator, BlockwiseEstimator):
        estimator.blocks = blocks
    with interrupts_later():  # the network would take itself for finished, XGBoost break
        estimator.fit(X, codes.astype(np.int64))
    return FittedClassifier(spec, estimator, known, n_classes)


def resolve(name: str, settings: Settings) -> dict[str, float]:
    """Return all settings of a classifier: the defaults, and what ``settings`` changes.

    Raises:
        UnknownNameError: No such classifier or setting.
        UsageError: A value is outside its range, or no whole number where one is needed.

    >>> resolve("svm", {"c": 5.0})["c"]
    5.0
    """
    spec = _spec(name)
    for key, value in settings.items():
        if key not in spec.settings:
            unknown_name(f"setting of {name}", key, list(spec.settings))
        entry = spec.settings[key]
        whole = isinstance(entry.default, int)
        in_range = entry.above < value < entry.below
        if not in_range or (whole and value != int(value)):
            number = "a whole number" if whole else "a number"
            raise UsageError(
                f"{name}: {key} must be {number} above {entry.above:g} and below "
                f"{entry.below:g}, not {value}"
            )
    resolved = {}
    for key, entry in spec.settings.items():
        as_declared = type(entry.default)  # a whole number stays one
        resolved[key] = as_declared(settings.get(key, entry.default))
    return resolved


def _spec(name: str) -> ClassifierSpec:
    return CLASSIFIERS.get(name) or unknown_name("classifier", name, list(CLASSIFIERS))
