"""Properties of digests and tables, over what Hypothesis comes up with."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import (
    content_digest,
    read_embeddings,
    store_path,
    verify,
    write_embeddings,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
IDS = st.lists(TEXT.filter(bool), min_size=1, max_size=4, unique=True)
ROWS = IDS.flatmap(lambda ids: st.tuples(*(st.tuples(st.just(i), TEXT, TEXT) for i in ids)))
FEW = settings(max_examples=60, deadline=None)


def _manifest(rows: tuple[tuple[str, str, str], ...]) -> Manifest:
    ids, texts, notes = zip(*rows, strict=True)
    return Manifest.from_columns(
        "m", {"id": list(ids), "text": list(texts), "meta_note": list(notes)}
    )


@FEW
@given(ROWS, ROWS)
def test_manifests_have_the_same_digest_only_if_they_are_the_same(
    one: tuple[tuple[str, str, str], ...], other: tuple[tuple[str, str, str], ...]
) -> None:
    assert (_manifest(one).digest == _manifest(other).digest) == (one == other)


@FEW
@given(TEXT, TEXT)
def test_cells_cannot_run_into_each_other(a: str, b: str) -> None:
    one, other = (
        _manifest((("u", a, ""), ("v", b, ""))),
        _manifest((("u", a + b, ""), ("v", "", ""))),
    )
    assert (one.digest == other.digest) == (b == "")


@FEW
@given(ROWS)
def test_a_csv_file_and_the_store_give_back_what_was_written(
    rows: tuple[tuple[str, str, str], ...],
) -> None:
    manifest = _manifest(
        (("first", "something", ""), *((f"{i}.", text, note) for i, text, note in rows))
    )
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "m.csv"
        with path.open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle, quoting=csv.QUOTE_ALL).writerows(
                [
                    ["id", "text", "meta_note"],
                    *manifest.table[["id", "text", "meta_note"]].itertuples(index=False, name=None),
                ]
            )
        read = Manifest.read(path)
        read.enter(Path(name))
        assert read.digest == manifest.digest == Manifest.load(Path(name) / "m").digest


@FEW
@given(IDS, st.integers(1, 3), st.data())
def test_vectors_come_back_as_they_were(ids: list[str], width: int, data: st.DataObject) -> None:
    n = len(ids)
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
    rows = st.lists(st.lists(floats, min_size=width, max_size=width), min_size=n, max_size=n)
    vectors = np.array(data.draw(rows), dtype=np.float32)
    reasons = np.array(data.draw(st.lists(TEXT, min_size=n, max_size=n)))
    ref = EncoderRef("e", "0123456789ab", "text")
    made = Embeddings(np.array(ids), vectors, np.full(n, "no"), np.full(n, "ok"), reasons, ref)
    with tempfile.TemporaryDirectory() as name:
        path = store_path(Path(name), "m", made.encoder, "any")
        digest = write_embeddings(path, made, {"corpus": "m", "inputs_digest": ""})
        again = read_embeddings(path)
        assert verify(path) == []
    assert again.ids.tolist() == ids
    assert again.reason.tolist() == reasons.tolist()
    assert again.vectors.tobytes() == vectors.tobytes()
    assert digest == content_digest(again) == content_digest(made)
