"""The encoder that all adapters are.

Inputs in, one float32 vector per input and layer out, whatever the batch.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from embeddings_store.errors import UsageError
from extract.encoders.architectures import ARCHITECTURES, check_pooling
from extract.encoders.batching import length_buckets
from extract.encoders.loading import LoadedModel, quiet
from extract.encoders.pooling import POOLINGS
from extract.encoders.registry import EncoderSpec

# To be raised whenever an adapter gives other vectors for the same input, so that stores of the old
# one are not mixed in.
ADAPTER_VERSION = 1


# What lies beside the weights and decides how an input is read.
COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "preprocessor_config.json",
)


class Encoder(ABC):
    """A frozen encoder with its pooling.

    Attributes:
        spec: Name, architecture and sizes, the sizes as the checkpoint has them.
        layers: Which states are pooled: 0 is the input of the first transformer layer,
            ``spec.layers`` is what the model calls its last hidden state, after the final norm
            where it has one.
        dim: Width of a vector.
        pooling: A name in ``POOLINGS``.
        settings: Every setting that changes a vector, flat and fit for JSON, without the layer.
        weights_digest: SHA-256 of the weights, independent of place and process.
        revision: Commit of the Hub that was loaded, or an empty string.
        loading_report: Keys that were ``missing``, ``unexpected`` or ``mismatched``, all of them
            harmless.
        likely_finetuned: Whether the checkpoint was saved with a classification head: it has seen
            labels that only its maker knows.
        batch_size: How many inputs go through the model at once; changes no vector.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        loaded: LoadedModel,
        *,
        layer: str | int | Sequence[int],
        pooling: str | None,
        device: torch.device,
        batch_size: int,
        max_input: float | None,
    ) -> None:
        """Take over a loaded model.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            layer: ``"last"``, ``"all"``, one number or several.
            pooling: None for the encoder's own.
            device: Where it runs.
            batch_size: At least 1.
            max_input: What this checkpoint takes at most, in tokens or seconds.
        """
        config, known = loaded.config, ARCHITECTURES[spec.architecture]
        depth = getattr(config, known.layers_key)
        self.spec = replace(
            spec, dim=getattr(config, known.dim_key), layers=depth, max_input=max_input
        )
        self.layers = chosen_layers(layer, depth)
        self.pooling = pooling or spec.pooling
        check_pooling(spec.architecture, self.pooling)
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; expected at least 1")
        self.batch_size = batch_size
        self.dim = self.spec.dim
        self.weights_digest = loaded.weights_digest
        self.revision = loaded.revision
        self.loading_report = loaded.report
        self.likely_finetuned = loaded.likely_finetuned
        self._folder = loaded.folder
        self.device = device
        self.model = loaded.model.to(device)
        self.settings: dict[str, Any] = {
            "adapter_version": ADAPTER_VERSION,
            "architecture": spec.architecture,
            "pooling": self.pooling,
            "dtype": "float32",
        }

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        """Encode inputs in batches of similar length.

        Args:
            inputs: Texts, or one-dimensional float32 arrays at ``spec.sample_rate``.

        Returns:
            float32, (inputs, ``len(layers)``, ``dim``), in the order of the inputs. Not finite
            where weights overflow: whoever keeps vectors has to look.

        Raises:
            MediaError: If a clip is too short or too long for the encoder.
            UsageError: If an input is not of the kind that the encoder reads.
        """
        items = [self._prepare(position, item) for position, item in enumerate(inputs)]
        vectors = np.empty((len(items), len(self.layers), self.dim), dtype=np.float32)
        for batch in length_buckets([len(item) for item in items], self.batch_size):
            vectors[batch] = self._encode_batch([items[position] for position in batch])
        return vectors

    # TF32 would round every product of a convolution on a GPU to ten bits, and by another path for
    # another batch size.
    @torch.inference_mode()
    @torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    def _encode_batch(self, items: list[Any]) -> np.ndarray:
        return self.pooled(items).cpu().numpy()

    def prepare(self, item: Any) -> Any:
        """Check one input and turn it into what the model reads; what :meth:`pooled` takes.

        Raises:
            MediaError: If a clip is too short or too long for the encoder.
            UsageError: If it is not of the kind that the encoder reads.
        """
        return self._prepare(0, item)

    def pooled(self, items: list[Any]) -> Tensor:
        """Run one batch of prepared inputs, with gradients where they are on.

        Returns (B, ``len(layers)``, ``dim``).
        """
        states, mask = self._run(items)
        pool = POOLINGS[self.pooling]
        return torch.stack([pool(states[layer], mask) for layer in self.layers], dim=1)

    def save(self, folder: Path) -> None:
        """Write the model as it is now, with the checkpoint's tokenizer and preprocessor, so that it loads like any folder."""
        # Whisper's encoder was loaded by renaming keys, and Transformers cannot turn that renaming
        # round.
        original_names = self.spec.architecture != "whisper"
        with quiet():
            self.model.save_pretrained(folder, save_original_format=original_names)
        for name in COMPANIONS:
            if (self._folder / name).is_file():
                shutil.copyfile(self._folder / name, folder / name)

    def _stock_states(self, **inputs: Tensor | None) -> Mapping[int, Tensor]:
        """Run the model as Transformers does and return the states by layer, at least those that are asked for."""
        last = self.spec.layers
        output = self.model(**inputs, output_hidden_states=self.layers != (last,))
        # Some models hand out the last layer's output before their final norm; ours is the one
        # after it.
        return {**dict(enumerate(output.hidden_states or ())), last: output.last_hidden_state}

    @abstractmethod
    def _prepare(self, position: int, item: Any) -> Sized:
        """Check one input and turn it into what the model reads, its length along the first axis."""

    @abstractmethod
    def _run(self, items: list[Any]) -> tuple[Mapping[int, Tensor], Tensor]:
        """Return states (B, T, D) by layer, and the mask (B, T) of those that belong to an input."""


def chosen_layers(layer: str | int | Sequence[int], depth: int) -> tuple[int, ...]:
    """Return the numbers of the layers that ``layer`` asks for.

    Args:
        layer: ``"last"``, ``"all"``, a number from 0 to ``depth``, or several of them.
        depth: Number of transformer layers.

    Raises:
        UsageError: If a number is not there, or is named twice.

    >>> chosen_layers("last", 12), chosen_layers("all", 2), chosen_layers([0, 6], 12)
    ((12,), (0, 1, 2), (0, 6))
    """
    if layer == "last":
        return (depth,)
    if layer == "all":
        return tuple(range(depth + 1))
    numbers = tuple(layer) if isinstance(layer, Sequence) else (layer,)
    there = all(isinstance(number, int) and 0 <= number <= depth for number in numbers)
    if not there or not 0 < len(numbers) == len(set(numbers)):
        raise UsageError(
            f"layer is {layer!r}; expected 'last', 'all', or different numbers from 0 to {depth}"
        )
    return numbers
