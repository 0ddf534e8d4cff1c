"""Classical features are encoders like any other, each vector that of its clip alone."""

from __future__ import annotations

import enum
import re
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
import tiny_encoders

from embeddings_store.errors import MediaError, MissingDependencyError, UsageError
from embeddings_store.provenance import fingerprint
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands.extract_features import main
from extract.encoders import FEATURES, feature_sets, load_encoder, registry, resolve
from extract.encoders.feature_sets import FeatureSet
from extract.encoders.features import mfcc_frames

CLIPS = tiny_encoders.clips((1_000, 8_000, 16_117, 19_200))
WIDTHS = {"mfcc": 120, "egemaps": 88, "compare": 6373}


@pytest.fixture
def stand_in(monkeypatch):
    """A package ``opensmile`` of the real one's form, which counts samples."""

    class FeatureSet(enum.Enum):
        eGeMAPSv02 = "egemaps"  # noqa: N815
        ComParE_2016 = "compare"

    class Smile:
        def __init__(self, *, feature_set: FeatureSet, feature_level: str):
            assert feature_level == "functionals level"
            self.feature_names = [
                f"{feature_set.name}_{i}" for i in range(WIDTHS[feature_set.value])
            ]

        def process_signal(self, samples: np.ndarray, rate: int) -> pd.DataFrame:
            assert rate == 16_000
            values = len(samples) + np.arange(len(self.feature_names), dtype=np.float64)
            return pd.DataFrame([values], columns=self.feature_names)

    level = SimpleNamespace(Functionals="functionals level")
    fake = SimpleNamespace(FeatureSet=FeatureSet, FeatureLevel=level, Smile=Smile)
    monkeypatch.setitem(sys.modules, "opensmile", fake)
    real = metadata.version
    versions = {"opensmile": "2.6.0"}
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name) or real(name))
    return versions


@pytest.fixture(params=[row.name for row in FEATURES])
def encoder(request):
    if request.param != "mfcc":
        pytest.importorskip("opensmile", reason="the extra 'opensmile' is not installed")
    return load_encoder(request.param, device="cpu", batch_size=3)


def test_a_vector_is_that_of_its_clip_alone_to_the_bit(encoder):
    many = encoder.encode(CLIPS)
    assert (many.dtype, many.shape) == (np.float32, (4, 1, WIDTHS[encoder.spec.name]))
    assert encoder.dim == many.shape[2] and encoder.layers == (0,)
    assert np.isfinite(many).all() and len(np.unique(many[:, 0], axis=0)) == 4
    again = load_encoder(encoder.spec.name)
    np.testing.assert_array_equal(many, np.concatenate([again.encode([clip]) for clip in CLIPS]))
    with pytest.raises(MediaError, match=f"{encoder.spec.name} needs 0.0.* s for one frame"):
        encoder.encode([CLIPS[0][:300]])


def test_the_shortest_clip_that_is_taken_has_a_vector(encoder):
    shortest = CLIPS[1][: round(encoder.spec.min_duration_s * 16_000)]
    assert np.isfinite(encoder.encode([shortest])).all()


def test_egemaps_hears_the_pitch_of_a_voice():
    pytest.importorskip("opensmile", reason="the extra 'opensmile' is not installed")
    time_s = np.arange(16_000) / 16_000
    voice = sum(np.sin(2 * np.pi * 200 * n * time_s) / n for n in range(1, 12))
    pitch = load_encoder("egemaps").encode([(0.1 * voice).astype(np.float32)])[0, 0, 0]
    np.testing.assert_allclose(pitch, 12 * np.log2(200 / 27.5), atol=0.2)  # semitones


def test_mfccs_are_what_the_table_says_of_them():
    clip = CLIPS[2]
    frames = mfcc_frames(clip)
    assert frames.shape == ((len(clip) - 400) // 160 + 1, 60)
    vector = load_encoder("mfcc").encode([clip])[0, 0]
    by_hand = np.concatenate([frames.mean(0), frames.std(0)])
    np.testing.assert_allclose(vector, by_hand, rtol=1e-4, atol=1e-4)
    # Twice as loud is 20 log10 2 dB in each of 40 bands, which the first coefficient alone sees.
    louder = mfcc_frames(2 * clip) - frames
    np.testing.assert_allclose(louder[:, 0], 20 * np.log10(2) * np.sqrt(40), rtol=1e-4)
    np.testing.assert_allclose(louder[:, 1:], 0, atol=1e-3)
    # The same window again and again, louder by as much each time: a first difference, no second.
    rising = (np.tile(clip[:160], 100) * np.geomspace(0.1, 1, 16_000)).astype(np.float32)
    middle = mfcc_frames(rising)[10:-10]
    np.testing.assert_allclose(middle[:, 20], 20 / 100 * np.sqrt(40), rtol=1e-3)
    np.testing.assert_allclose(middle[:, 21:], 0, atol=1e-3)


def test_mfccs_take_every_pooling_over_time():
    for pooling, width in {"mean": 60, "percentiles+thirds": 300}.items():
        other = load_encoder("mfcc", pooling=pooling)
        assert other.encode(CLIPS[:1]).shape == (1, 1, width)
        assert other.settings["pooling"] == pooling


@pytest.mark.parametrize("name", ["egemaps", "compare"])
def test_opensmile_is_asked_for_functionals_of_the_set_at_16_khz(stand_in, name):
    encoder = load_encoder(name)
    vectors = encoder.encode(CLIPS)
    assert (vectors.dtype, vectors.shape) == (np.float32, (4, 1, WIDTHS[name]))
    assert vectors[:, 0, 0].tolist() == [len(clip) for clip in CLIPS]
    assert (
        encoder.settings["features"] == {"egemaps": "eGeMAPSv02", "compare": "ComParE_2016"}[name]
    )
    assert encoder.pooling == "functionals" and "no commercial use" in encoder.spec.licence


def test_another_version_of_the_package_is_another_encoder(stand_in):
    before = load_encoder("egemaps")
    assert before.settings["package_version"] == "2.6.0"
    stand_in["opensmile"] = "2.7.0"
    after = load_encoder("egemaps")
    assert fingerprint(before.settings) != fingerprint(after.settings)
    assert before.weights_digest != after.weights_digest
    compare = load_encoder("compare")
    assert compare.weights_digest != after.weights_digest


def test_without_opensmile_the_extra_and_its_licence_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    says = r"egemaps needs the package opensmile.*emotion-fusion\[opensmile\].*for research"
    with pytest.raises(MissingDependencyError, match=says) as missing:
        load_encoder("egemaps")
    assert "\n" not in str(missing.value)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("mfcc", {"layer": 3}, "layer is 3; expected 'last', 'all'"),
        ("mfcc", {"pooling": "first"}, "pooling 'first' means nothing for librosa; it takes mean"),
        ("egemaps", {"pooling": "mean"}, "nothing for opensmile; it takes functionals"),
        ("mfcc", {"revision": "main"}, "mfcc is computed by librosa; a revision goes with a Hub"),
    ],
)
def test_what_fixed_features_cannot_do_is_refused(stand_in, name, options, says):
    with pytest.raises(UsageError, match=says):
        load_encoder(name, **options)


def test_a_folder_cannot_claim_to_be_a_package(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "librosa", "vocab_size": 100}')
    with pytest.raises(UsageError, match="'librosa', which is not supported"):
        resolve(str(tmp_path))


def command(folder: Path, name: str, *more: str) -> list[str]:
    """Write a corpus of four clips, the third too short, and return how it is encoded."""
    for number, clip in enumerate([CLIPS[1], CLIPS[3], CLIPS[1][:160], CLIPS[2]]):
        soundfile.write(folder / f"c{number}.wav", clip, 16_000)
    rows = "id,audio,label,session\na,c0.wav,x,1\nb,c1.wav,y,1\nc,c2.wav,y,2\nd,c3.wav,x,2\n"
    (folder / "rows.csv").write_text(rows)
    asked = ["--corpus", "manifest", "--root", str(folder / "rows.csv"), "--modality", "audio"]
    return [*asked, "--encoder", name, "--store", str(folder / "e"), *more]


@pytest.mark.parametrize(("name", "package"), [("mfcc", "librosa"), ("egemaps", "opensmile")])
def test_the_store_says_what_made_them_and_counts_what_failed(
    stand_in, tmp_path, capsys, name, package
):
    assert main(command(tmp_path, name, "--frozen")) == 4
    shown = capsys.readouterr()
    file = read_embeddings(Path(shown.out.strip()))
    assert "3 of 4 rows have a vector (0 missing, 1 failed)" in shown.err
    assert file.status.tolist() == ["ok", "ok", "failed", "ok"] and np.isnan(file.vectors[2]).all()
    assert file.vectors.shape == (4, WIDTHS[name]) and set(file.seen.tolist()) == {"no"}
    assert Path(shown.out.strip()).parts[-3].startswith(f"{name}@")
    made, settings = file.attributes["provenance"], file.attributes["settings"]
    assert made["encoder_source"] == package and made["packages"][package]
    assert settings["package_version"] == made["packages"][package]
    assert made["licence"] == resolve(name).spec.licence


def test_features_cannot_be_fine_tuned(tmp_path, capsys):
    more = ["--fold", "1", "--folds", "leave-one-session-out", "--rule", "test", "--epochs", "1"]
    assert main(command(tmp_path, "mfcc", *more)) == 2
    shown = capsys.readouterr().err.strip().splitlines()
    assert "mfcc is a fixed set of features" in shown[-1] and "--frozen" in shown[-1]


def test_they_are_listed_with_their_width_and_licence(capsys):
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"mfcc +audio +120-d .*mean\+std +ISC", shown)
    assert re.search(r"compare +audio +6373-d .*functionals +audEERING Research License", shown)


def test_another_set_of_opensmile_is_one_row(stand_in, monkeypatch):
    row = FeatureSet("loud", "opensmile", "eGeMAPSv02", 88, "mine", "https://a.example", "a note")
    monkeypatch.setattr(feature_sets, "FEATURE_SETS", (*feature_sets.FEATURE_SETS, row))
    monkeypatch.setattr(registry, "FEATURES", tuple(map(registry._features_row, (row,))))
    encoder = load_encoder("loud")
    assert encoder.spec.licence == "mine" and encoder.encode(CLIPS[:1]).shape == (1, 1, 88)
