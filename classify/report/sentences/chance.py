"""The sentence that the report prints about chance, and the tile beside it.

Chance is the baseline that always answers the commonest class of the training rows.
"""

from __future__ import annotations

from classify.figures.results_folder import FinishedRun
from classify.report.sentences.tile import Tile


def chance_sentence(run: FinishedRun) -> str:
    """Say what answering without looking reaches, or nothing where the run lacks that baseline."""
    if not run.majority:
        return ""
    return (
        "Always answering the commonest class of the training rows gives "
        f"{run.mean(run.majority):.1f} %."
    )


def chance_tiles(run: FinishedRun) -> list[Tile]:
    """Return the tile of answering without looking, or none where the run lacks that baseline."""
    if not run.majority:
        return []
    return [
        Tile(
            f"{run.mean(run.majority):.1f} %",
            "always the commonest class",
            "WA of answering without looking",
        )
    ]
