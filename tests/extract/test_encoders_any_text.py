"""An encoder of text without an entry runs where a batch changes no vector; else it is said why."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_encoders
import torch
import transformers

from embeddings_store.errors import ModelLoadError, UsageError
from extract.encoders import ARCHITECTURES, REGISTRY, load_encoder, resolve
from extract.encoders.text import position_limit

ROW = REGISTRY[0]
IMPORT = "embeddings-store import"


@pytest.mark.parametrize("architecture", ["electra", "albert"])
def test_any_encoder_of_text_runs_with_a_stated_pooling(architecture, tmp_path):
    assert architecture not in ARCHITECTURES
    spec = replace(ROW, name=architecture, architecture=architecture, pooling="mean")
    folder = tiny_encoders.save(spec, tmp_path)
    encoder = load_encoder(str(folder), layer="all", device="cpu", batch_size=8)
    assert (encoder.spec.architecture, encoder.settings["pooling"]) == (architecture, "mean")
    vectors = encoder.encode(tiny_encoders.TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in tiny_encoders.TEXTS])
    np.testing.assert_allclose(vectors, alone, rtol=1e-4, atol=1e-5)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(tiny_encoders.TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        states = model(input_ids=ids).last_hidden_state
    np.testing.assert_allclose(vectors[0, -1], states[0].mean(0), rtol=1e-4, atol=1e-5)
    again = load_encoder(str(folder), pooling="first", device="cpu")
    assert again.weights_digest == encoder.weights_digest  # nothing was drawn at random
    np.testing.assert_allclose(again.encode(tiny_encoders.TEXTS[:1])[0, 0], states[0, 0], atol=1e-5)


def test_its_sentence_transformers_file_states_the_pooling(tmp_path):
    spec = replace(ROW, name="electra", architecture="electra", pooling="mean")
    folder = tiny_encoders.save(spec, tmp_path)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    assert resolve(str(folder), "text").spec.pooling == "max"


def test_one_that_counts_distances_and_sets_no_limit_reads_as_many_tokens_as_most(tmp_path):
    config = transformers.XLNetConfig(vocab_size=18, d_model=32, n_layer=2, n_head=4, d_inner=64)
    assert config.max_position_embeddings == -1 and position_limit(config) == 512
    tiny_encoders.save_with_tokenizer(transformers.XLNetModel(config), tmp_path / "xlnet")
    encoder = load_encoder(str(tmp_path / "xlnet"), device="cpu")
    assert (encoder.dim, encoder.max_tokens) == (32, 128)


@pytest.mark.parametrize("name", ["ConvBert", "FNet"])
def test_one_whose_vectors_hang_on_the_batch_is_refused(name, tmp_path):
    config = getattr(transformers, f"{name}Config")(
        vocab_size=18, max_position_embeddings=24, **tiny_encoders.SIZE
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}Model")(config)
    tiny_encoders.save_with_tokenizer(model, tmp_path / name)
    with pytest.raises(ModelLoadError, match=f"another vector in a batch than alone .*{IMPORT}"):
        load_encoder(str(tmp_path / name), device="cpu")


def test_one_that_does_not_run_on_texts_alone_is_refused(tmp_path, monkeypatch):
    spec = replace(ROW, name="electra", architecture="electra", pooling="mean")
    folder = tiny_encoders.save(spec, tmp_path)

    def forward(self, **inputs):
        raise ValueError("boxes are needed")

    monkeypatch.setattr(transformers.ElectraModel, "forward", forward)
    with pytest.raises(ModelLoadError, match=f"does not run .*boxes are needed.*{IMPORT}"):
        load_encoder(str(folder), device="cpu")


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "beit", "vocab_size": 8192, "image_size": 224},
        {"model_type": "t5", "vocab_size": 32128, "is_encoder_decoder": True},
        {"model_type": "emotion2vec"},
    ],
)
def test_what_is_no_encoder_of_text_points_to_the_import(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=f"{config['model_type']}.* not supported; .*{IMPORT}"):
        resolve(str(tmp_path))


def test_an_architecture_that_transformers_does_not_know_points_to_the_import(tmp_path):
    spec = replace(ROW, name="electra", architecture="electra", pooling="mean")
    folder = tiny_encoders.save(spec, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "brand-new"}))
    with pytest.raises(ModelLoadError, match=f"no model of architecture 'brand-new'.*{IMPORT}"):
        load_encoder(str(folder), device="cpu")


def test_a_sentencepiece_vocabulary_alone_needs_its_package(tmp_path, monkeypatch):
    folder = tiny_encoders.save(ROW, tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)
    (folder / "spm.model").write_bytes(b"pieces")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelLoadError, match=r"spm.model is a vocabulary that .*sentencepiece"):
        load_encoder(str(folder), device="cpu")
