"""The results on a terminal.

The paper's tables, the cell that counts, and under each table what a reader must know.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from classify.evaluation.metrics import FORMULAS, METRICS
from classify.grid.calibration import margin_note
from classify.grid.execution import Survey
from classify.grid.prepared import PreparedGrid
from classify.models.classifiers import CLASSIFIERS, competitors
from classify.models.probe import PROBE_C, PROBE_SPLITS
from classify.names import BASELINE, EARLY, HEAD, LATE, LAYER, OOF, PROBE, RESULT, SYSTEM, UNIMODAL
from classify.names import VALID as VALID_ROWS
from classify.results import choices as purposes
from classify.results.degradation import DEGRADATION, in_short
from classify.results.paper_tables import PER_CLASS, SEEDS, VALID, about_of, paper_table, per_cent
from classify.results.shapley import CONTRIBUTIONS
from classify.results.statistics_tables import read_statistics
from classify.results.table import BEST_ON_TEST, CANDIDATES, CHOSEN, FIXED, ON_TEST, ResultTable
from classify.results.write import GridResult
from classify.terminal.statistics import in_words
from classify.terminal.text_overlap import show_subsets

OWN = "no classifier"  # the largest class score of a head, a probe, a rule or a system
FILE_WIDTH = 200  # columns where the output is no terminal, so that nothing is cut
LEARNT = {
    "oof": "of training rows, out of fold",
    "valid": "of validation rows",
    "train": "of training rows themselves",
    "train+valid": "of training rows themselves and of validation rows",
}
TITLES = {
    UNIMODAL: "Table 4: one modality",
    LAYER: "Layers, one at a time",
    EARLY: "Table 5: early fusion",
    LATE: "Table 6: late fusion",
    SYSTEM: "Systems",
}


def console_for_output() -> Console:
    """Return a console on standard output that never cuts a table in a file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=FILE_WIDTH, highlight=False)


def show_results(result: GridResult, console: Console) -> None:
    """Print every table, each with its footer, and then the cell that counts."""
    rows, prepared = result.table.rows, result.prepared
    _banner(prepared, console)
    for family, title in TITLES.items():
        if (rows["family"] == family).any():
            console.print(
                _table(
                    f"{title} ({prepared.corpus}, test rows, per cent{_stamp(prepared)})",
                    paper_table(rows, family),
                )
            )
            console.print(Text("\n".join(footer(result, family))), style="dim", soft_wrap=True)
            console.print()
    for path in result.files:
        if path.name in (CONTRIBUTIONS, DEGRADATION):
            _show_modalities(path, result, console)
        if path.name == PER_CLASS:
            _show_per_class(path, result, console)
    show_subsets(prepared.config.out, result.table.headline, console)
    for line in verdict(result.table):
        console.print(line, style="bold", markup=False, soft_wrap=True)
    for line in in_words(*read_statistics(prepared.config.out), result.table.headline):
        console.print(line, markup=False, soft_wrap=True)
    for note in cautions(prepared):
        console.print(note, markup=False, soft_wrap=True)
    for line in filter(
        None, (margin_note(rows), purposes.note(rows, prepared.config.valid_split is not None))
    ):
        console.print(f"note: {line}", markup=False, soft_wrap=True)
    _banner(prepared, console)


def show_survey(survey: Survey, console: Console) -> None:
    """Print what a run would do."""
    prepared = survey.prepared
    encoders = {
        m: ", ".join(dict.fromkeys(ref.folder for views in prepared.replicas for ref in views[m]))
        for m in prepared.views
    }
    table = Table(
        title=f"would run on corpus {prepared.corpus!r}, {prepared.labels.name}",
        title_justify="left",
    )
    for column in (
        "fold",
        "holds out",
        "train",
        "valid",
        "test",
        "training rows that an encoder was fitted on",
    ):
        table.add_column(column, overflow="fold")
    for fold in prepared.folds:
        counts = [str(fold.counts[role]) for role in ("train", "valid", "test")]
        table.add_row(str(fold.number), fold.name, *counts, str(fold.train_seen))
    console.print(table)
    lines = [
        f"{m}: {names}; class scores from {prepared.scores_from[m]}"
        for m, names in encoders.items()
    ]
    lines += [
        f"protocol {prepared.setup.protocol!r}: plan {prepared.plan.name!r} (digest "
        f"{prepared.plan.digest}, valid: "
        f"{prepared.plan.valid}), split {prepared.setup.split_digest}",
        *(
            [f"CAUTION: roles that share speakers or groups: {prepared.setup.shared}"]
            if prepared.setup.shared
            else []
        ),
        *cautions(prepared),
        prepared.audit.line(),
        f"{len(prepared.cells)} cells x {len(prepared.folds)} folds{_times_seeds(prepared)}: "
        f"{survey.finished} finished, "
        f"{survey.to_run} to run (about {survey.cost_s / 60:.1f} processor minutes)"
        + (f", {survey.later} more once layers are chosen" if survey.later else ""),
    ]
    console.print(Text("\n".join(lines)), soft_wrap=True)
    _banner(prepared, console)


def _times_seeds(prepared: PreparedGrid) -> str:
    seeds = len(prepared.replicas) * len(prepared.config.seeds)
    return f" x {seeds} seeds" if seeds > 1 else ""


def footer(result: GridResult, family: str) -> list[str]:
    """Say what a table is of.

    Corpus, protocol, folds, labels, choice, records, probes, formulas.
    """
    rows = result.table.rows
    first, part = rows.iloc[0], rows[rows["family"] == family]
    folds = rows["fold"].nunique()
    named = "" if first["protocol"] == first["plan"] else f"{first['plan']}, "
    lines = [
        f"corpus {first['corpus']}; protocol {first['protocol']} ({named}valid: "
        f"{first['valid_rule']}, split "
        f"{first['split_digest']}); {folds} fold{'s' * (folds > 1)}; label set "
        f"{first['label_set']}; fitted on "
        f"{'; '.join(dict.fromkeys(part['fit_rows']))}; seed "
        f"{about_of(rows)['seed']}{_encoder_seeds(rows)}",
        f"{_deviations(rows)}{_selection(result.table)}",
        f"{'; '.join(dict.fromkeys(part['verified']))}; {_labels(first['labels_shuffled'])}",
    ]
    if first["shared"]:
        lines.append(f"CAUTION: roles that share speakers or groups: {first['shared']}")
    if part["scores_from"].str.contains(PROBE).any():
        lines.append(
            f"class scores from a probe: logistic regression (C = {PROBE_C}) fitted inside the "
            "fold; training rows "
            f"out of fold, {PROBE_SPLITS} splits by group"
        )
    if part["scores_from"].str.contains(HEAD).any():
        lines.append(
            "class scores from the fine-tuned heads, which were trained on the training rows"
        )
    lines += [
        f"learnt from class scores ({LEARNT[rows_of]}): {', '.join(of['method'].unique())}"
        for rows_of, of in part[part["learnt_on"].isin(LEARNT)].groupby("learnt_on", sort=False)
    ]
    missing = part[part["n_missing"] > 0]
    if len(missing):
        most = missing.loc[missing["n_missing"].idxmax()]
        lines.append(
            f"up to {most['n_missing']} of {most['n_test']} test rows lack a modality (fold "
            f"{most['fold']}, "
            f"{most['cell']}); cells of that modality alone score the others, see n_scored"
        )
    return [*lines, result.prepared.audit.line(), FORMULAS]


def verdict(table: ResultTable) -> list[str]:
    """Name the cell that counts, and the one that would have been best on test."""
    rows = table.rows
    headline, best = table.headline, table.flagged(BEST_ON_TEST)
    lines = []
    if table.flagged(CHOSEN):
        lines.append(
            f"{_claim(rows)}: {headline}: {_figures(rows, headline)} (chosen on validation rows, "
            f"valid WA {per_cent(rows.loc[rows['cell'] == headline, VALID].mean()):.2f})"
        )
    elif table.flagged(ON_TEST):
        lines.append(
            f"UPPER BOUND, no result: {headline}: {_figures(rows, headline)} (chosen on the test "
            "rows themselves, of "
            f"{_candidates(rows)} cells{_selected(rows, headline)})"
        )
    elif table.flagged(FIXED):
        lines.append(
            f"{_claim(rows)}: {headline}: {_figures(rows, headline)} (fixed beforehand as the "
            "paper's final model; "
            "there are no validation rows, so nothing was chosen)"
        )
    else:
        lines.append(
            "no result: there are no validation rows to choose on, and the paper's final model "
            "(concatenation + "
            "SVM) was not run; add it with --early concatenation --classifiers svm, or use a plan "
            "with validation "
            "rows"
        )
    if not table.flagged(ON_TEST):
        lines.append(
            f"upper bound: {best}: {_figures(rows, best)} (best of {_candidates(rows)} cells on "
            "the test rows "
            "themselves; no result)"
        )
    baselines = rows[rows["family"] == BASELINE]
    lines += [f"chance: {name}: {_figures(rows, str(name))}" for name in baselines["cell"].unique()]
    constants = ", ".join(baselines["constant"].unique())
    lines.append(
        f"for scale: always answering the commonest class of the test rows ({constants}; nobody "
        "could know it "
        f"beforehand) gives WA {per_cent(baselines['constant_WA'].mean()):.2f}"
    )
    return lines


def _claim(rows: pd.DataFrame) -> str:
    claim = str(rows["claim"].iloc[0])
    return claim if claim == RESULT else f"{claim.upper()}, no result"


def cautions(prepared: PreparedGrid) -> list[str]:
    """What was left out, and what makes training rows unlike test rows."""
    lines = [f"note: {note}" for note in prepared.notes]
    seen, total = (
        sum(f.train_seen for f in prepared.folds),
        sum(f.counts["train"] for f in prepared.folds),
    )
    if seen and prepared.config.fit_rows != OOF:
        lines.append(
            f"note: encoders were fitted on {seen} of {total} training rows (seen=fit), so "
            "classifiers and probes "
            "learn from vectors that carry their labels: training figures and margins are "
            "over-confident, and "
            "these rows are no place to tune"
        )
    if any(prepared.inner):
        parts = "; ".join(f"{m}: {inner.parts}" for m, inner in prepared.inner[0].items())
        lines.append(
            "note: late fusion learns from scores of training rows by inner encoders that have "
            f"not seen them ({parts})"
        )
    config = prepared.config
    if config.tune:
        where = (
            "validation rows"
            if prepared.tune_on == VALID_ROWS
            else "grouped splits of training rows"
        )
        lines.append(
            f"note: settings of classifiers are chosen per cell and fold, by up to {config.tune} "
            f"trials on {where}"
            + (f", none begun after {config.tune_minutes:g} minutes" if config.tune_minutes else "")
        )
    return lines


def _banner(prepared: PreparedGrid, console: Console) -> None:
    if prepared.config.shuffle_seed is not None:
        console.print(
            f"*** LABELS SHUFFLED (seed {prepared.config.shuffle_seed}): every figure must be at "
            "chance ***",
            style="bold red",
            markup=False,
        )
    if prepared.leaky:
        console.print(
            f"*** LEAKY METADATA: {', '.join(prepared.leaky)} may explain the label itself; no "
            "figure of a system that "
            "uses them is a result ***",
            style="bold red",
            markup=False,
        )
    if prepared.config.select_on == "test":
        console.print(
            "*** UPPER BOUND: chosen on the test rows themselves; no figure here is a result ***",
            style="bold red",
            markup=False,
        )


def _stamp(prepared: PreparedGrid) -> str:
    return "" if prepared.claim == RESULT else f", {prepared.claim.upper()}"


def _table(title: str, frame: pd.DataFrame) -> Table:
    """Accuracy per classifier, then the averages of every metric."""
    table = Table(title=title, title_justify="left")
    classifiers = [name for name in competitors() if name in frame]
    own = "own" in frame
    table.add_column("", overflow="fold")
    for name in [
        *(CLASSIFIERS[c].title for c in classifiers),
        *([OWN] if own else []),
        "average WA",
        *(
            f"avg {m}"
            for m in [*METRICS[1:], *([VALID] if (frame["metric"] == VALID).any() else [])]
        ),
    ]:
        table.add_column(name, justify="right", no_wrap=True)
    by_metric = {
        metric: part.set_index("row") for metric, part in frame.groupby("metric", sort=False)
    }
    for label, line in by_metric["WA"].iterrows():
        cells = [_cell(line, name) for name in [*classifiers, *(["own"] if own else []), "average"]]
        cells += [
            _cell(part.loc[label], "average")
            for metric, part in by_metric.items()
            if metric != "WA"
        ]
        table.add_row(str(label), *cells)
    return table


def _cell(line: pd.Series, name: str) -> str:
    if pd.isna(line[name]):
        return "-"
    folds, seeds = line[f"{name}_sd"], line.get(f"{name}_seed_sd", float("nan"))
    text = f"{line[name]:.2f}" + ("" if pd.isna(folds) else f" ± {folds:.2f}")
    return text if pd.isna(seeds) else f"{text} (± {seeds:.2f})"


def _deviations(rows: pd.DataFrame) -> str:
    """Say what stands behind the plus-minus signs of :func:`_cell`."""
    seeds = len(rows[SEEDS].drop_duplicates())
    over = (
        [f"± sample deviation over {rows['fold'].nunique()} folds"]
        if rows["fold"].nunique() > 1
        else []
    )
    over += [f"(± sample deviation over {seeds} seeds)"] if seeds > 1 else []
    return f"mean {' '.join(over)}; " if over else ""


def _encoder_seeds(rows: pd.DataFrame) -> str:
    every = rows["encoder_seed"].drop_duplicates()
    return f"; seeds of the fine-tuning {'; '.join(every)}" if len(every) > 1 else ""


def _show_per_class(path: Path, result: GridResult, console: Console) -> None:
    frame = pd.read_csv(path, dtype={"class": str, "cell": str}, keep_default_na=True)
    title = f"Table 7: per class ({result.prepared.corpus}, test rows, per cent{_stamp(result.prepared)})"
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for name in ("precision", "recall", "F1", "support"):
        table.add_column(name, justify="right", no_wrap=True)
    for _, line in frame.iterrows():
        table.add_row(
            str(line["class"]),
            *(_cell(line, n) for n in ("precision", "recall", "F1")),
            str(line["support"]),
        )
    console.print(table)
    families = result.table.rows.loc[result.table.rows["cell"] == result.table.headline, "family"]
    lines = [
        f"of {result.table.headline}; 'all' is weighted by support in each fold, then averaged "
        "over folds",
        *footer(result, str(families.iloc[0])),
    ]
    console.print(Text("\n".join(lines)), style="dim", soft_wrap=True)
    console.print()


def _show_modalities(path: Path, result: GridResult, console: Console) -> None:
    """Print one line per way of fusing.

    Points that each modality brings, or accuracy as modalities are lost.
    """
    frame = pd.read_csv(path, keep_default_na=False, na_values={"shapley_sd": [""]})
    if path.name == CONTRIBUTIONS:
        title = "What each modality contributes: Shapley value, points of test WA above the commonest class"
        lines = frame.assign(
            row=frame["family"] + " " + frame["method"] + " " + frame["classifier"]
        ).pivot_table(index="row", columns="modality", values="shapley", sort=False)
        lines["all"] = lines.sum(axis=1)
    else:
        title, lines = (
            f"Test WA, per cent, as modalities are lost (seed {frame['drop_seed'].iloc[0]})",
            in_short(frame),
        )
    table = Table(
        title=f"{title} ({result.prepared.corpus}{_stamp(result.prepared)})", title_justify="left"
    )
    table.add_column("", overflow="fold")
    for name in lines.columns:
        table.add_column(str(name), justify="right", no_wrap=True)
    for label, line in lines.iterrows():
        table.add_row(str(label), *("-" if pd.isna(value) else f"{value:.2f}" for value in line))
    console.print(table)
    console.print()


def _selection(table: ResultTable) -> str:
    if table.flagged(ON_TEST):
        return "UPPER BOUND: the cell that is shown was chosen on the test rows themselves"
    if table.flagged(CHOSEN):
        return "the cell that counts is chosen on validation rows (best mean WA); best on test is shown as an upper bound"
    return "no validation rows: nothing is chosen, the cell that counts was fixed beforehand; best on test is an upper bound"


def _labels(shuffled: str) -> str:
    return "true labels" if shuffled == "no" else f"LABELS SHUFFLED ({shuffled})"


def _selected(rows: pd.DataFrame, cell: str) -> str:
    part = rows[rows["cell"] == cell]
    count, total = part["n_test_selected"].sum(), part["n_scored"].sum()
    return f"; encoders' epochs were chosen on {count} of these {total} rows" if count else ""


def _figures(rows: pd.DataFrame, cell: str) -> str:
    of_cell = rows[rows["cell"] == cell]
    return ", ".join(f"{metric} {per_cent(of_cell[metric].mean()):.2f}" for metric in METRICS)


def _candidates(rows: pd.DataFrame) -> int:
    families: Sequence[str] = CANDIDATES
    return int(rows.loc[rows["family"].isin(families), "cell"].nunique())
