"""A column of long text goes through a text encoder like any transcript, as its own modality."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreMismatchError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.catalogue import catalogue
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands.extract_features import main
from extract.encoders.registry import REGISTRY
from tests.extract.tiny_encoders import save

WORDS = ("low", "high", "long", "short", "walk", "talk")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights."""
    return save(
        next(s for s in REGISTRY if s.name == "bert-base-uncased"), tmp_path_factory.mktemp("model")
    )


def corpus(folder: Path, change: str = "") -> Path:
    """Twelve rows of two speakers a session; the history of row 3 is missing."""
    rows = pd.DataFrame(
        {
            "id": [f"u{i:02d}" for i in range(12)],
            "text": [WORDS[i % 6] for i in range(12)],
            "label": ["sad", "happy"] * 6,
            "session": [f"s{i // 4}" for i in range(12)],
            "meta_history": [f"{WORDS[i % 5]} {WORDS[(i + 1) % 6]}" for i in range(12)],
            "meta_age": range(12),
        }
    )
    rows.loc[3, "meta_history"] = ""
    if change:
        rows.loc[0, "meta_history"] = change
    folder.mkdir(exist_ok=True)
    rows.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def extract(rows: Path, store: Path, model: Path, *options: str) -> int:
    return main(
        [
            "--corpus",
            "manifest",
            "--root",
            str(rows),
            "--corpus-name",
            "c",
            "--store",
            str(store),
            "--modality",
            "text",
            "--encoder",
            str(model),
            "--quiet",
            *options,
        ]
    )


def test_the_column_is_what_is_encoded(tmp_path: Path, model: Path) -> None:
    rows, store = corpus(tmp_path / "in"), tmp_path / "store"
    assert extract(rows, store, model, "--frozen") == 0
    assert extract(rows, store, model, "--frozen", "--text-column", "meta_history") == 0
    entries = {e.ref.modality: e for e in catalogue(store, "c")}
    assert set(entries) == {"text", "meta_history"}
    spoken, history = (read_embeddings(entries[m].path) for m in ("text", "meta_history"))
    assert history.status.tolist() == ["ok"] * 3 + ["missing"] + ["ok"] * 8
    assert "meta_history" in history.reason[3]
    table = pd.read_csv(rows, keep_default_na=False)
    table.assign(text=table["meta_history"]).to_csv(rows.with_name("swapped.csv"), index=False)
    assert extract(rows.with_name("swapped.csv"), tmp_path / "plain", model, "--frozen") == 0
    plain = read_embeddings(next(e.path for e in catalogue(tmp_path / "plain", "c")))
    np.testing.assert_array_equal(plain.vectors, history.vectors)
    assert not np.array_equal(np.nan_to_num(spoken.vectors), np.nan_to_num(history.vectors))
    manifest = Manifest.load(store / "c")
    views = {m: e.ref for m, e in entries.items()}
    fold = load_fold(
        FoldRequest(store, "c", views, make_plan(manifest, "leave-one-session-out"), 1)
    )
    assert set(fold.train.vectors) == {"text", "meta_history"}


def test_fine_tuned_too(tmp_path: Path, model: Path) -> None:
    rows, store = corpus(tmp_path / "in"), tmp_path / "store"
    assert (
        extract(
            rows,
            store,
            model,
            "--fold",
            "1",
            "--folds",
            "leave-one-session-out",
            "--epochs",
            "1",
            "--text-column",
            "meta_history",
        )
        == 0
    )
    entry = catalogue(store, "c")[0]
    assert entry.ref.modality == "meta_history" and entry.has_scores
    assert read_embeddings(entry.path).status[3] == "missing"


def test_another_column_makes_other_vectors_stale(tmp_path: Path, model: Path) -> None:
    rows, store = corpus(tmp_path / "in"), tmp_path / "store"
    assert extract(rows, store, model, "--frozen", "--text-column", "meta_history") == 0
    (store / "c" / "corpus.json").unlink()
    Manifest.read(corpus(tmp_path / "in", "something else"), "c").enter(store)
    manifest, entry = Manifest.load(store / "c"), catalogue(store, "c")[0]
    with pytest.raises(StoreMismatchError, match="other inputs"):
        load_fold(
            FoldRequest(
                store,
                "c",
                {"meta_history": entry.ref},
                make_plan(manifest, "leave-one-session-out"),
                1,
            )
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--text-column", "meta_histroy"), "did you mean"),
        (("--text-column", "meta_age"), "run-fusion-grid --metadata meta_age"),
    ],
)
def test_a_column_that_cannot_be_read(
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    assert extract(corpus(tmp_path / "in"), tmp_path / "store", model, "--frozen", *options) == 2
    assert message in capsys.readouterr().err
