"""``report.html``: one file that needs nothing else.

It is made of the run's files, with a template that escapes whatever they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from classify.figures.draw import LeftOut
from classify.figures.results_folder import FinishedRun
from classify.figures.style import Drawing
from classify.offline_page import render_page, write_html
from classify.report.browser import browser_data
from classify.report.config import ReportConfig
from classify.report.provenance import commands, provenance
from classify.report.sentences.answer import answer
from classify.report.sentences.leakage_audit import audit_sentence, read_audit
from classify.report.sentences.protocol import fold_lines, protocol
from classify.report.svg import inline
from classify.report.tables.every_system import all_systems, confusion_table
from classify.report.tables.leakage_audit import audit_table
from classify.report.tables.other_files import other_tables
from classify.report.tables.paper_tables import paper_tables
from classify.report.tables.uncertainty import statistics_tables
from classify.results.earlier import FIGURES, run_digest

HERE = Path(__file__).parent
NAME = "page"


def write_page(
    path: Path, run: FinishedRun, figures: Sequence[Drawing | LeftOut], config: ReportConfig
) -> None:
    """Write the page, whole or not at all; the figures' SVG files are there already.

    Args:
        path: Where to.
        run: The run.
        figures: What was drawn from it.
        config: What was asked for.
    """
    write_html(path, page(run, figures, config))


def page(run: FinishedRun, figures: Sequence[Drawing | LeftOut], config: ReportConfig) -> str:
    """Return the page's HTML.

    Args:
        run: The run.
        figures: What was drawn from it; the SVG files lie in the run's folder.
        config: What was asked for.
    """
    audit = read_audit(run)
    return render_page(
        HERE,
        NAME,
        run=run,
        digest=run_digest(run.folder),
        answer=answer(run),
        protocol=protocol(run),
        folds=fold_lines(run),
        figures=[_shown(run, figure) for figure in figures if isinstance(figure, Drawing)],
        left_out=[figure for figure in figures if isinstance(figure, LeftOut)],
        tables=paper_tables(run),
        systems=all_systems(run),
        confusion=confusion_table(run),
        statistics=statistics_tables(run),
        others=other_tables(run),
        audit=audit,
        audit_sentence=audit_sentence(audit) if audit else "",
        audit_table=audit_table(audit) if audit else None,
        browser=browser_data(run, config.media_root),
        provenance=provenance(run),
        commands=commands(run, config),
    )


def _shown(run: FinishedRun, figure: Drawing) -> dict[str, object]:
    """A figure as the template takes it."""
    source = (run.folder / FIGURES / f"{figure.name}.svg").read_text(encoding="utf-8")
    return {
        "name": figure.name,
        "number": figure.number,
        "title": figure.title,
        "caption": figure.caption,
        "svg": Markup(inline(source, figure)),  # noqa: S704 - the page's own drawings
    }
