"""What the tests of fine-tuning share: a small corpus of every modality, and jobs over it."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401 - imports plugins of what is installed, trio's too, whose objects gc.freeze() would hide from it
import numpy as np
import pandas as pd
import pytest

import extract.finetuning.trainer
import extract.pipeline.finetuning_run
from embeddings_store.corpus.manifest import Utterance
from embeddings_store.errors import MediaError
from embeddings_store.folds.setup import Request
from embeddings_store.vectors.arrays import Embeddings
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.encoders import REGISTRY, EncoderSpec
from extract.encoders.settings import EncoderOptions, InputSettings
from extract.finetuning.row_roles import FoldChoice
from extract.finetuning.settings import TrainingSettings
from extract.pipeline.finetuning_job import FinetuneJob
from extract.pipeline.finetuning_prepare import PreparedFinetuning, prepare_finetuning
from extract.pipeline.finetuning_run import FinetuningProgress, run_finetuning
from extract.pipeline.inputs import Input
from extract.pipeline.job import CorpusSource, EncoderChoice, StoreTarget

# Each training collects garbage twice, and with transformers in memory that would take longer than
# training.
gc.freeze()
CLASSES = ("happy", "sad")
SESSIONS = 4
SETTINGS = {"epochs": 2, "batch_size": 4, "eval_batch_size": 2, "learning_rate": 1e-3}


def write_corpus(folder: Path, rows: int = 16, **columns: list) -> Path:
    """A manifest of ``rows`` utterances in 4 sessions of 2 speakers, with a cell of every modality.

    Returns the CSV.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(rows)
    table = pd.DataFrame(
        {
            "id": [f"u{i:02d}" for i in numbers],
            "label": [CLASSES[i // 2 % 2] for i in numbers],
            "session": [f"s{i // (rows // SESSIONS) % SESSIONS}" for i in numbers],
            "speaker": [f"s{i // (rows // SESSIONS) % SESSIONS}{'fm'[i % 2]}" for i in numbers],
            "text": [f"text {i}" for i in numbers],
            "audio": [f"u{i}.wav" for i in numbers],
            "video": [f"u{i}.avi" for i in numbers],
            **columns,
        }
    )
    table.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def items(modality: str, rows: int = 16, pictures: int = 4) -> list[Any]:
    """One input per utterance, the two classes told apart by something simple."""
    rng = np.random.default_rng(0)
    happy = [i // 2 % 2 == 0 for i in range(rows)]
    if modality == "text":
        return [
            " ".join(
                rng.choice(["kids", "dogs", "a"] if h else ["door", "talking", "a"], 2 + i % 7)
            )
            for i, h in enumerate(happy)
        ]
    if modality == "video":
        coarse = [rng.integers(0, 128, (pictures, 8, 8, 3)) + 100 * h for h in happy]
        return [c.astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2) for c in coarse]
    lengths = [400 if i == 3 else 4_000 + 900 * (i % 9) for i in range(rows)]
    return [
        (0.1 * (rng.standard_normal(n) + h * np.sin(np.arange(n) * 0.2))).astype(np.float32)
        for n, h in zip(lengths, happy, strict=True)
    ]


def give_inputs(
    monkeypatch: pytest.MonkeyPatch, given: list[Any], broken: tuple[int, ...] = ()
) -> None:
    """Let jobs read these inputs by row number instead of files; the broken ones cannot be read."""

    def read(row: Utterance) -> Input:
        number = int(row.id[1:])
        if number in broken:
            raise MediaError(f"u{number}.wav is torn")
        item = given[number]
        raw = item.encode() if isinstance(item, str) else item.tobytes()
        return Input(item, len(item), hashlib.sha256(raw).hexdigest()[:16])

    monkeypatch.setattr(extract.pipeline.finetuning_run, "reader_for", lambda *given: read)
    monkeypatch.setattr(extract.pipeline.finetuning_run, "decode_ahead", lambda *given: None)


def spec_named(name: str) -> EncoderSpec:
    """The registry's row of that name."""
    return next(row for row in REGISTRY if row.name == name)


def job(rows: Path, model: Path, modality: str, fold: str = "1", **changes: Any) -> FinetuneJob:
    """A job over the small corpus; each change goes where it belongs."""
    of_settings = {
        name: changes.pop(name)
        for name in list(changes)
        if name in TrainingSettings.__dataclass_fields__
    }
    request = Request(
        protocol=changes.pop("protocol", ""),
        folds=changes.pop("folds", ""),
        label_set=changes.pop("label_set", ""),
    )
    target = StoreTarget(
        changes.pop("store", rows.parent / "e"), overwrite=changes.pop("overwrite", False)
    )
    inputs = InputSettings(
        **{
            name: changes.pop(name)
            for name in list(changes)
            if name in InputSettings.__dataclass_fields__
        }
    )
    options = EncoderOptions(pooling=changes.pop("pooling", None), device="cpu")
    return FinetuneJob(
        CorpusSource(
            "manifest", rows, changes.pop("corpus_options", {}), changes.pop("corpus_name", "")
        ),
        modality,
        FoldChoice(fold, changes.pop("inner", 0), changes.pop("inner_fold", 0)),
        TrainingSettings(**{**SETTINGS, **of_settings}),
        request,
        EncoderChoice(str(model), options, inputs, seen=changes.pop("seen", "")),
        target,
        **changes,
    )


def run(
    given: FinetuneJob, progress: FinetuningProgress | None = None
) -> tuple[PreparedFinetuning, Embeddings]:
    """Run a job and read what it wrote."""
    prepared = prepare_finetuning(given)
    run_finetuning(prepared, progress or quiet())
    return prepared, read_embeddings(prepared.dump.path(prepared.dump.refs[0]))


def quiet(
    notify: Callable[[str], None] = lambda sentence: None, **counts: Callable[[int], None]
) -> FinetuningProgress:
    """A progress that nobody looks at."""
    return replace(FinetuningProgress(notify, *[lambda n: None] * 3), **counts)


def history(prepared: PreparedFinetuning) -> pd.DataFrame:
    """The loss and accuracy that a job kept."""
    return pd.read_csv(prepared.dump.path(prepared.dump.refs[0]).with_suffix(".history.csv"))


def leftovers(store: Path) -> list[Path]:
    """What a finished job must not leave.

    Lock files stay, since removing one would free it early.
    """
    return [p for p in store.rglob("*") if ".running" in p.parts[:-1] and p.suffix != ".lock"] + [
        p for p in store.rglob("*") if p.suffix == ".tmp" or "checkpoint" in p.name
    ]
