"""``report.html``: one file that needs nothing else, made of the run's files with a template that escapes whatever they hold."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from classify.figures.draw import FOLDER, LeftOut
from classify.figures.results_folder import Run
from classify.figures.style import Drawing
from classify.report import words
from classify.report.browser import browser_data
from classify.report.config import ReportConfig
from classify.report.svg import inline
from classify.report.tables import (
    all_systems,
    audit_table,
    confusion_table,
    other_tables,
    paper_tables,
    statistics_tables,
)
from embeddings_store.atomic import replacing
from embeddings_store.vectors.hdf5 import read_header

HERE = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "page.html.j2", "page.css", "page.js"


def write_page(
    path: Path, run: Run, figures: Sequence[Drawing | LeftOut], config: ReportConfig
) -> None:
    """Write the page, whole or not at all; the figures' SVG files are there already.

    Args:
        path: Where to.
        run: The run.
        figures: What was drawn from it.
        config: What was asked for.
    """
    with replacing(path) as temporary:
        temporary.write_text(
            page(run, figures, config), encoding="utf-8", errors="backslashreplace", newline="\n"
        )


def page(run: Run, figures: Sequence[Drawing | LeftOut], config: ReportConfig) -> str:
    """Return the page's HTML."""
    audit = words.read_audit(run)
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in (STYLE, SCRIPT))
    drawn = [figure for figure in figures if isinstance(figure, Drawing)]
    shown = [
        {
            "name": f.name,
            "number": f.number,
            "title": f.title,
            "caption": f.caption,
            "svg": Markup(  # noqa: S704 - the page's own drawings
                inline((run.folder / FOLDER / f"{f.name}.svg").read_text(encoding="utf-8"), f)
            ),
        }
        for f in drawn
    ]
    return environment.get_template(TEMPLATE).render(
        run=run,
        answer=words.answer(run),
        protocol=words.protocol(run),
        folds=words.fold_lines(run),
        figures=shown,
        left_out=[f for f in figures if isinstance(f, LeftOut)],
        tables=paper_tables(run),
        systems=all_systems(run),
        confusion=confusion_table(run),
        statistics=statistics_tables(run),
        others=other_tables(run),
        audit=audit,
        audit_sentence=words.audit_sentence(audit) if audit else "",
        audit_table=audit_table(audit) if audit else None,
        browser=browser_data(run, config.media_root),
        provenance=provenance(run),
        commands=commands(run, config),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        script_hash=_hash(script),
    )


def provenance(run: Run) -> list[tuple[str, str]]:
    """Return name and value of everything that says where the numbers come from."""
    first = run.rows.iloc[0]
    found = [("corpus", run.corpus)]
    for name in (
        "protocol",
        "plan_digest",
        "label_set",
        "labels_digest",
        "fit_rows",
        "seed",
        "labels_shuffled",
        "versions",
        "commit",
    ):
        if name in run.rows:
            found.append(
                (
                    name.replace("_", " "),
                    "; ".join(dict.fromkeys(v for v in run.rows[name] if v)) or "-",
                )
            )
    if "date" in run.rows:
        found.append(("computed", f"{run.rows['date'].min()} to {run.rows['date'].max()}"))
    for modality in run.modalities:
        for fold in run.folds:
            entry = run.entry(modality, fold)
            if entry is not None:
                weights = str(read_header(entry.path).get("weights_digest", ""))[:12]
                found.append(
                    (
                        f"{modality} vectors, fold {entry.fold}",
                        f"{entry.ref.folder}, content {entry.digest}, weights {weights or '-'}",
                    )
                )
                if entry.fold == "any":
                    break
    if not first["encoders"] and run.store is None:
        found.append(("store", "not named; vectors are not described"))
    return found


def commands(run: Run, config: ReportConfig) -> list[str]:
    """Return the commands that made the run, as they were recorded, and the one that makes this page."""
    found = []
    for entry in run.entries:
        told = read_header(entry.path).get("provenance")
        if (
            isinstance(told, dict)
            and told.get("command")
            and any(run.entry(m, f) == entry for m in run.modalities for f in run.folds)
        ):
            found.append(_command(str(told["command"]), "extract-features"))
    if "command" in run.rows:
        found += [_command(c, "run-fusion-grid") for c in run.rows["command"].unique() if c]
    given = [
        ("--store", run.store),
        ("--media-root", config.media_root),
        ("--selection", config.selection),
        ("--against", config.against),
    ]
    rest = [part for option, path in given if path is not None for part in (option, _shown(path))]
    return [*dict.fromkeys(found), shlex.join(["make-report", _shown(config.results), *rest])]


def _command(recorded: str, program: str) -> str:
    """Name the program where a module was started: ``cli.py`` says nothing to a reader."""
    head, space, rest = recorded.partition(" ")
    return f"{program if head in ('cli.py', '-c', '-m') else head}{space}{rest}"


def _shown(path: Path) -> str:
    return path.name if path.is_absolute() else path.as_posix()


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
