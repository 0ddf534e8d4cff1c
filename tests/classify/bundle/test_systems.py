"""What is read back from plain fields answers like what was fitted, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from classify.bundle.packing import Arrays, pack, unpack
from classify.bundle.systems import restore_system, system_state, try_out
from classify.systems.evaluator import Evaluator, FitRows
from classify.systems.expression import complete
from classify.systems.fitted_system import FittedSystem
from classify.systems.parser import parse
from embeddings_store.errors import UsageError
from embeddings_store.vectors.fold_data import RoleData

WIDTHS = {"audio": 5, "text": 4, "video": 4}
PROBES = dict.fromkeys(WIDTHS, "probe")
SYSTEMS = (
    "svm(audio)",
    "svm(concat(audio, text))",
    "svm(audio, exact=20, landmarks=12)",
    "nn(concat(audio, text), epochs=3, units=8)",
    "xgboost(sum(text, video), trees=4, depth=2)",
    "xgboost(concat(text, video), trees=4, components=3)",
    "nn(concat(audio, text), epochs=2, units=4, components=2)",
    "svm(concat(video, text, audio))",
    "svm(product(audio, text, project=pca:3))",
    "nn(sum(audio, text, project=linear:3), epochs=2, units=4)",
    "probe(audio)",
    "probe(concat(audio, text))",
    "mean(audio, text)",
    "weighted(audio, text, video)",
    "confidence(audio, text)",
    "logproduct(audio, text)",
    "bayes(audio, text)",
    "maximum(audio, text)",
    "vote(audio, text, video)",
    "stack(audio, text)",
    "stack-xgboost(audio, text)",
    "gate(audio, text)",
    "mean(svm(audio), xgboost(text, trees=3))",
    "svm(concat(scores(audio), scores(text)))",
    "svm(concat(audio, scores(text)))",
    "nn(concat(audio, sum(text, video)), epochs=2, units=4)",
    "weighted(svm(concat(audio, text)), svm(concat(video, text)))",
)


def rows(count: int, seed: int, classes: int = 3) -> RoleData:
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    vectors, present = {}, {}
    for place, (view, width) in enumerate(WIDTHS.items()):
        centres = np.random.default_rng(place).normal(size=(classes, width))
        vectors[view] = (centres[y] + rng.normal(size=(count, width))).astype(np.float32)
        present[view] = (np.arange(count) * (place + 3)) % 11 != 1
        vectors[view][~present[view]] = np.nan
    groups = np.array([f"g{i // 3 % 7}" for i in range(count)])
    ids = np.array([f"u{i:03d}" for i in range(count)])
    return RoleData(ids, y, groups, vectors, {}, present, np.zeros(count, dtype=bool))


def fitted(text: str, classes: int = 3) -> tuple[FittedSystem, Evaluator, FitRows, RoleData]:
    train, test = rows(63, 1, classes), rows(40, 2, classes)
    node = complete(parse(text), PROBES)
    evaluator = Evaluator(RoleData.join([train, test]), classes)
    at = FitRows(np.arange(len(train)), np.arange(0))
    return FittedSystem.fit(node, evaluator, at), evaluator, at, test


def through_json(state: Mapping[str, Any]) -> Any:
    arrays: Arrays = {}
    return unpack(json.loads(json.dumps(pack(state, arrays))), arrays)


@pytest.mark.parametrize("text", SYSTEMS)
def test_a_system_that_is_read_back_answers_to_the_bit(text: str) -> None:
    system, evaluator, at, test = fitted(text)
    there = evaluator.output(system.node, at, np.arange(len(at.fit), len(at.fit) + len(test)))
    here = system.answer(test.vectors, test.present)
    back = restore_system(through_json(system_state(system)))
    widths = {view: WIDTHS[view] for view in back.views}
    try_out(back, widths)
    again = back.answer(test.vectors, test.present)
    assert back.node == system.node
    np.testing.assert_array_equal(here.values, there.values)
    np.testing.assert_array_equal(again.values, there.values)
    assert again.kind == here.kind


@pytest.mark.parametrize(
    "text",
    ["svm(audio)", "svm(audio, exact=20, landmarks=9)", "nn(audio, epochs=2)", "xgboost(audio)",
     "probe(audio)", "mean(svm(audio), text)"],
)  # fmt: skip
def test_two_classes_are_no_special_case(text: str) -> None:
    system, _, _, test = fitted(text, classes=2)
    back = restore_system(through_json(system_state(system)))
    np.testing.assert_array_equal(
        back.answer(test.vectors, test.present).values,
        system.answer(test.vectors, test.present).values,
    )


def test_rows_that_were_fitted_are_answered_to_the_bit_too() -> None:
    system, evaluator, at, _ = fitted("svm(concat(audio, text))")
    train = evaluator.rows.take(at.fit)
    back = restore_system(through_json(system_state(system)))
    np.testing.assert_array_equal(
        back.answer(train.vectors, train.present).values,
        evaluator.output(system.node, at, at.fit).values,
    )


@pytest.mark.parametrize("text", ["majority(audio)", "head(audio)"])
def test_what_cannot_answer_new_rows_is_refused(text: str) -> None:
    train = rows(30, 1)
    evaluator = Evaluator(train, 3)
    with pytest.raises(UsageError, match="nothing to fit and export"):
        FittedSystem.fit(parse(text), evaluator, FitRows(np.arange(30), np.arange(0)))


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(data, dict):
        for key, value in data.items():
            found += places(value, (*path, key))
    elif isinstance(data, list):
        for key, value in enumerate(data):
            found += places(value, (*path, key))
    return found


def replaced(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = data.copy()
    copy[path[0]] = replaced(data[path[0]], path[1:], value)
    return copy


ODD = (None, -1, "x", [], {}, 1e308, np.zeros((2, 2)), np.full(3, np.nan), np.array([9**9]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numbers may be as large as they like
@pytest.mark.parametrize(
    "text", ["svm(concat(audio, text))", "stack(svm(audio), nn(text, epochs=2))"]
)
def test_no_field_that_is_another_is_a_crash(text: str) -> None:
    """Whoever writes the digests anew may put anything into any field."""
    system, _, _, _ = fitted(text)
    state = through_json(system_state(system))
    widths = {view: WIDTHS[view] for view in system.views}
    for path in places(state):
        for odd in ODD:
            try:
                try_out(restore_system(replaced(state, path, odd)), widths)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, UsageError):
                continue


def test_support_vectors_outside_of_the_rows_are_refused() -> None:
    """Libsvm would read memory that is not its own."""
    system, _, _, _ = fitted("svm(audio)")
    state = through_json(system_state(system))
    machine = state["parts"][0]["classifier"]["estimator"]
    for name, value in (
        ("support", machine["support"] + 1000),
        ("n_support", machine["n_support"] + 1),
        ("dual", machine["dual"][:, :-1]),
        ("rows", machine["rows"][:5]),
    ):
        changed = replaced(state, ("parts", 0, "classifier", "estimator", name), value)
        with pytest.raises(ValueError, match=r"support|coefficients"):
            restore_system(changed)
