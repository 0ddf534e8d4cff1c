"""The one writer of result tables: CSV with Unix line ends, whole or not at all, and stamped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from classify.claim import CLAIM, Claim
from embeddings_store.atomic import replacing

if TYPE_CHECKING:
    import pandas as pd


def write_csv(path: Path, table: pd.DataFrame, claim: Claim | None) -> None:
    """Write a table as CSV, without its index; a crash leaves the old file or the new one.

    Args:
        path: Where to.
        table: What to write.
        claim: What its figures may be called, for the column ``claim``, which no table goes
            without; none where its rows are of several runs and each has a claim of its own.

    Raises:
        ValueError: Nothing says what the figures may be called.
    """
    if claim is None:
        if CLAIM not in table:
            raise ValueError(f"{path.name}: its rows do not say what they may be called")
    elif CLAIM in table:
        table = table.assign(**{CLAIM: claim.text})
    else:
        table = table.copy()
        table.insert(0, CLAIM, claim.text)
    with replacing(path) as temporary:
        # the same bytes on every system, so that files can be compared
        table.to_csv(temporary, index=False, lineterminator="\n")
