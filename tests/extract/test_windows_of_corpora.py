"""A corpus cut into windows: the same samples as a plain cut, and a clip keeps one role."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from classify.commands.run_fusion_grid import main as run_fusion_grid
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, UsageError
from extract.commands.extract_features import main as extract_features
from extract.commands.window_options import windows_of
from extract.corpora import read_corpus
from extract.media.sound import load_audio
from extract.windows.corpus import CorpusWindows, cut_corpus
from extract.windows.fixed import FixedWindows

RATE = 16_000


def cut(window_s: float, hop_s: float) -> CorpusWindows:
    return CorpusWindows(FixedWindows(window_s, hop_s))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the table of 24 clips of two classes: a low and a high tone in noise."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        label = ("low", "high")[number % 2]
        time_s = np.arange(int(RATE * (1.0 + 0.05 * number))) / RATE
        tone = 0.2 * np.sin(2 * np.pi * (200 if label == "low" else 900) * time_s)
        name = f"{number:02d}.{'wav' if number % 3 else 'flac'}"
        soundfile.write(folder / name, tone + 0.2 * rng.normal(size=len(time_s)), RATE)
        rows.append({"id": f"v{number:02d}", "label": label, "audio": name})
    pd.DataFrame(rows).to_csv(folder / "clips.csv", index=False)
    return folder / "clips.csv"


def test_a_window_holds_the_samples_of_a_plain_cut(corpus: Path) -> None:
    manifest = cut_corpus(Manifest.read(corpus), cut(0.37, 0.21))
    for row in map(manifest.row, range(len(manifest))):
        path = manifest.media_path(row.audio)
        begin, end = (round(time_s * RATE) for time_s in (row.start_s, row.end_s))
        plain, _ = soundfile.read(path, start=begin, stop=end, dtype="float32")
        ours = load_audio(path, start_s=row.start_s, end_s=row.end_s).samples
        assert np.array_equal(plain, ours) and len(plain) == pytest.approx(0.37 * RATE, abs=1)
    assert set(manifest.table["meta_clip"]) == {f"v{n:02d}" for n in range(24)}
    assert manifest.table["group"].equals(manifest.table["meta_clip"])


def test_windows_lie_in_their_row_and_in_its_film(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(RATE * 9) / 2, RATE)
    (tmp_path / "torn.wav").write_bytes(b"RIFF")
    columns: dict[str, object] = {
        "id": ["a", "torn", "words"],
        "label": ["x", "y", "y"],
        "speaker": ["Ann", "", ""],
        "group": ["", "", "d1"],
        "split": ["train", "test", "test"],
        "audio": ["a.wav", "torn.wav", ""],
        "text": ["oh", "no", "yes"],
        "start_s": [2.0, math.nan, math.nan],
        "end_s": [4.5, math.nan, math.nan],
        "meta_video_start_s": [102.0, math.nan, math.nan],
        "meta_video_end_s": [104.5, math.nan, math.nan],
    }
    whole = Manifest.from_columns("mine", columns, root=tmp_path, protocol="split")
    found = cut_corpus(whole, cut(1.0, 1.0))
    table = found.table
    assert found.name == "mine-1s-1s" and found.protocol == "split"
    assert table["start_s"].tolist()[:3] == [2.0, 3.0, 3.5]
    assert table["meta_video_start_s"].tolist()[:3] == [102.0, 103.0, 103.5]
    assert table["meta_video_end_s"].tolist()[:3] == [103.0, 104.0, 104.5]
    assert table["id"].tolist() == ["a#000000", "a#000001", "a#000002", "torn", "words"]
    # a speaker holds windows together where no group is named
    assert table["group"].tolist() == ["", "", "", "torn", "d1"]
    assert table["split"].tolist() == ["train"] * 3 + ["test"] * 2
    assert table["text"].tolist() == ["oh"] * 3 + ["no", "yes"]
    assert "1 of 3 clips into 3 windows" in found.notes[0]
    assert "1 clips that cannot be read stay whole, first torn (torn.wav" in found.notes[1]


def test_every_modality_and_later_run_has_the_same_windows(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    command = ["--corpus", "manifest", "--root", str(corpus), "--frozen", "--modality", "audio"]
    command += ["--encoder", "mfcc", "--store", str(store), "--window-s", "0.5", "--hop-s", "0.25"]
    assert extract_features(command) == 0
    stored = Manifest.load(store / "clips-0.5s-0.25s")
    assert extract_features(command) == 0 and "nothing to do" in capsys.readouterr().err
    assert stored.digest == cut_corpus(Manifest.read(corpus), cut(0.5, 0.25)).digest

    out = str(tmp_path / "out")
    grid = ["--store", str(store), "--out", out, "--classifiers", "svm", "--quiet"]
    assert run_fusion_grid([*grid, "--folds", "group-kfold:4"]) == 0
    # a random split over windows has windows of one video on both sides
    torn = stored.table.assign(split=np.arange(len(stored)) % 2)
    torn["split"] = torn["split"].map({0: "train", 1: "test"})
    (store / stored.name / "corpus.json").unlink()
    Manifest(stored.name, torn, stored.labels).enter(store)
    capsys.readouterr()
    assert run_fusion_grid([*grid, "--folds", "split"]) == 3
    assert "groups" in capsys.readouterr().err


def test_options_that_do_nothing_or_cannot_be_are_refused() -> None:
    from extract.commands.extract_options import build_parser

    for given, why in (
        (["--hop-s", "1"], "without --window-s"),
        (["--window-s", "0"], "more than 0 seconds"),
        (["--window-s", "1", "--hop-s", "2"], "leave gaps"),
    ):
        with pytest.raises(UsageError, match=why):
            windows_of(build_parser().parse_args(given))


def test_a_table_of_windows_comes_back(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.csv"
    given = ["--corpus", "manifest", "--root", str(corpus), "--write-windows", str(path)]
    assert extract_features(given) == 2 and "holds no windows" in capsys.readouterr().err
    assert extract_features([*given, "--window-s", "0.5", "--hop-s", "0.25"]) == 0
    found = read_corpus("manifest", path, media=str(corpus.parent))
    whole = cut_corpus(Manifest.read(corpus), cut(0.5, 0.25))
    shared = ["id", "label", "group", "audio", "start_s", "end_s", "meta_clip"]
    pd.testing.assert_frame_equal(found.table[shared], whole.table[shared], check_dtype=False)
    assert found.media_path(found.row(0).audio).is_file()


def test_windows_with_files_of_their_own_and_saved_frames(tmp_path: Path) -> None:
    header = "video_id,window_idx,start,end,frames_path,audio_path,text_snippet,label,split"
    lines = [f"v1,{n},{n / 2},{n / 2 + 1},f/{n}.pt,a/{n}.wav,oh,joy,train" for n in range(3)]
    lines.append("v2,0,0,1,f/3.pt,a/3.wav,no,fear,test")
    (tmp_path / "w.csv").write_text("\n".join([header, *lines]) + "\n")
    found = read_corpus("manifest", tmp_path / "w.csv")
    table = found.table
    assert table["id"].tolist() == ["v1#000000", "v1#000001", "v1#000002", "v2#000000"]
    assert table["start_s"].isna().all() and table["meta_start_s"].astype(float).max() == 1.0
    assert (table["video"] == "").all() and table["group"].tolist() == ["v1"] * 3 + ["v2"]
    assert any("4 windows name saved frames and no film" in note for note in found.notes)
    (tmp_path / "w.csv").write_text(f"{header}\nv1,first,0,1,,a.wav,,joy,train\n")
    with pytest.raises(ManifestError, match="window_idx is no number"):
        read_corpus("manifest", tmp_path / "w.csv")
