"""What only video encoders promise.

Preprocessing, layouts, frame settings, and where VideoMAE's norm comes from.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_encoders
import torch
import transformers

from embeddings_store.errors import ModelLoadError, UsageError
from extract.encoders import REGISTRY, InputSettings, load_encoder, resolve
from extract.encoders.loading import is_head
from extract.frames import FrameSettings, flip

ROWS = {row.architecture: row for row in REGISTRY if row.modality == "video"}
CLIPS = tiny_encoders.video_clips(4)


def tiny(architecture: str, folder: Path, **options) -> Path:
    return tiny_encoders.save(ROWS[architecture], folder, **options)


def load(folder: Path, **options):
    return load_encoder(str(folder), device="cpu", **options)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def pixel_values(clip: np.ndarray, mean: list[float], std: list[float]) -> torch.Tensor:
    """What Transformers' own processor gives the model, (1, T, 3, H, W)."""
    processor = transformers.VideoMAEImageProcessorPil(
        do_resize=False, do_center_crop=False, image_mean=mean, image_std=std
    )
    return processor(list(clip), return_tensors="pt")["pixel_values"]


IMAGENET = tiny_encoders.PIXELS["videomae"]


def videomae(folder: Path, *, mean_pooling: bool, kind: type[transformers.PreTrainedModel]) -> Path:
    config = transformers.VideoMAEConfig(
        use_mean_pooling=mean_pooling,
        num_frames=4,
        decoder_num_hidden_layers=1,
        decoder_hidden_size=16,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
        num_labels=3,
        **tiny_encoders.PICTURES,
    )
    torch.manual_seed(0)
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


def test_fine_tuned_videomae_gives_the_vector_before_its_own_classifier(tmp_path):
    folder = videomae(
        tmp_path / "kinetics", mean_pooling=True, kind=transformers.VideoMAEForVideoClassification
    )
    encoder = load(folder)
    stock = transformers.VideoMAEForVideoClassification.from_pretrained(folder).eval()
    stock.classifier = torch.nn.Identity()
    with torch.inference_mode():
        expected = stock(pixel_values(CLIPS[0], *IMAGENET)).logits[0].numpy()
    assert relative(encoder.encode(CLIPS[:1])[0, 0], expected) < 1e-5
    assert encoder.settings["pooled_norm"] == "fc_norm" and encoder.likely_finetuned


def test_pretrained_videomae_is_the_mean_over_patches_then_its_final_norm(tmp_path):
    folder = videomae(
        tmp_path / "pretrained", mean_pooling=False, kind=transformers.VideoMAEForPreTraining
    )
    encoder = load(folder, layer="all")
    stock = transformers.VideoMAEModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        states = stock(pixel_values(CLIPS[0], *IMAGENET), output_hidden_states=True).hidden_states
        expected = torch.stack(
            [states[0].mean(1), states[1].mean(1), stock.layernorm(states[2].mean(1))], dim=1
        )
    assert relative(encoder.encode(CLIPS[:1]), expected.numpy()) < 1e-5
    assert encoder.settings["pooled_norm"] == "layernorm" and not encoder.likely_finetuned
    assert relative(load(folder).encode(CLIPS[:1])[:, 0], expected[:, 2].numpy()) < 1e-5


def test_pooling_first_is_what_transformers_reads_of_a_pretrained_videomae(tmp_path):
    folder = videomae(
        tmp_path / "pretrained", mean_pooling=False, kind=transformers.VideoMAEForPreTraining
    )
    stock = transformers.VideoMAEForVideoClassification.from_pretrained(folder).eval()
    stock.classifier = torch.nn.Identity()
    with torch.inference_mode():
        expected = stock(pixel_values(CLIPS[0], *IMAGENET)).logits[0].numpy()
    assert relative(load(folder, pooling="first").encode(CLIPS[:1])[0, 0], expected) < 1e-5


def test_videomae_without_a_learned_norm_says_so(tmp_path):
    folder = videomae(tmp_path / "bare", mean_pooling=True, kind=transformers.VideoMAEModel)
    encoder = load(folder)
    assert encoder.settings["pooled_norm"] == "fc_norm, not learned"
    assert encoder.loading_report["missing"] == ("fc_norm.bias", "fc_norm.weight")
    vectors = encoder.encode(CLIPS)[:, 0]
    np.testing.assert_allclose(vectors.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(vectors.std(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("mean_pooling", [True, False])
def test_videomae_that_was_trained_further_saves_its_norm_too(tmp_path, mean_pooling):
    kind = (
        transformers.VideoMAEForVideoClassification
        if mean_pooling
        else transformers.VideoMAEForPreTraining
    )
    encoder = load(videomae(tmp_path / "before", mean_pooling=mean_pooling, kind=kind))
    optimiser = torch.optim.SGD(encoder.model.parameters(), lr=0.1)
    encoder.pooled([encoder.prepare(clip) for clip in CLIPS]).square().sum().backward()
    optimiser.step()
    norm = encoder.model.fc_norm if mean_pooling else encoder.model.videomae.layernorm
    assert norm.weight.grad.abs().max() > 0
    encoder.save(tmp_path / "after")
    again = load(tmp_path / "after")
    np.testing.assert_array_equal(again.encode(CLIPS), encoder.encode(CLIPS))
    assert again.settings == encoder.settings and not again.likely_finetuned


def test_timesformer_and_vit_have_the_frames_that_they_take(tmp_path):
    assert load(tiny("timesformer", tmp_path)).frames == FrameSettings(frames=4, size=32)
    asked = FrameSettings(frames=7, size=500, rule="consecutive", region="half")
    vit = load(tiny("vit", tmp_path), inputs=InputSettings(frames=asked))
    assert vit.frames == FrameSettings(frames=7, size=32, rule="consecutive", region="half")
    assert vit.encode([np.zeros((7, 32, 32, 3), np.uint8)]).shape == (1, 1, 32)
    assert load(tiny("videomae", tmp_path), inputs=InputSettings(frames=asked)).frames.frames == 4
    shown = {
        key: vit.settings[key]
        for key in ("frames", "frame_rule", "frame_rate_hz", "region", "frame_size")
    }
    assert shown == {
        "frames": 7,
        "frame_rule": "consecutive",
        "frame_rate_hz": 30.0,
        "region": "half",
        "frame_size": 32,
    }


@pytest.mark.parametrize("architecture", ROWS)
def test_both_layouts_and_mirrored_views_are_read(tmp_path, architecture):
    encoder = load(tiny(architecture, tmp_path))
    clip = tiny_encoders.inputs(ROWS[architecture])[0]
    expected = encoder.encode([clip])
    np.testing.assert_array_equal(
        encoder.encode([np.ascontiguousarray(clip.transpose(0, 3, 1, 2))]), expected
    )
    mirrored = encoder.encode([flip(clip)])
    np.testing.assert_array_equal(encoder.encode([clip[:, :, ::-1]]), mirrored)
    assert relative(mirrored, expected) > 1e-4
    sees_single_pictures = tiny_encoders.pictures_of(ROWS[architecture]) == 16
    assert relative(encoder.encode([clip[::-1]]), expected) > 1e-4 or sees_single_pictures


@pytest.mark.parametrize("architecture", ROWS)
def test_pixels_are_normalised_as_the_folder_says(tmp_path, architecture):
    plain = load(tiny(architecture, tmp_path))
    folder = tmp_path / plain.spec.name
    mean, std = tiny_encoders.PIXELS[architecture]
    clip = tiny_encoders.inputs(ROWS[architecture])[1]
    assert plain.settings["pixel_mean"] == ", ".join(map(str, mean))
    tiny_encoders.write_preprocessor(folder, image_mean=mean, image_std=std)
    assert load(folder).settings == plain.settings
    tiny_encoders.write_preprocessor(folder, image_mean=(0.1, 0.2, 0.3), image_std=(0.4, 0.5, 0.6))
    other = load(folder)
    assert (other.settings["pixel_mean"], other.settings["pixel_std"]) == (
        "0.1, 0.2, 0.3",
        "0.4, 0.5, 0.6",
    )
    expected = pixel_values(clip, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    torch.testing.assert_close(other.normalised([other.prepare(clip)]), expected, rtol=0, atol=1e-6)
    tiny_encoders.write_preprocessor(folder, do_normalize=False)
    assert load(folder).settings["pixel_mean"] == "0.0, 0.0, 0.0"


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"rescale_factor": 1 / 127.5}, "does not scale pixels by 1/255"),
        ({"image_std": [0.5, 0.5]}, "expected three numbers each"),
        ({"image_std": [0.5, "0.5", 0.5]}, "cannot be read as the settings of a preprocessor"),
        ({"image_mean": [0.5, None, 0.5]}, "cannot be read as the settings of a preprocessor"),
        ({"image_mean": [0.5, float("nan"), 0.5]}, "expected three numbers each"),
        ({"rescale_factor": "x"}, "cannot be read as the settings of a preprocessor"),
        ({"image_std": [0.5, 0.5, 0.0]}, "the latter above 0"),
    ],
)
def test_a_preprocessor_that_we_cannot_follow_is_refused(tmp_path, settings, words):
    folder = tiny("vit", tmp_path)
    tiny_encoders.write_preprocessor(folder, **settings)
    with pytest.raises(ModelLoadError, match=words):
        load(folder)


def test_what_is_no_clip_of_the_encoder_is_a_usage_error(tmp_path):
    encoder = load(tiny("videomae", tmp_path))
    for wrong in (
        "text",
        *(np.zeros(shape, np.uint8) for shape in ((4, 32, 32), (4, 32, 32, 4))),
        CLIPS[0] / 255,
    ):
        with pytest.raises(UsageError, match="a video encoder reads uint8 arrays"):
            encoder.encode([wrong])
    with pytest.raises(
        UsageError, match="has 5 pictures of 32 x 32 pixels; videomae-base takes 4 of 32 x 32"
    ):
        encoder.encode([np.zeros((5, 32, 32, 3), np.uint8)])
    with pytest.raises(UsageError, match="has 4 pictures of 48 x 32 pixels"):
        encoder.encode([np.zeros((4, 32, 48, 3), np.uint8)])
    with pytest.raises(UsageError, match="pooling 'cls_dist' means nothing for videomae"):
        load(tmp_path / "videomae-base", pooling="cls_dist")


def test_dinov2_takes_pictures_of_the_size_that_its_preprocessor_cuts(tmp_path):
    folder = tiny("dinov2", tmp_path)
    tiny_encoders.write_preprocessor(folder, crop_size={"height": 16, "width": 16})
    encoder = load(folder)
    assert (encoder.frames.size, encoder.settings["frame_size"]) == (16, 16)
    small = np.stack(tiny_encoders.video_clips(16))[:, :, :16, :16]
    assert np.isfinite(encoder.encode(list(small))).all()
    tiny_encoders.write_preprocessor(folder, crop_size={"height": 16, "width": 8})
    with pytest.raises(ModelLoadError, match=r"cuts pictures to .* expected a square"):
        load(folder)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_half_that_sees_is_found_where_its_sizes_are_left_out(tmp_path, name):
    folder = tiny(f"{name}_vision_model", tmp_path)
    assert is_head("vision_model.embeddings.position_ids") and is_head("text_model.embeddings.x")
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == name
    del config["vision_config"]["hidden_size"], config["vision_config"]["num_hidden_layers"]
    (folder / "config.json").write_text(json.dumps(config))
    spec = resolve(str(folder), "video").spec
    assert (spec.architecture, spec.dim, spec.layers) == (f"{name}_vision_model", 768, 12)
