"""The benchmark of the grid compares the same rows of the same cells, at a small size."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.grid import CLASSIFIERS, WAYS, WHOLE, measure


@pytest.mark.telling
def test_the_grid_and_the_plain_script_answer_the_same_rows() -> None:
    table = pd.DataFrame(measure(200, 8))
    assert len(table) == (len(CLASSIFIERS) + 1) * len(WAYS)
    defaults = table[table["way"] == "defaults"].set_index("classifier")
    assert defaults["cells"].to_dict() == {"svm": 7, "nn": 7, "xgboost": 7, WHOLE: 21}
    assert (defaults["labels_compared"] == defaults["cells"] * 40).all()
    assert defaults.loc["svm", "labels_equal"] == 1
    assert defaults.loc["nn", "labels_equal"] == 1
    assert (table["grid_cpu_s"] > 0).all() and (table["plain_cpu_s"] > 0).all()
