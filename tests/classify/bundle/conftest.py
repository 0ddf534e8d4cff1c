"""A bundle over the example store, exported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from classify.commands import run_fusion_grid
from embeddings_store import write_example_store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_example_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def exported(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle: a weighted mean of an SVM and a network."""
    out = tmp_path_factory.mktemp("exported")
    status = run_fusion_grid.main(
        [
            *("--store", str(store), "--out", str(out / "results"), "--jobs", "1", "--quiet"),
            *("--early", "none", "--late", "none", "--classifiers", "svm"),
            *("--valid", "none", "--system", "both = weighted(svm(audio), nn(text, epochs=3))"),
            *("--export-model", str(out / "model"), "--export-cell", "both"),
        ]
    )
    assert status == 0
    return out / "model"
