"""What an earlier run left in a folder: what the next one takes out, and whether a report is of it.

``report.html`` carries a digest of the tables and of the audit that it shows; where the folder has
others by now, the report and the figures beside it are stale.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from classify.evaluation.result_files import AGAIN, GRID, RESULTS_TABLE, read_loosely
from classify.leakage.checks import FILE as AUDIT
from embeddings_store.errors import StoreError
from embeddings_store.reading import reading

REPORT, FIGURES = "report.html", "figures"
DIGEST = re.compile(r'<meta name="run" content="([0-9a-f]+)">')
HEAD_BYTES = 4096  # of the report; the digest stands in its first lines
SHOWN = 5  # names in a message; grid.csv lists the others
PARTS = {"cell": "systems", "fold": "folds", "seed": "seeds", "encoder_seed": "encoder seeds"}


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """What a folder held before a run wrote into it.

    Attributes:
        parts: Column of ``grid.csv`` to its values, of those that tell rows apart.
        tables: The names of its CSV files.
    """

    parts: dict[str, list[str]]
    tables: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> EarlierRun:
        """Return what a folder holds; nothing where no run has written there.

        Args:
            folder: Of results; a ``grid.csv`` there has been found to be a table of results.

        Raises:
            StoreError: It cannot be read.
        """
        path = folder / GRID
        if not path.is_file():
            return cls({}, ())
        rows = read_loosely(path, "move it away, or choose another --out")
        parts = {name: list(dict.fromkeys(rows[name])) for name in PARTS if name in rows}
        return cls(parts, _tables(folder))

    def removed(self, folder: Path, rows: pd.DataFrame) -> list[str]:
        """Say what of it is gone now.

        Args:
            folder: The same, after the next run has written its files.
            rows: The next run's rows of ``grid.csv``.

        Returns:
            Lines for the user, none where everything is still there.
        """
        lines = []
        for name, values in self.parts.items():
            if name == "encoder_seed" and len(values) == 1:
                continue  # the name of a single one changes with the modalities
            there = set(rows[name].astype(str))
            gone = [value for value in values if value not in there]
            if gone:
                lines.append(
                    f"{folder / GRID}: {len(gone)} of {len(values)} {PARTS[name]} of the earlier "
                    f"run are not in this one and are removed from the tables: {_some(gone)}; "
                    "what was computed for them is kept in cells/"
                )
        lost = sorted(set(self.tables) - set(_tables(folder)))
        if lost:
            lines.append(f"{folder}: removed tables of the earlier run: {', '.join(lost)}")
        return lines


def run_digest(folder: Path) -> str:
    """Return a digest over everything that a report shows: the tables and the audit."""
    digest = hashlib.sha256()
    for name in _tables(folder):
        with reading(folder / name, RESULTS_TABLE, AGAIN, StoreError):
            content = (folder / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    digest.update(_audit(folder / AUDIT))
    return digest.hexdigest()[:16]


def stale_report(folder: Path) -> str:
    """Say that the report and figures in a folder of results are of an earlier run, or nothing."""
    path = folder / REPORT
    if not path.is_file():
        return ""
    with reading(path, "a report", "remove it", StoreError), path.open("rb") as handle:
        found = DIGEST.search(handle.read(HEAD_BYTES).decode("utf-8", "replace"))
    if found and found[1] == run_digest(folder):
        return ""
    return (
        f"{path} and {FIGURES}/ beside it are stale: they show an earlier run than the tables; "
        f"make them again with make-report {folder}"
    )


def _tables(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.glob("*.csv")))


def _audit(path: Path) -> bytes:
    """Return what an audit found, without its date; nothing where there is none."""
    if not path.is_file():
        return b""
    # whoever shows a damaged one says that it is
    with suppress(StoreError), reading(path, "an audit", AGAIN, StoreError):
        found = json.loads(path.read_bytes())
        found.pop("date", None)
        return json.dumps(found, sort_keys=True).encode()
    return b"damaged"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
