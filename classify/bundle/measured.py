"""What a recipe is worth: its cross-validated figures with interval and stamps, as sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from classify.evaluation.agreement import ANSWERS
from classify.evaluation.result_files import AGAIN, PREDICTIONS
from classify.results.statistics_tables import read_statistics
from classify.results.table import CHOSEN, FIXED, ON_FITTED, ON_TEST
from classify.results.write import GridResult
from embeddings_store.errors import StoreError
from embeddings_store.reading import reading

CHOSEN_ON = {
    CHOSEN: "on validation rows, of {} cells",
    ON_FITTED: "on rows that encoders were fitted on, of {} cells",
    FIXED: "beforehand",
    ON_TEST: "on test rows, of {} cells: the figure is an upper bound",
}
SUBGROUPS = ("meta_gender", "meta_sex", "gender", "sex")
MOST_SPEAKERS = 40  # that are listed by name; of more the worst and the best


def figures(result: GridResult, cell: str) -> dict[str, str]:
    """Return a cell's figures on test rows, by subgroup where the corpus has some, and its stamps.

    Args:
        result: The finished run.
        cell: The cell's name.
    """
    table = result.table.rows
    row = table[table["cell"] == cell].iloc[0]
    audit = result.prepared.audit
    cautions = ", ".join(audit.having("caution"))
    sentences = {
        "protocol": f"{row['protocol']} (folds {row['plan']}, validation rows {row['valid_rule']})",
        "selection_rule": _how_chosen(str(row["flags"]), table["cell"].nunique()),
        "claim": str(row["claim"]),
        "verified": str(row["verified"]),
        "audit": audit.verdict + (f" ({cautions})" if audit.verdict == "caution" else ""),
    }
    statistics, _ = read_statistics(result.prepared.config.out)
    for metric in ("WA", "UAR"):
        of_metric = (statistics["cell"] == cell) & (statistics["metric"] == metric)
        line = statistics[of_metric & (statistics["class"] == "")].iloc[0]
        sentences[metric] = _with_interval(metric, line)
    return {**sentences, **_by_subgroup(result, cell)}


def _how_chosen(flags: str, cells: int) -> str:
    """Say what chose the cell, by its flags in ``grid.csv``."""
    for flag, text in CHOSEN_ON.items():
        if flag in flags.split():
            return text.format(cells)
    return CHOSEN_ON[ON_TEST].format(cells)


def _with_interval(metric: str, line: pd.Series) -> str:
    if np.isfinite(line["low"]):
        about = (
            f"{100 * line['level']:g} % interval {100 * line['low']:.1f} to "
            f"{100 * line['high']:.1f}, by {line['cluster_by']}"
        )
    else:
        about = "no interval: too few clusters, or none that every row has"
    return (
        f"{metric} {100 * line['pooled']:.1f} % of {int(line['n_rows'])} test rows in "
        f"{int(line['folds'])} folds ({about})"
    )


def _by_subgroup(result: GridResult, cell: str) -> dict[str, str]:
    import pyarrow.parquet as pq

    path = result.prepared.config.out / PREDICTIONS
    with reading(path, ANSWERS, AGAIN, StoreError):
        wanted = [("cell", "=", cell), ("role", "=", "test")]
        columns = ["id", "speaker", "y_true", "y_pred"]
        rows = pq.read_table(path, columns=columns, filters=wanted).to_pandas()
    right = (rows["y_true"].astype(str) == rows["y_pred"].astype(str)).to_numpy()
    groups = {"speaker": rows["speaker"].astype(str).to_numpy()}
    table = result.prepared.setup.view.table.set_index("id")
    for column in SUBGROUPS:
        if column in table:
            groups[column.removeprefix("meta_")] = table.loc[rows["id"], column].to_numpy(str)
    found = {}
    for name, values in groups.items():
        shares = {
            value: (float(right[values == value].mean()), int((values == value).sum()))
            for value in sorted(set(values.tolist()) - {""})
        }
        if len(shares) > 1:
            found[f"WA by {name}"] = f"by {name}: {_shown(shares)}"
    return found


def _shown(shares: dict[str, tuple[float, int]]) -> str:
    """Return the shares of some groups with their rows, of very many the ends alone."""
    if len(shares) <= MOST_SPEAKERS:
        return ", ".join(f"{name} {100 * wa:.1f} % of {n}" for name, (wa, n) in shares.items())
    values = sorted(wa for wa, _ in shares.values())
    return (
        f"{len(values)} of them, from {100 * values[0]:.1f} to {100 * values[-1]:.1f} %, half of "
        f"them below {100 * values[len(values) // 2]:.1f} %"
    )
