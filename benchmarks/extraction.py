"""Clips per second of extract-features against a plain loop of Transformers, one clip at a time.

The plain loop is what one writes first: read with soundfile, the checkpoint's own feature
extractor, the model, the mean over all frames. For Whisper that pads every clip to 30 s, as the
library does. Without options: wav2vec2-base with random weights on generated clips of 1 to 8 s.
With real weights and clips:

    python -m benchmarks.extraction --encoder ../shared/models/whisper-tiny --clips
    ../shared/data/ravdess
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch

from benchmarks.record import record
from extract.encoders import load_encoder
from extract.encoders.settings import EncoderOptions
from extract.pipeline.frozen import FrozenJob, prepare_extraction, run_frozen
from extract.pipeline.job import CorpusSource, EncoderChoice, StoreTarget
from extract.pipeline.write import Summary

RATE = 16_000


def main() -> None:
    """Measure each batch size and the plain loop over the same clips."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--encoder", default="", help="a local folder (default: wav2vec2-base, random weights)"
    )
    options.add_argument(
        "--clips", type=Path, help="a folder of sound files (default: generated ones)"
    )
    options.add_argument(
        "--limit", type=int, default=12, help="how many clips, evenly drawn (default: %(default)s)"
    )
    options.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 2, 4, 8])
    options.add_argument("--device", default="auto")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as made:
        given.encoder = given.encoder or random_wav2vec2(Path(made) / "wav2vec2-base-random")
        given.clips = given.clips or generated_clips(Path(made) / "generated", given.limit)
        compare(given)


def compare(given: argparse.Namespace) -> None:
    """Run both ways and record the table."""
    files = sorted(p for p in given.clips.rglob("*") if p.suffix in {".wav", ".flac"})
    files = files[:: max(1, len(files) // given.limit)][: given.limit]
    seconds = sum(soundfile.info(p).duration for p in files)
    plain_s, plain = plain_loop(files, given.encoder, given.device)
    rows = [{"way": "plain loop, one clip at a time", "batch_size": 1, "wall_s": plain_s}]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rows.csv"
        links = Path(folder) / "clips"
        links.mkdir()
        for i, path in enumerate(files):
            soundfile.write(links / f"{i:05d}.wav", *soundfile.read(path))
        names = [f"{i:05d}" for i in range(len(files))]
        pd.DataFrame({"id": names, "audio": [f"clips/{name}.wav" for name in names]}).to_csv(
            table, index=False
        )
        for size in given.batch_sizes:
            wall_s = ours(
                table, given.encoder, Path(folder) / f"store-{size}", size, given.device
            ).wall_s
            rows.append({"way": "extract-features", "batch_size": size, "wall_s": wall_s})
    for row in rows:
        row |= {
            "encoder": Path(given.encoder).name,
            "clips": len(files),
            "audio_s": seconds,
            "clips_per_s": len(files) / row["wall_s"],
            "ratio_to_plain": plain_s / row["wall_s"],
            "threads": torch.get_num_threads(),
            "device": given.device,
        }
    command = (
        f"python -m benchmarks.extraction --encoder {Path(given.encoder).name} --clips "
        f"{given.clips.name} --limit {given.limit} --batch-sizes "
        f"{' '.join(map(str, given.batch_sizes))} --device {given.device}"
    )
    print(record(f"extraction_{Path(given.encoder).name}", rows, command))
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print(f"vectors of the plain loop: {plain.shape}")


def random_wav2vec2(folder: Path) -> str:
    """Save a model of wav2vec2-base's size; speed does not depend on the weights."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return str(folder)


def generated_clips(folder: Path, count: int) -> Path:
    """Write noise of 1 to 8 s."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(count):
        soundfile.write(
            folder / f"{i:04d}.wav",
            0.1 * generator.standard_normal(int(RATE * generator.uniform(1, 8))),
            RATE,
        )
    return folder


def plain_loop(files: list[Path], encoder: str, device: str) -> tuple[float, np.ndarray]:
    """Return the seconds of the plain loop, loading apart, and its vectors (n, D)."""
    from transformers import AutoFeatureExtractor, AutoModel

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
    extractor = AutoFeatureExtractor.from_pretrained(encoder)
    model = AutoModel.from_pretrained(encoder, dtype=torch.float32).eval().to(place)
    model = getattr(model, "encoder", model) if model.config.is_encoder_decoder else model
    vectors = []
    started = time.perf_counter()
    with torch.inference_mode():
        for path in files:
            samples, rate = soundfile.read(path, dtype="float32")
            inputs = extractor(samples, sampling_rate=rate, return_tensors="pt").to(place)
            vectors.append(model(**inputs).last_hidden_state[0].mean(0).cpu().numpy())
    return time.perf_counter() - started, np.stack(vectors)


def ours(table: Path, encoder: str, store: Path, batch_size: int, device: str) -> Summary:
    """Run the real job, its files and their checks included.

    Loading the model is left out on both sides.
    """
    options = EncoderOptions(batch_size=batch_size or None, device=device)
    prepared = prepare_extraction(
        FrozenJob(
            CorpusSource("manifest", table),
            "audio",
            EncoderChoice(encoder, options),
            StoreTarget(store),
        )
    )
    load_encoder(encoder, device=device).encode([np.zeros(RATE, dtype=np.float32)])
    return run_frozen(prepared, print, lambda n: None)


if __name__ == "__main__":
    main()
