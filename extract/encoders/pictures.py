"""Runs encoders of single pictures over the pictures of a clip: ViT, DINOv2, CLIP and SigLIP.

Each picture becomes one state, so a clip has as many as it has pictures; how depends on the model,
and ``settings["picture"]`` says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from embeddings_store.errors import ModelLoadError
from extract.encoders.base import AdapterOptions, all_own
from extract.encoders.describe import read_json
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel
from extract.encoders.settings import InputSettings
from extract.encoders.video import VideoEncoder


class FrameByFrameEncoder(VideoEncoder):
    """ViT: a picture's state is its classification token."""

    def _run(self, items: list[NDArray[np.uint8]]) -> tuple[Mapping[int, Tensor], Tensor]:
        clips = self.normalised(items)
        of_pictures = self._stock_states(pixel_values=clips.flatten(0, 1))
        states: dict[int, Tensor] = {}
        for layer in self.layers:
            pictures = self._of_pictures(of_pictures[layer], layer)
            states[layer] = pictures.reshape(*clips.shape[:2], -1)
        return states, all_own(states[self.layers[0]])

    def _of_pictures(self, tokens: Tensor, layer: int) -> Tensor:
        """Return one state (B, D) for each picture.

        Args:
            tokens: The states of a layer (B, N, D).
            layer: Its number.
        """
        return tokens[:, 0]


class CroppedEncoder(FrameByFrameEncoder):
    """DINOv2: as ViT, over pictures of the size that its preprocessor cuts.

    Its positions were learnt at 518 pixels and are interpolated to those, as it was used.
    """

    def __init__(
        self, spec: EncoderSpec, loaded: LoadedModel, options: AdapterOptions, inputs: InputSettings
    ) -> None:
        """Take the size from the preprocessor, where there is one.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            options: How it is to be run.
            inputs: See :class:`VideoEncoder`.

        Raises:
            ModelLoadError: If the preprocessor cuts pictures that are not square.
        """
        super().__init__(spec, loaded, options, inputs)
        path = loaded.folder / "preprocessor_config.json"
        crop = read_json(path).get("crop_size") if path.is_file() else None
        if crop is None:
            return
        size = crop.get("height") if isinstance(crop, dict) else crop
        if not isinstance(size, int) or size < 1 or crop not in (size, _square(size)):
            raise ModelLoadError(f"{path} cuts pictures to {crop!r}; expected a square in pixels")
        self.frames = replace(self.frames, size=size)
        self.settings |= self.frames.as_dict()


def _square(size: int) -> dict[str, int]:
    return {"height": size, "width": size}


class ClipVisionEncoder(FrameByFrameEncoder):
    """CLIP: a picture's state is its classification token, at the last layer after the final norm.

    That is what CLIP projects beside its texts; the projection itself is left out.
    """

    def _of_pictures(self, tokens: Tensor, layer: int) -> Tensor:
        token = tokens[:, 0]
        if layer < self.spec.layers:
            return token
        normed: Tensor = _part(self.model, "post_layernorm")(token)
        return normed


class SiglipVisionEncoder(FrameByFrameEncoder):
    """SigLIP: without a classification token, a picture is the mean over its patches.

    At the last layer its own attention pooling takes that place, where the checkpoint has one.
    """

    def __init__(
        self, spec: EncoderSpec, loaded: LoadedModel, options: AdapterOptions, inputs: InputSettings
    ) -> None:
        """Record what makes a picture's state.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            options: How it is to be run.
            inputs: See :class:`VideoEncoder`.
        """
        super().__init__(spec, loaded, options, inputs)
        self._has_head = getattr(loaded.config, "vision_use_head", True)
        of_last = "attention pooling" if self._has_head else "mean over patches"
        self.settings["picture"] = f"mean over patches; last layer: {of_last}"

    def _of_pictures(self, tokens: Tensor, layer: int) -> Tensor:
        if layer < self.spec.layers or not self._has_head:
            return tokens.mean(dim=1)
        pooled: Tensor = _part(self.model, "head")(tokens)
        return pooled


def _part(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name)
