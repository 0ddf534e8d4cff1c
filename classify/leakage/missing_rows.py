"""Do test rows vanish, and does being missing tell the label?

A row of the plan that has no label, or no vector of some view, is not scored by some system. Where
the labels of such rows are unlike those of the others, leaving them out changes the accuracy, and
that they are missing is itself a clue.

:mod:`classify.leakage.independence` has the test by which this is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from classify.leakage.case import AuditCase, Codes, Mask
from classify.leakage.finding import (
    CLEAN,
    NOT_CHECKED,
    Evidence,
    LeakageFinding,
    per_cent,
    some,
)
from classify.leakage.independence import p_independent, strata_of
from embeddings_store.folds.plan import Fold
from embeddings_store.folds.planned_rows import planned_rows

FEW = 0.01  # up to this part of the test rows, in every fold, missing ones are no news
ALPHA = 0.001  # one false alarm in a thousand set-ups, all views together
UNLIKE = 0.2  # total variation from which the labels of missing rows are another mixture
EVERYTHING = "any vector"
SHOWN_VIEWS = 3


@dataclass(frozen=True, slots=True)
class MissingRows:
    """Test rows that lack one thing.

    Attributes:
        what: The view, or :data:`EVERYTHING`.
        rows: The rows that lack it in a fold that tests them (N,).
        times: How often, over all folds.
    """

    what: str
    rows: Mask
    times: int


@dataclass(frozen=True, slots=True)
class AskedRows:
    """The test rows of all folds together.

    Attributes:
        times: How many there are, over all folds.
        unlabelled: How many of them have no label.
        labelled: Those with a class (N,).
        lacking: What is lacking, once per set of rows.
        unscored: How many some system cannot score.
        worst: The fold where they are the largest part, in words.
        largest_share: That part.
    """

    times: int
    unlabelled: int
    labelled: Mask
    lacking: tuple[MissingRows, ...]
    unscored: int
    worst: str
    largest_share: float


@dataclass(frozen=True, slots=True)
class Telling:
    """What being missing says of the label.

    Attributes:
        p: Of the test, times the number of different sets of rows looked at.
        distance: Total variation between the labels of missing rows and of the others, in [0, 1].
        in_words: The class that is too frequent among missing rows.
    """

    p: float
    distance: float
    in_words: str


def missing(case: AuditCase) -> LeakageFinding:
    """Few test rows go unscored, and which of them do has nothing to do with the label."""
    tested = tested_rows(case)
    if not case.files and not tested.unlabelled:
        return LeakageFinding(NOT_CHECKED, "there are no vectors yet")
    share = tested.unscored / tested.times if tested.times else 0.0
    if not tested.unscored:
        return LeakageFinding(
            CLEAN, f"all {tested.times:,} test rows have a label and every vector", share=0.0
        )
    number = (
        f"{tested.unscored:,} of {tested.times:,} test rows ({per_cent(share)}) are not scored by "
        f"every system: {_lacks(tested)}; most in {tested.worst}"
    )
    gone = np.zeros(len(tested.labelled), dtype=bool)
    for lacks in tested.lacking:
        gone |= lacks.rows
    evidence = Evidence(number, some(case.manifest.ids[gone].tolist()), share)
    telling = _most_telling(case, tested)
    if telling is not None:
        details = {"p": telling.p, "distance": telling.distance}
        with_p = Evidence(f"{number}; {telling.in_words}", evidence.examples, share, details)
        return with_p.leak(
            "that a row is missing tells its label, so what is left is another task than the plan "
            "asks for, and a classifier can learn from the gap itself",
            "find out why these rows fail (embeddings-store inspect, extract-features "
            "--retry-failed) and extract them; where they cannot be had, --accept missing says so "
            "under every table, and WA_all counts them as wrong",
        )
    if max(share, tested.largest_share) > FEW:
        return evidence.caution(
            "WA is of the rows that are left, which may be the easy ones; coverage says how many "
            "these are, WA_all counts the others as wrong"
        )
    return LeakageFinding(CLEAN, number, share=share)


def tested_rows(case: AuditCase) -> AskedRows:
    """Count the test rows of the plan that lack a label or a vector, over all folds.

    Args:
        case: The evaluation.
    """
    labels, raw = case.labels or case.manifest.labels, case.manifest.column("label")
    labelled = np.zeros(len(raw), dtype=bool)
    lacking: dict[str, Mask] = {}
    lacking_times: dict[str, int] = {}
    times = unlabelled = unscored = 0
    largest, worst = -1.0, ""
    for fold in case.plan:
        planned = planned_rows(fold, "test", labels, raw)
        here = planned.unlabelled.copy()
        for what, gone in _lacking_in(case, fold):
            rows = gone & planned.labelled
            lacking[what] = lacking.get(what, np.zeros(len(raw), dtype=bool)) | rows
            lacking_times[what] = lacking_times.get(what, 0) + int(rows.sum())
            here |= rows
        n_here, n_tested = int(here.sum()), int(planned.all.sum())
        times, unscored = times + n_tested, unscored + n_here
        unlabelled += int(planned.unlabelled.sum())
        labelled |= planned.labelled
        if n_tested and n_here / n_tested > largest:
            largest = n_here / n_tested
            worst = f"fold {fold.number} ({fold.name}), {n_here:,} of {n_tested:,}"
    found = []
    for what, rows in lacking.items():
        if lacking_times[what]:
            found.append(MissingRows(what, rows, lacking_times[what]))
    return AskedRows(times, unlabelled, labelled, tuple(found), unscored, worst, largest)


def _lacking_in(case: AuditCase, fold: Fold) -> Iterator[tuple[str, Mask]]:
    """Yield each view of a fold with the rows that lack it, and last those that lack everything."""
    nothing = np.ones(len(case.manifest), dtype=bool)
    for column in case.metadata:
        values = case.manifest.table[column]
        nothing &= np.asarray(values.isna() | (values.astype(str) == ""))
    n_files = 0
    for file in case.files_for(fold):
        yield file.view, ~file.ok
        nothing &= ~file.ok
        n_files += 1
    if n_files > 1:
        yield EVERYTHING, nothing


def _lacks(tested: AskedRows) -> str:
    """Say what rows lack; views that lack the same rows, such as layers, are named once."""
    words = [f"{tested.unlabelled:,} have no label"] if tested.unlabelled else []
    by_rows: dict[bytes, list[MissingRows]] = {}
    for lacks in tested.lacking:
        by_rows.setdefault(lacks.rows.tobytes(), []).append(lacks)
    for same in by_rows.values():
        # that all views lack the same rows is what lacking everything means
        named = [lacks.what for lacks in same if lacks.what != EVERYTHING] or [EVERYTHING]
        more = f" and {len(named) - SHOWN_VIEWS} more" if len(named) > SHOWN_VIEWS else ""
        words.append(f"{same[0].times:,} lack {', '.join(named[:SHOWN_VIEWS])}{more}")
    return "; ".join(words)


def _most_telling(case: AuditCase, tested: AskedRows) -> Telling | None:
    """Return what tells the label most, or none where nothing does."""
    different = {lacks.rows.tobytes(): lacks for lacks in tested.lacking}
    found, speakers = [], case.keys("speaker")
    for lacks in different.values():
        gone = lacks.rows[tested.labelled]
        codes = case.codes[tested.labelled]
        distance, surplus = _unlike(codes, gone)
        if distance < UNLIKE:
            continue
        strata = strata_of(codes, gone, case.groups[tested.labelled], speakers[tested.labelled])
        p = min(1.0, p_independent(strata) * len(different))
        if p < ALPHA:
            labels = case.labels or case.manifest.labels
            name = labels.classes[surplus] if labels else str(surplus)
            among, others = (codes[gone] == surplus).mean(), (codes[~gone] == surplus).mean()
            in_words = (
                f"of {int(gone.sum()):,} rows that lack {lacks.what} {per_cent(float(among))} are "
                f"{name}, of the others {per_cent(float(others))} (p = {p:.1g})"
            )
            found.append(Telling(p, distance, in_words))
    return max(found, key=lambda telling: telling.distance, default=None)


def _unlike(codes: Codes, gone: Mask) -> tuple[float, int]:
    """Return total variation between the labels of both kinds of rows, and what is too frequent."""
    if gone.all() or not gone.any():
        return 0.0, 0
    n_classes = int(codes.max()) + 1
    among = np.bincount(codes[gone], minlength=n_classes) / gone.sum()
    others = np.bincount(codes[~gone], minlength=n_classes) / (~gone).sum()
    return float(abs(among - others).sum() / 2), int((among - others).argmax())
