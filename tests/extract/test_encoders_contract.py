"""What every encoder promises, with tiny random weights in the real architecture."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny_encoders
import torch
import transformers

from embeddings_store.provenance import fingerprint
from extract.encoders import ARCHITECTURES, REGISTRY, EncoderSpec, load_encoder
from extract.encoders.architectures import width_of
from extract.encoders.pooling import POOLINGS, pool
from extract.finetuning.classifier import Classifier


@pytest.fixture(scope="module", params=REGISTRY, ids=[row.name for row in REGISTRY])
def row(request):
    return request.param


@pytest.fixture(scope="module")
def folder(row, tmp_path_factory):
    return tiny_encoders.save(row, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(str(folder), layer="all", device="cpu", batch_size=8)


@pytest.fixture(scope="module")
def vectors(row, encoder):
    return encoder.encode(tiny_encoders.inputs(row))


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Norm of the difference over the norm, the largest over inputs and layers."""
    return float(
        np.max(np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1))
    )


def test_vectors_are_finite_float32_of_the_promised_shape(row, encoder, vectors):
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(tiny_encoders.inputs(row)), 3, 32)
    assert encoder.layers == (0, 1, 2) and encoder.dim == 32
    assert np.isfinite(vectors).all()


def test_batch_of_one_equals_batch_of_many(row, encoder, vectors):
    alone = np.concatenate([encoder.encode([item]) for item in tiny_encoders.inputs(row)])
    assert relative(vectors, alone) < 1e-5


def test_same_input_same_vector_to_the_bit(row, encoder):
    item = tiny_encoders.inputs(row)[0]
    np.testing.assert_array_equal(encoder.encode([item]), encoder.encode([item]))


def test_different_inputs_different_vectors(vectors):
    last = vectors[:, -1]
    apart = np.linalg.norm(last[:, None] - last[None, :], axis=-1) + np.eye(len(last))
    assert apart.min() > 1e-4


def test_order_is_kept_in_any_batch_size(row, encoder, vectors):
    items = tiny_encoders.inputs(row)
    order = [2, 0, 3, 1]
    encoder.batch_size = 3
    try:
        shuffled = encoder.encode([items[position] for position in order])
    finally:
        encoder.batch_size = 8
    assert relative(shuffled, vectors[order]) < 1e-5


def test_one_layer_is_the_same_layer_of_all(row, folder, vectors):
    for layer, expected in (("last", [2]), (1, [1]), ([2, 0], [2, 0])):
        one = load_encoder(str(folder), layer=layer, device="cpu", batch_size=8)
        assert one.layers == tuple(expected)
        assert relative(one.encode(tiny_encoders.inputs(row)), vectors[:, expected]) < 1e-6


def test_no_input_gives_no_vector(encoder):
    assert encoder.encode([]).shape == (0, 3, 32)


BY_HAND = {
    "first": lambda states: states[:, 0],
    "mean": lambda states: states.mean(1),
    "cls_dist": lambda states: (states[:, 0] + states[:, 1]) / 2,
}


def test_pooling_is_that_of_stock_transformers_by_hand(row, folder, encoder):
    # Transformers runs Whisper on full-length clips only, here 2 s.
    whole = tiny_encoders.clips((32_000,)) if row.architecture == "whisper" else None
    for item in whole or tiny_encoders.inputs(row):
        expected = BY_HAND[row.pooling](stock_states(row, folder, item)).numpy()
        assert relative(encoder.encode([item])[0], expected) < 1e-5


def stock_states(row: EncoderSpec, folder, item) -> torch.Tensor:
    """States (layers, T, D) of one input alone, from the library's own front end and model."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    if row.architecture == "whisper":
        model = model.encoder
    if row.architecture in ("clip_vision_model", "siglip_vision_model"):
        model = model.vision_model
    with torch.inference_mode():
        output = model(**stock_front_end(row, folder, item), output_hidden_states=True)
        if (
            row.architecture == "videomae"
        ):  # Its norm comes after the mean, which one state alone does not change.
            vector = model.layernorm(output.hidden_states[-1].mean(1, keepdim=True))
            return torch.cat(
                [*output.hidden_states[:-1], vector.expand_as(output.last_hidden_state)]
            )
        if row.architecture == "siglip_vision_model":
            below = [states.mean(1) for states in output.hidden_states[:-1]]
            return torch.stack([*below, output.pooler_output])
        if row.architecture == "clip_vision_model":
            below = [states[:, 0] for states in output.hidden_states[:-1]]
            return torch.stack([*below, output.pooler_output])
        if row.architecture in ("vit", "dinov2"):
            return torch.stack(
                [states[:, 0] for states in (*output.hidden_states[:-1], output.last_hidden_state)]
            )
    return torch.cat([*output.hidden_states[:-1], output.last_hidden_state])


def stock_front_end(row: EncoderSpec, folder, item) -> dict[str, torch.Tensor]:
    if row.modality == "text":
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        found = tokenizer(row.prefix + item, return_tensors="pt")
        return {key: found[key] for key in ("input_ids", "attention_mask")}
    if row.modality == "video":
        mean, std = tiny_encoders.PIXELS[row.architecture]
        processor = transformers.VideoMAEImageProcessorPil(
            do_resize=False, do_center_crop=False, image_mean=mean, image_std=std
        )
        pixels = processor(list(item), return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixels[0] if tiny_encoders.pictures_of(row) == 16 else pixels}
    if row.architecture == "audio-spectrogram-transformer":
        extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=128)
    elif row.architecture == "whisper":
        extractor = transformers.WhisperFeatureExtractor(feature_size=20, chunk_length=2)
    else:
        normalise = row.architecture != "wavlm" or row.padding_harmless
        extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
    return dict(extractor(item, sampling_rate=16_000, return_tensors="pt"))


def test_every_pooling_of_the_architecture_gives_the_vector_of_a_batch_of_one(row, folder):
    parts, items = ARCHITECTURES[row.architecture].poolings, tiny_encoders.inputs(row)
    assert set(parts) <= POOLINGS.keys()
    for pooling in (*parts, "+".join(parts)):
        other = load_encoder(str(folder), pooling=pooling, layer="all", device="cpu", batch_size=8)
        assert other.settings["pooling"] == other.pooling == pooling
        assert other.dim == 32 * width_of(pooling)
        many = other.encode(items)
        alone = np.concatenate([other.encode([item]) for item in items])
        assert many.shape == (len(items), 3, other.dim) and np.isfinite(many).all()
        # One state alone deviates by 0, of which no part can be taken.
        least = 1e-3 if pooling == "std" else 0.0
        apart = np.linalg.norm(many - alone, axis=-1)
        assert (apart < 1e-5 * np.maximum(np.linalg.norm(alone, axis=-1), least)).all()


def test_poolings_by_hand_over_own_states_alone():
    rng = np.random.default_rng(0)
    states = rng.standard_normal((4, 9, 5)).astype(np.float32)
    mask = np.arange(9) < np.array([[9], [7], [2], [1]])
    states[~mask] = 1e6  # What padding holds may touch nothing.
    pooled = pool("std+max+percentiles+thirds", torch.tensor(states), torch.tensor(mask)).numpy()
    for row, own_mask in enumerate(mask):
        own = states[row, own_mask]
        third = -(-len(own) // 3)
        by_hand = [own.std(0), own.max(0), *np.percentile(own, (10, 50, 90), axis=0)]
        by_hand += [own[:third].mean(0), own[-third:].mean(0)]
        np.testing.assert_allclose(pooled[row], np.concatenate(by_hand), rtol=1e-5, atol=1e-6)


FINGERPRINTS = {
    "wav2vec2-base": "845137fe4d19",
    "wavlm-large": "82c536fdb277",
    "ast": "aa87890aa298",
    "whisper-tiny": "70ea8cb549a3",
    "videomae-base": "bb2fc2760c39",
    "timesformer-base-k400": "b1106e0800c2",
    "vit-base": "41985083954c",
}


def test_the_default_pooling_keeps_its_fingerprint_and_its_bits(row, encoder, vectors):
    if row.name in FINGERPRINTS:
        # How pictures are drawn is not the encoder's, and has tests of its own.
        drawn = encoder.frames.as_dict() if row.modality == "video" else {}
        own = {key: value for key, value in encoder.settings.items() if key not in drawn}
        assert fingerprint(own) == FINGERPRINTS[row.name]
    if row.pooling != "mean" or row.architecture == "videomae":  # which norms the mean
        return
    item = tiny_encoders.inputs(row)[1]
    with torch.inference_mode():
        states, mask = encoder._run([encoder.prepare(item)])
        for number, layer in enumerate(encoder.layers):
            own = states[layer].masked_fill(~mask.unsqueeze(-1), 0.0)
            mean = (own.sum(dim=1) / mask.sum(dim=1, keepdim=True)).numpy()
            np.testing.assert_array_equal(encoder.encode([item])[:, number], mean)


def test_a_fine_tuning_goes_through_every_part_of_a_pooling(row, folder):
    parts = ARCHITECTURES[row.architecture].poolings
    encoder = load_encoder(str(folder), pooling="+".join(parts), device="cpu")
    classifier = Classifier(encoder, 2)
    # The first clip has a single state, which deviates from nothing.
    items = [encoder.prepare(item) for item in tiny_encoders.inputs(row)[:2]]
    loss = classifier.encoder.pooled(items).square().sum()
    loss.backward()
    assert classifier.head.in_features == encoder.dim
    gradients = [each.grad for each in encoder.model.parameters() if each.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)


def test_settings_are_flat_json_without_place_batch_or_layer(folder, encoder):
    assert json.loads(json.dumps(encoder.settings)) == encoder.settings
    assert not any(isinstance(value, (list, dict)) for value in encoder.settings.values())
    assert not {"batch_size", "device", "layer", "layers"} & encoder.settings.keys()
    assert str(folder.parent) not in json.dumps(encoder.settings)


def test_weights_digest_follows_the_weights_and_nothing_else(row, encoder, tmp_path):
    again = load_encoder(str(tiny_encoders.save(row, tmp_path / "again")), device="cpu", layer=0)
    other = load_encoder(str(tiny_encoders.save(row, tmp_path / "other", seed=1)), device="cpu")
    assert again.weights_digest == encoder.weights_digest != other.weights_digest
