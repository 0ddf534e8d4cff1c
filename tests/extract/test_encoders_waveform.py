"""wav2vec 2.0, HuBERT and WavLM.

What padding does to the stock models, and that it does nothing to ours.
"""

from __future__ import annotations

import numpy as np
import pytest
import tiny_encoders
import torch
import transformers

from embeddings_store.errors import MediaError, ModelLoadError, UsageError
from extract.encoders import load_encoder
from extract.encoders.own_frames_group_norm import OwnFramesGroupNorm
from extract.encoders.registry import REGISTRY
from extract.encoders.waveform import frame_count

ROWS = {row.name: row for row in REGISTRY}
BASES = ("wav2vec2-base", "hubert-base", "wavlm-base")
LARGES = ("xls-r-300m", "hubert-large", "wavlm-large")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    return {name: tiny_encoders.save(ROWS[name], parent) for name in (*BASES, *LARGES)}


def stock_mean(folder, clips: list[np.ndarray]) -> np.ndarray:
    """Mean over valid frames of stock Transformers with a correct attention mask."""
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    lengths = torch.tensor([clip.size for clip in clips])
    samples = torch.zeros(len(clips), int(lengths.max()))
    for row, clip in enumerate(clips):
        samples[row, : clip.size] = torch.from_numpy(clip)
    mask = (torch.arange(samples.shape[1]) < lengths.unsqueeze(1)).long()
    with torch.inference_mode():
        states = model(samples, attention_mask=mask).last_hidden_state
    frames = model._get_feat_extract_output_lengths(lengths)
    return np.stack([states[row, :count].mean(0).numpy() for row, count in enumerate(frames)])


def moved(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)


@pytest.mark.parametrize("name", BASES)
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
def test_group_norm_moves_stock_vectors_in_a_batch_but_not_ours(folders, name):
    tiny_encoders.write_preprocessor(folders[name], do_normalize=False, sampling_rate=16_000)
    clips = tiny_encoders.clips((16_000, 27_200, 40_000))
    alone = np.concatenate([stock_mean(folders[name], [clip]) for clip in clips])
    assert moved(stock_mean(folders[name], clips), alone)[:2].min() > 1e-3
    encoder = load_encoder(str(folders[name]), device="cpu", batch_size=3)
    assert encoder.settings["group_norm"] == "own frames"
    assert moved(encoder.encode(clips)[:, 0], alone).max() < 1e-5


@pytest.mark.parametrize("name", LARGES)
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
def test_layer_norm_models_are_harmless_in_stock_and_ours(folders, name):
    tiny_encoders.write_preprocessor(folders[name], do_normalize=False)
    clips = tiny_encoders.clips((16_000, 27_200, 40_000))
    encoder = load_encoder(str(folders[name]), device="cpu", batch_size=3)
    assert encoder.settings["group_norm"] is None
    assert moved(encoder.encode(clips)[:, 0], stock_mean(folders[name], clips)).max() < 1e-5


@pytest.mark.parametrize("name", (*BASES, *LARGES))
def test_alone_every_state_is_stock_transformers_to_the_bit(folders, name):
    tiny_encoders.write_preprocessor(folders[name], do_normalize=False)
    clip = tiny_encoders.clips((16_117,))[0]
    encoder = load_encoder(str(folders[name]), layer="all", device="cpu")
    stock = transformers.AutoModel.from_pretrained(folders[name], local_files_only=True).eval()
    with torch.inference_mode():
        ours, mask = encoder._run([clip])
        theirs = stock(torch.from_numpy(clip)[None], output_hidden_states=True)
    assert bool(mask.all())
    assert torch.equal(ours[2], theirs.last_hidden_state)
    assert torch.equal(ours[0], theirs.hidden_states[0]) and torch.equal(
        ours[1], theirs.hidden_states[1]
    )


def test_own_frames_norm_shares_the_weights_and_zeroes_what_lies_behind():
    stock = torch.nn.GroupNorm(4, 4)
    torch.nn.init.normal_(stock.weight)
    ours = OwnFramesGroupNorm(stock)
    assert ours.weight is stock.weight and ours.bias is stock.bias
    assert ours.state_dict().keys() == stock.state_dict().keys()
    states = torch.randn(2, 4, 9)
    assert torch.equal(ours(states), stock(states))
    ours.own_frames = [9, 5]
    normed = ours(states)
    assert torch.equal(normed[0], stock(states[:1])[0])
    assert torch.equal(normed[1, :, :5], stock(states[1:, :, :5])[0])
    assert not normed[1, :, 5:].any()


def test_frame_count_is_that_of_the_model(folders):
    model = transformers.AutoModel.from_pretrained(folders["wav2vec2-base"], local_files_only=True)
    convolutions = list(zip(model.config.conv_kernel, model.config.conv_stride, strict=True))
    for samples in (400, 719, 720, 16_000, 16_001, 48_123):
        assert frame_count(samples, convolutions) == model._get_feat_extract_output_lengths(samples)


def test_normalisation_is_that_of_the_checkpoint_and_recorded(folders):
    clip = tiny_encoders.clips((16_000,))[0]
    folder = folders["hubert-base"]
    tiny_encoders.write_preprocessor(folder, do_normalize=True)
    normalised = load_encoder(str(folder), device="cpu")
    tiny_encoders.write_preprocessor(folder, do_normalize=False)
    plain = load_encoder(str(folder), device="cpu")
    assert normalised.settings["normalise"] != plain.settings["normalise"] == "none"
    by_hand = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
    np.testing.assert_array_equal(normalised.encode([clip]), plain.encode([by_hand]))


@pytest.mark.parametrize(
    ("name", "normalised"), [("wavlm-base", False), ("wavlm-large", True), ("wav2vec2-base", True)]
)
def test_without_a_preprocessor_file_the_architecture_decides(folders, name, normalised):
    (folders[name] / "preprocessor_config.json").unlink(missing_ok=True)
    assert load_encoder(str(folders[name]), device="cpu").normalise is normalised


def test_another_sample_rate_is_refused(folders):
    tiny_encoders.write_preprocessor(folders["hubert-base"], sampling_rate=8_000)
    with pytest.raises(ModelLoadError, match="8000 Hz, where 16000 Hz"):
        load_encoder(str(folders["hubert-base"]), device="cpu")
    (folders["hubert-base"] / "preprocessor_config.json").unlink()


def test_silence_gives_a_finite_vector(folders):
    encoder = load_encoder(str(folders["wav2vec2-base"]), device="cpu", batch_size=2)
    assert np.isfinite(
        encoder.encode([np.zeros(8_000, np.float32), np.zeros(400, np.float32)])
    ).all()


@pytest.mark.parametrize(
    ("clip", "error", "says"),
    [
        (np.zeros(399, np.float32), MediaError, "0.0249 s long, but wav2vec2-base needs 0.025 s"),
        (
            np.zeros(160_002, np.float32),
            UsageError,
            "160002 samples, more than max_duration_s = 10 ",
        ),
        (
            np.zeros((2, 800), np.float32),
            UsageError,
            r"float32 \(2, 800\); a speech encoder reads one-dimensional",
        ),
        (np.zeros(800, np.int16), UsageError, "int16"),
        ("hello", UsageError, "input 0 is str"),
    ],
)
def test_wrong_clips_are_refused(folders, clip, error, says):
    with pytest.raises(error, match=says):
        load_encoder(str(folders["wav2vec2-base"]), device="cpu").encode([clip])
