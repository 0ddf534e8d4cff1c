"""The whole way on generated releases with every defect.

Vectors of what is whole, reasons for what is not, and tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_encoders

from classify.commands.run_fusion_grid import main as classify
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands.extract_features import main as extract
from extract.corpora import _notes as kinds
from extract.corpora import read_corpus
from extract.corpora.generated import FAILS, RELEASES, Planted
from extract.encoders import REGISTRY

ENCODERS = {"text": "bert-base-uncased", "audio": "whisper-tiny", "video": "videomae-base"}
# One modality of each release in every run of the tests; all of them behind the slow marker.
QUICK = {
    "avamerg": "video",
    "cremad": "audio",
    "emodb": "audio",
    "iemocap": "audio",
    "meld": "text",
    "ravdess": "audio",
    "reels": "video",
    "savee": "audio",
    "tess": "audio",
}
SOUND_ALONE = ("emodb", "savee", "tess")
WITHOUT_WORDS = ("reels", "savee")
FOLDS = {
    "tess": ["--folds", "leave-one-speaker-out", "--valid", "none"],
    # nine dialogues have labels, and the video of one is among the planted defects
    "avamerg": ["--folds", "group-kfold:3", "--valid", "none"],
}
PAIRS = [
    pytest.param(corpus, modality, marks=[] if QUICK[corpus] == modality else pytest.mark.slow)
    for corpus in sorted(RELEASES)
    for modality in ("text", "audio", "video")
    if not (corpus in SOUND_ALONE and modality == "video")
    and not (corpus in WITHOUT_WORDS and modality == "text")
]
GRID = ["--classifiers", "svm", "--early", "none", "--late", "none", "--jobs", "1", "--quiet"]
Encoder = Callable[[str], Path]
Make = Callable[[str, bool], tuple[Path, tuple[Planted, ...]]]


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A tiny real model for each modality, with random weights."""
    folder, there = tmp_path_factory.mktemp("encoders"), dict[str, Path]()

    def make(modality: str) -> Path:
        if modality not in there:
            [spec] = [row for row in REGISTRY if row.name == ENCODERS[modality]]
            there[modality] = tiny_encoders.save(spec, folder)
        return there[modality]

    return make


@pytest.mark.parametrize(("corpus", "modality"), PAIRS)
@pytest.mark.telling
def test_from_a_spoilt_release_to_tables(
    corpus: str,
    modality: str,
    encoder: Encoder,
    made: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    release, planted = made(corpus, True)
    manifest = read_corpus(corpus, release)
    spoilt = {
        defect.where for defect in planted if defect.comes_to in {FAILS, kinds.POINTER, kinds.EMPTY}
    }
    rows = manifest.ids[np.isin(manifest.column(modality), sorted(spoilt))].tolist()
    status = extract(
        [
            "--corpus",
            corpus,
            "--root",
            str(release),
            "--modality",
            modality,
            "--encoder",
            str(encoder(modality)),
            "--frozen",
            "--store",
            str(tmp_path / "store"),
        ]
    )
    shown = capsys.readouterr()
    assert status == (4 if rows else 0), shown.err
    file = read_embeddings(Path(shown.out.split()[-1]))
    assert file.ids[file.status == "failed"].tolist() == rows
    assert (
        file.ids[file.status == "missing"].tolist()
        == manifest.ids[manifest.column(modality) == ""].tolist()
    )
    assert (file.status == "ok").sum() > len(manifest) // 2
    assert not np.isfinite(file.vectors[file.status != "ok"]).any(), "nothing is filled in"
    assert all(
        re.search("cut short|LFS pointer|empty|torn|cannot be decoded", reason)
        for reason in file.reason[file.status == "failed"]
    )
    arguments = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "results"), *GRID]
    arguments += FOLDS.get(corpus, [])
    assert classify(arguments) == 0, capsys.readouterr().err
    assert (tmp_path / "results" / "grid.csv").is_file()


def test_a_clip_without_a_face_fails_and_is_counted(
    encoder: Encoder, made: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2", reason="needs the extra 'face'")
    status = extract(
        [
            "--corpus",
            "cremad",
            "--root",
            str(made("cremad", False)[0]),
            "--modality",
            "video",
            "--region",
            "face",
            "--encoder",
            str(encoder("video")),
            "--frozen",
            "--store",
            str(tmp_path / "store"),
        ]
    )
    shown = capsys.readouterr()
    file = read_embeddings(Path(shown.out.split()[-1]))
    failed = file.status == "failed"
    assert status == 4 and 0 < failed.sum() < len(file.ids), (
        "a cascade sees faces in some of these drawings and not in others"
    )
    assert all(
        "no face in any of" in reason or "a face in only" in reason
        for reason in file.reason[failed]
    )
    assert f"{failed.sum()} clips failed" in shown.err
    assert (
        file.attributes["settings"]["region"] == "face"
        and "haarcascade" in file.attributes["settings"]["face_detector"]
    )
