"""Chance as classifiers: the majority class, and draws from the training rows' shares."""

from __future__ import annotations

from classify.models.class_scores import PROBABILITY
from classify.models.specification import (
    ClassifierSpec,
    Estimator,
    ProbabilityEstimator,
    Settings,
)


def _majority(settings: Settings, seed: int) -> Estimator:
    from sklearn.dummy import DummyClassifier

    del settings, seed  # it has none, and nothing in it is random
    return ProbabilityEstimator(DummyClassifier(strategy="most_frequent"))


def _stratified(settings: Settings, seed: int) -> Estimator:
    from sklearn.dummy import DummyClassifier

    del settings  # it has none
    return ProbabilityEstimator(DummyClassifier(strategy="stratified", random_state=seed))


MAJORITY = ClassifierSpec(
    "majority", "majority", PROBABILITY, {}, _majority, cost_s=0, baseline=True, draws=False
)
STRATIFIED_RANDOM = ClassifierSpec(
    "stratified-random", "stratified random", PROBABILITY, {}, _stratified, cost_s=0, baseline=True
)
