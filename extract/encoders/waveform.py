"""Runs wav2vec 2.0 and its kin so that a clip's vector is the same alone and in any batch.

Where a model has a group norm, :mod:`extract.encoders.own_frames_group_norm` takes its place; where
positions are embedded by several convolutions, :mod:`extract.encoders.own_frames_positions` clears
the padding between them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embeddings_store.errors import ModelLoadError
from extract.encoders.architectures import SAMPLE_RATE
from extract.encoders.audio import AudioEncoder, preprocessor_settings
from extract.encoders.base import AdapterOptions
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel
from extract.encoders.own_frames_group_norm import replace_group_norm
from extract.encoders.own_frames_positions import OwnFramesPositions
from extract.encoders.settings import InputSettings


class WaveformEncoder(AudioEncoder):
    """An encoder that reads samples.

    Attributes:
        normalise: Whether each clip is brought to zero mean and unit variance first, as its
            checkpoint says.
    """

    def __init__(
        self, spec: EncoderSpec, loaded: LoadedModel, options: AdapterOptions, inputs: InputSettings
    ) -> None:
        """Put the padding-exact norm in place.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            options: How it is to be run.
            inputs: How clips are cut.

        Raises:
            ModelLoadError: If the model shortens its output by a further adapter of convolutions.
        """
        super().__init__(spec, loaded, options, inputs, max_input=None)
        config = loaded.config
        if getattr(config, "add_adapter", False):
            raise ModelLoadError(
                f"{loaded.folder} has add_adapter set; save the encoder without that adapter"
            )
        self._convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        if any(min(sizes) < 1 for sizes in self._convolutions):
            raise ModelLoadError(
                f"{loaded.folder / 'config.json'} gives the convolutions {self._convolutions} as "
                "kernel and stride, expected positive numbers; fetch the model again"
            )
        self.spec = replace(
            self.spec, min_duration_s=receptive_field(self._convolutions) / SAMPLE_RATE
        )
        # data2vec has layer norms always, and no name for them
        feature_norm = getattr(config, "feat_extract_norm", "layer")
        self._norm = replace_group_norm(self.model) if feature_norm == "group" else None
        is_data2vec = spec.architecture == "data2vec-audio"
        self._positions = OwnFramesPositions(self.model) if is_data2vec else None
        found = preprocessor_settings(loaded.folder)
        usual = normalised_in_training(spec.architecture, feature_norm)
        self.normalise: bool = found.get("do_normalize", usual)
        self.settings |= {
            "normalise": "zero mean, unit variance per clip" if self.normalise else "none",
            "group_norm": "own frames" if self._norm is not None else None,
        }
        if self._positions is not None:
            self.settings["positions"] = "own frames"

    def _prepare(self, position: int, item: object) -> NDArray[np.float32]:
        samples = self.checked(position, item)
        return zero_mean_unit_variance(samples) if self.normalise else samples

    def _run(self, items: list[NDArray[np.float32]]) -> tuple[Mapping[int, Tensor], Tensor]:
        lengths = [item.size for item in items]
        longest = max(lengths)
        samples = torch.zeros(len(items), longest)
        for row, item in enumerate(items):
            samples[row, : item.size] = torch.from_numpy(item)
        samples = samples.to(self.device)
        frames = [frame_count(length, self._convolutions) for length in lengths]
        own_states = _leading_mask(frames, max(frames)).to(self.device)
        # Without padding the model runs exactly as stock Transformers does.
        if min(lengths) == longest:
            with _mixed_masks_allowed():
                states = self._stock_states(input_values=samples, attention_mask=None)
            return states, own_states
        attention = _leading_mask(lengths, longest).long().to(self.device)
        with self._own_frames_only(lengths), _mixed_masks_allowed():
            states = self._stock_states(input_values=samples, attention_mask=attention)
        return states, own_states

    @contextmanager
    def _own_frames_only(self, lengths: Sequence[int]) -> Iterator[None]:
        """Keep what the model does over time to each clip's own frames, for as long as it runs."""
        with ExitStack() as stack:
            if self._norm is not None:
                first_convolution = self._convolutions[:1]
                stack.enter_context(
                    self._norm.restricted_to([frame_count(n, first_convolution) for n in lengths])
                )
            if self._positions is not None:
                stack.enter_context(
                    self._positions.restricted_to(
                        [frame_count(n, self._convolutions) for n in lengths]
                    )
                )
            yield


def zero_mean_unit_variance(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return samples (n,) normalised as by Transformers' ``Wav2Vec2FeatureExtractor``.

    Its 1e-7 is included.
    """
    normalised: NDArray[np.float32] = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
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


def _leading_mask(counts: Sequence[int], width: int) -> Tensor:
    """Return a mask (B, width) that is true for the first ``counts[b]`` places of each row."""
    return torch.arange(width) < torch.tensor(counts).unsqueeze(1)


@contextmanager
def _mixed_masks_allowed() -> Iterator[None]:
    # Transformers' WavLM hands PyTorch a boolean padding mask beside its float position bias, which
    # PyTorch means to forbid one day and warns of at every layer; the result is right.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask and attn_mask")
        yield
