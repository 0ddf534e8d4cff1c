"""Every rule is a few lines of NumPy or scikit-learn on probabilities.

Rows that lack an input are answered by the others.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

from classify.fusion.rules import FROM_SCORES, RULES, Inputs, TrainingScores, confidence, late_rules
from classify.models.classifiers import CLASSIFIERS
from classify.names import CALIBRATED

RNG = np.random.default_rng(11)
N, M, C = 120, 3, 4
Y = RNG.integers(0, C, N)
# the first input is good, the second fair, the third noise
LOGITS = np.stack(
    [
        RNG.normal(size=(N, C)) * scale + np.eye(C)[Y] * good
        for scale, good in ((1.0, 3.0), (1.5, 1.5), (2.0, 0.0))
    ]
)
P = softmax(LOGITS, axis=2)
ALL = np.ones((M, N), dtype=bool)
PRIOR = (np.bincount(Y, minlength=C) + 1.0) / (N + C)


def inputs(present: np.ndarray = ALL) -> Inputs:
    return Inputs(np.log(np.where(present[:, :, None], P, 1 / C)), present)


def answer(rule: str, present: np.ndarray = ALL) -> np.ndarray:
    lesson = TrainingScores(inputs(present), Y, PRIOR)
    return np.exp(RULES[rule].fit(lesson)(inputs(present)))


def scaled(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=1, keepdims=True)


def plain(rule: str) -> np.ndarray:
    entropy = -(P * np.log(P)).sum(axis=2)
    if rule == "vote":
        votes = np.zeros((N, C))
        for m in range(M):
            votes[np.arange(N), P[m].argmax(axis=1)] += 1
        return scaled(votes + P.sum(axis=0) / (M + 1))
    if rule == "stack":
        X = np.hstack(P)
        return LogisticRegression(max_iter=2000).fit(X, Y).predict_proba(X)
    if rule == "stack-xgboost":
        X = np.hstack(P)
        settings = {
            name: setting.default for name, setting in CLASSIFIERS["xgboost"].settings.items()
        }
        model = XGBClassifier(
            n_estimators=settings["trees"],
            max_depth=settings["depth"],
            learning_rate=settings["rate"],
            max_bin=settings["bins"],
            tree_method="hist",
            n_jobs=1,
            random_state=0,
        )
        return model.fit(X, Y).predict_proba(X)
    if rule in {"weighted", "gate"}:
        return _mixture(rule)
    return scaled(
        {
            "mean": P.mean(axis=0),
            "logproduct": P.prod(axis=0),
            "maximum": P.max(axis=0),
            "bayes": P.prod(axis=0) / PRIOR ** (M - 1),
            "confidence": ((1 - entropy / np.log(C))[:, :, None] * P).sum(axis=0),
        }[rule]
    )


def _mixture(rule: str) -> np.ndarray:
    """The formula of the documentation, minimised by another algorithm with numerical slopes."""
    entropy = -(P * np.log(P)).sum(axis=2)
    z = np.concatenate([np.ones((M, N, 1)), (1 - entropy / np.log(C))[:, :, None], P], axis=2)
    z = z[:, :, :1] if rule == "weighted" else z

    def mixed(theta: np.ndarray) -> np.ndarray:
        gate = softmax(np.stack([z[m] @ theta.reshape(M, -1)[m] for m in range(M)]), axis=0)
        return (gate[:, :, None] * P).sum(axis=0)

    def loss(theta: np.ndarray) -> float:
        return -np.log(mixed(theta)[np.arange(N), Y]).sum() + theta @ theta / 2

    start = np.zeros(M * z.shape[2])
    found = minimize(
        loss,
        start,
        method="SLSQP",
        jac=lambda t: approx_fprime(t, loss, 1e-7),
        options={"maxiter": 500},
    )
    return mixed(found.x)


@pytest.mark.parametrize("rule", late_rules())
def test_it_is_plain_numpy_or_scikit_learn(rule: str) -> None:
    tolerance = 2e-3 if rule in {"weighted", "gate"} else 1e-5 if rule == "stack-xgboost" else 1e-9
    np.testing.assert_allclose(answer(rule), plain(rule), atol=tolerance)


@pytest.mark.parametrize("rule", late_rules())
def test_a_row_with_one_input_is_answered_by_it(rule: str) -> None:
    present = ALL.copy()
    present[1:, :40] = False
    found = answer(rule, present)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    if RULES[rule].learns != FROM_SCORES or rule in {"weighted", "gate"}:
        same = found[:40].argmax(axis=1) == P[0, :40].argmax(axis=1)
        assert same.all()
        if rule in {"mean", "logproduct", "bayes", "weighted", "gate", "maximum"}:
            np.testing.assert_allclose(found[:40], P[0, :40], atol=1e-9)


@pytest.mark.parametrize("rule", late_rules())
def test_rows_without_any_input_do_not_break_the_others(rule: str) -> None:
    present = ALL.copy()
    present[:, 7] = False
    found = answer(rule, present)
    assert np.isfinite(found).all()
    if RULES[rule].learns != FROM_SCORES:
        np.testing.assert_allclose(found[[0, 1]], answer(rule)[[0, 1]], atol=1e-9)


@pytest.mark.parametrize("rule", ["weighted", "gate"])
def test_noise_gets_the_least_weight(rule: str) -> None:
    weights = RULES[rule].fit(TrainingScores(inputs(), Y, PRIOR)).weights
    assert sum(weights) == pytest.approx(1)
    assert weights[2] < weights[1] < weights[0]


def test_confidence_is_one_for_certainty_and_none_for_a_uniform_row() -> None:
    sure = Inputs(
        np.log(np.array([[[1 - 3e-12, 1e-12, 1e-12, 1e-12], [0.25] * 4]])),
        np.ones((1, 2), dtype=bool),
    )
    np.testing.assert_allclose(confidence(sure), [[1, 0]], atol=1e-9)


def test_certainty_that_is_wrong_does_not_overflow() -> None:
    wrong = Inputs(np.array([[[0.0, -1e300]], [[-5.0, -0.00674]]]), np.ones((2, 1), dtype=bool))
    for rule in late_rules():
        if rule.startswith("stack"):
            continue
        fitted = RULES[rule].fit(TrainingScores(wrong, np.array([1]), np.array([0.5, 0.5])))
        assert np.isfinite(fitted(wrong)).all()


def test_a_class_without_rows_is_improbable_and_not_impossible() -> None:
    two = np.flatnonzero(Y < 2)
    lesson = TrainingScores(Inputs(inputs().log_p[:, two], ALL[:, two]), Y[two], PRIOR)
    found = np.exp(RULES["stack"].fit(lesson)(inputs()))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[:, 2:], 1 / (len(two) + C))


def test_calibration_is_a_logistic_regression_on_margins() -> None:
    one = Inputs(LOGITS[:1], ALL[:1])
    model = LogisticRegression(max_iter=2000).fit(LOGITS[0], Y)
    found = RULES[CALIBRATED].fit(TrainingScores(one, Y, PRIOR))(one)
    np.testing.assert_allclose(np.exp(found), model.predict_proba(LOGITS[0]), atol=1e-9)
