"""The model that is fine-tuned: an encoder, its pooling, and one linear layer.

Nothing between vector and scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from embeddings_store.errors import UsageError
from extract.finetuning.dataset import Items

if TYPE_CHECKING:
    from extract.encoders.base import Encoder


class Classifier(nn.Module):
    """Scores of a batch, and in training their cross-entropy.

    The library's own heads project to 256 dimensions or add a tanh before the classifier; here the
    stored vector is what the head reads, so that stored scores are the head of the stored vector.

    Attributes:
        backbone: The encoder's weights.
        head: (dim) to (classes).
        layer_weights: (layers), before the softmax; none where only one layer is read.
    """

    def __init__(
        self,
        encoder: Encoder,
        classes: int,
        *,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        """Put a head on an encoder.

        Args:
            encoder: Its model becomes part of this one and changes with it.
            classes: How many.
            dropout: Between vector and head, in training only.
            label_smoothing: Part of each label that is spread over all classes.
            class_weights: Of the loss, (classes); none for equal ones.
            seed: Of whatever has no weights yet: the head, and what SpecAugment masks with where
                the checkpoint lacks it.
        """
        super().__init__()
        self.encoder = encoder
        self.backbone = encoder.model
        for tensor in (*self.backbone.parameters(), *self.backbone.buffers()):
            # Loaded weights lie in the mapped file, aligned as its header happens to end, and
            # kernels differ by alignment: the same weights would give other last bits after a
            # resume.
            tensor.data = tensor.data.clone()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(encoder.dim, classes)
            if "masked_spec_embed" in encoder.loading_report["missing"]:
                with torch.no_grad():
                    self.backbone.masked_spec_embed.copy_(
                        torch.rand(self.backbone.masked_spec_embed.shape)
                    )
        self.layer_weights = (
            nn.Parameter(torch.zeros(len(encoder.layers))) if len(encoder.layers) > 1 else None
        )
        self.dropout = nn.Dropout(dropout)
        self.label_smoothing = label_smoothing
        weights = (
            None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        )
        self.register_buffer("class_weights", weights, persistent=False)

    def vectors(self, items: list[Any]) -> Tensor:
        """Return the pooled vector (B, D) of prepared inputs."""
        with self._mask_that_fits(items):
            pooled = self.encoder.pooled(items)
        if self.layer_weights is None:
            return pooled[:, 0]
        return torch.einsum("bld,l->bd", pooled, self.layer_weights.softmax(0))

    def forward(self, items: Items, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``logits`` (B, C) and, with labels (B,), the ``loss``."""
        logits = self.head(self.dropout(self.vectors(items.values)))
        if labels is None:
            return {"logits": logits}
        loss = functional.cross_entropy(
            logits.float(), labels, weight=self.class_weights, label_smoothing=self.label_smoothing
        )
        return {"loss": loss, "logits": logits}

    def freeze(self, what: str) -> int:
        """Freeze ``auto``, ``none``, or what lies before the layers and so many of them.

        Return how many tensors.

        Raises:
            UsageError: There are fewer layers.
        """
        front = getattr(self.backbone, "feature_extractor", None)
        frozen: list[nn.Parameter] = []
        if what == "auto":
            frozen = list(front.parameters()) if isinstance(front, nn.Module) else []
        elif what != "none":
            frozen = self._front_and_layers(int(what))
        for parameter in frozen:
            parameter.requires_grad_(False)
        if frozen and isinstance(front, nn.Module):
            # Else Transformers asks for the gradient of the samples and goes back through all
            # convolutions for nothing.
            front._requires_grad = False
        return len(frozen)

    def _front_and_layers(self, count: int) -> list[nn.Parameter]:
        depth = self.encoder.spec.layers
        if count > depth:
            raise UsageError(
                f"--freeze-layers {count}: {self.encoder.spec.name} has {depth} layers"
            )
        # The last one: a speech encoder may have as many convolutions, and they come first.
        layers = [
            m for m in self.backbone.modules() if isinstance(m, nn.ModuleList) and len(m) == depth
        ][-1]
        of_layers = {id(p) for p in layers.parameters()}
        front = []
        for parameter in self.backbone.parameters():
            if id(parameter) in of_layers:
                break
            front.append(parameter)
        return front + [p for layer in layers[:count] for p in layer.parameters()]

    @contextmanager
    def _mask_that_fits(self, items: list[Any]) -> Iterator[None]:
        """Leave SpecAugment out where no clip of the batch is as long as its masks.

        Transformers raises there.
        """
        config = getattr(self.backbone, "config", None)
        masks = (
            self.training
            and getattr(config, "apply_spec_augment", False)
            and getattr(config, "mask_time_prob", 0) > 0
        )
        lengths = getattr(self.backbone, "_get_feat_extract_output_lengths", None)
        if (
            not masks
            or lengths is None
            or int(lengths(max(map(len, items)))) >= config.mask_time_length
        ):
            yield
            return
        config.apply_spec_augment = False
        try:
            yield
        finally:
            config.apply_spec_augment = True


class FinetunedEncoder:
    """A fine-tuned encoder where the store wants a frozen one.

    The same attributes, one vector per input.

    Attributes:
        classifier: The trained model, in evaluation mode.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier.eval()
        self._encoder = classifier.encoder
        self.layers = self._encoder.layers[-1:]

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self._encoder.dim

    @property
    def batch_size(self) -> int:
        """How many inputs go through the model at once."""
        return self._encoder.batch_size

    def encode(self, inputs: Sequence[Any]) -> NDArray[np.float32]:
        """Return float32 (inputs, 1, D): what the head reads, without dropout."""
        states = self._encoder.encode(inputs)
        weights = self.classifier.layer_weights
        if weights is None:
            return states
        mixed = np.einsum("bld,l->bd", states, weights.detach().float().softmax(0).cpu().numpy())
        return mixed[:, None, :].astype(np.float32)

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the head's logits (n, C) of stored vectors (n, D); ``nan`` stays ``nan``."""
        head = self.classifier.head
        weight, bias = (
            head.weight.detach().float().cpu().numpy(),
            head.bias.detach().float().cpu().numpy(),
        )
        return (vectors @ weight.T + bias).astype(np.float32)
