"""Which comparisons are asked.

A family is declared before its p values are read, and Holm corrects for its size.

==============  ========================================================================
family          its questions
==============  ========================================================================
``fused``       is each way of fusing better than the best single modality?
``strategies``  is each way of fusing better than plain concatenation of the vectors?
==============  ========================================================================

A way of fusing is a strategy over the largest set of modalities; of its classifiers the one that is
best on validation rows stands for it, and the best single modality is found likewise: nothing is
chosen on test rows. A system that a user wrote down stands for itself, whatever its modalities, and
what ``--subsets`` makes of it does not. Two cells that are the same expression, such as a single
modality and a system that names nothing else, are not compared: they answer alike by construction,
and the others would pay for the question.
Without validation rows nothing can be chosen, so every classifier stands for itself and every
single modality with the same classifier is compared: a larger family, which Holm makes pay for it.
Other sets of modalities are compared by naming them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from classify.evaluation.means import first_best, has_chosen, mean_on_valid
from classify.evaluation.predictions import StoredPredictions
from classify.names import BASELINE, CONCATENATION, EARLY, HEAD, LAYER, PROBE, SYSTEM, UNIMODAL
from embeddings_store.errors import UsageError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

NAMED = "pairs"  # the family of comparisons that a user names one by one
VALID = "valid_WA"
EXPRESSION, SAME = "expression", "same"


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison of two cells.

    Attributes:
        family: The family that asks it, a name of :data:`FAMILIES` or :data:`NAMED`.
        question: The question in words.
        first: The cell that may be better.
        second: The cell that it is compared with.
    """

    family: str
    question: str
    first: str
    second: str


def declared(
    answers: StoredPredictions,
    families: Sequence[str] = (),
    pairs: Sequence[Sequence[str]] = (),
    *,
    plain: Callable[[str], str] = str,
) -> list[Pair]:
    """Return the comparisons of all families together, in their order, each once.

    Args:
        answers: What the cells answered.
        families: Names of :data:`FAMILIES`; none at all, and no pairs, takes every family.
        pairs: Two cells each, named as in ``grid.csv``.
        plain: Spells an expression plainly, so that two spellings of one computation are one text;
            :func:`classify.systems.parser.plain_text` does.

    Raises:
        UnknownNameError: There is no such family or cell.
        UsageError: A cell is compared with itself.
    """
    found = []
    cells = _cells(answers, plain)
    for name in families or (() if pairs else tuple(FAMILIES)):
        if name not in FAMILIES:
            unknown_name("family of comparisons", name, list(FAMILIES))
        found += [pair for pair in FAMILIES[name](cells) if _differ(cells, pair)]
    for first, second in pairs:
        for cell in (first, second):
            answers.cell(cell)
        if first == second:
            raise UsageError(f"{first!r} is compared with itself; name two cells")
        found.append(Pair(NAMED, "is the first better?", first, second))
    return list({(pair.first, pair.second): pair for pair in reversed(found)}.values())[::-1]


def _cells(answers: StoredPredictions, plain: Callable[[str], str]) -> pd.DataFrame:
    """One row per cell.

    Its parts, and its mean accuracy on validation rows where every fold has some.
    """
    grid = answers.grid[answers.grid["cell"].isin(answers.cells)]
    parts = grid.drop_duplicates("cell").set_index("cell")
    parts = parts[["family", "method", "modalities", "classifier"]]
    alike = _written_alike(grid, cache(plain))  # folds mostly have the same expression
    parts = parts.assign(**{SAME: [alike.get(str(name), "") for name in parts.index]})
    if VALID in grid and has_chosen(grid):
        return parts.assign(**{VALID: mean_on_valid(grid)})
    return parts.assign(**{VALID: float("nan")})


def _written_alike(rows: pd.DataFrame, plain: Callable[[str], str]) -> dict[str, str]:
    """Return what each cell computes in every fold, two spellings of one thing as one text."""
    if EXPRESSION not in rows:
        return {}
    found: dict[str, dict[str, None]] = {}
    for cell, fold, text in zip(rows["cell"], rows["fold"], rows[EXPRESSION], strict=True):
        found.setdefault(str(cell), {})[f"{fold} {plain(str(text))}"] = None
    return {cell: "; ".join(texts) for cell, texts in found.items()}


def _differ(cells: pd.DataFrame, pair: Pair) -> bool:
    """Say whether two cells are no two names of the same computation."""
    first, second = (str(cells.loc[name, SAME]) for name in (pair.first, pair.second))
    return not first or first != second


def _fused(cells: pd.DataFrame) -> list[Pair]:
    single = cells[cells["family"] == UNIMODAL]
    if not len(single):
        return []
    if _chosen(cells):
        best = str(first_best(single[VALID].to_dict()))
        return [
            Pair("fused", "does fusion beat the best single modality?", system, best)
            for system in _systems(cells)
        ]
    pairs = []
    for name in _systems(cells):
        for other in _rivals(single, str(cells.loc[name, "classifier"])):
            pairs.append(Pair("fused", "does fusion beat each single modality?", name, other))
    return pairs


def _rivals(single: pd.DataFrame, classifier: str) -> list[str]:
    """Single modalities with the same classifier.

    For a system that has none of its own, their heads or probes, else all.
    """
    for wanted in ((classifier,), (HEAD, PROBE)):
        same = single.index[single["classifier"].isin(wanted)]
        if len(same):
            return [str(name) for name in same]
    return [str(name) for name in single.index]


def _strategies(cells: pd.DataFrame) -> list[Pair]:
    question, pairs = "does the strategy beat concatenation?", []
    plain = cells[(cells["family"] == EARLY) & (cells["method"] == CONCATENATION)]
    for name in _systems(cells):
        cell = cells.loc[name]
        like = plain[plain["modalities"] == cell["modalities"]]
        if not _chosen(cells):
            like = like[like["classifier"] == cell["classifier"]]
        if len(like) and name not in like.index:
            pairs.append(
                Pair(
                    "strategies",
                    question,
                    name,
                    str(first_best(like[VALID].to_dict()) if _chosen(cells) else like.index[0]),
                )
            )
    return pairs


def _systems(cells: pd.DataFrame) -> list[str]:
    """For every strategy the cell that is best on validation rows, ties to the first.

    Without validation rows every cell. Of a user's system the one that was written down, not those
    that ``--subsets`` makes of it.
    """
    fused = cells[~cells["family"].isin((BASELINE, UNIMODAL, LAYER))]
    sizes = fused["modalities"].str.count(r"\+")
    as_written = sizes == sizes.groupby([fused["family"], fused["method"]]).transform("max")
    fused = fused[(sizes == sizes.max()) | (as_written & (fused["family"] == SYSTEM))]
    if not _chosen(cells):
        return [str(name) for name in fused.index]
    return [
        str(first_best(part[VALID].to_dict()))
        for _, part in fused.groupby(["family", "method", "modalities"], sort=False)
    ]


def _chosen(cells: pd.DataFrame) -> bool:
    return bool(cells[VALID].notna().all())


FAMILIES: Mapping[str, Callable[[pd.DataFrame], list[Pair]]] = {
    "fused": _fused,
    "strategies": _strategies,
}
