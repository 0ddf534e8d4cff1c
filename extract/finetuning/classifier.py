"""The model that is fine-tuned: an encoder, its pooling, and one linear layer, nothing else."""

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
    from extract.encoders.base import ModelEncoder


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
        encoder: ModelEncoder,
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
                mask = self.backbone.get_parameter("masked_spec_embed")
                with torch.no_grad():
                    mask.copy_(torch.rand(mask.shape))
        self.layer_weights: nn.Parameter | None = None
        if len(encoder.layers) > 1:
            self.layer_weights = nn.Parameter(torch.zeros(len(encoder.layers)))
        self.dropout = nn.Dropout(dropout)
        self.label_smoothing = label_smoothing
        weights = None
        if class_weights is not None:
            weights = torch.tensor(class_weights, dtype=torch.float32)
        self.class_weights: Tensor | None
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

        Returns how many tensors were frozen.

        Raises:
            UsageError: There are fewer layers.
        """
        front = getattr(self.backbone, "feature_extractor", None)
        frozen: list[nn.Parameter] = []
        if what not in {"auto", "none"}:
            frozen = self._front_and_layers(int(what))
        elif what == "auto" and isinstance(front, nn.Module):
            frozen = list(front.parameters())
        for parameter in frozen:
            parameter.requires_grad_(False)
        if frozen and isinstance(front, nn.Module):
            # Else Transformers asks for the gradient of the samples and goes back through all
            # convolutions for nothing.
            front._requires_grad = False  # type: ignore[assignment]  # Transformers' own attribute
        return len(frozen)

    def _front_and_layers(self, count: int) -> list[nn.Parameter]:
        """Return the parameters before the layers, and those of the first ``count`` layers."""
        depth = self.encoder.spec.layers
        if count > depth:
            raise UsageError(
                f"--freeze-layers {count}: {self.encoder.spec.name} has {depth} layers"
            )
        lists = [m for m in self.backbone.modules() if isinstance(m, nn.ModuleList)]
        # The last one: a speech encoder may have as many convolutions, and they come first.
        layers = [modules for modules in lists if len(modules) == depth][-1]
        of_layers = set(map(id, layers.parameters()))
        parameters = []
        for parameter in self.backbone.parameters():
            if id(parameter) in of_layers:
                break
            parameters.append(parameter)
        for layer in layers[:count]:
            parameters += layer.parameters()
        return parameters

    @contextmanager
    def _mask_that_fits(self, items: list[Any]) -> Iterator[None]:
        """Leave SpecAugment out where no clip of the batch is as long as its masks.

        Transformers raises there.
        """
        config: Any = getattr(self.backbone, "config", None)
        if not self._is_too_short_for_masks(config, items):
            yield
            return
        config.apply_spec_augment = False
        try:
            yield
        finally:
            config.apply_spec_augment = True

    def _is_too_short_for_masks(self, config: Any, items: list[Any]) -> bool:
        if not self.training or not getattr(config, "apply_spec_augment", False):
            return False
        output_length = getattr(self.backbone, "_get_feat_extract_output_lengths", None)
        if output_length is None or getattr(config, "mask_time_prob", 0) <= 0:
            return False
        longest = int(output_length(max(map(len, items))))
        return bool(longest < config.mask_time_length)


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

    def remarks(self) -> list[str]:
        """Say what a user should know of the inputs so far, a sentence each."""
        return self._encoder.remarks()

    def encode(self, inputs: Sequence[Any]) -> NDArray[np.float32]:
        """Return float32 (inputs, 1, D): what the head reads, without dropout."""
        states: NDArray[np.float32] = self._encoder.encode(inputs)
        weights = self.classifier.layer_weights
        if weights is None:
            return states
        shares = weights.detach().float().softmax(0).cpu().numpy()
        mixed: NDArray[np.float32] = np.einsum("bld,l->bd", states, shares)
        return mixed[:, None, :].astype(np.float32)

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the head's logits (n, C) of stored vectors (n, D); ``nan`` stays ``nan``."""
        head = self.classifier.head
        weight: NDArray[np.float32] = head.weight.detach().float().cpu().numpy()
        bias: NDArray[np.float32] = head.bias.detach().float().cpu().numpy()
        return (vectors @ weight.T + bias).astype(np.float32)
