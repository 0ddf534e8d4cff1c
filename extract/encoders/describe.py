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
from extract.encoders.architectures import ARCHITECTURES

# Keys of sentence-transformers' file, and our names for what they switch on.
_POOLING_MODES = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}


@dataclass(frozen=True, slots=True)
class Description:
    """A checkpoint in its own words.

    Attributes:
        architecture: Transformers' ``model_type``, a key of ``ARCHITECTURES``.
        dim: Width of the states.
        layers: Number of transformer layers.
        pooling: What its sentence-transformers file asks for; None where there is no such file.
        padding_harmless: Whether stock Transformers with a correct mask is indifferent to a batch's
            padding.
    """

    architecture: str
    dim: int
    layers: int
    pooling: str | None
    padding_harmless: bool


def describe(folder: Path) -> Description:
    """Read ``config.json`` and, where there is one, ``1_Pooling/config.json``.

    Raises:
        ModelLoadError: If ``config.json`` is missing, is not JSON, or lacks ``model_type``, width
            or depth.
        UsageError: If the architecture or the declared pooling is not supported.
    """
    path = folder / "config.json"
    config = read_json(path)
    architecture = config.get("model_type")
    if architecture is None:
        raise ModelLoadError(
            f"{path} has no 'model_type'; save the model with Transformers' save_pretrained"
        )
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UsageError(
            f"{folder} is of architecture {architecture!r}, which is not supported; known: {known}"
        )
    kind = ARCHITECTURES[architecture]
    # A layer norm looks at one frame at a time; a group norm, and Whisper's fixed 30 s, do not.
    per_frame = kind.family not in ("waveform", "whisper")
    return Description(
        architecture=architecture,
        dim=_size(config, kind.dim_key, path),
        layers=_size(config, kind.layers_key, path),
        pooling=_declared_pooling(folder),
        padding_harmless=per_frame or config.get("feat_extract_norm") == "layer",
    )


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
