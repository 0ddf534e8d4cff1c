"""Gradient-boosted trees: XGBoost, with the number and depth of its trees."""

from __future__ import annotations

from classify.models.class_scores import PROBABILITY
from classify.models.components import on_components
from classify.models.specification import (
    ClassifierSpec,
    Estimator,
    ProbabilityEstimator,
    SearchRange,
    Setting,
    Settings,
)


def _build(settings: Settings, seed: int) -> Estimator:
    from xgboost import XGBClassifier

    trees = ProbabilityEstimator(
        XGBClassifier(
            tree_method="hist",
            n_estimators=int(settings["trees"]),
            max_depth=int(settings["depth"]),
            learning_rate=settings["rate"],
            max_bin=int(settings["bins"]),
            n_jobs=1,
            random_state=seed,
        )
    )
    return on_components(trees, int(settings["components"]))


BOOSTED_TREES = ClassifierSpec(
    "xgboost",
    "XGBoost",
    PROBABILITY,
    {
        "trees": Setting(
            100,
            "XGBoost's default; the paper prints none",
            below=100_000,
            search=SearchRange(50, 400),
        ),
        "depth": Setting(
            3,
            "XGBoost's 6 takes longer and is no better on rows that choose: "
            "benchmarks/results/fast_settings.csv",
            below=64,
            search=SearchRange(2, 8, log=False),
        ),
        "rate": Setting(0.3, "XGBoost's default", below=10, search=SearchRange(0.03, 0.5)),
        "bins": Setting(
            16,
            "histogram bins; XGBoost's 256 takes longer and is no better on rows that choose",
            above=1,
        ),
        "components": Setting(
            128,
            "principal components that stand for wider rows, fitted on the training rows; 0 takes "
            "the rows as they are, at ten times the cost and with the same accuracy on rows that "
            "choose, within 1 point on every corpus",
            above=-1,
            below=100_000,
            ladder=(128, 32),
        ),
    },
    _build,
    cost_s=3,
)
