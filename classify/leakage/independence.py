"""Does it hang on the label which rows are missing? A test that knows that rows come in groups.

It is the generalised Cochran-Mantel-Haenszel statistic (Landis, Heyman and Koch 1978, International
Statistical Review 46, 237-254) of one table missing x class per stratum,

    T = d' V^- d,    d = sum over strata of (missing rows of each class - expected ones),

where V is the covariance of d if missing rows are drawn within each stratum without a look at the
label. A stratum is a group, so a dialogue that was lost as a whole says nothing, whatever its
labels. A group of a single class cannot tell its rows apart: it counts as one row of its speaker,
missing where more than half of it is. The p value is that of chi-square. Where that is small and
few missing rows of a class are expected, it is taken from :data:`DRAWS` such draws instead; in
large tables classes of which few are expected count as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PLAUSIBLE = 0.05  # a chi-square p above this is not looked at more closely
DRAWS = 20_000
MANY = 1_000  # strata times classes from which draws take long, and sums are normal enough
ENOUGH = 5.0  # chi-square wants so many expected rows in a class; rarer classes count as one

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stratum:
    """Rows among which any could be missing as well as any other.

    Attributes:
        rows: How many there are of each class (C,).
        missing: How many of them are missing, of each class (C,).
    """

    rows: Codes
    missing: Codes


def strata_of(codes: Codes, gone: Mask, groups: Codes, speakers: Codes) -> list[Stratum]:
    """Return the strata that can say something: some rows missing, not all, and two classes.

    Args:
        codes: Class codes (n,).
        gone: Which rows are missing (n,).
        groups: Codes of groups (n,), -1 for none.
        speakers: Codes of speakers (n,), -1 for none.

    >>> labels, lost = np.array([0, 1, 0, 1]), np.array([True, False, True, True])
    >>> found = strata_of(labels, lost, np.array([0, 0, 1, 1]), np.zeros(4, dtype=np.int64))
    >>> [(one.rows.tolist(), one.missing.tolist()) for one in found]
    [([1, 1], [1, 0])]
    """
    if not len(codes):
        return []
    n_classes = int(codes.max()) + 1
    grouped = groups >= 0
    rows = _counted(groups[grouped], codes[grouped], n_classes)
    missing = _counted(groups[grouped & gone], codes[grouped & gone], n_classes, len(rows))
    is_pure = (rows > 0).sum(axis=1) == 1
    speaker_of = np.zeros(len(rows), dtype=np.int64)
    speaker_of[groups[grouped]] = speakers[grouped]
    # rows of no group, and groups of one class, stand in the stratum of their speaker
    of_speaker = np.concatenate([speakers[~grouped], speaker_of[is_pure]]) + 1
    class_of = np.concatenate([codes[~grouped], rows[is_pure].argmax(axis=1)])
    most_missing = 2 * missing[is_pure].sum(axis=1) > rows[is_pure].sum(axis=1)
    lost = np.concatenate([gone[~grouped], most_missing])
    of_rows = _counted(of_speaker, class_of, n_classes)
    of_lost = _counted(of_speaker[lost], class_of[lost], n_classes, len(of_rows))
    found = [*zip(rows[~is_pure], missing[~is_pure], strict=True)]
    found += zip(of_rows, of_lost, strict=True)
    strata = []
    for there, absent in found:
        if 0 < absent.sum() < there.sum() and (there > 0).sum() > 1:
            strata.append(Stratum(there, absent))
    return strata


def p_independent(strata: Sequence[Stratum]) -> float:
    """Return the p value of the test; 1 where no stratum can say anything.

    Args:
        strata: What :func:`strata_of` returns.

    >>> mixed, all_of_one = np.array([10, 10]), np.array([8, 0])
    >>> p_independent([Stratum(mixed, all_of_one)]) < 0.001
    True
    >>> p_independent([Stratum(mixed, np.array([4, 4]))])
    1.0
    """
    if not strata:
        return 1.0
    # here, because importing it takes a quarter of a second; scipy.stats takes another half
    from scipy.special import chdtrc

    are_many = len(strata) * len(strata[0].rows) >= MANY
    strata = _with_rare_classes_merged(strata) if are_many else strata
    expected = np.sum([_expected(one) for one in strata], axis=0)
    inverse = np.linalg.pinv(np.sum([_covariance(one) for one in strata], axis=0), hermitian=True)
    excess = np.sum([one.missing for one in strata], axis=0) - expected
    statistic = float(excess @ inverse @ excess)
    degrees = np.linalg.matrix_rank(inverse, hermitian=True)
    p = float(chdtrc(max(degrees, 1), max(statistic, 0.0)))
    occurs = np.sum([one.rows for one in strata], axis=0) > 0
    if p > PLAUSIBLE or are_many or (expected[occurs] >= ENOUGH).all():
        return p
    drawn = _drawn(strata) - expected
    statistics = np.einsum("ni,ij,nj->n", drawn, inverse, drawn)
    # sums of the same counts in another order may differ in their last bits
    as_large = int((statistics >= statistic - 1e-9).sum())
    return (1 + as_large) / (1 + DRAWS)


def _counted(place: Codes, codes: Codes, n_classes: int, n_places: int = 0) -> Codes:
    """Return how many rows of each class are in each place (P, C)."""
    n_places = n_places or int(place.max(initial=-1)) + 1
    counts = np.bincount(place * n_classes + codes, minlength=n_places * n_classes)
    return counts.reshape(n_places, n_classes)


def _expected(one: Stratum) -> Floats:
    return np.asarray(one.rows * (one.missing.sum() / one.rows.sum()))


def _covariance(one: Stratum) -> Floats:
    """Return the covariance (C, C) of the multivariate hypergeometric distribution."""
    n, n_missing = one.rows.sum(), one.missing.sum()
    share = one.rows / n
    factor = n_missing * (n - n_missing) / (n - 1)
    return np.asarray(factor * (np.diag(share) - np.outer(share, share)))


def _drawn(strata: Sequence[Stratum]) -> Codes:
    """Return how many rows of each class are missing in draws that look at no label (draws, C)."""
    generator = np.random.default_rng(0)
    total = np.zeros((DRAWS, len(strata[0].rows)), dtype=np.int64)
    for one in strata:
        total += generator.multivariate_hypergeometric(
            one.rows, int(one.missing.sum()), size=DRAWS, method="marginals"
        )
    return total


def _with_rare_classes_merged(strata: Sequence[Stratum]) -> list[Stratum]:
    """Put classes together of which too few rows are expected to be missing."""
    is_rare = np.sum([_expected(one) for one in strata], axis=0) < ENOUGH
    if not is_rare.any():
        return list(strata)
    merged = []
    for one in strata:
        counts = [
            np.append(part[~is_rare], part[is_rare].sum()) for part in (one.rows, one.missing)
        ]
        merged.append(Stratum(*counts))
    return merged
