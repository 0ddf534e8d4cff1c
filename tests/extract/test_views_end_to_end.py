"""From files to a grid over frozen layers and a fine-tuned encoder of one modality, by commands.

Nothing is exported or imported on the way, so every row of the results knows what made its vectors.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import tiny_encoders
import tuning

from classify.commands import audit_leakage, run_fusion_grid
from embeddings_store.vectors.catalogue import Entry, catalogue
from extract.commands import extract_features

pytestmark = pytest.mark.telling
LAYERS = 3  # of a tiny model: what goes into the first block, and what comes out of each


def run(main, *options: object) -> None:
    assert main([str(option) for option in options]) == 0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layer of a frozen encoder of text, and another one that was fine-tuned per fold."""
    folder = tmp_path_factory.mktemp("views")
    rows = tuning.write_corpus(folder / "c", text=tuning.items("text"))
    frozen = tiny_encoders.save(tuning.spec_named("distilbert-base-uncased"), folder)
    tuned = tiny_encoders.save(tuning.spec_named("bert-base-uncased"), folder)
    common = ["--corpus", "manifest", "--root", rows, "--modality", "text", "--device", "cpu"]
    common += ["--store", folder / "e"]
    extract = extract_features.main
    run(extract, *common, "--encoder", frozen, "--frozen", "--layer", "all")
    training = ["--epochs", "1", "--batch-size", "4", "--fold", "all"]
    run(extract, *common, "--encoder", tuned, *training)
    return folder / "e"


def entries_of(store: Path, name: str) -> list[Entry]:
    return [e for e in catalogue(store, "rows") if e.ref.name.startswith(name)]


def grid(store: Path, out: Path, *options: object) -> pd.DataFrame:
    fixed = ["--store", store, "--out", out, "--classifiers", "svm", "--jobs", 1, "--quiet"]
    fixed += ["--early", "concatenation", "--late", "mean"]
    run(run_fusion_grid.main, *fixed, *options)
    return pd.read_csv(out / "grid.csv", keep_default_na=False)


def views_and_folders(row: pd.Series) -> dict[str, str]:
    return dict(pair.split("=") for pair in row["encoders"].split(","))


def test_frozen_layers_and_a_fine_tuned_encoder_stand_beside_each_other(
    store: Path, tmp_path: Path
) -> None:
    frozen, tuned = "distilbert-base-uncased", "bert-base-uncased"
    views = ["--view", f"text:{frozen}.Lall", "--view", f"tuned=text:{tuned}"]
    rows = grid(store, tmp_path / "r", *views)
    folders = {e.ref.layer: e.ref.folder for e in entries_of(store, frozen)}
    assert len(folders) == LAYERS
    [of_tuned] = {e.ref.folder for e in entries_of(store, tuned)}
    expected = {f"text:{frozen}.L{layer}": folder for layer, folder in sorted(folders.items())}
    expected["tuned"] = of_tuned

    fused = rows[rows["family"] == "early"]
    assert len(fused) == tuning.SESSIONS
    for _, row in fused.iterrows():
        assert views_and_folders(row) == expected
        assert row["selection_rule"] == "none+valid-session"
        assert row["n_fit_seen"] == row["n_fit"] > 0
    for view, folder in expected.items():
        of_view = rows[(rows["modalities"] == view) & (rows["classifier"] == "svm")]
        assert len(of_view) == tuning.SESSIONS
        is_tuned = view == "tuned"
        for _, row in of_view.iterrows():
            assert views_and_folders(row) == {view: folder}
            assert row["selection_rule"] == ("valid-session" if is_tuned else "none")
            assert (row["n_fit_seen"] > 0) == is_tuned
            assert row["n_test_selected"] == 0
    own = rows[(rows["family"] == "unimodal") & (rows["classifier"] != "svm")]
    sources = dict(zip(own["modalities"], own["classifier"], strict=True))
    assert sources == {view: "head" if view == "tuned" else "probe" for view in expected}
    assert set(rows.loc[rows["family"] == "late", "scores_from"]) == {
        ",".join(f"{view}={source}" for view, source in sources.items())
    }
    run(audit_leakage.main, "--store", store, "--results", tmp_path / "r")


def test_the_layers_of_one_of_several_encoders_stand_for_the_modality(
    store: Path, tmp_path: Path
) -> None:
    name = "distilbert-base-uncased"
    layers = ["--layers", "all", "--layers-as", "stack", "--encoder", f"text={name}"]
    fixed = ["--store", store, "--out", tmp_path / "r", "--classifiers", "svm", "--jobs", 1]
    run(run_fusion_grid.main, *fixed, "--quiet", *layers)
    rows = pd.read_csv(tmp_path / "r" / "grid.csv", keep_default_na=False)
    stacked = rows[rows["cell"] == f"unimodal text[stack of {LAYERS} layers] rule"]
    assert len(stacked) == tuning.SESSIONS
    folders = [e.ref.folder for e in sorted(entries_of(store, name), key=lambda e: e.ref.layer)]
    for _, row in stacked.iterrows():
        assert list(views_and_folders(row).values()) == folders
        assert (row["verified"], row["selection_rule"], row["n_fit_seen"]) == (
            "verified",
            "none",
            0,
        )
