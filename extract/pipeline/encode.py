"""From rows to vectors.

Read ahead, batch by length, encode, and hand finished rows over in small portions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Utterance
from embeddings_store.errors import MediaError
from embeddings_store.interrupts import interrupts_later
from extract.pipeline.inputs import Input, RowReader

WINDOW_BATCHES = 8
# A kill costs at most this much work; a part per batch would cost more in syncs than it saves.
COMMIT_EVERY_S = 5.0
READ_AHEAD = 2
NOT_FINITE = (
    "the encoder made a vector that is not finite; listen to the clip, or use another encoder"
)
TOO_LARGE = (
    "too large for the device's memory; lower --max-duration-s or --max-tokens, or use --device cpu"
)


class VectorMaker(Protocol):
    """What makes vectors: a frozen encoder, or one that was fine-tuned."""

    layers: tuple[int, ...]

    @property
    def dim(self) -> int:
        """Width of a vector."""

    @property
    def batch_size(self) -> int:
        """How many inputs go through the model at once."""

    def encode(self, inputs: Sequence[Any]) -> NDArray[np.float32]:
        """Return float32 (inputs, layers, D); the result does not depend on the batch."""

    def remarks(self) -> list[str]:
        """Say what a user should know of the inputs so far, a sentence each."""


@dataclass(slots=True)
class EncodedRows:
    """Finished rows on their way to the store; columns of equal length.

    Attributes:
        positions: Rows of the manifest.
        vectors: One (layers, D) float32 array per row; ``nan`` where the row failed.
        status: ``ok`` or ``failed``.
        reason: Why it failed, or a caution.
        inputs: Digest of what the encoder was given, empty where it was given nothing.
    """

    positions: list[int] = field(default_factory=list)
    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    reason: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def add(
        self, position: int, vector: NDArray[np.float32], status: str, reason: str, digest: str
    ) -> None:
        """Append one row.

        Args:
            position: Its place in the manifest.
            vector: (layers, D).
            status: ``ok`` or ``failed``.
            reason: Why it failed, or a caution.
            digest: Of what the encoder was given.
        """
        with interrupts_later():  # no column may be longer than another
            self.positions.append(position)
            self.vectors.append(vector)
            self.status.append(status)
            self.reason.append(reason)
            self.inputs.append(digest)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the columns as arrays: ``vectors`` (n, layers, D) and texts (n,)."""
        return {
            "vectors": np.stack(self.vectors),
            "status": np.array(self.status),
            "reason": np.array(self.reason),
            "inputs": np.array(self.inputs),
        }


def encode_rows(
    encoder: VectorMaker,
    read: RowReader,
    rows: Sequence[tuple[int, Utterance]],
    commit: Callable[[EncodedRows], None],
    advance: Callable[[int], None],
) -> None:
    """Encode rows and commit them in portions; what was encoded is committed even if Ctrl-C comes.

    Args:
        encoder: Makes (B, layers, D) of a batch; its result does not depend on the batch.
        read: Reads one row, see :func:`extract.pipeline.inputs.reader_for`.
        rows: Manifest positions and rows.
        commit: Called with finished rows; when it returns they are safe.
        advance: Called with the number of rows that were finished since the last call.
    """
    pending = EncodedRows()
    committed_at = time.monotonic()
    try:
        for window in _read_ahead(read, rows, encoder.batch_size * WINDOW_BATCHES):
            _encode_window(encoder, window, pending, advance)
            del window  # or it would stay while the next one is waited for
            if time.monotonic() - committed_at >= COMMIT_EVERY_S:
                # Set aside first: what an interrupted commit holds must not be committed again.
                done = pending
                pending = EncodedRows()
                committed_at = time.monotonic()
                commit(done)
    except KeyboardInterrupt:
        if pending.positions:
            with interrupts_later():
                commit(pending)
        raise
    if pending.positions:
        commit(pending)


def _read_ahead(
    read: RowReader, rows: Sequence[tuple[int, Utterance]], size: int
) -> Iterator[list[tuple[int, Input | MediaError]]]:
    """Yield windows of read rows while threads already read the next one."""

    def start(pool: ThreadPoolExecutor, begin: int) -> list[tuple[int, Future[Input | MediaError]]]:
        return [
            (position, pool.submit(_try, read, row)) for position, row in rows[begin : begin + size]
        ]

    with ThreadPoolExecutor(READ_AHEAD) as pool:
        try:
            ahead = start(pool, 0)
            for begin in range(size, len(rows) + size, size):
                current, ahead = ahead, start(pool, begin)
                window = [(position, future.result()) for position, future in current]
                current.clear()
                yield window
                del window
        finally:
            pool.shutdown(cancel_futures=True)


def _try(read: RowReader, row: Utterance) -> Input | MediaError:
    try:
        return read(row)
    except MediaError as error:
        return error


def _encode_window(
    encoder: VectorMaker,
    window: list[tuple[int, Input | MediaError]],
    into: EncodedRows,
    advance: Callable[[int], None],
) -> None:
    from extract.encoders import length_buckets

    nothing = np.full((len(encoder.layers), encoder.dim), np.nan, dtype=np.float32)
    readable: list[tuple[int, Input]] = []
    for position, loaded in window:
        if isinstance(loaded, MediaError):
            into.add(position, nothing, "failed", str(loaded), "")
        else:
            readable.append((position, loaded))
    advance(len(window) - len(readable))
    lengths = [loaded.length for _, loaded in readable]
    for bucket in length_buckets(lengths, encoder.batch_size):
        batch = [readable[number] for number in bucket]
        vectors = _encode_batch(encoder, [loaded.item for _, loaded in batch])
        for (position, loaded), vector in zip(batch, vectors, strict=True):
            if isinstance(vector, str):
                into.add(position, nothing, "failed", vector, loaded.digest)
            elif not np.isfinite(vector).all():
                into.add(position, nothing, "failed", NOT_FINITE, loaded.digest)
            else:
                into.add(position, vector, "ok", loaded.caution, loaded.digest)
        advance(len(batch))


def _encode_batch(encoder: VectorMaker, items: Sequence[Any]) -> list[NDArray[np.float32] | str]:
    """Return a (layers, D) array per item, or why there is none.

    A batch that is too large for the memory, or holds a clip that the encoder refuses, is halved
    until the clip is alone.
    """
    import torch

    try:
        return list(encoder.encode(items))
    except MediaError as error:
        if len(items) == 1:
            return [str(error)]
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        if len(items) == 1:
            return [TOO_LARGE]
    half = len(items) // 2
    return _encode_batch(encoder, items[:half]) + _encode_batch(encoder, items[half:])
