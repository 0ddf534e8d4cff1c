"""Rows per second of our fine-tuning against plain PyTorch loops over the same rows, in one run.

The first plain loop pads every input to the maximum, as one writes it first: texts to 128 tokens,
clips to 10 s, and for Whisper to the 30 s that the library asks for. The second pads to the longest
of its batch, so that the difference to ours is what Trainer, logging every step and our adapters
cost. All have the same rows in the same order, batch, head, optimiser and precision; inputs are
prepared beforehand. Counted are the steps after the first; writing the checkpoint is a column of
its own.

    python -m benchmarks.finetuning --encoder ../shared/models/whisper-tiny --encoder
    ../shared/models/all-MiniLM-L6-v2
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, WhisperFeatureExtractor

from benchmarks.record import record
from extract.encoders import InputSettings, load_encoder
from extract.encoders.loading import quiet
from extract.finetuning.dataset import EpochOrder, Memory, TrainingRows
from extract.finetuning.settings import TrainingSettings
from extract.finetuning.trainer import finetune

RATE, MAX_S, MAX_TOKENS, CLASSES, LEARNING_RATE = 16_000, 10.0, 128, 4, 3e-5
INPUTS = InputSettings(max_duration_s=MAX_S, max_tokens=MAX_TOKENS)
# Of IEMOCAP's 5,531 utterances: median 3.58 s, shortest 0.585 s, and what is longer than 10 s is
# cut.
MEDIAN_S, SHORTEST_S, SPREAD = 3.58, 0.585, 0.65
WORDS = (
    "i",
    "you",
    "know",
    "what",
    "that",
    "is",
    "not",
    "really",
    "happy",
    "with",
    "the",
    "way",
    "it",
    "went",
    "so",
)


def main() -> None:
    """Measure each way for each encoder and record the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--encoder", action="append", required=True, help="a local folder; may be repeated"
    )
    options.add_argument(
        "--rows", type=int, default=96, help="rows per epoch (default: %(default)s)"
    )
    options.add_argument(
        "--batch-size", type=int, default=8, help="(default: %(default)s, the paper's for speech)"
    )
    options.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="the median of so many is recorded (default: %(default)s)",
    )
    options.add_argument(
        "--seed", type=int, default=0, help="of the generated rows (default: %(default)s)"
    )
    options.add_argument("--device", default="auto")
    options.add_argument(
        "--no-record", action="store_true", help="print, and leave benchmarks/results as it is"
    )
    given = options.parse_args()
    rows = []
    for folder in given.encoder:
        rows += measure(folder, given)
    for row in rows:
        shown = []
        for key, value in row.items():
            shown.append(f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}")
        print("  ".join(shown))
    if not given.no_record:
        folders = " ".join(f"--encoder {Path(folder).name}" for folder in given.encoder)
        print(
            record(
                "finetuning",
                rows,
                f"python -m benchmarks.finetuning {folders} --rows {given.rows} --batch-size "
                f"{given.batch_size} --repeats {given.repeats} --device {given.device}",
                given.seed,
            )
        )


def measure(folder: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row per way."""
    encoder = load_encoder(folder, device=given.device, inputs=INPUTS)
    inputs = generate(encoder.spec.modality, given.rows, given.seed)
    labels = np.random.default_rng(given.seed).integers(0, CLASSES, given.rows)
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "plain loop, padded to the maximum": lambda: plain(
            folder, inputs, labels, given, to_maximum=True
        ),
        "plain loop, padded to the longest of the batch": lambda: plain(
            folder, inputs, labels, given, to_maximum=False
        ),
        "extract-features": lambda: ours(folder, inputs, labels, given),
    }
    if encoder.spec.architecture == "whisper":
        # The library's Whisper takes 30 s and nothing else.
        del ways["plain loop, padded to the longest of the batch"]
    measured = []
    for way, run in ways.items():
        taken = [run() for _ in range(given.repeats)]
        measured.append(
            {
                "encoder": Path(folder).name,
                "way": way,
                "rows": given.rows,
                "batch_size": given.batch_size,
                "rows_per_s": statistics.median(speed for speed, _ in taken),
                "checkpoint_s": statistics.median(saving for _, saving in taken),
                "threads": torch.get_num_threads(),
                "device": encoder.device.type,
            }
        )
    padded = measured[0]["rows_per_s"]
    return [{**row, "ratio_to_padded": row["rows_per_s"] / padded} for row in measured]


def generate(modality: str, rows: int, seed: int) -> list[Any]:
    """Make texts or clips whose lengths are distributed like utterances in conversation."""
    rng = np.random.default_rng(seed)
    seconds = np.clip(MEDIAN_S * np.exp(SPREAD * rng.standard_normal(rows)), SHORTEST_S, MAX_S)
    if modality == "text":  # Three words a second.
        return [" ".join(rng.choice(WORDS, max(1, round(3 * s)))) for s in seconds]
    return [(0.1 * rng.standard_normal(int(s * RATE))).astype(np.float32) for s in seconds]


def ours(
    folder: str, inputs: Sequence[Any], labels: np.ndarray, given: argparse.Namespace
) -> tuple[float, float]:
    """Train one epoch as ``extract-features`` does.

    Returns rows per second after the first step, and seconds of the rest.
    """
    encoder = load_encoder(folder, device=given.device, inputs=INPUTS)
    settings = TrainingSettings(
        epochs=1,
        batch_size=given.batch_size,
        eval_batch_size=given.batch_size,
        freeze="none",
        learning_rate=LEARNING_RATE,
        precision="float32",
        scheduler="constant",
    )
    rows = TrainingRows(
        encoder, lambda i: inputs[i], np.arange(len(inputs)), labels, Memory(10**10)
    )
    rows.read(lambda n: None)
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as checkpoints:
        finetune(
            encoder,
            CLASSES,
            settings,
            rows,
            None,
            Path(checkpoints),
            lambda n: ends.append(time.perf_counter()),
        )
        over = time.perf_counter()
    ends = ends[1:]  # The first call reports that nothing was done before.
    return (len(inputs) - given.batch_size) / (ends[-1] - ends[0]), over - ends[-1]


def plain(
    folder: str,
    inputs: Sequence[Any],
    labels: np.ndarray,
    given: argparse.Namespace,
    *,
    to_maximum: bool,
) -> tuple[float, float]:
    """Train one epoch with a loop of a few lines.

    Returns rows per second after the first step, and 0.

    Raises:
        SystemExit: The plain loop of such an encoder is not written here.
    """
    encoder = load_encoder(folder, device=given.device, inputs=INPUTS)
    device, kind = encoder.device, encoder.spec.architecture
    vectors = {"bert": _text, "whisper": _whisper}.get(
        kind, _waveform if encoder.spec.modality == "audio" else None
    )
    if vectors is None:
        raise SystemExit(f"{folder}: no plain loop for {kind}")
    with quiet():
        model, pooled = vectors(folder, inputs, to_maximum)
    model = model.to(device).train()
    head = nn.Linear(encoder.dim, CLASSES).to(device)
    optimiser = torch.optim.AdamW(
        [*model.parameters(), *head.parameters()], LEARNING_RATE, weight_decay=0.01, fused=True
    )
    order = list(
        EpochOrder(
            TrainingRows(encoder, inputs.__getitem__, np.arange(len(inputs)), labels, Memory(0)),
            0,
            balanced=False,
        )
    )
    ends = []
    for begin in range(0, len(order), given.batch_size):
        chosen = order[begin : begin + given.batch_size]
        loss = nn.functional.cross_entropy(
            head(pooled(model, chosen, device)), torch.tensor(labels[chosen]).to(device)
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*model.parameters(), *head.parameters()], 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        ends.append(time.perf_counter())
    return (len(inputs) - given.batch_size) / (ends[-1] - ends[0]), 0.0


Pooled = Callable[[nn.Module, list[int], torch.device], Tensor]


def _text(folder: str, inputs: Sequence[str], to_maximum: bool) -> tuple[nn.Module, Pooled]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = [
        tokenizer(text, truncation=True, max_length=MAX_TOKENS)["input_ids"] for text in inputs
    ]

    def pooled(model: nn.Module, chosen: list[int], device: torch.device) -> Tensor:
        length = MAX_TOKENS if to_maximum else max(len(tokens[i]) for i in chosen)
        ids, mask = [], []
        for i in chosen:
            n_padded = length - len(tokens[i])
            ids.append(tokens[i] + [tokenizer.pad_token_id] * n_padded)
            mask.append([1] * len(tokens[i]) + [0] * n_padded)
        on_device = torch.tensor(mask, device=device)
        output = model(input_ids=torch.tensor(ids, device=device), attention_mask=on_device)
        states = output.last_hidden_state * on_device.unsqueeze(2)
        return states.sum(1) / on_device.sum(1, keepdim=True)

    return AutoModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False), pooled


def _whisper(
    folder: str, inputs: Sequence[np.ndarray], to_maximum: bool
) -> tuple[nn.Module, Pooled]:
    """Pad to 30 s, because the library's encoder takes nothing else."""
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    mels = [
        extractor(clip, sampling_rate=RATE, return_tensors="np")["input_features"][0]
        for clip in inputs
    ]

    def pooled(model: nn.Module, chosen: list[int], device: torch.device) -> Tensor:
        inputs = torch.from_numpy(np.stack([mels[i] for i in chosen])).to(device)
        return model(inputs).last_hidden_state.mean(1)

    return AutoModel.from_pretrained(folder, dtype=torch.float32).encoder, pooled


def _waveform(
    folder: str, inputs: Sequence[np.ndarray], to_maximum: bool
) -> tuple[nn.Module, Pooled]:
    def pooled(model: nn.Module, chosen: list[int], device: torch.device) -> Tensor:
        length = int(MAX_S * RATE) if to_maximum else max(len(inputs[i]) for i in chosen)
        samples = torch.zeros(len(chosen), length)
        mask = torch.zeros(len(chosen), length, dtype=torch.long)
        for row, i in enumerate(chosen):
            clip = (inputs[i] - inputs[i].mean()) / inputs[i].std()
            samples[row, : len(clip)] = torch.from_numpy(clip)
            mask[row, : len(clip)] = 1
        states = model(input_values=samples.to(device), attention_mask=mask.to(device))
        return states.last_hidden_state.mean(1)

    return AutoModel.from_pretrained(folder, dtype=torch.float32), pooled


if __name__ == "__main__":
    main()
