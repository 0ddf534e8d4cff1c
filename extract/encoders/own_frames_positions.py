"""The padding-exact position embedding of data2vec: each convolution sees a clip's own frames only.

data2vec embeds positions by several convolutions, each with a norm behind it. Transformers clears
the padding before the first of them alone, so in a padded batch every further one reads what the
one before it has left there. Cleared behind each of them, the padding is what the zeros around a
single clip are, and a clip's vector is the same alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn


class OwnFramesPositions:
    """Clears the padding behind every convolution of a position embedding.

    Attributes:
        own_frames: Number of frames of each clip in the batch; None for all, as in the stock
            model.
    """

    def __init__(self, model: nn.Module) -> None:
        """Look at what each layer of a data2vec's position embedding gives.

        Args:
            model: A data2vec audio model of Transformers.
        """
        self.own_frames: Sequence[int] | None = None
        layers = model.get_submodule("encoder.pos_conv_embed.layers")
        for layer in layers.children():
            layer.register_forward_hook(self._clear)

    def _clear(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Return (B, C, T) with zeros behind each clip's own frames."""
        if self.own_frames is None:
            return output
        cleared = output.clone()
        for row, frames in enumerate(self.own_frames):
            cleared[row, :, frames:] = 0
        return cleared

    @contextmanager
    def restricted_to(self, own_frames: Sequence[int]) -> Iterator[None]:
        """Clear a padded batch with these numbers of own frames, for as long as it runs."""
        self.own_frames = own_frames
        try:
            yield
        finally:
            self.own_frames = None
