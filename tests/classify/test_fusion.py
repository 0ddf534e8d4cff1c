"""Early fusion is a few lines of NumPy, and knows nothing but its training rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from classify.fusion.early import EarlyFusion, FusedFeatures
from classify.fusion.strategies import vector_strategies
from embeddings_store.errors import FoldError, UnknownNameError, UsageError
from embeddings_store.vectors.fold_data import RoleData

Make = Callable[..., RoleData]
RNG = np.random.default_rng(3)
A, B = RNG.normal(5, 3, (40, 4)).astype(np.float32), RNG.normal(-2, 0.1, (40, 4)).astype(np.float32)
A_TEST, B_TEST = A[:7] + 1, B[:7] * 2


def plain(method: str) -> np.ndarray:
    za, zb = StandardScaler().fit(A).transform(A_TEST), StandardScaler().fit(B).transform(B_TEST)
    return {"concatenation": np.hstack([za, zb]), "sum": za + zb, "product": za * zb}[method]


@pytest.mark.parametrize("method", vector_strategies())
def test_it_is_plain_numpy_after_a_scaler_fitted_on_training_rows(
    method: str, make_rows: Make
) -> None:
    fusion = EarlyFusion(method, ("a", "b")).fit(make_rows({"a": A, "b": B}))
    np.testing.assert_array_equal(
        fusion.transform(make_rows({"a": A_TEST, "b": B_TEST})).X, plain(method)
    )


@pytest.mark.parametrize("method", vector_strategies())
def test_scaling_a_modality_changes_nothing(method: str, make_rows: Make) -> None:
    one = EarlyFusion(method, ("a", "b")).fit(rows := make_rows({"a": A, "b": B})).transform(rows).X
    two = (
        EarlyFusion(method, ("a", "b"))
        .fit(rows := make_rows({"a": A * 64, "b": B}))
        .transform(rows)
        .X
    )
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_unequal_widths_concatenate_and_nothing_else(make_rows: Make) -> None:
    rows = make_rows({"a": A, "b": B[:, :3]})
    fused = EarlyFusion("concatenation", ("a", "b")).fit(rows).transform(rows)
    assert fused.X.shape == (40, 7)
    assert fused.blocks == {"a": slice(0, 4), "b": slice(4, 7)}
    for method in ("sum", "product"):
        with pytest.raises(UsageError, match=r"a 4, b 3; use concatenation"):
            EarlyFusion(method, ("a", "b")).fit(rows)


@pytest.mark.parametrize("method", vector_strategies())
def test_a_missing_modality_is_neutral(method: str, make_rows: Make) -> None:
    has = np.ones(40, dtype=bool)
    has[[3, 9]] = False
    holes = A.copy()
    holes[~has] = np.nan
    rows = make_rows({"a": holes, "b": B}, {"a": has})
    fused = EarlyFusion(method, ("a", "b")).fit(rows).transform(rows)
    za, zb = StandardScaler().fit(A[has]), StandardScaler().fit(B).transform(B)
    assert np.isfinite(fused.X).all()
    if method == "concatenation":
        np.testing.assert_array_equal(fused.X[3], [0, 0, 0, 0, *zb[3], 1])
        np.testing.assert_array_equal(fused.X[4], [*za.transform(A[4:5])[0], *zb[4], 0])
        assert fused.blocks["a.missing"] == slice(8, 9)
    else:
        np.testing.assert_array_equal(fused.X[3], zb[3])


def test_no_column_says_missing_where_no_training_row_lacks_anything(make_rows: Make) -> None:
    fusion = EarlyFusion("concatenation", ("a", "b")).fit(make_rows({"a": A, "b": B}))
    test = make_rows({"a": np.full((7, 4), np.nan), "b": B_TEST}, {"a": np.zeros(7, dtype=bool)})
    assert fusion.transform(test).X.shape == (7, 8)
    np.testing.assert_array_equal(fusion.transform(test).X[:, :4], 0)


def test_a_constant_column_stays_finite(make_rows: Make) -> None:
    rows = make_rows({"a": np.ones((40, 2)), "b": B})
    assert np.isfinite(EarlyFusion("concatenation", ("a", "b")).fit(rows).transform(rows).X).all()


def test_a_modality_without_training_rows_is_refused(make_rows: Make) -> None:
    rows = make_rows({"a": A, "b": B}, {"b": np.zeros(40, dtype=bool)})
    with pytest.raises(FoldError, match="none of the 40 training rows has b vectors"):
        EarlyFusion("concatenation", ("a", "b")).fit(rows)


def test_unknown_strategies_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'concatenation'"):
        EarlyFusion("concatenate", ("a",))


def test_features_check_themselves() -> None:
    with pytest.raises(ValueError, match="3 wide"):
        FusedFeatures(np.zeros((2, 4), dtype=np.float32), {"a": slice(0, 3)})
    with pytest.raises(ValueError, match="not finite"):
        FusedFeatures(np.full((2, 3), np.inf, dtype=np.float32), {"a": slice(0, 3)})
