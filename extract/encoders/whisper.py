"""Runs Whisper's encoder over a clip's own length.

The library pads every clip to 30 s. For a clip of 30 s the states are those of Transformers; a
shorter clip attends to nothing but itself and costs a fraction.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from extract.encoders.architectures import SAMPLE_RATE
from extract.encoders.audio import AudioEncoder, preprocessor_settings
from extract.encoders.base import AdapterOptions
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel
from extract.encoders.settings import InputSettings


class WhisperOwnLengthEncoder(AudioEncoder):
    """Whisper's encoder, each clip on its own length."""

    def __init__(
        self, spec: EncoderSpec, loaded: LoadedModel, options: AdapterOptions, inputs: InputSettings
    ) -> None:
        """Make the log-mel front end that the checkpoint asks for.

        Args:
            spec: What the model was resolved to.
            loaded: The model, a ``WhisperEncoder``.
            options: How it is to be run.
            inputs: How clips are cut.
        """
        config = loaded.config
        found = preprocessor_settings(loaded.folder)
        self._front_end = WhisperFeatureExtractor(  # type: ignore[no-untyped-call]  # Transformers does not annotate it
            feature_size=config.num_mel_bins,
            sampling_rate=SAMPLE_RATE,
            hop_length=found.get("hop_length", 160),
            n_fft=found.get("n_fft", 400),
        )
        hop: int = self._front_end.hop_length
        # The second convolution halves the frames, and there are positions for so many halves.
        max_input_s = config.max_source_positions * 2 * hop / SAMPLE_RATE
        super().__init__(spec, loaded, options, inputs, max_input=max_input_s)
        # What load_model makes of any Whisper checkpoint.
        assert isinstance(loaded.model, WhisperEncoder)  # noqa: S101
        self._encoder = loaded.model
        self.settings |= {
            "input_length": "own length",
            "mel_bins": config.num_mel_bins,
            "hop_length": hop,
            "n_fft": self._front_end.n_fft,
        }

    def _prepare(self, position: int, item: object) -> NDArray[np.float32]:
        samples = self.checked(position, item)
        features = self._front_end(
            samples,
            sampling_rate=SAMPLE_RATE,
            padding="do_not_pad",
            truncation=False,
            return_tensors="np",
        )
        mel: NDArray[np.float32] = features["input_features"][0].T
        return mel

    def _run(self, items: list[NDArray[np.float32]]) -> tuple[Mapping[int, Tensor], Tensor]:
        frames = torch.tensor([len(item) for item in items])
        mel = torch.zeros(len(items), int(frames.max()), items[0].shape[1])
        for row, item in enumerate(items):
            mel[row, : len(item)] = torch.from_numpy(item)
        states, mask = own_length_states(
            self._encoder, mel.transpose(1, 2).to(self.device), frames.to(self.device)
        )
        return dict(enumerate(states)), mask


def own_length_states(
    encoder: WhisperEncoder, mel: Tensor, frames: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Run Transformers' ``WhisperEncoder`` without its demand for 30 s.

    Args:
        encoder: In evaluation mode.
        mel: (B, bins, T), zero behind each clip's own frames.
        frames: (B,), own frames of each clip, the largest being T.

    Returns:
        States (B, T / 2 rounded up, D) of every layer, the last after the final norm, and the mask
        of own states.
    """
    own_mel = torch.arange(mel.shape[2], device=mel.device) < frames.unsqueeze(1)
    # The second convolution reaches one frame past the end, where a clip alone has zero padding.
    states = functional.gelu(encoder.conv1(mel)) * own_mel.unsqueeze(1)
    states = functional.gelu(encoder.conv2(states)).transpose(1, 2)
    states = states + encoder.embed_positions.weight[: states.shape[1]]
    mask = torch.arange(states.shape[1], device=mel.device) < ((frames + 1) // 2).unsqueeze(1)
    attention = None if bool(mask.all()) else _attention_bias(mask, states.dtype)
    collected = [states]
    for layer in encoder.layers:
        collected.append(layer(collected[-1], attention))
    collected[-1] = encoder.layer_norm(collected[-1])
    return collected, mask


def _attention_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (B, 1, T, T), which keeps every state from attending to padding."""
    bias = torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
    return bias[:, None, None, :].expand(-1, 1, mask.shape[1], -1)
