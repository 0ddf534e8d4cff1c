"""What a reader of the tables must know: what they are of, which cell counts, and cautions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console

from classify.claim import RESULT, Claim
from classify.evaluation.means import choosing_rows_in_words
from classify.evaluation.metrics import COMPLETENESS, COVERAGE, FORMULAS, METRICS
from classify.grid.prepared import PreparedGrid
from classify.models.probe import CHOSEN_ON, PROBE_SPLITS
from classify.models.svm import APPROXIMATION
from classify.names import BASELINE, HEAD, OOF, PROBE
from classify.names import VALID as VALID_ROWS
from classify.results.absent_classes import TwoUars
from classify.results.cell_rows import SEEDS
from classify.results.paper_tables import VALID, VALID_ALL, about_of, per_cent
from classify.results.table import (
    BEST_ON_TEST,
    CANDIDATES,
    CHOSEN,
    ON_FITTED,
    ON_TEST,
    ResultTable,
)

if TYPE_CHECKING:
    from classify.results.write import GridResult

SHORT = METRICS[:2]  # WA and UAR; the others stand in the tables
LEARNT = {
    "oof": "of training rows, out of fold",
    "valid": "of validation rows",
    "train": "of training rows themselves",
    "train+valid": "of training rows themselves and of validation rows",
}


def footer(result: GridResult) -> list[str]:
    """Return what the tables are of: corpus, protocol, folds, labels, choice, records and formulas.

    Args:
        result: The run.
    """
    rows = result.table.rows
    part = rows[rows["family"] != BASELINE]
    lines = [
        _protocol(rows, part),
        f"{_deviations(rows)}{_choice(result.table)}",
        f"{_joined(part['verified'])}; {_labels(rows['labels_shuffled'].iloc[0])}",
    ]
    shared = rows["shared"].iloc[0]
    if shared:
        lines.append(f"CAUTION: roles that share speakers or groups: {shared}")
    lines += _sources_of_scores(part)
    lines += _rows_that_lack_something(part)
    if part["settings"].str.contains(APPROXIMATION).any():
        lines.append(
            f"CAUTION: {APPROXIMATION}'s approximation stands for the SVM where training rows are "
            "more than --svm-exact; the column settings says of how many rows it is made"
        )
    return [*lines, FORMULAS]


def _rows_that_lack_something(part: pd.DataFrame) -> list[str]:
    """Return how many test rows lack a modality or a label, at most, and what that does."""
    lines = []
    for column, what in (("n_missing", "a modality"), ("n_unlabelled", "a label")):
        most = part.loc[part[column].idxmax()]
        if most[column]:
            lines.append(
                f"up to {most[column]} of {most['n_test']} test rows lack {what} (fold "
                f"{most['fold']}, {most['cell']})"
            )
    if (part[COVERAGE] < 1).any():
        least = part.loc[part[COVERAGE].idxmin()]
        lines.append(
            f"WA and the other metrics are of scored rows, at least {least['n_scored']} of "
            f"{least['n_test']} (fold {least['fold']}, {least['cell']}); coverage = scored / "
            "planned, WA_all = right / planned"
        )
    return lines


def _protocol(rows: pd.DataFrame, part: pd.DataFrame) -> str:
    first, n_folds = rows.iloc[0], rows["fold"].nunique()
    plan = "" if first["protocol"] == first["plan"] else f"{first['plan']}, "
    folds = f"{n_folds} folds" if n_folds > 1 else "1 fold"
    encoder_seeds = rows["encoder_seed"].drop_duplicates()
    of_encoders = ""
    if len(encoder_seeds) > 1:
        of_encoders = f"; seeds of the fine-tuning {'; '.join(encoder_seeds)}"
    return (
        f"corpus {first['corpus']}; protocol {first['protocol']} ({plan}valid: "
        f"{first['valid_rule']}, split {first['split_digest']}); {folds}; label set "
        f"{first['label_set']}; fitted on {_joined(part['fit_rows'])}; seed "
        f"{about_of(rows)['seed']}{of_encoders}"
    )


def _joined(column: pd.Series) -> str:
    return "; ".join(column.drop_duplicates())


def _deviations(rows: pd.DataFrame) -> str:
    """Return what stands behind the plus-minus signs of a table, nothing where there are none."""
    n_folds, n_seeds = rows["fold"].nunique(), len(rows[SEEDS].drop_duplicates())
    over = []
    if n_folds > 1:
        over.append(f"± sample deviation over {n_folds} folds")
    if n_seeds > 1:
        over.append(f"(± sample deviation over {n_seeds} seeds)")
    return f"mean {' '.join(over)}; " if over else ""


def _choice(table: ResultTable) -> str:
    if table.flagged(ON_TEST):
        return "UPPER BOUND: the cell that is shown was chosen on the test rows themselves"
    if table.flagged(CHOSEN) or table.flagged(ON_FITTED):
        by = "WA_all" if (table.rows["valid_coverage"] < 1).any() else "WA"
        return (
            f"the cell that counts is chosen on {choosing_rows_in_words(table.rows)} (best mean "
            f"{by}); best on test is shown as an upper bound"
        )
    return (
        "no validation rows: nothing is chosen, the cell that counts was fixed beforehand; best "
        "on test is an upper bound"
    )


def _labels(shuffled: str) -> str:
    return "true labels" if shuffled == "no" else f"LABELS SHUFFLED ({shuffled})"


def _sources_of_scores(part: pd.DataFrame) -> list[str]:
    """Return where class scores come from, and what learns from them on which rows."""
    lines = []
    if part["scores_from"].str.contains(PROBE).any():
        lines.append(
            "class scores from a probe: logistic regression fitted inside the fold, its C chosen "
            f"on {CHOSEN_ON}; training rows out of fold, {PROBE_SPLITS} splits by group"
        )
    if part["scores_from"].str.contains(HEAD).any():
        lines.append(
            "class scores from the fine-tuned heads, which were trained on the training rows"
        )
    learning = part[part["learnt_on"].isin(LEARNT)]
    for learnt_on, cells in learning.groupby("learnt_on", sort=False):
        methods = ", ".join(cells["method"].unique())
        lines.append(f"learnt from class scores ({LEARNT[str(learnt_on)]}): {methods}")
    return lines


def for_scale(table: ResultTable) -> list[str]:
    """Return the cell that would have been best on test, chance, and the constant answer.

    Args:
        table: All cells and folds.
    """
    rows = table.rows
    lines = []
    if not table.flagged(ON_TEST):
        best = table.flagged(BEST_ON_TEST)
        lines.append(
            f"upper bound: {best}: {_figures(rows, best)} (best of {_n_candidates(rows)} cells on "
            "the test rows themselves; no result)"
        )
    baselines = rows[rows["family"] == BASELINE]
    lines += [f"chance: {name}: {_figures(rows, str(name))}" for name in baselines["cell"].unique()]
    constants = ", ".join(baselines["constant"].unique())
    lines.append(
        f"for scale: always answering the commonest class of the test rows ({constants}; nobody "
        f"could know it beforehand) gives WA {per_cent(baselines['constant_WA'].mean()):.2f}"
    )
    return lines


def headline(table: ResultTable, two: TwoUars | None) -> str:
    """Return the cell that counts with its figures, and how it came to count.

    Args:
        table: All cells and folds.
        two: The UAR of pooled rows where it differs from the mean over folds by absent classes.
    """
    rows, name = table.rows, table.headline
    if not name:
        return (
            "no result: there are no validation rows to choose on, and the paper's final model "
            "(concatenation + SVM) was not run; add it with --early concatenation --classifiers "
            "svm, or use a plan with validation rows"
        )
    figures = f"{name}: {_figures(rows, name, SHORT)}"
    if two is not None:
        figures += f", UAR of all test rows pooled {per_cent(two.pooled):.2f}"
    if table.flagged(CHOSEN):
        of_cell = rows[rows["cell"] == name]
        valid = f"valid WA {per_cent(of_cell[VALID].mean()):.2f}"
        if (of_cell["valid_coverage"] < 1).any():
            valid += f", valid WA_all {per_cent(of_cell[VALID_ALL].mean()):.2f}"
        return f"{_claim(rows)}: {figures} (chosen on {choosing_rows_in_words(rows)}, {valid})"
    if table.flagged(ON_FITTED):
        return f"{_claim(rows)}: {figures} (chosen on {choosing_rows_in_words(rows)})"
    if table.flagged(ON_TEST):
        return (
            f"UPPER BOUND, no result: {figures} (chosen on the test rows themselves, of "
            f"{_n_candidates(rows)} cells{_epochs_on_test(rows, name)})"
        )
    return (
        f"{_claim(rows)}: {figures} (fixed beforehand as the paper's final model; there are no "
        "validation rows, so nothing was chosen)"
    )


def _claim(rows: pd.DataFrame) -> str:
    return Claim.of_rows(rows).stamp or RESULT


def _epochs_on_test(rows: pd.DataFrame, cell: str) -> str:
    part = rows[rows["cell"] == cell]
    count, total = part["n_test_selected"].sum(), part["n_scored"].sum()
    return f"; encoders' epochs were chosen on {count} of these {total} rows" if count else ""


def _figures(rows: pd.DataFrame, cell: str, metrics: Sequence[str] = METRICS) -> str:
    of_cell = rows[rows["cell"] == cell]
    shown = [*metrics]
    if (of_cell[COVERAGE] < 1).any():
        shown += COMPLETENESS
    return ", ".join(f"{metric} {per_cent(of_cell[metric].mean()):.2f}" for metric in shown)


def _n_candidates(rows: pd.DataFrame) -> int:
    return int(rows.loc[rows["family"].isin(list(CANDIDATES)), "cell"].nunique())


def cautions(prepared: PreparedGrid) -> list[str]:
    """Return what was left out, and what makes training rows unlike test rows."""
    config = prepared.config
    lines = [f"note: {note}" for note in prepared.notes]
    n_seen = sum(fold.train_seen for fold in prepared.folds)
    n_train = sum(fold.counts["train"] for fold in prepared.folds)
    if n_seen and config.fit_rows != OOF:
        lines.append(
            f"note: encoders were fitted on {n_seen} of {n_train} training rows (seen=fit), so "
            "classifiers and probes learn from vectors that carry their labels: training figures "
            "and margins are over-confident, and these rows are no place to tune"
        )
    n_fitted = sum(fold.train_seen for fold in prepared.folds if fold.on_fitted)
    if n_fitted:
        lines.append(
            f"note: CHOSEN ON FITTED ROWS: an encoder was fitted on {n_fitted} of the rows that "
            "choose layers, settings and the cell, so the choice may be a poor one; test rows had "
            "no part in it"
        )
    if any(prepared.inner):
        parts = "; ".join(f"{m}: {inner.parts}" for m, inner in prepared.inner[0].items())
        lines.append(
            "note: late fusion learns from scores of training rows by inner encoders that have "
            f"not seen them ({parts})"
        )
    if config.tune:
        is_valid = prepared.tune_on == VALID_ROWS
        where = "validation rows" if is_valid else "grouped splits of training rows"
        minutes = ""
        if config.tune_minutes:
            minutes = f", none begun after {config.tune_minutes:g} minutes"
        lines.append(
            f"note: settings of classifiers are chosen per cell and fold, by up to {config.tune} "
            f"trials on {where}{minutes}"
        )
    return lines


def print_banner(prepared: PreparedGrid, console: Console) -> None:
    """Print in red why figures are no results: labels, metadata, or what chose the cell.

    Args:
        prepared: What was run.
        console: Where to.
    """
    lines = []
    if prepared.config.shuffle_seed is not None:
        lines.append(
            f"LABELS SHUFFLED (seed {prepared.config.shuffle_seed}): every figure must be at chance"
        )
    if prepared.leaky:
        lines.append(
            f"LEAKY METADATA: {', '.join(prepared.leaky)} may explain the label itself; no figure "
            "of a system that uses them is a result"
        )
    if prepared.config.select_on == "test":
        lines.append("UPPER BOUND: chosen on the test rows themselves; no figure here is a result")
    lines += [
        f"ACCEPTED LEAK: {name}: {prepared.audit.findings[name].number}"
        for name in prepared.claim.accepted
    ]
    for line in lines:
        console.print(f"*** {line} ***", style="bold red", markup=False)


def stamp(prepared: PreparedGrid) -> str:
    """Return what a table's title adds where its figures are no results."""
    return f", {prepared.claim.mark}" if prepared.claim.mark else ""
