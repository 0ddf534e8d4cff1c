"""Runs the Audio Spectrogram Transformer over the fixed 10.24 s that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from extract.encoders.architectures import SAMPLE_RATE
from extract.encoders.audio import AudioEncoder, preprocessor_settings
from extract.encoders.base import AdapterOptions, all_own
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel
from extract.encoders.settings import InputSettings

_WINDOW, _HOP, _FFT = 400, 160, 512  # 25 ms and 10 ms at 16 kHz, as Kaldi's filter banks
_MEL_FLOOR = 1.192092955078125e-07  # Kaldi's, the smallest step of a float32


class SpectrogramEncoder(AudioEncoder):
    """An encoder that reads a log-mel spectrogram of fixed length.

    Shorter clips are padded, as in its training.
    """

    def __init__(
        self, spec: EncoderSpec, loaded: LoadedModel, options: AdapterOptions, inputs: InputSettings
    ) -> None:
        """Take the spectrogram's size from the model, mean and deviation from the checkpoint.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            options: How it is to be run.
            inputs: How clips are cut.
        """
        config = loaded.config
        self._frames: int = config.max_length
        max_input_s = self._frames * _HOP / SAMPLE_RATE
        super().__init__(spec, loaded, options, inputs, max_input=max_input_s)
        found = preprocessor_settings(loaded.folder)
        if found.get("do_normalize", True):
            # AudioSet's, the defaults of Transformers' ASTFeatureExtractor
            self._mean: float = found.get("mean", -4.2677393)
            self._std: float = found.get("std", 4.5689974)
        else:
            self._mean, self._std = 0.0, 0.5
        self._filters = mel_filters(config.num_mel_bins)
        self.settings |= {
            "input_length": f"padded to {self._frames} frames",
            "mel_bins": config.num_mel_bins,
            "mel_mean": self._mean,
            "mel_std": self._std,
        }

    def _prepare(self, position: int, item: object) -> NDArray[np.float32]:
        found = log_mel(self.checked(position, item), self._filters)
        padded = np.zeros((self._frames, found.shape[1]), dtype=np.float32)
        padded[: len(found)] = found
        return (padded - self._mean) / (2 * self._std)

    def _run(self, items: list[NDArray[np.float32]]) -> tuple[Mapping[int, Tensor], Tensor]:
        states = self._stock_states(input_values=torch.from_numpy(np.stack(items)).to(self.device))
        return states, all_own(states[self.spec.layers])


def mel_filters(bins: int) -> np.ndarray:
    """Return Kaldi's triangular filters, (257, ``bins``)."""
    return mel_filter_bank(
        num_frequency_bins=_FFT // 2 + 1,
        num_mel_filters=bins,
        min_frequency=20,
        max_frequency=SAMPLE_RATE // 2,
        sampling_rate=SAMPLE_RATE,
        norm=None,
        mel_scale="kaldi",
        triangularize_in_mel_space=True,
    )


def log_mel(samples: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram (frames, bins) of samples at 16 kHz.

    Computed with numpy alone: Transformers' own extractor takes another path where torchaudio is
    installed, and one encoder has to give one vector on every machine.
    """
    return spectrogram(
        samples,
        window_function(_WINDOW, "hann", periodic=False),
        frame_length=_WINDOW,
        hop_length=_HOP,
        fft_length=_FFT,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=filters,
        log_mel="log",
        mel_floor=_MEL_FLOOR,
        remove_dc_offset=True,
    ).T
