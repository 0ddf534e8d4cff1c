"""Checkpoints that are torn, incomplete or of something else are refused.

Heads are not mistaken for faults.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest
import tiny_encoders
import torch
import transformers
from safetensors.torch import load_file, save_file

from embeddings_store.errors import ModelLoadError, UsageError
from extract.encoders import InputSettings, load_encoder, resolve
from extract.encoders.base import layer_numbers

HUBERT, BERT = resolve("hubert-base").spec, resolve("bert-base-uncased").spec


@pytest.fixture
def folder(tmp_path):
    return tiny_encoders.save(HUBERT, tmp_path)


def change(folder, edit) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def load(folder, **options):
    return load_encoder(str(folder), device="cpu", **options)


def test_missing_weights_are_refused_by_name(folder):
    change(folder, lambda tensors: tensors.pop("encoder.layers.1.feed_forward.output_dense.weight"))
    with pytest.raises(
        ModelLoadError,
        match=r"1 missing \(encoder.layers.1.feed_forward.output_dense.weight\); they would have",
    ):
        load(folder)


def test_weights_of_another_shape_are_refused(folder):
    change(folder, lambda tensors: tensors.update({"encoder.layer_norm.weight": torch.ones(31)}))
    with pytest.raises(
        ModelLoadError, match=r"1 of another shape \(encoder.layer_norm.weight \(31,\) != \(32,\)\)"
    ):
        load(folder)


def test_weights_that_no_part_explains_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    with pytest.raises(
        ModelLoadError,
        match=r"16 not known as a head \(encoder.layers.1.attention.k_proj.bias, .*and 11 more",
    ):
        load(folder)


def test_heads_are_left_out_and_reported(folder):
    change(
        folder,
        lambda tensors: tensors.update(
            {"projector.weight": torch.ones(4, 32), "classifier.bias": torch.ones(3)}
        ),
    )
    encoder = load(folder)
    assert encoder.loading_report == {
        "missing": (),
        "unexpected": ("classifier.bias", "projector.weight"),
        "mismatched": (),
    }


def test_the_mask_of_spec_augment_may_be_missing_and_is_not_in_the_digest(folder):
    whole = load(folder)
    change(folder, lambda tensors: tensors.pop("masked_spec_embed"))
    first, again = load(folder), load(folder)
    assert first.loading_report["missing"] == ("masked_spec_embed",)
    assert first.weights_digest == again.weights_digest == whole.weights_digest


def test_classifier_saved_by_transformers_is_told_apart(tmp_path):
    config = transformers.HubertConfig(
        classifier_proj_size=16, num_labels=4, **tiny_encoders.waveform_settings(group_norm=True)
    )
    transformers.HubertForSequenceClassification(config).save_pretrained(tmp_path / "tuned")
    transformers.HubertModel(config).save_pretrained(tmp_path / "plain")
    tuned = load(tmp_path / "tuned")
    assert tuned.likely_finetuned and not load(tmp_path / "plain").likely_finetuned
    assert len(tuned.loading_report["unexpected"]) == 4


def test_torn_weights_are_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        ModelLoadError, match=r"cannot be read as weights \(.*; fetch or save it again"
    ):
        load(folder)


def test_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        ModelLoadError, match=r"holds no weights; expected model.safetensors or pytorch_model.bin"
    ):
        load(folder)


def test_lfs_pointer_is_named(folder):
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    )
    with pytest.raises(
        ModelLoadError, match="is a Git-LFS pointer, not weights; run 'git lfs pull'"
    ):
        load(folder)


def test_pytorch_weights_load_as_tensors_only(folder):
    expected = load(folder).weights_digest
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert load(folder).weights_digest == expected


def test_pickled_code_is_not_run(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    target = tmp_path / "it ran"
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(Touch(str(target)), file, protocol=2)
    with pytest.raises(ModelLoadError, match="cannot be read as"):
        load(folder)
    assert not target.exists()


class Touch:
    """A pickle that makes a file when it is read carelessly."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_half_precision_weights_become_float32(folder):
    change(
        folder,
        lambda tensors: tensors.update({key: value.half() for key, value in tensors.items()}),
    )
    encoder = load(folder)
    assert {parameter.dtype for parameter in encoder.model.parameters()} == {torch.float32}
    assert not encoder.model.training


def test_loading_is_silent_and_leaves_transformers_as_it_was(folder, capfd):
    log = transformers.utils.logging
    before = log.get_verbosity(), log.is_progress_bar_enabled()
    load(tiny_encoders.save(BERT, folder))
    capfd.readouterr()
    load(folder / BERT.name)
    assert capfd.readouterr() == ("", "")
    assert (log.get_verbosity(), log.is_progress_bar_enabled()) == before


def test_digest_is_the_same_in_another_process(folder):
    code = (
        "from extract.encoders import load_encoder; "
        f"print(load_encoder({str(folder)!r}, device='cpu').weights_digest)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == load(folder).weights_digest


@pytest.mark.parametrize("layer", [-1, 3, [0, 0], [], "first", [0, 9], 1.0, "0"])
def test_layers_that_are_not_there_are_refused(layer):
    with pytest.raises(
        UsageError, match="expected 'last', 'all', or different numbers from 0 to 2"
    ):
        layer_numbers(layer, 2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pooling": "first"}, "pooling 'first' means nothing for hubert; it takes mean, std, max"),
        ({"batch_size": 0}, "batch_size is 0; expected at least 1"),
        ({"revision": "main"}, "is a folder; a revision goes with a Hub id"),
        ({"layer": 7}, "layer is 7; expected"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder, options, says):
    with pytest.raises(UsageError, match=says):
        load(folder, **options)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"long_rule": "last"}, "unknown long_rule 'last'"),
        ({"max_duration_s": 0.0}, "max_duration_s is 0.0; expected more than 0"),
        ({"max_duration_s": float("nan")}, "max_duration_s is nan"),
    ],
)
def test_inputs_that_cannot_be_are_refused(settings, says):
    with pytest.raises(UsageError, match=says):
        InputSettings(**settings)


@pytest.mark.parametrize(
    ("device", "says"), [("gpu", "unknown device 'gpu'"), ("cuda:99", "not on this machine")]
)
def test_devices_that_are_not_there_are_refused(folder, device, says):
    with pytest.raises(UsageError, match=says):
        load_encoder(str(folder), device=device)


def test_an_adapter_of_further_convolutions_is_refused(tmp_path):
    settings = tiny_encoders.waveform_settings(group_norm=True)
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(add_adapter=True, **settings))
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelLoadError, match="has add_adapter set"):
        load(tmp_path)
