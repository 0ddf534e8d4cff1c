"""Every strategy of fusion on generated data of which the best possible accuracy is known exactly.

Each modality shows one of a few symbols. A world is the joint probability of class and symbols, so
the best that anybody can do is a sum over all combinations: ``sum over x of max over y of p(y,
x)``. Likewise a rule that learns nothing has an exact *limit*: its accuracy when it is given the
true ``p(y | x_m)`` of each modality instead of estimates. Where classes tie for a row they share
it; where they tie inside an input, its vote goes to the first.

===============  ================================================================================
world            what theory says
===============  ================================================================================
``independent``  given the class the modalities are independent: ``bayes`` is the optimum, the
                 product without prior is not
``redundant``    two modalities repeat a third: products count it three times, what learns does
                 not
``xor``          the class is whether two coins agree: nothing late can see it, early fusion can
``noise``        two of three modalities say nothing: voting listens to them, what learns does
                 not
===============  ================================================================================
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.record import record
from classify.fusion.rules import RULES, Inputs, TrainingScores, late_rules
from classify.grid.compute import compute
from classify.names import EARLY, LATE, RULE, UNIMODAL
from classify.systems.cell import Cell
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.fold_data import FoldData, RoleData

TRAIN, TEST, SEEDS = 1_200, 4_000, 5
GROUP = 6  # rows per group, for the splits that keep groups whole
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class World:
    """The joint probability of class and symbols.

    Attributes:
        name: Its name.
        joint: ``p(y, x_1, ..., x_M)``, shape (C, K_1, ..., K_M), summing to 1.
    """

    name: str
    joint: NDArray[np.float64]

    @property
    def modalities(self) -> tuple[str, ...]:
        """A name per modality."""
        return tuple(f"m{i}" for i in range(1, self.joint.ndim))

    @property
    def optimum(self) -> float:
        """The best accuracy that anybody can reach."""
        return float(self.joint.max(axis=0).sum())

    def posterior(self, modality: int) -> NDArray[np.float64]:
        """Return ``p(y | x_m)`` (K_m, C) of modality 0, 1, ..."""
        others = tuple(axis for axis in range(1, self.joint.ndim) if axis != modality + 1)
        table = self.joint.sum(axis=others).T
        return table / np.maximum(table.sum(axis=1, keepdims=True), TINY)

    def limit(self, rule: str) -> float:
        """Return what a rule that learns nothing reaches with each modality's true posteriors."""
        combinations = np.array(list(product(*(range(k) for k in self.joint.shape[1:]))))
        each = [self.posterior(m)[symbols] for m, symbols in enumerate(combinations.T)]
        log_p = np.log(np.maximum(np.stack(each), TINY))
        inputs = Inputs(log_p, np.ones(log_p.shape[:2], dtype=bool))
        prior = self.joint.sum(axis=tuple(range(1, self.joint.ndim)))
        values = RULES[rule].fit(
            TrainingScores(
                Inputs(log_p[:, :0], inputs.present[:, :0]), np.zeros(0, dtype=np.int64), prior
            )
        )(inputs)
        best = values >= values.max(axis=1, keepdims=True) - 1e-9  # classes that tie share the row
        worth = self.joint.reshape(len(prior), -1).T
        return float((worth * best / best.sum(axis=1, keepdims=True)).sum())

    def draw(self, rows: int, rng: np.random.Generator, name: str) -> RoleData:
        """Draw rows: symbols as one column each, and a class code."""
        drawn = np.unravel_index(
            rng.choice(self.joint.size, size=rows, p=self.joint.ravel()), self.joint.shape
        )
        vectors = {
            m: np.eye(k, dtype=np.float32)[x]
            for m, x, k in zip(self.modalities, drawn[1:], self.joint.shape[1:], strict=True)
        }
        ids = np.array([f"{name}{i}" for i in range(rows)])
        return RoleData(
            ids,
            drawn[0].astype(np.int64),
            np.array([f"{name}-{i // GROUP}" for i in range(rows)]),
            vectors,
            {},
            {m: np.ones(rows, dtype=bool) for m in vectors},
            np.zeros(rows, dtype=bool),
        )


def worlds() -> list[World]:
    """Return the four worlds; their numbers are fixed, no seed changes them."""
    # p(x | y), a row per class
    fair = np.array([[0.6, 0.2, 0.1, 0.1], [0.15, 0.55, 0.2, 0.1], [0.1, 0.15, 0.25, 0.5]])
    other = np.array([[0.5, 0.1, 0.3, 0.1], [0.1, 0.2, 0.1, 0.6], [0.2, 0.5, 0.2, 0.1]])
    third = np.array([[0.4, 0.4, 0.1, 0.1], [0.1, 0.3, 0.5, 0.1], [0.3, 0.1, 0.1, 0.5]])
    prior = np.array([0.6, 0.25, 0.15])
    copies = np.einsum("yi,ij,ik->yijk", fair, np.eye(4), np.eye(4))
    coin, silent = np.array([[0.9, 0.1], [0.1, 0.9]]), np.full((3, 4), 0.25)
    agree = np.zeros((2, 2, 2))
    for a, b in product(range(2), repeat=2):
        agree[int(a != b)] += 0.25 * np.outer(coin[a], coin[b])
    even = np.full(3, 1 / 3)
    return [
        World("independent", np.einsum("y,yi,yj,yk->yijk", prior, fair, other, third)),
        World("redundant", np.einsum("y,yijk,yl->yijkl", even, copies, other)),
        World("xor", agree),
        World("noise", np.einsum("y,yi,yj,yk->yijk", even, fair, silent, silent)),
    ]


def cells(world: World) -> list[Cell]:
    """Return every early strategy with an SVM, every rule over probes, and each single probe."""
    early = [Cell(EARLY, method, world.modalities, "svm") for method in _early(world)]
    late = [Cell(LATE, method, world.modalities, RULE) for method in late_rules()]
    return [*(Cell(UNIMODAL, "", (m,), "probe") for m in world.modalities), *early, *late]


def _early(world: World) -> Sequence[str]:
    if len(set(world.joint.shape[1:])) == 1:
        return "concatenation", "sum", "product"
    return ("concatenation",)  # the others take vectors of one width


def measure(world: World, cell: Cell, seed: int, train: int = TRAIN, test: int = TEST) -> float:
    """Return the accuracy of a cell on fresh test rows."""
    rng = np.random.default_rng([seed, train])
    parts = [
        world.draw(rows, rng, name)
        for name, rows in (("train", train), ("valid", 0), ("test", test))
    ]
    only = [_only(part, cell.modalities) for part in parts]
    classes = tuple(f"class {c}" for c in range(world.joint.shape[0]))
    views = {m: EncoderRef("world", "0" * 12, m) for m in cell.modalities}
    outcome = compute(
        cell,
        FoldData(world.name, "drawn", "0" * 12, 1, LabelSet("world", classes), views, *only),
        seed=seed,
    )
    return float((outcome.reported("test").labels == outcome.y["test"]).mean())


def _only(rows: RoleData, modalities: Sequence[str]) -> RoleData:
    return RoleData(
        rows.ids,
        rows.y,
        rows.groups,
        {m: rows.vectors[m] for m in modalities},
        {},
        {m: rows.present[m] for m in modalities},
        rows.fitted,
    )


def table(seeds: int) -> pd.DataFrame:
    """Return one row per world and strategy.

    Accuracy over seeds, the rule's limit and the optimum, in per cent.
    """
    lines = []
    for world in worlds():
        for cell in cells(world):
            found = [100 * measure(world, cell, seed) for seed in range(seeds)]
            known = cell.classifier == RULE and RULES[cell.method].learns != "scores"
            lines.append(
                {
                    "world": world.name,
                    "family": cell.family,
                    "strategy": cell.method or "probe",
                    "modalities": "+".join(cell.modalities),
                    "classifier": cell.classifier,
                    "WA": np.mean(found),
                    "WA_sd": np.std(found, ddof=1),
                    "limit_WA": 100 * world.limit(cell.method) if known else np.nan,
                    "optimum_WA": 100 * world.optimum,
                    "seeds": seeds,
                    "train_rows": TRAIN,
                    "test_rows": TEST,
                }
            )
            print(
                f"{world.name:12} {cell.family:9} {lines[-1]['strategy']:14} "
                f"{'+'.join(cell.modalities):12} {lines[-1]['WA']:5.1f} of "
                f"{lines[-1]['optimum_WA']:5.1f}",
                flush=True,
            )
    return pd.DataFrame(lines)


def main() -> None:
    """Measure, print and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seeds", type=int, default=SEEDS)
    given = options.parse_args()
    print(
        record(
            "fusion_optimum",
            table(given.seeds).round(2),
            f"python -m benchmarks.fusion_optimum --seeds {given.seeds}",
        )
    )


if __name__ == "__main__":
    main()
