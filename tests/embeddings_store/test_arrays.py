"""What is true of embeddings by construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from embeddings_store.errors import StoreError
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.fold_data import FoldData

Made = Callable[..., Embeddings]


def _with_value(made: Embeddings, name: str, row: int, value: float) -> Embeddings:
    values = getattr(made, name).copy()
    values[row, 0] = value
    return replace(made, **{name: values})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: replace(e, vectors=e.vectors[:-1]), "vectors has 11 rows for 12 ids"),
        (lambda e: replace(e, reason=e.reason[:-1]), "reason has 11 rows for 12 ids"),
        (lambda e: replace(e, inputs=e.inputs[:-1]), "inputs has 11 rows for 12 ids"),
        (
            lambda e: replace(e, ids=np.array(["u00", *e.ids[:-1]])),
            r"ids are not unique \(1 too many\)",
        ),
        (lambda e: replace(e, ids=np.array(["", *e.ids[1:]])), "an id is empty"),
        (lambda e: replace(e, ids=e.ids[:, None]), "ids must have one dimension"),
        (
            lambda e: replace(e, vectors=e.vectors.astype(np.float64)),
            r"vectors must be float32 \(N, D\), not float64 \(12, 4\)",
        ),
        (lambda e: replace(e, vectors=e.vectors[:, 0]), r"not float32 \(12,\)"),
        (lambda e: replace(e, vectors=e.vectors[:, :0]), r"not float32 \(12, 0\)"),
        (
            lambda e: replace(e, seen=np.full(12, "maybe")),
            "seen holds 'maybe'; known: no, fit, select, unknown",
        ),
        (
            lambda e: replace(e, status=np.full(12, "fine")),
            "status holds 'fine'; known: ok, missing, failed",
        ),
        (
            lambda e: _with_value(e, "vectors", 5, np.nan),
            r"1 of 12 rows of 'vectors' are not finite, first 'u05'; re-run",
        ),
        (lambda e: _with_value(e, "vectors", 5, np.inf), "not finite, first 'u05'"),
        (
            lambda e: _with_value(e, "vectors", 3, 0.0),
            "row 'u03' is failed and yet has 'vectors'; such rows must be nan",
        ),
        (
            lambda e: _with_value(e, "scores", 5, -np.inf),
            r"1 of 12 rows of 'scores' are not finite",
        ),
        (lambda e: _with_value(e, "scores", 2, 1.0), "row 'u02' is missing and yet has 'scores'"),
        (
            lambda e: replace(e, classes=("x", "y", "z")),
            r"scores are float32 \(12, 2\) for 12 rows, 3 classes",
        ),
        (
            lambda e: replace(e, classes=("x",), scores=e.scores[:, :1]),
            "two classes or more was expected",
        ),
        (lambda e: replace(e, scores=e.scores.astype(np.float64)), "scores are float64"),
        (
            lambda e: replace(e, fold="0"),
            "a fold is 'any', 'final', a number such as '3', or '3.inner-2'",
        ),
        (lambda e: replace(e, fold="../3"), "a fold is"),
    ],
)
def test_broken_promises_are_told_with_the_encoder(
    embeddings: Made, change: Callable[[Embeddings], Embeddings], message: str
) -> None:
    made = embeddings(missing=(2,), failed=(3,), classes=("x", "y"), inputs=True)
    with pytest.raises(StoreError, match=message) as caught:
        change(made)
    assert str(caught.value).startswith("enc-text@0123456789ab, fold ")


@pytest.mark.parametrize("fold", ["any", "final", "1", "12", "3.inner-2"])
def test_folds_have_these_names(embeddings: Made, fold: str) -> None:
    assert embeddings(fold=fold).fold == fold


def test_rows_with_a_vector_are_ok(embeddings: Made) -> None:
    made = embeddings(missing=(2,), failed=(3, 4))
    assert np.flatnonzero(~made.ok).tolist() == [2, 3, 4]


def test_no_rows_are_fine(embeddings: Made) -> None:
    made = embeddings()
    none = replace(
        made,
        **{
            name: getattr(made, name)[:0] for name in ("ids", "vectors", "seen", "status", "reason")
        },
    )
    assert none.ok.tolist() == []


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("", "f"),
        ("a/b", "f"),
        ("a@b", "f"),
        (".hidden", "f"),
        ("a\\b", "f"),
        ("a\0", "f"),
        ("a", ""),
        ("a", "../f"),
    ],
)
def test_an_encoder_is_a_folder(name: str, fingerprint: str) -> None:
    with pytest.raises(StoreError, match="cannot be part of a folder name"):
        EncoderRef(name, fingerprint, "text")


def test_a_role_has_a_name() -> None:
    with pytest.raises(KeyError, match="unused"):
        FoldData.role(None, "unused")  # type: ignore[arg-type]
