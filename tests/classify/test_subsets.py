"""Accuracy on subsets of the test rows and the look-up of transcripts, against plain pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from classify.commands.compare_results import main as compare
from classify.evaluation.predictions import read_parts
from classify.experiment import run_grid
from classify.grid.config import GridConfig
from classify.results.text_overlap import LOOK_UP, SUBSETS, subsets_table, write_subsets
from classify.terminal.text_overlap import show_subsets
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

CLASSES = ("anger", "happiness", "sadness")
ROWS = 90


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Write lines of a script that three sessions repeat, lines of their own, and silent turns."""
    rng = np.random.default_rng(5)
    y, session = np.arange(ROWS) % 3, np.arange(ROWS) // 3 % 3
    scripted = rng.random(ROWS) < 0.5
    text = [
        f"Line {'abc'[c]}{i % 5}!" if s else f"my own words {i}"
        for i, (c, s) in enumerate(zip(y, scripted, strict=True))
    ]
    text[7], text[8] = "", "..."
    manifest = Manifest.from_columns(
        "toy",
        {
            "id": [f"u{i:03d}" for i in range(ROWS)],
            "label": np.array(CLASSES)[y],
            "text": text,
            "session": [f"S{s}" for s in session],
            "group": [f"S{s}-{i % 4}" for i, s in enumerate(session)],
            "meta_kind": np.where(scripted, "scripted", "improvised"),
        },
        protocol="leave-one-session-out",
    )
    manifest.save(tmp_path / "store" / "toy")
    vectors = (np.eye(3)[y] + rng.normal(size=(ROWS, 3))).astype(np.float32)
    ref = EncoderRef("enc", "0" * 12, "text")
    marks = np.full(ROWS, "no")
    write_embeddings(
        store_path(tmp_path / "store", "toy", ref, "any"),
        Embeddings(manifest.ids, vectors, marks, np.full(ROWS, "ok"), np.full(ROWS, ""), ref),
        {
            "corpus": "toy",
            "inputs_digest": manifest.inputs_digest,
            "settings": {},
            "provenance": {},
        },
    )
    return tmp_path / "store"


def by_hand(store: Path, results: Path, cell: str) -> dict[str, tuple[int, float]]:
    """Rows and mean accuracy over folds of each subset, the long way."""
    rows = pd.read_parquet(results / "predictions.parquet").astype(
        {"role": str, "cell": str, "y_true": str, "y_pred": str}
    )
    about = Manifest.load(store / "toy").table.set_index("id")
    rows["text"] = (
        rows["id"]
        .map(about["text"])
        .str.lower()
        .str.replace(r"[^a-z0-9]+", " ", regex=True)
        .str.strip()
    )
    rows["kind"] = rows["id"].map(about["meta_kind"])
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in SUBSETS}
    for _, of_fold in rows[
        rows["cell"] == ("baseline majority" if cell == LOOK_UP else cell)
    ].groupby("fold"):
        train, test = of_fold[of_fold["role"] == "train"], of_fold[of_fold["role"] == "test"].copy()
        if cell == LOOK_UP:
            most = train["y_true"].value_counts().sort_index().idxmax()
            of_text = (
                train[train["text"] != ""]
                .groupby("text")["y_true"]
                .agg(lambda c: c.value_counts().sort_index().idxmax())
            )
            test["y_pred"] = test["text"].map(of_text).fillna(most)
        filled = test["text"] != ""
        seen = test["text"].isin(train["text"]) & filled
        for name, mask in (
            ("all", filled | True),
            ("text-seen", seen),
            ("text-unseen", filled & ~seen),
            ("improvised", test["kind"] == "improvised"),
        ):
            part = test[mask]
            found[name].append((len(part), float((part["y_true"] == part["y_pred"]).mean())))
    return {
        name: (sum(n for n, _ in parts), float(np.mean([wa for _, wa in parts])))
        for name, parts in found.items()
    }


def test_subsets_are_what_pandas_says(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run of the grid, many looks."""
    out = tmp_path / "results"
    result = run_grid(GridConfig(store, out, classifiers=("svm",), jobs=1))
    table = pd.read_csv(out / "subsets.csv")
    assert out / "subsets.csv" in result.files
    for cell in ("unimodal text svm", "baseline majority", LOOK_UP):
        lines = table[table["cell"] == cell].set_index("subset")
        for subset, (n, wa) in by_hand(store, out, cell).items():
            assert (lines.loc[subset, "n"], lines.loc[subset, "WA"]) == (n, pytest.approx(wa)), (
                cell,
                subset,
            )
    sizes = table[table["cell"] == LOOK_UP].set_index("subset")["n"]
    assert sizes["text-seen"] + sizes["text-unseen"] == ROWS - 2 == sizes["all"] - 2
    grid = pd.read_csv(out / "grid.csv")
    everything = table[table["subset"] == "all"].set_index("cell")["WA"]
    for cell, of_cell in grid.groupby("cell"):
        assert everything[cell] == pytest.approx(of_cell["WA"].mean())
    assert set(table["protocol"]) == {"leave-one-session-out"}
    console = Console(width=200, record=True, file=(tmp_path / "x").open("w"))
    with console.file:
        show_subsets(out, result.table.headline, console)
        text = console.export_text()
    assert "text-unseen" in text and "word for word" in text and "near-identical ones" in text
    assert LOOK_UP in text
    _without_words_only_kinds_are_told_apart(store, out)
    _two_results_are_compared(out, capsys)


def _without_words_only_kinds_are_told_apart(store: Path, out: Path) -> None:
    manifest = Manifest.load(store / "toy")
    silent = Manifest("toy", manifest.table.assign(text=""), manifest.labels)
    parts = list(read_parts(out / "predictions.parquet"))
    assert set(subsets_table(parts, silent, ("train",))["subset"]) == {"all", "improvised"}


def _two_results_are_compared(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare([str(out), str(out)]) == 0
    printed = capsys.readouterr().out
    assert "comparable: yes" in printed
    assert "the folds are the same, row by row" in printed
    assert (
        compare(
            [
                str(out / "grid.csv"),
                str(out),
                "--cell",
                "unimodal text svm",
                "--cell",
                "baseline majority",
            ]
        )
        == 0
    )
    assert compare([str(out), str(out), "--cell", "unimodal text svn"]) == 2
    assert "did you mean 'unimodal text svm'" in capsys.readouterr().err
    assert compare([str(out), str(out / "nowhere")]) == 3
    assert compare([str(out), str(out), *["--cell", "x"] * 3]) == 2


def test_a_corpus_that_can_say_nothing_gets_no_table(tmp_path: Path) -> None:
    (tmp_path / "subsets.csv").write_text("stale")
    manifest = Manifest.from_columns("m", {"id": ["a"], "audio": ["a.wav"]})
    assert write_subsets(tmp_path, [], manifest, ("train",), {}) == []
    assert not (tmp_path / "subsets.csv").exists()
