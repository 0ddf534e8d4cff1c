"""What a run of the grid would do, on a terminal: ``--dry-run``."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from classify.grid.execution import Survey
from classify.grid.prepared import PreparedGrid
from classify.terminal.console import add_line
from classify.terminal.notes import cautions, print_banner


def show_survey(survey: Survey, console: Console) -> None:
    """Print the folds, the encoders, and how many cells are to be computed.

    Args:
        survey: What a run would do.
        console: Where to.
    """
    prepared = survey.prepared
    console.print(_folds(prepared))
    setup, plan = prepared.setup, prepared.plan
    lines = _encoders(prepared)
    lines.append(
        f"protocol {setup.protocol!r}: plan {plan.name!r} (digest {plan.digest}, valid: "
        f"{plan.valid}), split {setup.split_digest}"
    )
    if setup.shared:
        lines.append(f"CAUTION: roles that share speakers or groups: {setup.shared}")
    lines += [*cautions(prepared), prepared.audit.line(), _cost(survey)]
    console.print(Text("\n".join(lines)), soft_wrap=True)
    print_banner(prepared, console)


def _folds(prepared: PreparedGrid) -> Table:
    title = f"would run on corpus {prepared.corpus!r}, {prepared.labels.name}"
    table = Table(title=title, title_justify="left")
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
        counts = []
        for role in ("train", "valid", "test"):
            usable, planned = fold.counts[role], fold.n_planned[role]
            counts.append(str(usable) if usable == planned else f"{usable} of {planned}")
        add_line(table, str(fold.number), fold.name, *counts, str(fold.train_seen))
    return table


def _encoders(prepared: PreparedGrid) -> list[str]:
    """Return a line per modality: its candidates of every seed, and where its scores come from."""
    lines = []
    for modality in prepared.views:
        # seeds of the fine-tuning have encoders of their own
        folders: list[str] = []
        for views in prepared.replicas:
            folders += [ref.folder for ref in views[modality]]
        names = ", ".join(dict.fromkeys(folders))
        lines.append(f"{modality}: {names}; class scores from {prepared.scores_from[modality]}")
    return lines


def _cost(survey: Survey) -> str:
    prepared = survey.prepared
    n_seeds = len(prepared.replicas) * len(prepared.config.seeds)
    times_seeds = f" x {n_seeds} seeds" if n_seeds > 1 else ""
    later = f", {survey.later} more once layers are chosen" if survey.later else ""
    return (
        f"{len(prepared.cells)} cells x {len(prepared.folds)} folds{times_seeds}: "
        f"{survey.finished} finished, {survey.to_run} to run (about {survey.cost_s / 60:.1f} "
        f"processor minutes){later}"
    )
