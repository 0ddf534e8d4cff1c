"""Runs VideoMAE, TimeSformer, and ViT frame by frame, over clips of square uint8 pictures.

Which pictures a clip has is decided where it is read (``extract.frames``); here that is recorded,
and they are normalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from embeddings_store.errors import ModelLoadError, UsageError
from extract.encoders.base import Encoder
from extract.encoders.describe import read_json
from extract.encoders.loading import LoadedModel
from extract.encoders.registry import EncoderSpec
from extract.frames.settings import FrameSettings

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
}


class VideoEncoder(Encoder):
    """An encoder of clips that Transformers runs as a whole, with a classification token.

    TimeSformer.

    Attributes:
        frames: How clips have to be drawn: number and size of the pictures as the checkpoint takes
            them, rule and region as the caller asked for.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        loaded: LoadedModel,
        *,
        frames: FrameSettings | None,
        **options: Any,
    ) -> None:
        """Take number and size of the pictures from the model, mean and deviation from its preprocessor.

        Raises:
            ModelLoadError: If the model takes pictures that are not square, or its preprocessor is
                not readable.
        """
        super().__init__(spec, loaded, max_input=None, **options)
        config = loaded.config
        sides = (
            config.image_size
            if isinstance(config.image_size, (list, tuple))
            else (config.image_size,)
        )
        if len(set(sides)) != 1:
            raise ModelLoadError(
                f"{loaded.folder} takes pictures of {sides[0]} x {sides[1]} pixels; expected a "
                "square"
            )
        asked = frames or FrameSettings()
        self.frames = replace(
            asked, frames=getattr(config, "num_frames", asked.frames), size=sides[0]
        )
        mean, std = pixel_statistics(loaded.folder, spec.architecture)
        self._mean, self._std = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
        self.settings |= self.frames.as_dict()
        self.settings |= {
            "pixel_mean": ", ".join(map(str, mean)),
            "pixel_std": ", ".join(map(str, std)),
        }

    def _prepare(self, position: int, item: Any) -> np.ndarray:
        """Return the clip as contiguous uint8 (T, 3, H, W).

        Four times smaller than what the model reads.
        """
        if (
            not isinstance(item, np.ndarray)
            or item.dtype != np.uint8
            or item.ndim != 4
            or 3 not in item.shape[1::2]
        ):
            what = (
                f"{item.dtype} {item.shape}"
                if isinstance(item, np.ndarray)
                else type(item).__name__
            )
            raise UsageError(
                f"input {position} is {what}; a video encoder reads uint8 arrays (T, H, W, 3) or "
                "(T, 3, H, W)"
            )
        clip = item.transpose(0, 3, 1, 2) if item.shape[-1] == 3 else item
        expected = (self.frames.frames, 3, self.frames.size, self.frames.size)
        if clip.shape != expected:
            count, _, height, width = clip.shape
            raise UsageError(
                f"input {position} has {count} pictures of {width} x {height} pixels; "
                f"{self.spec.name} takes"
                f" {self.frames.frames} of {self.frames.size} x {self.frames.size}: read clips "
                "with its own frame settings"
            )
        return np.ascontiguousarray(clip)

    def _run(self, items: list[np.ndarray]) -> tuple[Mapping[int, Tensor], Tensor]:
        states = self._stock_states(pixel_values=self._normalised(items))
        return states, _all_own(states[self.spec.layers])

    def _normalised(self, items: list[np.ndarray]) -> Tensor:
        """Return float32 (B, T, 3, H, W)."""
        pixels = torch.from_numpy(np.stack(items)).to(self.device)
        return (pixels * (1 / 255) - self._mean.to(self.device)) / self._std.to(self.device)


class FrameByFrameEncoder(VideoEncoder):
    """ViT: every picture gives its classification token, and a clip is as many states as it has pictures."""

    def _run(self, items: list[np.ndarray]) -> tuple[Mapping[int, Tensor], Tensor]:
        clips = self._normalised(items)
        found = self._stock_states(pixel_values=clips.flatten(0, 1))
        states = {layer: found[layer][:, 0].unflatten(0, clips.shape[:2]) for layer in self.layers}
        return states, _all_own(states[self.layers[0]])


class PatchEncoder(VideoEncoder):
    """VideoMAE: it has no classification token, so patches are pooled first and the model's norm comes after.

    That norm is ``fc_norm`` of a checkpoint that was fine-tuned with mean pooling, and the final
    norm of any other, such as the paper's videomae-base. A mean-pooling checkpoint that was saved
    without its head has neither: the norm is then an unlearned one (mean 0, variance 1 over the
    dimensions) and ``settings["pooled_norm"]`` says so. States below the last layer are pooled
    without a norm.
    """

    def __init__(self, spec: EncoderSpec, loaded: LoadedModel, **options: Any) -> None:
        """Find the norm."""
        super().__init__(spec, loaded, **options)
        fresh = any(key.startswith("fc_norm.") for key in loaded.report["missing"])
        learned = "layernorm" if self.model.fc_norm is None else "fc_norm"
        self.settings["pooled_norm"] = "fc_norm, not learned" if fresh else learned

    def pooled(self, items: list[Any]) -> Tensor:
        """See :meth:`Encoder.pooled`; the last layer's vector is normed."""
        vectors = super().pooled(items)
        norm = self.model.videomae.layernorm if self.model.fc_norm is None else self.model.fc_norm
        by_layer = zip(self.layers, vectors.unbind(1), strict=True)
        return torch.stack(
            [norm(vector) if layer == self.spec.layers else vector for layer, vector in by_layer],
            dim=1,
        )

    def _run(self, items: list[np.ndarray]) -> tuple[Mapping[int, Tensor], Tensor]:
        base, last = self.model.videomae, self.spec.layers
        # Its last hidden state is after the final norm where there is one; the last of all states
        # is before it.
        all_states = base.layernorm is not None or self.layers != (last,)
        output = base(pixel_values=self._normalised(items), output_hidden_states=all_states)
        states = (
            dict(enumerate(output.hidden_states))
            if all_states
            else {last: output.last_hidden_state}
        )
        return states, _all_own(states[last])


def pixel_statistics(
    folder: Path, architecture: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of red, green and blue on a scale from 0 to 1, as the checkpoint's preprocessor has them.

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
    found = read_json(path)
    if (
        not found.get("do_rescale", True)
        or abs(found.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-9
    ):
        raise ModelLoadError(
            f"{path} does not scale pixels by 1/255, which is all that this encoder does"
        )
    if not found.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    usual_mean, usual_std = _TRAINED_WITH[architecture]
    mean, std = tuple(found.get("image_mean", usual_mean)), tuple(found.get("image_std", usual_std))
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ModelLoadError(
            f"{path}: image_mean {mean}, image_std {std}; expected three numbers each, the latter "
            "above 0"
        )
    return mean, std


def _all_own(states: Tensor) -> Tensor:
    """Return the mask (B, T) of a batch without padding."""
    return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
