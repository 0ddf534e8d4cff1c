"""Says where UAR over folds and UAR of all rows pooled part: folds whose test rows lack a class.

A fold's UAR is the mean recall of the classes that its test rows hold. Where a speaker lacks a
class, the mean over such folds and the pooled figure are two figures, both called UAR.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

NEEDED = ("cell", "metric", "class", "folds", "mean", "pooled")
UAR = "UAR"


@dataclass(frozen=True, slots=True)
class TwoUars:
    """UAR of one cell in both ways, where some fold's test rows lack a class.

    Attributes:
        over_folds: Mean over the folds, in [0, 1].
        pooled: Of all test rows pooled, in [0, 1].
        absent: Each class that a fold lacks, to how many folds hold it.
        folds: How many folds there are.
    """

    over_folds: float
    pooled: float
    absent: dict[str, int]
    folds: int

    @property
    def sentence(self) -> str:
        """Both figures beside each other, and why they are two.

        >>> TwoUars(0.702, 0.631, {"boredom": 6}, 10).sentence
        'UAR is 70.2 % as the mean over folds and 63.1 % of all test rows pooled, because not every fold tests every class (boredom in 6 of 10 folds) and a fold averages those that it has: say which of the two you quote'
        """  # noqa: E501
        held = ", ".join(f"{name} in {count}" for name, count in self.absent.items())
        return (
            f"UAR is {100 * self.over_folds:.1f} % as the mean over folds and "
            f"{100 * self.pooled:.1f} % of all test rows pooled, because not every fold tests "
            f"every class ({held} of {self.folds} folds) and a fold averages those that it has: "
            "say which of the two you quote"
        )


def two_uars(statistics: pd.DataFrame, cell: str) -> TwoUars | None:
    """Return both figures of a cell; none where every fold tests every class.

    Args:
        statistics: As in ``statistics.csv``; of other columns nothing is said.
        cell: The cell.
    """
    if not set(NEEDED) <= set(statistics):
        return None
    of_cell = statistics[statistics["cell"] == cell]
    is_whole = (of_cell["class"].fillna("") == "").to_numpy()
    whole = of_cell[is_whole & (of_cell["metric"] == UAR).to_numpy()]
    if not len(whole):
        return None
    line = whole.iloc[0]
    recalls = of_cell[~is_whole & (of_cell["metric"] == "recall").to_numpy()]
    # a class without a row anywhere counts in neither figure
    uneven = recalls[(recalls["folds"] > 0) & (recalls["folds"] < line["folds"])]
    if not len(uneven):
        return None
    absent = {
        str(name): int(count) for name, count in zip(uneven["class"], uneven["folds"], strict=True)
    }
    return TwoUars(float(line["mean"]), float(line["pooled"]), absent, int(line["folds"]))
