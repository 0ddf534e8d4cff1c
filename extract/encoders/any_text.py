"""Runs any encoder of text that Transformers knows, once a batch was found to change no vector."""

from __future__ import annotations

import torch

from embeddings_store.errors import ModelLoadError
from extract.encoders.architectures import ELSEWHERE
from extract.encoders.base import AdapterOptions
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.loading import LoadedModel
from extract.encoders.settings import InputSettings
from extract.encoders.text import TextEncoder

# Tokens of the two texts of the proof; the difference that rounding of float32 stays below.
_SHORT, _LONG, _LARGEST = 3, 13, 1e-4


class AnyTextEncoder(TextEncoder):
    """An encoder of texts whose architecture has no entry of its own."""

    def __init__(
        self, spec: EncoderSpec, loaded: LoadedModel, options: AdapterOptions, inputs: InputSettings
    ) -> None:
        """Load it as any other, and prove that padding changes no vector.

        Args:
            spec: What the model was resolved to.
            loaded: The model.
            options: How it is to be run.
            inputs: How many tokens of a text are read.

        Raises:
            ModelLoadError: If it cannot be run as an encoder of texts, has other layers than it
                says, or gives a text another vector in a batch.
        """
        super().__init__(spec, loaded, options, inputs)
        name = f"{loaded.folder}: architecture {spec.architecture!r}"
        try:
            difference = self._difference_by_padding()
        except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelLoadError(
                f"{name} does not run as an encoder of texts ({reason}); {ELSEWHERE}"
            ) from None
        if not difference < _LARGEST:
            raise ModelLoadError(
                f"{name} gives a text another vector in a batch than alone (by {difference:.1g} of "
                f"its length), so its vectors would hang on the batch; {ELSEWHERE}"
            )

    @torch.inference_mode()
    def _difference_by_padding(self) -> float:
        """Return how far a short text's vectors are from those that it has beside a long one.

        The largest over layers, relative to the vector's length.
        """
        words = [i for i in range(self._vocabulary_size) if i not in self._special]
        long = (words * _LONG)[: min(_LONG, self.max_tokens)]
        short = long[: min(_SHORT, len(long) - 1)]
        layers, self.layers = self.layers, tuple(range(self.spec.layers + 1))
        try:
            alone = self.pooled([short])[0]
            beside = self.pooled([short, long])[0]
        finally:
            self.layers = layers
        if alone.shape != (self.spec.layers + 1, self.dim):
            raise ValueError(f"its states are {tuple(alone.shape)}")
        difference = (alone - beside).norm(dim=-1) / alone.norm(dim=-1).clamp_min(1e-12)
        return float(difference.max())
