"""On data whose best fusion is known exactly, strategies stand in the order of theory."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fusion_optimum import World, measure, worlds
from classify.fusion.rules import RULES, late_rules
from classify.names import EARLY, LATE, RULE, UNIMODAL
from classify.systems.cell import Cell

WORLDS = {world.name: world for world in worlds()}
SEEDS = 2
SLACK = (
    0.035  # 2 x 2,000 test rows: three deviations are 2.4 points; 900 training rows cost the rest
)


def reached(world: World, method: str, family: str = LATE) -> float:
    cell = Cell(family, method, world.modalities, RULE if family == LATE else "svm")
    return float(
        np.mean([measure(world, cell, seed, train=900, test=2_000) for seed in range(SEEDS)])
    )


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_are_probabilities_and_rules_do_not_pass_the_optimum(name: str) -> None:
    world = WORLDS[name]
    assert world.joint.sum() == pytest.approx(1)
    assert (world.joint >= 0).all()
    assert all(
        world.limit(rule) <= world.optimum + 1e-9
        for rule in late_rules()
        if RULES[rule].learns != "scores"
    )


@pytest.mark.telling
def test_independent_modalities_are_fused_best_by_bayes() -> None:
    world = WORLDS["independent"]
    assert world.limit("bayes") == pytest.approx(world.optimum)
    assert reached(world, "bayes") > world.optimum - SLACK
    assert reached(world, "logproduct") < world.optimum - SLACK  # counts the prior three times
    for learnt in ("stack", "gate"):
        assert world.limit("mean") < reached(world, learnt) < world.optimum + SLACK


@pytest.mark.telling
def test_redundant_modalities_are_counted_once_only_by_what_learns() -> None:
    world = WORLDS["redundant"]
    assert world.limit("bayes") < world.optimum - 0.02
    assert reached(world, "stack") > reached(world, "logproduct") + 0.01
    assert reached(world, "concatenation", EARLY) > world.optimum - SLACK


def test_an_interaction_is_seen_by_early_fusion_alone() -> None:
    world = WORLDS["xor"]
    # whatever adds up what single modalities say answers three of four combinations of symbols at
    # best
    additive = (3 * world.optimum + (1 - world.optimum)) / 4
    for rule in ("mean", "bayes", "vote", "stack", "gate"):
        assert world.limit("mean") == 0.5
        assert reached(world, rule) < additive + SLACK < world.optimum - SLACK
    for method in ("concatenation", "product"):
        assert reached(world, method, EARLY) > world.optimum - SLACK


@pytest.mark.telling
def test_noise_is_ignored_by_what_learns() -> None:
    world = WORLDS["noise"]
    alone = np.mean(
        [
            measure(world, Cell(UNIMODAL, "", ("m1",), "probe"), seed, train=900, test=2_000)
            for seed in range(SEEDS)
        ]
    )
    for rule in ("weighted", "stack", "gate"):
        assert reached(world, rule) > alone - SLACK
    assert reached(world, "vote") < alone - 0.1
