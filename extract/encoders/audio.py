"""What speech encoders share: the check of a clip, and a checkpoint's preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MediaError, ModelLoadError, UsageError
from extract.encoders.architectures import SAMPLE_RATE
from extract.encoders.base import AdapterOptions, ModelEncoder
from extract.encoders.describe import read_json
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel
from extract.encoders.settings import InputSettings


class AudioEncoder(ModelEncoder):
    """An encoder of clips.

    Attributes:
        max_duration_s: Length in seconds at which clips were cut before they came here; None for
            not at all.
        long_rule: Which part of a longer clip was kept.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        loaded: LoadedModel,
        options: AdapterOptions,
        inputs: InputSettings,
        *,
        max_input: float | None,
    ) -> None:
        """Record how clips are cut; cutting itself is done where they are read.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            options: How it is to be run.
            inputs: How clips are cut.
            max_input: What the checkpoint takes at most, in seconds; None for no limit.
        """
        super().__init__(spec, loaded, options, max_input=max_input)
        self.max_duration_s = inputs.max_duration_s
        self.long_rule = inputs.long_rule
        self.settings |= cutting_settings(inputs)

    def checked(self, position: int, clip: object) -> NDArray[np.float32]:
        """Return the clip's samples as contiguous float32, (n,).

        Args:
            position: Of the clip among the inputs, for the message.
            clip: What was given to be encoded.

        Raises:
            UsageError: If it is not a one-dimensional array of floats, or longer than
                ``max_duration_s``.
            MediaError: If it is too short or too long for the model.
        """
        return checked_clip(position, clip, self.spec, self.max_duration_s)


def cutting_settings(inputs: InputSettings) -> dict[str, object]:
    """Return what of the cutting of clips changes a vector, for the fingerprint."""
    never_cut = inputs.max_duration_s is None
    return {
        "sample_rate": SAMPLE_RATE,
        "max_duration_s": inputs.max_duration_s,
        "long_rule": None if never_cut else inputs.long_rule,
    }


def checked_clip(
    position: int, clip: object, spec: EncoderSpec, max_duration_s: float | None
) -> NDArray[np.float32]:
    """Return the clip's samples as contiguous float32, (n,).

    Args:
        position: Of the clip among the inputs, for the message.
        clip: What was given to be encoded.
        spec: Says how short and how long a clip may be.
        max_duration_s: Length in seconds at which clips were cut; None for not at all.

    Raises:
        UsageError: If it is not a one-dimensional array of floats, or longer than
            ``max_duration_s``.
        MediaError: If it is too short or too long for the encoder.
    """
    if not isinstance(clip, np.ndarray):
        raise _no_clip(position, type(clip).__name__)
    if clip.ndim != 1 or clip.dtype.kind != "f":
        raise _no_clip(position, f"{clip.dtype} {clip.shape}")
    rate, name = SAMPLE_RATE, spec.name
    # One sample of grace: resampling rounds the number of samples up.
    if max_duration_s is not None and clip.size > round(max_duration_s * rate) + 1:
        raise UsageError(
            f"clip {position} has {clip.size} samples, more than max_duration_s = "
            f"{max_duration_s:g} at {rate} Hz; cut it as it is read"
        )
    if clip.size < round(spec.min_duration_s * rate):
        raise MediaError(
            f"the clip is {clip.size / rate:.4f} s long, but {name} needs "
            f"{spec.min_duration_s:g} s for one frame; leave it out or give a longer span"
        )
    most_s = spec.max_input
    if most_s is not None and clip.size > round(most_s * rate) + 1:
        raise MediaError(
            f"the clip is {clip.size / rate:.2f} s long, but {name} takes at most "
            f"{most_s:g} s; set max_duration_s to {most_s:g} or less"
        )
    return np.ascontiguousarray(clip, dtype=np.float32)


def _no_clip(position: int, what: str) -> UsageError:
    return UsageError(
        f"input {position} is {what}; a speech encoder reads one-dimensional float32 arrays"
    )


def preprocessor_settings(folder: Path) -> dict[str, Any]:
    """Return what the checkpoint's ``preprocessor_config.json`` says; empty where there is none.

    Raises:
        ModelLoadError: If the file cannot be read, or asks for another sample rate than 16 kHz.
    """
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return {}
    found = dict(read_json(path))
    if found.get("sampling_rate", SAMPLE_RATE) != SAMPLE_RATE:
        raise ModelLoadError(
            f"{path} asks for {found['sampling_rate']} Hz, where {SAMPLE_RATE} Hz was expected"
        )
    return found
