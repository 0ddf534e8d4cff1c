"""Each classifier is a few lines of plain scikit-learn or XGBoost.

Classes without training rows are mapped correctly.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from xgboost import XGBClassifier

from classify.models import svm
from classify.models.classifiers import (
    CLASSIFIERS,
    baselines,
    competitors,
    fit_classifier,
    resolve,
)
from classify.models.distances import DISTANCES
from embeddings_store.errors import FoldError, UnknownNameError, UsageError


def blobs(classes: int, n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return (rng.normal(size=(n, 5)) + np.eye(max(5, classes))[y, :5] * 1.5).astype(np.float32), y


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(("precision", "apart"), [(np.float32, 1e-3), (np.float64, 1e-9)])
def test_svm_is_svc(
    classes: int, precision: type, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svm, "CHUNK_ROWS", 7)
    X, y = blobs(classes)
    X_test, _ = blobs(classes, 50, seed=1)
    X, X_test = X.astype(precision), X_test.astype(precision)
    plain = SVC(C=2.0, break_ties=True).fit(X, y)
    model = fit_classifier("svm", X, y, classes, settings={"c": 2.0})
    for rows in (X_test, X):
        found = model.predict(rows)
        assert found.labels.tolist() == plain.predict(rows).tolist()
        margins = plain.decision_function(rows)
        expected = np.column_stack([-margins, margins]) if classes == 2 else margins
        np.testing.assert_allclose(found.values, expected, atol=apart)
        assert found.kind == "margin"


@pytest.mark.parametrize("width", [40, 768])
def test_a_concatenation_by_blocks_has_the_labels_of_svc(width: int) -> None:
    """The distances of its blocks are added in float32, and shared with those of each block."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, 900)
    centres = generator.standard_normal((4, 3 * width)) * (4 / width**0.5)
    X = (centres[y] + generator.standard_normal((900, 3 * width)) * 2).astype(np.float32)
    train, test = X[:600], X[600:]
    blocks = [slice(width * n, width * (n + 1)) for n in range(3)]
    DISTANCES.forget()
    before = DISTANCES.computed
    for columns in (blocks[:1], blocks[1:2], blocks[:2], blocks):
        of_columns = slice(columns[0].start, columns[-1].stop)
        own = [slice(c.start - of_columns.start, c.stop - of_columns.start) for c in columns]
        for c in (0.1, 1.0, 10.0):
            model = fit_classifier(
                "svm", train[:, of_columns], y[:600], 4, settings={"c": c}, blocks=own
            )
            found = model.predict(test[:, of_columns])
            plain = SVC(C=c, break_ties=True).fit(train[:, of_columns], y[:600])
            np.testing.assert_array_equal(found.labels, plain.predict(test[:, of_columns]))
            margins = plain.decision_function(test[:, of_columns])
            np.testing.assert_allclose(found.values, margins, atol=1e-3)
    # twelve machines: each block once with itself, and once with the test rows
    assert DISTANCES.computed - before == 6
    DISTANCES.forget()


def test_beyond_the_exact_machine_an_approximation_is_fitted_and_named() -> None:
    X, y = blobs(4, 400)
    X_test, _ = blobs(4, 200, seed=1)
    exact = fit_classifier("svm", X, y, 4, settings={"exact": 400})
    near = fit_classifier("svm", X, y, 4, settings={"exact": 399, "landmarks": 100})
    assert exact.about == ""
    assert near.about == "Nystroem, 100 of 400 rows"
    assert (near.predict(X_test).labels == exact.predict(X_test).labels).mean() > 0.9
    again = fit_classifier("svm", X, y, 4, settings={"exact": 399, "landmarks": 100}, seed=5)
    np.testing.assert_array_equal(again.predict(X).values, near.predict(X).values)
    of_two = fit_classifier("svm", X, y % 2, 2, settings={"exact": 1, "landmarks": 1000})
    assert of_two.about == "Nystroem, 400 of 400 rows"
    margins = of_two.predict(X_test).values
    np.testing.assert_array_equal(margins[:, 0], -margins[:, 1])


def test_network_is_a_plain_network_with_fixed_epochs() -> None:
    X, y = blobs(3)
    found = fit_classifier("nn", X, y, 3, settings={"epochs": 5}, seed=3).predict(X)
    plain = MLPClassifier(
        (128,),
        batch_size=64,
        alpha=1.0,
        learning_rate_init=1e-3,
        max_iter=5,
        n_iter_no_change=5,
        tol=0,
        random_state=3,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain.fit(X, y)
    assert plain.n_iter_ == 5
    np.testing.assert_array_equal(found.values, plain.predict_proba(X))


@pytest.mark.parametrize("name", ["nn", "xgboost"])
def test_components_are_those_of_the_rows_to_fit_on(name: str) -> None:
    generator = np.random.default_rng(0)
    X = (generator.standard_normal((120, 6)) @ generator.standard_normal((6, 30))).astype("float32")
    y = np.arange(120) % 3
    X[y == 1] += 2
    pca = PCA(4, svd_solver="randomized", random_state=0).fit(X[:80])
    model = fit_classifier(name, X[:80], y[:80], 3, settings={"components": 4})
    on_them = fit_classifier(name, pca.transform(X[:80]), y[:80], 3, settings={"components": 0})
    found = model.predict(X[80:])
    expected = on_them.predict(pca.transform(X[80:]))
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    one = model.predict(X[80:81])  # a row's components do not depend on the rows beside it
    np.testing.assert_allclose(one.values, found.values[:1], atol=1e-5)


@pytest.mark.parametrize("components", [0, 5, 500])
@pytest.mark.parametrize("n_rows", [4, 120], ids=["fewer rows than columns", "many rows"])
def test_rows_that_are_no_wider_are_taken_as_they_are(components: int, n_rows: int) -> None:
    X, y = blobs(3, n_rows)
    plain = fit_classifier("xgboost", X, y, 3, settings={"components": 0}).predict(X)
    found = fit_classifier("xgboost", X, y, 3, settings={"components": components}).predict(X)
    np.testing.assert_array_equal(found.values, plain.values)


def test_xgboost_is_plain_xgboost() -> None:
    X, y = blobs(3)
    found = fit_classifier("xgboost", X, y, 3, settings={"trees": 10}, seed=1).predict(X)
    plain = XGBClassifier(
        tree_method="hist",
        n_estimators=10,
        max_depth=3,
        learning_rate=0.3,
        max_bin=16,
        n_jobs=1,
        random_state=1,
    ).fit(X, y)
    np.testing.assert_array_equal(found.values, plain.predict_proba(X).astype(np.float64))
    assert found.labels.tolist() == plain.predict(X).tolist()


@pytest.mark.parametrize("name", competitors())
@pytest.mark.parametrize("known", [(0, 3), (1, 2, 4)])
def test_a_class_without_training_rows_keeps_its_column_and_is_never_the_answer(
    name: str, known: tuple[int, ...]
) -> None:
    X, codes = blobs(len(known))
    y = np.array(known)[codes]
    settings = {"xgboost": {"trees": 5}, "nn": {"epochs": 5}}.get(name)
    found = fit_classifier(name, X, y, 5, settings=settings).predict(X)
    absent = [c for c in range(5) if c not in known]
    assert found.values.shape == (len(X), 5)
    assert np.isfinite(found.values).all()
    assert set(found.labels.tolist()) <= set(known)
    assert not np.isin(found.values.argmax(axis=1), absent).any()
    if CLASSIFIERS[name].kind == "probability":
        np.testing.assert_allclose(found.values.sum(axis=1), 1.0, atol=1e-6)
        assert (found.values[:, absent] == 0).all()


def test_baselines_need_no_features_and_take_one_class() -> None:
    y = np.array([1, 1, 2])
    assert fit_classifier("majority", np.zeros((3, 1)), y, 3).predict(
        np.zeros((2, 1))
    ).labels.tolist() == [1, 1]
    assert fit_classifier("majority", np.zeros((2, 1)), y[:2], 3).predict(
        np.zeros((1, 1))
    ).values.tolist() == [[0, 1, 0]]
    many = (
        fit_classifier("stratified-random", np.zeros((3, 1)), y, 3, seed=5)
        .predict(np.zeros((3000, 1)))
        .labels
    )
    assert np.bincount(many, minlength=3) / 3000 == pytest.approx([0, 2 / 3, 1 / 3], abs=0.03)
    assert set(baselines()) == {"majority", "stratified-random"}


@pytest.mark.parametrize("name", competitors())
def test_one_class_cannot_be_learnt(name: str) -> None:
    with pytest.raises(FoldError, match="two or more"):
        fit_classifier(name, np.zeros((4, 2)), np.ones(4, dtype=np.int64), 3)


def test_no_rows_are_answered_with_no_rows() -> None:
    X, y = blobs(3)
    assert fit_classifier("svm", X, y, 3).predict(X[:0]).values.shape == (0, 3)


def test_constant_features_are_no_division_by_zero() -> None:
    X, y = np.zeros((6, 3)), np.array([0, 1] * 3)
    found = fit_classifier("svm", X, y, 2).predict(X)
    assert np.isfinite(found.values).all()
    assert len(set(found.labels.tolist())) == 1


def test_settings_are_checked_by_name_and_value() -> None:
    assert resolve("xgboost", {"trees": 7.0})["trees"] == 7
    with pytest.raises(UnknownNameError, match="did you mean 'trees'"):
        resolve("xgboost", {"tree": 7})
    with pytest.raises(UnknownNameError, match="unknown classifier"):
        resolve("forest", {})
    for bad in (0, -1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="whole number above 0"):
            resolve("nn", {"epochs": bad})


def test_every_setting_has_a_reason() -> None:
    assert all(
        setting.reason for spec in CLASSIFIERS.values() for setting in spec.settings.values()
    )


def test_the_order_of_the_labels_changes_no_answer() -> None:
    X, y = blobs(8, 160)
    X_test, _ = blobs(8, 400, seed=1)
    names = np.array([3, 6, 0, 7, 1, 5, 2, 4])
    one = fit_classifier("svm", X, y, 8).predict(X_test).labels
    two = fit_classifier("svm", X, names[y], 8).predict(X_test).labels
    assert names[one].tolist() == two.tolist()
