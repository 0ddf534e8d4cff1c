"""The number of threads: measured on the job's rows, said, and without a say in the vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import tiny_encoders
import torch

from embeddings_store.errors import UsageError
from extract.encoders import REGISTRY, load_encoder
from extract.encoders.precision import BATCH_TOLERANCE
from extract.pipeline.threads import choose_threads, computing_with

ROWS = [
    row for row in REGISTRY if row.name in ("bert-base-uncased", "wav2vec2-base", "wavlm-large")
]


class Maker:
    """Takes so many seconds of its own clock per row, by the number of threads."""

    layers, dim, batch_size = (0,), 1, 1

    def __init__(self, row_s: dict[int, float]) -> None:
        self.row_s, self.now_s = row_s, 0.0

    def encode(self, inputs: Sequence[object]) -> np.ndarray:
        self.now_s += self.row_s[torch.get_num_threads()] * len(inputs)
        return np.zeros((len(inputs), 1, 1), dtype=np.float32)

    def remarks(self) -> list[str]:
        return []


@pytest.mark.parametrize(("of_one_s", "chosen"), [(0.9, 4), (0.55, 1), (0.3, 1)])
def test_more_threads_are_taken_where_they_pay(of_one_s, chosen):
    maker = Maker({1: of_one_s, 4: 0.5})
    with computing_with(4):
        threads, sentence = choose_threads(maker, ["a", "b"], lambda: maker.now_s)
        assert torch.get_num_threads() == 4
    assert threads == chosen
    assert f"{of_one_s:.2g} s a row with 1, 0.5 s with 4" in sentence


def test_one_processor_has_no_choice():
    with computing_with(1):
        assert choose_threads(Maker({1: 0.1}), ["a"]) == (1, "")


def test_a_negative_number_is_refused():
    with pytest.raises(UsageError, match="--threads -1"), computing_with(-1):
        raise AssertionError


@pytest.mark.parametrize("precision", BATCH_TOLERANCE)
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_number_makes_no_other_vectors(row, precision, tmp_path):
    folder, items = tiny_encoders.save(row, tmp_path), tiny_encoders.inputs(row)
    encoder = load_encoder(str(folder), layer="all", device="cpu", precision=precision)
    with computing_with(1):
        one = encoder.encode(items)
    with computing_with(3):
        three = encoder.encode(items)
    apart = np.linalg.norm(three - one, axis=-1) / np.linalg.norm(one, axis=-1)
    assert apart.max() < BATCH_TOLERANCE[precision]


def test_measuring_is_no_part_of_what_is_said_of_texts(tmp_path):
    encoder = load_encoder(str(tiny_encoders.save(ROWS[0], tmp_path)), device="cpu")
    encoder.max_tokens = 3
    text = tiny_encoders.inputs(ROWS[0])[0]
    encoder.encode([text] * 3)
    encoder.forget_remarks()
    assert encoder.remarks() == []
    encoder.encode([text])
    assert encoder.remarks()[0].startswith("1 of 1 texts")
