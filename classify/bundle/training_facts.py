"""What the rows of training were like, so that it can be seen where new media are not."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Manifest

SECONDS, LANGUAGES = "row_seconds", "languages"  # keys of a bundle's ``about``
_FORM = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) to ([0-9]{1,6}(?:\.[0-9]{1,3})?) s\b.*")


def training_facts(manifest: Manifest, places: NDArray[np.int64]) -> dict[str, str]:
    """Return how long rows last, and their languages, as far as the manifest says.

    Args:
        manifest: The corpus.
        places: The rows of training (n,).

    >>> import pandas as pd
    >>> columns = {"id": ["a", "b"], "audio": ["f.wav", "f.wav"], "start_s": [0.0, 2.0]}
    >>> manifest = Manifest.from_columns("toy", {**columns, "end_s": [2.0, 4.0]})
    >>> training_facts(manifest, np.arange(2))
    {'row_seconds': '2 to 2 s (5 and 95 % of rows)'}
    """
    table, found = manifest.table.iloc[places], {}
    lengths_s = (table["end_s"] - table["start_s"]).to_numpy(dtype=np.float64)
    known_s = lengths_s[np.isfinite(lengths_s)]
    if len(known_s):
        low, high = (f"{value:.3f}".rstrip("0").rstrip(".") for value in _quantiles(known_s))
        found[SECONDS] = f"{low} to {high} s (5 and 95 % of rows)"
    languages = sorted(set(table["language"].astype(str)) - {""})
    if languages:
        found[LANGUAGES] = ", ".join(languages)
    return found


def read_seconds(text: str) -> tuple[float, float] | None:
    """Return the two lengths that :func:`training_facts` gave, none where it gave none.

    >>> read_seconds("0.8 to 1.25 s (5 and 95 % of rows)"), read_seconds("")
    ((0.8, 1.25), None)
    """
    found = _FORM.fullmatch(text)
    return (float(found[1]), float(found[2])) if found else None


def _quantiles(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.quantile(values, [0.05, 0.95])]
