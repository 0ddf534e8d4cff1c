"""From the options that name a corpus, which every command here has, to where it is read from."""

from __future__ import annotations

import argparse

from embeddings_store.errors import UsageError
from extract.pipeline.job import CorpusSource


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
    )


def reader_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Return what ``--corpus-option`` gave, by name.

    Raises:
        UsageError: One is no ``NAME=VALUE``.
    """
    options = {}
    for pair in arguments.corpus_option:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--corpus-option {pair!r}: write NAME=VALUE")
        options[name] = value
    return options
