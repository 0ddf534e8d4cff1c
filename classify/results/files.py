"""The one writer of result tables: CSV with Unix line ends, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from embeddings_store.atomic import replacing


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, without its index; a crash leaves the old file or the new one."""
    with replacing(path) as temporary:
        # the same bytes on every system, so that files can be compared
        table.to_csv(temporary, index=False, lineterminator="\n")
