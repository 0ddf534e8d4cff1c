"""The support vector machine with an RBF kernel, on distances that its cells share."""

from __future__ import annotations

import numpy as np

from classify.models.class_scores import MARGIN
from classify.models.distances import DISTANCES
from classify.models.specification import (
    BlockwiseEstimator,
    ClassifierSpec,
    Codes,
    Estimator,
    Matrix,
    SearchRange,
    Setting,
    Settings,
)

APPROXIMATION = "Nystroem"
VARIANCE_PIECE = 2**20  # numbers whose squares are added at a time, 8 MB
CHUNK_ROWS = 2_048  # rows scored at a time: 11,000 x 2,048 x 8 bytes is 0.17 GiB


class RbfSvm(BlockwiseEstimator):
    """The support vector machine of ``SVC(C=c, gamma="scale", break_ties=True)``.

    The kernel ``exp(-gamma |a - b|^2)`` with ``gamma = 1 / (D var(X))`` is made from squared
    distances that all cells of a process share (:mod:`classify.models.distances`) and handed to
    libsvm, which otherwise computes it pair by pair, and again for every row that is scored. Of
    rows of float64 margins agree with scikit-learn's to 1e-9. Rows of float32 have distances of
    float32; their margins agree to 1e-3, which is how near libsvm itself comes to the optimum, and
    their labels but for rows whose margins are nearer to each other than that.

    Of three classes or more the margins have scikit-learn's ``ovr`` shape: the votes of all pairs
    of classes, ties broken by their sums. Without ``break_ties`` libsvm gives a tie to the class
    that comes first in the label order; of RAVDESS's 720 labels 8 to 15 hung on that order.

    Args:
        c: The strength of the penalty, C.
        scales: How many times ``gamma="scale"`` the kernel's gamma is.
    """

    def __init__(self, c: float, scales: float = 1.0) -> None:
        self.c, self.scales = c, scales

    def fit(self, X: Matrix, y: Codes) -> RbfSvm:
        """Fit on rows (n, D) and codes (n,)."""
        from sklearn.svm import SVC

        self.rows = as_floats(X)
        self.gamma = self.scales * scale_gamma(self.rows)
        kernel = self._kernel(self.rows)
        self.svc = SVC(C=self.c, kernel="precomputed").fit(kernel, y)
        self.of_fitted = self.svc.decision_function(kernel)  # asked for next, and n x k is small
        return self

    def values(self, X: Matrix) -> Matrix:
        """Return margins (n, k); of two classes they are ``-m`` and ``m``."""
        rows = as_floats(X)
        if np.array_equal(rows, self.rows):
            return of_each_class(self.of_fitted)
        parts = []
        for begin in range(0, len(rows), CHUNK_ROWS):
            kernel = self._kernel(rows[begin : begin + CHUNK_ROWS])
            parts.append(of_each_class(self.svc.decision_function(kernel)))
        return np.concatenate(parts)

    def _kernel(self, rows: Matrix) -> Matrix:
        """Return the kernel between rows and those that were fitted (n, m), float64 for libsvm."""
        kernel = DISTANCES.squared(self.cut(rows), self.cut(self.rows))
        kernel *= kernel.dtype.type(-self.gamma)
        np.exp(kernel, out=kernel)
        return kernel.astype(np.float64, copy=False)


class NystroemSvm:
    """An approximation of :class:`RbfSvm` whose cost grows with the rows, not their square.

    The same kernel is known by its values between all rows and some of them, the landmarks
    (Nystroem; Williams and Seeger 2001), which are drawn with a fixed seed. In the space that they
    span a linear machine with squared hinge loss is fitted, one class against the rest. It takes 24
    bytes for each row and landmark.

    Args:
        c: The strength of the penalty, C.
        landmarks: How many rows span the space, at most.
        scales: How many times ``gamma="scale"`` the kernel's gamma is.
    """

    def __init__(self, c: float, landmarks: int, scales: float = 1.0) -> None:
        self.c, self.landmarks, self.scales = c, landmarks, scales

    def fit(self, X: Matrix, y: Codes) -> NystroemSvm:
        """Fit on rows (n, D) and codes (n,)."""
        from sklearn.kernel_approximation import Nystroem
        from sklearn.svm import LinearSVC

        rows = as_floats(X)
        self.about = f"{APPROXIMATION}, {min(self.landmarks, len(rows))} of {len(rows)} rows"
        gamma, count = self.scales * scale_gamma(rows), min(self.landmarks, len(rows))
        self.space = Nystroem(gamma=gamma, n_components=count, random_state=0).fit(rows)
        # the primal problem has one unknown for each landmark, and draws nothing
        self.svc = LinearSVC(C=self.c, dual=False, tol=1e-2).fit(self._mapped(rows), y)
        return self

    def values(self, X: Matrix) -> Matrix:
        """Return margins (n, k); of two classes they are ``-m`` and ``m``."""
        rows = as_floats(X)
        starts = range(0, len(rows), CHUNK_ROWS)
        parts = [self._mapped(rows[begin : begin + CHUNK_ROWS]) for begin in starts]
        return np.concatenate([of_each_class(self.svc.decision_function(part)) for part in parts])

    def _mapped(self, rows: Matrix) -> Matrix:
        mapped = np.empty((len(rows), self.space.n_components))
        for begin in range(0, len(rows), CHUNK_ROWS):
            part = slice(begin, begin + CHUNK_ROWS)
            mapped[part] = self.space.transform(rows[part])
        return mapped


class SizedSvm(BlockwiseEstimator):
    """The exact machine up to a number of training rows, and the approximation above it.

    Args:
        c: The strength of the penalty, C.
        exact: Up to how many training rows the kernel is exact.
        landmarks: Of how many rows the approximation is made.
        scales: How many times ``gamma="scale"`` the kernel's gamma is.
    """

    def __init__(self, c: float, exact: int, landmarks: int, scales: float = 1.0) -> None:
        self.c, self.exact, self.landmarks, self.scales = c, exact, landmarks, scales

    def fit(self, X: Matrix, y: Codes) -> SizedSvm:
        """Fit on rows (n, D) and codes (n,)."""
        self.machine: RbfSvm | NystroemSvm
        if len(X) > self.exact:
            self.machine = NystroemSvm(self.c, self.landmarks, self.scales).fit(X, y)
            self.about = self.machine.about
        else:
            self.machine = RbfSvm(self.c, self.scales)
            self.machine.blocks = self.blocks
            self.machine.fit(X, y)
        return self

    def values(self, X: Matrix) -> Matrix:
        """Return margins (n, k); of two classes they are ``-m`` and ``m``."""
        return self.machine.values(X)


def as_floats(X: Matrix) -> Matrix:
    """Return rows as float32 or float64, without a copy where they are."""
    rows = np.asarray(X)
    return rows if rows.dtype == np.float32 else rows.astype(np.float64, copy=False)


def of_each_class(margins: Matrix) -> Matrix:
    """Return margins (n, k): of two classes scikit-learn gives the second one's only."""
    return np.column_stack([-margins, margins]) if margins.ndim == 1 else np.asarray(margins)


def scale_gamma(rows: Matrix) -> float:
    """Return scikit-learn's ``gamma="scale"``: ``1 / (D var(X))``, or 1 where nothing varies."""
    variance = variance_of(rows)
    return 1.0 / (rows.shape[1] * variance) if variance else 1.0


def variance_of(rows: Matrix) -> float:
    """Return ``rows.var()`` in float64 without numpy's copy of all rows (n, D).

    numpy adds by halves; so does this, down to pieces whose squares are small beside the rows. Of
    rows of float64 it is numpy's to the last bit.
    """
    flat, mean = rows.reshape(-1), rows.mean(dtype=np.float64)

    def summed(begin: int, end: int) -> float:
        if end - begin <= VARIANCE_PIECE:
            apart = flat[begin:end] - mean
            return float(np.add.reduce(np.multiply(apart, apart, out=apart)))
        half = (end - begin) // 2
        middle = begin + half - half % 8
        return summed(begin, middle) + summed(middle, end)

    return float(summed(0, len(flat)) / len(flat))


def _build(settings: Settings, seed: int) -> Estimator:
    del seed  # nothing in it follows the seed
    exact, landmarks = int(settings["exact"]), int(settings["landmarks"])
    return SizedSvm(settings["c"], exact, landmarks, settings["gamma"])


SVM = ClassifierSpec(
    "svm",
    "SVM",
    MARGIN,
    {
        "c": Setting(
            1.0,
            "scikit-learn's default; the paper prints neither kernel nor C",
            search=SearchRange(0.03, 100),
            ladder=(1.0, 0.1, 10.0),
        ),
        "gamma": Setting(
            1.0,
            "how many times scikit-learn's gamma='scale'; 1 is its default",
            ladder=(1.0, 0.3),
        ),
        "exact": Setting(
            11_000,
            "training rows up to which the kernel is exact; 11,000 rows take 2 GiB, and the cost "
            "grows with their square. Above it Nystroem's approximation is fitted, and the output "
            "says so",
            below=100_000,
        ),
        "landmarks": Setting(
            2_000,
            "rows that Nystroem's approximation is made of; with 11,000 generated rows it takes as "
            "long as the exact machine and gives nine rows of ten the same label",
            below=100_000,
        ),
    },
    _build,
    cost_s=1,
    draws=False,
)
