"""What was read of rows is gone once they are encoded or have failed."""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from embeddings_store.corpus.manifest import Manifest, Utterance
from embeddings_store.errors import MediaError
from extract.pipeline.encode import WINDOW_BATCHES, EncodedRows, encode_rows
from extract.pipeline.inputs import Input, _safely

ROWS, WINDOW = 40, WINDOW_BATCHES


class Encoder:
    layers, dim, batch_size = (0,), 1, 1

    def encode(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.zeros((len(inputs), 1, 1), dtype=np.float32)

    def remarks(self) -> list[str]:
        return []


def rows() -> list[tuple[int, Utterance]]:
    ids = [str(n) for n in range(ROWS)]
    manifest = Manifest.from_columns("m", {"id": ids, "label": ["x", "y"] * (ROWS // 2)})
    return [(n, manifest.row(n)) for n in range(ROWS)]


def test_an_encoded_window_is_gone_while_the_next_one_is_waited_for() -> None:
    pytest.importorskip("torch")
    made: list[weakref.ref[np.ndarray]] = []
    counts: list[int] = []
    lock = threading.Lock()

    def read(row: Utterance) -> Input:
        time.sleep(0.002)
        with lock:
            item = np.zeros(4, dtype=np.float32)
            made.append(weakref.ref(item))
            counts.append(sum(ref() is not None for ref in made))
        return Input(item, 4, "")

    done: list[EncodedRows] = []
    encode_rows(Encoder(), read, rows(), done.append, lambda count: None)
    assert sum(len(part.positions) for part in done) == ROWS
    # During the first window libraries are loaded, so that all of the second one is read.
    assert max(counts[2 * WINDOW :]) <= 1.5 * WINDOW


def test_why_a_row_cannot_be_read_keeps_nothing_of_what_was_read(tmp_path: Path) -> None:
    made: list[weakref.ref[np.ndarray]] = []
    (tmp_path / "a.mp4").write_bytes(b"a film")
    manifest = Manifest.from_columns("m", {"id": ["a"], "video": ["a.mp4"]}, root=tmp_path)

    def read(path: Path) -> Input:
        item = np.zeros(4, dtype=np.float32)
        made.append(weakref.ref(item))
        raise MediaError(f"{path}: no face")

    with pytest.raises(MediaError, match=r"^a\.mp4: no face$") as caught:
        _safely(manifest, "a.mp4", read)
    assert caught.value.__context__ is None and made[0]() is None
