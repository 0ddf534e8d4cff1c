"""What each modality and each view contributes to each way of fusing: its Shapley value.

With ``v(S)`` the ``WA_all`` on test rows of a strategy over the modalities S (a row that none of
them has, or without a label, counts as wrong), and ``v()`` that of the commonest training class,

    shapley(m) = sum over S without m of |S|! (n - |S| - 1)! / n! (v(S + m) - v(S))

so that the values of all modalities add up to ``v(all) - v()``, the column ``total``. ``alone`` is
``v(m) - v()`` and ``last`` is ``v(all) - v(all without m)``. All are points of per cent, means over
folds and seeds, with the deviation over folds.

There are two games (column ``game``). By ``modality`` a modality comes and goes with all its views,
and the value is exact. By ``view``, which takes ``--subsets view``, each view is by itself; the
column ``how`` says whether the value is exact or estimated from random orders, and then
``shapley_se`` is its standard error over these orders, for these folds and models
(:mod:`classify.systems.view_sets`). A game is left out where a set that it needs was not computed.

A single modality stands in early fusion for its own cell of the same classifier, in late fusion for
its head, probe or stack of layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import factorial
from typing import Any

import numpy as np
import pandas as pd

from classify.evaluation.metrics import completeness
from classify.names import (
    BASELINE,
    BY_MODALITY,
    BY_VIEW,
    EARLY,
    HEAD,
    LATE,
    PROBE,
    RULE,
    SYSTEM,
    UNIMODAL,
)
from classify.systems.definitions import sets_of
from classify.systems.view_sets import EXACT_VIEWS, PERMUTATION_SEED, PERMUTATIONS, orders_of

CONTRIBUTIONS = "contributions.csv"
FLOOR = f"{BASELINE} majority"
RUN = ("fold", "seed", "encoder_seed")
ABOUT = ("claim", "corpus", "protocol", "split_digest", "label_set", "labels_shuffled", "fit_rows")
OF_CELL = ("cell", "family", "method", "modalities", "classifier", "WA", "n_scored", "n_test")
READ = dict.fromkeys((*ABOUT, *RUN, *OF_CELL))
EXACT = "exact"
ESTIMATED = f"estimated: {PERMUTATIONS} random orders, seed {PERMUTATION_SEED}"
FIGURES = ("shapley", "alone", "last", "total")

Row = dict[str, Any]  # of ``grid.csv``


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


def estimated_shapley(
    values: Mapping[frozenset[str], float], orders: Sequence[Sequence[str]]
) -> dict[str, list[float]]:
    """Return what every player adds where it joins, once for each order; the mean is the estimate.

    Args:
        values: The worth of the sets that begin the orders, the empty one included.
        orders: All players, one after the other.

    >>> worth = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 2.0, frozenset("ab"): 5.0}
    >>> estimated_shapley(worth, ["ab", "ba"])
    {'a': [1.0, 3.0], 'b': [4.0, 2.0]}
    """
    added: dict[str, list[float]] = {player: [] for player in sorted(orders[0])}
    for order in orders:
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            added[player].append(values[before | {player}] - values[before])
    return added


def contributions(rows: pd.DataFrame, modality_of: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per strategy and modality, and per view where sets of views were fused.

    Only strategies that ran over every set that a game needs are there.

    Args:
        rows: The rows of a :class:`classify.results.table.ResultTable`.
        modality_of: View to its modality; a modality takes part with all its views.
    """
    table = rows[list(READ)]
    _, right = completeness(table["WA"].fillna(0.0), table["n_scored"], table["n_test"])
    # as plain values: a frame takes longer to choose rows from than all sums take
    cells = [
        {**row, "right": float(share), "strategy": re.sub(r"\[.*\]$", "", str(row["method"]))}
        for row, share in zip(table.to_dict("records"), right, strict=True)
    ]
    floor = {_run_of(row): float(row["right"]) for row in cells if row["cell"] == FLOOR}
    lines = []
    for strategy, part in _strategies(cells):
        about = {name: part[0][name] for name in ABOUT}
        # a system may be over some of the views; a modality is whole with those
        used = {view for row in part for view in row["modalities"].split("+")}
        own = {view: modality for view, modality in modality_of.items() if view in used}
        games = {BY_MODALITY: own}
        if len(set(own.values())) < len(own):
            games[BY_VIEW] = {view: view for view in own}
        for game, player_of in games.items():
            shares, how = _shares_by_run(part, floor, player_of)
            if len(shares):
                named = {**about, **strategy, "game": game, "how": how}
                lines += [{**named, **line} for line in _over_folds(shares)]
    return pd.DataFrame(lines)


def _run_of(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in RUN)


def _shares_by_run(
    part: Sequence[Row], floor: Mapping[tuple[Any, ...], float], player_of: Mapping[str, str]
) -> tuple[pd.DataFrame, str]:
    """Return :data:`FIGURES` per fold, seed and player, and how they were made.

    There are no rows where a set that is needed is missing.

    Args:
        part: The rows of one strategy over all its sets.
        floor: What answering the commonest training class gives, by :data:`RUN`.
        player_of: View to its player: its modality, or itself.
    """
    lines: list[dict[str, object]] = []
    how = EXACT
    runs: dict[tuple[Any, ...], dict[frozenset[str], float]] = {}
    for row in part:
        values = runs.setdefault(_run_of(row), {})
        players = _whole_players(row["modalities"].split("+"), player_of)
        if players:
            values[players] = row["right"]
    for run, values in sorted(runs.items(), key=lambda of_run: of_run[0]):
        everybody = frozenset[str]().union(*values)
        nothing = values[frozenset()] = floor[run]
        added: dict[str, list[float]]
        if len(everybody) < 2 or everybody not in values:
            return pd.DataFrame(), ""
        if len(values) == 2 ** len(everybody):
            added = {player: [share] for player, share in shapley(values, everybody).items()}
        elif len(everybody) > EXACT_VIEWS and _begun(everybody) <= set(values):
            added = estimated_shapley(values, orders_of(list(everybody)))
            how = ESTIMATED
        else:
            return pd.DataFrame(), ""
        for player, shares in added.items():
            rest, alone = values.get(everybody - {player}), values.get(frozenset({player}))
            line: dict[str, object] = {
                "fold": run[0],
                "modality": player,
                "shapley": np.mean(shares),
                "alone": np.nan if alone is None else alone - nothing,
                "last": np.nan if rest is None else values[everybody] - rest,
                "total": values[everybody] - nothing,
                "by_order": shares,
            }
            lines.append(line)
    return pd.DataFrame(lines), how


def _begun(players: frozenset[str]) -> set[frozenset[str]]:
    """Return every set whose worth the estimate needs."""
    return {
        frozenset(order[:size])
        for order in orders_of(list(players))
        for size in range(1, len(players) + 1)
    }


def _whole_players(views: Sequence[str], player_of: Mapping[str, str]) -> frozenset[str]:
    """Return the players of some views; none where one of them lacks a view."""
    players = frozenset(player_of[view] for view in views)
    whole = {view for view, player in player_of.items() if player in players}
    return players if whole == set(views) else frozenset()


def _over_folds(shares: pd.DataFrame) -> list[dict[str, object]]:
    """Return one line per player: means over folds in points of per cent, and deviations."""
    by_fold = shares.groupby(["modality", "fold"])[list(FIGURES)].mean()
    means = by_fold.groupby("modality").mean()
    deviations = by_fold.groupby("modality")["shapley"].std(ddof=1)
    lines: list[dict[str, object]] = []
    for modality in means.index:
        line: dict[str, object] = {"modality": modality}
        for figure in FIGURES:
            line[figure] = round(100 * means.loc[modality, figure], 2)
        line["shapley_sd"] = round(100 * deviations.loc[modality], 2)
        own = shares.loc[shares["modality"] == modality, "by_order"]
        by_order = np.mean(np.stack(own.to_list()), axis=0)  # over folds and seeds
        error = by_order.std(ddof=1) / len(by_order) ** 0.5 if len(by_order) > 1 else np.nan
        line["shapley_se"] = round(100 * error, 2)
        line["folds"] = by_fold.loc[modality].shape[0]
        lines.append(line)
    return lines


def _strategies(cells: Sequence[Row]) -> Iterator[tuple[dict[str, str], list[Row]]]:
    """Yield every way of fusing with the rows of all its sets of modalities."""
    single = [row for row in cells if row["family"] == UNIMODAL]
    fused: dict[tuple[str, str], list[Row]] = {}
    for row in cells:
        if row["family"] in (EARLY, LATE, SYSTEM):
            fused.setdefault((row["family"], row["strategy"]), []).append(row)
    for (family, method), part in fused.items():
        named = {"family": family, "method": method}
        if family == SYSTEM:
            whole = max(part, key=lambda row: row["modalities"].count("+"))
            yield {**named, "classifier": whole["classifier"]}, part
            continue
        for classifier in dict.fromkeys(row["classifier"] for row in part):
            own = (HEAD, PROBE, RULE) if family == LATE else (classifier,)
            alone = [row for row in single if row["classifier"] in own]
            of_classifier = [row for row in part if row["classifier"] == classifier]
            yield {**named, "classifier": classifier}, of_classifier + alone
