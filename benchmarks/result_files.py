"""What writing the result files costs at IEMOCAP's size, part by part, and a resume beside it.

The cells of the grid are computed once, from narrow vectors and with little training, because only
their number and that of their rows matter here. Then the files are written several times from the
finished cells; the fewest seconds of a processor count, because the others measure what else the
machine was doing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq

import classify.experiment
import classify.results.write as writing
from benchmarks.record import record
from classify.experiment import run_grid
from classify.grid.config import GridConfig
from classify.grid.tasks import CellTask
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

TARGET_S = 0.5
CELLS = 200  # that the target is for
DIM = 8
WHOLE, RESUME = "all files", "a resume that computes nothing"
# what is timed by itself: its name in the table, where it is, and what it is called there
PARTS: Sequence[tuple[str, Any, str]] = (
    ("finished cells, read and checked", CellTask, "outcome"),
    ("predictions.parquet, packed", pq.ParquetWriter, "write_table"),
    ("predictions.parquet, its columns", writing, "prediction_columns"),
    ("rows of grid.csv", writing, "result_row"),
    ("tables 4 to 6", writing, "write_paper_tables"),
    ("test rows by cell", writing, "only_test_rows"),
    ("test rows by cell", writing, "arrange_predictions"),
    ("statistics.csv and comparisons.csv", writing, "write_statistics"),
    ("subsets.csv", writing, "write_subsets"),
)
SETTINGS = {
    "svm": {"exact": 100, "landmarks": 20},
    "nn": {"epochs": 1},
    "xgboost": {"trees": 2, "components": 0},
}
LATE = ("concatenation", "sum", "product", "mean", "weighted", "confidence", "logproduct")

Seconds = dict[str, float]


def main() -> None:
    """Measure and record ``result_files.csv``."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, default=5_531)
    options.add_argument("--repeats", type=int, default=5)
    given = options.parse_args()
    rows = measure(given.rows, given.repeats)
    command = f"python -m benchmarks.result_files --rows {given.rows} --repeats {given.repeats}"
    print(record("result_files", rows, command))
    for row in rows:
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})


def measure(n_rows: int, repeats: int) -> list[dict[str, object]]:
    """Return one row per part of the writing, all of it first, and one of the resume.

    Args:
        n_rows: Utterances of the generated corpus.
        repeats: How often everything is written.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = GridConfig(
            make_store(Path(folder) / "store", n_rows),
            Path(folder) / "results",
            folds="leave-one-session-out",
            late=(*LATE, "maximum", "vote"),
            settings=SETTINGS,
            jobs=1,
        )
        written: list[Seconds] = []
        with patch.object(classify.experiment, "write_results", _noting(written, repeats)):
            cells = len(run_grid(config).table.rows)
            (config.out / ".written.json").unlink()
            run_grid(config)
        resumed = min(_seconds(lambda: run_grid(config)) for _ in range(repeats))
    best = min(written, key=lambda seconds: seconds[WHOLE])
    rest = best[WHOLE] - sum(best[part] for part in {name for name, _, _ in PARTS})
    target = TARGET_S * cells / CELLS
    found: list[dict[str, object]] = []
    for part, cpu_s in {**best, "the rest": rest, RESUME: resumed}.items():
        aimed = part == WHOLE
        found.append(
            {
                "rows": n_rows,
                "cells": cells,
                "part": part,
                "cpu_s": cpu_s,
                "target_s": target if aimed else np.nan,
                "verdict": ("met" if cpu_s <= target else "missed") if aimed else "",
            }
        )
    return found


def make_store(store: Path, n_rows: int) -> Path:
    """Write a store of four classes, ten speakers in five sessions, transcripts, three modalities.

    Args:
        store: The folder.
        n_rows: How many utterances.
    """
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, n_rows)
    sessions = 1 + np.arange(n_rows) % 5
    ids = [f"Ses{session:02d}F_impro{i % 8:02d}_F{i:06d}" for i, session in enumerate(sessions)]
    manifest = Manifest.from_columns(
        "bench",
        {
            "id": ids,
            "label": [f"class-{code}" for code in y],
            "session": [f"Ses{session}" for session in sessions],
            "speaker": [f"Ses{session}{'FM'[i // 5 % 2]}" for i, session in enumerate(sessions)],
            "text": [f"words {line}" for line in generator.integers(0, 3_000, n_rows)],
        },
    )
    manifest.enter(store)
    ok = np.full(n_rows, "ok")
    about = {"corpus": "bench", "inputs_digest": manifest.inputs_digest, "weights_digest": ""}
    for modality in ("audio", "text", "video"):
        centres = generator.standard_normal((4, DIM)) / 2
        vectors = (centres[y] + generator.standard_normal((n_rows, DIM))).astype(np.float32)
        ref = EncoderRef(f"bench-{modality}", "0" * 12, modality)
        write_embeddings(
            store_path(store, "bench", ref, "any"),
            Embeddings(np.array(ids), vectors, np.full(n_rows, "no"), ok, np.full(n_rows, ""), ref),
            {**about, "settings": {}, "provenance": {}},
        )
    return store


def _noting(written: list[Seconds], repeats: int) -> Callable[..., Any]:
    """Return a ``write_results`` that writes several times and notes what each part took."""
    real = writing.write_results

    def noting(*arguments: Any) -> Any:
        for _ in range(repeats):
            with _timed_parts() as seconds:
                seconds[WHOLE] = _seconds(lambda: real(*arguments))
            written.append(seconds)
        return real(*arguments)

    return noting


@contextmanager
def _timed_parts() -> Iterator[Seconds]:
    """Yield seconds of a processor by part, which fill as the parts run."""
    seconds: Seconds = {WHOLE: 0.0} | dict.fromkeys((name for name, _, _ in PARTS), 0.0)
    with ExitStack() as patches:
        for name, place, called in PARTS:
            timed = _timed(getattr(place, called), name, seconds)
            patches.enter_context(patch.object(place, called, timed))
        yield seconds


def _timed(function: Callable[..., Any], name: str, seconds: Seconds) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            seconds[name] += time.process_time() - started

    return timed


def _seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


if __name__ == "__main__":
    main()
