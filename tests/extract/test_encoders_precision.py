"""Encoders that multiply in bf16 and int8: near float32, the same in any batch, told apart."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_encoders
import torch

from embeddings_store.errors import UnknownNameError, UsageError
from embeddings_store.provenance import fingerprint
from extract.encoders import REGISTRY, load_encoder, precision
from extract.encoders.precision import BATCH_TOLERANCE, Int8Linear, lower_precision, slower_note
from extract.encoders.settings import PRECISIONS

CPU = torch.device("cpu")
# One row of the registry per way in which a model computes.
ROWS = list({(row.architecture, row.padding_harmless): row for row in REGISTRY}.values())


@pytest.fixture(scope="module", params=ROWS, ids=[row.name for row in ROWS])
def row(request):
    return request.param


@pytest.fixture(scope="module")
def folder(row, tmp_path_factory):
    return tiny_encoders.save(row, tmp_path_factory.mktemp("models"))


def load(folder, name, **options):
    return load_encoder(str(folder), layer="all", device="cpu", precision=name, **options)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    length = np.linalg.norm(expected, axis=-1)
    return float(np.max(np.linalg.norm(found - expected, axis=-1) / length))


@pytest.mark.parametrize("name", ["bf16", "int8"])
def test_close_to_float32_and_the_same_in_any_batch(row, folder, name):
    items = tiny_encoders.inputs(row)
    exact = load(folder, "float32", batch_size=8).encode(items)
    low = load(folder, name, batch_size=8)
    vectors = low.encode(items)
    alone = np.concatenate([low.encode([item]) for item in items])
    assert vectors.dtype == np.float32
    assert relative(vectors, alone) < BATCH_TOLERANCE[name]
    # Random weights are the worst case: nothing was trained to be robust against rounding.
    assert 0 < relative(vectors, exact) < 0.05


def test_the_precision_is_a_setting_and_float32_keeps_its_fingerprint(tmp_path):
    folder = tiny_encoders.save(REGISTRY[0], tmp_path)
    usual = load_encoder(str(folder), device="cpu")
    assert usual.settings["dtype"] == "float32"
    all_settings = [load(folder, name).settings for name in PRECISIONS]
    assert all_settings[0] == usual.settings
    assert len({fingerprint(settings) for settings in all_settings}) == 3
    digests = {load(folder, name).weights_digest for name in PRECISIONS}
    assert digests == {usual.weights_digest}


def test_int8_is_what_its_scales_say_by_hand():
    torch.manual_seed(0)
    layer = torch.nn.Linear(24, 5)
    states = torch.randn(2, 3, 24)
    states[0, 0] = 0.0
    rows = states.reshape(-1, 24).double().numpy()
    weight = layer.weight.detach().double().numpy()
    row_scales = np.maximum(np.abs(rows).max(1, keepdims=True), 1e-12) / 127
    weight_scales = np.abs(weight).max(1, keepdims=True) / 127
    products = np.rint(rows / row_scales) @ np.rint(weight / weight_scales).T
    expected = products * row_scales * weight_scales.T + layer.bias.detach().double().numpy()
    with torch.inference_mode():
        found = Int8Linear(layer)(states)
    np.testing.assert_allclose(found.reshape(-1, 5).numpy(), expected, atol=1e-5)


def test_what_is_not_finite_stays_so():
    states = torch.ones(2, 8)
    states[0, 3] = float("nan")
    with torch.inference_mode():
        found = Int8Linear(torch.nn.Linear(8, 4))(states)
    assert not found[0].isfinite().any() and found[1].isfinite().all()


def test_a_processor_whose_whole_numbers_overflow_is_refused(monkeypatch):
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: (a.int() @ b.int()).clamp(-32768, 32767))
    with pytest.raises(UsageError, match="overflow on this processor"):
        lower_precision(torch.nn.Linear(2, 2), "int8", CPU)


def test_other_devices_and_names_are_refused():
    with pytest.raises(UsageError, match="--device cpu"):
        lower_precision(torch.nn.Linear(2, 2), "bf16", torch.device("cuda"))
    with pytest.raises(UnknownNameError, match="int4"):
        lower_precision(torch.nn.Linear(2, 2), "int4", CPU)


def test_features_have_one_precision():
    with pytest.raises(UsageError, match="leave --precision bf16 out"):
        load_encoder("mfcc", precision="bf16")


def test_a_processor_without_the_instructions_is_told_of(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert "no bf16 instructions" in slower_note("bf16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert slower_note("bf16") == "" and "no int8" in slower_note("int8")
    assert set(precision.BATCH_TOLERANCE) == set(PRECISIONS)
