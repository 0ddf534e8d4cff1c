"""Reads what a checkpoint's own JSON files say of it, without loading it.

Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings_store.errors import ModelLoadError, UsageError
from embeddings_store.reading import read_json as read_json_file
from extract.encoders.architectures import (
    ANY_TEXT,
    ARCHITECTURES,
    ELSEWHERE,
    FEATURE_PACKAGES,
    VISION_CONFIG,
    VISION_HALVES,
    VISION_SIZES,
    Architecture,
    kind_of,
)

# Keys of sentence-transformers' file, and our names for what they switch on.
_POOLING_MODES = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}
# The file in which sentence-transformers keeps what is put before a text.
PROMPTS = "config_sentence_transformers.json"
# How configurations call width and depth, where the usual name is not there.
_WIDTHS = ("d_model", "dim", "emb_dim", "n_embd", "hidden_dim")
_DEPTHS = ("n_layers", "n_layer", "num_layers")
# What the configuration of an encoder of sound or pictures has, or of a model that needs a decoder.
_NO_TEXT = (
    "image_size",
    "patch_size",
    "vision_config",
    "audio_config",
    "conv_kernel",
    "num_mel_bins",
    "is_encoder_decoder",
)


@dataclass(frozen=True, slots=True)
class Description:
    """A checkpoint in its own words.

    Attributes:
        architecture: Transformers' ``model_type``.
        dim: Width of the states.
        layers: Number of transformer layers.
        pooling: What its sentence-transformers file asks for; None where there is no such file.
        prefix: The prompt that its sentence-transformers file puts before every text; else empty.
        padding_harmless: Whether stock Transformers with a correct mask is indifferent to a batch's
            padding.
    """

    architecture: str
    dim: int
    layers: int
    pooling: str | None
    prefix: str
    padding_harmless: bool


def describe(folder: Path) -> Description:
    """Read ``config.json`` and, where they are, the files of sentence-transformers.

    Raises:
        ModelLoadError: If ``config.json`` is missing, is not JSON, or lacks ``model_type``, width
            or depth.
        UsageError: If the architecture or the declared pooling is not supported.
    """
    path = folder / "config.json"
    config = read_json(path)
    architecture = config.get("model_type")
    if not isinstance(architecture, str):
        raise ModelLoadError(
            f"{path} has no 'model_type'; save the model with Transformers' save_pretrained, or "
            f"{ELSEWHERE}"
        )
    if architecture in VISION_HALVES:
        architecture = VISION_HALVES[architecture]
        config = VISION_SIZES | dict(config.get(VISION_CONFIG) or {})
    is_text = _may_be_text(config) and architecture not in FEATURE_PACKAGES
    if architecture not in ARCHITECTURES and not is_text:
        known = ", ".join(ARCHITECTURES)
        raise UsageError(
            f"{folder} is of architecture {architecture!r}, which is not supported; {ELSEWHERE}; "
            f"known: {known}, and any encoder of text"
        )
    kind = kind_of(architecture)
    # A layer norm looks at one frame at a time; a group norm, and Whisper's fixed 30 s, do not.
    per_frame = kind.family not in ("waveform", "whisper")
    return Description(
        architecture=architecture,
        dim=_size(config, _named(config, kind, kind.dim_key, _WIDTHS), path),
        layers=_size(config, _named(config, kind, kind.layers_key, _DEPTHS), path),
        pooling=_declared_pooling(folder),
        prefix=_declared_prefix(folder),
        padding_harmless=per_frame or config.get("feat_extract_norm") == "layer",
    )


def _may_be_text(config: Mapping[str, Any]) -> bool:
    """Say whether a model may be an encoder of text: it has a vocabulary and nothing else.

    >>> _may_be_text({"vocab_size": 30522}), _may_be_text({"vocab_size": 32, "conv_kernel": [10]})
    (True, False)
    """
    return bool(config.get("vocab_size")) and not any(config.get(key) for key in _NO_TEXT)


def _named(
    config: Mapping[str, Any], kind: Architecture, usual: str, others: tuple[str, ...]
) -> str:
    """Return how the configuration of any text model calls a size."""
    if kind is not ANY_TEXT or usual in config:
        return usual
    return next((name for name in others if name in config), usual)


def read_json(path: Path) -> Mapping[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        ModelLoadError: If the file is missing, unreadable, not JSON, or not an object.
    """
    if not path.exists():
        raise ModelLoadError(f"{path.parent} has no {path.name}, so it is not a model folder")
    content = read_json_file(path, "JSON", "fetch the model again", ModelLoadError)
    if not isinstance(content, dict):
        raise ModelLoadError(
            f"{path} holds a JSON {type(content).__name__}, where an object was expected"
        )
    return content


def _size(config: Mapping[str, Any], key: str, path: Path) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise ModelLoadError(f"{path} says {key} = {value!r}, where a positive number was expected")
    return value


def _declared_pooling(folder: Path) -> str | None:
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return None
    config = read_json(path)
    modes = [key for key in config if key.startswith("pooling_mode_")]
    declared = [key for key in modes if config[key] is True]
    if len(declared) != 1 or declared[0] not in _POOLING_MODES:
        raise UsageError(
            f"{path} asks for {', '.join(declared) or 'no pooling'}; supported: one of "
            f"{', '.join(_POOLING_MODES)}"
        )
    return _POOLING_MODES[declared[0]]


def _declared_prefix(folder: Path) -> str:
    path = folder / PROMPTS
    if not path.is_file():
        return ""
    config = read_json(path)
    default, prompts = config.get("default_prompt_name"), config.get("prompts")
    if default is None:
        return ""
    prefix = prompts.get(default) if isinstance(prompts, dict) else None
    if not isinstance(prefix, str):
        raise ModelLoadError(
            f"{path} names the prompt {default!r} and does not have it as text; fetch the model "
            "again"
        )
    return prefix
