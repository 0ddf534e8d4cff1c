"""Shapley values by view: exact for few, estimated from stated orders for many, or left out."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from classify.experiment import run_grid
from classify.figures.compare import contributions as drawing
from classify.figures.results_folder import FinishedRun
from classify.grid.config import GridConfig
from classify.grid.prepare import prepare
from classify.results.shapley import ESTIMATED, EXACT, contributions, estimated_shapley
from classify.systems.definitions import read_systems
from classify.systems.view_sets import EXACT_VIEWS, orders_of, view_sets
from classify.terminal.grid import show_results
from embeddings_store.errors import UsageError

MakeStore = Callable[..., Path]


def worth_of(views: frozenset[str], good: Mapping[str, float]) -> float:
    """Some worth: what is good adds up, and pairs of one modality say the same twice."""
    total = sum(good[view] for view in views)
    audio = sum(view.startswith("audio") for view in views)
    return 0.2 + total - 0.01 * audio * (audio - 1) / 2


def rows_of(
    views: Sequence[str], sets: Sequence[Sequence[str]], good: Mapping[str, float]
) -> pd.DataFrame:
    """Rows of grid.csv for early sums over some sets of views, on two folds."""
    lines = []
    for fold in (1, 2):
        about = {"fold": fold, "seed": 0, "encoder_seed": "", "n_scored": 100, "n_test": 100}
        for name in ("claim", "corpus", "protocol", "split_digest", "label_set"):
            about[name] = "x"
        about |= {"labels_shuffled": "no", "fit_rows": "train"}
        lines.append({**about, "cell": "baseline majority", "family": "baseline", "WA": 0.2})
        for chosen in sets:
            family = "early" if len(chosen) > 1 else "unimodal"
            lines.append(
                {
                    **about,
                    "cell": f"{family} {'+'.join(chosen)}",
                    "family": family,
                    "method": "sum" if len(chosen) > 1 else "",
                    "modalities": "+".join(chosen),
                    "classifier": "svm",
                    "WA": worth_of(frozenset(chosen), good) + 0.01 * fold,
                }
            )
    return pd.DataFrame(lines).fillna({"method": "", "modalities": "", "classifier": ""})


def game(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["game"] == name].set_index("modality")


def test_few_views_are_exact_and_add_up() -> None:
    views = ["audio.L0", "audio.L1", "text"]
    of = {"audio.L0": "audio", "audio.L1": "audio", "text": "text"}
    good = {"audio.L0": 0.1, "audio.L1": 0.2, "text": 0.05}
    table = contributions(rows_of(views, view_sets(views), good), of)
    by_view, by_modality = game(table, "view"), game(table, "modality")
    assert set(table["how"]) == {EXACT}
    assert set(table["shapley_se"].isna()) == {True}
    for view in views:  # by hand: the mean over all orders
        added = [
            worth_of(frozenset(order[: place + 1]), good)
            - worth_of(frozenset(order[:place]), good)
            + (0.015 if place == 0 else 0)  # the folds' part above the baseline
            for order in permutations(views)
            for place in [order.index(view)]
        ]
        assert by_view.loc[view, "shapley"] == pytest.approx(100 * np.mean(added), abs=0.01)
    for found in (by_view, by_modality):
        assert found["shapley"].sum() == pytest.approx(found["total"].iloc[0], abs=0.02)
    assert list(by_modality.index) == ["audio", "text"]


def test_many_views_are_estimated_with_a_standard_error_that_holds() -> None:
    views = [f"audio.L{n}" for n in range(8)]
    good = {view: 0.02 * place for place, view in enumerate(views)}
    of = dict.fromkeys(views, "audio")
    sampled = rows_of(views, view_sets(views), good)
    table = contributions(sampled, of)
    by_view = game(table, "view")
    assert set(by_view["how"]) == {ESTIMATED}
    assert "12 random orders, seed 0" in ESTIMATED
    # of one modality alone there is no game by modality
    assert not len(game(table, "modality"))
    assert by_view["shapley"].sum() == pytest.approx(by_view["total"].iloc[0], abs=0.05)
    everything = [c for size in range(1, 9) for c in combinations(views, size)]
    exact = game(contributions(rows_of(views, everything, good), of), "view")
    assert set(exact["how"]) == {EXACT}
    off = (by_view["shapley"] - exact["shapley"]).abs() / by_view["shapley_se"]
    assert (by_view["shapley_se"] > 0).all()
    assert off.max() < 4
    # the rows stand in any order, and the same orders are found again
    again = contributions(sampled.sample(frac=1, random_state=1), of)
    pd.testing.assert_frame_equal(game(again, "view").sort_index(), by_view.sort_index())


def test_a_missing_set_leaves_the_game_out() -> None:
    views = [f"audio.L{n}" for n in range(EXACT_VIEWS + 1)]
    good = dict.fromkeys(views, 0.05)
    sets = view_sets(views)
    of = dict.fromkeys(views, "audio")
    assert len(contributions(rows_of(views, sets, good), of))
    lacking = [chosen for chosen in sets if chosen != sets[len(sets) // 2]]
    assert not len(contributions(rows_of(views, lacking, good), of))


def test_the_estimate_over_all_orders_is_the_value() -> None:
    views, good = list("abc"), {"a": 0.1, "b": 0.2, "c": 0.4}
    values = {
        frozenset(c): worth_of(frozenset(c), good) ** 2
        for n in range(4)
        for c in combinations(views, n)
    }
    added = estimated_shapley(values, list(permutations(views)))
    total = values[frozenset(views)] - values[frozenset()]
    assert sum(map(np.mean, added.values())) == pytest.approx(total)


def test_orders_depend_on_the_names_alone() -> None:
    views = [f"audio.L{n}" for n in range(13)]
    assert orders_of(views) == orders_of(views[::-1])
    assert {frozenset(c) for c in view_sets(views)} == {
        frozenset(c) for c in view_sets(views[::-1])
    }
    assert view_sets(views)[-1] == tuple(views)


def config(store: Path, **how: object) -> GridConfig:
    given: dict[str, object] = {
        "classifiers": ("svm",),
        "early": ("concatenation",),
        "late": (),
        "subsets": True,
        "subsets_by": "view",
        "jobs": 1,
        "out": store.parent / "results",
    }
    return GridConfig(store=store, **{**given, **how})  # type: ignore[arg-type]


def test_a_run_fuses_sets_of_views_and_shows_both_games(make_store: MakeStore) -> None:
    store = make_store(layers=2, rows=36)
    systems = read_systems(["mine = mean(nn(concat(audio.L0, audio.L1)), nn(text.L1))"], [])
    fast = {"nn": {"epochs": 2.0, "units": 4.0}}
    found = config(store, layers="all", systems=systems, settings=fast)
    result = run_grid(found)
    table = pd.read_csv(found.out / "contributions.csv")
    early = table[table["family"] == "early"]
    views = ["audio.L0", "audio.L1", "text.L0", "text.L1"]
    assert list(game(early, "view").index) == views
    assert list(game(early, "modality").index) == ["audio", "text"]
    for of_game in ("view", "modality"):
        total = game(early, of_game)
        assert total["shapley"].sum() == pytest.approx(total["total"].iloc[0], abs=0.03)
    of_system = table[table["family"] == "system"]
    assert set(of_system["game"]) == {"view", "modality"}
    shown = io.StringIO()
    show_results(result, Console(file=shown, width=100))
    text = " ".join(shown.getvalue().split())
    assert "What each view contributes: Shapley value, exact" in text
    assert "What each modality contributes: Shapley value, exact" in text
    assert not isinstance(drawing(FinishedRun.read(found.out)), str)


def test_without_sets_of_views_the_run_says_so(make_store: MakeStore) -> None:
    store = make_store(layers=2, rows=36)
    found = config(store, views=("audio.L0-1", "text.L1"), subsets_by="modality")
    result = run_grid(found)
    table = pd.read_csv(found.out / "contributions.csv")
    assert set(table["game"]) == {"modality"}
    shown = io.StringIO()
    show_results(result, Console(file=shown, width=100))
    assert "--subsets view fuses them" in " ".join(shown.getvalue().split())


def test_thirteen_layers_take_the_sets_of_the_stated_orders(make_store: MakeStore) -> None:
    store = make_store(layers=13, rows=36, widths={"audio": 3})
    cells = prepare(config(store, layers="all")).cells
    fused = {cell.modalities for cell in cells if cell.family == "early"}
    views = [f"audio.L{n}" for n in range(13)]
    assert fused == {chosen for chosen in view_sets(views) if len(chosen) > 1}
    with pytest.raises(UsageError, match="does not go with --layers-as mean"):
        prepare(config(store, layers="all", layers_as="mean", early=None))
