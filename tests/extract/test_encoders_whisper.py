"""Whisper on a clip's own length.

The states of Transformers for a full clip, and no dependence on the batch for others.
"""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import tiny_encoders
import torch
import transformers

from embeddings_store.errors import MediaError
from extract.encoders import InputSettings, load_encoder
from extract.encoders.registry import REGISTRY
from extract.encoders.whisper import own_length_states

TINY = next(row for row in REGISTRY if row.name == "whisper-tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_encoders.save(TINY, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def stock(folder):
    return transformers.WhisperModel.from_pretrained(folder, local_files_only=True).encoder.eval()


@torch.inference_mode()
def assert_states_are_stock(encoder: torch.nn.Module, mel: torch.Tensor, tolerance: float) -> None:
    ours, mask = own_length_states(encoder, mel, torch.full((len(mel),), mel.shape[2]))
    theirs = encoder(mel, output_hidden_states=True)
    assert bool(mask.all())
    expected = [*theirs.hidden_states[:-1], theirs.last_hidden_state]
    assert len(ours) == len(expected)
    for own, other in zip(ours, expected, strict=True):
        assert float((own - other).norm() / other.norm()) <= tolerance


def test_full_length_states_are_those_of_transformers(stock):
    assert_states_are_stock(stock, torch.randn(2, 20, 200), tolerance=0.0)


@pytest.mark.parametrize("frames", [199, 200, 51, 2])
def test_batch_agrees_with_the_clip_alone_for_odd_and_even_lengths(stock, frames):
    mel = torch.randn(2, 20, 200)
    mel[1, :, frames:] = 0
    with torch.inference_mode():
        batch, mask = own_length_states(stock, mel, torch.tensor([200, frames]))
        alone, _ = own_length_states(stock, mel[1:, :, :frames], torch.tensor([frames]))
    count = int(mask[1].sum())
    assert count == (frames + 1) // 2 == alone[0].shape[1]
    for together, own in zip(batch, alone, strict=True):
        assert float((together[1, :count] - own[0]).norm() / own.norm()) < 1e-5


def test_checkpoints_of_every_whisper_class_give_the_same_encoder(folder, tmp_path):
    whole = load_encoder(str(folder), device="cpu")
    models = {
        "base": transformers.WhisperModel.from_pretrained(folder, local_files_only=True),
        "encoder": transformers.WhisperModel.from_pretrained(folder, local_files_only=True).encoder,
    }
    classifier = transformers.WhisperForAudioClassification(tiny_encoders.whisper_config())
    classifier.encoder.load_state_dict(models["encoder"].state_dict())
    models["classifier"] = classifier
    for name, model in models.items():
        model.save_pretrained(tmp_path / name)
        found = load_encoder(str(tmp_path / name), device="cpu")
        assert found.weights_digest == whole.weights_digest
        assert found.likely_finetuned is (name == "classifier")


def test_clip_longer_than_the_positions_is_refused(folder):
    encoder = load_encoder(str(folder), device="cpu", inputs=InputSettings(max_duration_s=None))
    assert encoder.spec.max_input == 2.0
    assert encoder.encode([np.zeros(32_000, np.float32)]).shape == (1, 1, 32)
    with pytest.raises(
        MediaError,
        match=r"2\.50 s long, but whisper-tiny takes at most 2 s; set max_duration_s to 2 or less",
    ):
        encoder.encode([np.zeros(40_000, np.float32)])


def test_real_weights_give_the_states_of_transformers_for_30_s(shared):
    path = shared / "models" / "whisper-tiny"
    model = transformers.WhisperModel.from_pretrained(
        path, dtype=torch.float32, local_files_only=True
    ).encoder.eval()
    clip = np.concatenate([speech(shared, n) for n in range(1, 9)])
    clip = np.tile(clip, 2)[: 30 * 16_000]
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(path, local_files_only=True)
    mel = extractor(clip, sampling_rate=16_000, return_tensors="pt")["input_features"]
    assert_states_are_stock(model, mel, tolerance=0.0)
    with torch.inference_mode():
        expected = model(mel).last_hidden_state.mean(1).numpy()
    encoder = load_encoder(str(path), device="cpu", inputs=InputSettings(max_duration_s=30.0))
    np.testing.assert_array_equal(encoder.encode([clip])[:, 0], expected)


def test_real_weights_give_a_clip_one_vector_in_any_batch(shared, monkeypatch):
    encoder = load_encoder(
        str(shared / "models" / "whisper-tiny"), device="cpu", layer="all", batch_size=4
    )
    clips = [
        speech(shared, 1),
        speech(shared, 2)[:16_000],
        speech(shared, 3)[:400],
        speech(shared, 4),
    ]
    together, alone = batched_and_alone(encoder, clips)
    # In double precision nothing is left but the last rounding: the batch changes no vector. What
    # float32 adds to that depends on the processor, most of all for 25 ms of near silence.
    compute_in_double(encoder, monkeypatch)
    exact_together, exact = batched_and_alone(encoder, clips)
    assert relative_distance(exact_together, exact).max() < 1e-7
    assert relative_distance(together, exact).max() < 1e-5
    assert relative_distance(alone, exact).max() < 1e-5


def compute_in_double(encoder, monkeypatch) -> None:
    """Let the model, but not the front end before it, compute in double precision."""
    run = encoder._run

    def run_in_double(items):
        torch.set_default_dtype(torch.float64)
        try:
            return run(items)
        finally:
            torch.set_default_dtype(torch.float32)

    encoder._encoder.double()
    monkeypatch.setattr(encoder, "_run", run_in_double)


def batched_and_alone(encoder, clips) -> tuple[np.ndarray, np.ndarray]:
    return encoder.encode(clips), np.concatenate([encoder.encode([clip]) for clip in clips])


def relative_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one - other, axis=-1) / np.linalg.norm(other, axis=-1)


def speech(shared, emotion: int) -> np.ndarray:
    samples, rate = soundfile.read(
        shared / "data" / "ravdess" / "Actor_01" / f"03-01-0{emotion}-01-01-01-01.flac",
        dtype="float32",
    )
    assert rate == 16_000
    return samples
