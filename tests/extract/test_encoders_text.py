"""Transcripts: truncation and its count, position limits, and the vectors of the real MiniLM."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tiny_encoders
import torch
import transformers

from embeddings_store.errors import ModelLoadError, UsageError
from extract.encoders import InputSettings, load_encoder, resolve
from extract.encoders.registry import REGISTRY

ROWS = {row.name: row for row in REGISTRY}
LONG = "a b c " * 40


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    names = ("bert-base-uncased", "roberta-base", "distilbert-base-uncased")
    return {name: tiny_encoders.save(ROWS[name], parent) for name in names}


@pytest.mark.parametrize("name", ["bert-base-uncased", "roberta-base", "distilbert-base-uncased"])
def test_long_text_is_cut_at_what_the_positions_reach(folders, name):
    encoder = load_encoder(str(folders[name]), device="cpu", inputs=InputSettings(max_tokens=500))
    assert encoder.max_tokens == encoder.settings["max_tokens"] == encoder.spec.max_input == 24
    assert np.isfinite(encoder.encode([LONG])).all()


def test_cut_texts_are_counted_and_cut_behind_the_last_token_that_fits(folders):
    encoder = load_encoder(
        str(folders["bert-base-uncased"]),
        device="cpu",
        inputs=InputSettings(max_tokens=8),
        pooling="mean",
    )
    assert encoder.token_count("a b c") == 5 and encoder.token_count(LONG) == 122
    vectors = encoder.encode([LONG, "a b c a b c", "a b c"])
    assert encoder.truncated == 1
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-5, atol=1e-6)


def test_what_a_model_was_trained_to_read_before_a_text_is_put_there_and_recorded(
    folders, tmp_path
):
    folder = shutil.copytree(folders["bert-base-uncased"], tmp_path / "mine")
    plain = load_encoder(str(folder), device="cpu")
    prompts = {"prompts": {"query": "dogs ? "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    encoder = load_encoder(str(folder), device="cpu")
    assert "prefix" not in plain.settings and encoder.settings["prefix"] == "dogs ? "
    np.testing.assert_array_equal(encoder.encode(["a b"]), plain.encode(["dogs ? a b"]))
    encoder.save(tmp_path / "kept")
    assert load_encoder(str(tmp_path / "kept"), device="cpu").settings == encoder.settings
    (folder / "config_sentence_transformers.json").write_text('{"default_prompt_name": "query"}')
    with pytest.raises(ModelLoadError, match="names the prompt 'query' and does not have it"):
        resolve(str(folder))


def test_an_empty_text_has_the_vector_of_its_special_tokens(folders):
    encoder = load_encoder(str(folders["bert-base-uncased"]), device="cpu")
    assert encoder.token_count("") == 2
    assert np.isfinite(encoder.encode([""])).all()


@pytest.mark.parametrize("item", [None, 3, b"bytes", ["words"]])
def test_only_text_is_read(folders, item):
    with pytest.raises(
        UsageError, match=f"input 1 is a {type(item).__name__}; a text encoder reads str"
    ):
        load_encoder(str(folders["bert-base-uncased"]), device="cpu").encode(["fine", item])


def test_max_tokens_must_leave_room(folders):
    with pytest.raises(UsageError, match="max_tokens is 2; expected at least 3"):
        load_encoder(
            str(folders["bert-base-uncased"]), device="cpu", inputs=InputSettings(max_tokens=2)
        )


def test_folder_without_a_tokenizer_is_refused(folders, tmp_path):
    model = transformers.BertModel.from_pretrained(
        folders["bert-base-uncased"], local_files_only=True
    )
    model.save_pretrained(tmp_path / "bare")
    with pytest.raises(ModelLoadError, match=r"bare has no tokenizer \(tokenizer.json, vocab.txt,"):
        load_encoder(str(tmp_path / "bare"), device="cpu")


@pytest.mark.parametrize(
    ("content", "says"), [("{", "cannot be read"), (None, "has 60 tokens and the model 18")]
)
def test_torn_or_foreign_tokenizer_is_refused(tmp_path, content, says):
    folder = tiny_encoders.save(ROWS["bert-base-uncased"], tmp_path)
    saved = folder / "tokenizer.json"
    if content is None:
        parsed = json.loads(saved.read_text())
        parsed["model"]["vocab"] |= {f"word{n}": n for n in range(18, 60)}
        content = json.dumps(parsed)
    saved.write_text(content)
    with pytest.raises(ModelLoadError, match=says):
        load_encoder(str(folder), device="cpu")


def test_another_tokenizer_is_another_setting(folders, tmp_path):
    first = load_encoder(str(folders["bert-base-uncased"]), device="cpu")
    again = load_encoder(str(tiny_encoders.save(ROWS["bert-base-uncased"], tmp_path)), device="cpu")
    assert first.settings == again.settings
    saved = tmp_path / "bert-base-uncased" / "tokenizer.json"
    saved.write_text(saved.read_text().replace("kids", "cats"))
    other = load_encoder(str(saved.parent), device="cpu")
    assert other.settings["tokenizer_digest"] != first.settings["tokenizer_digest"]


def test_real_minilm_is_the_masked_mean_of_stock_transformers(shared):
    path = shared / "models" / "all-MiniLM-L6-v2"
    texts = [
        "Kids are talking by the door",
        "No.",
        "I can't believe you did that to me, after all these years!",
    ]
    encoder = load_encoder(str(path), device="cpu", batch_size=3)
    assert (encoder.pooling, encoder.dim, encoder.layers) == ("mean", 384, (6,))
    model = transformers.BertModel.from_pretrained(
        path, dtype=torch.float32, local_files_only=True
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    found = encoder.encode(texts)[:, 0]
    for row, text in enumerate(texts):
        with torch.inference_mode():
            expected = (
                model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
            )
        assert np.linalg.norm(found[row] - expected) / np.linalg.norm(expected) < 1e-5


def test_real_minilm_knows_what_sentences_mean(shared):
    encoder = load_encoder(str(shared / "models" / "all-MiniLM-L6-v2"), device="cpu")
    vectors = encoder.encode(
        ["I am so happy today", "What a joyful day", "The invoice is due on Monday"]
    )[:, 0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = vectors @ vectors.T
    assert alike[0, 1] > 0.4 > alike[0, 2]
