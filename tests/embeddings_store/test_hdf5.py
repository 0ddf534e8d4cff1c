"""Files of vectors: what goes in comes out, and what is damaged says so."""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from embeddings_store.atomic import PatientFile
from embeddings_store.errors import StoreError, StoreNotFoundError
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import (
    content_digest,
    read_arranged,
    read_embeddings,
    read_header,
    read_rows,
    store_path,
    verify,
    write_embeddings,
)

ABOUT: dict[str, object] = {
    "corpus": "mini",
    "inputs_digest": "0123456789ab",
    "plan_digest": "ba9876543210",
    "settings": {"pooling": "mean", "layer": 3},
    "provenance": {"command": "a test"},
}
ARRAYS = ("ids", "vectors", "seen", "status", "reason", "scores", "inputs")


@pytest.fixture
def made(embeddings: Callable[..., Embeddings]) -> Embeddings:
    seen = ["no", "fit", "select", "unknown"] * 3
    return embeddings(
        name="e.L3",
        layer=3,
        seed=1,
        fold="2",
        seen=seen,
        missing=(2,),
        failed=(3,),
        classes=("x", "ÿ"),
        inputs=True,
    )


@pytest.fixture
def path(tmp_path: Path, made: Embeddings) -> Path:
    target = store_path(tmp_path / "store", "mini", made.encoder, made.fold)
    write_embeddings(target, made, ABOUT)
    return target


def assert_same(one: Embeddings, other: Embeddings) -> None:
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a, b, equal_nan=name in {"vectors", "scores"}), name
    assert (one.encoder, one.fold, one.classes) == (other.encoder, other.fold, other.classes)


def test_what_goes_in_comes_out(path: Path, made: Embeddings) -> None:
    again = read_embeddings(path)
    assert_same(again, made)
    assert again.attributes.items() >= ABOUT.items()
    assert again.attributes["digest"] == content_digest(made)
    assert verify(path) == []


def test_reading_and_writing_again_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write_embeddings(tmp_path / "again.h5", read_embeddings(path))
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_strange_shapes_are_kept(tmp_path: Path) -> None:
    ref = EncoderRef("e", "f", "text")
    empty = np.array([], dtype=str)
    none = Embeddings(empty, np.zeros((0, 3), np.float32), empty, empty, empty, ref)
    strided = np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2]
    two = Embeddings(
        np.array(["🙂" * 40, "a"]), strided, np.full(2, "no"), np.full(2, "ok"), np.full(2, ""), ref
    )
    for made in (none, two):
        write_embeddings(
            tmp_path / "x.h5",
            made,
            {**ABOUT, "command": "x" * 100_000, "flag": True, "share": 0.5, "empty": ""},
        )
        again = read_embeddings(tmp_path / "x.h5")
        assert_same(again, made)
        told = again.attributes
        assert (len(str(told["command"])), told["flag"], told["share"], told["empty"]) == (
            100_000,
            True,
            0.5,
            "",
        )


def test_the_header_is_read_without_the_vectors(path: Path) -> None:
    header = read_header(path)
    assert (
        header.items()
        >= {
            "rows": 12,
            "dim": 4,
            "ok": 10,
            "has_scores": True,
            "encoder": "e.L3",
            "layer": 3,
            "seed": 1,
            "fold": "2",
            "classes": ["x", "ÿ"],
            "settings": {"pooling": "mean", "layer": 3},
        }.items()
    )


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"inputs_digest": ""}, "the attribute 'corpus' must be given"),
        ({"corpus": "mini"}, "the attribute 'inputs_digest' must be given"),
        ({**ABOUT, "plan": ["a", "list"]}, "attribute 'plan' is list, not text or a number"),
    ],
)
def test_attributes_are_checked_before_anything_is_written(
    tmp_path: Path, made: Embeddings, about: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_embeddings(tmp_path / "new" / "x.h5", made, about)
    assert not (tmp_path / "new").exists()


# Damage

READERS = pytest.mark.parametrize("read", [read_embeddings, read_header])


def _cuts(size: int) -> list[int]:
    return sorted({0, 1, 7, 8, 9, 48, 100, size // 2, size - 1, *range(0, size, 211)})


def test_a_file_cut_anywhere_is_refused_with_what_to_do(path: Path) -> None:
    whole = path.read_bytes()
    for end in _cuts(len(whole)):
        path.write_bytes(whole[:end])
        for read in (read_embeddings, read_header):
            with pytest.raises(
                StoreError, match=r"is cut short or damaged .*(delete it|run the same command)"
            ) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: ")
        assert len(verify(path)) == 1


@READERS
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4096, random.Random(0).randbytes(4096), b"\x89HDF\r\n\x1a\n" + b"\xff" * 500],
)
def test_what_is_no_hdf5_is_refused(
    path: Path, content: bytes, read: Callable[[Path], object]
) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is cut short or damaged"):
        read(path)


def test_every_flipped_bit_is_caught_or_changes_nothing(path: Path, made: Embeddings) -> None:
    whole, attributes = path.read_bytes(), read_embeddings(path).attributes
    caught = 0
    dice = random.Random(1)
    for place in dice.sample(range(len(whole)), 700):
        torn = bytearray(whole)
        torn[place] ^= 1 << dice.randrange(8)
        path.write_bytes(torn)
        if verify(path):
            caught += 1
            continue
        again = read_embeddings(path)
        assert_same(again, made)
        assert again.attributes == attributes, f"byte {place}"
    assert caught > 500


def _attribute(key: str, value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(key, value)


def _without(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del (file if name in file else file.attrs)[name]

    return change


def _dataset(name: str, values: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = values

    return change


@READERS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _attribute("version", 2),
            "has format version 2, this program reads up to 1; update the program",
        ),
        (_attribute("version", "two"), "is cut short or damaged"),
        (
            _attribute("format", "keras"),
            "is HDF5, but not a file of this store .* bring it in with embeddings-store import",
        ),
        (_attribute("format", 7), "is HDF5, but not a file of this store"),
        (_without("format"), "is HDF5, but not a file of this store"),
        *(
            (_without(name), f"lacks the dataset '{name}'")
            for name in ("ids", "vectors", "seen", "status", "reason")
        ),
        *(
            (_without(name), f"lacks the attribute '{name}'")
            for name in ("corpus", "fingerprint", "layer", "classes", "digest")
        ),
        (_attribute("layer", "third"), "is cut short or damaged"),
        (_attribute("settings", "{"), "is cut short or damaged"),
        (_attribute("settings", '{"a": NaN}'), "is cut short or damaged"),
        (_attribute("settings", '{"a": 1e999}'), "is cut short or damaged"),
        (_dataset("seen", np.array([b"no"] * 11)), "seen has 11 rows for 12 ids"),
        (_attribute("encoder", "../../x"), "cannot be part of a folder name"),
        (
            _dataset("vectors", np.zeros((12, 4))),
            r"dataset 'vectors' is float64 \(12, 4\), not float32 \(N, D\)",
        ),
        (_dataset("vectors", np.zeros(12, np.float32)), r"dataset 'vectors' is float32 \(12,\)"),
        (
            _dataset("ids", np.arange(12)),
            r"dataset 'ids' is int64 \(12,\), not fixed-width strings",
        ),
        (_dataset("status", ["ok"] * 12), "dataset 'status' is object"),
    ],
)
def test_files_of_another_form_are_refused(
    path: Path, change: Callable[[h5py.File], None], message: str, read: Callable[[Path], object]
) -> None:
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(StoreError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_dataset("ids", np.array([b"same"] * 12)), "ids are not unique"),
        (
            _dataset("ids", np.array([b"\xff%d" % i for i in range(12)])),
            "codec can't decode|damaged",
        ),
        (_dataset("seen", np.array([b"maybe"] * 12)), "seen holds 'maybe'"),
        (
            _dataset("vectors", np.zeros((12, 4), np.float32)),
            "row 'u02' is missing and yet has 'vectors'",
        ),
        (_dataset("vectors", np.zeros((11, 4), np.float32)), "vectors has 11 rows for 12 ids"),
        (_attribute("classes", '["x"]'), "scores are float32"),
        (_attribute("classes", '"xy"'), "is cut short or damaged"),
        (_attribute("fold", "two"), "a fold is 'any'"),
    ],
)
def test_broken_promises_are_found_on_reading(
    path: Path, change: Callable[[h5py.File], None], message: str
) -> None:
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(StoreError, match=message) as caught:
        read_embeddings(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda file: file["vectors"].__setitem__((5, 1), 0.5), "data"),
        (lambda file: file["seen"].__setitem__(5, b"no"), "data"),
        (_attribute("plan_digest", "x"), "attributes"),
        (_attribute("added", "later"), "attributes"),
        (_without("settings"), "attributes"),
    ],
)
def test_verify_finds_what_was_changed_in_a_readable_file(
    path: Path, change: Callable[[h5py.File], None], what: str
) -> None:
    with h5py.File(path, "a") as file:
        change(file)
    read_embeddings(path)
    [problem] = verify(path)
    assert re.search(rf"the {what} \(digest \w{{12}}\) are not those that were written", problem)


def test_a_dataset_larger_than_its_file_is_not_read(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["vectors"]
        file.create_dataset("vectors", shape=(10**12, 4), dtype="f4")
    for read in (read_embeddings, read_header):
        with pytest.raises(StoreError, match="more than the file holds"):
            read(path)


def test_a_moved_file_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = path.with_name("fold-3.h5")
    path.rename(moved)
    [problem] = verify(moved)
    assert "says that it is mini/e.L3@0123456789ab/seed-1/fold-2.h5; move it back" in problem
    moved.rename(path)
    monkeypatch.chdir(path.parent)
    assert verify(Path(path.name)) == [], (
        "its place counts, not how it is named on the command line"
    )


@READERS
def test_a_missing_file_is_told(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(
        StoreNotFoundError,
        match="no such file; run extract-features or embeddings-store import first",
    ):
        read(tmp_path / "none.h5")
    assert "no such file" in verify(tmp_path / "none.h5")[0]


def test_ctrl_c_while_hdf5_writes_comes_after_a_whole_file(
    tmp_path: Path, made: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = store_path(tmp_path / "interrupted", "mini", made.encoder, made.fold)
    write = PatientFile.write

    def interrupted(file: PatientFile, data: Any) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return write(file, data)

    monkeypatch.setattr(PatientFile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_embeddings(target, made, ABOUT)
    assert_same(read_embeddings(target), made)


def test_rows_are_read_in_any_order(path: Path, made: Embeddings) -> None:
    rows = read_rows(path)
    places = np.array([7, 2, 11, 0])  # row 2 is missing
    np.testing.assert_array_equal(read_arranged(rows, places), made.vectors[places])
    for wrong in (np.array([1, 1]), np.array([0, 3, 0])):
        with pytest.raises(ValueError, match="each of them once"):
            read_arranged(rows, wrong)


def test_a_file_that_is_replaced_while_it_is_read_is_refused(path: Path, made: Embeddings) -> None:
    rows = read_rows(path)
    write_embeddings(path, replace(made, vectors=2 * made.vectors), ABOUT)
    with pytest.raises(StoreError, match="was replaced while it was read"):
        read_arranged(rows, np.arange(3))
