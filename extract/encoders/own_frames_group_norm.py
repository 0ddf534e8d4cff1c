"""The padding-exact group norm: a group norm over time that sees each clip's own frames only.

The base models of wav2vec 2.0, HuBERT and WavLM normalise the output of their first convolution
over time (group norm with one group per channel), so in a padded batch stock Transformers takes
mean and variance over the padding too, and no attention mask can repair that. With this norm in
its place a clip's vector is the same alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional


class OwnFramesGroupNorm(nn.GroupNorm):
    """A group norm over each clip's own frames, sharing the weights of the one it replaces.

    Attributes:
        own_frames: Number of frames of each clip in the batch; None for all, as in the stock
            module.
    """

    def __init__(self, stock: nn.GroupNorm) -> None:
        """Share the weights of ``stock``."""
        super().__init__(stock.num_groups, stock.num_channels, stock.eps, affine=False)
        self.affine = stock.affine
        self.weight, self.bias = stock.weight, stock.bias
        self.own_frames: Sequence[int] | None = None

    def forward(self, states: Tensor) -> Tensor:
        """Normalise (B, C, T); what lies behind a clip's own frames becomes zero."""
        if self.own_frames is None:
            return super().forward(states)
        normed = torch.zeros_like(states)
        # Clip by clip, so that the very kernel that serves a clip alone serves it here.
        for row, frames in enumerate(self.own_frames):
            own = states[row : row + 1, :, :frames]
            normed[row, :, :frames] = functional.group_norm(
                own, self.num_groups, self.weight, self.bias, self.eps
            )[0]
        return normed

    @contextmanager
    def restricted_to(self, own_frames: Sequence[int]) -> Iterator[None]:
        """Normalise a padded batch with these numbers of own frames, for as long as it runs."""
        self.own_frames = own_frames
        try:
            yield
        finally:
            self.own_frames = None


def replace_group_norm(model: nn.Module) -> OwnFramesGroupNorm:
    """Put the padding-exact norm behind the first convolution of a model, and return it.

    Args:
        model: A wav2vec 2.0, HuBERT or WavLM of Transformers whose ``feat_extract_norm`` is
            ``"group"``.
    """
    first = model.get_submodule("feature_extractor.conv_layers.0")
    stock = first.get_submodule("layer_norm")
    assert isinstance(stock, nn.GroupNorm)  # noqa: S101  # what feat_extract_norm = "group" means
    norm = OwnFramesGroupNorm(stock)
    first.layer_norm = norm
    return norm
