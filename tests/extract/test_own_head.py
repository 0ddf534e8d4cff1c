"""The scores of a checkpoint's own head are those of Transformers' classifier, input by input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_encoders
import torch
import transformers

from embeddings_store import open_store
from embeddings_store.errors import ModelLoadError, UsageError
from embeddings_store.vectors.hdf5 import read_embeddings, verify
from extract.commands.extract_features import main
from extract.encoders import REGISTRY, load_encoder
from extract.encoders.own_head import load_own_head

LABELS = {0: "joy", 1: "anger", 2: "none, of these"}
CLASSES = {
    "bert-base-uncased": "BertForSequenceClassification",
    "modernbert-base": "ModernBertForSequenceClassification",
    "wav2vec2-base": "Wav2Vec2ForSequenceClassification",
    "data2vec-audio-base": "Data2VecAudioForSequenceClassification",
    "ast": "ASTForAudioClassification",
    "videomae-base": "VideoMAEForVideoClassification",
    "timesformer-base-k400": "TimesformerForVideoClassification",
    "vit-base": "ViTForImageClassification",
    "clip-vit-base-patch32": "CLIPForImageClassification",
}
ROWS = {row.name: row for row in REGISTRY}


def classifier(name, parent):
    """Save a tiny classifier of a row's architecture; return its folder."""
    folder = tiny_encoders.save(ROWS[name], parent)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.id2label, config.label2id = LABELS, {label: i for i, label in LABELS.items()}
    torch.manual_seed(1)
    model = getattr(transformers, CLASSES[name])(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", CLASSES)
def test_scores_are_those_of_the_classifier_for_each_input_alone(name, tmp_path):
    folder = classifier(name, tmp_path)
    encoder = load_encoder(str(folder), device="cpu", batch_size=8)
    head = load_own_head(encoder)
    assert head.labels == tuple(head.settings["own_labels"]) == tuple(LABELS.values())
    items = tiny_encoders.inputs(ROWS[name])
    scores = head.encode(items)
    assert scores.shape == (len(items), 1, 3) and scores.dtype == np.float32
    model = getattr(transformers, CLASSES[name]).from_pretrained(folder).eval()
    for item, found in zip(items, scores[:, 0], strict=True):
        prepared = encoder.prepare(item)
        with torch.inference_mode():
            logits = model(**stock_inputs(name, encoder, prepared)).logits.mean(0)
        np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
    assert np.abs(scores - scores[:1]).max() > 1e-4


def stock_inputs(name, encoder, prepared):
    modality = ROWS[name].modality
    if modality == "text":
        return {"input_ids": torch.tensor([prepared])}
    if modality == "audio":
        return {"input_values": torch.from_numpy(prepared)[None]}
    pixels = (torch.from_numpy(prepared) / 255 - encoder._mean) / encoder._std
    is_clip = tiny_encoders.pictures_of(ROWS[name]) == 4
    return {"pixel_values": pixels[None] if is_clip else pixels}


def test_the_command_keeps_them_beside_the_vectors_with_the_labels(tmp_path, capsys):
    folder = classifier("bert-base-uncased", tmp_path)
    words = [*tiny_encoders.TEXTS, *tiny_encoders.WORDS[:8]]
    table = pd.DataFrame({"id": [f"u{i}" for i in range(12)], "text": words})
    table = table.assign(label=["x", "y"] * 6, session=[str(i // 4) for i in range(12)])
    table.to_csv(tmp_path / "rows.csv", index=False)
    asked = ["--corpus", "manifest", "--root", str(tmp_path / "rows.csv"), "--modality", "text"]
    asked += ["--encoder", str(folder), "--frozen", "--own-head", "--device", "cpu"]
    asked += ["--store", str(tmp_path / "store")]
    assert main([*asked, "--dry-run"]) == 0 and not (tmp_path / "store").exists()
    assert main(asked) == 0
    told = capsys.readouterr()
    assert "class scores of its own head (joy, anger, none, of these) as text_head" in told.err
    vectors, scores = (read_embeddings(Path(path)) for path in told.out.split()[-2:])
    assert verify(Path(told.out.split()[-1])) == []
    assert (vectors.encoder.modality, scores.encoder.modality) == ("text", "text_head")
    assert scores.attributes["settings"]["own_labels"] == list(LABELS.values())
    assert (scores.seen == "unknown").all()
    head = load_own_head(load_encoder(str(folder), device="cpu"))
    np.testing.assert_allclose(scores.vectors, head.encode(words)[:, 0], rtol=1e-5, atol=1e-6)
    assert main(asked) == 0 and "nothing to do" in capsys.readouterr().err
    fold = open_store(tmp_path / "store").fold(1, modalities=["text", "text_head"])
    assert fold.test.vectors["text_head"].shape[1] == 3


def test_a_fine_tuning_has_a_head_of_its_own(tmp_path, capsys):
    asked = ["--corpus", "demo", "--root", str(tmp_path / "demo"), "--modality", "text"]
    assert main([*asked, "--fold", "1", "--own-head"]) == 2
    assert "--own-head belongs to --frozen" in capsys.readouterr().err


def test_a_checkpoint_without_a_head_is_refused_before_anything_is_made(tmp_path):
    plain = tiny_encoders.save(ROWS["bert-base-uncased"], tmp_path)
    with pytest.raises(UsageError, match=r"comes with no head over labels .*leave --own-head out"):
        load_own_head(load_encoder(str(plain), device="cpu"))


def test_a_set_of_features_has_no_head():
    with pytest.raises(UsageError, match="mfcc has no head"):
        load_own_head(load_encoder("mfcc", device="cpu"))


def test_heads_that_give_no_classes_or_are_not_whole_are_refused(tmp_path):
    folder = classifier("bert-base-uncased", tmp_path)
    kept = shutil.copytree(folder, tmp_path / "kept")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": "regression"}))
    with pytest.raises(UsageError, match=r"its head gives 3 number\(s\) and no classes"):
        load_own_head(load_encoder(str(folder), device="cpu"))
    labels = {str(i): name for i, name in enumerate("abcd")}
    (kept / "config.json").write_text(json.dumps(config | {"id2label": labels}))
    with pytest.raises(ModelLoadError, match=r"lack \d of BertForSequenceClassification"):
        load_own_head(load_encoder(str(kept), device="cpu"))
