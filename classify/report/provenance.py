"""Where the page's numbers come from: digests, encoders' files, and the commands that made them."""

from __future__ import annotations

import shlex
from pathlib import Path

from classify.figures.results_folder import FinishedRun
from classify.report.config import ReportConfig
from embeddings_store.vectors.hdf5 import read_header

# Columns of grid.csv that are shown as they are.
RECORDED = (
    "protocol",
    "plan_digest",
    "label_set",
    "labels_digest",
    "fit_rows",
    "seed",
    "labels_shuffled",
    "versions",
    "commit",
)


def provenance(run: FinishedRun) -> list[tuple[str, str]]:
    """Return name and value of everything that says where the numbers come from."""
    found = [("corpus", run.corpus)]
    for name in RECORDED:
        if name in run.rows:
            values = dict.fromkeys(value for value in run.rows[name] if value)
            found.append((name.replace("_", " "), "; ".join(values) or "-"))
    if "date" in run.rows:
        found.append(("computed", f"{run.rows['date'].min()} to {run.rows['date'].max()}"))
    for modality in run.modalities:
        found += _vectors(run, modality)
    if not run.rows["encoders"].iloc[0] and run.store is None:
        found.append(("store", "not named; vectors are not described"))
    return found


def _vectors(run: FinishedRun, modality: str) -> list[tuple[str, str]]:
    found = []
    for entry in run.entries_of(modality):
        weights = str(read_header(entry.path).get("weights_digest", ""))[:12]
        found.append(
            (
                f"{modality} vectors, fold {entry.fold}",
                f"{entry.ref.folder}, content {entry.digest}, weights {weights or '-'}",
            )
        )
        if entry.fold == "any":
            break
    return found


def commands(run: FinishedRun, config: ReportConfig) -> list[str]:
    """Return the commands that made the run, as recorded, and the one that makes this page."""
    found = _extractions(run)
    if "command" in run.rows:
        recorded = [command for command in run.rows["command"].unique() if command]
        found += [_command(command, "run-fusion-grid") for command in recorded]
    options = {
        "--store": run.store,
        "--media-root": config.media_root,
        "--selection": config.selection,
        "--against": config.against,
    }
    report = ["make-report", _shown(config.results)]
    for option, path in options.items():
        if path is not None:
            report += [option, _shown(path)]
    return [*dict.fromkeys(found), shlex.join(report)]


def _extractions(run: FinishedRun) -> list[str]:
    """The recorded commands behind the store's files that served this run."""
    served = []
    for modality in run.modalities:
        served += run.entries_of(modality)
    found = []
    for entry in run.entries:
        recorded = read_header(entry.path).get("provenance")
        if entry in served and isinstance(recorded, dict) and recorded.get("command"):
            found.append(_command(str(recorded["command"]), "extract-features"))
    return found


def _command(recorded: str, program: str) -> str:
    """Name the program where a module was started: ``cli.py`` says nothing to a reader."""
    head, space, rest = recorded.partition(" ")
    return f"{program if head in ('cli.py', '-c', '-m') else head}{space}{rest}"


def _shown(path: Path) -> str:
    """A path without the folders of this machine, so that equal runs give equal pages."""
    return path.name if path.is_absolute() else path.as_posix()
