"""``--choose auto`` and ``--fit-rows auto``: as much as the encoders of a run, or a cell, allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classify.commands import run_fusion_grid as grid
from classify.grid.config import GridConfig
from classify.grid.prepare import prepare
from classify.results.table import ResultTable
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

MakeStore = Callable[..., Path]


def config(store: Path, **how: object) -> GridConfig:
    given = {"classifiers": ("svm",), "early": ("concatenation",), "late": ("mean",), "jobs": 1}
    return GridConfig(store=store, out=store.parent / "results", **{**given, **how})  # type: ignore[arg-type]


def add_frozen(store: Path) -> None:
    """Put vectors of a frozen encoder beside those that are there."""
    manifest = Manifest.load(store / "toy")
    rows, ref = len(manifest), EncoderRef("frozen", "f" * 12, "video", -1)
    drawn = np.random.default_rng(3).normal(size=(rows, 5))
    vectors = (drawn + manifest.codes()[:, None]).astype(np.float32)
    ok, nothing = np.full(rows, "ok"), np.full(rows, "", dtype="U1")
    write_embeddings(
        store_path(store, "toy", ref, "any"),
        Embeddings(manifest.ids, vectors, np.full(rows, "no"), ok, nothing, ref),
        {
            "corpus": "toy",
            "inputs_digest": manifest.inputs_digest,
            "settings": {"family": "frozen"},
            "provenance": {},
        },
    )


def test_frozen_encoders_let_inner_folds_choose(make_store: MakeStore) -> None:
    store = make_store(apart=0.6)
    mine, inner = prepare(config(store, choose="auto")), prepare(config(store, choose="inner"))
    assert mine.config == inner.config
    refs = {modality: layers[0] for modality, layers in mine.views.items()}
    assert mine.source.fold(1, refs) == inner.source.fold(1, refs)
    assert any(note.startswith("inner folds choose") for note in mine.notes)


def test_in_one_grid_cells_are_fitted_on_what_their_encoders_allow(
    make_trained: MakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_trained(modalities=("audio",))
    add_frozen(store)
    out = store.parent / "mixed"
    options = ["--store", str(store), "--jobs", "1", "--classifiers", "svm"]
    options += ["--early", "concatenation", "--late", "mean"]
    assert grid.main([*options, "--out", str(out), "--choose", "auto"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no inner folds, because encoders of audio were fitted on rows" in said
    assert "fitted on train+valid; train" in said or "fitted on train; train+valid" in said
    rows = ResultTable.read(out / "grid.csv").rows
    rows = rows[rows["family"] != "baseline"]
    fitted = rows["modalities"].str.contains("audio").map({True: "train", False: "train+valid"})
    assert rows["fit_rows"].tolist() == fitted.tolist()
    assert set(fitted) == {"train", "train+valid"}
    for fit_rows, modality in (("train", "audio"), ("train+valid", "video")):
        alone = store.parent / fit_rows
        given = ["--out", str(alone), "--fit-rows", fit_rows]
        assert grid.main([*options, *given]) == 0
        other = ResultTable.read(alone / "grid.csv").rows.set_index(["cell", "fold"])
        for _, row in rows[rows["modalities"] == modality].iterrows():
            same = other.loc[(row["cell"], row["fold"])]
            for figure in ("WA", "UAR", "valid_WA", "n_fit"):
                assert row[figure] == same[figure], (row["cell"], figure)


def test_rows_that_may_not_be_fitted_on_are_left_to_choose(make_store: MakeStore) -> None:
    store = make_store(split=True, seen="fit")
    prepared = prepare(config(store, choose="auto", early=(), late=()))
    assert prepared.config.choose == "valid"
    assert not any(prepared.fits_on_both(1, refs) for refs in prepared.views.values())


def test_what_auto_decides_is_not_given_beside_it(make_store: MakeStore) -> None:
    found = config(make_store())
    with pytest.raises(UsageError, match=r"--choose auto chooses in inner folds .* leave out"):
        replace(found, choose="auto", fit_rows="train+valid")
