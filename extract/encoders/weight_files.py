"""Refuses checkpoints whose weights are not floating numbers, or only a part of a model's."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from embeddings_store.errors import ModelLoadError
from embeddings_store.reading import AGAIN, read_json, reading

# Names of the buffers that hold whole numbers by design: positions, kinds of tokens, counts.
_WHOLE_BY_DESIGN = ("position_ids", "token_type_ids", "num_batches_tracked")
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
FLOAT = "expected weights as floating numbers: save the model with save_pretrained in float32"


def refuse_what_is_no_float_model(folder: Path) -> None:
    """Refuse quantised weights, whole numbers, and an adapter without its model.

    Transformers would cast the numbers and leave the scales or the adapter out, without a word.

    Raises:
        ModelLoadError: The folder holds one of these.
    """
    adapter = folder / "adapter_config.json"
    if adapter.exists():
        raise ModelLoadError(
            f"{adapter}: the folder holds an adapter (PEFT) of another model, which is not read; "
            "merge it (merge_and_unload), save the whole model, and give that folder"
        )
    config = read_json(folder / "config.json", raises=ModelLoadError)
    if isinstance(config, dict) and config.get("quantization_config") is not None:
        raise ModelLoadError(
            f"{folder / 'config.json'}: its weights are quantised (quantization_config); {FLOAT}"
        )
    for path in sorted(folder.glob("model*.safetensors")):
        with reading(path, "weights", AGAIN, ModelLoadError), safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118  # no mapping
                kind = file.get_slice(key).get_dtype()
                _refuse(path, key, kind, kind in _FLOATS)
    if any(folder.glob("model*.safetensors")):
        return  # Transformers reads these where both are there.
    for path in sorted(folder.glob("pytorch_model*.bin")):
        with reading(path, "weights", AGAIN, ModelLoadError):
            tensors = torch.load(path, map_location="meta", weights_only=True)
            for key, tensor in tensors.items():
                if isinstance(tensor, torch.Tensor):
                    kind = str(tensor.dtype).removeprefix("torch.")
                    _refuse(path, key, kind, kind in {"float64", "float32", "float16", "bfloat16"})


def _refuse(path: Path, key: str, kind: str, is_float: bool) -> None:
    if not is_float and not key.endswith(_WHOLE_BY_DESIGN):
        raise ModelLoadError(f"{path}: the weights {key!r} are of type {kind}; {FLOAT}")
