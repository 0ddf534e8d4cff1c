"""From a corpus of tones to a model, and from files that it has not heard to their timelines."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from classify import EmotionModel, read_bundle
from classify.commands import predict_emotions, run_fusion_grid
from classify.labelling.smoothing import Smoothing
from classify.labelling.timeline import LabelOptions
from embeddings_store.errors import MediaError, StoreError, StoreMismatchError, UsageError
from extract.commands import extract_features

pytestmark = pytest.mark.telling  # librosa alone takes seconds to load
RATE = 16_000
TONES = {"low": 220.0, "high": 1760.0}


def tone(label: str, seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = TONES[label] * rng.uniform(0.95, 1.05)
    return 0.3 * np.sin(2 * np.pi * pitch * t) + 0.02 * rng.normal(size=len(t))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two classes over MFCCs of sound alone."""
    folder = tmp_path_factory.mktemp("tones")
    rows = []
    for number in range(24):
        label = list(TONES)[number % 2]
        soundfile.write(folder / f"c{number}.wav", tone(label, 1.0, number), RATE)
        rows.append({"id": f"c{number}", "label": label, "audio": f"c{number}.wav"})
        rows[-1]["speaker"] = f"s{number // 2 % 4}"
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    store = folder / "store"
    status = extract_features.main(
        [
            *("--corpus", "manifest", "--root", str(folder / "rows.csv"), "--corpus-name", "tones"),
            *("--modality", "audio", "--encoder", "mfcc", "--frozen", "--store", str(store)),
        ]
    )
    assert status == 0
    status = run_fusion_grid.main(
        [
            *("--store", str(store), "--out", str(folder / "results"), "--jobs", "1", "--quiet"),
            *("--folds", "speaker-kfold:4", "--early", "none", "--late", "none"),
            *("--classifiers", "svm", "--export-model", str(folder / "model")),
            *("--export-cell", "unimodal audio svm"),
        ]
    )
    assert status == 0
    return folder / "model"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two seconds low, two seconds high, and half a second more."""
    samples = np.concatenate([tone("low", 2.0, 91), tone("high", 2.5, 92)])
    path = tmp_path / "media" / "talk.wav"
    path.parent.mkdir()
    soundfile.write(path, samples, RATE)
    return path


def test_a_timeline_follows_the_recording(model: Path, recording: Path) -> None:
    timeline = EmotionModel.load(model).predict(recording, window_s=1.0)
    windows = timeline.windows
    assert windows["start_s"].tolist() == [0.0, 1.0, 2.0, 3.0, 3.5]
    assert windows["end_s"].tolist() == [1.0, 2.0, 3.0, 4.0, 4.5]
    assert windows["label"].tolist() == ["low", "low", "high", "high", "high"]
    assert set(windows["answered_by"]) == {"audio"}
    chances = windows[["p:high", "p:low"]].to_numpy()
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert {rule: timeline.label(rule) for rule in timeline.labels} == {
        "majority": "high", "weighted": "high", "mean": "high",
        "maximum": windows["label"][windows["confidence"].argmax()],
    }  # fmt: skip


def test_a_whole_file_is_one_row(model: Path, recording: Path) -> None:
    timeline = EmotionModel.load(model).predict(recording)
    assert timeline.windows[["start_s", "end_s"]].to_numpy().tolist() == [[0.0, 4.5]]


def test_a_folder_with_broken_files_labels_the_rest(
    model: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recording.parent / "torn.wav").write_bytes(recording.read_bytes()[:40])
    (recording.parent / "empty.wav").write_bytes(b"")
    (recording.parent / "notes.txt").write_text("words", encoding="utf-8")
    (recording.parent / "picture.png").write_bytes(b"no media")
    arguments = [str(recording.parent), "--model", str(model), "--out", str(tmp_path / "out")]
    status = predict_emotions.main([*arguments, "--window-s", "1", "--hop-s", "0.5"])
    printed = capsys.readouterr()
    assert status == 4
    assert "3 files failed" in printed.err and "notes.txt is text, and the model" in printed.err
    assert str(tmp_path) not in printed.err
    own = tmp_path / "out" / "talk.wav"
    table = pd.read_csv(own / "timeline.csv")
    described = json.loads((own / "timeline.json").read_text(encoding="utf-8"))
    assert len(table) == len(described["windows"]) == 8
    assert described["labels"]["mean"]["label"] == "high"
    assert "../../media/talk.wav" in (own / "timeline.html").read_text(encoding="utf-8")
    labels = pd.read_csv(tmp_path / "out" / "labels.csv")
    assert labels["file"].tolist() == ["talk.wav"]
    again = predict_emotions.main([*arguments, "--window-s", "1", "--hop-s", "0.5", "--quiet"])
    assert again == 4
    pd.testing.assert_frame_equal(pd.read_csv(own / "timeline.csv"), table)


def test_what_is_not_sure_is_called_so_and_windows_are_smoothed(
    model: Path, recording: Path, tmp_path: Path
) -> None:
    loaded, store = EmotionModel.load(model), tmp_path / "store"
    plain = loaded.predict(recording, window_s=0.5, store=store)
    bound = float(plain.windows["confidence"].median())
    asked = LabelOptions(Smoothing("transitions"), unsure_below=bound)
    unsure = loaded.predict(
        str(recording.parent / "t*.wav"), window_s=0.5, store=store, options=asked
    )
    below = unsure.windows["confidence"] < bound
    assert 0 < below.sum() < len(below)
    assert ((unsure.windows["label"] == "unsure") == below).all()
    assert unsure.windows["alone"].tolist() == plain.windows["label"].tolist()
    assert unsure.labels == plain.labels
    strict = loaded.predict(
        recording, window_s=0.5, store=store, options=LabelOptions(unsure_below=1.0)
    )
    assert set(map(strict.label, strict.labels)) == {"unsure"}
    with pytest.raises(UsageError, match="matches this pattern"):
        loaded.predict(recording.parent / "*.mp3")
    with pytest.raises(UsageError, match="no probability"):
        LabelOptions(unsure_below=2)


def test_what_was_not_heard_and_what_is_unlike_training_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "long.wav", tone("low", 25.0, 94), RATE)
    status = predict_emotions.main(
        [str(tmp_path / "long.wav"), "--model", str(model), "--out", str(tmp_path / "out")]
    )
    said = " ".join(capsys.readouterr().err.split())
    assert status == 0
    assert "1 of 1 windows are longer than the 10 s" in said
    assert "15.0 s of 25.0 s were not heard; give --window-s" in said
    bundle = read_bundle(model)
    assert "row_seconds" not in bundle.about  # the table of tones gives no times
    known = replace(
        bundle, about={**bundle.about, "row_seconds": "1 to 2.5 s (5 and 95 % of rows)"}
    )
    windows = EmotionModel(known).predict(tmp_path / "long.wav", window_s=0.4)
    assert windows.remarks[0].startswith("of 63 windows 63 much shorter than what the model was")
    assert EmotionModel(known).predict(tmp_path / "long.wav", window_s=5.0).remarks == ()


def test_a_file_that_changed_is_read_again(model: Path, recording: Path, tmp_path: Path) -> None:
    loaded, store = EmotionModel.load(model), tmp_path / "store"
    before = loaded.predict(recording, store=store)
    soundfile.write(recording, tone("low", 4.5, 93), RATE)
    os.utime(recording, ns=(1, 1))
    after = loaded.predict(recording, store=store)
    assert after.label() == "low"
    assert after.windows["confidence"][0] != before.windows["confidence"][0]


def test_what_cannot_be_read_is_refused(model: Path, tmp_path: Path) -> None:
    loaded = EmotionModel.load(model)
    (tmp_path / "torn.wav").write_bytes(b"RIFF")
    with pytest.raises(MediaError, match=r"torn\.wav"):
        loaded.predict(tmp_path / "torn.wav")
    with pytest.raises(UsageError, match="no such file"):
        loaded.predict(tmp_path / "absent.wav")
    (tmp_path / "a.pdf").write_bytes(b"x")
    with pytest.raises(UsageError, match="of no kind that is read"):
        loaded.predict(tmp_path / "a.pdf")


def test_another_encoder_is_refused(model: Path, recording: Path) -> None:
    loaded = EmotionModel.load(model)
    changed = {**loaded.bundle.encoders[0].settings, "max_duration_s": 3.0}
    object.__setattr__(loaded.bundle.encoders[0], "settings", changed)
    with pytest.raises(StoreMismatchError, match="makes other vectors than the model was fitted"):
        loaded.predict(recording)


def test_imported_vectors_cannot_be_made_of_new_media(exported: Path) -> None:
    with pytest.raises(UsageError, match="did not make, so it cannot make those of new media"):
        EmotionModel.load(exported)


def test_settings_of_an_encoder_that_are_nonsense_are_one_error(
    model: Path, recording: Path
) -> None:
    """Digests can be written anew, and so can what they are of."""
    bundle = read_bundle(model)
    (encoder,) = bundle.encoders
    for name, value in (("max_duration_s", "long"), ("max_tokens", [1]), ("max_tokens", None)):
        odd = replace(encoder, settings={**encoder.settings, name: value})
        with pytest.raises(StoreError, match="cannot be read as settings of an encoder"):
            EmotionModel(replace(bundle, encoders=(odd,))).predict(recording)
