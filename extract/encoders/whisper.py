"""Runs Whisper's encoder over a clip's own length instead of the 30 s that every clip is padded to by the library.

For a clip of 30 s the states are those of Transformers; a shorter clip attends to nothing but
itself and costs a fraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import WhisperFeatureExtractor

from extract.encoders.architectures import SAMPLE_RATE
from extract.encoders.audio import AudioEncoder, preprocessor_settings
from extract.encoders.loading import LoadedModel
from extract.encoders.registry import EncoderSpec


class WhisperOwnLengthEncoder(AudioEncoder):
    """Whisper's encoder, each clip on its own length."""

    def __init__(self, spec: EncoderSpec, loaded: LoadedModel, **options: Any) -> None:
        """Make the log-mel front end that the checkpoint asks for."""
        config = loaded.config
        found = preprocessor_settings(loaded.folder)
        self._front_end = WhisperFeatureExtractor(
            feature_size=config.num_mel_bins,
            sampling_rate=SAMPLE_RATE,
            hop_length=found.get("hop_length", 160),
            n_fft=found.get("n_fft", 400),
        )
        hop = self._front_end.hop_length
        super().__init__(
            spec, loaded, max_input=config.max_source_positions * 2 * hop / SAMPLE_RATE, **options
        )
        self.settings |= {
            "input_length": "own length",
            "mel_bins": config.num_mel_bins,
            "hop_length": hop,
            "n_fft": self._front_end.n_fft,
        }

    def _prepare(self, position: int, item: Any) -> np.ndarray:
        samples = self.checked(position, item)
        features = self._front_end(
            samples,
            sampling_rate=SAMPLE_RATE,
            padding="do_not_pad",
            truncation=False,
            return_tensors="np",
        )
        mel: np.ndarray = features["input_features"][0].T
        return mel

    def _run(self, items: list[np.ndarray]) -> tuple[Mapping[int, Tensor], Tensor]:
        frames = torch.tensor([len(item) for item in items])
        mel = torch.zeros(len(items), int(frames.max()), items[0].shape[1])
        for row, item in enumerate(items):
            mel[row, : len(item)] = torch.from_numpy(item)
        states, mask = own_length_states(
            self.model, mel.transpose(1, 2).to(self.device), frames.to(self.device)
        )
        return dict(enumerate(states)), mask


def own_length_states(
    encoder: torch.nn.Module, mel: Tensor, frames: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Run Transformers' ``WhisperEncoder`` without its demand for 30 s.

    Args:
        encoder: A ``WhisperEncoder``, in evaluation mode.
        mel: (B, bins, T), zero behind each clip's own frames.
        frames: (B,), own frames of each clip, the largest being T.

    Returns:
        States (B, T / 2 rounded up, D) of every layer, the last after the final norm, and the mask
        of own states.
    """
    own_mel = torch.arange(mel.shape[2], device=mel.device) < frames.unsqueeze(1)
    # The second convolution reaches one frame past the end, where a clip alone has its zero
    # padding.
    states = functional.gelu(encoder.conv1(mel)) * own_mel.unsqueeze(1)
    states = functional.gelu(encoder.conv2(states)).transpose(1, 2)
    states = states + encoder.embed_positions.weight[: states.shape[1]]
    mask = torch.arange(states.shape[1], device=mel.device) < ((frames + 1) // 2).unsqueeze(1)
    attention = None
    if not bool(mask.all()):
        attention = torch.zeros_like(mask, dtype=states.dtype).masked_fill(
            ~mask, torch.finfo(states.dtype).min
        )
        attention = attention[:, None, None, :].expand(-1, 1, states.shape[1], -1)
    collected = [states]
    for layer in encoder.layers:
        collected.append(layer(collected[-1], attention))
    collected[-1] = encoder.layer_norm(collected[-1])
    return collected, mask
