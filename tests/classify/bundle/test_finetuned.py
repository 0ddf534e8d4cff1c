"""A bundle over an encoder that was fine-tuned brings it, and it makes the same vectors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from classify import EmotionModel, read_bundle
from classify.bundle.folder import FILES, MANIFEST, _manifest_text
from classify.commands import run_fusion_grid
from embeddings_store.errors import StoreError, UsageError
from embeddings_store.provenance import file_digest
from embeddings_store.vectors.catalogue import catalogue
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands import extract_features
from extract.corpora.demo import own_encoders
from tests.classify.bundle.test_predict import RATE, TONES, tone

pytestmark = pytest.mark.telling
GRID = ["--jobs", "1", "--quiet", "--early", "none", "--late", "none", "--folds", "speaker-kfold:3"]


def export(folder: Path, *more: str) -> int:
    places = ["--store", str(folder / "store"), "--out", str(folder / "results")]
    return run_fusion_grid.main([*GRID, *places, "--export-model", str(folder / "model"), *more])


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips, a store of three folds and fold final, and the model."""
    folder = tmp_path_factory.mktemp("tuned")
    rows = []
    for number in range(18):
        label = list(TONES)[number % 2]
        soundfile.write(folder / f"c{number:02d}.wav", tone(label, 1.0, number), RATE)
        rows.append({"id": f"c{number:02d}", "label": label, "audio": f"c{number:02d}.wav"})
        rows[-1]["speaker"] = f"s{number // 2 % 3}"
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    encoder = own_encoders(folder / "encoders")["audio"]
    corpus = ["--corpus", "manifest", "--root", str(folder / "rows.csv"), "--corpus-name", "tones"]
    how = ["--modality", "audio", "--encoder", str(encoder), "--store", str(folder / "store")]
    train = ["--epochs", "1", "--batch-size", "6"]
    folds = ["--folds", "speaker-kfold:3"]
    assert extract_features.main([*corpus, *how, *train, *folds, "--fold", "all"]) == 0
    assert export(folder, "--classifiers", "nn", "--export-cell", "unimodal audio nn") == 2
    assert extract_features.main([*corpus, *how, *train, "--fold", "final"]) == 0
    assert export(folder, "--classifiers", "nn", "--export-cell", "unimodal audio nn") == 0
    return folder


def test_it_makes_the_vectors_of_its_training(tuned: Path, tmp_path: Path) -> None:
    """Without the store of the training, and without being told of an encoder."""
    moved = Path(shutil.copytree(tuned / "model", tmp_path / "model"))
    media = tmp_path / "media"
    media.mkdir()
    for clip in ("c03.wav", "c07.wav"):
        shutil.copy(tuned / clip, media / clip)
    found = EmotionModel.load(moved).predict_many([media], store=tmp_path / "store")
    assert [timeline.answered for timeline in found.timelines] == [1, 1]
    (made,) = catalogue(tmp_path / "store", next(p.name for p in (tmp_path / "store").iterdir()))
    (final,) = [e for e in catalogue(tuned / "store", "tones") if e.fold == "final"]
    vectors = read_embeddings(final.path)
    rows = [vectors.ids.tolist().index(name) for name in ("c03", "c07")]
    np.testing.assert_allclose(
        read_embeddings(made.path).vectors, vectors.vectors[rows], rtol=0, atol=1e-5
    )


def test_what_learns_from_scores_is_refused(tuned: Path, capsys: pytest.CaptureFixture) -> None:
    for classifier in ("svm",):
        cell = ["--classifiers", classifier, "--export-cell", f"unimodal audio {classifier}"]
        shutil.rmtree(tuned / "other", ignore_errors=True)
        status = run_fusion_grid.main(
            [*GRID, "--store", str(tuned / "store"), "--out", str(tuned / "results"), *cell,
             "--export-model", str(tuned / "other")]
        )  # fmt: skip
        assert status == 2
        assert "fine-tuned encoders have seen every row" in capsys.readouterr().err


def test_an_encoder_of_ones_own_is_refused(tuned: Path) -> None:
    with pytest.raises(UsageError, match="brings its own audio encoder"):
        EmotionModel.load(tuned / "model", {"audio": "elsewhere"})


def test_altered_added_and_absent_files_of_an_encoder_are_refused(
    tuned: Path, tmp_path: Path
) -> None:
    own = list((tuned / "model" / "encoders" / "0").iterdir())
    assert {"config.json", "model.safetensors"} <= {path.name for path in own}
    folder = Path(shutil.copytree(tuned / "model", tmp_path / "model"))
    weights = folder / "encoders" / "0" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(StoreError, match="is not what was written"):
        read_bundle(folder)
    weights.unlink()
    with pytest.raises(StoreError, match="incomplete"):
        read_bundle(folder)
    for name in ("encoders/0/model.py", "encoders/0/../../x.json", "encoders/0/pytorch_model.bin"):
        sizes = {each: json.loads((folder / MANIFEST).read_text())["files"][each] for each in FILES}
        (folder / name).write_bytes(b"{}")
        sizes[name] = {"bytes": 2, "sha256": file_digest(folder / name)}
        (folder / MANIFEST).write_text(_manifest_text(sizes))
        with pytest.raises(StoreError, match="is no file of a bundle"):
            read_bundle(folder)
