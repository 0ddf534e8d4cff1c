"""Many views of one modality are held in memory once, and fused once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classify.fusion.early import EarlyFusion
from classify.models.probe import fit_probe
from classify.models.svm import VARIANCE_PIECE, variance_of
from classify.systems import evaluator
from classify.systems.evaluator import FitRows
from classify.systems.parser import parse
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.fold_data import RoleData

MakeStore = Callable[..., Path]
VIEWS, ROWS, WIDTH = 13, 400, 64


def peak_of(action: Callable[[], object]) -> int:
    """Return the most bytes that an action takes at a time, its result included."""
    tracemalloc.start()
    try:
        result = action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        del result


def many_views(make_rows: Callable[..., RoleData]) -> RoleData:
    generator = np.random.default_rng(0)
    views = {f"audio.L{n}": generator.standard_normal((ROWS, WIDTH)) for n in range(VIEWS)}
    return make_rows(views)


@pytest.mark.parametrize(("method", "times"), [("concatenation", 1.6), ("sum", 0.6)])
def test_fusing_holds_one_view_beside_the_whole(
    method: str, times: float, make_rows: Callable[..., RoleData]
) -> None:
    rows = many_views(make_rows)
    fusion = EarlyFusion(method, list(rows.vectors)).fit(rows)
    vectors = sum(values.nbytes for values in rows.vectors.values())
    assert peak_of(lambda: fusion.transform(rows)) < times * vectors


@pytest.mark.parametrize(("method", "numpy_s"), [("sum", np.sum), ("product", np.prod)])
def test_fusing_a_view_at_a_time_gives_the_same_to_the_last_bit(
    method: str, numpy_s: Callable[..., np.ndarray], make_rows: Callable[..., RoleData]
) -> None:
    rows = many_views(make_rows)
    fusion = EarlyFusion(method, list(rows.vectors)).fit(rows)
    blocks = [fusion.scalers[view].transform(values) for view, values in rows.vectors.items()]
    np.testing.assert_array_equal(
        fusion.transform(rows).X, numpy_s(blocks, axis=0, dtype=np.float32)
    )


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (1301, 999), (3 * 2**10, 2**10 + 8)])
def test_the_variance_is_that_of_numpy_to_the_last_bit(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).standard_normal(shape) * 3 + 1
    assert variance_of(rows) == rows.var()


def test_the_variance_copies_a_piece_at_a_time() -> None:
    rows = np.ones((8, VARIANCE_PIECE))
    assert peak_of(lambda: variance_of(rows)) < rows.nbytes / 3


def test_a_probe_holds_one_split_at_a_time() -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((300, 400)).astype(np.float32)
    y, groups = np.arange(300) % 3, np.array([f"g{n % 6}" for n in range(300)])
    # the rows standardised, and what the last fit makes of them
    assert peak_of(lambda: fit_probe(X, y, 3, groups)) < 3 * X.nbytes


def test_the_roles_of_a_fold_are_joined_without_a_copy(make_store: MakeStore) -> None:
    store = make_store(missing={"audio": 3})
    views = {view: refs[0] for view, refs in choose_views(catalogue(store, "toy")).items()}
    plan = make_plan(Manifest.load(store / "toy"))
    data = load_fold(FoldRequest(store, "toy", views, plan, 1))
    parts = [data.train, data.valid, data.test]
    joined = RoleData.join(parts)
    for view in views:
        each = [part.vectors[view] for part in parts]
        np.testing.assert_array_equal(joined.vectors[view], np.concatenate(each))
        assert all(np.shares_memory(joined.vectors[view], part) for part in each)
    assert list(joined.ids) == [*data.train.ids, *data.valid.ids, *data.test.ids]
    turned = RoleData.join([data.test, data.train])  # no neighbours in this order
    expected = np.concatenate([data.test.vectors["audio"], data.train.vectors["audio"]])
    np.testing.assert_array_equal(turned.vectors["audio"], expected)
    gap = RoleData.join([data.train, data.test])  # validation rows lie between
    expected = np.concatenate([data.train.vectors["audio"], data.test.vectors["audio"]])
    np.testing.assert_array_equal(gap.vectors["audio"], expected)


def test_wide_models_are_not_all_kept(
    make_rows: Callable[..., RoleData], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many_views(make_rows)
    fit = FitRows(np.arange(300), np.arange(0))
    nodes = [parse(f"svm(audio.L{n})") for n in (0, 1, 0, 2)]
    found = []
    for kept_bytes in (evaluator.KEPT_BYTES, 2 * 300 * WIDTH * 4, 1):
        monkeypatch.setattr(evaluator, "KEPT_BYTES", kept_bytes)
        of_fold = evaluator.Evaluator(rows, 2)
        answers = [of_fold.output(node, fit, np.arange(300, ROWS)).values for node in nodes]
        found.append((len(of_fold._models), np.stack(answers)))
    assert [kept for kept, _ in found] == [3, 2, 1]
    for _, answers in found[1:]:
        np.testing.assert_array_equal(answers, found[0][1])
