"""Late fusion is arithmetic on probabilities.

A probe never scores a row whose group it was fitted on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from classify.fusion.scores import LateFusion
from classify.fusion.strategies import score_fusion, score_strategies
from classify.models.probe import fit_probe, head_scores, inner_groups, spread
from embeddings_store.errors import UnknownNameError
from embeddings_store.vectors.fold_data import RoleData

RNG = np.random.default_rng(5)
LOGITS = [RNG.normal(size=(30, 4)) * 3, RNG.normal(size=(30, 4))]
P = [softmax(logits, axis=1) for logits in LOGITS]


def plain(method: str) -> np.ndarray:
    product = P[0] * P[1]
    fused = {
        "concatenation": np.hstack(P),
        "sum": P[0] + P[1],
        "product": np.log(product / product.sum(axis=1, keepdims=True)),
    }[method]
    return StandardScaler().fit(fused).transform(fused)


@pytest.mark.parametrize("method", score_strategies())
def test_it_is_plain_numpy_on_softmax(method: str) -> None:
    scores = [head_scores(logits) for logits in LOGITS]
    np.testing.assert_allclose(
        LateFusion(method).fit(scores).transform(scores), plain(method), atol=1e-9
    )


def test_the_product_does_not_underflow() -> None:
    sure = head_scores(np.array([[0.0, 900.0], [900.0, 0.0]]))
    fused = score_fusion("product").combine([sure, sure, sure])
    np.testing.assert_allclose(fused, [[-2700.0, 0.0], [0.0, -2700.0]])


@pytest.mark.parametrize("method", ["sum", "product"])
def test_a_missing_modality_keeps_the_ranking(method: str) -> None:
    one = head_scores(LOGITS[0])
    nobody = spread(np.zeros((0, 4)), np.zeros(30, dtype=bool))
    fused = score_fusion(method).combine([one, nobody])
    assert (fused.argsort(axis=1) == one.argsort(axis=1)).all()
    if method == "product":
        np.testing.assert_allclose(fused, one, atol=1e-12)


def test_unknown_strategies_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'product'"):
        LateFusion("prodct")


@pytest.mark.parametrize("classes", [2, 3])
def test_a_probe_is_a_plain_logistic_regression(classes: int) -> None:
    X, y = RNG.normal(size=(60, 5)).astype(np.float32), np.arange(60) % classes
    scaler = StandardScaler().fit(X)
    groups = np.array(list("abcdef"))[np.arange(60) // 10]
    probe = fit_probe(X, y, classes, groups)
    model = LogisticRegression(C=probe.c, max_iter=2000).fit(scaler.transform(X), y)
    np.testing.assert_allclose(
        np.exp(probe.scores(X)),
        model.predict_proba(scaler.transform(X)),
        atol=1e-6,
    )


@pytest.mark.parametrize("present", [(0, 2), (0, 2, 3)])
def test_a_class_that_a_probe_never_saw_is_improbable_and_not_impossible(
    present: tuple[int, ...],
) -> None:
    y = np.array(present)[np.arange(60) % len(present)]
    p = np.exp(
        fit_probe(
            RNG.normal(size=(60, 5)).astype(np.float32), y, 5, np.arange(60).astype(str)
        ).scores(np.zeros((3, 5), dtype=np.float32))
    )
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(p[:, [c for c in range(5) if c not in present]], 1 / 65)


def test_a_row_without_a_group_is_its_own(make_rows: Callable[..., RoleData]) -> None:
    rows = make_rows({"a": np.zeros((4, 1))})
    object.__setattr__(rows, "groups", np.array(["", "g", "", "g"]))
    assert inner_groups(rows).tolist() == ["row u0", "g", "row u2", "g"]
