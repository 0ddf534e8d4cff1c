"""The command ``compare-results``: two results side by side, may they be compared, and why."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from classify.evaluation.metrics import METRICS
from classify.results.comparable import Comparability, comparable
from embeddings_store.commands.common import guarded, parser
from embeddings_store.errors import StoreNotFoundError, UsageError, unknown_name
from embeddings_store.reading import visible

if TYPE_CHECKING:
    import pandas as pd

PROGRAM = "compare-results"
SUMMED = ("n_scored", "n_test")
MEANS = ("coverage", "WA_all")
SHOWN = (
    "claim",
    "corpus",
    "protocol",
    "plan",
    "valid_rule",
    "split_digest",
    "label_set",
    "selection_rule",
    "shared",
    "n_scored",
    "n_test",
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
        "printed; the exit status is 0 whatever it is.",
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
    # a name that is given once is that of both
    names = (arguments.cell * 2)[:2] if arguments.cell else ["", ""]
    a = read_result(arguments.a, names[0], arguments.metric)
    b = read_result(arguments.b, names[1], arguments.metric)
    print(visible("\n".join(report(a, b, comparable(a, b)))))
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
        StoreError: It is damaged, or the predictions beside it say otherwise.
        UnknownNameError: There is no such cell.
        UsageError: No cell is named, and none counts.
    """
    import pandas as pd

    path = path / "grid.csv" if path.is_dir() else path
    if not path.is_file():
        raise StoreNotFoundError(
            f"{path}: no such file; give a folder that run-fusion-grid wrote, or its grid.csv"
        )
    from classify.evaluation.agreement import check_folder
    from classify.evaluation.result_files import GRID_SHAPE, read_words

    rows = read_words(path, replace(GRID_SHAPE, needed=()))
    absent = {"cell", "fold", metric} - set(rows)
    if absent:
        raise UsageError(
            f"{path}: is no grid.csv of run-fusion-grid (no column {sorted(absent)[0]!r})"
        )
    check_folder(path.parent, rows)
    cell = cell or _counting_cell(rows, path)
    of_cell = rows[rows["cell"] == cell]
    if of_cell.empty:
        unknown_name(f"cell of {path}", cell, sorted(set(rows["cell"])))
    result: dict[str, object] = {}
    for name in rows:
        result[name] = "+".join(dict.fromkeys(of_cell[name]))
    # every seed answers the same rows again
    once = of_cell.drop_duplicates("fold")
    for name in SUMMED:
        if name in rows:
            result[name] = int(pd.to_numeric(once[name]).sum())
    by_fold = pd.to_numeric(of_cell[metric]).groupby(of_cell["fold"]).mean()
    for name in MEANS:
        if name in rows:
            means = pd.to_numeric(of_cell[name]).groupby(of_cell["fold"]).mean()
            result[name] = float(means.mean())
    return {**result, "metric": metric, "value": float(by_fold.mean()), "folds": len(by_fold)}


def _counting_cell(rows: pd.DataFrame, path: Path) -> str:
    """Return the cell that counts as the result, by its flag."""
    if "flags" in rows:
        flagged = rows["flags"].str.contains("chosen_on_valid|chosen_on_fitted|fixed_beforehand")
        if flagged.any():
            return str(rows.loc[flagged, "cell"].iloc[0])
    raise UsageError(f"{path}: no cell counts as the result; name one with --cell")


def report(a: Mapping[str, object], b: Mapping[str, object], found: Comparability) -> list[str]:
    """Return what both say of themselves, and the verdict with its reasons.

    Args:
        a: A result, as :func:`read_result` returns it.
        b: Another.
        found: Whether they may be compared.
    """
    lines = [(name, str(a.get(name) or "-"), str(b.get(name) or "-")) for name in SHOWN]
    lines.append((f"{a['metric']} %", _figure(a), _figure(b)))
    if any(float(str(result.get("coverage", 1))) < 1 for result in (a, b)):
        lines += [(f"{name} %", _mean(a, name), _mean(b, name)) for name in MEANS]
    width = max(len(of_a) for _, of_a, _ in lines)
    return [
        *(f"{name:<16} {of_a:<{width}}  {of_b}" for name, of_a, of_b in lines),
        "",
        f"comparable: {found.verdict}",
        *(f"  {reason}" for reason in found.reasons),
    ]


def _mean(result: Mapping[str, object], name: str) -> str:
    return f"{100 * float(str(result[name])):.2f}" if name in result else "-"


def _figure(result: Mapping[str, object]) -> str:
    return f"{100 * float(str(result['value'])):.2f}, mean of {result['folds']} folds"


if __name__ == "__main__":
    sys.exit(main())
