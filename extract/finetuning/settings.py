"""The settings of a fine-tuning: the paper's values per modality, each number with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from embeddings_store.errors import ProjectError, UsageError, unknown_name
from embeddings_store.folds.validation_rules import (
    FIXED_EPOCHS,
    SELECTION_RULES,
    VALID_SESSION,
)

PRECISIONS = ("auto", "float32", "bf16")
SCHEDULERS = ("linear", "cosine", "constant", "constant_with_warmup", "polynomial")

# Babaali and Shayaninasab, arXiv 2402.07327: epochs, batches and learning rates of the chosen
# encoders.
PAPER: Mapping[str, Mapping[str, float]] = {
    "text": {"epochs": 20, "batch_size": 32, "eval_batch_size": 32, "learning_rate": 2e-5},
    "audio": {"epochs": 15, "batch_size": 8, "eval_batch_size": 4, "learning_rate": 3e-5},
    "video": {"epochs": 10, "batch_size": 8, "eval_batch_size": 8, "learning_rate": 5e-5},
}
# At least the first and below the second: what is a mistake in any training.
RANGES: Mapping[str, tuple[int, float]] = {
    "epochs": (1, 1e6),
    "batch_size": (1, 1e6),
    "eval_batch_size": (1, 1e6),
    "gradient_accumulation": (1, 1e6),
    "learning_rate": (0, 10),
    "weight_decay": (0, 10),
    "label_smoothing": (0, 1),
    "dropout": (0, 1),
    "warmup_ratio": (0, 1),
    "early_stopping": (0, 1e6),
    "max_grad_norm": (0, 1e6),
    "seed": (0, 2**32),
}
# Transformers' and PyTorch's defaults, named here because a result depends on them; the paper says
# nothing of them.
OPTIMIZER = "AdamW, betas 0.9 and 0.999, eps 1e-8, no decay on biases and norms"


class TrainingError(ProjectError, RuntimeError):
    """A training cannot go on.

    Its loss is no number any more, or a step does not fit into the device's memory.
    """


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How an encoder is fine-tuned; everything here except the seed goes into the fingerprint.

    Attributes:
        epochs: Passes over the training rows.
        batch_size: Utterances per batch, over all devices together, so that a result does not
            depend on how many there are.
        eval_batch_size: Utterances per batch and device when validating; changes no number.
        learning_rate: Peak of the schedule.
        weight_decay: 0.01 in the paper.
        scheduler: Transformers' name; ``linear`` is its default and the paper names none.
        warmup_ratio: Part of all steps, 0 to 1; 0 is Transformers' default.
        gradient_accumulation: Batches per step of the optimiser; the step takes the mean of their
            losses. With 2, half the batch size needs half the memory and gives the same steps
            (without class weights, and but for an epoch's last).
        max_grad_norm: Gradients longer than this are shortened to it; 1 is Transformers' default.
        seed: Of the head, the order of rows, dropout and augmentation.
        rule: Which rows choose the epoch, see
            :data:`embeddings_store.folds.validation_rules.SELECTION_RULES`.
        freeze: ``auto`` freezes the convolutions of speech encoders that read samples, as
            Transformers' recipe for audio classification does, and nothing else; ``none`` freezes
            nothing; a number freezes what lies before the layers and that many layers.
        label_smoothing: 0 to below 1.
        class_weights: Weigh the loss by the inverse frequency of the classes in training, N / (C *
            n_c); PyTorch then takes the weighted mean over a batch.
        balanced_sampling: Draw as many rows per epoch as there are, with repetition, so that each
            class is equally likely.
        dropout: Between vector and head, in training only.
        early_stopping: Stop after this many epochs without a better one; 0 never stops.
        augment: Names of augmentations, see :mod:`extract.finetuning.augmentation`.
        precision: ``auto`` is bf16 where the GPU has it, else float32.
        weighted_layers: Learn a weighted sum over all layers instead of taking the last.
    """

    epochs: int
    batch_size: int
    eval_batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    scheduler: str = "linear"
    warmup_ratio: float = 0.0
    gradient_accumulation: int = 1
    max_grad_norm: float = 1.0
    seed: int = 0
    rule: str = VALID_SESSION
    freeze: str = "auto"
    label_smoothing: float = 0.0
    class_weights: bool = False
    balanced_sampling: bool = False
    dropout: float = 0.0
    early_stopping: int = 0
    augment: tuple[str, ...] = ()
    precision: str = "auto"
    weighted_layers: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with.

        Raises:
            UsageError: A setting is out of its range, or does not go with another.
        """
        if self.rule not in SELECTION_RULES:
            unknown_name("selection rule", self.rule, list(SELECTION_RULES))
        if self.scheduler not in SCHEDULERS:
            unknown_name("scheduler", self.scheduler, SCHEDULERS)
        if self.precision not in PRECISIONS:
            unknown_name("precision", self.precision, PRECISIONS)
        if self.freeze not in {"auto", "none"} and not self.freeze.isdecimal():
            raise UsageError(
                f"--freeze-layers {self.freeze!r}: expected auto, none, or how many layers"
            )
        for name, (least, below) in RANGES.items():
            value = getattr(self, name)
            if not least <= value < below:
                raise UsageError(
                    f"--{name.replace('_', '-')} {value}: expected at least {least} and below "
                    f"{below:g}"
                )
        if self.early_stopping and self.rule == FIXED_EPOCHS:
            raise UsageError(
                "--early-stopping needs rows to look at; with --rule fixed-epochs there are none"
            )

    def steps(self, rows: int) -> int:
        """Steps of the optimiser that a whole training on so many rows takes.

        >>> given = {"epochs": 3, "batch_size": 4, "gradient_accumulation": 2}
        >>> TrainingSettings.for_modality("text", **given).steps(9)
        6
        """
        batches = -(-rows // self.batch_size)
        return -(-batches // self.gradient_accumulation) * self.epochs

    @classmethod
    def for_modality(cls, modality: str, **given: Any) -> TrainingSettings:
        """Fill in the paper's values for whatever is not given (``None``).

        >>> TrainingSettings.for_modality("audio", epochs=None, learning_rate=1e-4).epochs
        15
        """
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = dict(PAPER[modality])
        for name, value in given.items():
            if name in known and value is not None:
                values[name] = value
        return cls(**values)

    def fingerprinted(self) -> dict[str, object]:
        """Return what changes a vector.

        All but the seed, which has a place of its own in the store, and the size of evaluation.
        """
        settings: dict[str, object] = {}
        for name, value in asdict(self).items():
            if name not in {"seed", "eval_batch_size"}:
                # JSON knows no tuples, and what is read back must be what was written.
                settings[f"train_{name}"] = list(value) if isinstance(value, tuple) else value
        return settings
