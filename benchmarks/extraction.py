"""Clips per second of extract-features against a plain loop of Transformers, one clip at a time.

The plain loop is what one writes first: read with soundfile, the checkpoint's own feature
extractor, the model, the mean over all frames. For Whisper that pads every clip to 30 s, as the
library does. Without options: wav2vec2-base with random weights on generated clips of 1 to 8 s.
All ways run in turn, several times, and the fewest processor seconds of each count: machines are
shared.
With real weights and clips:

    python -m benchmarks.extraction --encoder ../shared/models/whisper-tiny --clips
    ../shared/data/ravdess
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import torch

from benchmarks.record import record
from extract.encoders.settings import EncoderOptions
from extract.pipeline.frozen import FrozenJob, prepare_extraction, run_frozen
from extract.pipeline.job import CorpusSource, EncoderChoice, StoreTarget

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
    options.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
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
    rows = [{"way": "plain loop, one clip at a time", "precision": "float32", "batch_size": 1}]
    rows += [
        {"way": "extract-features", "precision": "float32", "batch_size": size}
        for size in given.batch_sizes
    ]
    if given.device == "cpu" or not torch.cuda.is_available():
        rows += [
            {"way": "extract-features", "precision": low, "batch_size": given.batch_sizes[0]}
            for low in ("bf16", "int8")
        ]
    model = plain_model(given.encoder, given.device)
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
        for number in range(given.rounds):
            for place, row in enumerate(rows):
                if place == 0:
                    cpu_s, wall_s = plain_loop(files, *model)
                else:
                    store = Path(folder) / f"store-{place}-{number}"
                    cpu_s, wall_s = ours(table, given, store, row)
                row["cpu_s"] = min(cpu_s, row.get("cpu_s", cpu_s))
                row["wall_s"] = min(wall_s, row.get("wall_s", wall_s))
    for row in rows:
        row |= {
            "encoder": Path(given.encoder).name,
            "clips": len(files),
            "audio_s": seconds,
            "clips_per_s": len(files) / row["wall_s"],
            "ratio_to_plain": rows[0]["cpu_s"] / row["cpu_s"],
            "threads": torch.get_num_threads(),
            "device": given.device,
        }
    command = (
        f"python -m benchmarks.extraction --encoder {Path(given.encoder).name} --clips "
        f"{given.clips.name} --limit {given.limit} --batch-sizes "
        f"{' '.join(map(str, given.batch_sizes))} --rounds {given.rounds} "
        f"--device {given.device}"
    )
    print(record(f"extraction_{Path(given.encoder).name}", rows, command))
    print(pd.DataFrame(rows).round(3).to_string(index=False))


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


def plain_model(encoder: str, device: str) -> tuple[Any, Any, torch.device]:
    """Load what the plain loop runs: feature extractor, model and device."""
    from transformers import AutoFeatureExtractor, AutoModel

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
    extractor = AutoFeatureExtractor.from_pretrained(encoder)
    model = AutoModel.from_pretrained(encoder, dtype=torch.float32).eval().to(place)
    model = getattr(model, "encoder", model) if model.config.is_encoder_decoder else model
    return extractor, model, place


def plain_loop(
    files: list[Path], extractor: Any, model: Any, place: torch.device
) -> tuple[float, float]:
    """Return the loop's seconds of the processor and of the clock, loading apart."""
    started = time.process_time(), time.perf_counter()
    with torch.inference_mode():
        for path in files:
            samples, rate = soundfile.read(path, dtype="float32")
            inputs = extractor(samples, sampling_rate=rate, return_tensors="pt").to(place)
            model(**inputs).last_hidden_state[0].mean(0).cpu().numpy()
    return time.process_time() - started[0], time.perf_counter() - started[1]


def ours(
    table: Path, given: argparse.Namespace, store: Path, row: Mapping[str, Any]
) -> tuple[float, float]:
    """Run the real job, its files and their checks included.

    Loading the model is left out on both sides.
    """
    options = EncoderOptions(
        batch_size=row["batch_size"], device=given.device, precision=row["precision"]
    )
    prepared = prepare_extraction(
        FrozenJob(
            CorpusSource("manifest", table),
            "audio",
            EncoderChoice(given.encoder, options),
            StoreTarget(store),
        )
    )
    prepared.encoder.encode([np.zeros(RATE, dtype=np.float32)])
    started = time.process_time(), time.perf_counter()
    run_frozen(prepared, print, lambda n: None)
    return time.process_time() - started[0], time.perf_counter() - started[1]


if __name__ == "__main__":
    main()
