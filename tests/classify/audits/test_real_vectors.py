"""Real vectors: clean corpora are not accused, copies that were planted into them are found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from classify.commands import audit_leakage
from embeddings_store.exchange.interchange import ImportJob, import_vectors

Sound = NDArray[np.float64]
JUDGES = ("vectors", "too-good")
COPIES = 40


def audited(store: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    audit_leakage.main(["--store", str(store), "--json", *options])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["checks"]
    return found


@pytest.fixture(scope="module")
def mosi(shared: Path) -> tuple[pd.DataFrame, dict[str, NDArray[Any]]]:
    """CMU-MOSI's rows and vectors."""
    folder = shared / "data" / "mosi"
    with np.load(folder / "features.npz") as arrays:
        return pd.read_csv(folder / "rows.csv", dtype=str), dict(arrays)


def import_mosi(rows: pd.DataFrame, arrays: dict[str, NDArray[Any]], folder: Path) -> Path:
    folder.mkdir()
    rows.to_csv(folder / "rows.csv", index=False)
    np.savez(folder / "features.npz", **arrays)
    store = folder / "store"
    job = ImportJob(
        folder / "features.npz", store, "split:train", rows=folder / "rows.csv", corpus="mosi"
    )
    import_vectors(job)
    return store


@pytest.mark.parametrize("folds", ["split", "group-kfold:5"])
def test_mosi_is_not_accused(
    folds: str,
    mosi: tuple[pd.DataFrame, dict[str, NDArray[Any]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = audited(import_mosi(*mosi, tmp_path / "m"), capsys, "--folds", folds)
    assert {found[name]["verdict"] for name in JUDGES} == {"clean"}


@pytest.mark.parametrize("view", ["audio", "text", "video"])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_copies_that_are_planted_into_mosi(
    view: str,
    gain: float,
    mosi: tuple[pd.DataFrame, dict[str, NDArray[Any]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows, arrays = mosi
    vectors = arrays[view].copy()
    tested, trained = (np.flatnonzero(rows["split"] == name)[:COPIES] for name in ("test", "train"))
    noise = np.random.default_rng(0).standard_normal((COPIES, vectors.shape[1]))
    vectors[tested] = gain * vectors[trained] + 0.02 * vectors.std(axis=0) * noise
    found = audited(import_mosi(rows, {**arrays, view: vectors}, tmp_path / "m"), capsys)["vectors"]
    assert found["verdict"] == "caution" and found["number"].endswith(f"({view})")
    assert found["share"] == pytest.approx(COPIES / 752, abs=0.012)


CHANGES: dict[str, Callable[[Sound], Sound]] = {
    "half as loud": lambda sound: 0.5 * sound,
    "twice as loud": lambda sound: np.clip(2 * sound, -1, 1),
    "a tenth of a second cut": lambda sound: sound[1600:],
    "as a telephone": lambda sound: np.asarray(
        sosfilt(butter(4, 3400, fs=16000, output="sos"), sound)
    ),
}


@pytest.mark.slow
def test_real_clips_and_their_copies_through_whisper(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six actors of RAVDESS as they are; then copies of the sixth's clips among the others."""
    import soundfile

    from extract.commands import extract_features

    media, rows = tmp_path / "media", []
    for clip in sorted((shared / "data" / "ravdess").glob("Actor_0[1-6]/*.flac")):
        place = media / f"{clip.stem}.flac"
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(clip, place)
        split = "test" if clip.parent.name == "Actor_06" else "train"
        rows.append((clip.stem, clip.stem[6:8], clip.parent.name, split, place.name))
    columns = ["id", "label", "speaker", "split", "audio"]
    held_out = [row for row in rows if row[3] == "test"][:COPIES]

    def judge(name: str, table: list[tuple[str, ...]]) -> dict[str, Any]:
        manifest = media / f"{name}.csv"
        pd.DataFrame(table, columns=columns).to_csv(manifest, index=False)
        store = tmp_path / name
        frozen = ["--modality", "audio", "--frozen", "--quiet"]
        encoder = ["--encoder", str(shared / "models" / "whisper-tiny")]
        where = ["--corpus", "manifest", "--root", str(manifest), "--store", str(store)]
        assert extract_features.main([*where, "--corpus-name", "mine", *frozen, *encoder]) == 0
        return audited(store, capsys, "--folds", "split")

    found = judge("clean", rows)
    assert {found[name]["verdict"] for name in JUDGES} == {"clean"}
    for number, (name, change) in enumerate(CHANGES.items()):
        copies = []
        for place, (stem, label, *_) in enumerate(held_out):
            sound, rate = soundfile.read(media / f"{stem}.flac")
            file = f"other{number}{place:03d}.flac"
            soundfile.write(media / file, change(sound), rate)
            copies.append((file[:-5], label, "somebody", "train", file))
        told = judge(f"copies-{number}", rows + copies)["vectors"]
        assert told["verdict"] == "caution", name
        assert 0.65 * COPIES / 60 < told["share"] < 1.1 * COPIES / 60, name
    named = [
        (f"{original[0]}_copy", *copy[1:]) for original, copy in zip(held_out, copies, strict=True)
    ]
    assert judge("named", rows + named)["vectors"]["verdict"] == "leak"


@pytest.mark.slow
def test_real_transcripts_are_not_accused(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MELD's official split, a tenth of whose lines are said more than once."""
    from extract.commands import extract_features

    where = ["--corpus", "meld", "--root", str(shared / "data" / "meld"), "--store", str(tmp_path)]
    encoder = ["--encoder", str(shared / "models" / "all-MiniLM-L6-v2")]
    frozen = ["--modality", "text", "--frozen", "--quiet"]
    assert extract_features.main([*where, *encoder, *frozen]) == 0
    found = audited(tmp_path, capsys)
    assert {found[name]["verdict"] for name in JUDGES} == {"clean"}


@pytest.mark.slow
def test_fine_tuned_folds_are_not_accused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo's: training rows stand on their classes' centres, each fold has its own vectors."""
    from extract.commands import extract_features

    where = ["--corpus", "demo", "--root", str(tmp_path / "d"), "--store", str(tmp_path / "e")]
    assert extract_features.main([*where, "--modality", "all", "--fold", "all", "--quiet"]) == 0
    found = audited(tmp_path / "e", capsys)
    assert {found[name]["verdict"] for name in JUDGES} == {"clean"}
