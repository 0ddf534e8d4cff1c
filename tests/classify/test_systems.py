"""Systems that a user writes.

Errors point at the character, rows stand in the grid, and nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.commands.run_fusion_grid import main
from classify.experiment import run_grid
from classify.fusion.early import EarlyFusion
from classify.fusion.projections import PROJECTIONS
from classify.fusion.rules import RULES
from classify.fusion.strategies import STRATEGIES
from classify.grid import execution as grid
from classify.grid.config import GridConfig
from classify.grid.execution import survey
from classify.grid.prepare import prepare
from classify.models.classifiers import baselines
from classify.report.tables.paper_tables import NOTES, ROW_TITLES, TITLES
from classify.results.paper_tables import PAPER_TABLES
from classify.results.shapley import shapley
from classify.systems import expression as expressions_module
from classify.systems.definitions import read_systems, sets_of
from classify.systems.expression import (
    FIT_MODES,
    Call,
    Expression,
    View,
    complete,
    prune,
    views_of,
    words,
)
from classify.systems.parser import parse
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.catalogue import catalogue, choose_views
from embeddings_store.vectors.fold_data import RoleData

MakeStore = Callable[..., Path]
VIEWS = ("audio", "text", "video")
TWO = "two = mean(svm(concat(audio, text)), svm(concat(video, text)))"
THREE = {"audio": 5, "text": 4, "video": 3}


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("mean(audio, vidoe)", "unknown view 'vidoe'; did you mean 'video'?", 12),
        ("maen(audio, text)", "unknown strategy or classifier 'maen'; did you mean 'mean'?", 0),
        (
            "svm(concat(audio, text)",
            "',' or ')' is expected here, not the end; the bracket of 'svm' is open",
            23,
        ),
        ("svm(audio))", "the expression is complete here, and ')' follows", 10),
        ("svm(audio, c=)", "a number or a name is expected here, not ')'", 13),
        ("svm(audio, c=-1)", "svm: c must be a number above 0", 0),
        ("svm(audio, k=1)", "unknown option of svm 'k'", 0),
        ("svm(audio, c=1, c=2)", "the option 'c' is given twice", 16),
        ("svm(c=1, audio)", "options come last", 9),
        ("svm(audio, fit_rows=oof)", "svm learns nothing from class scores here", 0),
        ("mean(audio, text, fit_rows=oof)", "mean learns nothing from class scores here", 0),
        ("stack(audio, text, fit_rows=vlaid)", "did you mean 'valid'?", 0),
        (
            "svm(audio, text)",
            "svm takes one thing; fuse several first, for example svm(concat(audio, text))",
            11,
        ),
        (
            "mean(concat(audio, text), video)",
            "mean takes class scores, and concat(audio, text) is a vector",
            5,
        ),
        (
            "concat(audio, text)",
            "a system ends in class scores, and concatenation gives a vector",
            0,
        ),
        ("audio", "a system ends in class scores, and audio is a vector; write svm(audio)", 0),
        ("svm(sum(audio, probe(text)))", "sum takes vectors or class scores, not both", 4),
        ("svm(concat(audio, audio))", "audio stands twice in concatenation", 18),
        ("head(concat(audio, text))", "head takes the name of a view", 5),
        ("probe(svm(audio))", "probe takes vectors, and svm(audio) is scores already", 6),
        (
            "svm(sum(audio, text, project=pcb:3))",
            "unknown projection 'pcb'; did you mean 'pca'?",
            4,
        ),
        ("svm(sum(audio, text, project=pca:0))", "must be a whole number of 1 or more", 4),
        ("mean(audio; text)", "';' is no part of an expression", 10),
        ("mean()", "a view or a strategy is expected here, not ')'", 5),
        ("mean(audio,\n     vidoe)", "unknown view 'vidoe'", 5),
        ("", "a view or a strategy is expected here, not the end", 0),
    ],
)
def test_errors_point_at_the_character(text: str, message: str, column: int) -> None:
    with pytest.raises(UsageError) as error:
        parse(text, VIEWS)
    first, *_, line, caret = str(error.value).splitlines()
    assert message in first
    assert line.strip() in text
    assert caret == " " * (2 + column) + "^"


def expressions() -> st.SearchStrategy[Expression]:
    views = st.sampled_from(("audio", "text", "a view", "x-1", "mean")).map(View)
    early = st.sampled_from(list(STRATEGIES))
    rules = st.sampled_from([rule for rule in RULES if not RULES[rule].hidden])

    def vectors(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        return st.builds(
            lambda w, a, p: Call(w, tuple(a), p),
            early,
            st.lists(inner, min_size=1, max_size=3, unique=True),
            st.sampled_from(((), (("project", "pca:2"),))),
        )

    some = st.recursive(views, vectors, max_leaves=4)
    scores = st.builds(
        lambda v, c: Call("svm", (v,), (("c", c),)),
        some,
        st.floats(0.5, 100).map(lambda c: float(f"{c:g}")),
    )
    return st.recursive(
        scores,
        lambda inner: st.builds(
            lambda w, a: Call(w, tuple(a)), rules, st.lists(inner | views, min_size=1, max_size=3)
        ),
        max_leaves=4,
    )


@given(expressions())
@settings(max_examples=60, deadline=None)
def test_the_text_of_a_tree_is_read_back(node: Expression) -> None:
    assert parse(str(node)) == node
    whole = complete(node, dict.fromkeys(views_of(node), "probe"))
    assert complete(whole, {}) == whole == parse(str(whole))
    for keep in views_of(node):
        left = prune(node, frozenset({keep}))
        assert left is not None
        assert views_of(left) == (keep,)
        assert parse(str(left)) == left, "it is read again before it is computed"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("svm(concat(audio, scores(text)), fit_rows=oof)", "svm(concat(audio))"),
        (
            "svm(concat(scores(audio), text), fit_rows=oof, c=2)",
            "svm(concat(scores(audio)), c=2, fit_rows=oof)",
        ),
        ("svm(concat(concat(audio, text), concat(audio, video)))", "svm(concat(concat(audio)))"),
        ("stack(audio, svm(text), fit_rows=oof)", "stack(audio, fit_rows=oof)"),
    ],
)
def test_a_subset_of_a_system_is_a_system(text: str, left: str) -> None:
    part = prune(parse(text), frozenset({"audio"}))
    assert str(part) == left
    assert parse(left) == part


def test_a_head_that_is_not_there_is_refused_before_anything_is_computed(
    make_store: MakeStore, tmp_path: Path
) -> None:
    config = GridConfig(make_store(heads=("audio",)), tmp_path / "r", early=(), late=(), jobs=1)
    with pytest.raises(
        UsageError,
        match=r"^mine: head\(text\) is not there.*write probe\(text\), or scores\(text\)",
    ):
        prepare(replace(config, systems=read_systems(["mine = mean(head(audio), head(text))"])))
    prepare(replace(config, systems=read_systems(["mine = mean(head(audio), probe(text))"])))


def test_files_hold_many_systems(tmp_path: Path) -> None:
    path = tmp_path / "systems.txt"
    path.write_text(
        "# two systems\n\none = mean(audio,   # the first\n           text)\n\ntwo=svm(audio)\n",
        encoding="utf-8",
    )
    found = read_systems(["vote(audio, text)"], [path])
    assert [(s.name, s.where.removeprefix(str(tmp_path))) for s in found] == [
        ("vote(audio, text)", "--system"),
        ("one", "/systems.txt, line 3"),
        ("two", "/systems.txt, line 6"),
    ]
    assert str(parse(found[1].text)) == "mean(audio, text)"
    with pytest.raises(UsageError, match=r"two systems are called 'two': --system and .*line 6"):
        read_systems(["two = svm(text)"], [path])
    with pytest.raises(UsageError, match="cannot be read"):
        read_systems(files=[tmp_path / "none.txt"])


@pytest.fixture
def config(make_store: MakeStore, tmp_path: Path) -> GridConfig:
    store = make_store(widths=THREE, missing={"audio": 8}, rows=90, split=True)
    return GridConfig(
        store,
        tmp_path / "r",
        classifiers=("svm",),
        early=(),
        late=("mean",),
        systems=read_systems([TWO]),
        jobs=1,
    )


def test_a_system_is_a_row_of_the_grid_and_is_resumed(
    config: GridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = run_grid(config).table.rows
    mine = rows[rows["family"] == "system"]
    assert set(mine["cell"]) == {"system two audio+text+video mean"}
    assert set(mine["expression"]) == {
        "mean(calibrated(svm(concat(audio, text))), calibrated(svm(concat(video, text))))"
    }
    assert set(mine["learnt_on"]) == {"oof"}
    assert mine["WA"].mean() > 0.7
    assert (pd.read_csv(config.out / "table_systems.csv")["row"] == "two").any()
    monkeypatch.setattr(grid, "run_cell", lambda task: pytest.fail(f"computed again: {task.cell}"))
    run_grid(config)
    renamed = replace(config, systems=read_systems(["other " + TWO.removeprefix("two ")]))
    assert survey(replace(config, settings={"svm": {"c": 2.0}})).to_run > 0
    assert survey(renamed).to_run == 1  # its name is part of its key


def test_systems_are_checked_before_anything_is_computed(
    config: GridConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--store", str(config.store), "--out", str(config.out)]
    assert main([*common, "--system", "bad = svm(sum(audio, text))"]) == 2
    error = capsys.readouterr().err
    assert "audio 5, text 4" in error
    assert "sum(..., project=pca:4)" in error
    assert "the system 'bad' (--system): early sum" in error
    assert main([*common, "--system", "bad = mean(audio, txet)"]) == 2
    assert "              ^" in capsys.readouterr().err
    assert not config.out.exists()


def test_what_learns_has_rows_to_learn_from(make_store: MakeStore, tmp_path: Path) -> None:
    config = GridConfig(
        make_store(split=True, seen="fit"), tmp_path / "r", classifiers=("svm",), jobs=1
    )
    prepared = prepare(config)
    rules = {c.method for c in prepared.cells if c.classifier == "rule"}
    assert rules == {"mean", "confidence", "logproduct", "bayes", "maximum", "vote"}
    assert (
        sum(
            "left out: stack learns from class scores of validation rows" in note
            for note in prepared.notes
        )
        == 1
    )
    with pytest.raises(FoldError, match="gate learns from class scores of validation rows"):
        prepare(replace(config, late=("gate",)))
    with pytest.raises(FoldError, match=r"mine \(stack\) learns"):
        prepare(replace(config, systems=read_systems(["mine = stack(audio, text)"])))
    asked = prepare(
        replace(config, systems=read_systems(["mine = stack(audio, text, fit_rows=oof)"]))
    )
    assert [c.method for c in asked.cells if c.family == "system"] == ["mine"]


def test_all_subsets_in_one_run_and_what_each_modality_contributes(config: GridConfig) -> None:
    table = run_grid(replace(config, subsets=True, early=("concatenation",))).table.rows
    sets = {"+".join(chosen) for chosen in sets_of(VIEWS)}
    assert len(sets) == 7
    for family in ("early", "late"):
        assert set(table.loc[table["family"] == family, "modalities"]) == {
            s for s in sets if "+" in s
        }
    assert set(table.loc[table["family"] == "system", "modalities"]) == sets
    assert not table.duplicated(["cell", "fold"]).any()
    found = pd.read_csv(config.out / "contributions.csv")
    right = table.assign(right=table["WA"] * table["n_scored"] / table["n_test"])
    for (family, method), part in found.groupby(["family", "method"]):
        whole = right[
            (right["family"] == family)
            & (right["method"] == method)
            & (right["modalities"] == "audio+text+video")
        ]
        floor = right[right["cell"] == "baseline majority"]
        gained = 100 * (whole["right"].mean() - floor["right"].mean())
        assert part["shapley"].sum() == pytest.approx(gained, abs=0.05)
        assert part["total"].tolist() == pytest.approx([gained] * 3, abs=0.01)
    assert set(found["method"]) == {"concatenation", "mean", "two"}


def test_two_groups_with_metadata_from_one_expression(
    make_store: MakeStore, tmp_path: Path
) -> None:
    """The published pair.

    {audio, text, metadata} and {video, text, metadata}, each fused early, joined late; seven
    classes.
    """
    store = make_store(widths=THREE, rows=126)
    old = Manifest.load(store / "toy")
    rng, seven = np.random.default_rng(1), np.arange(len(old)) // 3 % 7
    columns = {name: old.table[name] for name in ("id", "text", "session", "speaker", "group")}
    columns |= {
        "label": [f"emotion {c}" for c in seven],
        "meta_age": 20 + 3 * seven + rng.normal(size=len(old)),
        "meta_timbre": [("low", "high")[c % 2] for c in seven],
    }
    tags = {"meta_age": "safe", "meta_timbre": "safe"}
    Manifest.from_columns("toy", columns, protocol=old.protocol, tags=tags).save(store / "toy")
    expression = "mean(svm(concat(audio, text, metadata)), svm(concat(video, text, metadata)))"
    rows = run_grid(
        GridConfig(
            store,
            tmp_path / "r",
            metadata=("safe",),
            classifiers=("svm",),
            early=(),
            late=(),
            systems=read_systems([f"pair = {expression}"]),
            jobs=1,
        )
    ).table.rows
    mine = rows[rows["family"] == "system"]
    assert set(mine["modalities"]) == {"audio+text+metadata+video"}
    assert (mine["n_scored"] == mine["n_test"]).all()
    assert mine["WA"].mean() > 0.6  # the metadata tell the class


def test_unequal_widths_from_one_expression(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(widths={"face": 128, "pose": 3, "text": 768}, rows=90, apart=0.3)
    systems = [
        "wide = svm(concat(face, pose, text))",
        "narrow = svm(sum(face, pose, text, project=linear:16))",
    ]
    rows = run_grid(
        GridConfig(
            store,
            tmp_path / "r",
            classifiers=("svm",),
            early=(),
            late=(),
            systems=read_systems(systems),
            jobs=1,
        )
    ).table.rows
    means = rows[rows["family"] == "system"].groupby("method")["WA"].mean()
    assert means["wide"] > 0.8
    assert means["narrow"] > 0.5  # 16 unsupervised axes from 30 rows; three deviations above chance
    data = fold(store)
    assert (
        EarlyFusion("concatenation", ("face", "pose", "text")).fit(data).transform(data).X.shape[1]
        == 128 + 3 + 768
        == 899
    )
    assert (
        EarlyFusion("sum", ("face", "pose", "text"), "linear:16")
        .fit(data)
        .transform(data)
        .X.shape[1]
        == 16
    )


def fold(store: Path) -> RoleData:
    manifest = Manifest.load(store / "toy")
    views = {m: refs[0] for m, refs in choose_views(catalogue(store, "toy")).items()}
    return load_fold(FoldRequest(store, "toy", views, make_plan(manifest), 1)).train


def test_the_page_explains_every_word() -> None:
    page = (Path(expressions_module.__file__).parent.with_name("FUSION.md")).read_text(
        encoding="utf-8"
    )
    for word in (*words(), *PROJECTIONS, *FIT_MODES):
        assert f"`{word}`" in page or f"`{word}:D`" in page or word in baselines(), word


def test_the_report_knows_the_table_of_every_family() -> None:
    assert set(PAPER_TABLES.values()) <= set(TITLES)
    assert set(PAPER_TABLES) == set(NOTES) == set(ROW_TITLES)


def test_shapley_values_are_averages_over_orders() -> None:
    from itertools import permutations

    rng = np.random.default_rng(3)
    players = frozenset("abcd")
    worth = {frozenset(s): float(rng.random()) for s in [(), *sets_of(sorted(players))]}
    plain = dict.fromkeys(players, 0.0)
    for order in permutations(sorted(players)):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            plain[player] += (worth[before | {player}] - worth[before]) / 24
    assert shapley(worth, players) == pytest.approx(plain)


def test_degradation_is_the_fitted_system_on_rows_that_lost_modalities(config: GridConfig) -> None:
    config = replace(config, drop_rates=(0.3, 0.9), systems=(), late=("mean",))
    table = run_grid(config).table.rows
    found = pd.read_csv(config.out / "degradation.csv", keep_default_na=False)
    assert set(found["dropped"] + " " + found["rate"].map("{:g}".format)) == {
        "each 0",
        "each 0.3",
        "each 0.9",
        "audio 1",
        "text 1",
        "video 1",
    }
    whole = table[table["family"] == "late"].set_index("fold")["WA"]
    same = found[found["rate"] == 0].set_index("fold")["WA"]
    np.testing.assert_allclose(same.loc[whole.index], whole)
    means = found.groupby(["dropped", "rate"])["WA"].mean()
    assert means["each", 0.9] < means["each", 0.0]
    # with one of three gone the mean is that of the other two, which a run without it gives
    others = run_grid(
        replace(config, modalities=("text", "video"), out=config.out / "less", drop_rates=())
    ).table.rows
    plain = others[others["family"] == "late"].set_index("fold")
    kept = found[found["dropped"] == "audio"].set_index("fold")
    assert (kept["n_scored"] == plain["n_scored"]).all()
    np.testing.assert_allclose(kept["WA"], plain["WA"])
    assert survey(config).to_run == 0


def test_degradation_names_every_seed(config: GridConfig) -> None:
    run_grid(replace(config, drop_rates=(0.5,), systems=(), late=("mean",), seeds=(3, 4)))
    found = pd.read_csv(config.out / "degradation.csv", keep_default_na=False)
    assert set(found["seed"]) == {3, 4}, (
        "a rule draws no random numbers: one file, and a row for each seed"
    )
    assert not found.duplicated(["cell", "fold", "seed", "dropped", "rate"]).any()
