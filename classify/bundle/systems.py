"""A fitted system as plain fields and back: its expression, and every part that was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from classify.bundle.estimators import (
    State,
    classifier_state,
    probe_state,
    regression_state,
    restore_classifier,
    restore_probe,
    restore_regression,
    restore_scaler,
    scaler_state,
)
from classify.bundle.packing import Check, codes, fields, floats, listed, named
from classify.fusion.early import EarlyFusion
from classify.fusion.projections import BlockProjection
from classify.fusion.rules import RULES, FittedRule, restore_rule
from classify.fusion.scores import LateFusion
from classify.fusion.strategies import STRATEGIES
from classify.models.class_scores import MARGIN, ClassScores
from classify.models.classifiers import CLASSIFIERS, FittedClassifier
from classify.models.probe import Probe
from classify.names import CALIBRATED, CONCATENATION, PROBE
from classify.systems.evaluator import FittedModel, score_kind, vectors_of
from classify.systems.expression import PROJECT, SCORES, Call, Expression, View, kind
from classify.systems.feature_tree import FeatureTree
from classify.systems.fitted_system import FittedSystem, calibrated, parts_to_fit
from embeddings_store.errors import UsageError
from embeddings_store.json_values import text, whole

DEEPEST = 50  # calls within calls; no system that anybody writes comes near


def system_state(system: FittedSystem) -> State:
    """Return a system's fields, its parts in the order of :func:`parts_to_fit`.

    Raises:
        UsageError: A part has no form in a bundle.
    """
    parts = []
    for part in parts_to_fit(system.node):
        if part.word in RULES:
            parts.append(_rule_state(part, system.rules[part]))
        else:
            parts.append(_model_state(system.models[part]))
    calibration = None
    if system.calibration is not None:
        calibration = _rule_state(calibrated(system.node), system.calibration)
    return {
        "tree": _tree_state(system.node),
        "n_classes": system.n_classes,
        "parts": parts,
        "calibration": calibration,
    }


def restore_system(data: Any) -> FittedSystem:
    """Return a system from :func:`system_state`.

    Raises:
        ValueError: The fields are not those of a system that this version knows.
    """
    checks: Mapping[str, Check] = {
        "tree": _restore_tree,
        "n_classes": whole,
        "parts": listed(_as_is),
        "calibration": _as_is,
    }
    found = fields(data, "a system", checks)
    node, n_classes = found["tree"], found["n_classes"]
    if not isinstance(node, Call) or kind(node) != SCORES or n_classes < 2:
        raise ValueError("a system answers with the scores of two classes or more")
    models: dict[Call, FittedModel] = {}
    rules: dict[Call, FittedRule] = {}
    for part, state in zip(parts_to_fit(node), found["parts"], strict=True):
        if part.word in RULES:
            rules[part] = _restore_rule(part, state, n_classes)
        else:
            models[part] = _restore_model(part, state, n_classes)
    calibration = None
    if score_kind(node) == MARGIN:
        calibration = _restore_rule(calibrated(node), found["calibration"], n_classes)
    elif found["calibration"] is not None:
        raise ValueError("a system that answers with probabilities needs no calibration")
    return FittedSystem(node, n_classes, models, rules, calibration)


def try_out(system: FittedSystem, widths: Mapping[str, int]) -> ClassScores:
    """Answer rows of nothing but zeros, with all views and with each of them alone.

    What does not fit together shows at once, not when the first film has been read.

    Args:
        system: The system.
        widths: View to the width of its vectors.

    Raises:
        ValueError: Whatever the parts say that do not fit together.
    """
    if set(widths) != set(system.views):
        raise ValueError(f"its views are {list(system.views)}, and it knows {sorted(widths)}")
    count = len(widths) + 1
    vectors, present = {}, {}
    for place, (view, width) in enumerate(widths.items()):
        vectors[view] = np.zeros((count, width), dtype=np.float32)
        present[view] = np.isin(np.arange(count), [0, place + 1])
        vectors[view][~present[view]] = np.nan
    answer = system.answer(vectors, present)
    chances = system.probabilities(answer)
    if answer.values.shape != (count, system.n_classes) or np.isnan([answer.values, chances]).any():
        raise ValueError("it does not answer with one number for each class")
    return answer


def _tree_state(node: Expression) -> State:
    if isinstance(node, View):
        return {"view": node.name}
    return {
        "word": node.word,
        "arguments": [_tree_state(argument) for argument in node.arguments],
        "options": dict(node.options),
    }


def _restore_tree(data: Any, depth: int = 0) -> Expression:
    if depth > DEEPEST:
        raise ValueError("the expression nests too deeply")
    if isinstance(data, dict) and "view" in data:
        return View(fields(data, "a view", {"view": text})["view"])
    checks = {
        "word": text,
        "arguments": listed(lambda argument: _restore_tree(argument, depth + 1)),
        "options": named(_option),
    }
    found = fields(data, "a part of an expression", checks)
    word, arguments = found["word"], tuple(found["arguments"])
    if word not in STRATEGIES and word not in CLASSIFIERS and word not in RULES and word != PROBE:
        raise ValueError(f"there is no word {word!r} in an expression of this version")
    one = word in CLASSIFIERS or word in (PROBE, CALIBRATED)
    if not arguments or (one and len(arguments) != 1):
        raise ValueError(f"{word} does not take {len(arguments)} arguments")
    if word in RULES and any(kind(argument) != SCORES for argument in arguments):
        raise ValueError(f"{word} takes class scores")
    return Call(word, arguments, tuple(sorted(found["options"].items())))


def _option(value: Any) -> str | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is no option")
    return value


def _model_state(model: FittedModel) -> State:
    features = model.features
    fused = _features_state(features) if isinstance(features, FeatureTree) else None
    if isinstance(model.model, Probe):
        return {"features": fused, "probe": probe_state(model.model)}
    return {"features": fused, "classifier": classifier_state(model.model)}


def _restore_model(part: Call, data: Any, n_classes: int) -> FittedModel:
    is_probe = part.word == PROBE
    of_kind = "probe" if is_probe else "classifier"
    found = fields(data, str(part), {"features": _as_is, of_kind: _as_is})
    (tree,) = part.arguments
    if is_probe and isinstance(tree, View):
        if found["features"] is not None:
            raise ValueError(f"{part} standardises by itself")
        return FittedModel(vectors_of(tree), restore_probe(found["probe"], n_classes))
    features = _restore_features(tree, found["features"])
    model: FittedClassifier | Probe
    if is_probe:
        model = restore_probe(found["probe"], n_classes)
    else:
        model = restore_classifier(found["classifier"], n_classes)
        if model.spec.name != part.word:
            raise ValueError(f"{part} was not fitted with {model.spec.name}")
    return FittedModel(features, model)


def _features_state(tree: FeatureTree) -> State:
    inner = [None if part is None else _features_state(part) for part in tree.inner.values()]
    if tree.scores:
        return {"inner": inner, "late": {"scaler": scaler_state(tree.late.scaler)}}
    early = tree.early
    projected = {}
    for name, projection in early.projections.items():
        projected[name] = _projection_state(early.projection, projection)
    return {
        "inner": inner,
        "early": {
            "scalers": {name: scaler_state(scaler) for name, scaler in early.scalers.items()},
            "projections": projected,
            "indicated": list(early.indicated),
            "columns": {name: [at.start, at.stop] for name, at in early.columns.items()},
        },
    }


def _restore_features(node: Expression, data: Any) -> FeatureTree:
    fuses = isinstance(node, Call) and node.word in STRATEGIES
    call = node if isinstance(node, Call) and fuses else Call(CONCATENATION, (node,))
    children = tuple(dict.fromkeys(call.arguments))
    late = all(kind(child) == SCORES for child in children)
    of_kind = "late" if late else "early"
    found = fields(data, str(node), {"inner": listed(_as_is), of_kind: _as_is})
    inner: dict[Expression, FeatureTree | None] = {}
    for child, state in zip(children, found["inner"], strict=True):
        is_fused = isinstance(child, Call) and child.word in STRATEGIES
        if is_fused != (state is not None):
            raise ValueError(f"{child} is not what was fitted in its place")
        inner[child] = _restore_features(child, state) if is_fused else None
    if late:
        return FeatureTree.of_parts(inner, _restore_late(call, found["late"]))
    return FeatureTree.of_parts(inner, _restore_early(call, children, found["early"]))


def _restore_late(call: Call, data: Any) -> LateFusion:
    fusion = LateFusion(call.word)
    fusion.scaler = fields(data, str(call), {"scaler": restore_scaler})["scaler"]
    return fusion


def _restore_early(call: Call, children: tuple[Expression, ...], data: Any) -> EarlyFusion:
    names = [str(child) for child in children]
    project = str(call.option(PROJECT) or "")
    fusion = EarlyFusion(call.word, names, project)
    checks = {
        "scalers": named(restore_scaler),
        "projections": named(lambda state: _restore_projection(fusion.projection, state)),
        "indicated": listed(text),
        "columns": named(listed(whole)),
    }
    found = fields(data, str(call), checks)
    for name, expected in (("scalers", True), ("projections", bool(project))):
        if list(found[name]) != (names if expected else []):
            raise ValueError(f"{call}: {name} are not those of {names}")
    if not set(found["indicated"]) <= set(names):
        raise ValueError(f"{call}: {found['indicated']} are not of {names}")
    fusion.scalers, fusion.projections = found["scalers"], found["projections"]
    fusion.indicated = tuple(found["indicated"])
    at = 0
    for name, ends in found["columns"].items():
        if len(ends) != 2 or ends[0] != at or ends[1] <= at:
            raise ValueError(f"{call}: the columns {name} do not follow those before them")
        fusion.columns[name] = slice(ends[0], ends[1])
        at = ends[1]
    return fusion


def _projection_state(name: str, projection: BlockProjection) -> State:
    # both are bound methods of scikit-learn's: PCA.transform, Ridge.predict
    model = projection.project.__self__  # type: ignore[attr-defined]
    state = {"scaler": scaler_state(projection.scaler)}
    if name == "pca":
        return {**state, "mean": model.mean_, "components": model.components_}
    return {
        **state,
        "coef": np.atleast_2d(model.coef_),
        "intercept": np.atleast_1d(model.intercept_),
    }


def _restore_projection(name: str, data: Any) -> BlockProjection:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge

    if name == "pca":
        checks = {"scaler": restore_scaler, "mean": floats(-1), "components": floats(-1, -1)}
        found = fields(data, "a projection", checks)
        if found["components"].shape[1] != len(found["mean"]):
            raise ValueError("a projection has one mean for each column")
        pca = PCA(len(found["components"]))
        pca.mean_, pca.components_ = found["mean"], found["components"]
        pca.n_components_, pca.n_features_in_ = found["components"].shape
        return BlockProjection(pca.transform, found["scaler"])
    if name != "linear":
        raise ValueError(f"there is no projection {name!r} in a bundle")
    checks = {"scaler": restore_scaler, "coef": floats(-1, -1), "intercept": floats(-1)}
    found = fields(data, "a projection", checks)
    if len(found["coef"]) != len(found["intercept"]):
        raise ValueError("a projection has one intercept for each column")
    ridge = Ridge()
    one = len(found["coef"]) == 1
    ridge.coef_ = found["coef"][0] if one else found["coef"]
    ridge.intercept_ = found["intercept"][0] if one else found["intercept"]
    ridge.n_features_in_ = found["coef"].shape[1]
    return BlockProjection(ridge.predict, found["scaler"])


def _rule_state(part: Call, rule: FittedRule) -> State:
    learnt: State = {}
    for name, value in rule.learnt.items():
        if name != "model":
            learnt[name] = value
        elif isinstance(value, FittedClassifier):
            learnt["classifier"] = classifier_state(value)
        else:
            learnt["regression"] = regression_state(value)
    if RULES[part.word].answer is None:
        raise UsageError(f"the rule {part.word} has no form in a bundle; choose another cell")
    return {"weights": list(rule.weights), "learnt": learnt}


def _restore_rule(part: Call, data: Any, n_classes: int) -> FittedRule:
    inputs = len(part.arguments)
    shapes = {"weighted": (inputs, 1), "gate": (inputs, 2 + n_classes)}
    logistic = {
        "regression": lambda state: restore_regression(state, n_classes),
        "n_rows": whole,
        "n_classes": whole,
    }
    checks: Mapping[str, Any] = {
        "bayes": {"prior": floats(n_classes)},
        "weighted": {"theta": floats(*shapes["weighted"])},
        "gate": {"theta": floats(*shapes["gate"])},
        "stack": {**logistic, "lacked": codes(-1)},
        CALIBRATED: logistic,
        "stack-xgboost": {
            "classifier": lambda state: restore_classifier(state, n_classes),
            "lacked": codes(-1),
        },
    }.get(part.word, {})
    outer = {"weights": listed(_weight), "learnt": lambda state: fields(state, str(part), checks)}
    found = fields(data, str(part), outer)
    learnt = found["learnt"]
    if "lacked" in learnt and len(learnt["lacked"]) and learnt["lacked"].max() >= inputs:
        raise ValueError(f"{part} lacks an input that it does not have")
    if "prior" in learnt and not (learnt["prior"] > 0).all():
        raise ValueError(f"{part}: a prior is not above 0")
    if learnt.get("n_classes", n_classes) != n_classes:
        raise ValueError(f"{part} was fitted on another number of classes")
    models = ("regression", "classifier")
    learnt = {"model" if name in models else name: value for name, value in learnt.items()}
    return restore_rule(part.word, learnt, tuple(found["weights"]))


def _weight(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no weight")
    return float(value)


def _as_is(value: Any) -> Any:
    return value
