"""Puts a loaded model into the adapter of its family.

The part of ``load_encoder`` that needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from embeddings_store.errors import UsageError
from extract.encoders.architectures import ARCHITECTURES, check_pooling
from extract.encoders.base import Encoder
from extract.encoders.batching import auto_batch_size
from extract.encoders.loading import load_model
from extract.encoders.registry import ResolvedEncoder
from extract.encoders.spectrogram import SpectrogramEncoder
from extract.encoders.text import TextEncoder
from extract.encoders.video import FrameByFrameEncoder, PatchEncoder, VideoEncoder
from extract.encoders.waveform import WaveformEncoder
from extract.encoders.whisper import WhisperOwnLengthEncoder
from extract.frames.settings import FrameSettings

_AUDIO_FAMILIES = {
    "waveform": WaveformEncoder,
    "spectrogram": SpectrogramEncoder,
    "whisper": WhisperOwnLengthEncoder,
}
_VIDEO_FAMILIES = {"clip": VideoEncoder, "patches": PatchEncoder, "frames": FrameByFrameEncoder}


def build(
    resolved: ResolvedEncoder,
    *,
    revision: str | None,
    device: str,
    layer: str | int | Sequence[int],
    pooling: str | None,
    batch_size: int | None,
    max_duration_s: float | None,
    long_rule: str,
    max_tokens: int,
    frames: FrameSettings | None,
) -> Encoder:
    """Load the weights and return their adapter; see ``load_encoder`` for the arguments."""
    spec = resolved.spec
    if pooling is not None:
        check_pooling(spec.architecture, pooling)
    place = chosen_device(device)
    size = auto_batch_size(spec.modality, place.type) if batch_size is None else batch_size
    loaded = load_model(resolved, revision)
    family = ARCHITECTURES[spec.architecture].family
    if family == "tokens":
        return TextEncoder(
            spec,
            loaded,
            layer=layer,
            pooling=pooling,
            device=place,
            batch_size=size,
            max_tokens=max_tokens,
        )
    if family in _VIDEO_FAMILIES:
        return _VIDEO_FAMILIES[family](
            spec, loaded, layer=layer, pooling=pooling, device=place, batch_size=size, frames=frames
        )
    return _AUDIO_FAMILIES[family](
        spec,
        loaded,
        layer=layer,
        pooling=pooling,
        device=place,
        batch_size=size,
        max_duration_s=max_duration_s,
        long_rule=long_rule,
    )


def chosen_device(name: str) -> torch.device:
    """Return the device of that name, or for ``"auto"`` a CUDA GPU if there is one, else the CPU.

    Apple's ``mps`` is never chosen by itself: it has no float64, and its kernels were not measured
    against the CPU's.

    Raises:
        UsageError: If there is no such device on this machine.

    >>> chosen_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            f"unknown device {name!r}; expected auto, cpu, cuda, cuda:0, ... or mps"
        ) from None
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False) or (device.index or 0) >= max(
        1, torch.cuda.device_count()
    ):
        raise UsageError(f"device {name!r} is not on this machine; 'auto' takes what there is")
    return device
