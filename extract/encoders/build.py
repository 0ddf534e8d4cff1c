"""Puts a loaded model into the adapter of its family.

The part of ``load_encoder`` that needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from embeddings_store.errors import UsageError
from extract.encoders.any_text import AnyTextEncoder
from extract.encoders.architectures import check_pooling, kind_of
from extract.encoders.base import AdapterOptions, Encoder
from extract.encoders.batching import auto_batch_size
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel, load_model
from extract.encoders.pictures import (
    ClipVisionEncoder,
    CroppedEncoder,
    FrameByFrameEncoder,
    SiglipVisionEncoder,
)
from extract.encoders.precision import lower_precision
from extract.encoders.resolving import ResolvedEncoder
from extract.encoders.settings import EncoderOptions, InputSettings
from extract.encoders.spectrogram import SpectrogramEncoder
from extract.encoders.text import TextEncoder
from extract.encoders.video import PatchEncoder, VideoEncoder
from extract.encoders.waveform import WaveformEncoder
from extract.encoders.whisper import WhisperOwnLengthEncoder

_FAMILIES: Mapping[
    str, Callable[[EncoderSpec, LoadedModel, AdapterOptions, InputSettings], Encoder]
] = {
    "tokens": TextEncoder,
    "any-tokens": AnyTextEncoder,
    "waveform": WaveformEncoder,
    "spectrogram": SpectrogramEncoder,
    "whisper": WhisperOwnLengthEncoder,
    "clip": VideoEncoder,
    "patches": PatchEncoder,
    "frames": FrameByFrameEncoder,
    "cropped-frames": CroppedEncoder,
    "clip-frames": ClipVisionEncoder,
    "siglip-frames": SiglipVisionEncoder,
}


def build(
    resolved: ResolvedEncoder,
    options: EncoderOptions,
    inputs: InputSettings,
    revision: str | None,
) -> Encoder:
    """Load the weights, if there are any, and return their adapter.

    Args:
        resolved: What to load.
        options: Which vector is made, and where.
        inputs: What the encoder is given.
        revision: Commit, tag or branch on the Hub; none for the registry's.


    Raises:
        UsageError: If an option does not fit, or features are asked for in a revision or another
            precision.
    """
    spec = resolved.spec
    if options.pooling is not None:
        check_pooling(spec.architecture, options.pooling)
    device = find_device(options.device)
    batch_size = options.batch_size
    if batch_size is None:
        batch_size = auto_batch_size(spec.modality, device.type)
    how = AdapterOptions(options.layer, options.pooling, device, batch_size)
    if kind_of(spec.architecture).family == "features":
        if revision is not None:
            raise UsageError(
                f"{spec.name} is computed by {spec.architecture}; a revision goes with a Hub id"
            )
        if options.precision != "float32":
            raise UsageError(
                f"{spec.name} is computed by {spec.architecture}, which has one precision; leave "
                f"--precision {options.precision} out"
            )
        from extract.encoders.features import FEATURE_ENCODERS

        on_cpu = replace(how, device=torch.device("cpu"))
        return FEATURE_ENCODERS[spec.architecture](spec, on_cpu, inputs)
    loaded = load_model(resolved, revision)
    adapter = _FAMILIES[kind_of(spec.architecture).family]
    encoder = adapter(spec, loaded, how, inputs)
    # Afterwards: an adapter may prove by what the model does in float32 that it can run it.
    lower_precision(loaded.model, options.precision, device)
    encoder.settings["dtype"] = options.precision
    return encoder


def find_device(name: str) -> torch.device:
    """Return the device of that name, or for ``"auto"`` a CUDA GPU if there is one, else the CPU.

    Apple's ``mps`` is never chosen by itself: it has no float64, and its kernels were not measured
    against the CPU's.

    Raises:
        UsageError: If there is no such device on this machine.

    >>> find_device("cpu")
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
    count = max(1, torch.cuda.device_count())
    if not present.get(device.type, False) or (device.index or 0) >= count:
        raise UsageError(f"device {name!r} is not on this machine; 'auto' takes what there is")
    return device
