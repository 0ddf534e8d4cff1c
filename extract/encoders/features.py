"""Computes classical features of sound where a vector of an encoder is wanted.

Clips are computed one by one, so that no vector depends on its batch.
"""

from __future__ import annotations

import hashlib
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from embeddings_store.errors import MissingDependencyError
from embeddings_store.provenance import canonical_json
from extract.encoders.architectures import SAMPLE_RATE
from extract.encoders.audio import checked_clip, cutting_settings
from extract.encoders.base import AdapterOptions, Encoder
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.feature_sets import feature_set
from extract.encoders.pooling import pool
from extract.encoders.settings import InputSettings

_COEFFICIENTS, _MEL_BANDS, _WINDOW, _HOP, _DELTA_FRAMES = 20, 40, 400, 160, 9


class FeatureEncoder(Encoder):
    """A fixed set of features.

    Attributes:
        features: The set's row in the table.
        max_duration_s: Length in seconds at which clips were cut before they came here; None for
            not at all.
        long_rule: Which part of a longer clip was kept.
    """

    def __init__(self, spec: EncoderSpec, options: AdapterOptions, inputs: InputSettings) -> None:
        """Record which version of which package computes what.

        Args:
            spec: What the name was resolved to.
            options: How it is to be run.
            inputs: How clips are cut.
        """
        super().__init__(spec, options)
        self.features = feature_set(spec.name)
        self.max_duration_s = inputs.max_duration_s
        self.long_rule = inputs.long_rule
        self.settings |= {
            **cutting_settings(inputs),
            "features": self.features.package_name,
            "package_version": metadata.version(self.features.package),
        }

    def _digest(self, **facts: object) -> str:
        """Return the SHA-256 of what computes the features, in place of that of weights."""
        about = {key: self.settings[key] for key in ("architecture", "features", "package_version")}
        return hashlib.sha256(canonical_json({**about, **facts}).encode()).hexdigest()

    def _prepare(self, position: int, item: object) -> NDArray[np.float32]:
        return checked_clip(position, item, self.spec, self.max_duration_s)

    def _encode_batch(self, items: list[Any]) -> NDArray[np.float32]:
        return np.stack([self._vector(samples) for samples in items])[:, None, :]

    @abstractmethod
    def _vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vector (``dim``,) of one clip (n,)."""


class MfccEncoder(FeatureEncoder):
    """MFCCs and their differences by librosa, pooled over the clip's own frames."""

    def __init__(self, spec: EncoderSpec, options: AdapterOptions, inputs: InputSettings) -> None:
        """See :class:`FeatureEncoder`."""
        super().__init__(spec, options, inputs)
        self.settings |= {
            "coefficients": _COEFFICIENTS,
            "mel_bands": _MEL_BANDS,
            "window_samples": _WINDOW,
            "hop_length": _HOP,
            "delta_frames": _DELTA_FRAMES,
        }
        self.weights_digest = self._digest()

    def _vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        frames = torch.from_numpy(mfcc_frames(samples)).unsqueeze(0)
        own = torch.ones(frames.shape[:2], dtype=torch.bool)
        vector: NDArray[np.float32] = pool(self.pooling, frames, own)[0].numpy()
        return vector


def mfcc_frames(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (T, 60): 20 MFCCs of each window, then their first and their second differences.

    Args:
        samples: (n,) at 16 kHz, at least one window of 400.
    """
    import librosa  # here, because it takes a second and openSMILE does without

    cepstrum = librosa.feature.mfcc(
        y=samples,
        sr=SAMPLE_RATE,
        n_mfcc=_COEFFICIENTS,
        n_fft=_WINDOW,
        hop_length=_HOP,
        n_mels=_MEL_BANDS,
        center=False,  # A window over the clip's edge would see padding.
    )
    # At the edges the outermost frame is repeated: short clips have fewer frames than the filter.
    by_order = [
        librosa.feature.delta(cepstrum, width=_DELTA_FRAMES, order=order, mode="nearest")
        for order in (1, 2)
    ]
    return np.concatenate([cepstrum, *by_order]).T.astype(np.float32)


class OpenSmileEncoder(FeatureEncoder):
    """One of openSMILE's sets of functionals, as its own Python package computes it."""

    def __init__(self, spec: EncoderSpec, options: AdapterOptions, inputs: InputSettings) -> None:
        """Start openSMILE.

        Args:
            spec: What the name was resolved to.
            options: How it is to be run.
            inputs: How clips are cut.

        Raises:
            MissingDependencyError: The extra ``opensmile`` is not installed.
        """
        try:
            import opensmile
        except ImportError as error:
            raise MissingDependencyError(
                f"{spec.name} needs the package {error.name}, which is not installed; install the "
                "extra: pip install 'emotion-fusion[opensmile]' (its licence is for research, not "
                "for products)"
            ) from error
        super().__init__(spec, options, inputs)
        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet[self.features.package_name],
            feature_level=opensmile.FeatureLevel.Functionals,
        )
        self.weights_digest = self._digest(names=list(self._smile.feature_names))

    def _vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        with warnings.catch_warnings():
            # It fills the vector with nan then, and that row is counted as failed.
            warnings.filterwarnings("ignore", "Segment too short")
            table = self._smile.process_signal(samples, SAMPLE_RATE)
        vector: NDArray[np.float32] = table.to_numpy(dtype=np.float32)[0]
        return vector


FEATURE_ENCODERS: Mapping[
    str, Callable[[EncoderSpec, AdapterOptions, InputSettings], FeatureEncoder]
] = {"librosa": MfccEncoder, "opensmile": OpenSmileEncoder}
