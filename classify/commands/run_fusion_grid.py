"""The command ``run-fusion-grid``.

Every fusion and classifier over the stored vectors of one corpus, as tables.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from classify.commands.grid_options import PROGRAM
from embeddings_store.commands.common import guarded
from embeddings_store.reading import visible

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from classify.grid.config import GridConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(argv), PROGRAM)


def _run(argv: Sequence[str] | None) -> int:
    # imported here because it takes time, in which Ctrl-C must not print a traceback either
    from classify.commands.grid_options import build_parser, config_from
    from classify.commands.video_options import prepared_for_videos, submit

    arguments = build_parser().parse_args(argv)
    if arguments.list_protocols:
        return _list_protocols(arguments.store, arguments.corpus)
    config = config_from(arguments)
    _check_export(arguments)
    config = prepared_for_videos(arguments, config)

    # not above: --help needs no classifier, and a survey nothing that writes tables
    from classify.grid.execution import survey
    from classify.terminal.console import console_for_output
    from classify.terminal.survey import show_survey

    console = console_for_output()
    if arguments.dry_run:
        show_survey(survey(config), console)
        return 0
    from classify.experiment import run_grid
    from classify.labelling.videos import write_videos
    from classify.results.earlier import stale_report
    from classify.terminal.grid import one_line, show_closing, show_tables
    from classify.terminal.videos import show_videos

    if arguments.metadata_ablation:
        return _ablate(config, console, quiet=arguments.quiet)
    reporter = (
        _reporter() if arguments.report else None
    )  # what is not installed is said before the work, not after it
    result = run_grid(config, _say)
    videos = write_videos(result)
    files = [*result.files, *filter(None, [videos])]
    if arguments.quiet:
        print(visible(one_line(result, files)))
    else:
        show_tables(result, console, verbose=arguments.verbose)
        if videos:
            show_videos(videos, result.table.headline, console)
        show_closing(result, files, console, verbose=arguments.verbose)
    if arguments.export_model:
        from classify.bundle.export import export_model

        export_model(result, arguments.export_model, arguments.export_cell)
        print(arguments.export_model)
    status = submit(arguments, result, _say) if arguments.submission else 0
    if reporter:
        print(reporter(config.out, config.store))
    elif stale := stale_report(config.out):
        _say(stale)
    return status


def _check_export(arguments: argparse.Namespace) -> None:
    """Refuse before the work what could not be exported after it."""
    from classify.bundle.folder import refuse_other
    from embeddings_store.errors import UsageError

    if arguments.export_cell and not (arguments.export_model or arguments.submission):
        raise UsageError(
            "--export-cell has no effect without --export-model DIR or --submission FILE.csv; add "
            "one"
        )
    if arguments.export_model and arguments.metadata_ablation:
        raise UsageError(
            "--metadata-ablation compares runs and has no cell to export; run it apart"
        )
    if arguments.export_model and not arguments.dry_run:
        refuse_other(arguments.export_model)


def _list_protocols(store: Path, corpus: str) -> int:
    """Print the protocols and label sets, of a corpus that is there those that it allows."""
    from embeddings_store.commands.protocol_options import listing
    from embeddings_store.corpus.manifest import Manifest
    from embeddings_store.errors import unknown_name

    there = [path.parent.name for path in sorted(store.glob("*/corpus.json"))]
    corpus = corpus or (there[0] if len(there) == 1 else "")
    if corpus and corpus not in there:
        unknown_name("corpus", corpus, there)
    print(listing(Manifest.load(store / corpus) if corpus else None))
    return 0


def _ablate(config: GridConfig, console: Console, *, quiet: bool) -> int:
    from classify.ablation import ablate
    from classify.terminal.metadata_ablation import show_ablation

    table, path = ablate(config, _say)
    if not quiet:
        show_ablation(table, console)
    print(path)
    return 0


def _say(message: str) -> None:
    """Print what happens; labels and systems in it are somebody else's words."""
    print(f"{PROGRAM}: {visible(message)}", file=sys.stderr)


def _reporter() -> Callable[[Path, Path], Path]:
    """Return what makes the report of a results folder and its store, and says where the page is.

    Raises:
        MissingDependencyError: The extra is not installed.
    """
    from classify.report.config import ReportConfig, with_extra

    with with_extra():
        from classify.report.make import make_report
    return lambda results, store: make_report(ReportConfig(results, store)).page


if __name__ == "__main__":
    sys.exit(main())
