"""Runs wav2vec 2.0, HuBERT and WavLM so that a clip's vector is the same alone and in any batch.

The base models normalise the output of their first convolution over time (group norm with one group
per channel), so in a padded batch stock Transformers takes mean and variance over the padding too,
and no attention mask can repair that. Here they are taken over each clip's own frames.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from embeddings_store.errors import ModelLoadError
from extract.encoders.architectures import SAMPLE_RATE
from extract.encoders.audio import AudioEncoder, preprocessor_settings
from extract.encoders.loading import LoadedModel
from extract.encoders.registry import EncoderSpec


class OwnFramesGroupNorm(nn.GroupNorm):
    """A group norm over time that sees each clip's own frames only, sharing the weights of the one it replaces.

    Attributes:
        own_frames: Number of frames of each clip in the batch; None for all, as in the stock
            module.
    """

    def __init__(self, stock: nn.GroupNorm) -> None:
        """Share the weights of ``stock``."""
        super().__init__(stock.num_groups, stock.num_channels, stock.eps, affine=False)
        self.affine = stock.affine
        self.weight, self.bias = stock.weight, stock.bias
        self.own_frames: Sequence[int] | None = None

    def forward(self, states: Tensor) -> Tensor:
        """Normalise (B, C, T); what lies behind a clip's own frames becomes zero."""
        if self.own_frames is None:
            return super().forward(states)
        normed = torch.zeros_like(states)
        # Clip by clip, so that the very kernel that serves a clip alone serves it here.
        for row, frames in enumerate(self.own_frames):
            own = states[row : row + 1, :, :frames]
            normed[row, :, :frames] = functional.group_norm(
                own, self.num_groups, self.weight, self.bias, self.eps
            )[0]
        return normed


class WaveformEncoder(AudioEncoder):
    """An encoder that reads samples.

    Attributes:
        normalise: Whether each clip is brought to zero mean and unit variance first, as its
            checkpoint says.
    """

    def __init__(self, spec: EncoderSpec, loaded: LoadedModel, **options: Any) -> None:
        """Put the batch-proof norm in place.

        Raises:
            ModelLoadError: If the model shortens its output by a further adapter of convolutions.
        """
        super().__init__(spec, loaded, max_input=None, **options)
        config = loaded.config
        if getattr(config, "add_adapter", False):
            raise ModelLoadError(
                f"{loaded.folder} has add_adapter set; save the encoder without that adapter"
            )
        self._convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.spec = replace(
            self.spec, min_duration_s=receptive_field(self._convolutions) / SAMPLE_RATE
        )
        self._norm = (
            _replace_group_norm(self.model) if config.feat_extract_norm == "group" else None
        )
        found = preprocessor_settings(loaded.folder)
        self.normalise = found.get(
            "do_normalize", normalised_in_training(spec.architecture, config.feat_extract_norm)
        )
        self.settings |= {
            "normalise": "zero mean, unit variance per clip" if self.normalise else "none",
            "group_norm": "own frames" if self._norm is not None else None,
        }

    def _prepare(self, position: int, item: Any) -> np.ndarray:
        samples = self.checked(position, item)
        return zero_mean_unit_variance(samples) if self.normalise else samples

    def _run(self, items: list[np.ndarray]) -> tuple[Mapping[int, Tensor], Tensor]:
        lengths = [item.size for item in items]
        longest = max(lengths)
        samples = torch.zeros(len(items), longest)
        for row, item in enumerate(items):
            samples[row, : item.size] = torch.from_numpy(item)
        frames = [frame_count(length, self._convolutions) for length in lengths]
        mask = torch.arange(max(frames)) < torch.tensor(frames).unsqueeze(1)
        # Without padding the model runs exactly as stock Transformers does.
        attention = None
        if min(lengths) < longest:
            attention = (
                (torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)).long().to(self.device)
            )
        with self._own_frames(lengths if attention is not None else None), _mixed_masks_allowed():
            states = self._stock_states(
                input_values=samples.to(self.device), attention_mask=attention
            )
        return states, mask.to(self.device)

    @contextmanager
    def _own_frames(self, lengths: Sequence[int] | None) -> Iterator[None]:
        if self._norm is None or lengths is None:
            yield
            return
        self._norm.own_frames = [frame_count(length, self._convolutions[:1]) for length in lengths]
        try:
            yield
        finally:
            self._norm.own_frames = None


def zero_mean_unit_variance(samples: np.ndarray) -> np.ndarray:
    """Return the samples as Transformers' ``Wav2Vec2FeatureExtractor`` normalises them, its 1e-7 included."""
    normalised: np.ndarray = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    return normalised


def receptive_field(convolutions: Sequence[tuple[int, int]]) -> int:
    """Return how many samples the convolutions need for one frame.

    >>> receptive_field(list(zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))))
    400
    """
    samples = 1
    for kernel, stride in reversed(convolutions):
        samples = (samples - 1) * stride + kernel
    return samples


def frame_count(samples: int, convolutions: Sequence[tuple[int, int]]) -> int:
    """Return how many frames unpadded convolutions make of a clip.

    Args:
        samples: Length of the clip.
        convolutions: Kernel and stride of each, in order.

    >>> base = list(zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)))
    >>> [frame_count(samples, base) for samples in (399, 400, 16_000)]
    [0, 1, 49]
    """
    for kernel, stride in convolutions:
        samples = (samples - kernel) // stride + 1
    return samples


def normalised_in_training(architecture: str, feature_norm: str) -> bool:
    """Return whether clips were normalised in pretraining, for a folder that does not say.

    True for what Facebook published with Transformers. WavLM Base was trained on samples as they
    are, WavLM Large on normalised ones (its author, github.com/microsoft/unilm/issues/708).

    >>> normalised_in_training("wavlm", "group"), normalised_in_training("wavlm", "layer")
    (False, True)
    """
    return architecture != "wavlm" or feature_norm == "layer"


def _replace_group_norm(model: nn.Module) -> OwnFramesGroupNorm:
    first = model.feature_extractor.conv_layers[0]
    first.layer_norm = OwnFramesGroupNorm(first.layer_norm)
    return first.layer_norm


@contextmanager
def _mixed_masks_allowed() -> Iterator[None]:
    # Transformers' WavLM hands PyTorch a boolean padding mask beside its float position bias, which
    # PyTorch means to forbid one day and warns of at every layer; the result is right.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask and attn_mask")
        yield
