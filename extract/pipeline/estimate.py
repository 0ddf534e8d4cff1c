"""What a job would cost, from a few rows that are really computed; nothing is written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.finetuning.checkpoints import is_complete, step_of
from extract.pipeline.inputs import readable_items, reader_for

if TYPE_CHECKING:
    import torch

    from extract.encoders.base import ModelEncoder
    from extract.pipeline.encode import VectorMaker
    from extract.pipeline.finetuning_prepare import PreparedFinetuning
    from extract.pipeline.frozen import PreparedExtraction

# A row that takes this long on a processor is all that is measured: the first one is slower by
# milliseconds there, and a dry run is no run. On an accelerator the first one says nothing.
LONG_ROW_S = 0.5
# Of each weight that learns there are the weight, its gradient and AdamW's two moments, in float32.
LEARNING_BYTES, FROZEN_BYTES = 16, 4
# Beside the weights a checkpoint holds AdamW's two moments of each; three lie there while one is
# written: it, the best, the last.
CHECKPOINT_COPIES, CHECKPOINTS = 3, 3


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured on a few rows; all 0 where none of them can be read.

    Attributes:
        training_s: Seconds per row of a training step.
        encoding_s: Seconds per row of encoding one at a time.
        row_bytes: Bytes per row that a training step keeps for its way back.
        rows: Over how many rows.
    """

    training_s: float = 0.0
    encoding_s: float = 0.0
    row_bytes: float = 0.0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class _Remaining:
    """What earlier runs of a fine-tuning have left to do.

    Attributes:
        steps: Steps of the optimiser.
        is_trained: Whether the model is finished, and only its vectors are to be made.
        found: What is there, for the sentence; empty for nothing.
    """

    steps: int
    is_trained: bool
    found: str


def frozen_lines(prepared: PreparedExtraction) -> list[str]:
    """Say what of a frozen job exists, and what the rest would cost."""
    dump, encoder, maker = prepared.dump, prepared.encoder, prepared.maker
    waiting = dump.unwritten()
    lines = []
    for ref in dump.refs:
        state = "would be made" if ref in waiting else "exists"
        lines.append(f"{dump.path(ref)}: {state}")
    if not waiting:
        return lines
    finished = len(dump.shards().finished())
    rest = np.flatnonzero(dump.present)[finished:].tolist()
    # Without a cache: a dry run writes nothing.
    read = reader_for(encoder, dump.manifest, column=dump.modality)
    items = readable_items(dump.manifest, read, rest)
    progress = f"{finished} rows finished, {len(rest)} to make"
    if not items:
        return [*lines, progress]
    per_row_s, measured = _encoding_s(maker, items, encoder.device)
    size = len(dump.manifest) * maker.dim * 4 * len(waiting)
    return [
        *lines,
        f"{progress}: about {_duration(per_row_s * len(rest))} on {encoder.device} "
        f"({_rate(per_row_s)}, one at a time, over {_rows(measured)}), "
        f"{size / 1e6:.1f} MB in {len(waiting)} files",
    ]


def finetuning_lines(prepared: PreparedFinetuning, speeds: dict[str, Speed]) -> list[str]:
    """Say what of a fine-tuning exists, and what the rest would cost in time and on the disk.

    Args:
        prepared: The job.
        speeds: What was measured for other folds; what is measured here is added.
    """
    dump, encoder = prepared.dump, prepared.encoder
    path = dump.path(dump.refs[0])
    if not prepared.pending:
        return [f"{path}: exists"]
    remaining = _remaining(prepared)
    first = (
        f"{path}: would be made; {remaining.found}{remaining.steps} of {prepared.steps} steps and "
        f"{int(dump.present.sum())} rows to do"
    )
    speed = speeds.get(encoder.weights_digest) or _speed(prepared)
    speeds[encoder.weights_digest] = speed
    if not speed.rows:
        return [first]
    return [
        first,
        _cost_line(prepared, remaining, speed),
        _memory_line(encoder, prepared.job.settings.batch_size, speed.row_bytes),
    ]


def _remaining(prepared: PreparedFinetuning) -> _Remaining:
    if is_complete(prepared.model_folder) and not prepared.job.target.overwrite:
        return _Remaining(0, is_trained=True, found="trained, not dumped; ")
    saved: list[Path] = sorted(prepared.checkpoints.glob("checkpoint-*"), key=step_of)
    if not saved:
        return _Remaining(prepared.steps, is_trained=False, found="")
    done = step_of(saved[-1])
    found = f"a checkpoint of step {done} is there; " if done else ""
    return _Remaining(prepared.steps - done, is_trained=False, found=found)


def _cost_line(prepared: PreparedFinetuning, remaining: _Remaining, speed: Speed) -> str:
    """Say how long the rest takes, and what lies on the disk meanwhile and afterwards."""
    dump, encoder, settings = prepared.dump, prepared.encoder, prepared.job.settings
    rows_per_step = settings.batch_size * settings.gradient_accumulation
    epochs = remaining.steps / prepared.steps * settings.epochs
    encoded = epochs * len(prepared.roles.choose) + int(dump.present.sum())
    total_s = remaining.steps * rows_per_step * speed.training_s + encoded * speed.encoding_s
    weights = sum(p.numel() for p in encoder.model.parameters()) * 4
    running = 0 if remaining.is_trained else CHECKPOINT_COPIES * CHECKPOINTS * weights
    stays = len(dump.manifest) * (encoder.dim + len(dump.classes)) * 4
    if prepared.job.keeps_model:
        stays += weights
    return (
        f"  about {_duration(total_s)} on {encoder.device} ({speed.training_s * rows_per_step:.2g} "
        f"s per step of {rows_per_step} rows, over {_rows(speed.rows)}); disk: up to "
        f"{running / 1e6:.0f} MB while training, {stays / 1e6:.1f} MB stay"
    )


def _memory_line(encoder: ModelEncoder, batch_size: int, row_bytes: float) -> str:
    """Say what a training holds on its device, all in float32.

    Mixed precision takes about half of what grows with the batch.
    """
    learning = sum(p.numel() for p in encoder.model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in encoder.model.parameters()) - learning
    fixed, growing = LEARNING_BYTES * learning + FROZEN_BYTES * frozen, row_bytes * batch_size
    return (
        f"  GPU memory: about {(fixed + growing) / 1e9:.2g} GB ({fixed / 1e9:.2g} GB weights, "
        f"gradients and AdamW; {growing / 1e9:.2g} GB for a batch of {batch_size} as long as the "
        "longest probed row)"
    )


def _speed(prepared: PreparedFinetuning) -> Speed:
    """Measure a training step and the encoding of a few rows."""
    dump, encoder = prepared.dump, prepared.encoder
    read = reader_for(encoder, dump.manifest, column=dump.modality)
    items = readable_items(dump.manifest, read, prepared.roles.fit.tolist())
    if not items:
        return Speed()
    training_s, row_bytes, measured = _step(encoder, items)
    return Speed(training_s, _encoding_s(encoder, items, encoder.device)[0], row_bytes, measured)


def _encoding_s(maker: VectorMaker, items: list[Any], device: torch.device) -> tuple[float, int]:
    """Measure seconds per row of encoding one at a time, and say over how many rows."""
    usual = sorted(items, key=len)[len(items) // 2]
    # The first one is slow: kernels are chosen, memory is taken.
    for some in ([usual], items):
        started = time.monotonic()
        for item in some:
            maker.encode([item])
        per_row_s = (time.monotonic() - started) / len(some)
        if _is_enough(per_row_s, device):
            break
    return per_row_s, len(some)


def _is_enough(per_row_s: float, device: torch.device) -> bool:
    """Say whether one row took long enough to leave out the others."""
    return per_row_s > LONG_ROW_S and device.type == "cpu"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _rate(per_row_s: float) -> str:
    """Return a speed in the unit that suits it.

    >>> _rate(0.02), _rate(8.0)
    ('50.0 rows/s', '8.0 s a row')
    """
    return f"{1 / per_row_s:.1f} rows/s" if per_row_s < 1 else f"{per_row_s:.1f} s a row"


def _step(encoder: ModelEncoder, items: list[Any]) -> tuple[float, float, int]:
    """Measure seconds and kept bytes per row of a training step, and say over how many rows.

    The optimiser's part is left out.
    """
    import torch

    from extract.finetuning.classifier import Classifier
    from extract.finetuning.dataset import Items

    classifier = Classifier(encoder, 2).to(encoder.device).train()
    prepared = [encoder.prepare(item) for item in items]
    labels = torch.zeros(len(items), dtype=torch.long, device=encoder.device)
    kept = dict[int, int]()
    own = {p.untyped_storage().data_ptr() for p in classifier.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    for some in ([max(prepared, key=len)], prepared):
        started = time.monotonic()
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = classifier(Items(some), labels[: len(some)])["loss"]
        loss.backward()
        if encoder.device.type == "cuda":
            torch.cuda.synchronize()
        per_row_s = (time.monotonic() - started) / len(some)
        if _is_enough(per_row_s, encoder.device):
            break
    classifier.eval().zero_grad()
    return per_row_s, sum(kept.values()) / len(some), len(some)


def _duration(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> _duration(40.0), _duration(600.0), _duration(20_000.0)
    ('40 s', '10 min', '5.6 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
