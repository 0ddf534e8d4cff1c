"""What ``run-fusion-grid`` does where rows are windows of videos, and with rows without a label."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from classify.labelling.aggregate import RULES

if TYPE_CHECKING:
    from classify.grid.config import GridConfig
    from classify.results.write import GridResult

WINDOWS, VIDEOS = "windows", "videos"
SHOWN = 10


def add_video_options(top: argparse.ArgumentParser) -> None:
    """Add what is learnt on, and the labels of rows that have none.

    Args:
        top: The parser.
    """
    group = top.add_argument_group("windows of videos, and rows without a label")
    group.add_argument(
        "--learn-on",
        choices=[WINDOWS, VIDEOS],
        default=WINDOWS,
        help="videos: pool the windows of each video into one row, mean and deviation side by "
        "side, as a corpus of its own in the store, and learn on that (default: the rows as they "
        "are; of windows videos.csv has the figures per video, by each rule)",
    )
    group.add_argument(
        "--submission",
        type=Path,
        metavar="FILE.csv",
        help="label the rows without a label by the reported cell, fitted once more on all "
        "labelled rows: id, label, confidence; one line per video where rows are windows",
    )
    group.add_argument(
        "--submission-rule",
        choices=list(RULES),
        default="mean",
        help="from windows to one label: that of most windows, or with the largest sum of "
        "confidences, mean probability or single probability (default: %(default)s)",
    )


def prepared_for_videos(arguments: argparse.Namespace, config: GridConfig) -> GridConfig:
    """Return the configuration over pooled videos where that is asked for, and check the rest.

    Args:
        arguments: The command line.
        config: What it says.

    Raises:
        UsageError: The corpus holds no windows, or there is nothing to submit.
    """
    from embeddings_store.vectors.catalogue import only_corpus

    if arguments.learn_on == VIDEOS:
        from embeddings_store.exchange.pool import pool_windows

        pooled = pool_windows(config.store, config.corpus or only_corpus(config.store))
        config = replace(config, corpus=pooled)
    if arguments.submission:
        from classify.labelling.submission import require_unlabelled
        from embeddings_store.corpus.manifest import Manifest

        name = config.corpus or only_corpus(config.store)
        require_unlabelled(Manifest.load(config.store / name))
    return config


def submit(arguments: argparse.Namespace, result: GridResult, notify: Callable[[str], None]) -> int:
    """Write the submission, and return the exit status.

    Args:
        arguments: The command line.
        result: The finished run.
        notify: Gets one line at a time.

    Raises:
        UsageError: The reported cell cannot be fitted on all rows, and why.
    """
    from classify.bundle.bundle import read_bundle
    from classify.bundle.export import export_model
    from classify.labelling.submission import write_submission
    from embeddings_store.corpus.manifest import Manifest

    store = result.prepared.config.store
    manifest = Manifest.load(store / result.prepared.corpus)
    with tempfile.TemporaryDirectory(prefix="submission-") as scratch:
        if arguments.export_model:
            bundle = read_bundle(arguments.export_model)
        else:
            bundle = export_model(result, Path(scratch) / "model", arguments.export_cell)
    found = write_submission(
        arguments.submission, bundle, store, manifest, arguments.submission_rule
    )
    print(f"{arguments.submission}: {found.rows} rows by {bundle.about['cell']}")
    for ids, why in ((found.unanswered, "have no vector"), (found.tied, "are tied")):
        if ids:
            more = " ..." if len(ids) > SHOWN else ""
            notify(f"{len(ids)} rows {why}, and have no label: {', '.join(ids[:SHOWN])}{more}")
    return 4 if found.unanswered or found.tied else 0
