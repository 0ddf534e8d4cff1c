"""The figures on subsets of the test rows, as a table for a terminal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console

from classify.evaluation.result_files import AGAIN, RESULTS_TABLE
from classify.names import BASELINE
from classify.results.paper_tables import per_cent
from classify.results.text_overlap import LOOK_UP, SUBSETS_FILE
from classify.terminal.console import add_line, figures_table, print_table, two_decimals
from embeddings_store.errors import StoreError
from embeddings_store.reading import reading

MEANING = (
    "text-unseen: the normalised transcript does not occur word for word in the fold's training "
    "rows (the audit's transcripts also count near-identical ones and validation rows); the "
    "look-up answers with the commonest class of the same transcript in training; means over folds"
)


def show_subsets(results: Path, headline: str, console: Console) -> None:
    """Print accuracy on the subsets, of the cell that counts, the look-up and the baselines.

    Nothing where there are none.

    Args:
        results: The folder of the run.
        headline: The cell that counts.
        console: Where to.
    """
    path = results / SUBSETS_FILE
    if not path.is_file():
        return
    with reading(path, RESULTS_TABLE, AGAIN, StoreError):
        frame = pd.read_csv(path, dtype={"cell": str})
    subsets = list(dict.fromkeys(frame["subset"]))
    table = figures_table("Subsets of the test rows (WA, per cent)", subsets)
    is_baseline = frame["cell"].str.startswith(f"{BASELINE} ")
    for cell, of_cell in frame[(frame["cell"] == headline) | is_baseline].groupby(
        "cell", sort=False
    ):
        accuracies = of_cell.set_index("subset")["WA"].reindex(subsets)
        add_line(table, str(cell), *(two_decimals(per_cent(share)) for share in accuracies))
    sizes = frame[frame["cell"] == LOOK_UP].set_index("subset")["n"]
    add_line(table, "rows", *(str(sizes[name]) for name in subsets))
    print_table(console, table, [MEANING])
