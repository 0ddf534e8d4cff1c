"""ChanceLevel is known exactly.

Simulated permutations agree with the closed form, and a run that knows the answers is caught.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.leakage.shuffled import judge, matches


def write(folder: Path, answers: dict[str, np.ndarray], truth: np.ndarray) -> Path:
    parts = [
        pd.DataFrame(
            {
                "cell": name,
                "family": "unimodal",
                "fold": np.arange(len(truth)) % 2,
                "role": "test",
                "y_true": truth,
                "y_pred": y,
            }
        )
        for name, y in answers.items()
    ]
    pd.concat(parts).astype({"cell": "category"}).to_parquet(folder / "predictions.parquet")
    return folder


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.2, 0.1), (0.94, 0.06)])
def test_mean_and_variance_are_those_of_permutations(shares: tuple[float, ...]) -> None:
    generator = np.random.default_rng(4)
    labels, answers = (generator.choice(len(shares), 60, p=shares) for _ in range(2))
    _, mean, variance = matches(np.concatenate([labels, answers]))
    drawn = np.array([(generator.permutation(labels) == answers).sum() for _ in range(20_000)])
    assert drawn.mean() == pytest.approx(mean, abs=0.15)
    assert drawn.var() == pytest.approx(variance, rel=0.06, abs=0.02)


def test_a_constant_answer_is_always_at_chance() -> None:
    labels = np.array([0, 0, 0, 1, 2])
    assert matches(np.concatenate([labels, np.zeros(5, dtype=int)])) == (3, 3.0, 0.0)


def test_guesses_are_at_chance_and_knowledge_is_not(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    truth = generator.choice(["sad", "happy", "angry"], 600, p=[0.6, 0.3, 0.1])
    guesses = {f"cell {i}": generator.permutation(truth) for i in range(8)}
    found = judge(write(tmp_path, guesses, truth))
    assert (
        found.verdict == "clean"
        and found.details["low"] < found.details["chance"] < found.details["high"]
    )
    knows = np.where(generator.random(600) < 0.2, truth, guesses["cell 0"])
    found = judge(write(tmp_path, {**guesses, "unimodal text svm": knows}, truth))
    assert found.verdict == "leak" and found.examples == ("unimodal text svm",)
    avoids = np.where(
        (generator.random(600) < 0.5) & (guesses["cell 0"] == truth), "nothing", guesses["cell 0"]
    )
    assert judge(write(tmp_path, {**guesses, "odd": avoids}, truth)).verdict == "caution"
