"""What 13 layers of an encoder take as views of one run: seconds, and memory.

Vectors are generated: each layer is the class plus what is its own, so layers agree as far as those
of an encoder do. ``--what time`` runs the grid, every layer with every classifier over folds that
leave one speaker out, and then with the default fusions over all layers too. ``--what memory`` is
one cell over all layers side by side, in a process of its own, and what its data alone take.

A centre's scale of 0.4 makes XGBoost's trees as large as they are on Whisper-tiny's vectors of
RAVDESS, 5,500 nodes in 100 rounds of 7 classes, and so as slow.
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.manifest_scale import peak_bytes
from benchmarks.record import RESULTS, record
from classify.grid.config import GridConfig
from classify.grid.execution import bind_cells
from classify.grid.fold_loading import LOADER
from classify.grid.prepare import prepare
from classify.grid.tasks import run_cell
from embeddings_store.atomic import replacing
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

CORPUS, MODALITY = "bench", "audio"
GROUPS = 4  # recordings of each speaker, that inner splits keep together
KEY = ("what", "rows", "dim")
TIMED = {
    "every layer by itself": ["--early", "none", "--late", "none"],
    "and side by side": ["--early", "concatenation", "--late", "none"],
    "and stacked": ["--early", "none", "--late", "stack"],
}
CELLS = {
    "views read, nothing fitted": "",
    "SVM over all side by side": "svm",
    "probe over all side by side": "probe",
}


def make_store(store: Path, rows: int, layers: int, dim: int, speakers: int, classes: int) -> None:
    """Write a store of one corpus with some layers of one encoder.

    Args:
        store: The folder.
        rows: Utterances.
        layers: How many.
        dim: Columns of each.
        speakers: How many, each with as many utterances.
        classes: How many, in turn.
    """
    generator = np.random.default_rng(0)
    y = generator.integers(0, classes, rows)
    ids = np.array([f"u{i:06d}" for i in range(rows)])
    speaker = np.arange(rows) % speakers
    manifest = Manifest.from_columns(
        CORPUS,
        {
            "id": ids,
            "label": [f"class-{c}" for c in y],
            "speaker": [f"s{s:02d}" for s in speaker],
            "group": [f"s{s:02d}-{i // speakers % GROUPS}" for i, s in enumerate(speaker)],
            "text": ["-"] * rows,
        },
        protocol="leave-one-speaker-out",
    )
    manifest.enter(store)
    centres = generator.standard_normal((classes, dim)) * 0.4
    shared = centres[y] + generator.standard_normal((rows, dim))
    for layer in range(layers):
        own = generator.standard_normal((rows, dim))
        name = "bench" if layer == layers - 1 else f"bench.L{layer}"
        ref = EncoderRef(name, f"{layer:012d}", MODALITY, layer)
        write_embeddings(
            store_path(store, CORPUS, ref, "any"),
            Embeddings(
                ids,
                (shared + own).astype(np.float32),
                np.full(rows, "no"),
                np.full(rows, "ok"),
                np.full(rows, ""),
                ref,
            ),
            {
                "corpus": CORPUS,
                "inputs_digest": manifest.inputs_digest,
                "settings": {"layer": layer},
                "provenance": {},
                "weights_digest": "",
            },
        )


def grid_seconds(store: Path, out: Path, more: list[str], jobs: int) -> tuple[float, float]:
    """Run the grid in a process of its own; return seconds of the clock and of processors."""
    command = [sys.executable, "-m", "classify.commands.run_fusion_grid"]
    command += ["--store", str(store), "--out", str(out), "--layers", "all", "--quiet"]
    command += ["--jobs", str(jobs), *more]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall_s, cpu_s


def measure_time(store: Path, rows: int, dim: int, jobs: int) -> list[dict[str, object]]:
    """Return a row for each way to run the grid, one after the other over the same cells."""
    found: list[dict[str, object]] = []
    out = store.parent / "results"
    for what, more in TIMED.items():
        wall_s, cpu_s = grid_seconds(store, out, more, jobs)
        cells = len(list((out / "cells").glob("*.npz")))
        found.append(
            {
                "what": what,
                "rows": rows,
                "dim": dim,
                "cells": cells,
                "seconds": wall_s,
                "cpu_s": cpu_s,
                "peak_gb": float("nan"),
                "times_the_vectors": float("nan"),
            }
        )
        print(found[-1], flush=True)
    return found


def measure_memory(store: Path, rows: int, layers: int, dim: int) -> list[dict[str, object]]:
    """Return a row for each cell: what it takes beyond imports, each in a process of its own."""
    found: list[dict[str, object]] = []
    config = GridConfig(store, store.parent / "memory", layers="all", layers_as="concat", jobs=1)
    prepared = prepare(config)
    config.out.mkdir()
    prepared.plan.save(config.out / "plan.parquet")
    for what, classifier in CELLS.items():
        cells = [c for c in prepared.cells if c.classifier == (classifier or "majority")]
        spec = bind_cells(prepared, cells, {}, {})[0].spec
        job = config.out / "spec.pickle"
        job.write_bytes(pickle.dumps(spec))
        program = [sys.executable, "-m", "benchmarks.many_layers", "--cell", str(job)]
        program += [] if classifier else ["--only-load"]
        done = subprocess.run(program, capture_output=True, text=True, check=True)
        measured = json.loads(done.stdout.splitlines()[-1])
        found.append(
            {
                "what": what,
                "rows": rows,
                "dim": dim,
                "cells": 1,
                "seconds": measured["seconds"],
                "cpu_s": measured["cpu_s"],
                "peak_gb": measured["peak"] / 1e9,
                "times_the_vectors": measured["peak"] / (rows * layers * dim * 4),
            }
        )
        print(found[-1], flush=True)
    return found


def one_cell(job: Path, *, only_load: bool) -> None:
    """Compute one cell of one fold as a worker process does, and print what it took."""
    spec = pickle.loads(job.read_bytes())  # noqa: S301 - written by this very program
    before, started, cpu = peak_bytes(), time.perf_counter(), time.process_time()
    if only_load:
        LOADER.load(spec.source)
    else:
        run_cell(spec)
    row = {
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "peak": peak_bytes() - before,
    }
    print(json.dumps(row))


def main() -> None:
    """Write the stores, measure, and record."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--what", choices=("time", "memory", "both"), default="both")
    options.add_argument("--dim", type=int, nargs="+", default=[384, 768], help="columns, for time")
    options.add_argument("--layers", type=int, default=13)
    options.add_argument("--jobs", type=int, default=2, help="processes of the grid")
    options.add_argument("--no-record", action="store_true", help="print only")
    options.add_argument("--cell", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--only-load", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.cell:
        one_cell(given.cell, only_load=given.only_load)
        return
    found: list[dict[str, object]] = []
    for dim in given.dim if given.what != "memory" else ():
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "store"
            make_store(store, 535, given.layers, dim, 10, 7)
            found += measure_time(store, 535, dim, given.jobs)
    if given.what != "time":
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "store"
            make_store(store, 5_531, given.layers, 768, 10, 4)
            found += measure_memory(store, 5_531, given.layers, 768)
    if not given.no_record:
        print(_record(found, f"python -m benchmarks.many_layers {' '.join(sys.argv[1:])}".strip()))


def _record(found: list[dict[str, object]], command: str) -> Path:
    """Record what was measured; rows of other sizes, and of other things, stay as they are."""
    path = RESULTS / "many_layers.csv"
    before = pd.read_csv(path, dtype=str) if path.is_file() else pd.DataFrame(columns=list(KEY))
    record("many_layers", found, command)
    new = pd.read_csv(path, dtype=str)
    again = before.set_index(list(KEY)).index.isin(new.set_index(list(KEY)).index)
    with replacing(path) as temporary:
        pd.concat([before[~again], new]).to_csv(temporary, index=False)
    return path


if __name__ == "__main__":
    main()
