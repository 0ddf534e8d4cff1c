"""Do several processes pay for one frozen encoder, or several threads of one process?

    python -m benchmarks.processes --encoder ../shared/models/whisper-tiny

Without ``--encoder``: wav2vec2-base with random weights. The same generated clips are encoded by
one process with one thread, by one with two, and by two with one each, in turn, several times; the
fewest seconds of each way count. What a process costs before its first clip stands beside it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import record

# Processes and threads of each.
WAYS = ((1, 1), (1, 2), (2, 1))
RATE = 16_000


def main() -> None:
    """Measure the three ways in turn and record the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--encoder", default="", help="a local folder")
    options.add_argument("--clips", type=int, default=8, help="(default: %(default)s)")
    options.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    given = options.parse_args()
    generator = np.random.default_rng(0)
    clips = [
        (0.1 * generator.standard_normal(int(RATE * length_s))).astype(np.float32)
        for length_s in generator.uniform(1, 8, given.clips)
    ]
    with tempfile.TemporaryDirectory() as folder:
        encoder = given.encoder
        if not encoder:
            from benchmarks.extraction import random_wav2vec2

            encoder = random_wav2vec2(Path(folder) / "wav2vec2-base-random")
        name = Path(encoder).name
        rows = [measured(*way, encoder, clips) for _ in range(given.rounds) for way in WAYS]
    best = []
    for way in WAYS:
        own = [row for row in rows if (row["processes"], row["threads"]) == way]
        fewest = {key: min(row[key] for row in own) for key in own[0]}
        best.append({"encoder": name, "clips": given.clips, "rounds": given.rounds, **fewest})
    command = f"python -m benchmarks.processes --clips {given.clips} --rounds {given.rounds}"
    print(record(f"processes_{name}", best, f"{command} --encoder {name}"))


def measured(
    processes: int, threads: int, encoder: str, clips: list[NDArray[np.float32]]
) -> dict[str, float]:
    """Start the processes, let them begin at once, and return their seconds."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(processes), context.Queue()
    started = [
        context.Process(
            target=encode, args=(threads, encoder, clips[number::processes], start, answers)
        )
        for number in range(processes)
    ]
    for process in started:
        process.start()
    found = np.array([answers.get() for _ in started])
    for process in started:
        process.join()
    return {
        "processes": processes,
        "threads": threads,
        "wall_s": float(found[:, 0].max()),
        "cpu_s": float(found[:, 1].sum()),
        "starting_cpu_s": float(found[:, 2].sum()),
    }


def encode(
    threads: int,
    folder: str,
    clips: list[NDArray[np.float32]],
    start: Barrier,
    answers: Queue[tuple[float, float, float]],
) -> None:
    """Load the encoder, wait for the others, encode, and say what it took."""
    import torch

    from extract.encoders import load_encoder

    torch.set_num_threads(threads)
    encoder = load_encoder(folder, device="cpu")
    encoder.encode(clips[:1])
    starting_s = time.process_time()
    start.wait()
    began = time.perf_counter()
    for clip in clips:
        encoder.encode([clip])
    answers.put((time.perf_counter() - began, time.process_time() - starting_s, starting_s))


if __name__ == "__main__":
    main()
