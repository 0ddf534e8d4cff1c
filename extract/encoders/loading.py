"""Loads a checkpoint's encoder in float32.

Any weight that is missing, of another shape or unexplained is refused.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
import transformers
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from embeddings_store.errors import ModelLoadError
from embeddings_store.provenance import canonical_json
from embeddings_store.reading import AGAIN, reading
from extract.encoders import hub
from extract.encoders.architectures import ARCHITECTURES, ELSEWHERE, kind_of
from extract.encoders.resolving import ResolvedEncoder
from extract.encoders.weight_files import refuse_what_is_no_float_model
from extract.media.lfs_pointer import is_lfs_pointer

# Parts of a checkpoint that are not the encoder: heads, decoders and pretraining targets, by the
# first part of the key once the name of the base model is off.
_HEADS = (
    "classifier",
    "cls",
    "decoder",
    "encoder_to_decoder",
    "head",
    "layer_weights",
    "logit_bias",
    "logit_scale",
    "lm_head",
    "lm_predictions",
    "mask_predictions",
    "mask_token",
    "masked_spec_embed",
    "objective",
    "pooler",
    "pre_classifier",
    "proj_out",
    "project_hid",
    "project_q",
    "projector",
    "qa_outputs",
    "quantizer",
    "tdnn",
    "text_model",
    "text_projection",
    "visual_projection",
    "vocab_layer_norm",
    "vocab_projector",
    "vocab_transform",
)
_BASE_NAMES = (
    "audio_spectrogram_transformer",
    "bert",
    "distilbert",
    "data2vec_audio",
    "deberta",
    "dinov2",
    "dinov2_with_registers",
    "hubert",
    "model",
    "mpnet",
    "roberta",
    "timesformer",
    "videomae",
    "vision_model",
    "vit",
    "wav2vec2",
    "wavlm",
)
_HEAD_KEY = re.compile(
    rf"(?:(?:{'|'.join(_BASE_NAMES)})\.)?"
    rf"(?:(?:{'|'.join(_HEADS)})(?:\.|$)"
    # position_ids: a buffer that old BERTs saved; mask_token: for ViT's masked pretraining
    r"|embeddings\.(?:position_ids|mask_token)$"
    # the head of the x-vector models
    r"|feature_extractor\.(?:weight|bias)$)"
)

# What SpecAugment puts over masked frames, in training only; without it in the checkpoint
# Transformers draws it at random.
_NEVER_USED = frozenset({"masked_spec_embed"})
# The norm of VideoMAE's head: without it in the checkpoint it starts as every norm does, at scale 1
# and shift 0.
_STARTS_FRESH = frozenset({"fc_norm.weight", "fc_norm.bias"})

# What a configuration says beside how vectors are made.
_CHANGES_NO_VECTOR = frozenset(
    {
        "_name_or_path",
        "architectures",
        "dtype",
        "id2label",
        "label2id",
        "problem_type",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)


class LoadingInfo(TypedDict):
    """What Transformers reports of a loaded checkpoint, by the keys of the weights."""

    missing_keys: set[str]
    unexpected_keys: set[str]
    mismatched_keys: set[tuple[str, torch.Size, torch.Size]]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """An encoder's weights in memory, with what is known of them.

    Attributes:
        model: In evaluation mode, float32, on the CPU.
        folder: Where everything was read from.
        revision: Commit of the Hub, or an empty string for a folder that is no snapshot of it.
        weights_digest: SHA-256 of the weights, independent of place and process.
        report: Keys that were ``missing``, ``unexpected`` or ``mismatched``, all of them harmless.
        configuration: What its ``config.json`` says, but names, labels, versions and types.
        likely_finetuned: Whether the checkpoint was saved with a classification head, so trained on
            labels.
    """

    model: PreTrainedModel
    folder: Path
    revision: str
    weights_digest: str
    report: dict[str, tuple[str, ...]]
    configuration: dict[str, Any]
    likely_finetuned: bool

    @property
    def config(self) -> PreTrainedConfig:
        """The model's own configuration."""
        return self.model.config


def load_model(resolved: ResolvedEncoder, revision: str | None = None) -> LoadedModel:
    """Load an encoder without its head from a folder or the Hub's cache.

    It is downloaded where it is in neither.

    Args:
        resolved: What to load.
        revision: Commit, tag or branch on the Hub; None for the registry's, else the default
            branch.

    Raises:
        ModelLoadError: If it cannot be had or read, or if its weights are not exactly those that
            the encoder needs.
    """
    if resolved.is_local:
        folder = Path(resolved.source).expanduser()
    else:
        folder = hub.fetch_model(resolved.source, revision or resolved.spec.revision or None)
    _refuse_folder_without_weights(folder)
    _refuse_outside_references(folder)
    refuse_what_is_no_float_model(folder)
    model, found = _from_pretrained(folder, resolved.spec.architecture)
    report = _loading_report(found)
    is_known = resolved.spec.architecture in ARCHITECTURES
    _refuse_wrong_weights(folder, report, is_head if is_known else _no_part_of(model))
    return LoadedModel(
        model=model,
        folder=folder,
        revision=hub.commit_of(folder.resolve()),
        weights_digest=digest_of_weights(model),
        report=report,
        configuration=_configuration(folder),
        likely_finetuned=_was_classifier(folder, model, resolved.spec.architecture, report),
    )


def _configuration(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    with reading(path, "the configuration of an encoder", AGAIN, ModelLoadError):
        found = json.loads(path.read_text(encoding="utf-8"))
        values = {name: value for name, value in found.items() if name not in _CHANGES_NO_VECTOR}
        canonical_json(values).encode()  # no store could hold nan, or half a letter
        return values


def _loading_report(found: LoadingInfo) -> dict[str, tuple[str, ...]]:
    mismatched = [
        f"{key} {tuple(saved)} != {tuple(own)}" for key, saved, own in found["mismatched_keys"]
    ]
    return {
        "missing": tuple(sorted(found["missing_keys"])),
        "unexpected": tuple(sorted(found["unexpected_keys"])),
        "mismatched": tuple(sorted(mismatched)),
    }


def _was_classifier(
    folder: Path, model: PreTrainedModel, architecture: str, report: dict[str, tuple[str, ...]]
) -> bool:
    # We save VideoMAE under the name of a classifier that has no classifier.
    if architecture == "videomae":
        return any(key.startswith("classifier.") for key in report["unexpected"])
    with reading(folder / "config.json", "a list of architectures", AGAIN, ModelLoadError):
        return any("Classification" in name for name in model.config.architectures or [])


def digest_of_weights(model: nn.Module) -> str:
    """Return the SHA-256 over name, type, shape and bytes of every tensor, in order of the names.

    >>> layer = nn.Linear(2, 1)
    >>> digest_of_weights(layer) == digest_of_weights(layer), len(digest_of_weights(layer))
    (True, 64)
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if name in _NEVER_USED:
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).numpy().data)
    return digest.hexdigest()


def _refuse_folder_without_weights(folder: Path) -> None:
    if not hub.has_weights(folder):
        raise ModelLoadError(
            f"{folder} holds no weights; expected model.safetensors or pytorch_model.bin"
        )
    for path in (*folder.glob("model*.safetensors"), *folder.glob("pytorch_model*.bin")):
        if is_lfs_pointer(path):
            raise ModelLoadError(
                f"{path} is a Git-LFS pointer, not weights; run 'git lfs pull' in {folder}"
            )


def _refuse_outside_references(folder: Path) -> None:
    """Refuse weights that an index or the configuration names outside of the folder."""
    indices = [*folder.glob("*.safetensors.index.json"), *folder.glob("*.bin.index.json")]
    for path in (*sorted(indices), folder / "config.json"):
        if not path.is_file():
            continue
        with reading(path, "JSON of the expected form", AGAIN, ModelLoadError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if path.name == "config.json":
                names = [content.get("transformers_weights") or ""]
            else:
                names = list(content["weight_map"].values())
        for name in names:
            if not isinstance(name, str) or Path(name).name != name or name == "..":
                raise ModelLoadError(
                    f"{path} names the weights {name!r}, expected a file in the same folder; "
                    "fetch the model again"
                )


def _from_pretrained(folder: Path, architecture: str) -> tuple[PreTrainedModel, LoadingInfo]:
    name = kind_of(architecture).model_class or f"model of architecture {architecture}"
    model_class, options = _class_and_options(architecture)
    with reading(folder, name, AGAIN, ModelLoadError), quiet():
        loaded = model_class.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            weights_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # reported by us, all at once
            output_loading_info=True,
            **options,
        )
    # Transformers annotates what comes without output_loading_info, the model alone.
    return cast("tuple[PreTrainedModel, LoadingInfo]", loaded)


def _class_and_options(architecture: str) -> tuple[type[PreTrainedModel], dict[str, Any]]:
    """Return the class that an architecture is loaded with, and its own options of loading."""
    if architecture == "whisper":
        # The encoder lies one level down in every kind of Whisper checkpoint.
        return WhisperEncoder, {"key_mapping": {r"^(model\.)?encoder\.": ""}}
    if architecture not in ARCHITECTURES:
        return _any_class(architecture)
    model_class: type[PreTrainedModel] = getattr(
        transformers, ARCHITECTURES[architecture].model_class
    )
    if architecture == "videomae":
        return model_class, {"num_labels": 0}  # Nothing is put where the classifier was.
    return model_class, _without_pooler(model_class)


def _any_class(architecture: str) -> tuple[type[PreTrainedModel], dict[str, Any]]:
    """Return the class that Transformers' ``AutoModel`` takes, and its options of loading.

    Raises:
        ModelLoadError: If Transformers has none for it.
    """
    known = architecture in CONFIG_MAPPING
    model_class = MODEL_MAPPING.get(CONFIG_MAPPING[architecture], None) if known else None
    if not isinstance(model_class, type) or not issubclass(model_class, PreTrainedModel):
        raise ModelLoadError(
            f"Transformers {transformers.__version__} has no model of architecture "
            f"{architecture!r}, and code that comes with a model is not run; {ELSEWHERE}"
        )
    return model_class, _without_pooler(model_class)


def _without_pooler(model_class: type[PreTrainedModel]) -> dict[str, Any]:
    """Return the option that leaves out a pooler of Transformers' own, where a class has it."""
    has_it = "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if has_it else {}


def _no_part_of(model: PreTrainedModel) -> Callable[[str], bool]:
    """Return the rule that tells a head by its name: no part of the encoder is called so."""
    parts = {name for name, _ in model.named_children()}

    def is_no_part(key: str) -> bool:
        first, *rest = key.removeprefix(f"{model.base_model_prefix}.").split(".")
        return bool(rest) and first not in parts

    return is_no_part


def _refuse_wrong_weights(
    folder: Path, report: dict[str, tuple[str, ...]], is_known_head: Callable[[str], bool]
) -> None:
    harmless = _NEVER_USED | _STARTS_FRESH
    wrong = {
        "missing": [key for key in report["missing"] if key not in harmless],
        "of another shape": list(report["mismatched"]),
        "not known as a head": [key for key in report["unexpected"] if not is_known_head(key)],
    }
    faults = [f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in wrong.items() if keys]
    if faults:
        raise ModelLoadError(
            f"the weights in {folder} are not those that its config.json describes: "
            f"{'; '.join(faults)}; they would have been drawn at random or left out, so fetch "
            "the model again or correct config.json"
        )


def is_head(key: str) -> bool:
    """Return whether a key of a checkpoint belongs to a head or a decoder, and not to the encoder.

    >>> is_head("bert.pooler.dense.bias"), is_head("model.decoder.layers.0.fc1.bias")
    (True, True)
    >>> is_head("cls.predictions.bias"), is_head("encoder.layer.12.output.dense.bias")
    (True, False)
    >>> is_head("adapter.layers.0.conv.weight")
    False
    """
    return _HEAD_KEY.match(key) is not None


def _some(keys: list[str], most: int = 5) -> str:
    more = f", and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Transformers' progress bar and its report to ourselves.

    What it says is in our own report or error.
    """
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(logging.CRITICAL)
    log.disable_progress_bar()  # type: ignore[no-untyped-call]  # Transformers lacks annotations
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()  # type: ignore[no-untyped-call]  # nor this
