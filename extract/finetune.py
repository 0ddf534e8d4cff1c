"""Fine-tune an encoder with one linear layer for one fold, killable at any moment, with Transformers' Trainer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from embeddings_store.errors import ModelLoadError
from extract.checkpoints import discard_unfinished, is_complete, latest_complete, mark_complete
from extract.classifier import Classifier
from extract.training import TrainingSettings
from extract.training_data import EpochOrder, Rows, collate

if TYPE_CHECKING:
    from extract.encoders.base import Encoder

HISTORY_COLUMNS = ("step", "epoch", "loss", "learning_rate", "valid_loss", "valid_accuracy")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fine-tuning came to.

    Attributes:
        classifier: With the weights of the kept epoch.
        history: One row per logged step or epoch, see :data:`HISTORY_COLUMNS`.
        best_epoch: The kept epoch, counted from 1.
        resumed_from_step: 0 for a run that started afresh.
    """

    classifier: Classifier
    history: pd.DataFrame
    best_epoch: float
    resumed_from_step: int


class _Marking(TrainerCallback):
    """Marks each checkpoint once it is written whole, and reports finished steps."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._advance(1)


class _OrderedTrainer(Trainer):
    """The Trainer with an order of rows that a resumed run repeats exactly."""

    order: EpochOrder

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochOrder:
        return self.order


def finetune(encoder: Encoder, classes: int, settings: TrainingSettings, train: Rows, choose: Rows | None, folder: Path,
             advance: Callable[[int], None]) -> Outcome:
    """Train, or go on from the last whole checkpoint in ``folder``.

    Args:
        encoder: A loaded encoder; its weights change in place.
        classes: How many.
        settings: How.
        train: Rows to fit.
        choose: Rows whose accuracy chooses the epoch; none keeps the last one.
        folder: Where checkpoints go; :func:`save_model` and the caller remove it when they are not needed any more.
        advance: Called with the number of steps just done.
    """
    weights = _inverse_frequency(train.labels, classes) if settings.class_weights else None
    classifier = Classifier(encoder, classes, dropout=settings.dropout, label_smoothing=settings.label_smoothing,
                            class_weights=weights, seed=settings.seed)
    classifier.freeze(settings.freeze)
    trainer = _OrderedTrainer(
        model=classifier, args=_arguments(settings, folder, encoder.device, choosing=choose is not None), data_collator=collate,
        train_dataset=train, eval_dataset=choose, compute_metrics=_accuracy, callbacks=_callbacks(settings, advance))
    trainer.remove_callback(PrinterCallback)  # It prints every step to the standard output.
    trainer.order = EpochOrder(train, settings.seed, balanced=settings.balanced_sampling)
    encoder.device = trainer.args.device
    if trainer.is_world_process_zero():
        discard_unfinished(folder)
    trainer.accelerator.wait_for_everyone()
    start = latest_complete(folder)
    resumed_from_step = int(start.name.rpartition("-")[2]) if start else 0
    advance(resumed_from_step)
    trainer.train(resume_from_checkpoint=str(start) if start else None)
    classifier.eval()
    history = _history(trainer.state)
    return Outcome(classifier, history, _best_epoch(trainer.state, history), resumed_from_step)


def save_model(outcome: Outcome, folder: Path, about: Mapping[str, object]) -> None:
    """Write the tuned encoder, its head and its history, each file whole, the marker last.

    ``encoder/`` can be loaded like any local folder; ``head.safetensors`` holds ``weight`` (C, D), ``bias`` (C) and, where
    layers are weighted, ``layer_weights`` before the softmax.
    """
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "encoder").mkdir(parents=True)
    classifier = outcome.classifier
    classifier.encoder.save(folder / "encoder")
    tensors = {"weight": classifier.head.weight, "bias": classifier.head.bias}
    if classifier.layer_weights is not None:
        tensors["layer_weights"] = classifier.layer_weights
    save_file({name: t.detach().float().cpu().contiguous() for name, t in tensors.items()}, folder / "head.safetensors")
    outcome.history.to_csv(folder / "history.csv", index=False)
    mark_complete(folder, {**about, "best_epoch": outcome.best_epoch})


def load_model(folder: Path, encoder: Encoder, classes: int) -> Outcome:
    """Read what :func:`save_model` wrote; ``encoder`` was loaded from its ``encoder/`` folder.

    Raises:
        ModelLoadError: The folder has no valid marker, or the head is of another shape.
    """
    if not is_complete(folder):
        raise ModelLoadError(f"{folder}: is not a finished model (no valid complete.json); remove it and train again")
    classifier, tensors = Classifier(encoder, classes), load_file(folder / "head.safetensors")
    if tensors["weight"].shape != classifier.head.weight.shape:
        raise ModelLoadError(f"{folder}: its head is {tuple(tensors['weight'].shape)}, expected "
                             f"{tuple(classifier.head.weight.shape)}; it was trained for other classes")
    with torch.no_grad():
        classifier.head.weight.copy_(tensors["weight"])
        classifier.head.bias.copy_(tensors["bias"])
        if "layer_weights" in tensors:
            classifier.layer_weights = torch.nn.Parameter(tensors["layer_weights"])
    classifier.head.to(encoder.device)
    about = json.loads((folder / "complete.json").read_text(encoding="utf-8"))
    return Outcome(classifier.eval(), pd.read_csv(folder / "history.csv"), float(about["best_epoch"]), 0)


def _arguments(settings: TrainingSettings, folder: Path, device: torch.device, *, choosing: bool) -> TrainingArguments:
    able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and able)
    return TrainingArguments(
        output_dir=str(folder), num_train_epochs=settings.epochs, per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.eval_batch_size, learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay, lr_scheduler_type=settings.scheduler, warmup_steps=settings.warmup_ratio,
        gradient_accumulation_steps=settings.gradient_accumulation, seed=settings.seed, data_seed=settings.seed, bf16=bf16,
        use_cpu=device.type == "cpu", eval_strategy="epoch" if choosing else "no", save_strategy="epoch", save_total_limit=2,
        load_best_model_at_end=choosing, metric_for_best_model="accuracy" if choosing else None, greater_is_better=True,
        logging_strategy="steps", logging_steps=1, logging_first_step=True, report_to=[], disable_tqdm=True, log_level="error",
        remove_unused_columns=False, dataloader_pin_memory=False, label_names=["labels"])


def _callbacks(settings: TrainingSettings, advance: Callable[[int], None]) -> list[TrainerCallback]:
    found: list[TrainerCallback] = [_Marking(advance)]
    if settings.early_stopping:
        found.append(EarlyStoppingCallback(settings.early_stopping))
    return found


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float(np.mean(np.asarray(prediction.predictions).argmax(1) == prediction.label_ids))}


def _inverse_frequency(labels: NDArray[np.int64], classes: int) -> list[float]:
    """N / (C * n_c), as scikit-learn's ``balanced``."""
    counts = np.bincount(labels, minlength=classes)
    return [float(len(labels) / (classes * max(1, c))) for c in counts]


def _history(state: TrainerState) -> pd.DataFrame:
    names = {"loss": "loss", "learning_rate": "learning_rate", "eval_loss": "valid_loss", "eval_accuracy": "valid_accuracy"}
    rows = [{"step": entry["step"], "epoch": entry["epoch"], **{new: entry[old] for old, new in names.items() if old in entry}}
            for entry in state.log_history if "loss" in entry or "eval_loss" in entry]
    return pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))


def _best_epoch(state: TrainerState, history: pd.DataFrame) -> float:
    scored = history.dropna(subset=["valid_accuracy"])
    if not len(scored):
        return float(state.epoch or 0)
    return float(scored.loc[scored["valid_accuracy"].idxmax(), "epoch"])
