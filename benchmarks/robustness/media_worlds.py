"""Small worlds with encoders in them: what extraction and fine-tuning read and leave."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pandas as pd

from benchmarks.robustness.worlds import rows, run, sounds

MOST_WAIT_S = 120


def encoders(world: Path) -> None:
    """A manifest with sounds, and tiny encoders of text and sound."""
    import torch
    from safetensors.torch import load_file

    from extract.corpora.demo_release.encoders import make_encoders

    world.mkdir(parents=True)
    table = rows().assign(audio=[f"sound/{n}.wav" for n in range(len(rows()))])
    table.drop(columns=["start_s", "end_s"]).to_csv(world / "rows.csv", index=False)
    sounds(world / "sound")
    made = make_encoders(world / "encoders", table["text"])
    pickled = shutil.copytree(made["text"], world / "encoders" / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()


def sound_files(world: Path) -> None:
    """A manifest for each format of sound, and an encoder of sound."""
    from extract.corpora.demo_release.encoders import make_encoders

    world.mkdir(parents=True)
    for suffix in (".wav", ".flac", ".mp3", ".ogg"):
        sounds(world / "sound", suffix, 2)
        audio = [f"sound/{n}{suffix}" for n in range(2)]
        table = pd.DataFrame({"id": ["a", "b"], "label": ["x", "y"], "audio": audio})
        table.to_csv(world / f"{suffix[1:]}.csv", index=False)
    made = make_encoders(world / "made", ["a"])
    made["audio"].rename(world / "encoder")
    shutil.rmtree(world / "made")


def films(world: Path) -> None:
    """A manifest for each format of film, and an encoder of pictures."""
    from extract.corpora.demo_release.encoders import make_encoders
    from extract.corpora.generated import Studio

    world.mkdir(parents=True)
    studio = Studio(world, 0)
    for suffix in (".mp4", ".flv", ".avi"):
        video = [f"film/{n}{suffix}" for n in range(2)]
        for number, name in enumerate(video):
            if suffix == ".avi":
                _avi(world / name, number)
            else:
                studio.film(name, "joy", number, size=64)
        table = pd.DataFrame({"id": ["a", "b"], "label": ["x", "y"], "video": video})
        table.to_csv(world / f"{suffix[1:]}.csv", index=False)
    made = make_encoders(world / "made", ["a"])
    made["video"].rename(world / "encoder")
    shutil.rmtree(world / "made")


def _avi(path: Path, seed: int) -> None:
    import av
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    with av.open(str(path), "w") as film:
        pictures = film.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 64
        for _ in range(6):
            noise = draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        film.mux(pictures.encode(None))


def frozen_command(world: Path, modality: str = "text") -> list[str]:
    """Return the arguments that make frozen vectors of a world with encoders."""
    encoder = {"text": "demo-bert", "audio": "demo-wav2vec2"}[modality]
    given = ["--corpus", "manifest", "--root", f"{world}/rows.csv", "--modality", modality]
    chosen = ["--encoder", f"{world}/encoders/{encoder}", "--frozen"]
    return [*given, *chosen, "--store", f"{world}/store", "--batch-size", "1", "--quiet"]


def running(world: Path) -> None:
    """A store with rows that an extraction had finished when it was interrupted."""
    import extract.pipeline.encode
    from extract.commands.extract_features import main

    encoders(world)
    done, encode = [], extract.pipeline.encode._encode_batch

    def interrupted(*given: object) -> object:
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(1)
        return encode(*given)

    with (
        mock.patch.object(extract.pipeline.encode, "_encode_batch", interrupted),
        mock.patch.object(extract.pipeline.encode, "COMMIT_EVERY_S", 0.0),
    ):
        if main(frozen_command(world)) != 130:
            raise RuntimeError("the extraction was not interrupted")


def training_command(world: Path, *more: str) -> list[str]:
    """Return the arguments that train one fold of a world with encoders."""
    given = ["--corpus", "manifest", "--root", f"{world}/rows.csv", "--modality", "text"]
    chosen = ["--encoder", f"{world}/encoders/demo-bert", "--store", f"{world}/store"]
    short = ["--folds", "session-kfold:2", "--rule", "fixed-epochs", "--batch-size", "2"]
    return [*given, *chosen, *short, "--epochs", "3", "--quiet", *more]


def training(world: Path) -> None:
    """A store with the checkpoints of a training that was killed."""
    encoders(world)
    command = training_command(world, "--fold", "1")
    ask = [sys.executable, "-m", "extract.commands.extract_features", *command]
    process = subprocess.Popen(ask, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + MOST_WAIT_S
    while not list(world.glob("store/**/checkpoint-*/complete.json")):
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError("the training left no checkpoint")
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def trained(world: Path) -> None:
    """A store with both folds of a fine-tuned encoder, its models, and results over it."""
    encoders(world)
    run("extract-features", *training_command(world, "--fold", "all", "--keep-models"))
    run(
        "run-fusion-grid",
        *("--store", world / "store", "--out", world / "results", "--classifiers", "svm"),
        *("--folds", "session-kfold:2", "--valid", "none", "--quiet"),
    )


def models(world: Path) -> None:
    """A store with a trained model whose vectors are still to be made."""
    trained(world)
    for path in world.glob("store/**/fold-1.*"):
        if path.is_file():
            path.unlink()
    shutil.rmtree(world / "results")
