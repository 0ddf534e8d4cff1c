"""What an entry in the table of classifiers consists of: settings, ranges, and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]
Codes = NDArray[np.int64]
Settings = Mapping[str, float]


class Estimator(Protocol):
    """What an entry's ``build`` returns: fitted on codes 0 .. k-1, it gives one value per code."""

    def fit(self, X: Matrix, y: Codes) -> Estimator:
        """Fit on rows (n, D) and their codes (n,)."""

    def values(self, X: Matrix) -> Matrix:
        """Return margins or probabilities (n, k) of rows (n, D), n >= 1."""


class BlockwiseEstimator:
    """An estimator that makes use of which columns come from where.

    Attributes:
        blocks: The columns of each modality or other part, in order and without gaps; set before
            rows are fitted, and nothing where they are one block.
        about: What it was fitted with in place of what its name says, such as an approximation;
            results print it.
    """

    blocks: Sequence[slice] = ()
    about: str = ""

    def cut(self, rows: Matrix) -> list[Matrix]:
        """Return the blocks of rows (n, D)."""
        return [rows[:, columns] for columns in self.blocks] or [rows]


class ProbabilityEstimator:
    """Any scikit-learn classifier that has ``predict_proba``."""

    def __init__(self, classifier: Any) -> None:  # scikit-learn has no types
        self.classifier = classifier

    def fit(self, X: Matrix, y: Codes) -> ProbabilityEstimator:
        """Fit on rows (n, D) and codes (n,)."""
        self.classifier.fit(X, y)
        return self

    def values(self, X: Matrix) -> Matrix:
        """Return probabilities (n, k)."""
        return np.asarray(self.classifier.predict_proba(X))


@dataclass(frozen=True, slots=True)
class SearchRange:
    """Where ``--tune`` looks for a setting, ends included.

    Attributes:
        low: The smallest value.
        high: The largest value.
        log: Whether values are drawn evenly in the logarithm.
    """

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that changes results.

    Attributes:
        default: Its value where the user gives none; an ``int`` takes whole numbers only.
        reason: Why this default, or where it comes from.
        above: It must be larger than this.
        below: It must be smaller than this.
        search: Where ``--tune`` looks for it, or none to leave it alone.
        ladder: The values that ``--choose inner`` chooses among where the user gives none, the
            preferred one first; nothing where it keeps the default.
    """

    default: float
    reason: str
    above: float = 0.0
    below: float = 1e6
    search: SearchRange | None = None
    ladder: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassifierSpec:
    """One entry of the table of classifiers.

    Attributes:
        name: The name on the command line and in every result.
        title: The name in printed tables.
        kind: What its values are: ``margin`` or ``probability``.
        settings: Setting name to default and reason; the command offers
            ``--<classifier>-<setting>``.
        build: Makes an unfitted estimator from settings and seed.
        cost_s: Seconds that it took on 4,400 rows x 2304 columns x 4 classes, one thread; long
            tasks start first.
        baseline: Chance, not a competitor: always run, never chosen.
        draws: Whether it draws random numbers; else its answers are the same for every seed.
    """

    name: str
    title: str
    kind: str
    settings: Mapping[str, Setting]
    build: Callable[[Settings, int], Estimator]
    cost_s: float
    baseline: bool = False
    draws: bool = True
