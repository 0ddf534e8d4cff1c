"""FORMAT.md against what is really written, and the golden stores against what is read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from embeddings_store import provenance
from embeddings_store.corpus import columns, manifest
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.plan import ROLES, FoldPlan
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors import hdf5
from embeddings_store.vectors.arrays import SEEN, STATUS, Embeddings, EncoderRef
from embeddings_store.vectors.catalogue import catalogue, corpora
from embeddings_store.vectors.hdf5 import read_embeddings, read_header, verify, write_embeddings

FORMAT = resources.files("embeddings_store").joinpath("FORMAT.md").read_text(encoding="utf-8")
GOLDEN = sorted(path for path in (Path(__file__).parents[1] / "golden").glob("v*") if path.is_dir())


def table(header: str) -> list[list[str]]:
    """The rows of the table in FORMAT.md whose header begins so."""
    lines = FORMAT.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(header))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.fixture
def file(tmp_path: Path, embeddings: Callable[..., Embeddings]) -> h5py.File:
    made = embeddings(fold="2", classes=("x", "ÿ"), inputs=True, missing=(1,))
    about = {
        "corpus": "mini",
        "inputs_digest": "d",
        "settings": {"a": 1},
        "provenance": provenance.collect("x"),
        "weights_digest": "w",
        "seen_spec": "none",
        "plan": "split",
        "plan_digest": "p",
    }
    write_embeddings(tmp_path / "x.h5", made, about)
    with h5py.File(tmp_path / "x.h5") as opened:
        yield opened


def test_attributes_are_those_of_the_document(file: h5py.File) -> None:
    documented = {name: kind for name, kind, *_ in table("| attribute |")}
    assert documented.keys() == set(file.attrs)
    for name, kind in documented.items():
        value = file.attrs[name]
        assert isinstance(value, np.integer if kind == "integer" else np.bytes_), name
        assert kind != "json" or isinstance(json.loads(value), dict | list), name
    assert {row[0] for row in table("| attribute |") if row[2] == "yes"} == set(
        hdf5.REQUIRED_ATTRIBUTES
    )
    assert {row[0] for row in table("| attribute |") if row[1] == "json"} == set(
        hdf5.JSON_ATTRIBUTES
    )


def test_datasets_are_those_of_the_document(file: h5py.File) -> None:
    documented = table("| dataset |")
    assert [row[0] for row in documented] == [
        "ids",
        "vectors",
        "seen",
        "status",
        "reason",
        "scores",
        "inputs",
    ]
    assert {row[0] for row in documented} == set(file)
    sizes = {"N": 12, "D": 4, "C": 2}
    for name, kind, shape, needed, _ in documented:
        dataset = file[name]
        assert dataset.dtype.str[1:] == "f4" if kind == "float32" else dataset.dtype.kind == "S"
        assert dataset.shape == tuple(sizes[letter] for letter in re.findall(r"[NDC]", shape))
        assert (needed == "yes") == (name in hdf5.REQUIRED)
        assert dataset.chunks is None
        assert dataset.compression is None
        assert kind == "float32" or dataset.dtype.itemsize == max(1, *(len(v) for v in dataset[:]))


def test_words_and_columns_are_those_of_the_document() -> None:
    assert {row[0] for row in table("| seen | meaning |")} == set(SEEN)
    assert all(f"`{word}`" in FORMAT for word in (*STATUS, *ROLES))
    documented = {row[0]: row[1] for row in table("| column |")}
    assert documented == dict.fromkeys(columns.STRINGS, "string") | dict.fromkeys(
        columns.TIMES, "float64"
    )
    assert f"`{' '.join(manifest.INPUTS)}`" in " ".join(FORMAT.split())


def test_the_record_of_a_corpus_is_that_of_the_document(tmp_path: Path, manifest: Manifest) -> None:
    manifest.save(tmp_path / "mini")
    assert {row[0] for row in table("| key |")} == set(
        json.loads((tmp_path / "mini" / "corpus.json").read_text())
    )


def test_both_digests_can_be_computed_from_the_document_alone(file: h5py.File) -> None:
    hasher = hashlib.sha256()
    for name, *_ in table("| dataset |"):
        values = file[name][:]
        hasher.update(f"{name}{values.dtype.str}{values.shape}".encode() + values.tobytes())
    assert hasher.hexdigest()[:12] == file.attrs["digest"].decode()
    kinds = {row[0]: row[1] for row in table("| attribute |")}
    plain = {
        name: json.loads(value)
        if kinds[name] == "json"
        else value.decode()
        if kinds[name] == "text"
        else int(value)
        for name, value in file.attrs.items()
        if name != "header_digest"
    }
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == file.attrs["header_digest"].decode()


def test_the_manifests_digest_can_be_computed_from_the_document_alone() -> None:
    made = Manifest.from_columns(
        "m", {"id": ["ü", "b"], "text": ["", "xy"], "start_s": [np.nan, -0.0]}
    )
    hasher = hashlib.sha256(b"2 rows")
    for name, cells in (
        ("id", [b"\xc3\xbc", b"b"]),
        ("text", [b"", b"xy"]),
        ("audio", [b"", b""]),
        ("video", [b"", b""]),
    ):
        lengths = np.array([len(cell) for cell in cells], dtype="<i8").tobytes()
        hasher.update(f"\0{len(name)} {name} utf-8\0".encode() + lengths + b"".join(cells))
    for name, numbers in (("start_s", [np.nan, 0.0]), ("end_s", [np.nan, np.nan])):
        hasher.update(
            f"\0{len(name)} {name} <f8\0".encode() + np.array(numbers, dtype="<f8").tobytes()
        )
    assert made.inputs_digest == hasher.hexdigest()[:12]


# Golden stores: a folder tests/golden/v<N> becomes a test by being there.


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    return request.param / "store", json.loads(
        (request.param / "expected.json").read_text(encoding="utf-8")
    )


def test_there_is_a_golden_store_for_every_version() -> None:
    assert [path.name for path in GOLDEN] == [f"v{n}" for n in range(1, hdf5.VERSION + 1)]
    assert sum(
        p.stat().st_size for folder in GOLDEN for p in folder.rglob("*") if p.is_file()
    ) < 100_000 * len(GOLDEN)


def test_golden_vectors_are_read(golden: tuple[Path, dict[str, Any]]) -> None:
    store, expected = golden
    assert {p.relative_to(store).as_posix() for p in store.rglob("*.h5")} == set(expected["files"])
    for name, facts in expected["files"].items():
        assert verify(store / name) == []
        made = read_embeddings(store / name)
        ids = expected["corpora"][made.attributes["corpus"]]["ids"]
        assert made.ids.tolist() == ids
        ref = made.encoder
        assert (ref.modality, ref.layer, ref.seed, made.fold) == tuple(
            facts[k] for k in ("modality", "layer", "seed", "fold")
        )
        assert list(made.classes) == facts["classes"]
        for key in ("seen", "status", "reason"):
            assert getattr(made, key).tolist() == facts[key]
        assert (made.inputs.tolist() if made.inputs is not None else None) == facts["inputs"]
        for key in ("vectors", "scores"):
            values, wanted = getattr(made, key), facts[key]
            assert (values is None) == (wanted is None)
            assert values is None or np.array_equal(
                values, np.array(wanted, dtype=np.float32), equal_nan=True
            )
        assert read_header(store / name)["ok"] == facts["status"].count("ok")


def test_golden_corpora_are_read(golden: tuple[Path, dict[str, Any]]) -> None:
    store, expected = golden
    assert corpora(store) == sorted(expected["corpora"])
    for name, facts in expected["corpora"].items():
        made = Manifest.load(store / name)
        assert made.ids.tolist() == facts["ids"]
        assert made.codes().tolist() == facts["codes"]
        assert made.protocol == facts["protocol"]
        assert made.labels is not None
        assert list(made.labels.classes) == facts["classes"]
        assert {k: getattr(made, k) for k in ("digest", "inputs_digest")}.items() >= {
            k: facts[k] for k in ("digest", "inputs_digest") if k in facts
        }.items()
    klein = Manifest.load(store / "klein").table
    row = klein.loc[3, ["text", "audio", "start_s", "meta_note", "meta_age"]]
    assert row.tolist() == ["Satz 3, „so“", "ton/3.wav", 1.5, "α", 23]
    assert pd.isna(klein.loc[3, "end_s"])


def test_a_golden_plan_is_read_and_made_again(golden: tuple[Path, dict[str, Any]]) -> None:
    store, expected = golden
    facts = expected["plan"]
    plan = FoldPlan.load(store / facts["file"])
    assert plan.digest == facts["digest"] == make_plan(Manifest.load(store / "klein")).digest
    assert [fold.name for fold in plan] == facts["names"]
    assert [[ROLES[r] for r in fold.roles] for fold in plan] == facts["roles"]


def test_a_golden_fold_is_loaded(golden: tuple[Path, dict[str, Any]]) -> None:
    store, expected = golden
    views: dict[str, EncoderRef] = {
        entry.ref.modality: entry.ref for entry in catalogue(store, "klein")
    }
    assert set(views) == {"text", "audio", "video"}
    data = load_fold(
        FoldRequest(store, "klein", views, FoldPlan.load(store / expected["plan"]["file"]), 2)
    )
    assert [len(data.role(r)) for r in ("train", "valid", "test")] == [4, 3, 3]
    assert data.test.ids.tolist() == [expected["corpora"]["klein"]["ids"][i] for i in (4, 5, 7)]
    assert data.test.y.tolist() == [1, 0, 1]
    assert {name: mask.tolist() for name, mask in data.test.present.items()} == {
        "text": [True, False, True],
        "audio": [True, True, False],
        "video": [True, True, True],
    }
    assert data.test.scores["text"][0].tolist() == [8.0, 8.25]
    assert data.train.vectors["video"][1].tolist() == [1.0, 1.125, 1.25]
    assert data.train.fitted.all()
    assert data.unverified == (), "only training rows of the video encoder are unknown"
