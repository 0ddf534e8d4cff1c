"""A fine-tuned model on disk.

``encoder/`` loads like any folder, head and history lie beside it, the marker comes last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from embeddings_store.errors import ModelLoadError
from embeddings_store.reading import reading
from extract.finetuning.checkpoints import mark_complete, read_marker, remove
from extract.finetuning.classifier import Classifier

if TYPE_CHECKING:
    from extract.encoders.base import ModelEncoder

TRAIN_AGAIN = "remove the folder and train again"


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What a fine-tuning came to.

    Attributes:
        classifier: With the weights of the kept epoch, in evaluation mode.
        history: One row per step or validation, in their order: ``step, epoch, loss, learning_rate,
            valid_loss, valid_accuracy``. The loss is that of the step, in training mode; the
            accuracy that of the epoch, from 0 to 1.
        best_epoch: The kept epoch, counted from 1.
        record: What one needs to know to repeat the training besides its settings: rows, steps,
            precision, processes.
    """

    classifier: Classifier
    history: pd.DataFrame
    best_epoch: int
    record: Mapping[str, object]


def save_model(outcome: TrainingOutcome, folder: Path, about: Mapping[str, object]) -> None:
    """Write the tuned encoder, its head and its history, each file whole, the marker last.

    ``head.safetensors`` holds ``weight`` (C, D), ``bias`` (C,) and, where layers are weighted,
    ``layer_weights`` (layers,) before the softmax.

    Args:
        outcome: The trained model and its history.
        folder: Where it goes; what is there is removed.
        about: What the marker says of it besides.
    """
    remove(folder)
    (folder / "encoder").mkdir(parents=True)
    outcome.classifier.encoder.save(folder / "encoder")
    head = {}
    for name, tensor in _head(outcome.classifier).items():
        head[name] = tensor.detach().float().cpu().contiguous()
    save_file(head, folder / "head.safetensors")
    outcome.history.to_csv(folder / "history.csv", index=False)
    record = dict(outcome.record)
    mark_complete(folder, {**about, "best_epoch": outcome.best_epoch, "record": record})


def load_model(folder: Path, encoder: ModelEncoder, classes: int) -> TrainingOutcome:
    """Read what :func:`save_model` wrote.

    Args:
        folder: Where it was written.
        encoder: What was loaded from its ``encoder/`` folder.
        classes: How many the head tells apart.

    Raises:
        ModelLoadError: The folder has no valid marker, or the head is of another shape or kind.
    """
    about = read_marker(folder)
    if about is None:
        raise ModelLoadError(
            f"{folder}: is not a finished model (no complete.json, or a file is not what it "
            f"says); {TRAIN_AGAIN}"
        )
    classifier = Classifier(encoder, classes)
    with reading(folder / "head.safetensors", "a head", TRAIN_AGAIN, ModelLoadError):
        saved = load_file(folder / "head.safetensors")
    with reading(folder / "history.csv", "a history", TRAIN_AGAIN, ModelLoadError):
        history = pd.read_csv(folder / "history.csv")
    shapes = {name: tuple(tensor.shape) for name, tensor in saved.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in _head(classifier).items()}
    if shapes != expected:
        raise ModelLoadError(
            f"{folder / 'head.safetensors'}: holds {_shown(shapes)}, expected {_shown(expected)}; "
            "it was trained for other classes or layers"
        )
    with torch.no_grad():
        for name, tensor in _head(classifier).items():
            tensor.copy_(saved[name])
    return TrainingOutcome(
        classifier.to(encoder.device).eval(),
        history,
        int(about["best_epoch"]),
        about["record"],
    )


def _head(classifier: Classifier) -> dict[str, torch.Tensor]:
    """Return every tensor that is not the encoder's."""
    tensors: dict[str, torch.Tensor] = {
        "weight": classifier.head.weight,
        "bias": classifier.head.bias,
    }
    if classifier.layer_weights is not None:
        tensors["layer_weights"] = classifier.layer_weights
    return tensors


def _shown(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in sorted(shapes.items()))
