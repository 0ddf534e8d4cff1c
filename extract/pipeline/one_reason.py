"""Stops an extraction in which every row fails for one reason, which fifty rows show as well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from embeddings_store.corpus.manifest import Manifest, Utterance
from embeddings_store.errors import MediaError
from extract.pipeline.inputs import RowReader

FEW = 50


def refuse_one_reason(read: RowReader, manifest: Manifest, positions: Sequence[int]) -> None:
    """Refuse a corpus whose first rows, and others from all over it, fail for one reason.

    Rows are read only until one does not fail, or fails for another reason: of a sound corpus that
    is one row.

    Args:
        read: Reads a row, or raises :class:`MediaError`.
        manifest: The corpus.
        positions: The rows that are about to be read; fewer than :data:`FEW` are never refused.

    Raises:
        MediaError: They all fail; says the reason once.
    """
    if len(positions) < FEW:
        return
    first = example = ""
    for position in _tried(positions):
        row = manifest.row(position)
        try:
            read(row)
            return
        except MediaError as error:
            reason = str(error)
        if first and common_reason(reason, row) != first:
            return
        if not first:
            first, example = common_reason(reason, row), f"{row.id}: {reason}"
    raise MediaError(
        f"none of {len(positions)} rows can be read: the first {FEW}, and others from all over the "
        f"corpus, fail for one reason, first {example}; remove it and run the same command again"
    )


def _tried(positions: Sequence[int]) -> Iterator[int]:
    """Yield the first rows, then as many evenly spread ones of the others."""
    yield from positions[:FEW]
    rest = positions[FEW:]
    yield from rest[:: max(1, -(-len(rest) // FEW))]


def common_reason(reason: str, row: Utterance) -> str:
    """Return a reason without what is the row's own: its names, and numbers.

    >>> common_reason("wav/a.wav is cut short: 12 of 40 bytes", Utterance("a", audio="wav/a.wav"))
    '... is cut short: # of # bytes'
    """
    for own in (row.audio, row.video, row.id):
        if own:
            reason = reason.replace(own, "...")
    return re.sub(r"\d+(?:\.\d+)?", "#", reason)
