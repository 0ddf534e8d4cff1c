"""How fast the store reads and writes, as a ratio to np.load and np.save in the same run.

A fold of three modalities is loaded as the grid loads it, joined, checked and put in order, against
``np.load`` of three such arrays. They take turns; the fewest seconds of several count, for the fold
those of a processor, because the others measure what else the machine was doing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.grid import make_store
from benchmarks.record import record
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.hdf5 import read_embeddings, write_embeddings

CORPUS = "bench"
FOLD_TARGET = 0.5  # of np.load's speed


def best_of(action: Callable[[], object], repeats: int) -> float:
    """Return the shortest of several runs, in seconds.

    The others measure what else the machine was doing.
    """
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def measure(rows: int, dim: int, repeats: int) -> dict[str, object]:
    """Write and read ``rows`` x ``dim`` float32 both ways."""
    return {**_one_file(rows, dim, repeats), **_a_fold(rows, dim, repeats)}


def _a_fold(rows: int, dim: int, repeats: int) -> dict[str, object]:
    """Load a fold of three modalities, and three arrays of the same size."""
    plain_s, fold_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        store, plain = Path(folder) / "store", Path(folder) / "plain.npy"
        make_store(store, rows, dim)
        manifest = Manifest.load(store / CORPUS)
        views = {name: refs[0] for name, refs in choose_views(catalogue(store, CORPUS)).items()}
        request = FoldRequest(store, CORPUS, views, make_plan(manifest), 1)
        np.save(plain, load_fold(request, manifest).train.vectors["audio"].base)
        for _ in range(3 * repeats):
            plain_s.append(cpu_of(lambda: [np.load(plain) for _ in views]))
            fold_s.append(cpu_of(lambda: load_fold(request, manifest)))
    speed = min(plain_s) / min(fold_s)
    return {
        "fold_np_load_cpu_s": min(plain_s),
        "fold_cpu_s": min(fold_s),
        "fold_speed": speed,
        "target_speed": FOLD_TARGET,
        "verdict": "met" if speed >= FOLD_TARGET else "missed",
    }


def cpu_of(action: Callable[[], object]) -> float:
    """Return the seconds of a processor that something takes."""
    started = time.process_time()
    action()
    return time.process_time() - started


def _one_file(rows: int, dim: int, repeats: int) -> dict[str, object]:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((rows, dim)).astype(np.float32)
    ids = np.array([f"Ses{1 + i % 5:02d}F_impro{i % 8:02d}_F{i:06d}" for i in range(rows)])
    ok = np.full(rows, "ok")
    embeddings = Embeddings(
        ids,
        vectors,
        np.full(rows, "no"),
        ok,
        np.full(rows, ""),
        EncoderRef("bench", "0" * 12, "audio"),
    )
    with tempfile.TemporaryDirectory() as folder:
        ours, plain = Path(folder) / "ours.h5", Path(folder) / "plain.npy"
        about = {"corpus": "bench", "inputs_digest": "0" * 12}
        write_s = best_of(lambda: write_embeddings(ours, embeddings, about), repeats)
        save_s = best_of(lambda: np.save(plain, vectors), repeats)
        read_s = best_of(lambda: read_embeddings(ours), repeats)
        load_s = best_of(lambda: np.load(plain), repeats)
        size = ours.stat().st_size / plain.stat().st_size
    return {
        "rows": rows,
        "dim": dim,
        "write_s": write_s,
        "np_save_s": save_s,
        "write_ratio": write_s / save_s,
        "read_s": read_s,
        "np_load_s": load_s,
        "read_ratio": read_s / load_s,
        "size_ratio": size,
    }


def main() -> None:
    """Measure the size of IEMOCAP and ten times that."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=5)
    repeats = arguments.parse_args().repeats
    rows = [measure(n, 768, repeats) for n in (5_531, 55_310)]
    print(record("store_io", rows, f"python -m benchmarks.store_io --repeats {repeats}"))
    for row in rows:
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})


if __name__ == "__main__":
    main()
