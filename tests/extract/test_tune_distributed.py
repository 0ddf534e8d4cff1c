"""Several processes train one model.

Started by torchrun on CPUs, one writes, and the result is that of one process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_encoders
import torch
import tuning

from embeddings_store.errors import UsageError
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands.extract_features import main
from extract.encoders import load_encoder
from extract.finetuning import distributed


def test_a_process_alone_agrees_with_itself():
    assert (distributed.rank(), distributed.size()) == (0, 1)
    assert distributed.agree({"trains": True}, "cpu") == {"trains": True}
    distributed.meet()


def test_each_process_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [distributed.local_device(name) for name in ("auto", "cuda", "cuda:3", "cpu")] == [
        "cuda:1",
        "cuda:1",
        "cuda:3",
        "cpu",
    ]


def test_a_batch_that_cannot_be_divided_is_refused(tmp_path, monkeypatch):
    from extract.finetuning import trainer as finetune
    from extract.finetuning.classifier import Classifier
    from extract.finetuning.settings import TrainingSettings

    encoder = load_encoder(
        str(tiny_encoders.save(tuning.spec_named("bert-base-uncased"), tmp_path)), device="cpu"
    )
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="--batch-size 4 cannot be divided among 3 processes"):
        finetune._trainer(
            Classifier(encoder, 2), TrainingSettings(**tuning.SETTINGS), [0] * 8, None, tmp_path
        )


@pytest.mark.slow
def test_two_processes_make_what_one_makes(tmp_path):
    folder = tmp_path / "c"
    rows = tuning.write_corpus(folder)
    for i, clip in enumerate(tuning.items("audio")):
        soundfile.write(folder / f"u{i}.wav", clip, 16_000, subtype="FLOAT")
    model = still(tmp_path)

    def command(store: str, *more: str) -> list[str]:
        return [
            "--corpus",
            "manifest",
            "--root",
            str(rows),
            "--modality",
            "audio",
            "--encoder",
            str(model),
            "--fold",
            "all",
            "--epochs",
            "3",
            "--batch-size",
            "4",
            "--learning-rate",
            "1e-3",
            "--device",
            "cpu",
            "--store",
            str(tmp_path / store),
            *more,
        ]

    assert main(command("alone")) == 0
    for more, made in (((), 4), (("--overwrite",), 4), ((), 0)):
        done = launch(command("two", *more))
        assert done.returncode == 0, done.stderr[-3000:]
        files = [line for line in done.stdout.splitlines() if line.endswith(".h5")]
        assert len(files) == len(set(files)) == 4, "one process speaks"
        assert done.stderr.count("audio fold 2, seed 0") == 1
        assert done.stderr.count("16 made in") == made
        assert "Warning" not in done.stderr
    assert len(list((tmp_path / "two").glob("rows/*@*/seed-0/*.h5"))) == 4
    assert tuning.leftovers(tmp_path / "two") == []
    for fold in (1, 2, 3, 4):
        one, two = (
            read_embeddings(next((tmp_path / s).glob(f"rows/*/seed-0/fold-{fold}.h5")))
            for s in ("alone", "two")
        )
        np.testing.assert_array_equal(one.seen, two.seen)
        np.testing.assert_array_equal(one.inputs, two.inputs)
        # 4e-7 where it was measured; sums over a batch are taken in another order.
        np.testing.assert_allclose(two.vectors, one.vectors, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(two.scores, one.scores, rtol=1e-4, atol=1e-5)
        assert one.attributes["best_epoch"] == two.attributes["best_epoch"]
        assert [f.attributes["provenance"]["training"]["processes"] for f in (one, two)] == [1, 2]


def still(tmp_path: Path) -> Path:
    """A tiny model that draws no random numbers in training, so that two processes equal one."""
    import json

    folder = tiny_encoders.save(tuning.spec_named("wav2vec2-base"), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    for name in config:
        if "dropout" in name or name in {"layerdrop", "mask_time_prob"}:
            config[name] = 0.0
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def launch(command: list[str]) -> subprocess.CompletedProcess:
    """Run the command with two processes, as torchrun does."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "-m",
            "extract.commands.extract_features",
            *command,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
