"""What bf16 and int8 cost in accuracy and save in processor time, beside float32.

    python -m benchmarks.precision --data ../shared

DATA holds ``data/ravdess``, ``data/meld``, ``models/whisper-tiny`` and ``models/all-MiniLM-L6-v2``.
Real weights: the vectors of whole corpora go to an SVM (C = 5, columns standardised over training
rows), which answers for test rows; nothing is chosen, neither on them nor on others. RAVDESS has
six folds of two actors, MELD its official split. Random weights of the paper's encoders: time and
difference only. Times are of one thread, the least of three rounds in which precisions alternate.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from benchmarks.extraction import random_wav2vec2
from benchmarks.record import record
from classify.evaluation.metrics import summary
from classify.models.classifiers import fit_classifier
from embeddings_store import open_store
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands.extract_features import main as extract_features
from extract.encoders import load_encoder
from extract.encoders.base import Encoder
from extract.encoders.settings import PRECISIONS
from extract.media.sound import load_audio

C, ROUNDS, RATE = 5.0, 3, 16_000


def main() -> None:
    """Measure every encoder in every precision and record the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    data = options.parse_args().data
    torch.set_num_threads(1)
    clips = sorted((data / "data" / "ravdess").rglob("*.flac"))[::15]
    sounds = [load_audio(path, sample_rate=RATE).samples for path in clips]
    texts = [f"{'and then she said ' * (1 + i % 5)}number {i}" for i in range(64)]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        rows = [
            *on_corpus(data, "ravdess", "audio", data / "models" / "whisper-tiny", sounds),
            *on_corpus(data, "meld", "text", data / "models" / "all-MiniLM-L6-v2", texts),
            *of_encoder(Path(random_wav2vec2(made / "wav2vec2-base-random")), sounds[:6]),
            *of_encoder(random_bert(made / "bert-base-random"), texts[:32]),
            *of_encoder(random_videomae(made / "videomae-base-random"), pictures(2)),
        ]
    print(record("precision", rows, "python -m benchmarks.precision --data ../shared"))


def on_corpus(
    data: Path, corpus: str, modality: str, encoder: Path, items: Sequence[object]
) -> list[dict[str, object]]:
    """Return the rows of an encoder with real weights, and what a corpus makes of its vectors."""
    rows = of_encoder(encoder, items)
    root = data / "data" / corpus
    for row in rows:
        with tempfile.TemporaryDirectory() as store:
            arguments = ["--corpus", corpus, "--root", str(root), "--modality", modality]
            arguments += ["--encoder", str(encoder), "--frozen", "--store", store]
            if extract_features([*arguments, "--precision", str(row["precision"]), "--quiet"]):
                raise SystemExit("extract-features failed")
            row |= {"corpus": corpus, **answered(Path(store), modality)}
    for row in rows:
        row["WA_difference"] = round(row["WA"] - rows[0]["WA"], 2)
    return rows


def answered(store: Path, modality: str) -> dict[str, float]:
    """Fit an SVM on each fold's training rows and score the test rows, mean over folds."""
    opened = open_store(store)
    figures = []
    for number in range(1, 7 if modality == "audio" else 2):
        fold = opened.fold(number, modalities=[modality])
        scaler = StandardScaler().fit(fold.train.vectors[modality])
        X = scaler.transform(fold.train.vectors[modality])
        model = fit_classifier("svm", X, fold.train.y, len(fold.labels.classes), settings={"c": C})
        answers = model.predict(scaler.transform(fold.test.vectors[modality])).labels
        figures.append(summary(fold.test.y, answers))
    (path,) = store.rglob("*.h5")
    return {
        "rows": int(read_embeddings(path).ok.sum()),
        "WA": round(100 * float(np.mean([figure["WA"] for figure in figures])), 2),
        "UAR": round(100 * float(np.mean([figure["UAR"] for figure in figures])), 2),
    }


def of_encoder(folder: Path, items: Sequence[object]) -> list[dict[str, object]]:
    """Return a row per precision: time, and difference to float32 and to other batches."""
    encoders = {
        name: load_encoder(str(folder), device="cpu", precision=name) for name in PRECISIONS
    }
    seconds: dict[str, list[float]] = {name: [] for name in PRECISIONS}
    vectors: dict[str, NDArray[np.float32]] = {}
    for _ in range(ROUNDS):
        for name, encoder in encoders.items():
            started = time.process_time()
            vectors[name] = encoder.encode(items)[:, 0]
            seconds[name].append(time.process_time() - started)
    return [
        {
            "encoder": folder.name,
            "precision": name,
            "inputs": len(items),
            "threads": 1,
            "cpu_s": min(seconds[name]),
            "ratio_to_float32": min(seconds["float32"]) / min(seconds[name]),
            **differences(vectors[name], vectors["float32"]),
            "batch_difference": batch_difference(encoders[name], items),
        }
        for name in PRECISIONS
    ]


def differences(found: NDArray[np.float32], exact: NDArray[np.float32]) -> Mapping[str, float]:
    """Return the largest difference of a vector as a part of its length, and the least cosine."""
    found, exact = found.astype(np.float64), exact.astype(np.float64)
    length = np.linalg.norm(exact, axis=1)
    cosine = (found * exact).sum(axis=1) / (np.linalg.norm(found, axis=1) * length)
    apart = np.linalg.norm(found - exact, axis=1) / length
    return {"relative_difference": float(apart.max()), "lowest_cosine": float(cosine.min())}


def batch_difference(encoder: Encoder, items: Sequence[object]) -> float:
    """Return how far vectors of a batch of 8 are from those of each input alone."""
    some = items[:8]
    encoder.batch_size = 8
    together = encoder.encode(some)[:, 0]
    alone = np.concatenate([encoder.encode([item])[:, 0] for item in some])
    return differences(together, alone)["relative_difference"]


def random_bert(folder: Path) -> Path:
    """Save a model of bert-base's size, with MiniLM's kind of tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = {word: i for i, word in enumerate([*special, "and", "then", "she", "said", "number"])}
    words |= {str(i): len(words) + i for i in range(64)}
    tokenizer = Tokenizer(models.WordLevel(words, special[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(folder)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return folder


def random_videomae(folder: Path) -> Path:
    """Save a model of videomae-base's size."""
    from transformers import VideoMAEConfig, VideoMAEModel

    torch.manual_seed(0)
    VideoMAEModel(VideoMAEConfig()).save_pretrained(folder)
    return folder


def pictures(clips: int) -> list[NDArray[np.uint8]]:
    """Return clips of 16 pictures of noise."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (16, 224, 224, 3), dtype=np.uint8) for _ in range(clips)]


if __name__ == "__main__":
    main()
