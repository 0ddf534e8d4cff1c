"""What each modality contributes to each way of fusing: its exact Shapley value over all sets.

With ``v(S)`` the ``WA_all`` on test rows of a strategy over the modalities S (a row that none of
them has, or without a label, counts as wrong), and ``v()`` that of the commonest training class,

    shapley(m) = sum over S without m of |S|! (n - |S| - 1)! / n! (v(S + m) - v(S))

so that the values of all modalities add up to ``v(all) - v()``, the column ``total``. ``alone`` is
``v(m) - v()`` and ``last`` is ``v(all) - v(all without m)``. All are points of per cent, means over
folds and seeds, with the deviation over folds.

A single modality stands in early fusion for its own cell of the same classifier, in late fusion for
its head, probe or stack of layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import factorial

import pandas as pd

from classify.evaluation.metrics import completeness
from classify.names import BASELINE, EARLY, HEAD, LATE, PROBE, RULE, SYSTEM, UNIMODAL
from classify.systems.definitions import sets_of

CONTRIBUTIONS = "contributions.csv"
FLOOR = f"{BASELINE} majority"
RUN = ("fold", "seed", "encoder_seed")
ABOUT = ("claim", "corpus", "protocol", "split_digest", "label_set", "labels_shuffled", "fit_rows")
FIGURES = ("shapley", "alone", "last", "total")


def shapley(values: Mapping[frozenset[str], float], players: frozenset[str]) -> dict[str, float]:
    """Return the Shapley value of every player.

    Args:
        values: The worth of every set of players, the empty one included.
        players: All of them.

    >>> worth = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 2.0, frozenset("ab"): 5.0}
    >>> shapley(worth, frozenset("ab"))
    {'a': 2.0, 'b': 3.0}
    """
    n = len(players)
    found = {}
    for player in sorted(players):
        total = 0.0
        for others in [(), *sets_of(sorted(players - {player}))]:
            before = frozenset(others)
            weight = factorial(len(before)) * factorial(n - len(before) - 1) / factorial(n)
            total += weight * (values[before | {player}] - values[before])
        found[player] = total
    return found


def contributions(rows: pd.DataFrame, modality_of: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per strategy and modality.

    Only strategies that ran over every set of modalities are there.

    Args:
        rows: The rows of a :class:`classify.results.table.ResultTable`.
        modality_of: View to its modality; a modality takes part with all its views.
    """
    _, right = completeness(rows["WA"].fillna(0.0), rows["n_scored"], rows["n_test"])
    rows = rows.assign(
        right=right,
        strategy=rows["method"].str.replace(r"\[.*\]$", "", regex=True),
    )
    floor = rows[rows["cell"] == FLOOR].set_index(list(RUN))["right"]
    lines = []
    for strategy, part in _strategies(rows):
        shares = _shares_by_run(part, floor, modality_of)
        if len(shares):
            about = {name: part.iloc[0][name] for name in ABOUT}
            lines += [{**about, **strategy, **line} for line in _over_folds(shares)]
    return pd.DataFrame(lines)


def _shares_by_run(
    part: pd.DataFrame, floor: pd.Series, modality_of: Mapping[str, str]
) -> pd.DataFrame:
    """Return :data:`FIGURES` per fold, seed and modality; no rows where a set of them is missing.

    Args:
        part: The rows of one strategy over all its sets of modalities.
        floor: What answering the commonest training class gives, by :data:`RUN`.
        modality_of: View to its modality.
    """
    lines = []
    for run, of_run in part.groupby(list(RUN)):
        values = {}
        for names, right in zip(of_run["modalities"], of_run["right"], strict=True):
            modalities = _whole_modalities(names.split("+"), modality_of)
            if modalities:
                values[modalities] = float(right)
        if not values:
            break
        players = frozenset.union(*values)
        # the exact value needs the worth of every set
        if len(players) < 2 or len(values) < 2 ** len(players) - 1:
            break
        nothing = values[frozenset()] = float(floor.loc[run])
        for modality, share in shapley(values, players).items():
            line = {
                "fold": run[0],
                "modality": modality,
                "shapley": share,
                "alone": values[frozenset({modality})] - nothing,
                "last": values[players] - values[players - {modality}],
                "total": values[players] - nothing,
            }
            lines.append(line)
    return pd.DataFrame(lines)


def _whole_modalities(views: Sequence[str], modality_of: Mapping[str, str]) -> frozenset[str]:
    """Return the modalities of some views; none where one of them lacks a view."""
    modalities = frozenset(modality_of[view] for view in views)
    whole = {view for view, modality in modality_of.items() if modality in modalities}
    return modalities if whole == set(views) else frozenset()


def _over_folds(shares: pd.DataFrame) -> list[dict[str, object]]:
    """Return one line per modality: means over folds in points of per cent, and the deviation."""
    by_fold = shares.groupby(["modality", "fold"])[list(FIGURES)].mean()
    means = by_fold.groupby("modality").mean()
    deviations = by_fold.groupby("modality")["shapley"].std(ddof=1)
    lines: list[dict[str, object]] = []
    for modality in means.index:
        line: dict[str, object] = {"modality": modality}
        for figure in FIGURES:
            line[figure] = round(100 * means.loc[modality, figure], 2)
        line["shapley_sd"] = round(100 * deviations.loc[modality], 2)
        line["folds"] = by_fold.loc[modality].shape[0]
        lines.append(line)
    return lines


def _strategies(rows: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Yield every way of fusing with the rows of all its sets of modalities."""
    single = rows[rows["family"] == UNIMODAL]
    fused = rows[rows["family"].isin((EARLY, LATE, SYSTEM))]
    for (family, method), part in fused.groupby(["family", "strategy"], sort=False):
        named = {"family": str(family), "method": str(method)}
        if family == SYSTEM:
            whole = part.loc[part["modalities"].str.count(r"\+").idxmax(), "classifier"]
            yield {**named, "classifier": str(whole)}, part
            continue
        for classifier, of_classifier in part.groupby("classifier", sort=False):
            if family == LATE:
                alone = single[single["classifier"].isin((HEAD, PROBE, RULE))]
            else:
                alone = single[single["classifier"] == classifier]
            yield {**named, "classifier": str(classifier)}, pd.concat([of_classifier, alone])
