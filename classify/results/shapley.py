"""What each modality contributes to each way of fusing.

Its exact Shapley value over all sets of modalities.

With ``v(S)`` the accuracy on test rows of a strategy over the modalities S (a row that none of them
has counts as wrong), and ``v()`` that of the commonest training class,

    shapley(m) = sum over S without m of |S|! (n - |S| - 1)! / n! (v(S + m) - v(S))

so that the values of all modalities add up to ``v(all) - v()``, the column ``total``. ``alone`` is
``v(m) - v()`` and ``last`` is ``v(all) - v(all without m)``. All are points of per cent, means over
folds and seeds, with the deviation over folds.

A single modality stands in early fusion for its own cell of the same classifier, in late fusion for
its head or probe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import factorial

import pandas as pd

from classify.names import BASELINE, EARLY, HEAD, LATE, PROBE, SYSTEM, UNIMODAL
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
        others = [frozenset(s) for s in [(), *sets_of(sorted(players - {player}))]]
        found[player] = sum(
            factorial(len(s))
            * factorial(n - len(s) - 1)
            / factorial(n)
            * (values[s | {player}] - values[s])
            for s in others
        )
    return found


def contributions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per strategy and modality, of the strategies that ran over every set of modalities.

    Args:
        rows: The rows of a :class:`classify.results.table.ResultTable`.
    """
    rows = rows.assign(
        right=rows["WA"].fillna(0.0) * rows["n_scored"] / rows["n_test"],
        strategy=rows["method"].str.replace(r"\[.*\]$", "", regex=True),
    )
    floor = rows[rows["cell"] == FLOOR].set_index(list(RUN))["right"]
    lines = []
    for strategy, part in _strategies(rows):
        by_run = []
        for run, of_run in part.groupby(list(RUN)):
            values = {
                frozenset(m.split("+")): float(v)
                for m, v in zip(of_run["modalities"], of_run["right"], strict=True)
            }
            players = frozenset.union(*values)
            if len(players) < 2 or len(values) < 2 ** len(players) - 1:
                break
            values[frozenset()] = float(floor.loc[run])
            shares = shapley(values, players)
            by_run += [
                {
                    "fold": run[0],
                    "modality": m,
                    "shapley": share,
                    "alone": values[frozenset({m})] - values[frozenset()],
                    "last": values[players] - values[players - {m}],
                    "total": values[players] - values[frozenset()],
                }
                for m, share in shares.items()
            ]
        if by_run:
            by_fold = pd.DataFrame(by_run).groupby(["modality", "fold"])[list(FIGURES)].mean()
            mean, deviation = (
                by_fold.groupby("modality").mean(),
                by_fold.groupby("modality")["shapley"].std(ddof=1),
            )
            about = {name: part.iloc[0][name] for name in ABOUT}
            lines += [
                {
                    **about,
                    **strategy,
                    "modality": m,
                    **{f: round(100 * mean.loc[m, f], 2) for f in FIGURES},
                    "shapley_sd": round(100 * deviation.loc[m], 2),
                    "folds": by_fold.loc[m].shape[0],
                }
                for m in mean.index
            ]
    return pd.DataFrame(lines)


def _strategies(rows: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Yield every way of fusing with the rows of all its sets of modalities."""
    single = rows[rows["family"] == UNIMODAL]
    for (family, method), part in rows[rows["family"].isin((EARLY, LATE, SYSTEM))].groupby(
        ["family", "strategy"], sort=False
    ):
        if family == SYSTEM:
            whole = part.loc[part["modalities"].str.count(r"\+").idxmax(), "classifier"]
            yield {"family": str(family), "method": str(method), "classifier": str(whole)}, part
            continue
        for classifier, of_classifier in part.groupby("classifier", sort=False):
            alone = single[
                single["classifier"].isin((HEAD, PROBE))
                if family == LATE
                else single["classifier"] == classifier
            ]
            yield (
                {"family": str(family), "method": str(method), "classifier": str(classifier)},
                pd.concat([of_classifier, alone]),
            )
