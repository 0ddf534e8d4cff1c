"""Seconds and memory that reading and checking millions of rows takes, beside plain pandas."""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from pyarrow import parquet

from benchmarks.record import RESULTS, record
from embeddings_store.atomic import replacing

BATCH = 250_000
WORDS = np.array(
    [
        "so",
        "then",
        "she",
        "said",
        "it",
        "was",
        "never",
        "going",
        "to",
        "be",
        "the",
        "same",
        "again",
        "and",
        "he",
    ]
)
# One transcript in so many is as long as a page, as automatic ones of unsegmented recordings are.
LONG_EVERY, LONG_WORDS = 1000, 800
READS = {
    "pandas.read_csv": "import pandas; t = pandas.read_csv({csv!r}, dtype=str, "
    "keep_default_na=False)",
    "pandas.read_parquet": "import pandas; t = pandas.read_parquet({parquet!r})",
    "Manifest.read csv": "t = Manifest.read(Path({csv!r}))",
    "Manifest.read parquet": "t = Manifest.read(Path({parquet!r}))",
    "Manifest.read parquet, codes, digest": "t = Manifest.read(Path({parquet!r})); t.codes(); "
    "t.digest",
    "scan_manifest csv": "t = range(scan_manifest(Path({csv!r})).rows)",
    "scan_manifest parquet": "t = range(scan_manifest(Path({parquet!r})).rows)",
}


def write_rows(folder: Path, rows: int) -> tuple[Path, Path]:
    """Write the same rows as CSV and Parquet, a batch at a time.

    Ids, labels, speakers, transcripts, paths, times.
    """
    csv, table = folder / "rows.csv", folder / "rows.parquet"
    generator, schema = np.random.default_rng(0), _batch(np.random.default_rng(0), 0, 2).schema
    with (
        pyarrow.csv.CSVWriter(csv, schema) as lines,
        parquet.ParquetWriter(table, schema) as columns,
    ):
        for start in range(0, rows, BATCH):
            batch = _batch(generator, start, min(BATCH, rows - start))
            lines.write_table(batch)
            columns.write_table(batch)
    return csv, table


def _batch(generator: np.random.Generator, start: int, rows: int) -> pa.Table:
    number = np.arange(start, start + rows)
    lengths = np.where(number % LONG_EVERY == 0, LONG_WORDS, generator.integers(3, 20, rows))
    drawn = WORDS[generator.integers(0, len(WORDS), int(lengths.sum()))]
    text = [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]
    begins = np.round(generator.uniform(0, 3000, rows), 2)
    return pa.table(
        {
            "id": [f"call-{n // 200:06d}_utt-{n:08d}" for n in number],
            "label": np.array(["anger", "joy", "neutral", "sadness"])[number % 4],
            "speaker": [f"speaker-{n // 40:06d}" for n in number],
            "session": [f"session-{n // 40 % 20:02d}" for n in number],
            "text": text,
            "audio": [f"calls/{n // 200 % 100:02d}/call-{n // 200:06d}.flac" for n in number],
            "start_s": begins,
            "end_s": begins + np.round(generator.uniform(0.5, 9, rows), 2),
        }
    )


def measure(code: str) -> dict[str, float]:
    """Run code in a process of its own.

    Returns its seconds and peak memory beyond what its imports take, in GB.
    """
    imports = (
        "import pandas, pyarrow.csv, pyarrow.parquet\nfrom pathlib import Path\n"
        "from embeddings_store.corpus.manifest import Manifest\nfrom embeddings_store.corpus.scan "
        "import scan_manifest"
    )
    program = (
        f"import json, time\n{imports}\nfrom benchmarks.manifest_scale import peak_bytes\nbefore = "
        f"peak_bytes()\nstarted = time.perf_counter()\n{code}\nprint(json.dumps({{'s': "
        "time.perf_counter() - started, 'rows': len(t), 'peak': peak_bytes() - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    measured = json.loads(done.stdout)
    return {
        "rows": measured["rows"],
        "seconds": measured["s"],
        "peak_gb": measured["peak"] / 1e9,
    }


def peak_bytes() -> int:
    """Return the most memory that this process has held at a time.

    ``ru_maxrss`` of Linux counts what its parent held, too.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(
        int(line.split()[1]) * 1024
        for line in status.read_text().splitlines()
        if line.startswith("VmHWM")
    )


def main() -> None:
    """Measure and record."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument(
        "--folder", type=Path, help="where the tables are written (default: a temporary folder)"
    )
    arguments.add_argument("--only", nargs="+", choices=list(READS), default=list(READS))
    arguments.add_argument("--no-record", action="store_true", help="print only")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        csv, table = write_rows(Path(folder), options.rows)
        sizes = {"csv": csv.stat().st_size / 1e9, "parquet": table.stat().st_size / 1e9}
        found = []
        for name in options.only:
            measured = measure(READS[name].format(csv=str(csv), parquet=str(table)))
            found.append(
                {"read": name, "file_gb": sizes["csv" if "csv" in name else "parquet"], **measured}
            )
            print(
                {
                    key: round(value, 3) if isinstance(value, float) else value
                    for key, value in found[-1].items()
                },
                flush=True,
            )
    if not options.no_record:
        only = "" if options.only == list(READS) else " --only " + shlex.join(options.only)
        print(_record(found, f"python -m benchmarks.manifest_scale --rows {options.rows}{only}"))


def _record(found: list[dict[str, Any]], command: str) -> Path:
    """Record what was measured; the rows of other reads stay as they are."""
    path = RESULTS / "manifest_scale.csv"
    before = pd.read_csv(path, dtype=str) if path.is_file() else pd.DataFrame({"read": []})
    record("manifest_scale", found, command)
    rows = pd.concat(
        [before[~before["read"].isin([row["read"] for row in found])], pd.read_csv(path, dtype=str)]
    )
    with replacing(path) as temporary:
        rows.sort_values("read", key=lambda reads: reads.map(list(READS).index)).to_csv(
            temporary, index=False
        )
    return path


if __name__ == "__main__":
    main()
