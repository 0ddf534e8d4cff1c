"""What was chosen or learnt on which rows, in words, so that rows that served twice are seen.

``classify/CHOICES.md`` has the whole table. Here are the purposes that validation or test rows may
serve; beside them stands ``probe``, how strong a probe is, which training rows alone choose:

===============  ==============================================================================
``epoch``        an encoder's epoch was chosen on them, before any vector was made
``layer``        a layer was chosen on them (``--layer choose``)
``weights``      what learns from class scores learnt from them
``settings``     a classifier's settings were chosen on them (``--tune``, ``--choose inner``)
``calibration``  probabilities were calibrated on them
``cell``         the cell that counts was chosen on them
===============  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from classify.grid.calibration import NONE, Calibrated, calibrate
from classify.grid.outcome import CellOutcome
from classify.grid.validation_rows import choosing_rows, for_learning, learning_rows
from classify.names import BASELINE, CHOICE, INNER, LAYER, LEARN, TEST, VALID

if TYPE_CHECKING:
    from classify.grid.prepared import PreparedGrid
    from classify.grid.tasks import CellTask

# Which parts of the rows a name covers: all validation rows hold both of their halves.
PARTS_OF = {
    VALID: (VALID, LEARN, CHOICE),
    LEARN: (LEARN,),
    CHOICE: (CHOICE,),
    INNER: (INNER,),
    TEST: (TEST,),
}


def in_words(purposes: Mapping[str, str]) -> str:
    """Return the column ``chosen_on``.

    >>> in_words({"epoch": "valid", "layer": "", "cell": "valid"})
    'epoch: valid; cell: valid'
    """
    return "; ".join(f"{purpose}: {rows}" for purpose, rows in purposes.items() if rows)


def sharing(purposes: Mapping[str, str]) -> str:
    """Return the purposes that share validation or test rows, the column ``shared_rows``.

    Empty where none do.

    >>> sharing({"epoch": "valid", "settings": "train (3 grouped splits)", "cell": "valid"})
    'epoch+cell'
    >>> halves = {"settings": f"{LEARN}, 20 trials", "calibration": LEARN, "cell": CHOICE}
    >>> sharing({"epoch": VALID, **halves})
    'epoch+settings+calibration, epoch+cell'
    """
    # "valid, 20 trials" are validation rows
    named = {purpose: rows.partition(", ")[0] for purpose, rows in purposes.items()}
    were_halved = {LEARN, CHOICE} & set(named.values())
    shared = []
    for part in (LEARN, CHOICE, TEST) if were_halved else (VALID, INNER, TEST):
        served = [p for p, rows in named.items() if part in PARTS_OF.get(rows, ())]
        if len(served) > 1:
            shared.append("+".join(served))
    return ", ".join(shared)


def note(rows: pd.DataFrame, split: bool) -> str:
    """Return a note on the purposes that share rows; empty where none do.

    Args:
        rows: The rows of ``grid.csv``.
        split: Whether validation rows were halved (``--valid-split``).
    """
    shared = [purposes for purposes in rows["shared_rows"].drop_duplicates() if purposes]
    if not shared:
        return ""
    lines = [
        f"the same rows serve several purposes ({'; '.join(shared)}), so figures on them are "
        "optimistic"
    ]
    if not split and rows["chosen_on"].str.contains(VALID, regex=False).any():
        lines.append("--valid-split keeps a half of them for choosing the cell")
    if any("epoch" in purposes for purposes in shared):
        lines.append(
            "an encoder's epoch was chosen on all of them when it was trained, which no split "
            "undoes"
        )
    return "; ".join(lines)


def purposes_of(
    prepared: PreparedGrid, task: CellTask, outcome: CellOutcome, calibrated: Calibrated
) -> dict[str, str]:
    """Return which rows served which purpose in one cell and fold; nothing for a baseline.

    Args:
        prepared: The run.
        task: What was computed.
        outcome: What came of it.
        calibrated: Its calibrated probabilities.
    """
    cell, facts = task.cell, outcome.facts
    if cell.family == BASELINE:
        return {}
    learn = _learning_rows(prepared)
    has_candidates = any(len(prepared.views[m]) > 1 for m in cell.modalities)
    tuned = facts.get("tuned")
    return {
        "epoch": _chose_epoch(outcome),
        "layer": learn if has_candidates and cell.family != LAYER else "",
        "weights": learn if "valid" in str(facts.get("learnt_on", "")) else "",
        "settings": str(tuned["on"]) if isinstance(tuned, dict) else "",
        "probe": _chose_probes(outcome),
        "calibration": learn if calibrated.probabilities else "",
        "cell": _chose_cell(prepared, task, outcome),
    }


def _chose_probes(outcome: CellOutcome) -> str:
    """Return what chose how strong the probes of a cell are; nothing where it has none."""
    probes = outcome.facts.get("probes")
    if not isinstance(probes, dict):
        return ""
    return ", ".join(dict.fromkeys(chosen_on for _, chosen_on in probes.values()))


def _chose_epoch(outcome: CellOutcome) -> str:
    """Return the rows on which an encoder's epoch was chosen; nothing for frozen encoders."""
    if outcome.facts.get("n_test_selected"):
        return TEST
    return VALID if outcome.facts.get("n_valid_selected") else ""


def _chose_cell(prepared: PreparedGrid, task: CellTask, outcome: CellOutcome) -> str:
    """Return the rows that choose the cell that counts; a single layer is no candidate."""
    if task.cell.family == LAYER:
        return ""
    if prepared.config.select_on == "test":
        return TEST
    if not len(outcome.y["valid"]):
        return ""
    if prepared.config.choose == INNER:
        return INNER
    return choosing_rows(prepared.config.valid_split is not None)


def _learning_rows(prepared: PreparedGrid) -> str:
    """Return the name of the rows on which layers are chosen and probabilities calibrated."""
    if prepared.config.choose == INNER:
        return INNER
    return learning_rows(prepared.config.valid_split is not None)


def calibrated_cell(prepared: PreparedGrid, task: CellTask, outcome: CellOutcome) -> Calibrated:
    """Calibrate one cell and fold as the configuration says.

    The validation rows that may be learnt from are what it is fitted on.

    Args:
        prepared: The run.
        task: What was computed.
        outcome: What came of it.
    """
    fold = next(f for f in prepared.folds if f.number == task.source.fold)
    method = NONE if task.cell.family == BASELINE else prepared.config.calibrate
    return calibrate(
        method,
        outcome,
        for_learning(outcome.ids["valid"], fold.apart),
        _learning_rows(prepared),
        len(prepared.labels.classes),
    )
