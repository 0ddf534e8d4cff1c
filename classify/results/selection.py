"""Which cell counts: chosen on validation rows, fixed beforehand, or only an upper bound.

Where every fold has validation rows, the cell with the best mean accuracy on them is
``chosen_on_valid`` and its test figures are the result (``chosen_on_fitted`` where an encoder was
fitted on rows that choose, see ``--choose-on``). Without validation rows nothing is chosen:
the paper's final model (concatenation + SVM; of one modality its SVM) stands as
``fixed_beforehand``. The cell that is best on test is shown as ``best_on_test``, an upper bound and
no result; with ``--select-on test`` it is also ``chosen_on_test``, and the column ``claim`` of
every row and table says ``upper bound`` instead of ``result``. A row of the plan that a cell cannot
answer counts as wrong in these comparisons. Baselines and single layers are not candidates; ties go
to the first in the order of the table.

:mod:`classify.evaluation.means` has the formula.
"""

from __future__ import annotations

import pandas as pd

from classify.evaluation.means import first_best, has_chosen, mean_on_test, mean_on_valid
from classify.names import EARLY, UNIMODAL
from classify.results.table import BEST_ON_TEST, CANDIDATES, CHOSEN, FIXED, ON_FITTED, ON_TEST


def with_flags(rows: pd.DataFrame, select_on: str) -> pd.DataFrame:
    """Mark the cells that count, see the module's first lines.

    Args:
        rows: One per cell, fold and seed, in the columns of ``grid.csv``.
        select_on: ``valid``, or ``test`` for an upper bound.
    """
    candidates = rows[rows["family"].isin(CANDIDATES)]
    best_on_test = first_best(mean_on_test(candidates).to_dict())
    marks: dict[str, list[str]] = {}
    if select_on == "test":
        marks[best_on_test] = [ON_TEST]
    elif has_chosen(rows):
        how = CHOSEN if (rows["n_valid"] > 0).all() else ON_FITTED
        marks[first_best(mean_on_valid(candidates).to_dict())] = [how]
    elif fixed := _fixed_beforehand(candidates):
        marks[fixed] = [FIXED]
    marks.setdefault(best_on_test, []).append(BEST_ON_TEST)
    return rows.assign(flags=rows["cell"].map(lambda name: " ".join(marks.get(name, []))))


def _fixed_beforehand(candidates: pd.DataFrame) -> str:
    """Return the paper's final model, concatenation of all modalities and an SVM, or nothing.

    Where nothing is fused early, the SVM of the only modality stands for it.
    """
    fused = candidates[candidates["family"] == EARLY]
    if len(fused):
        sizes = fused["modalities"].str.count(r"\+")
        final = fused[(fused["method"] == "concatenation") & (sizes == sizes.max())]
    else:
        final = candidates[candidates["family"] == UNIMODAL]
    names = final.loc[final["classifier"] == "svm", "cell"].unique()
    return str(names[0]) if len(names) == 1 else ""
