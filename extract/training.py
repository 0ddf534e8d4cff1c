"""The settings of a fine-tuning, with the paper's values per modality as defaults and the source of every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from embeddings_store.errors import UsageError, unknown_name

RULES = {
    "valid-session": "the next block of sessions or speakers validates; the best epoch by its accuracy is kept",
    "fixed-epochs": "nothing validates and training has all of it; the last epoch is kept",
    "test": "the best epoch is chosen on the test rows, as several published repositories do; an upper bound, not a result",
}
PLAN_VALID = {"valid-session": "next", "fixed-epochs": "none", "test": "none"}
SCHEDULERS = ("linear", "cosine", "constant", "constant_with_warmup", "polynomial")

# Babaali and Shayaninasab, arXiv 2402.07327: epochs, batches and learning rates of the chosen encoders.
PAPER: Mapping[str, Mapping[str, float]] = {
    "text": {"epochs": 20, "batch_size": 32, "eval_batch_size": 32, "learning_rate": 2e-5},
    "audio": {"epochs": 15, "batch_size": 8, "eval_batch_size": 4, "learning_rate": 3e-5},
    "video": {"epochs": 10, "batch_size": 8, "eval_batch_size": 8, "learning_rate": 5e-5},
}


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How an encoder is fine-tuned; everything here except the seed goes into the fingerprint.

    Attributes:
        epochs: Passes over the training rows.
        batch_size: Utterances per step and device.
        eval_batch_size: Utterances per step when validating; changes no number.
        learning_rate: Peak of the schedule.
        weight_decay: 0.01 in the paper.
        scheduler: Transformers' name; ``linear`` is its default and the paper names none.
        warmup_ratio: Part of all steps, 0 to 1; 0 is Transformers' default.
        gradient_accumulation: Batches per step of the optimiser.
        seed: Of the head, the order of rows, dropout and augmentation.
        rule: Which rows choose the epoch, see :data:`RULES`.
        freeze: ``auto`` freezes the convolutions of speech encoders that read samples, as Transformers' recipe for audio
            classification does, and nothing else; ``none`` freezes nothing; a number freezes what lies before the layers
            and that many layers.
        label_smoothing: 0 to below 1.
        class_weights: Weigh the loss by the inverse frequency of the classes in training.
        balanced_sampling: Draw rows so that classes are equally frequent.
        dropout: Between vector and head, in training only.
        early_stopping: Stop after this many epochs without a better one; 0 never stops.
        augment: Names of augmentations, see :mod:`extract.augment`.
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
    seed: int = 0
    rule: str = "valid-session"
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
        """Refuse what cannot be trained with."""
        if self.rule not in RULES:
            unknown_name("selection rule", self.rule, list(RULES))
        if self.scheduler not in SCHEDULERS:
            unknown_name("scheduler", self.scheduler, SCHEDULERS)
        if self.precision not in {"auto", "float32", "bf16"}:
            unknown_name("precision", self.precision, ["auto", "float32", "bf16"])
        if self.freeze not in {"auto", "none"} and not self.freeze.isdigit():
            raise UsageError(f"--freeze-layers {self.freeze!r}: expected auto, none, or how many layers")
        for name, least, below in (("epochs", 1, 1e6), ("batch_size", 1, 1e6), ("eval_batch_size", 1, 1e6),
                                   ("gradient_accumulation", 1, 1e6), ("learning_rate", 0, 10), ("weight_decay", 0, 10),
                                   ("label_smoothing", 0, 1), ("dropout", 0, 1), ("warmup_ratio", 0, 1),
                                   ("early_stopping", 0, 1e6)):
            value = getattr(self, name)
            if not least <= value < below:
                raise UsageError(f"--{name.replace('_', '-')} {value}: expected at least {least} and below {below:g}")
        if self.early_stopping and self.rule == "fixed-epochs":
            raise UsageError("--early-stopping needs rows to look at; with --rule fixed-epochs there are none")

    @classmethod
    def for_modality(cls, modality: str, **given: Any) -> TrainingSettings:
        """Fill in the paper's values for whatever is not given (``None``).

        >>> TrainingSettings.for_modality("audio", epochs=None, learning_rate=1e-4).epochs
        15
        """
        known = {f.name for f in fields(cls)}
        chosen = {name: value for name, value in given.items() if name in known and value is not None}
        return cls(**{**PAPER[modality], **chosen})

    def fingerprinted(self) -> dict[str, object]:
        """What changes a vector: all but the seed, which has a place of its own in the store, and the size of evaluation."""
        rest = {k: v for k, v in asdict(self).items() if k not in {"seed", "eval_batch_size"}}
        return {f"train_{k}": list(v) if isinstance(v, tuple) else v for k, v in rest.items()}
