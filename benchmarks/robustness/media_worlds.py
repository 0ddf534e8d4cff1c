"""Small worlds with encoders in them: what extraction and fine-tuning read and leave."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pandas as pd

from benchmarks.robustness.worlds import ROWS, rows, run, sounds

MOST_WAIT_S = 120
# Films that no generated release has: their codec and pictures per second, which MPEG-1 prescribes.
BY_HAND = {
    ".avi": ("mpeg4", 10),
    ".mkv": ("mpeg4", 10),
    ".mpg": ("mpeg1video", 25),
    ".wmv": ("wmv2", 10),
}


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
    _sharded(shutil.copytree(made["text"], world / "encoders" / "sharded"))
    _worded(shutil.copytree(made["text"], world / "encoders" / "worded"))
    _with_head(shutil.copytree(made["text"], world / "encoders" / "with-head"))


def _sharded(folder: Path) -> None:
    """Spread the weights over two files with an index, as large encoders have them."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    places = {
        name: f"model-{place % 2 + 1:05}-of-00002.safetensors" for place, name in enumerate(names)
    }
    for shard in sorted(set(places.values())):
        part = {name: weights[name] for name in names if places[name] == shard}
        save_file(part, folder / shard, {"format": "pt"})
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _worded(folder: Path) -> None:
    """Put a list of words in the place of the tokenizer's JSON, as old encoders have it."""
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(words, key=words.__getitem__)) + "\n")
    (folder / "tokenizer.json").unlink()


def _with_head(folder: Path) -> None:
    """Give an encoder a head over labels of its own."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from extract.encoders.loading import quiet

    names = dict(enumerate(("anger", "joy", "sadness")))
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(
            folder, id2label=names, label2id={n: k for k, n in names.items()}
        )
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)


def labelling(world: Path) -> None:
    """A model over the vectors of a small encoder, and texts of words that this knows."""
    encoders(world)
    run("extract-features", *frozen_command(world))
    grid = ("--store", world / "store", "--out", world / "results", "--classifiers", "svm")
    chosen = ("--export-model", world / "model", "--export-cell", "unimodal text svm")
    run("run-fusion-grid", *grid, "--folds", "leave-one-session-out", "--valid", "none", *chosen)
    shutil.rmtree(world / "results")
    (world / "talks").mkdir()
    for number in range(ROWS):
        (world / "talks" / f"{number}.txt").write_text(f"words number {number}\n")


def sound_files(world: Path) -> None:
    """A manifest for each format of sound, and an encoder of sound."""
    from extract.corpora.demo_release.encoders import make_encoders

    world.mkdir(parents=True)
    for suffix in (".wav", ".flac", ".mp3", ".ogg", ".m4a"):
        if suffix == ".m4a":
            _m4a(world / "sound")
        else:
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
    for suffix in (".mp4", ".flv", *BY_HAND):
        video = [f"film/{n}{suffix}" for n in range(2)]
        for number, name in enumerate(video):
            if suffix in BY_HAND:
                _film(world / name, number)
            else:
                studio.film(name, "joy", number, size=64)
        table = pd.DataFrame({"id": ["a", "b"], "label": ["x", "y"], "video": video})
        table.to_csv(world / f"{suffix[1:]}.csv", index=False)
    made = make_encoders(world / "made", ["a"])
    made["video"].rename(world / "encoder")
    shutil.rmtree(world / "made")


def _film(path: Path, seed: int) -> None:
    """Write six pictures of noise, in which every byte counts."""
    import av
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    codec, rate = BY_HAND[path.suffix]
    with av.open(str(path), "w") as film:
        pictures = film.add_stream(codec, rate=rate)
        pictures.width = pictures.height = 64
        for _ in range(6):
            noise = draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        film.mux(pictures.encode(None))


def _m4a(folder: Path) -> None:
    import av

    sounds(folder / "plain", count=2)
    for number in range(2):
        with (
            av.open(str(folder / "plain" / f"{number}.wav")) as source,
            av.open(str(folder / f"{number}.m4a"), "w", format="ipod") as made,
        ):
            track = made.add_stream("aac", rate=16000)
            for frame in source.decode(audio=0):
                made.mux(track.encode(frame))
            made.mux(track.encode(None))
    shutil.rmtree(folder / "plain")


def faces(world: Path) -> None:
    """Films in which a red square walks, boxes around it, and a network that finds it."""
    import av
    import numpy as np

    from benchmarks.robustness.tiny_yunet import write_tiny_yunet

    films(world)
    boxes = []
    for name in ("walk-0", "walk-1"):
        with av.open(str(world / f"{name}.avi"), "w") as film:
            stream = film.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.bit_rate = 160, 80, 1_000_000
            for number in range(8):
                picture = np.zeros((80, 160, 3), dtype=np.uint8)
                left = 6 * number + 10
                picture[20:60, left : left + 40] = (250, 20, 20)
                boxes.append((f"{name}.avi", number / 10, left, 20, left + 40, 60))
                film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            film.mux(stream.encode(None))
    video = ["walk-0.avi", "walk-1.avi"]
    table = pd.DataFrame({"id": ["a", "b"], "label": ["x", "y"], "video": video})
    table.to_csv(world / "walks.csv", index=False)
    columns = ["video", "time_s", "left", "top", "right", "bottom"]
    known = pd.DataFrame(boxes, columns=columns)
    known.to_csv(world / "boxes.csv", index=False)
    known.to_parquet(world / "boxes.parquet", index=False)
    write_tiny_yunet(world / "faces.onnx", size=40)


CACHED = ("--region", "face", "--frame-cache", "{here}/cache")


def cached(world: Path) -> None:
    """Films whose pictures were decoded before, one of them without a face."""
    faces(world)
    rows = pd.read_csv(world / "walks.csv")
    rows.loc[1, "video"] = "film/0.avi"
    rows.to_csv(world / "walks.csv", index=False)
    more = [argument.format(here=world) for argument in CACHED]
    given = ("--corpus", "manifest", "--root", world / "walks.csv", "--modality", "video")
    chosen = ("--encoder", world / "encoder", "--frozen", "--store", world / "made", "--quiet")
    weights = ("--face-weights", world / "faces.onnx")
    run("extract-features", *given, *chosen, *more, *weights, status=4)  # one has no face
    shutil.rmtree(world / "made")


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
