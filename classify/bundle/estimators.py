"""Fitted estimators as plain fields and back, so that a bundle needs no pickle.

What comes back answers like what was fitted, to the last bit: scikit-learn's own classes are made
anew and given the arrays that they had learnt. Only fields that answering needs are kept, so an
optimiser's state or the draws of a fit are not. XGBoost's trees are kept as its own JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classify.bundle.packing import class_codes, codes, fields, floats, listed
from classify.models.classifiers import CLASSIFIERS, FittedClassifier
from classify.models.components import OnComponents
from classify.models.network import TwoLayerNetwork
from classify.models.probe import PROBE_ITERATIONS, Probe
from classify.models.specification import Estimator, ProbabilityEstimator
from classify.models.svm import NystroemSvm, RbfSvm, SizedSvm
from embeddings_store.errors import UsageError
from embeddings_store.json_values import number, text, whole

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

State = dict[str, Any]


def scaler_state(scaler: StandardScaler) -> State:
    """Return the mean and deviation of each column."""
    return {"mean": scaler.mean_, "scale": scaler.scale_}


def restore_scaler(data: Any) -> StandardScaler:
    """Return a scaler from :func:`scaler_state`.

    Raises:
        ValueError: The fields are not those of a scaler.
    """
    from sklearn.preprocessing import StandardScaler

    found = fields(data, "a scaler", {"mean": floats(-1), "scale": floats(-1)})
    if found["mean"].shape != found["scale"].shape or not (found["scale"] > 0).all():
        raise ValueError("a scaler needs one deviation above 0 for each mean")
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = found["mean"], found["scale"]
    scaler.n_features_in_ = len(scaler.mean_)
    return scaler


def regression_state(model: LogisticRegression) -> State:
    """Return the coefficients of a logistic regression, and its classes."""
    return {"classes": model.classes_, "coef": model.coef_, "intercept": model.intercept_}


def restore_regression(data: Any, n_classes: int) -> LogisticRegression:
    """Return a logistic regression from :func:`regression_state`.

    Args:
        data: The fields.
        n_classes: Size of the label set.

    Raises:
        ValueError: The fields are not those of one.
    """
    from sklearn.linear_model import LogisticRegression

    checks = {"classes": codes(-1), "coef": floats(-1, -1), "intercept": floats(-1)}
    found = fields(data, "a logistic regression", checks)
    classes = class_codes(found["classes"], n_classes)
    _check_lines(found["coef"], found["intercept"], len(classes))
    model = LogisticRegression(max_iter=PROBE_ITERATIONS)
    model.classes_, model.coef_, model.intercept_ = classes, found["coef"], found["intercept"]
    model.n_features_in_ = found["coef"].shape[1]
    return model


def probe_state(probe: Probe) -> State:
    """Return a probe's fields."""
    return {
        "scaler": scaler_state(probe.scaler),
        "model": regression_state(probe.model),
        "n_rows": probe.n_rows,
        "c": probe.c,
        "chosen_on": probe.chosen_on,
    }


def restore_probe(data: Any, n_classes: int) -> Probe:
    """Return a probe from :func:`probe_state`.

    Args:
        data: The fields.
        n_classes: Size of the label set.

    Raises:
        ValueError: The fields are not those of a probe.
    """
    checks = {
        "scaler": restore_scaler,
        "model": lambda model: restore_regression(model, n_classes),
        "n_rows": whole,
        "c": number,
        "chosen_on": text,
    }
    return Probe(**fields(data, "a probe", checks), n_classes=n_classes)


def classifier_state(model: FittedClassifier) -> State:
    """Return a classifier's fields.

    Raises:
        UsageError: Its estimator is of a kind that has no form here.
    """
    form = FORMS.get(model.spec.name)
    if form is None:
        raise UsageError(
            f"{model.spec.title} has no form in a bundle yet; choose another classifier with "
            f"--export-cell: {', '.join(FORMS)}"
        )
    return {
        "name": model.spec.name,
        "known": model.known,
        "estimator": form.state(model.estimator),
    }


def restore_classifier(data: Any, n_classes: int) -> FittedClassifier:
    """Return a classifier from :func:`classifier_state`.

    Args:
        data: The fields.
        n_classes: Size of the label set.

    Raises:
        ValueError: The fields are not those of a classifier that this version knows.
    """
    found = fields(data, "a classifier", {"name": text, "known": codes(-1), "estimator": _as_is})
    if found["name"] not in FORMS:
        raise ValueError(f"there is no classifier {found['name']!r}")
    known = class_codes(found["known"], n_classes)
    if len(known) < 2:
        raise ValueError("a classifier knows two classes or more")
    estimator = FORMS[found["name"]].restore(found["estimator"], len(known))
    return FittedClassifier(CLASSIFIERS[found["name"]], estimator, known, n_classes)


@dataclass(frozen=True, slots=True)
class EstimatorForm:
    """How the estimator of one classifier is written and made again.

    Attributes:
        state: An estimator to its fields.
        restore: Fields and the number of classes that it knows to an estimator.
    """

    state: Callable[[Any], State]
    restore: Callable[[Any, int], Any]


def _svm_state(svm: SizedSvm) -> State:
    machine = svm.machine
    if isinstance(machine, NystroemSvm):
        return {
            "about": machine.about,
            "landmarks": machine.space.components_,
            "normalization": machine.space.normalization_,
            "gamma": float(machine.space.gamma),
            "coef": machine.svc.coef_,
            "intercept": machine.svc.intercept_,
        }
    return {
        "rows": machine.rows,
        "gamma": float(machine.gamma),
        "blocks": [[block.start, block.stop] for block in machine.blocks],
        "of_fitted": machine.of_fitted,
        "support": machine.svc.support_,
        "n_support": machine.svc._n_support,
        "dual": machine.svc._dual_coef_,
        "intercept": machine.svc._intercept_,
    }


def _restore_svm(data: Any, k: int) -> SizedSvm:
    is_exact = isinstance(data, dict) and "rows" in data
    svm = SizedSvm(1.0, 1, 1)
    svm.machine = _restore_exact_svm(data, k) if is_exact else _restore_nystroem(data, k)
    if isinstance(svm.machine, NystroemSvm):
        svm.about = svm.machine.about
    return svm


def _restore_exact_svm(data: Any, k: int) -> RbfSvm:
    from sklearn.svm import SVC

    checks = {
        "rows": floats(-1, -1),
        "gamma": number,
        "blocks": listed(listed(whole)),
        "of_fitted": lambda value: floats(*[-1] * min(2, k - 1))(value),
        "support": codes(-1),
        "n_support": codes(k),
        "dual": floats(k - 1, -1),
        "intercept": floats(k * (k - 1) // 2),
    }
    found = fields(data, "a support vector machine", checks)
    n = len(found["rows"])
    _check_support(found, n, k)
    machine = RbfSvm(1.0)
    machine.rows, machine.gamma = found["rows"], found["gamma"]
    machine.of_fitted = found["of_fitted"]
    machine.blocks = _blocks(found["blocks"], found["rows"].shape[1])
    svc = SVC(C=1.0, kernel="precomputed")
    svc.classes_, svc.class_weight_ = np.arange(k), np.ones(k)
    svc._sparse, svc._effective_probability, svc._gamma = False, False, 0.0
    svc.shape_fit_, svc.n_features_in_, svc.fit_status_ = (n, n), n, 0
    svc.support_, svc.support_vectors_ = found["support"].astype(np.int32), np.empty((0, 0))
    svc._n_support = found["n_support"].astype(np.int32)
    svc._dual_coef_ = svc.dual_coef_ = found["dual"].astype(np.float64)
    svc._intercept_ = found["intercept"].astype(np.float64)
    svc.intercept_ = -svc._intercept_ if k == 2 else svc._intercept_
    svc._probA, svc._probB = np.empty(0), np.empty(0)
    svc._num_iter = np.zeros(k * (k - 1) // 2, dtype=np.int32)
    machine.svc = svc
    return machine


def _check_support(found: Mapping[str, NDArray[Any]], n: int, k: int) -> None:
    """Refuse what libsvm, which looks at nothing, would read outside of its arrays."""
    support, n_support = found["support"], found["n_support"]
    in_range = len(support) > 0 and support.max() < n and len(np.unique(support)) == len(support)
    if not in_range or int(n_support.sum()) != len(support):
        raise ValueError("its support vectors are not rows of it, or not as many as it says")
    if found["dual"].shape[1] != len(support):
        raise ValueError("its coefficients are not one for each support vector")
    if found["of_fitted"].shape != ((n,) if k == 2 else (n, k)):
        raise ValueError("its margins are not one for each row and class")
    if not found["gamma"] > 0:
        raise ValueError("its gamma is not above 0")


def _blocks(ends: list[list[int]], width: int) -> tuple[slice, ...]:
    at = 0
    for block in ends:
        if len(block) != 2 or block[0] != at or block[1] <= at:
            raise ValueError(f"the blocks {ends} do not follow one another")
        at = block[1]
    if ends and at != width:
        raise ValueError(f"the blocks {ends} are not {width} columns")
    return tuple(slice(begin, end) for begin, end in ends)


def _restore_nystroem(data: Any, k: int) -> NystroemSvm:
    from sklearn.kernel_approximation import Nystroem
    from sklearn.svm import LinearSVC

    checks = {
        "about": text,
        "landmarks": floats(-1, -1),
        "normalization": floats(-1, -1),
        "gamma": number,
        "coef": floats(-1, -1),
        "intercept": floats(-1),
    }
    found = fields(data, "an approximate support vector machine", checks)
    count = len(found["landmarks"])
    _check_lines(found["coef"], found["intercept"], k)
    if found["normalization"].shape != (count, count) or found["coef"].shape[1] != count:
        raise ValueError("its arrays are not those of as many landmarks as it has")
    machine = NystroemSvm(1.0, count)
    machine.about = found["about"]
    space = Nystroem(gamma=found["gamma"], n_components=count, random_state=0)
    space.components_, space.normalization_ = found["landmarks"], found["normalization"]
    space.n_features_in_ = found["landmarks"].shape[1]
    machine.space = space
    svc = LinearSVC(C=1.0, dual=False)
    svc.classes_, svc.coef_, svc.intercept_ = np.arange(k), found["coef"], found["intercept"]
    svc.n_features_in_ = count
    machine.svc = svc
    return machine


def _network_state(network: TwoLayerNetwork) -> State:
    return {"coefs": network.classifier.coefs_, "intercepts": network.classifier.intercepts_}


def _restore_network(data: Any, k: int) -> TwoLayerNetwork:
    checks = {"coefs": listed(floats(-1, -1)), "intercepts": listed(floats(-1))}
    found = fields(data, "a network", checks)
    coefs, intercepts = found["coefs"], found["intercepts"]
    outputs = 1 if k == 2 else k
    if len(coefs) != 2 or len(intercepts) != 2 or coefs[1].shape[1] != outputs:
        raise ValueError("a network has two layers, and one output for each class")
    for layer, bias in zip(coefs, intercepts, strict=True):
        if layer.shape[1] != len(bias):
            raise ValueError("a layer has one bias for each unit")
    if coefs[0].shape[1] != coefs[1].shape[0]:
        raise ValueError("the layers of a network do not fit each other")
    units = coefs[0].shape[1]
    network = TwoLayerNetwork(
        {"units": units, "epochs": 1, "batch": 1, "rate": 1e-3, "decay": 1.0}, 0
    )
    model = network.classifier
    model.coefs_, model.intercepts_ = coefs, intercepts
    model.classes_, model.n_outputs_, model.n_layers_ = np.arange(k), outputs, 3
    model.out_activation_ = "logistic" if k == 2 else "softmax"
    model.n_features_in_ = coefs[0].shape[0]
    return network


def _trees_state(estimator: ProbabilityEstimator) -> State:
    raw = bytes(estimator.classifier.get_booster().save_raw("json"))
    return {"json": np.frombuffer(raw, dtype=np.uint8)}


def _restore_trees(data: Any, k: int) -> ProbabilityEstimator:
    from xgboost import XGBClassifier

    found = fields(data, "boosted trees", {"json": _raw_bytes})
    model = XGBClassifier(n_jobs=1)
    model.load_model(bytearray(found["json"].tobytes()))
    if int(model.n_classes_) != k:
        raise ValueError(f"the trees answer {model.n_classes_} classes, not {k}")
    return ProbabilityEstimator(model)


def _raw_bytes(value: Any) -> NDArray[np.uint8]:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 1:
        raise ValueError("is no row of bytes")
    return value


def _as_is(value: Any) -> Any:
    return value


def _check_lines(coef: NDArray[Any], intercept: NDArray[Any], k: int) -> None:
    """Check a linear model: one line for each class, and one in all for two."""
    lines = 1 if k == 2 else k
    if k < 2 or coef.shape[0] != lines or intercept.shape != (lines,):
        raise ValueError(f"coefficients of the shape {coef.shape} are not those of {k} classes")


def _over_components(form: EstimatorForm) -> EstimatorForm:
    """Return the form of an estimator that may see rows through their principal components."""

    def state(estimator: Any) -> State:
        if not isinstance(estimator, OnComponents):
            return {"axes": [], "mean": [], "inner": form.state(estimator)}
        axes = [] if estimator.pca is None else [estimator.pca.components_]
        mean = [] if estimator.pca is None else [estimator.pca.mean_]
        return {"axes": axes, "mean": mean, "inner": form.state(estimator.estimator)}

    def restore(data: Any, k: int) -> Estimator:
        from sklearn.decomposition import PCA

        checks = {"axes": listed(floats(-1, -1)), "mean": listed(floats(-1)), "inner": _as_is}
        found = fields(data, "an estimator over components", checks)
        inner: Estimator = form.restore(found["inner"], k)
        if not found["axes"] and not found["mean"]:
            return inner
        (axes,), (mean,) = found["axes"], found["mean"]
        if axes.shape[1:] != mean.shape or not len(axes):
            raise ValueError("its components are not of as many columns as its mean")
        over = OnComponents(inner, len(axes))
        over.pca = PCA(len(axes))
        over.pca.components_, over.pca.mean_ = axes, mean
        over.pca.n_components_, over.pca.n_features_in_ = axes.shape
        return over

    return EstimatorForm(state, restore)


FORMS: Mapping[str, EstimatorForm] = {
    "svm": EstimatorForm(_svm_state, _restore_svm),
    "nn": _over_components(EstimatorForm(_network_state, _restore_network)),
    "xgboost": _over_components(EstimatorForm(_trees_state, _restore_trees)),
}
