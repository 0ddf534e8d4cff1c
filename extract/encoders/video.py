"""Runs VideoMAE and TimeSformer over clips of square uint8 pictures.

Which pictures a clip has is decided where it is read (``extract.frames``); here that is recorded,
and they are normalised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import VideoMAEForVideoClassification

from embeddings_store.errors import ModelLoadError, UsageError
from embeddings_store.reading import AGAIN, reading
from extract.encoders.base import AdapterOptions, ModelEncoder, all_own
from extract.encoders.describe import read_json
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel
from extract.encoders.settings import InputSettings

# Mean and deviation of red, green and blue, from 0 to 1, that each was trained with; for folders
# that do not say.
_TRAINED_WITH = {
    # github.com/MCG-NJU/VideoMAE/blob/main/datasets.py; Transformers' own default of 0.5 is not
    # what its authors used.
    "videomae": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # github.com/facebookresearch/TimeSformer/blob/main/timesformer/config/defaults.py
    "timesformer": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    # github.com/google-research/vision_transformer: pixels from -1 to 1
    "vit": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    # ImageNet's: github.com/facebookresearch/dinov2/blob/main/dinov2/data/transforms.py
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "dinov2_with_registers": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # github.com/openai/CLIP/blob/main/clip/clip.py
    "clip_vision_model": (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    # github.com/google-research/big_vision: pixels from -1 to 1
    "siglip_vision_model": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


class VideoEncoder(ModelEncoder):
    """An encoder of clips that Transformers runs as a whole, with a classification token.

    TimeSformer.

    Attributes:
        frames: How clips have to be drawn: number and size of the pictures as the checkpoint takes
            them, rule and region as the caller asked for.
    """

    def __init__(
        self, spec: EncoderSpec, loaded: LoadedModel, options: AdapterOptions, inputs: InputSettings
    ) -> None:
        """Take the pictures' number and size from the model, their statistics from its folder.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            options: How it is to be run.
            inputs: Rule and region by which pictures are drawn, and their number where the model
                takes any.

        Raises:
            ModelLoadError: If the model takes pictures that are not square, or its preprocessor is
                not readable.
        """
        super().__init__(spec, loaded, options, max_input=None)
        frames = inputs.frames
        count: int = getattr(loaded.config, "num_frames", frames.frames)
        self.frames = replace(frames, frames=count, size=_picture_size(loaded))
        mean, std = pixel_statistics(loaded.folder, spec.architecture)
        self._mean = torch.tensor(mean).view(3, 1, 1)
        self._std = torch.tensor(std).view(3, 1, 1)
        self.settings |= self.frames.as_dict()
        self.settings |= {
            "pixel_mean": ", ".join(map(str, mean)),
            "pixel_std": ", ".join(map(str, std)),
        }

    def _prepare(self, position: int, item: object) -> NDArray[np.uint8]:
        """Return the clip as contiguous uint8 (T, 3, H, W).

        Four times smaller than what the model reads.
        """
        if not isinstance(item, np.ndarray):
            raise _no_clip(position, type(item).__name__)
        # Three colours, last or behind the time.
        if item.dtype != np.uint8 or item.ndim != 4 or 3 not in item.shape[1::2]:
            raise _no_clip(position, f"{item.dtype} {item.shape}")
        clip = item.transpose(0, 3, 1, 2) if item.shape[-1] == 3 else item
        size = self.frames.size
        if clip.shape != (self.frames.frames, 3, size, size):
            count, _, height, width = clip.shape
            raise UsageError(
                f"input {position} has {count} pictures of {width} x {height} pixels; "
                f"{self.spec.name} takes {self.frames.frames} of {size} x {size}: read clips "
                "with its own frame settings"
            )
        return np.ascontiguousarray(clip)

    def _run(self, items: list[NDArray[np.uint8]]) -> tuple[Mapping[int, Tensor], Tensor]:
        states = self._stock_states(pixel_values=self.normalised(items))
        return states, all_own(states[self.spec.layers])

    def normalised(self, items: list[NDArray[np.uint8]]) -> Tensor:
        """Return prepared clips as the model reads them, float32 (B, T, 3, H, W)."""
        pixels = torch.from_numpy(np.stack(items)).to(self.device)
        return (pixels * (1 / 255) - self._mean.to(self.device)) / self._std.to(self.device)


class PatchEncoder(VideoEncoder):
    """VideoMAE: without a classification token, patches are pooled and the norm comes after.

    That norm is ``fc_norm`` of a checkpoint that was fine-tuned with mean pooling, and the final
    norm of any other, such as the paper's videomae-base. A mean-pooling checkpoint that was saved
    without its head has neither: the norm is then an unlearned one (mean 0, variance 1 over the
    dimensions) and ``settings["pooled_norm"]`` says so. States below the last layer are pooled
    without a norm.
    """

    def __init__(
        self, spec: EncoderSpec, loaded: LoadedModel, options: AdapterOptions, inputs: InputSettings
    ) -> None:
        """Find the norm.

        Args:
            spec: What the model was resolved to.
            loaded: The model, a ``VideoMAEForVideoClassification``.
            options: How it is to be run.
            inputs: See :class:`VideoEncoder`.
        """
        super().__init__(spec, loaded, options, inputs)
        model = loaded.model
        # As the table of architectures says, and as either kind of checkpoint has it.
        assert isinstance(model, VideoMAEForVideoClassification)  # noqa: S101
        self._base = model.videomae
        norm = self._base.layernorm if model.fc_norm is None else model.fc_norm
        assert isinstance(norm, nn.Module)  # noqa: S101
        self._norm = norm
        fresh = any(key.startswith("fc_norm.") for key in loaded.report["missing"])
        learned = "layernorm" if model.fc_norm is None else "fc_norm"
        self.settings["pooled_norm"] = "fc_norm, not learned" if fresh else learned

    def pooled(self, items: list[Any]) -> Tensor:
        """Pool, and norm the last layer's vector, each part by itself."""
        by_layer = list(super().pooled(items).unbind(1))
        if self.spec.layers in self.layers:
            last = self.layers.index(self.spec.layers)
            parts = by_layer[last].chunk(self.dim // self.spec.dim, dim=1)
            by_layer[last] = torch.cat([self._norm(part) for part in parts], dim=1)
        return torch.stack(by_layer, dim=1)

    def _run(self, items: list[NDArray[np.uint8]]) -> tuple[Mapping[int, Tensor], Tensor]:
        last = self.spec.layers
        # The last of all states is before the final norm, the last hidden state after it if there
        # is one.
        all_states = self._base.layernorm is not None or self.layers != (last,)
        output = self._base(pixel_values=self.normalised(items), output_hidden_states=all_states)
        if all_states:
            states = dict(enumerate(output.hidden_states))
        else:
            states = {last: output.last_hidden_state}
        return states, all_own(states[last])


def _no_clip(position: int, what: str) -> UsageError:
    return UsageError(
        f"input {position} is {what}; a video encoder reads uint8 arrays (T, H, W, 3) or "
        "(T, 3, H, W)"
    )


def _picture_size(loaded: LoadedModel) -> int:
    """Return the side of the square pictures that a model takes, in pixels."""
    size: int | Sequence[int] = loaded.config.image_size
    if isinstance(size, int):
        return size
    if len(set(size)) != 1:
        raise ModelLoadError(
            f"{loaded.folder} takes pictures of {size[0]} x {size[1]} pixels; expected a square"
        )
    return size[0]


def pixel_statistics(
    folder: Path, architecture: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of red, green and blue on a scale from 0 to 1.

    Args:
        folder: Where ``preprocessor_config.json`` may lie; without it the values of the
            architecture's training hold.
        architecture: Key of ``ARCHITECTURES``.

    Raises:
        ModelLoadError: If the file is not readable, or scales pixels in another way than by 1/255.
    """
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return _TRAINED_WITH[architecture]
    with reading(path, "the settings of a preprocessor", AGAIN, ModelLoadError):
        found = read_json(path)
        factor = found.get("rescale_factor", 1 / 255)
        if not found.get("do_rescale", True) or abs(factor - 1 / 255) > 1e-9:
            raise ModelLoadError(
                f"{path} does not scale pixels by 1/255, which is all that this encoder does"
            )
        if not found.get("do_normalize", True):
            return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        usual_mean, usual_std = _TRAINED_WITH[architecture]
        mean = tuple(found.get("image_mean", usual_mean))
        std = tuple(found.get("image_std", usual_std))
        if not len(mean) == len(std) == 3 or not all(map(isfinite, mean + std)) or min(std) <= 0:
            raise ModelLoadError(
                f"{path}: image_mean {mean}, image_std {std}; expected three numbers each, the "
                "latter above 0"
            )
    return mean, std
