"""``degradation.csv``: how every way of fusing does as modalities drop out of test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from classify.evaluation.metrics import COVERAGE, METRICS, WA_ALL, completeness, summary
from classify.grid.outcome import CellOutcome

DEGRADATION = "degradation.csv"
ABOUT = (
    "claim",
    "corpus",
    "protocol",
    "split_digest",
    "label_set",
    "labels_shuffled",
    "fold",
    "fold_name",
    "cell",
    "family",
    "method",
    "modalities",
    "classifier",
    "learnt_on",
    "expression",
    "fit_rows",
    "seed",
    "encoder_seed",
)


def degradation_table(
    answers: Sequence[tuple[Mapping[str, object], CellOutcome]], seed: int
) -> pd.DataFrame:
    """Return one row per cell, fold and drop, with every metric in [0, 1].

    Args:
        answers: The row of the results that a cell and fold has, and what it answered at every
            drop.
        seed: The seed of the drops.
    """
    lines = []
    for row, outcome in answers:
        about = {column: row.get(column, "") for column in ABOUT}
        for name, stage in outcome.stages.items():
            # stages are named by their drop, as "audio 0.5"
            modality, _, rate = name.rpartition(" ")
            line = {
                "dropped": modality,
                "rate": float(rate),
                "drop_seed": seed,
                "n_scored": len(stage["test"]),
            }
            figures = summary(outcome.y["test"], stage["test"].labels)
            covered, of_all = completeness(figures["WA"], len(stage["test"]), row["n_test"])  # type: ignore[arg-type]
            planned = {"n_test": row["n_test"], COVERAGE: float(covered), WA_ALL: float(of_all)}
            lines.append({**about, **line, **figures, **planned})
    return pd.DataFrame(lines)


def in_short(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean accuracy in per cent, one line per cell and one column per drop."""
    drops = table["dropped"] + " " + table["rate"].map("{:g}".format)
    means = table.groupby([table["cell"], drops], sort=False)[METRICS[0]].mean().unstack(sort=False)
    return (100 * means).round(2)
