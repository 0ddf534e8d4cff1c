"""Fine-tune an encoder with one linear layer for one fold, with Transformers' Trainer.

It may be killed at any moment: the next run ends with the same weights.
"""

from __future__ import annotations

import gc
import math
import pickle
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from transformers import (
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import logging

from embeddings_store.atomic import no_room
from embeddings_store.errors import ModelLoadError, StoreFullError, UsageError
from embeddings_store.reading import reading, reason_of
from extract.finetuning import distributed
from extract.finetuning.checkpoints import Checkpoint, keep_only, mark_complete, resume_point
from extract.finetuning.classifier import Classifier
from extract.finetuning.dataset import EpochOrder, TrainingRows, collate
from extract.finetuning.model_files import TrainingOutcome
from extract.finetuning.settings import OPTIMIZER, TrainingError, TrainingSettings

if TYPE_CHECKING:
    from extract.encoders.base import ModelEncoder

REMOVE = "remove the folder and run the same command again"
HISTORY = {
    "step": "step",
    "epoch": "epoch",
    "loss": "loss",
    "learning_rate": "learning_rate",
    "eval_loss": "valid_loss",
    "eval_accuracy": "valid_accuracy",
}
Log = Sequence[Mapping[str, float]]


class _Conductor(TrainerCallback):
    """Makes an epoch a function of seed and epoch alone, and marks checkpoints that are whole.

    It also stops a training that early stopping ends, or whose loss is no number any more.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        order: EpochOrder,
        folder: Path,
        advance: Callable[[int], None],
        record: Mapping[str, object],
    ) -> None:
        self._settings = settings
        self._order = order
        self._folder = folder
        self._advance = advance
        self._record = record

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        epoch = round(state.epoch or 0)
        _seed_everything(self._settings.seed, epoch, distributed.rank())
        self._order.set_epoch(epoch)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._advance(1)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        loss = state.log_history[-1].get("loss", 0.0)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss of step {state.global_step} is {loss}; lower --learning-rate (it is "
                f"{self._settings.learning_rate:g}), warm up with --warmup-ratio 0.1, or use "
                "--precision float32"
            )

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if stopped_early(state.log_history, self._settings.early_stopping):
            control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        distributed.meet()  # Each process writes a file of its own into the checkpoint.
        if state.is_world_process_zero:
            best = best_step(state.log_history) or state.global_step
            mark_complete(
                self._folder / f"checkpoint-{state.global_step}",
                {"rows": self._order.digest, "best": best, "record": dict(self._record)},
            )
            keep_only(self._folder, {best, state.global_step})


class _OrderedTrainer(Trainer):
    """The Trainer with an order of rows that a resumed run repeats exactly."""

    order: EpochOrder

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochOrder:
        return self.order

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Do nothing: each epoch seeds its random numbers itself."""


def finetune(
    encoder: ModelEncoder,
    classes: int,
    settings: TrainingSettings,
    train: TrainingRows,
    choose: TrainingRows | None,
    folder: Path,
    advance: Callable[[int], None],
    start: Checkpoint | None = None,
) -> TrainingOutcome:
    """Train, or go on from a checkpoint.

    Args:
        encoder: A loaded encoder; its weights change in place.
        classes: How many.
        settings: How.
        train: Rows to fit, those that cannot be read left out.
        choose: Rows whose accuracy chooses the epoch; none keeps the last one.
        folder: Where checkpoints go; the caller removes it when they are not needed any more.
        advance: Called with the number of steps just done.
        start: What :func:`extract.finetuning.checkpoints.resume_point` found in ``folder``; one
            that was made from other rows is left.

    Raises:
        TrainingError: The loss is no number any more, or a step does not fit into the device's
            memory.
        StoreFullError: The disk is full; finished epochs are safe.
        UsageError: A setting does not fit the encoder, the device or the number of processes.
    """
    weights = inverse_frequency(train.labels, classes) if settings.class_weights else None
    classifier = Classifier(
        encoder,
        classes,
        dropout=settings.dropout,
        label_smoothing=settings.label_smoothing,
        class_weights=weights,
        seed=settings.seed,
    )
    classifier.freeze(settings.freeze)
    if start and start.about.get("rows") != train.digest:
        start = None
    if distributed.rank() == 0:
        keep_only(folder, {start.step, start.about["best"]} if start else set())
    order = EpochOrder(train, settings.seed, balanced=settings.balanced_sampling)
    verbosity = logging.get_verbosity()
    try:
        trainer = _trainer(classifier, settings, train, choose, folder)
        trainer.order = order
        record = _record(trainer.args, settings, train, choose, start)
        trainer.add_callback(_Conductor(settings, order, folder, advance, record))
        advance(start.step if start else 0)
        with _explained(folder, settings), _loading(start):
            trainer.train(resume_from_checkpoint=str(start.path) if start else None)
    finally:
        logging.set_verbosity(verbosity)
    # Mixed precision wraps the model's forward; what is dumped must not know of it.
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    log = trainer.state.log_history
    del trainer
    # The optimiser's state is as large as two models, and Trainer and Accelerator hold each other.
    gc.collect()
    torch.cuda.empty_cache()
    outcome = _outcome(classifier, log, folder, record)
    distributed.meet()  # The writer removes the checkpoints next.
    return outcome


def finished_log(start: Checkpoint | None, settings: TrainingSettings) -> Log | None:
    """Return the log of a training that has nothing left to do after this checkpoint, else none."""
    if start is None:
        return None
    place = start.path / "trainer_state.json"
    with reading(place, "the state of a training", REMOVE, ModelLoadError):
        state = TrainerState.load_from_json(str(place))
    log: Log = state.log_history
    every_epoch = round(state.epoch or 0) >= settings.epochs
    if every_epoch or stopped_early(log, settings.early_stopping):
        return log
    return None


def restore(
    encoder: ModelEncoder, classes: int, log: Log, folder: Path, start: Checkpoint
) -> TrainingOutcome:
    """Return the outcome of a training that was finished, though not saved, when it was killed.

    Args:
        encoder: The encoder as it was before; its weights are replaced.
        classes: How many.
        log: What :func:`finished_log` returned.
        folder: Where the checkpoints are.
        start: The last of them.
    """
    return _outcome(Classifier(encoder, classes), log, folder, start.about["record"])


def stopped_early(log: Log, patience: int) -> bool:
    """Say whether so many epochs have passed since the best one; never for 0.

    >>> log = [{"eval_accuracy": a, "step": 5 * i} for i, a in enumerate((0.4, 0.5, 0.5, 0.4))]
    >>> stopped_early(log, 2), stopped_early(log, 3), stopped_early(log, 0)
    (True, False, False)
    """
    accuracies = [entry["eval_accuracy"] for entry in log if "eval_accuracy" in entry]
    if not patience or not accuracies:
        return False
    since_best = len(accuracies) - 1 - int(np.argmax(accuracies))
    return since_best >= patience


def best_step(log: Log) -> int | None:
    """Return the step after the first epoch of the best accuracy; none where nothing was validated.

    >>> accuracies = {5: 0.4, 10: 0.5, 15: 0.5}
    >>> best_step([{"eval_accuracy": a, "step": step} for step, a in accuracies.items()])
    10
    """
    validations = [entry for entry in log if "eval_accuracy" in entry]
    if not validations:
        return None
    return int(max(validations, key=lambda entry: entry["eval_accuracy"])["step"])


def inverse_frequency(labels: NDArray[np.int64], classes: int) -> list[float]:
    """Return N / (C * n_c) for each class (C,) of labels (N,), as scikit-learn's ``balanced``.

    >>> inverse_frequency(np.array([0, 0, 0, 1]), 2)
    [0.6666666666666666, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    return [float(len(labels) / (classes * max(1, c))) for c in counts]


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Say whether training runs in bf16; ``auto`` means where a GPU computes in it.

    Raises:
        UsageError: It is asked for and the GPU cannot.
    """
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and device.type != "cpu" and not able:
        raise UsageError(
            f"--precision bf16: the device {device} cannot compute in it; leave it out"
        )
    return precision == "bf16" or (precision == "auto" and able)


def _check_placement(settings: TrainingSettings, device: torch.device, processes: int) -> None:
    """Refuse a batch or a GPU that the processes of this training cannot take.

    Raises:
        UsageError: With what to do instead.
    """
    if settings.batch_size % processes:
        raise UsageError(
            f"--batch-size {settings.batch_size} cannot be divided among {processes} processes; "
            "choose a multiple"
        )
    if processes == 1 and device.type == "cuda" and device.index:
        raise UsageError(
            f"--device {device}: training takes the first GPU that it sees; set "
            f"CUDA_VISIBLE_DEVICES={device.index} and leave --device out"
        )


def _trainer(
    classifier: Classifier,
    settings: TrainingSettings,
    train: TrainingRows,
    choose: TrainingRows | None,
    folder: Path,
) -> _OrderedTrainer:
    device, processes = classifier.encoder.device, distributed.size()
    _check_placement(settings, device, processes)
    steps = settings.steps(len(train))
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size // processes,
        per_device_eval_batch_size=settings.eval_batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=math.ceil(settings.warmup_ratio * steps),
        gradient_accumulation_steps=settings.gradient_accumulation,
        max_grad_norm=settings.max_grad_norm,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=uses_bf16(settings.precision, device),
        use_cpu=device.type == "cpu",
        ddp_timeout=int(distributed.PATIENCE.total_seconds()),
        eval_strategy="epoch" if choose is not None else "no",
        # Old checkpoints are removed by the conductor: the Trainer does it before the new one is
        # known to be whole.
        save_strategy="epoch",
        save_total_limit=None,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
        log_level_replica="error",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        label_names=["labels"],
    )
    # Else several visible GPUs become torch's DataParallel, which cannot split our batches.
    arguments._n_gpu = min(1, arguments.n_gpu)
    # Else the environment of accelerate launch decides, and the record of the run would say
    # something else.
    arguments.mixed_precision = "bf16" if arguments.bf16 else "no"
    trainer = _OrderedTrainer(
        model=classifier,
        args=arguments,
        data_collator=collate,
        train_dataset=train,
        eval_dataset=choose,
        compute_metrics=_accuracy,
    )
    trainer.remove_callback(PrinterCallback)  # It prints every step to the standard output.
    classifier.encoder.device = arguments.device
    return trainer


def _record(
    arguments: TrainingArguments,
    settings: TrainingSettings,
    train: TrainingRows,
    choose: TrainingRows | None,
    start: Checkpoint | None,
) -> dict[str, object]:
    """Say what the settings leave open: what was trained on, and on what."""
    device = arguments.device
    before = start.about["record"]["resumed_from"] if start else []
    return {
        "fit_rows": len(train),
        "choose_rows": len(choose) if choose is not None else 0,
        "steps": settings.steps(len(train)),
        "optimizer": OPTIMIZER,
        "precision": "bf16" if arguments.bf16 else "float32",
        "processes": distributed.size(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "accelerate": metadata.version("accelerate"),
        "resumed_from": [*before, start.step] if start else before,
    }


def _outcome(
    classifier: Classifier, log: Log, folder: Path, record: Mapping[str, object]
) -> TrainingOutcome:
    """Load the weights of the kept epoch, every key of them."""
    rows = []
    for entry in log:
        if "loss" in entry or "eval_loss" in entry:
            rows.append({new: entry[old] for old, new in HISTORY.items() if old in entry})
    history = pd.DataFrame(rows, columns=list(HISTORY.values()))
    step = best_step(log) or int(history["step"].iloc[-1])
    weights = folder / f"checkpoint-{step}" / "model.safetensors"
    with reading(weights, "the weights of a checkpoint", REMOVE, ModelLoadError):
        classifier.load_state_dict(load_file(weights))
    epoch = history.loc[history["step"] == step, "epoch"].iloc[-1]
    classifier.to(classifier.encoder.device).eval()
    return TrainingOutcome(classifier, history, round(epoch), record)


@contextmanager
def _loading(start: Checkpoint | None) -> Iterator[None]:
    """Say which checkpoint holds what is no tensors, and so was not loaded.

    Transformers loads the optimiser and the random state of a checkpoint as tensors alone.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        reason = reason_of(error)
        place = start.path if start else "the checkpoint"
        raise ModelLoadError(
            f"{place}: holds what is no tensors, and is never loaded ({reason}); {REMOVE}"
        ) from error


@contextmanager
def _explained(folder: Path, settings: TrainingSettings) -> Iterator[None]:
    """Say what to do about a full disk or too small a device."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        half = max(1, settings.batch_size // 2)
        raise TrainingError(
            f"a batch of {settings.batch_size} does not fit into the device's memory; "
            f"--batch-size {half} --gradient-accumulation {2 * settings.gradient_accumulation} "
            "needs half of it and takes the same steps, and --freeze-layers needs less"
        ) from error
    except Exception as error:
        room = no_room(error)
        if room is None:
            raise
        what, advice = room
        resume_point(folder)  # Removes the checkpoint that did not fit.
        raise StoreFullError(
            f"{folder}: {what}; finished epochs are safe. {advice} and run the same command "
            "again, it goes on from there"
        ) from error


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    answers = np.asarray(prediction.predictions).argmax(1)
    return {"accuracy": float(np.mean(answers == prediction.label_ids))}


def _seed_everything(seed: int, epoch: int, rank: int) -> None:
    """Seed what dropout, layer drop and SpecAugment draw from."""
    words = np.random.SeedSequence([seed, epoch, rank]).generate_state(3)
    torch.manual_seed(int(words[0]))
    np.random.seed(int(words[1]))
    random.seed(int(words[2]))
