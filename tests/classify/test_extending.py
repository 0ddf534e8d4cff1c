"""A strategy, a late rule and a classifier are one entry each, and everything else follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from classify.commands.grid_options import build_parser
from classify.experiment import run_grid
from classify.fusion.rules import RULES, FittedRule, Inputs, Rule
from classify.fusion.scores import LateFusion
from classify.fusion.strategies import STRATEGIES, FusionStrategy, ScoreFusion, VectorFusion
from classify.grid.config import GridConfig
from classify.models.class_scores import PROBABILITY
from classify.models.classifiers import CLASSIFIERS
from classify.models.specification import ClassifierSpec, ProbabilityEstimator, Setting
from classify.systems.definitions import read_systems
from classify.systems.expression import words
from classify.systems.parser import parse
from embeddings_store.errors import UnknownNameError, UsageError

MakeStore = Callable[..., Path]


def largest(blocks: Iterable[np.ndarray]) -> np.ndarray:
    return np.max(np.stack(list(blocks)), axis=0)


def median(inputs: Inputs) -> np.ndarray:
    return np.log(np.median(inputs.p, axis=0) + 1e-12)


VECTORS = VectorFusion(largest)
SCORES = ScoreFusion(largest)
BAYES = ClassifierSpec(
    "naive-bayes",
    "naive Bayes",
    PROBABILITY,
    {"smoothing": Setting(1e-9, "scikit-learn's default", below=1)},
    lambda settings, seed: ProbabilityEstimator(GaussianNB(var_smoothing=settings["smoothing"])),
    cost_s=1,
    draws=False,
)


def options() -> str:
    """The help of the command, on one line."""
    return " ".join(build_parser().format_help().split())


@pytest.fixture
def config(tmp_path: Path) -> GridConfig:
    return GridConfig(
        tmp_path / "embeddings", tmp_path / "results", classifiers=("svm",), late=(), jobs=1
    )


def add(monkeypatch: pytest.MonkeyPatch, strategy: FusionStrategy) -> None:
    monkeypatch.setitem(STRATEGIES, strategy.name, strategy)  # type: ignore[arg-type]


def test_a_strategy_is_one_entry(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, FusionStrategy("largest", VECTORS, SCORES))
    make_store()
    assert options().count("product, largest") == 2
    assert "largest" in words()
    found = run_grid(
        GridConfig(
            tmp_path / "embeddings",
            tmp_path / "results",
            classifiers=("svm",),
            systems=read_systems(["mine = svm(largest(audio, text))"]),
            jobs=1,
        )
    ).table.rows
    cells = set(found["cell"])
    assert {"early largest audio+text svm", "late largest audio+text svm"} <= cells
    early, mine = (
        found.loc[found["cell"].str.startswith(start), "WA"].tolist()
        for start in ("early largest", "system mine")
    )
    assert early == mine
    assert np.mean(early) > 0.7


def test_a_rule_is_one_entry(
    make_store: MakeStore, config: GridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = Rule("median", lambda training: FittedRule(median))
    monkeypatch.setitem(RULES, rule.name, rule)  # type: ignore[arg-type]
    make_store()
    assert "gate, median," in options()
    systems = read_systems(["mine = median(audio, text)"])
    found = run_grid(
        GridConfig(
            config.store, config.out, classifiers=("svm",), early=(), systems=systems, jobs=1
        )
    ).table.rows
    late, mine = (
        found.loc[found["cell"].str.startswith(start), "WA"].tolist()
        for start in ("late median", "system mine")
    )
    assert late == mine
    assert np.mean(late) > 0.7


def test_a_classifier_is_one_entry(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLASSIFIERS, BAYES.name, BAYES)  # type: ignore[arg-type]
    make_store()
    assert "--naive-bayes-smoothing" in options()
    assert GridConfig().classifiers == ("svm", "nn", "xgboost", "naive-bayes")
    found = run_grid(
        GridConfig(
            tmp_path / "embeddings",
            tmp_path / "results",
            classifiers=("naive-bayes",),
            early=("sum",),
            late=("product",),
            systems=read_systems(["mine = naive-bayes(sum(audio, text), smoothing=1e-9)"]),
            jobs=1,
        )
    ).table.rows
    cells = set(found["cell"])
    assert {"unimodal text naive-bayes", "late product audio+text naive-bayes"} <= cells
    early, mine = (
        found.loc[found["cell"].str.startswith(start), "WA"].tolist()
        for start in ("early sum", "system mine")
    )
    assert early == mine
    assert np.mean(early) > 0.7


@pytest.mark.parametrize(
    ("half", "other", "refused"),
    [
        ("early", "late", "fuses vectors only, so it is no late fusion; ask for it with --early"),
        ("late", "early", "fuses class scores only, so it is no early fusion"),
    ],
)
def test_a_strategy_with_one_half_is_offered_for_that_half(
    half: str,
    other: str,
    refused: str,
    make_store: MakeStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strategy = FusionStrategy(
        "largest", VECTORS if half == "early" else None, SCORES if half == "late" else None
    )
    add(monkeypatch, strategy)
    make_store()
    assert options().count("product, largest") == 1
    found = run_grid(
        GridConfig(tmp_path / "embeddings", tmp_path / "results", classifiers=("svm",), jobs=1)
    ).table.rows
    assert set(found.loc[found["method"] == "largest", "family"]) == {half}
    with pytest.raises(UsageError, match=refused):
        GridConfig(**{other: ("largest",)})  # type: ignore[arg-type]


def test_an_expression_asks_for_the_half_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(monkeypatch, FusionStrategy("largest", VECTORS, None))
    parse("svm(largest(audio, text))")
    with pytest.raises(UsageError, match="largest takes vectors, and no class scores"):
        parse("svm(largest(probe(audio), probe(text)))")
    with pytest.raises(UsageError, match="fuses vectors only"):
        LateFusion("largest")
    add(monkeypatch, FusionStrategy("largest", None, SCORES))
    parse("svm(largest(probe(audio), probe(text)))")
    with pytest.raises(UsageError, match="largest takes class scores, and no vectors"):
        parse("svm(largest(audio, text))")


def test_an_unknown_way_of_late_fusion_names_rules_too() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'gate'"):
        GridConfig(late=("gat",))


def test_no_word_of_the_language_means_two_things() -> None:
    assert [word for word, times in Counter(words()).items() if times > 1] == []
