"""Reads when the shots of a film begin, as shot detectors list them."""

from __future__ import annotations

from pathlib import Path

from embeddings_store.errors import ManifestError
from embeddings_store.reading import read_text, reading

FORM = "seconds at which shots begin, one a line"


def read_shots(path: Path) -> tuple[float, ...]:
    """Return when shots begin, in seconds, ascending.

    Args:
        path: A number a line; empty lines and lines that begin with ``#`` are passed over.

    Raises:
        ManifestError: A line is no time.
    """
    times = []
    for line in read_text(path, FORM).splitlines():
        if line.strip() and not line.startswith("#"):
            with reading(path, FORM, "write one number a line"):
                times.append(float(line))
    if any(not 0 <= at_s < float("inf") for at_s in times):
        raise ManifestError(f"{path}: holds what is no time; write {FORM}")
    return tuple(sorted(times))
