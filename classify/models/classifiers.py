"""The classifiers as a table.

What each is called, its settings with their reasons, and how it is built.

To add one, write an entry in :data:`CLASSIFIERS`; the grid, the command's options and the tables
take it from there.

A fitted model gives one value per class of the whole label set, even if its training rows lack a
class: such a class has the probability 0, or a margin of one below the row's smallest. Its answer
is always the class with the largest value.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from xgboost import XGBClassifier

from embeddings_store.errors import FoldError, UsageError, unknown_name

Matrix = NDArray[np.floating[Any]]
Codes = NDArray[np.int64]
Settings = Mapping[str, float]

MARGIN, PROBABILITY, LOG_PROBABILITY = "margin", "probability", "log-probability"
KERNEL_ROWS = 11_000  # a kernel matrix of 8-byte floats stays below 1 GiB per process
KERNEL_CHUNK_ROWS = 2_048  # rows scored at a time: 11,000 x 2,048 x 8 bytes is 0.17 GiB


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says of n rows.

    Attributes:
        values: One column per class (n, C), in label order.
        kind: ``margin``, ``probability`` or ``log-probability``.
    """

    values: NDArray[np.float64]
    kind: str

    @property
    def labels(self) -> Codes:
        """Class codes (n,): the largest value, of equal ones the first."""
        return np.asarray(self.values.argmax(axis=1), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.values)


class Estimator(Protocol):
    """What the table's ``build`` functions return.

    Fit on codes 0 .. k-1, then give one value per code.
    """

    def fit(self, X: Matrix, y: Codes) -> Any:
        """Fit on rows (n, D) and their codes (n,)."""

    def values(self, X: Matrix) -> Matrix:
        """Return margins or probabilities (n, k) of rows (n, D), n >= 1."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where ``--tune`` looks for a setting, ends included.

    ``log`` proposes powers rather than steps.
    """

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that changes results.

    Its default, why or whence, what it has to lie between, where ``--tune`` looks for it.
    """

    default: float
    reason: str
    above: float = 0.0
    below: float = 1e6
    search: Span | None = None


@dataclass(frozen=True, slots=True)
class ClassifierSpec:
    """One row of the table.

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


@dataclass(frozen=True, slots=True)
class FittedClassifier:
    """A model and the codes that it knows; made by :func:`fit_classifier`."""

    spec: ClassifierSpec
    estimator: Estimator
    known: Codes
    n_classes: int

    def predict(self, X: Matrix) -> Predictions:
        """Answer for rows (n, D) in codes of the whole label set."""
        if not len(X):
            return Predictions(np.zeros((0, self.n_classes)), self.spec.kind)
        found = self.estimator.values(X)
        below = 0.0 if self.spec.kind == PROBABILITY else found.min(axis=1, keepdims=True) - 1.0
        values = np.broadcast_to(below, (len(X), self.n_classes)).astype(np.float64)
        values[:, self.known] = found
        return Predictions(values, self.spec.kind)


def fit_classifier(
    name: str,
    X: Matrix,
    y: Codes,
    n_classes: int,
    *,
    settings: Settings | None = None,
    seed: int = 0,
) -> FittedClassifier:
    """Fit one classifier of the table.

    Args:
        name: A name of :data:`CLASSIFIERS`.
        X: Rows to fit on (n, D), finite.
        y: Their class codes (n,), positions in the label set.
        n_classes: Size of the label set, C.
        settings: Those that differ from the defaults.
        seed: For whatever is random in it.

    Raises:
        UnknownNameError: No such classifier or setting.
        FoldError: The rows are of one class only.

    >>> model = fit_classifier("svm", np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 2, 2]), 3)
    >>> model.predict(np.array([[0.4], [10.6]])).labels.tolist()
    [0, 2]
    """
    spec = CLASSIFIERS.get(name) or unknown_name("classifier", name, list(CLASSIFIERS))
    known, codes = np.unique(y, return_inverse=True)
    if len(known) < 2 and not spec.baseline:
        raise FoldError(
            f"{spec.title} has {len(y)} training rows of one class; it takes two or more. Use "
            "fewer folds, or "
            "extract vectors for the rows that have none"
        )
    estimator = spec.build(resolve(name, settings or {}), seed)
    estimator.fit(X, codes.astype(np.int64))
    return FittedClassifier(spec, estimator, known, n_classes)


def resolve(name: str, settings: Settings) -> dict[str, float]:
    """Return all settings of a classifier: the defaults, and what ``settings`` changes.

    >>> resolve("svm", {"c": 5.0})
    {'c': 5.0}
    """
    spec = CLASSIFIERS.get(name) or unknown_name("classifier", name, list(CLASSIFIERS))
    for key, value in settings.items():
        if key not in spec.settings:
            unknown_name(f"setting of {name}", key, list(spec.settings))
        entry = spec.settings[key]
        whole = isinstance(entry.default, int)
        if not entry.above < value < entry.below or (whole and value != int(value)):
            raise UsageError(
                f"{name}: {key} must be {'a whole number' if whole else 'a number'} above "
                f"{entry.above:g} and below "
                f"{entry.below:g}, not {value}"
            )
    return {
        key: type(entry.default)(settings.get(key, entry.default))
        for key, entry in spec.settings.items()
    }


class RbfSvm:
    """The support vector machine of ``SVC(C=c, gamma="scale", break_ties=True)``.

    Same kernel, same solver, same labels.

    The kernel ``exp(-gamma |a - b|^2)`` with ``gamma = 1 / (D var(X))`` is computed as one matrix
    product and handed to libsvm, which otherwise computes it pair by pair: at 4,400 x 2304 the fit
    takes 1.5 s instead of 22 s and scoring 1,100 rows 0.5 s instead of 8 s, the margins agree to
    1e-13. Above :data:`KERNEL_ROWS` rows the matrix would not fit, and libsvm computes the kernel
    itself.

    Of three classes or more the margins have scikit-learn's ``ovr`` shape: the votes of all pairs
    of classes, ties broken by their sums. Without ``break_ties`` libsvm gives a tie to the class
    that comes first in the label order; of RAVDESS's 720 labels 8 to 15 hung on that order.
    """

    def __init__(self, c: float) -> None:
        self.c = c

    def fit(self, X: Matrix, y: Codes) -> RbfSvm:
        """Fit on rows (n, D) and codes (n,)."""
        rows = np.asarray(X, dtype=np.float64)
        self.precomputed = len(rows) <= KERNEL_ROWS
        if self.precomputed:
            variance = float(rows.var())
            self.rows, self.gamma = rows, 1.0 / (rows.shape[1] * variance) if variance else 1.0
            self.svc = SVC(C=self.c, kernel="precomputed").fit(
                rbf_kernel(rows, gamma=self.gamma), y
            )
        else:
            self.svc = SVC(C=self.c, kernel="rbf", gamma="scale", cache_size=1_000).fit(rows, y)
        return self

    def values(self, X: Matrix) -> Matrix:
        """Return margins (n, k); of two classes they are ``-m`` and ``m``."""
        return np.concatenate(
            [
                self._margins(X[i : i + KERNEL_CHUNK_ROWS])
                for i in range(0, len(X), KERNEL_CHUNK_ROWS)
            ]
        )

    def _margins(self, X: Matrix) -> Matrix:
        rows = np.asarray(X, dtype=np.float64)
        if self.precomputed:
            rows = rbf_kernel(rows, self.rows, gamma=self.gamma)
        margins = self.svc.decision_function(rows)
        return np.column_stack([-margins, margins]) if margins.ndim == 1 else margins


class Probabilistic:
    """Any scikit-learn classifier that has ``predict_proba``."""

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: Matrix, y: Codes) -> Probabilistic:
        """Fit on rows (n, D) and codes (n,)."""
        self.classifier.fit(X, y)
        return self

    def values(self, X: Matrix) -> Matrix:
        """Return probabilities (n, k)."""
        return np.asarray(self.classifier.predict_proba(X))


class TwoLayerNetwork(Probabilistic):
    """A hidden layer and an output layer, trained with Adam for a fixed number of epochs.

    There is no early stopping: scikit-learn would hold out random rows for it and tear utterances
    of one speaker apart. For the same reason its warning that the loss still moves after the last
    epoch says nothing here.
    """

    def __init__(
        self, units: int, epochs: int, batch: int, rate: float, decay: float, seed: int
    ) -> None:
        self.batch = batch
        super().__init__(
            MLPClassifier(
                (units,),
                activation="relu",
                solver="adam",
                alpha=decay,
                learning_rate_init=rate,
                max_iter=epochs,
                n_iter_no_change=epochs,
                tol=0.0,
                early_stopping=False,
                random_state=seed,
            )
        )

    def fit(self, X: Matrix, y: Codes) -> TwoLayerNetwork:
        """Fit on rows (n, D) and codes (n,)."""
        self.classifier.set_params(batch_size=min(self.batch, len(X)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.classifier.fit(X, y)
        return self


def _svm(settings: Settings, seed: int) -> Estimator:
    del seed  # nothing in it is random
    return RbfSvm(settings["c"])


def _xgboost(settings: Settings, seed: int) -> Estimator:
    return Probabilistic(
        XGBClassifier(
            tree_method="hist",
            n_estimators=int(settings["trees"]),
            max_depth=int(settings["depth"]),
            learning_rate=settings["rate"],
            max_bin=int(settings["bins"]),
            n_jobs=1,
            random_state=seed,
        )
    )


def _network(settings: Settings, seed: int) -> Estimator:
    return TwoLayerNetwork(
        int(settings["units"]),
        int(settings["epochs"]),
        int(settings["batch"]),
        settings["rate"],
        settings["decay"],
        seed,
    )


def _majority(settings: Settings, seed: int) -> Estimator:
    del settings, seed
    return Probabilistic(DummyClassifier(strategy="most_frequent"))


def _stratified(settings: Settings, seed: int) -> Estimator:
    del settings
    return Probabilistic(DummyClassifier(strategy="stratified", random_state=seed))


CLASSIFIERS: Mapping[str, ClassifierSpec] = {
    spec.name: spec
    for spec in (
        ClassifierSpec(
            "svm",
            "SVM",
            MARGIN,
            {
                "c": Setting(
                    1.0,
                    "scikit-learn's default; the paper prints neither kernel nor C",
                    search=Span(0.03, 100),
                ),
            },
            _svm,
            cost_s=2,
            draws=False,
        ),
        ClassifierSpec(
            "nn",
            "NN",
            PROBABILITY,
            {
                "units": Setting(
                    128,
                    "width of the hidden layer; the paper prints none; 64 is as good on "
                    "validation rows of MELD and "
                    "RAVDESS",
                    search=Span(32, 512),
                ),
                "epochs": Setting(
                    20,
                    "fixed beforehand; on validation rows of MELD 10 and 20 are alike, 30 is 1 "
                    "point lower",
                    search=Span(5, 60),
                ),
                "batch": Setting(64, "rows per step"),
                "rate": Setting(
                    1e-3,
                    "Adam's own default (Kingma and Ba 2015)",
                    below=1,
                    search=Span(1e-4, 1e-2),
                ),
                "decay": Setting(
                    1.0,
                    "L2 penalty; scikit-learn's 1e-4 overfits: 50 instead of 56 per cent on "
                    "validation rows of MELD, "
                    "66 both on RAVDESS",
                    search=Span(1e-3, 10),
                ),
            },
            _network,
            cost_s=3,
        ),
        ClassifierSpec(
            "xgboost",
            "XGBoost",
            PROBABILITY,
            {
                "trees": Setting(
                    100,
                    "XGBoost's default; the paper prints none",
                    below=100_000,
                    search=Span(50, 400),
                ),
                "depth": Setting(6, "XGBoost's default", below=64, search=Span(2, 8, log=False)),
                "rate": Setting(0.3, "XGBoost's default", below=10, search=Span(0.03, 0.5)),
                "bins": Setting(
                    64,
                    "histogram bins; XGBoost's 256 takes twice as long on 2304 columns, and on "
                    "the validation rows of RAVDESS and MELD gave 57.8 and 55.2 where 64 gave "
                    "57.2 and 55.6",
                    above=1,
                ),
            },
            _xgboost,
            cost_s=50,
        ),
        ClassifierSpec(
            "majority", "majority", PROBABILITY, {}, _majority, cost_s=0, baseline=True, draws=False
        ),
        ClassifierSpec(
            "stratified-random",
            "stratified random",
            PROBABILITY,
            {},
            _stratified,
            cost_s=0,
            baseline=True,
        ),
    )
}
COMPETITORS = tuple(name for name, spec in CLASSIFIERS.items() if not spec.baseline)
BASELINES = tuple(name for name, spec in CLASSIFIERS.items() if spec.baseline)
