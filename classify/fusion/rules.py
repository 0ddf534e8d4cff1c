"""Late fusion by rule.

The class scores of several systems become one answer, without a classifier over vectors.

With ``p_m(c)`` the probability that input m of M gives class c, over the inputs that a row has:

=================  ==========================================================  ===================
rule               score of class c                                            learns
=================  ==========================================================  ===================
``mean``           ``sum_m p_m(c) / M``                                        nothing
``weighted``       ``sum_m w_m p_m(c) / sum_m w_m``                            ``w`` (M,), positive
``confidence``     ``sum_m k_m p_m(c)``, ``k_m = 1 - entropy(p_m) / log C``    nothing
``logproduct``     ``prod_m p_m(c)``                                           nothing
``bayes``          ``prod_m p_m(c) / prior(c)^(M - 1)``                        nothing but the
                                                                               training rows'
                                                                               shares
``maximum``        ``max_m p_m(c)``                                            nothing
``vote``           inputs whose largest is c, plus ``sum_m p_m(c) / (M + 1)``  nothing
``stack``          multinomial logistic regression over ``[p_1, ..., p_M]``    its coefficients
``stack-xgboost``  XGBoost over ``[p_1, ..., p_M]``                            its trees
``gate``           ``sum_m g_m p_m(c)``,                                       ``a_m``, ``b_m``
                   ``g = softmax(a_m + b_m . [k_m, p_m])``                     (1 + C,) per input
``calibrated``     multinomial logistic regression over one input's margins    its coefficients
=================  ==========================================================  ===================

Every row of scores is then scaled to sum to 1. A row that lacks an input is answered by the others,
as the sums and products say; weights are scaled to what is there. ``stack`` and ``stack-xgboost``
see ``1 / C`` in its place, and a column (0 or 1) for every input that some row they learn from
lacks.

``weighted`` and ``gate`` minimise ``-sum_i log p(y_i) + |theta|^2 / 2`` from ``theta = 0``, where
both are the mean (``w = exp(theta)``), with L-BFGS. To add a rule, add an entry to :data:`RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classify.fusion.strategies import score_fusion, score_strategies
from classify.models.classifiers import fit_classifier
from classify.models.probe import PROBE_ITERATIONS, LogProbabilities
from classify.names import CALIBRATED
from embeddings_store.errors import FoldError, UsageError

FROM_SHARES, FROM_SCORES = "shares", "scores"
LOG_ZERO = -1e300  # the logarithm of nothing, finite so that it can be added and stored
# a true class that an input holds for less likely than 2e-16 counts no more than that
LOWEST_LOG_P = -36.0
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the inputs of a rule say of n rows.

    Attributes:
        log_p: Log probabilities (M, n, C), uniform where an input is missing; margins for
            ``calibrated``.
        present: Which input a row has (M, n).
    """

    log_p: Floats
    present: Mask

    @property
    def p(self) -> Floats:
        """Probabilities (M, n, C), 0 where an input is missing."""
        return np.exp(self.log_p) * self.present[:, :, None]


@dataclass(frozen=True, slots=True)
class TrainingScores:
    """What a rule may learn from.

    Attributes:
        inputs: Scores of rows that the inputs were not fitted on; no rows for a rule that learns
            nothing.
        y: Their class codes (n,).
        prior: Shares of the classes in the training rows (C,), by Laplace's rule, so none is 0.
        seed: For whatever is random.
    """

    inputs: Inputs
    y: NDArray[np.int64]
    prior: Floats
    seed: int = 0


Combine = Callable[[Inputs], LogProbabilities]
Learnt = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FittedRule:
    """A rule that is ready to answer.

    Attributes:
        combine: Inputs to log probabilities (n, C), up to a constant per row.
        weights: What each input counts (M,), summing to 1, where the rule knows such a thing.
        learnt: All that it has learnt, by name; :func:`restore_rule` makes the same rule of it.
    """

    combine: Combine
    weights: tuple[float, ...] = ()
    learnt: Learnt = field(default_factory=dict)

    def __call__(self, inputs: Inputs) -> LogProbabilities:
        """Return log probabilities (n, C); rows without any input are uniform."""
        from scipy.special import log_softmax

        if not inputs.present.shape[1]:
            return np.zeros(inputs.log_p.shape[1:])
        return np.asarray(log_softmax(np.maximum(self.combine(inputs), LOG_ZERO), axis=1))


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Attributes:
        name: The name on the command line, in expressions and in results.
        fit: A training to the fitted rule.
        learns: From what: nothing, the classes' ``shares`` in the training rows, or ``scores``,
            which must then be of rows that their systems were not fitted on.
        hidden: Whether it stands in expressions only, because it takes one input.
        classifier: Whose default settings it is fitted with, where it fits a classifier of
            :data:`classify.models.classifiers.CLASSIFIERS`; they stand in the cell's key.
        answer: What it has learnt to how it combines its inputs; without it the rule cannot leave
            the process that fitted it, see :mod:`classify.bundle`.
    """

    name: str
    fit: Callable[[TrainingScores], FittedRule]
    learns: str = ""
    hidden: bool = False
    classifier: str = ""
    answer: Callable[[Learnt], Combine] | None = None


def confidence(inputs: Inputs) -> Floats:
    """Return ``1 - entropy / log C`` of every input (M, n).

    1 for certainty, 0 for uniform or missing.
    """
    from scipy.special import xlogy

    p = np.exp(inputs.log_p)
    entropy = -xlogy(p, p).sum(axis=2)
    return np.asarray(np.clip(1 - entropy / np.log(p.shape[2]), 0, 1) * inputs.present)


def _mean(inputs: Inputs) -> LogProbabilities:
    return _log(inputs.p.sum(axis=0))


def _confident(inputs: Inputs) -> LogProbabilities:
    # where all are uniform, nobody is confident, and every class is as good
    return _log((confidence(inputs)[:, :, None] * inputs.p).sum(axis=0))


def _log_product(inputs: Inputs) -> LogProbabilities:
    return np.asarray((inputs.log_p * inputs.present[:, :, None]).sum(axis=0))


def _maximum(inputs: Inputs) -> LogProbabilities:
    return _log(inputs.p.max(axis=0))


def _vote(inputs: Inputs) -> LogProbabilities:
    votes = np.eye(inputs.log_p.shape[2])[inputs.log_p.argmax(axis=2)] * inputs.present[:, :, None]
    return _log(
        votes.sum(axis=0) + inputs.p.sum(axis=0) / (inputs.present.sum(axis=0) + 1)[:, None]
    )


def _bayes(training: TrainingScores) -> FittedRule:
    return restore_rule("bayes", {"prior": training.prior})


def _bayes_combine(learnt: Learnt) -> Combine:
    prior = learnt["prior"]

    def combine(inputs: Inputs) -> LogProbabilities:
        others = np.maximum(inputs.present.sum(axis=0) - 1, 0)[:, None]
        return np.asarray(_log_product(inputs) - others * np.log(prior))

    return combine


def _no_features(inputs: Inputs) -> Floats:
    return np.zeros((*inputs.present.shape, 0))


def _gate_features(inputs: Inputs) -> Floats:
    return np.concatenate([confidence(inputs)[:, :, None], np.exp(inputs.log_p)], axis=2)


def _weighted(training: TrainingScores) -> FittedRule:
    return _mixture("weighted", training, _no_features)


def _gate(training: TrainingScores) -> FittedRule:
    return _mixture("gate", training, _gate_features)


def _log_shares(theta: Floats, inputs: Inputs, z: Floats) -> Floats:
    """Return the logarithm of what each input counts in each row (M, n)."""
    from scipy.special import log_softmax

    logits = theta[:, :1] + np.einsum("mnf,mf->mn", z, theta[:, 1:])
    return np.asarray(log_softmax(np.where(inputs.present, logits, LOG_ZERO), axis=0))


def _mixture(
    name: str, training: TrainingScores, features: Callable[[Inputs], Floats]
) -> FittedRule:
    """Fit ``sum_m g_m p_m`` with ``g = softmax(theta_m . [1, features_m])``.

    The softmax is over the inputs that a row has.
    """
    from scipy.optimize import minimize
    from scipy.special import logsumexp, softmax

    inputs = training.inputs
    rows = np.arange(len(training.y))
    z = features(inputs)
    ones = np.concatenate([np.ones((*z.shape[:2], 1)), z], axis=2)
    right = np.maximum(inputs.log_p[:, rows, training.y], LOWEST_LOG_P)  # (M, n)

    def loss(flat: Floats) -> tuple[float, Floats]:
        theta = flat.reshape(len(right), -1)
        log_g = _log_shares(theta, inputs, z)
        joint = log_g + right
        log_likelihood = logsumexp(joint, axis=0)
        # prior minus posterior share of each input is the slope in its logit
        slope = (np.exp(log_g) - np.exp(joint - log_likelihood)) * inputs.present
        gradient = np.einsum("mn,mnf->mf", slope, ones) + theta
        return float(-log_likelihood.sum() + (flat @ flat) / 2), gradient.ravel()

    found = minimize(
        loss,
        np.zeros(len(right) * ones.shape[2]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": PROBE_ITERATIONS, "ftol": 1e-12, "gtol": 1e-6},
    )
    theta = found.x.reshape(len(right), -1)
    if len(rows):
        mean_share = np.exp(_log_shares(theta, inputs, z)).mean(axis=1)
    else:
        mean_share = softmax(theta[:, 0])
    return restore_rule(name, {"theta": theta}, tuple(mean_share.tolist()))


def _mixture_combine(features: Callable[[Inputs], Floats]) -> Callable[[Learnt], Combine]:
    def with_theta(learnt: Learnt) -> Combine:
        from scipy.special import logsumexp

        theta = learnt["theta"]

        def combine(new: Inputs) -> LogProbabilities:
            log_g = _log_shares(theta, new, features(new))
            return np.asarray(logsumexp(log_g[:, :, None] + new.log_p, axis=0))

        return combine

    return with_theta


def _stack(training: TrainingScores) -> FittedRule:
    lacked = _lacked(training)
    learnt = _logistic(_columns(training.inputs, lacked), training)
    return restore_rule("stack", {**learnt, "lacked": lacked})


def _stack_combine(learnt: Learnt) -> Combine:
    return _logistic_combine(learnt, lambda new: _columns(new, learnt["lacked"]))


def _calibrated(training: TrainingScores) -> FittedRule:
    return restore_rule(CALIBRATED, _logistic(_margins(training.inputs), training))


def _calibrated_combine(learnt: Learnt) -> Combine:
    return _logistic_combine(learnt, _margins)


def _margins(inputs: Inputs) -> Floats:
    return np.asarray(np.maximum(inputs.log_p[0], LOWEST_LOG_P))


def _stack_xgboost(training: TrainingScores) -> FittedRule:
    lacked = _lacked(training)
    model = fit_classifier(
        "xgboost",
        _columns(training.inputs, lacked),
        training.y,
        len(training.prior),
        seed=training.seed,
    )
    return restore_rule("stack-xgboost", {"model": model, "lacked": lacked})


def _stack_xgboost_combine(learnt: Learnt) -> Combine:
    model, lacked = learnt["model"], learnt["lacked"]
    return lambda new: _log(model.predict(_columns(new, lacked)).values)


def _lacked(training: TrainingScores) -> NDArray[np.int64]:
    """Return which inputs some row lacks (L,)."""
    return np.flatnonzero(~training.inputs.present.all(axis=1))


def _columns(inputs: Inputs, lacked: NDArray[np.int64]) -> Floats:
    """Return the probabilities of all inputs side by side (n, M * C + L).

    The last L columns, one per input in ``lacked``, are 1 where it is missing.
    """
    return np.hstack([*np.exp(inputs.log_p), (~inputs.present[lacked]).T.astype(np.float64)])


def _logistic(X: Floats, training: TrainingScores) -> dict[str, Any]:
    """Fit scikit-learn's logistic regression over columns (n, D), and return what it has learnt."""
    from sklearn.linear_model import LogisticRegression

    y = training.y
    if len(np.unique(y)) < 2:
        raise FoldError(
            f"a rule has {len(y)} rows of one class to learn from; choose other rows with "
            "fit_rows, or fewer folds"
        )
    model: Any = LogisticRegression(max_iter=PROBE_ITERATIONS).fit(X, y)
    return {"model": model, "n_rows": len(y), "n_classes": len(training.prior)}


def _logistic_combine(learnt: Learnt, columns: Callable[[Inputs], Floats]) -> Combine:
    """Return what answers by a logistic regression.

    A class without rows is improbable by Laplace's rule.
    """
    model, n_rows, n_classes = learnt["model"], learnt["n_rows"], learnt["n_classes"]
    known = model.classes_

    def combine(inputs: Inputs) -> LogProbabilities:
        log_p = np.full((inputs.present.shape[1], n_classes), -np.log(n_rows + n_classes))
        left = np.log1p(-(n_classes - len(known)) / (n_rows + n_classes))
        log_p[:, known] = model.predict_log_proba(columns(inputs)) + left
        return log_p

    return combine


def _log(values: NDArray[Any]) -> LogProbabilities:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.asarray(values, dtype=np.float64)))


def restore_rule(name: str, learnt: Learnt, weights: tuple[float, ...] = ()) -> FittedRule:
    """Return a fitted rule from all that it has learnt; fitting one ends here, too.

    Args:
        name: A name of :data:`RULES`.
        learnt: What it has learnt, as :class:`FittedRule` keeps it.
        weights: What each input counts (M,), where the rule knows such a thing.

    Raises:
        KeyError: No such rule, or something that it needs is not there.
        UsageError: The rule's entry does not say how.
    """
    answer = RULES[name].answer
    if answer is None:
        raise UsageError(f"the rule {name} cannot be made again from what it has learnt")
    return FittedRule(answer(learnt), weights, learnt)


def _plain_rule(name: str, combine: Combine) -> Rule:
    return Rule(name, lambda training: restore_rule(name, {}), answer=lambda learnt: combine)


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        _plain_rule("mean", _mean),
        Rule("weighted", _weighted, answer=_mixture_combine(_no_features), learns=FROM_SCORES),
        _plain_rule("confidence", _confident),
        _plain_rule("logproduct", _log_product),
        Rule("bayes", _bayes, answer=_bayes_combine, learns=FROM_SHARES),
        _plain_rule("maximum", _maximum),
        _plain_rule("vote", _vote),
        Rule("stack", _stack, answer=_stack_combine, learns=FROM_SCORES),
        Rule(
            "stack-xgboost",
            _stack_xgboost,
            answer=_stack_xgboost_combine,
            learns=FROM_SCORES,
            classifier="xgboost",
        ),
        Rule("gate", _gate, answer=_mixture_combine(_gate_features), learns=FROM_SCORES),
        Rule(CALIBRATED, _calibrated, answer=_calibrated_combine, learns=FROM_SCORES, hidden=True),
    )
}


def late_rules() -> tuple[str, ...]:
    """Return the names of the rules that are cells of the grid, in the table's order."""
    return tuple(name for name, rule in RULES.items() if not rule.hidden)


def late_methods() -> tuple[str, ...]:
    """Return the names of all ways of late fusion: strategies for a classifier, then rules."""
    return (*score_strategies(), *late_rules())


def check_late_method(name: str) -> None:
    """Check that a way of late fusion can be asked for by its name.

    Raises:
        UnknownNameError: There is no such strategy or rule.
        UsageError: The strategy fuses vectors only.
    """
    if name not in late_rules():
        score_fusion(name, late_methods())
