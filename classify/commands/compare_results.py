"""The command ``compare-results``.

Two results side by side, whether they may be compared, and why.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from classify.results.comparable import Comparability, comparable
from embeddings_store.commands.common import guarded, parser
from embeddings_store.errors import StoreNotFoundError, UsageError, unknown_name

PROGRAM = "compare-results"
METRICS = ("WA", "UAR", "macro_F1", "weighted_F1")
SUMMED = ("n_scored", "n_test")
SHOWN = (
    "corpus",
    "protocol",
    "plan",
    "valid_rule",
    "split_digest",
    "label_set",
    "selection_rule",
    "shared",
    "n_scored",
    "cell",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(
        PROGRAM,
        "Say whether two results of run-fusion-grid may be compared, and why. The answer is "
        "printed; the exit "
        "status is 0 whatever it is.",
        [
            f"{PROGRAM} results/a results/b",
            f"{PROGRAM} results/a results/b --cell 'unimodal audio svm' --metric UAR",
        ],
    )
    top.add_argument("a", type=Path, help="a folder of results, or its grid.csv")
    top.add_argument("b", type=Path, help="another; the same one twice compares two cells of it")
    top.add_argument(
        "--cell",
        action="append",
        default=[],
        metavar="NAME",
        help="which cell of both; given twice, of the first and of the second (default: each "
        "one's own result)",
    )
    top.add_argument(
        "--metric",
        default=METRICS[0],
        choices=METRICS,
        help="figure that is shown (default: %(default)s)",
    )
    return top


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    if len(arguments.cell) > 2:
        raise UsageError(f"--cell is given {len(arguments.cell)} times; there are two results")
    names = (arguments.cell * 2)[:2] if arguments.cell else ["", ""]
    a, b = (
        read_result(path, name, arguments.metric)
        for path, name in zip((arguments.a, arguments.b), names, strict=True)
    )
    print("\n".join(report(a, b, comparable(a, b))))
    return 0


def read_result(path: Path, cell: str, metric: str) -> dict[str, object]:
    """Return one cell of a ``grid.csv`` as one result.

    Counts are summed over folds, the figure is their mean.

    Args:
        path: The file, or the folder that holds it.
        cell: The cell's name; empty takes the one that counts.
        metric: Which column is the figure.

    Raises:
        StoreNotFoundError: There is no such file.
        UnknownNameError: There is no such cell.
        UsageError: No cell is named, and none counts.
    """
    path = path / "grid.csv" if path.is_dir() else path
    if not path.is_file():
        raise StoreNotFoundError(
            f"{path}: no such file; give a folder that run-fusion-grid wrote, or its grid.csv"
        )
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    absent = {"cell", "fold", metric} - set(rows)
    if absent:
        raise UsageError(
            f"{path}: is no grid.csv of run-fusion-grid (no column {sorted(absent)[0]!r})"
        )
    if not cell:
        counting = (
            rows[rows["flags"].str.contains("chosen_on_valid|fixed_beforehand")]
            if "flags" in rows
            else rows[:0]
        )
        if counting.empty:
            raise UsageError(f"{path}: no cell counts as the result; name one with --cell")
        cell = str(counting["cell"].iloc[0])
    of_cell = rows[rows["cell"] == cell]
    if of_cell.empty:
        unknown_name(f"cell of {path}", cell, sorted(set(rows["cell"])))
    first = of_cell.drop_duplicates("fold")
    seeds = of_cell.groupby("fold")[metric].apply(lambda column: pd.to_numeric(column).mean())
    told: dict[str, object] = {name: "+".join(dict.fromkeys(of_cell[name])) for name in rows}
    told |= {name: int(pd.to_numeric(first[name]).sum()) for name in SUMMED if name in rows}
    return {**told, "metric": metric, "value": float(seeds.mean()), "folds": len(seeds)}


def report(a: Mapping[str, object], b: Mapping[str, object], found: Comparability) -> list[str]:
    """Return what both say of themselves, and the verdict with its reasons."""
    pairs = [(name, *(str(result.get(name) or "-") for result in (a, b))) for name in SHOWN]
    pairs.append(
        (
            f"{a['metric']} %",
            *(f"{100 * float(str(r['value'])):.2f}, mean of {r['folds']} folds" for r in (a, b)),
        )
    )
    width = max(len(one) for _, one, _ in pairs)
    lines = [f"{name:<16} {one:<{width}}  {other}" for name, one, other in pairs]
    return [
        *lines,
        "",
        f"comparable: {found.verdict}",
        *(f"  {reason}" for reason in found.reasons),
    ]


if __name__ == "__main__":
    sys.exit(main())
