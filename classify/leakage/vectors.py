"""Is a row's vector all but that of a row with another role?

Names can be changed; a vector of the same sound or pictures stays near, with noise and with
another gain too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from classify.leakage.agreement import PairAgreement
from classify.leakage.case import AuditCase, Mask
from classify.leakage.finding import (
    CLEAN,
    LEAK,
    NOT_CHECKED,
    SHOWN_EXAMPLES,
    Evidence,
    LeakageFinding,
    per_cent,
)
from classify.leakage.neighbours import (
    NEIGHBOURS,
    Nearest,
    Points,
    chance,
    comparable,
    dimension,
    nearest,
    sample,
)
from classify.leakage.sample import SampledFold, sampled_folds
from embeddings_store.folds.plan import Fold

# Ratios at which rows are counted; up to the first, vectors are equal but for rounding.
EQUAL = 0.001
RATIOS = (EQUAL, *(step / 20 for step in range(1, 15)))
# So many times the usual share may be chance, or strangers of another kind; more is not.
TIMES = 5
# Of one count; of the hundred or so counts of an audit together, about a per cent.
FALSE_ALARM = 1e-4
FEW = 0.01  # of the rows may be near without a word, unless their vectors are equal
QUARTER = 0.25  # without copies, hardly a row of any corpus is so near; beyond, one row may be
HARDLY_ANY = 0.001  # of the rows are usually as near as rows that prove themselves
NEARLY_ALL = 0.75  # of the copies at a small ratio say more than all of them among strangers
# Where training rows are copies of each other too, copies look usual. Up to this ratio no more than
# this part of the rows counts as usual.
HALF, COMMON = 0.5, 0.01
# Pairs of roles, the worst first, and what it means where rows of both are the same.
PAIRS = (
    ("train", "test", "the label of such a test row was told to the classifier"),
    ("valid", "test", "what is chosen on validation rows fits the test rows"),
    ("train", "valid", "what is chosen on validation rows was learnt by heart"),
)


@dataclass(slots=True)
class Compared:
    """What was measured of one view and pair of roles, over all folds that were looked at.

    Attributes:
        view: The view's name.
        pool: The role whose rows are the neighbours.
        asked: The role whose rows are judged.
        ratios: Of each judged row (q,).
        distances: Of each judged row to its nearest (q,).
        pairs: Positions among the corpus' rows of each judged row and its nearest (q, 2).
        usual: Ratios of training rows to rows of other units (r,).
        usual_distances: The same rows' distances (r,).
        dimensions: In how many dimensions rows spread, one figure per fold.
        left_out: Rows that were not sampled.
    """

    view: str
    pool: str
    asked: str
    ratios: list[NDArray[np.float64]] = field(default_factory=list)
    distances: list[NDArray[np.float64]] = field(default_factory=list)
    pairs: list[NDArray[np.int64]] = field(default_factory=list)
    usual: list[NDArray[np.float64]] = field(default_factory=list)
    usual_distances: list[NDArray[np.float64]] = field(default_factory=list)
    dimensions: list[float] = field(default_factory=list)
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class TooNear:
    """Rows that are nearer to a row of another role than chance brings them.

    Attributes:
        compared: What was measured.
        ratio: The ratio up to which they count.
        rows: Which of the judged rows (q,).
        usual: The share that is usual.
    """

    compared: Compared
    ratio: float
    rows: Mask
    usual: float

    @property
    def share(self) -> float:
        """Part of the judged rows."""
        return float(self.rows.mean())


def vectors(case: AuditCase) -> LeakageFinding:
    """No vector is all but that of a row with another role."""
    agreement = PairAgreement(case)
    compared = list(_compare(case, agreement))
    if not compared:
        return LeakageFinding(NOT_CHECKED, "there are no vectors yet, or fewer rows than it takes")
    found = []
    for one in compared:
        near = too_near(one) or near_and_agreeing(one, agreement)
        if near:
            found.append(near)
    if not found:
        return _none_found(compared)
    findings = []
    for pool, asked, means in PAIRS:
        of_pair = [n for n in found if (n.compared.pool, n.compared.asked) == (pool, asked)]
        if of_pair:
            findings.append(_judged(case, of_pair, agreement, means))
    leaks = [finding for finding in findings if finding.verdict == LEAK]
    return (leaks or findings)[0]


def _chance_of(count: int, expected: float) -> float:
    """Return how probable at least so many are where so many are expected, by Poisson's law."""
    # here, because importing it takes a quarter of a second; scipy.stats takes another half
    from scipy.special import gammainc

    return float(gammainc(count, expected))


def too_near(compared: Compared) -> TooNear | None:
    """Return the rows that are nearer than chance brings them, none where there are none."""
    ratios = np.concatenate(compared.ratios)
    found: list[tuple[float, TooNear]] = []
    for ratio in RATIOS:
        near = ratios <= ratio
        count = int(near.sum())
        if ratio > EQUAL and count < FEW * len(ratios):
            continue
        share = usual_share(compared, ratio)
        by_chance = TIMES * share * len(ratios)
        if count > by_chance and _chance_of(count, by_chance) < FALSE_ALARM:
            found.append((count - by_chance, TooNear(compared, ratio, near, share)))
    most = max((beyond for beyond, _ in found), default=0.0)
    # farther ratios add few copies and many strangers
    return next((near for beyond, near in found if beyond >= NEARLY_ALL * most), None)


def near_and_agreeing(compared: Compared, agreement: PairAgreement) -> TooNear | None:
    """Return test rows that are so near as hardly any is, and agree in something too.

    Each of these proves itself, so that there may be few.

    Args:
        compared: What was measured.
        agreement: Says in what pairs agree.
    """
    ratios = np.concatenate(compared.ratios)
    unusual = [
        ratio for ratio in RATIOS if ratio <= QUARTER and usual_share(compared, ratio) <= HARDLY_ANY
    ]
    if compared.asked != "test" or not unusual:
        return None
    rows = np.flatnonzero(ratios <= unusual[-1])
    one, other = np.concatenate(compared.pairs)[rows].T
    agree = [bool(reason) for reason in agreement.of(compared.view, one, other)]
    if not any(agree):
        return None
    near = np.zeros(len(ratios), dtype=bool)
    near[rows[agree]] = True
    return TooNear(compared, unusual[-1], near, usual_share(compared, unusual[-1]))


def usual_share(compared: Compared, ratio: float) -> float:
    """Return the part of the rows that are as near as a ratio without being copies.

    It is what training rows show among each other, and no less than neighbours at random places.
    """
    usual = np.concatenate(compared.usual)
    # one row more than were met, for where few are met none may be by chance
    unmet = int(ratio > QUARTER)
    share = (int((usual <= ratio).sum()) + unmet) / (len(usual) + unmet)
    if ratio <= HALF:
        share = min(share, COMMON)
    return max(share, chance(ratio, min(compared.dimensions)))


def _compare(case: AuditCase, agreement: PairAgreement) -> Iterator[Compared]:
    """Measure every view and pair of roles that has enough rows."""
    found: dict[tuple[str, str, str], Compared] = {}
    for sampled in sampled_folds(case):
        if len(sampled.rows["train"]) <= NEIGHBOURS:
            continue
        points = comparable(sampled.vectors, sampled.places["train"])
        for pool, asked, _ in PAIRS:
            if len(sampled.rows[pool]) <= NEIGHBOURS or not len(sampled.rows[asked]):
                continue
            key = (sampled.file.view, pool, asked)
            _compare_fold(case, sampled, points, agreement, found.setdefault(key, Compared(*key)))
    yield from found.values()


def _compare_fold(
    case: AuditCase,
    sampled: SampledFold,
    points: Points,
    agreement: PairAgreement,
    compared: Compared,
) -> None:
    """Add what one fold shows to what was measured of its view and pair of roles."""
    pool, asked = sampled.rows[compared.pool], sampled.rows[compared.asked]
    near = nearest(points, sampled.places[compared.asked], sampled.places[compared.pool])
    pairs = np.column_stack([asked, pool[near.row]])
    usual, usual_pairs = _usual(case, sampled, points, compared)
    compared.ratios.append(agreement.without_explained(sampled.file, near.ratio, pairs))
    compared.distances.append(near.distance)
    compared.pairs.append(pairs)
    compared.usual.append(agreement.without_explained(sampled.file, usual.ratio, usual_pairs))
    compared.usual_distances.append(usual.distance)
    compared.dimensions.append(dimension(usual, points.shape[1]))
    compared.left_out += sampled.left_out


def _usual(
    case: AuditCase, sampled: SampledFold, points: Points, compared: Compared
) -> tuple[Nearest, NDArray[np.int64]]:
    """Return the neighbours that training rows have in a pool, in other units than their own."""
    places = sample(np.arange(len(sampled.rows["train"])), sampled.judged)
    of_row = units_of(case, sampled.fold, compared.pool, compared.asked)
    units = np.zeros(len(sampled.vectors), dtype=np.int64)
    for role in ("train", compared.pool):
        units[sampled.places[role]] = of_row[sampled.rows[role]]
    near = nearest(points, sampled.places["train"][places], sampled.places[compared.pool], units)
    pairs = np.column_stack([sampled.rows["train"][places], sampled.rows[compared.pool][near.row]])
    return near, pairs


def units_of(case: AuditCase, fold: Fold, pool: str, asked: str) -> NDArray[np.int64]:
    """Return what two roles do not share, a code for each row (N,).

    It is the group, else the speaker; where neither is named, or both are shared, each row is a
    unit of its own. So training rows are compared with rows that are as strange to them as the rows
    of one role are to those of the other.

    Args:
        case: The evaluation.
        fold: The fold.
        pool: One role.
        asked: Another.
    """
    alone = np.arange(len(case.manifest)) + len(case.manifest)
    for codes in (case.groups, case.keys("speaker")):
        one, other = (codes[case.rows(fold, role)] for role in (pool, asked))
        if (codes >= 0).any() and not np.isin(one[one >= 0], other).any():
            return np.where(codes >= 0, codes, alone)
    return alone


def _none_found(compared: Sequence[Compared]) -> LeakageFinding:
    of_test = [one for one in compared if one.asked == "test"]
    judged = max((sum(map(len, one.ratios)) for one in of_test), default=0)
    views = ", ".join(dict.fromkeys(one.view for one in compared))
    return LeakageFinding(
        CLEAN,
        f"{judged:,} test rows{_sampled(compared[0])} are no nearer to rows that train or validate "
        f"than those are to each other ({views})",
        share=0.0,
    )


def _judged(
    case: AuditCase, found: Sequence[TooNear], agreement: PairAgreement, means: str
) -> LeakageFinding:
    worst = max(found, key=lambda near: near.share)
    agreeing = [(near, agreement.of(near.compared.view, *_pairs(near))) for near in found]
    near, reasons = max(agreeing, key=lambda one: sum(map(bool, one[1])))
    if not any(reasons):
        near, reasons = worst, [""] * int(worst.rows.sum())
    compared = near.compared
    count, of = int(near.rows.sum()), len(near.rows)
    role = {"train": "training", "valid": "validation"}
    asked = role.get(compared.asked, compared.asked)
    number = (
        f"{count:,} of {of:,} {asked} rows ({per_cent(near.share)}){_sampled(compared)} are nearer "
        f"to one {role[compared.pool]} row than {near.ratio:g} of the way to the tenth nearest, "
        f"where {per_cent(near.usual)} is usual ({compared.view})"
    )
    alike = [reason for reason in reasons if reason]
    if alike:
        number += f"; {len(alike):,} of them agree in {', '.join(sorted(set(alike)))}"
    share = near.share if compared.asked == "test" else None
    evidence = Evidence(number, _examples(case, near, reasons), share)
    wanted = f"{compared.pool}+{compared.asked}" in case.plan.shares
    if alike and compared.asked == "test" and not wanted:
        return evidence.leak(
            f"these rows are all but the same under another name: {means}",
            "drop the copies from the manifest, or give each the group of its original and fold "
            "by group (--folds group-kfold:5)",
        )
    return evidence.caution(
        "they may be copies under other names, with noise, another gain or cut anew: listen to "
        f"the examples; if they are, {means}"
    )


def _pairs(near: TooNear) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    one, other = np.concatenate(near.compared.pairs)[near.rows].T
    return one, other


def _examples(case: AuditCase, near: TooNear, reasons: Sequence[str]) -> tuple[str, ...]:
    """Name a few pairs, those that agree in something first, and the nearest of them."""
    distances = np.concatenate(near.compared.distances)[near.rows]
    usual = float(np.median(np.concatenate(near.compared.usual_distances)))
    one, other = _pairs(near)
    differing = np.array([not reason for reason in reasons])
    shown = np.lexsort((distances, differing))[:SHOWN_EXAMPLES]
    ids, shown_pairs = case.manifest.ids, []
    for place in shown:
        agrees = f", same {reasons[place]}" if reasons[place] else ""
        shown_pairs.append(
            f"{ids[one[place]]} and {ids[other[place]]}: distance {distances[place]:.3g}, usually "
            f"{usual:.3g}{agrees}"
        )
    return tuple(shown_pairs)


def _sampled(compared: Compared) -> str:
    return " (rows were sampled)" if compared.left_out else ""
