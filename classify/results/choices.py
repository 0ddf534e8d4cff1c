"""What was chosen or learnt on which rows of one cell, in words, so that rows that served twice are seen.

``CHOICES.md`` beside this file has the whole table. Here are the purposes that validation or test
rows may serve:

===============  =====================================================================================================
``epoch``        an encoder's epoch was chosen on them, before any vector was made
``layer``        a layer was chosen on them (``--layer valid``)
``weights``      what learns from class scores learnt from them
``settings``     a classifier's settings were chosen on them (``--tune``)
``calibration``  probabilities were calibrated on them
``cell``         the cell that counts was chosen on them
===============  =====================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from classify.grid.calibration import NONE, Calibrated, calibrate
from classify.grid.outcome import CellOutcome
from classify.grid.validation_rows import choosing_rows, for_learning, learning_rows
from classify.names import BASELINE, CHOICE, LAYER, LEARN, TEST, VALID

if TYPE_CHECKING:
    from classify.grid.prepared import PreparedGrid
    from classify.grid.tasks import CellTask

OVERLAPS = {VALID: (VALID, LEARN, CHOICE), LEARN: (LEARN,), CHOICE: (CHOICE,), TEST: (TEST,)}


def in_words(purposes: Mapping[str, str]) -> str:
    """Return the column ``chosen_on``.

    >>> in_words({"epoch": "valid", "layer": "", "cell": "valid"})
    'epoch: valid; cell: valid'
    """
    return "; ".join(f"{purpose}: {rows}" for purpose, rows in purposes.items() if rows)


def sharing(purposes: Mapping[str, str]) -> str:
    """Return the purposes that share validation or test rows, the column ``shared_rows``.

    Empty where none do.

    >>> sharing({"epoch": "valid", "settings": "train (3 grouped splits), 20 trials", "cell": "valid"})
    'epoch+cell'
    >>> sharing({"epoch": VALID, "settings": f"{LEARN}, 20 trials", "calibration": LEARN, "cell": CHOICE})
    'epoch+settings+calibration, epoch+cell'
    """
    held = {
        purpose: rows.partition(", ")[0] for purpose, rows in purposes.items()
    }  # without the number of trials
    halved = {LEARN, CHOICE} & set(held.values())
    parts = [
        [p for p, rows in held.items() if part in OVERLAPS.get(rows, ())]
        for part in ((LEARN, CHOICE, TEST) if halved else (VALID, TEST))
    ]
    return ", ".join("+".join(part) for part in parts if len(part) > 1)


def note(rows: pd.DataFrame, split: bool) -> str:
    """Say of the rows of ``grid.csv`` which purposes share rows; empty where none do."""
    shared = [s for s in rows["shared_rows"].drop_duplicates() if s]
    if not shared:
        return ""
    lines = [
        f"the same rows serve several purposes ({'; '.join(shared)}), so figures on them are "
        "optimistic"
    ]
    if not split and rows["chosen_on"].str.contains(VALID, regex=False).any():
        lines.append("--valid-split keeps a half of them for choosing the cell")
    if any("epoch" in s for s in shared):
        lines.append(
            "an encoder's epoch was chosen on all of them when it was trained, which no split "
            "undoes"
        )
    return "; ".join(lines)


def purposes_of(
    prepared: PreparedGrid, task: CellTask, outcome: CellOutcome, calibrated: Calibrated
) -> dict[str, str]:
    """Return which rows served which purpose in one cell and fold; nothing for a baseline."""
    cell, facts, split = task.cell, outcome.facts, prepared.config.valid_split is not None
    if cell.family == BASELINE:
        return {}
    learn, choose = learning_rows(split), choosing_rows(split) if len(outcome.y["valid"]) else ""
    tuned = facts.get("tuned")
    layered = cell.family != LAYER and any(len(prepared.views[m]) > 1 for m in cell.modalities)
    return {
        "epoch": TEST
        if facts.get("n_test_selected")
        else VALID
        if facts.get("n_valid_selected")
        else "",
        "layer": learn if layered else "",
        "weights": learn if "valid" in str(facts.get("learnt_on", "")) else "",
        "settings": str(tuned["on"]) if isinstance(tuned, dict) else "",
        "calibration": learn if calibrated.probabilities else "",
        "cell": ""
        if cell.family == LAYER
        else TEST
        if prepared.config.select_on == "test"
        else choose,
    }


def calibrated_cell(prepared: PreparedGrid, task: CellTask, outcome: CellOutcome) -> Calibrated:
    """Calibrate one cell and fold as the configuration says, on the validation rows that may be learnt from."""
    fold = next(f for f in prepared.folds if f.number == task.source.fold)
    method = NONE if task.cell.family == BASELINE else prepared.config.calibrate
    return calibrate(
        method,
        outcome,
        for_learning(outcome.ids["valid"], fold.apart),
        learning_rows(prepared.config.valid_split is not None),
        len(prepared.labels.classes),
    )
