"""Which cell counts.

Chosen on validation rows, fixed beforehand, or the best on test, which is only an upper bound.
"""

from __future__ import annotations

import pandas as pd

from classify.names import EARLY, UNIMODAL
from classify.results.table import BEST_ON_TEST, CANDIDATES, CHOSEN, FIXED, ON_TEST


def with_flags(rows: pd.DataFrame, select_on: str) -> pd.DataFrame:
    """Mark the cells that count, see the module's first lines."""
    candidates = rows[rows["family"].isin(CANDIDATES)]
    marks: dict[str, list[str]] = {}
    if select_on == "test":
        marks[_best(candidates, "WA", "n_scored", "n_test")] = [ON_TEST]
    elif (rows["n_valid"] > 0).all():
        marks.setdefault(_best(candidates, "valid_WA", "n_valid_scored", "n_choice"), []).append(
            CHOSEN
        )
    else:
        fused = candidates[candidates["family"] == EARLY]
        sizes = fused["modalities"].str.count(r"\+")
        fixed = (
            fused[(fused["method"] == "concatenation") & (sizes == sizes.max())]
            if len(fused)
            else (candidates[candidates["family"] == UNIMODAL])
        )
        fixed = fixed[fixed["classifier"] == "svm"]
        if fixed["cell"].nunique() == 1:
            marks.setdefault(str(fixed["cell"].iloc[0]), []).append(FIXED)
    marks.setdefault(_best(candidates, "WA", "n_scored", "n_test"), []).append(BEST_ON_TEST)
    return rows.assign(flags=rows["cell"].map(lambda name: " ".join(marks.get(name, []))))


def _best(candidates: pd.DataFrame, metric: str, answered: str, of: str) -> str:
    """Return the cell with the largest mean over folds of correct answers over all rows."""
    share = candidates[metric].fillna(0.0) * candidates[answered] / candidates[of]
    return str(share.groupby(candidates["cell"], sort=False).mean().idxmax())
