"""One call from a results folder to its figures, its report, and a list of what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from classify.claim import Claim
from classify.figures.draw import LeftOut, draw, write
from classify.figures.maps import MapConfig
from classify.figures.results_folder import FinishedRun
from classify.figures.style import Drawing
from classify.report.config import ReportConfig
from classify.report.page import write_page
from classify.report.selection import TABLES as SELECTION
from classify.report.selection import write_selection
from classify.results.earlier import FIGURES, REPORT
from classify.results.paper_tables import CONFUSION, PAPER_TABLES, PER_CLASS
from embeddings_store.atomic import exclusive
from embeddings_store.errors import StoreNotFoundError

TABLES = (*SELECTION.values(), *PAPER_TABLES.values(), PER_CLASS, CONFUSION)


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """What was written.

    Attributes:
        page: The report.
        tables: The tables of the results folder.
        figures: What was drawn, and what was not and why.
        folder: Where the figures are.
        claim: What the figures may be called.
    """

    page: Path
    tables: Sequence[Path]
    figures: Sequence[Drawing | LeftOut]
    folder: Path
    claim: Claim = field(default_factory=Claim)

    def listing(self) -> list[str]:
        """Say where every table and figure went, one line each."""
        lines = [f"{_numbered('Table', path.stem)}: {path}" for path in self.tables]
        for figure in self.figures:
            if isinstance(figure, Drawing):
                lines.append(
                    f"{_numbered('Figure', figure.name)}: {self.folder / figure.name}.png, .svg  "
                    f"({figure.title})"
                )
            else:
                lines.append(f"not drawn: {figure.what}: {figure.reason}")
        if self.claim.stamp:
            lines.append(f"stamped on all of it: {self.claim.stamp}")
        return lines


def make_report(config: ReportConfig) -> WrittenReport:
    """Draw every figure and write the page.

    Each file is whole or not there, and equal runs give equal files.

    Raises:
        ProjectError: The results or the store are not as they must be, or another process writes
            the folder.
    """
    run = FinishedRun.read(config.results, _store(config))
    other = FinishedRun.read(config.against, run.store) if config.against else None
    # not the lock of the grid: a report of what is there neither waits for a run nor stops one
    with exclusive(config.results / ".report.lock", f"the report in {config.results}"):
        if config.selection:
            write_selection(config.selection, run.corpus, config.results, run.claim)
        figures = draw(run, MapConfig(config.fold, config.map_rows), config.tsne, other)
        folder = config.results / FIGURES
        write(figures, folder)
        page = config.results / REPORT
        write_page(page, run, figures, config)
    tables = [config.results / name for name in TABLES]
    return WrittenReport(
        page, [path for path in tables if path.is_file()], figures, folder, run.claim
    )


def _store(config: ReportConfig) -> Path | None:
    """The store that was named, or the usual one where it holds the corpus.

    Without one there are fewer figures, and the listing says which and why.
    """
    if config.store is not None:
        return config.store
    try:
        corpus = FinishedRun.read(config.results).corpus
    except StoreNotFoundError:
        return None
    return config.usual_store if (config.usual_store / corpus / "corpus.json").is_file() else None


def _numbered(kind: str, stem: str) -> str:
    """Name a table or figure by the paper's number, where it has one.

    >>> _numbered("Figure", "figure08_pca_text"), _numbered("Figure", "systems")
    ('Figure 8', 'Figure systems')
    >>> _numbered("Table", "table4_unimodal")
    'Table 4'
    """
    head = stem.partition("_")[0].removeprefix(kind.lower())
    return f"{kind} {int(head)}" if head.isdecimal() else f"{kind} {stem}"
