"""The encoder that all adapters are.

Inputs in, one float32 vector per input and layer out, whatever the batch.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embeddings_store.errors import ModelLoadError, UsageError
from embeddings_store.reading import AGAIN, reading
from extract.encoders.architectures import check_pooling, kind_of, pooling_settings, width_of
from extract.encoders.batching import length_buckets
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel, quiet
from extract.encoders.pooling import pool

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
    "tokenizer.model",
    "spm.model",
    "preprocessor_config.json",
)


# A transcript, the samples of a clip, or its pictures.
EncoderInput = str | NDArray[np.float32] | NDArray[np.uint8]
# The same as the model reads it: token ids, samples or a spectrogram, or pictures.
PreparedInput = list[int] | NDArray[np.float32] | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AdapterOptions:
    """What every adapter is given beside the model.

    Attributes:
        layer: ``"last"``, ``"all"``, one number or several.
        pooling: None for the encoder's own.
        device: Where it runs.
        batch_size: How many inputs go through the model at once, at least 1.
    """

    layer: str | int | Sequence[int]
    pooling: str | None
    device: torch.device
    batch_size: int


class Encoder(ABC):
    """What makes vectors of inputs: a frozen model with its pooling, or a fixed set of features.

    Attributes:
        spec: Name, architecture and sizes, the sizes as the checkpoint has them.
        layers: Which states are pooled: 0 is the input of the first transformer layer,
            ``spec.layers`` is what the model calls its last hidden state, after the final norm
            where it has one.
        dim: Width of a vector: that of a state, or several times that, as the pooling says.
        pooling: Names in ``POOLINGS``, joined with ``+``; of openSMILE's sets ``functionals``.
        settings: Every setting that changes a vector, flat and fit for JSON, without the layer.
        weights_digest: SHA-256 of the weights, independent of place and process; of a set of
            features, which has none, that of what computes it.
        revision: Commit of the Hub that was loaded, or an empty string.
        loading_report: Keys that were ``missing``, ``unexpected`` or ``mismatched``, all of them
            harmless.
        configuration: What the checkpoint says of how its states are computed, which neither its
            weights nor the settings say; empty where there is no checkpoint.
        likely_finetuned: Whether the checkpoint was saved with a classification head: it has seen
            labels that only its maker knows.
        batch_size: How many inputs go through the model at once; changes no vector.
        device: Where it runs.
    """

    weights_digest: str
    revision: str = ""
    loading_report: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    configuration: Mapping[str, Any] = MappingProxyType({})
    likely_finetuned: bool = False

    def __init__(self, spec: EncoderSpec, options: AdapterOptions) -> None:
        """Settle which vector is made.

        Args:
            spec: Name, architecture and sizes.
            options: How it is to be run.

        Raises:
            UsageError: If the layer, the pooling or the batch size is none of the encoder's.
        """
        self.spec = spec
        self.layers = layer_numbers(options.layer, spec.layers)
        self.pooling = options.pooling or spec.pooling
        check_pooling(spec.architecture, self.pooling)
        self.dim = width_of(self.pooling) * spec.dim
        if options.batch_size < 1:
            raise UsageError(f"batch_size is {options.batch_size}; expected at least 1")
        self.batch_size = options.batch_size
        self.device = options.device
        self.settings: dict[str, Any] = {
            "adapter_version": ADAPTER_VERSION,
            "architecture": spec.architecture,
            **pooling_settings(self.pooling),
            "dtype": "float32",
        }

    def encode(self, inputs: Sequence[EncoderInput]) -> NDArray[np.float32]:
        """Encode inputs in batches of similar length.

        Args:
            inputs: Texts, samples (n,) at ``spec.sample_rate``, or pictures (T, H, W, 3).

        Returns:
            float32, (inputs, ``len(layers)``, ``dim``), in the order of the inputs. Not finite
            where weights overflow: whoever keeps vectors has to look.

        Raises:
            MediaError: If a clip is too short or too long for the encoder.
            UsageError: If an input is not of the kind that the encoder reads.
        """
        items = [self._prepare(position, item) for position, item in enumerate(inputs)]
        vectors = np.empty((len(items), len(self.layers), self.dim), dtype=np.float32)
        lengths = [len(item) for item in items]
        for batch in length_buckets(lengths, self.batch_size):
            vectors[batch] = self._encode_batch([items[position] for position in batch])
        return vectors

    def prepare(self, item: EncoderInput) -> PreparedInput:
        """Check one input and turn it into what the model reads; what :meth:`pooled` takes.

        Raises:
            MediaError: If a clip is too short or too long for the encoder.
            UsageError: If it is not of the kind that the encoder reads.
        """
        return self._prepare(0, item)

    def remarks(self) -> list[str]:
        """Say what a user should know of the inputs so far, a sentence each."""
        return []

    def forget_remarks(self) -> None:
        """Begin anew: what was read until now, to measure something, is no part of the job."""
        return

    @abstractmethod
    def _prepare(self, position: int, item: object) -> PreparedInput:
        """Check one input and turn it into what the model reads, its length on the first axis."""

    # Each adapter is handed what its own _prepare made, hence no narrower type here.
    @abstractmethod
    def _encode_batch(self, items: list[Any]) -> NDArray[np.float32]:
        """Return (items, ``len(layers)``, ``dim``) of what :meth:`_prepare` made."""


class ModelEncoder(Encoder):
    """A model with its pooling.

    Attributes:
        model: The model as Transformers loads it, in evaluation mode.
        folder: Where the checkpoint lies.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        loaded: LoadedModel,
        options: AdapterOptions,
        *,
        max_input: float | None,
    ) -> None:
        """Take over a loaded model.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            options: How it is to be run.
            max_input: What this checkpoint takes at most, in tokens or seconds.

        Raises:
            UsageError: If the layer, the pooling or the batch size is none of the model's.
        """
        known = kind_of(spec.architecture)
        depth: int = getattr(loaded.config, known.layers_key)
        width: int = getattr(loaded.config, known.dim_key)
        super().__init__(replace(spec, dim=width, layers=depth, max_input=max_input), options)
        self.weights_digest = loaded.weights_digest
        self.revision = loaded.revision
        self.loading_report = loaded.report
        self.configuration = loaded.configuration
        self.likely_finetuned = loaded.likely_finetuned
        self.folder = loaded.folder
        self.model = loaded.model
        self.model.to(options.device)  # type: ignore[arg-type]  # Transformers' wrapper of to()

    # TF32 would round every product of a convolution on a GPU to ten bits, and by another path for
    # another batch size.
    @torch.inference_mode()
    @torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    def _encode_batch(self, items: list[PreparedInput]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self.pooled(items).cpu().numpy()
        return vectors

    def pooled(self, items: list[Any]) -> Tensor:
        """Run one batch of prepared inputs, with gradients where they are on.

        Returns:
            float32, (B, ``len(layers)``, ``dim``).

        Raises:
            ModelLoadError: The model cannot be run as its configuration says.
        """
        with running(self.folder):
            states, mask = self._run(items)
        vectors = [pool(self.pooling, states[layer], mask) for layer in self.layers]
        return torch.stack(vectors, dim=1)

    def save(self, folder: Path) -> None:
        """Write the model as it is now, so that it loads like any folder.

        The checkpoint's tokenizer and preprocessor lie beside it.
        """
        # Whisper's encoder was loaded by renaming keys; Transformers cannot turn that round.
        original_names = self.spec.architecture != "whisper"
        with quiet():
            self.model.save_pretrained(folder, save_original_format=original_names)
        for name in COMPANIONS:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)

    def _stock_states(self, **inputs: Tensor | None) -> Mapping[int, Tensor]:
        """Run the model as Transformers does.

        Returns:
            The states (B, T, D) by layer, at least those that are asked for.
        """
        last = self.spec.layers
        output = self.model(**inputs, output_hidden_states=self.layers != (last,))
        states: dict[int, Tensor] = dict(enumerate(output.hidden_states or ()))
        # Some models hand out the last of all states before their final norm; ours is after it.
        states[last] = output.last_hidden_state
        return states

    # Each adapter is handed what its own _prepare made, hence no narrower type here.
    @abstractmethod
    def _run(self, items: list[Any]) -> tuple[Mapping[int, Tensor], Tensor]:
        """Return states (B, T, D) by layer, and the mask (B, T) of an input's own states."""


def running(folder: Path) -> AbstractContextManager[None]:
    """Turn what a model raises while it runs into one error of one line.

    A configuration can fit every weight and still not be one that runs: ``num_attention_heads: -4``
    shows in the first batch only. A batch that is too large is for the caller, who halves it.

    Args:
        folder: Where the checkpoint lies.

    Raises:
        ModelLoadError: The model cannot be run as its configuration says.
    """
    return reading(
        folder / "config.json",
        "",
        AGAIN,
        ModelLoadError,
        own=(torch.OutOfMemoryError,),
        fault="the model stops while it runs as this file says",
    )


def layer_numbers(layer: str | int | Sequence[int], depth: int) -> tuple[int, ...]:
    """Return the numbers of the layers that ``layer`` asks for.

    Args:
        layer: ``"last"``, ``"all"``, a number from 0 to ``depth``, or several of them.
        depth: Number of transformer layers.

    Raises:
        UsageError: If a number is not there, or is named twice.

    >>> layer_numbers("last", 12), layer_numbers("all", 2), layer_numbers([0, 6], 12)
    ((12,), (0, 1, 2), (0, 6))
    """
    if layer == "last":
        return (depth,)
    if layer == "all":
        return tuple(range(depth + 1))
    entries: tuple[object, ...] = tuple(layer) if isinstance(layer, Sequence) else (layer,)
    numbers = tuple(
        number for number in entries if isinstance(number, int) and 0 <= number <= depth
    )
    all_there = len(numbers) == len(entries) > 0
    if not all_there or len(set(numbers)) < len(numbers):
        raise UsageError(
            f"layer is {layer!r}; expected 'last', 'all', or different numbers from 0 to {depth}"
        )
    return numbers


def all_own(states: Tensor) -> Tensor:
    """Return the mask (B, T) of a batch of states (B, T, D) without padding: true everywhere."""
    return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
