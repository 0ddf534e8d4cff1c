"""What each classifier takes from 1,000 to 100,000 training rows: seconds, memory, and the slope.

Each fit has a process of its own with one thread, on generated rows of four classes and three
modalities side by side, and scores 1,000 other rows. The slope is that of the logarithm of
processor seconds over that of the rows, from the size before: 1 is linear, 2 quadratic. A size is
left out where a quadratic slope from the size before would take longer than ``--longest`` seconds
of a processor.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.manifest_scale import peak_bytes
from benchmarks.record import record
from classify.models.classifiers import competitors, fit_classifier
from classify.models.probe import fit_probe
from classify.models.specification import Codes, Matrix
from classify.names import PROBE

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
BLOCKS, CLASSES, SPEAKERS, SCORED = 3, 4, 10, 1_000
QUADRATIC = 2.0


def main() -> None:
    """Measure and record ``rows.csv``, or one fit of it."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--dim", type=int, default=256, help="columns of each modality")
    options.add_argument("--longest", type=float, default=1_200.0)
    options.add_argument("--one", nargs=2, metavar=("METHOD", "ROWS"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(one_fit(given.one[0], int(given.one[1]), given.dim)))
        return
    rows = []
    for method in (*competitors(), PROBE):
        for row in of_method(method, given.dim, given.longest):
            rows.append(row)
            print(row, flush=True)
    command = f"python -m benchmarks.rows --dim {given.dim} --longest {given.longest:g}"
    print(record("rows", rows, command))


def of_method(method: str, dim: int, longest_s: float) -> Iterator[dict[str, object]]:
    """Yield a row of the table per size.

    Args:
        method: A classifier that competes, or the probe.
        dim: Columns of each modality.
        longest_s: What a fit may take, in seconds of a processor.
    """
    before: tuple[int, float] | None = None
    for n_rows in SIZES:
        row: dict[str, object] = {"method": method, "n_rows": n_rows, "dim": BLOCKS * dim}
        if before and before[1] * (n_rows / before[0]) ** QUADRATIC > longest_s:
            yield {**row, "verdict": f"left out, may take longer than {longest_s:g} s"}
            continue
        command = [sys.executable, "-m", "benchmarks.rows", "--dim", str(dim)]
        done = subprocess.run(
            [*command, "--one", method, str(n_rows)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
        slope = math.nan
        if before:
            slope = math.log(found["cpu_s"] / before[1]) / math.log(n_rows / before[0])
        before = n_rows, found["cpu_s"]
        yield {**row, **found, "slope": slope, "verdict": _verdict(slope)}


def _verdict(slope: float) -> str:
    if math.isnan(slope):
        return ""
    return "met" if slope < QUADRATIC else "missed"


def one_fit(method: str, n_rows: int, dim: int) -> dict[str, object]:
    """Fit on generated rows, score others, and return what that took.

    Args:
        method: A classifier that competes, or the probe.
        n_rows: Training rows.
        dim: Columns of each modality.
    """
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CLASSES, BLOCKS * dim)) * 0.12
    y = generator.integers(0, CLASSES, n_rows + SCORED)
    X = generator.standard_normal((len(y), BLOCKS * dim), dtype=np.float32)
    X += centres[y].astype(np.float32)
    blocks = [slice(dim * block, dim * (block + 1)) for block in range(BLOCKS)]
    _answers(method, X[:40], y[:40], X[:4], blocks)  # what is imported on the way is no fit
    clock, processor = time.perf_counter(), time.process_time()
    answers, remark = _answers(method, X[:n_rows], y[:n_rows], X[n_rows:], blocks)
    return {
        "remark": remark,
        "cpu_s": time.process_time() - processor,
        "wall_s": time.perf_counter() - clock,
        "peak_gb": peak_bytes() / 1e9,
        "WA": 100 * float((answers == y[n_rows:]).mean()),
    }


def _answers(
    method: str, X: Matrix, y: Codes, asked: Matrix, blocks: Sequence[slice]
) -> tuple[Codes, str]:
    """Fit, and return the class codes of other rows, and what stands for the method, if anything.

    Args:
        method: A classifier that competes, or the probe.
        X: Rows to fit on (n, D).
        y: Their class codes (n,).
        asked: Rows to answer (m, D).
        blocks: The columns of each modality.
    """
    with threadpool_limits(limits=1):
        if method == PROBE:
            groups = (np.arange(len(X)) % SPEAKERS).astype(str)
            probe = fit_probe(X, y, CLASSES, groups)
            return probe.scores(asked).argmax(axis=1), ""
        model = fit_classifier(method, X, y, CLASSES, blocks=blocks)
        return model.predict(asked).labels, model.about


if __name__ == "__main__":
    main()
