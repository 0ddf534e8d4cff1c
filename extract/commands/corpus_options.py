"""From the options that name a corpus, which every command here has, to where it is read from."""

from __future__ import annotations

import argparse

from embeddings_store.commands.common import add_columns_option
from embeddings_store.corpus.media_paths import FOLLOW_LINKS
from embeddings_store.errors import UsageError
from extract.commands.window_options import windows_of
from extract.corpora import READERS
from extract.pipeline.job import CorpusSource


def add_reading_options(command: argparse._ActionsContainer) -> None:
    """Add how a corpus is read: names of a table's columns, and links.

    Args:
        command: A parser, or a group of its options.
    """
    add_columns_option(command, "the table of --corpus manifest")
    command.add_argument(
        FOLLOW_LINKS,
        action="store_true",
        help="read media behind symbolic links that leave the corpus' folder (default: they are "
        "refused, because a list of files could reach anything on this disk)",
    )


def corpus_source(arguments: argparse.Namespace) -> CorpusSource:
    """Return the corpus that ``--corpus``, ``--root`` and their like name.

    Raises:
        UsageError: A ``--corpus-option`` is no ``NAME=VALUE``.
    """
    return CorpusSource(
        arguments.corpus,
        arguments.root,
        reader_options(arguments),
        getattr(arguments, "corpus_name", ""),
        getattr(arguments, "text_column", ""),
        arguments.follow_links,
        windows_of(arguments) if "window_s" in arguments else None,
    )


def reader_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Return what ``--corpus-option`` gave, by name.

    Raises:
        UsageError: One is no ``NAME=VALUE``.
    """
    options = _table_options(arguments)
    for pair in arguments.corpus_option:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--corpus-option {pair!r}: write NAME=VALUE")
        options[name] = value
    return options


def _table_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Return what the options of :func:`add_reading_options` gave, as options of the reader."""
    if not arguments.columns:
        return {}
    if arguments.corpus in READERS and "columns" not in READERS[arguments.corpus].options():
        raise UsageError(
            f"--columns renames columns of a table, and {arguments.corpus} has a layout of its "
            "own; leave it out"
        )
    return {"columns": arguments.columns}
