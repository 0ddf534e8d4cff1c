"""The benchmark of many layers runs, at a small size."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from benchmarks.many_layers import make_store, one_cell
from classify.grid.config import GridConfig
from classify.grid.execution import bind_cells
from classify.grid.prepare import prepare


def test_a_cell_is_computed_as_a_worker_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    make_store(store, 60, 3, 8, 5, 3)
    prepared = prepare(GridConfig(store, out, layers="all", layers_as="concat", jobs=1))
    out.mkdir()
    prepared.plan.save(out / "plan.parquet")
    cells = [c for c in prepared.cells if c.classifier == "svm"]
    assert [c.joined[0].name for c in cells] == ["audio[3 layers]"]
    job = out / "spec.pickle"
    job.write_bytes(pickle.dumps(bind_cells(prepared, cells, {}, {})[0].spec))
    one_cell(job, only_load=False)
    assert json.loads(capsys.readouterr().out)["seconds"] > 0
    assert len(list((out / "cells").glob("svm.*.npz"))) == 1
