"""Write a table of results with the columns that say where its numbers come from."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from embeddings_store.atomic import replacing
from embeddings_store.provenance import commit, package_versions

RESULTS = Path(__file__).parent / "results"
# Of the code that this process runs, read before it has written anything. Tables that were recorded
# before it make no other code of it.
COMMIT = commit(outputs="benchmarks/results")


def record(
    name: str, rows: Sequence[Mapping[str, object]] | pd.DataFrame, command: str, seed: int = 0
) -> Path:
    """Write ``results/NAME.csv``.

    The rows, then command, commit, machine, seed, date and versions on each of them.

    Returns:
        The file, written whole or not at all.
    """
    table = pd.DataFrame(rows)
    about = {
        "command": command,
        "commit": COMMIT,
        "machine": machine(),
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        "versions": " ".join(f"{name}=={version}" for name, version in package_versions().items()),
    }
    for column, value in about.items():
        table[column] = value
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)
    return path


def machine() -> str:
    """Describe the processor and its cores; names no host."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        named = [
            line.partition(":")[2].strip()
            for line in information.read_text().splitlines()
            if line.startswith("model name")
        ]
        model = named[0] if named else model
    return f"{model}, {os.cpu_count()} cores"
