"""What a user may name, what comes of it, and what is said where nothing does."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import huggingface_hub.constants
import pytest

from embeddings_store.errors import ModelLoadError, UnknownNameError, UsageError
from extract.encoders import ARCHITECTURES, REGISTRY, encoder_names, hub, load_encoder, resolve
from extract.encoders.architectures import check_pooling
from extract.encoders.encoder_spec import EncoderSpec

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def folder_with(parent, name, **config):
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def bert(parent, name, **more):
    return folder_with(
        parent, name, **{"model_type": "bert", "hidden_size": 64, "num_hidden_layers": 3, **more}
    )


def test_importing_the_table_imports_neither_torch_nor_transformers():
    heavy = {"torch", "transformers", "huggingface_hub"}
    code = f"import sys, extract.encoders; sys.exit(bool({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_rows_are_unique_and_complete():
    assert (
        len({row.name for row in REGISTRY})
        == len({row.hub_id for row in REGISTRY})
        == len(REGISTRY)
        == 29
    )
    for row in REGISTRY:
        assert row.dim in (384, 512, 768, 1024) and row.layers in (4, 6, 12, 22, 24)
        assert row.licence and row.source.startswith("https://") and row.revision == ""
        assert (row.sample_rate == 16_000) == (row.min_duration_s > 0) == (row.modality == "audio")
        assert row.max_input == {"text": 512, "video": None}.get(
            row.modality if row.architecture != "modernbert" else "", row.max_input
        )
    assert sum(len(encoder_names(modality)) for modality in ("text", "audio", "video")) == len(
        encoder_names()
    )


@pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row.name)
def test_name_and_hub_id_stand_for_the_row(row):
    assert resolve(row.name) == resolve(row.hub_id, row.modality)
    assert resolve(row.name).spec is row and not resolve(row.name).is_local


@pytest.mark.parametrize(
    ("name", "config", "pooling"),
    [
        ("all-MiniLM-L6-v2", {}, "mean"),
        ("my-bert", {}, "first"),
        ("all-MiniLM-L6-v2", {"model_type": "distilbert", "dim": 64, "n_layers": 3}, "first"),
    ],
)
def test_folder_takes_the_pooling_of_the_row_of_its_name_if_the_architecture_agrees(
    tmp_path, name, config, pooling
):
    found = resolve(bert(tmp_path, name, **config), "text")
    assert found.is_local and found.spec.name == name
    assert (found.spec.pooling, found.spec.dim, found.spec.layers) == (pooling, 64, 3)


def test_folder_of_a_hub_ids_last_part_is_that_row(tmp_path):
    size = {
        "model_type": "hubert",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "feat_extract_norm": "group",
    }
    found = resolve(folder_with(tmp_path, "hubert-base-ls960", **size)).spec
    assert (found.name, found.dim, found.padding_harmless) == ("hubert-base", 32, False)


@pytest.mark.parametrize(
    ("declared", "pooling"),
    [("mean_tokens", "mean"), ("cls_token", "first"), ("max_tokens", "max")],
)
def test_sentence_transformers_folder_says_its_own_pooling(tmp_path, declared, pooling):
    folder = bert(tmp_path, "sentences")
    (tmp_path / "sentences" / "1_Pooling").mkdir()
    modes = {
        "word_embedding_dimension": 64,
        "pooling_mode_max_tokens": False,
        f"pooling_mode_{declared}": True,
    }
    (tmp_path / "sentences" / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    assert resolve(folder).spec.pooling == pooling


def test_a_pooling_that_we_cannot_do_is_refused(tmp_path):
    folder = bert(tmp_path, "sentences")
    (tmp_path / "sentences" / "1_Pooling").mkdir()
    (tmp_path / "sentences" / "1_Pooling" / "config.json").write_text(
        '{"pooling_mode_weightedmean_tokens": true}'
    )
    with pytest.raises(UsageError, match="asks for pooling_mode_weightedmean_tokens"):
        resolve(folder)


def test_wrong_modality_is_refused_with_what_there_is():
    with pytest.raises(
        UsageError,
        match="'bert-base-uncased' reads text, not audio; audio encoders: wav2vec2-base, "
        "hubert-base",
    ):
        resolve("bert-base-uncased", "audio")
    with pytest.raises(UnknownNameError, match="unknown modality 'adio'; did you mean 'audio'"):
        encoder_names("adio")


def test_unknown_names_get_a_hint(tmp_path):
    with pytest.raises(
        UnknownNameError, match="unknown encoder 'whisper-tinny'; did you mean 'whisper-tiny'"
    ):
        resolve("whisper-tinny")
    with pytest.raises(UsageError, match=r"no folder ./nowhere/at/all; an encoder is a folder"):
        resolve("./nowhere/at/all")
    (tmp_path / "weights.bin").touch()
    with pytest.raises(UsageError, match="is a file; an encoder is a folder"):
        resolve(str(tmp_path / "weights.bin"))


@pytest.mark.parametrize(
    ("config", "error", "says"),
    [
        (
            {"model_type": "gpt2"},
            UsageError,
            "'gpt2', which is not supported; make its vectors .* import'; known: bert, roberta",
        ),
        ({"hidden_size": 3}, ModelLoadError, "has no 'model_type'.*embeddings-store import"),
        ({"model_type": ["bert"]}, ModelLoadError, "has no 'model_type'"),
        ({"model_type": "bert", "hidden_size": 32}, ModelLoadError, "num_hidden_layers = None"),
        ({"model_type": "whisper", "d_model": 0}, ModelLoadError, "d_model = 0"),
    ],
)
def test_configurations_that_do_not_say_enough_are_refused(tmp_path, config, error, says):
    with pytest.raises(error, match=says):
        resolve(folder_with(tmp_path, "model", **config))


@pytest.mark.parametrize(
    ("content", "says"), [("{", "cannot be read as JSON"), ("[]", "holds a JSON list")]
)
def test_torn_configuration_is_refused(tmp_path, content, says):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelLoadError, match=says):
        resolve(str(tmp_path))


def test_folder_without_configuration_is_refused(tmp_path):
    with pytest.raises(ModelLoadError, match=r"has no config.json, so it is not a model folder"):
        resolve(str(tmp_path))


def test_a_row_that_does_not_fit_its_architecture_cannot_be_made():
    row = resolve("wav2vec2-base").spec
    with pytest.raises(
        UsageError, match="pooling 'first' means nothing for wav2vec2; it takes mean, std, max"
    ):
        dataclasses.replace(row, pooling="first")
    with pytest.raises(UsageError, match="wav2vec2 reads audio, not text"):
        dataclasses.replace(row, modality="text")


@pytest.mark.parametrize(
    ("architecture", "pooling", "says"),
    [
        ("videomae", "mean+thirds", "pooling 'thirds' means nothing for videomae; it takes mean, "),
        ("audio-spectrogram-transformer", "mean+std", "pooling 'mean' means nothing for audio-"),
        ("whisper", "mean+", "pooling '' means nothing for whisper; it takes mean, std, max, "),
        ("bert", "mean+mean", r"pooling 'mean\+mean' names a part twice; name each once"),
    ],
)
def test_a_pooling_that_means_nothing_is_refused_in_one_line(architecture, pooling, says):
    with pytest.raises(UsageError, match=says) as refused:
        check_pooling(architecture, pooling)
    assert "\n" not in str(refused.value)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache and a Hub that cannot be reached.

    The cached repository ``org/cached`` when it is filled.
    """
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    repository = tmp_path / "models--org--cached"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


def test_a_repository_that_is_no_transformers_model_points_to_the_import(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "_snapshot", lambda *asked, offline: None if offline else tmp_path)
    with pytest.raises(ModelLoadError, match=r"is not a Transformers model; .*store import"):
        resolve("emotion2vec/emotion2vec_plus_base")


def test_uncached_model_without_network_fails_and_says_how_to_get_it(cache):
    says = (
        "org/absent is not in the local Hugging Face cache and the Hub cannot be reached; run "
        "'hf download org/absent'"
    )
    with pytest.raises(ModelLoadError, match=says) as raised:
        resolve("org/absent")
    with pytest.raises(
        ModelLoadError, match="run 'hf download facebook/wav2vec2-base' once with network"
    ):
        load_encoder("wav2vec2-base", device="cpu")
    assert "\n" not in str(raised.value) and raised.value.__suppress_context__


def test_offline_mode_is_named_as_the_reason(cache, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelLoadError, match=r"org/absent@v2.* is not in|HF_HUB_OFFLINE is set"):
        load_encoder("facebook/wav2vec2-base", device="cpu", revision="v2")


def test_a_mistyped_hub_id_gets_a_hint(cache):
    with pytest.raises(ModelLoadError, match="did you mean 'facebook/wav2vec2-base'"):
        resolve("facebook/wav2vec2-bose")


def test_cached_model_loads_without_network_and_tells_its_commit(cache, tmp_path):
    import tiny_encoders

    whisper = resolve("whisper-tiny").spec
    cache.parent.mkdir()
    tiny_encoders.save(whisper, tmp_path / "made").rename(cache)
    found = resolve("org/cached", "audio")
    assert (found.spec.name, found.spec.hub_id, found.is_local) == ("cached", "org/cached", False)
    encoder = load_encoder(found, device="cpu")
    assert encoder.revision == COMMIT
    assert str(tmp_path) not in json.dumps(encoder.settings)


def test_adding_an_encoder_is_one_row():
    known = ARCHITECTURES["hubert"]
    row = EncoderSpec("mine", known.modality, "hubert", "me/mine", known.pooling, 768, 12)
    assert row.padding_harmless and row.revision == ""
