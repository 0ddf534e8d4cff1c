"""What a job would cost, from a few rows that are really computed; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings_store.errors import MediaError
from extract.pipeline.inputs import reader_for

if TYPE_CHECKING:
    from extract.pipeline.finetuned import Prepared
    from extract.pipeline.write import Dump

PROBE_ROWS = 4
# Seconds per row of training and of encoding, bytes per row that a training step keeps for its way
# back, and over how many rows.
Speed = tuple[float, float, float, int]
# Of each weight that learns there are the weight, its gradient and AdamW's two moments, in float32.
LEARNING_BYTES, FROZEN_BYTES = 16, 4
# Beside the weights a checkpoint holds AdamW's two moments of each; three lie there while one is
# written: it, the best, the last.
CHECKPOINT_COPIES, CHECKPOINTS = 3, 3


def frozen_lines(dump: Dump, encoder: Any) -> list[str]:
    """Say what of a frozen job exists, and what the rest would cost."""
    waiting = dump.unwritten()
    lines = [
        f"{dump.path(ref)}: {'would be made' if ref in waiting else 'exists'}" for ref in dump.refs
    ]
    if not waiting:
        return lines
    finished = len(dump.shards().finished())
    rest = np.flatnonzero(dump.present)[finished:].tolist()
    read = reader_for(
        encoder, dump.manifest, column=dump.modality
    )  # Without a cache: a dry run writes nothing.
    items = _readable(lambda i: read(dump.manifest.row(i)).item, rest)
    if not items:
        return [*lines, f"{finished} rows finished, {len(rest)} to make"]
    per_row_s = _encoding_s(encoder, items)
    size = len(dump.manifest) * encoder.dim * 4 * len(waiting)
    return [
        *lines,
        f"{finished} rows finished, {len(rest)} to make: about {_duration(per_row_s * len(rest))} "
        "on "
        f"{encoder.device} ({1 / per_row_s:.1f} rows/s, one at a time, over {len(items)} rows), "
        f"{size / 1e6:.1f} MB in {len(waiting)} files",
    ]


def tuned_lines(prepared: Prepared, speeds: dict[str, Speed]) -> list[str]:
    """Say what of a fine-tuning exists, and what the rest would cost in time and on the disk.

    Args:
        prepared: The job.
        speeds: What was measured for other folds; what is measured here is added.
    """
    from extract.finetuning.checkpoints import is_complete

    dump, encoder, roles = prepared.dump, prepared.encoder, prepared.roles
    path = dump.path(dump.refs[0])
    if not prepared.pending:
        return [f"{path}: exists"]
    saved = sorted(
        prepared.checkpoints.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2])
    )
    trained = is_complete(prepared.model_folder) and not prepared.job.overwrite
    done = prepared.steps if trained else int(saved[-1].name.rpartition("-")[2]) if saved else 0
    left = prepared.steps - done
    there = (
        "trained, not dumped; "
        if trained
        else f"a checkpoint of step {done} is there; "
        if done
        else ""
    )
    lines = [
        f"{path}: would be made; {there}{left} of {prepared.steps} steps and "
        f"{int(dump.present.sum())} rows to do"
    ]
    step_s, row_s, row_bytes, probed = speeds.get(encoder.weights_digest) or _speed(prepared)
    speeds[encoder.weights_digest] = step_s, row_s, row_bytes, probed
    if not probed:
        return lines
    settings = prepared.job.settings
    rows_per_step = settings.batch_size * settings.gradient_accumulation
    validations = left / prepared.steps * settings.epochs * len(roles.choose)
    total_s = left * rows_per_step * step_s + (validations + int(dump.present.sum())) * row_s
    weights = sum(p.numel() for p in encoder.model.parameters()) * 4
    vectors = len(dump.manifest) * (encoder.dim + len(dump.classes)) * 4
    running = 0 if trained else CHECKPOINT_COPIES * CHECKPOINTS * weights
    stays = vectors + (weights if prepared.keeps_model else 0)
    return [
        *lines,
        f"  about {_duration(total_s)} on {encoder.device} ({step_s * rows_per_step:.2g} s per "
        "step of "
        f"{rows_per_step} rows, over {probed} rows); disk: up to {running / 1e6:.0f} MB while "
        "training, "
        f"{stays / 1e6:.1f} MB stay",
        _memory_line(encoder, settings.batch_size, row_bytes),
    ]


def _memory_line(encoder: Any, batch_size: int, row_bytes: float) -> str:
    """Say what a training holds on its device, all in float32.

    Mixed precision takes about half of what grows with the batch.
    """
    learning = sum(p.numel() for p in encoder.model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in encoder.model.parameters()) - learning
    fixed, growing = LEARNING_BYTES * learning + FROZEN_BYTES * frozen, row_bytes * batch_size
    return (
        f"  GPU memory: about {(fixed + growing) / 1e9:.2g} GB ({fixed / 1e9:.2g} GB weights, "
        "gradients and AdamW; "
        f"{growing / 1e9:.2g} GB for a batch of {batch_size} as long as the longest probed row)"
    )


def _speed(prepared: Prepared) -> Speed:
    """Measure a training step and the encoding of a few rows.

    All is 0 if none of them can be read.
    """
    manifest = prepared.dump.manifest
    read = reader_for(prepared.encoder, manifest, column=prepared.dump.modality)
    items = _readable(lambda i: read(manifest.row(i)).item, prepared.roles.fit.tolist())
    if not items:
        return 0.0, 0.0, 0.0, 0
    step_s, row_bytes = _step(prepared.encoder, items)
    return step_s, _encoding_s(prepared.encoder, items), row_bytes, len(items)


def _readable(read: Any, positions: Sequence[int]) -> list[Any]:
    """Return up to ``PROBE_ROWS`` inputs, spread over the rows.

    Those that cannot be read are left out.
    """
    items = []
    for position in positions[:: max(1, len(positions) // PROBE_ROWS)][:PROBE_ROWS]:
        try:
            items.append(read(position))
        except MediaError:
            continue
    return items


def _encoding_s(encoder: Any, items: list[Any]) -> float:
    """Measure seconds per row of encoding one at a time."""
    encoder.encode(items[:1])
    started = time.monotonic()
    for item in items:
        encoder.encode([item])
    return (time.monotonic() - started) / len(items)


def _step(encoder: Any, items: list[Any]) -> tuple[float, float]:
    """Measure seconds and kept bytes per row of a training step, the optimiser's part left out."""
    import torch

    from extract.finetuning.classifier import Classifier
    from extract.finetuning.dataset import Items

    classifier = Classifier(encoder, 2).to(encoder.device).train()
    prepared = [encoder.prepare(item) for item in items]
    labels = torch.zeros(len(items), dtype=torch.long, device=encoder.device)
    started, kept = 0.0, dict[int, int]()
    own = {p.untyped_storage().data_ptr() for p in classifier.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    for some in (prepared[:1], prepared):
        started = time.monotonic()
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = classifier(Items(some), labels[: len(some)])["loss"]
        loss.backward()
        if encoder.device.type == "cuda":
            torch.cuda.synchronize()
    seconds = time.monotonic() - started
    classifier.eval().zero_grad()
    return seconds / len(items), sum(kept.values()) / len(items)


def _duration(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> _duration(40.0), _duration(600.0), _duration(20_000.0)
    ('40 s', '10 min', '5.6 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
