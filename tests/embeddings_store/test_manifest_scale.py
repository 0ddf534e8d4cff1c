"""Very long manifests are read and checked in memory that grows with what they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmarks.manifest_scale import READS, measure, write_rows
from embeddings_store.corpus import manifest as module
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError

ROWS = 200_000


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_rows(tmp_path_factory.mktemp("rows"), ROWS)


@pytest.mark.parametrize("read", [name for name in READS if name.startswith("Manifest")])
def test_memory_grows_with_what_the_table_holds(read: str, tables: tuple[Path, Path]) -> None:
    csv, table = tables
    measured = measure(READS[read].format(csv=str(csv), parquet=str(table)))
    assert measured["rows"] == ROWS
    # Columns of Arrow hold about what the CSV has in bytes; the rest is what is being decoded and
    # what finds an id twice.
    assert measured["peak_gb"] < 5 * csv.stat().st_size / 1e9 + 0.05


def test_one_cell_of_a_megabyte_costs_a_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    texts = ["yes"] * 50_000
    texts[7] = "no " * 350_000
    parquet.write_table(pa.table({"id": [f"u{i}" for i in range(len(texts))], "text": texts}), path)
    measured = measure(
        f"t = Manifest.read(Path({str(path)!r})); assert len(t.column('text')[7]) == 1_050_000; "
        "assert t.given('text').all(); assert t.row(7).text.endswith('no '); t.digest"
    )
    assert measured["peak_gb"] < 0.1, "as an array of fixed width this is 210 GB"


def test_columns_are_the_same_however_they_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest.from_columns(
        "m", {"id": ["a", "b", "c"], "text": ["", "Übung 学", "x"], "speaker": ["s2", "s1", "s2"]}
    )
    fixed = {name: manifest.column(name) for name in ("text", "speaker")}
    monkeypatch.setattr(module, "FIXED_WIDTH_BYTES", 0)
    for name, cells in fixed.items():
        loose = manifest.column(name)
        assert (cells.dtype.kind, loose.dtype.kind) == ("U", "O")
        assert cells.tolist() == loose.tolist() and np.array_equal(cells == "s2", loose == "s2")
        assert np.unique(cells).tolist() == np.unique(loose).tolist()
    assert manifest.given("text").tolist() == [False, True, True]
    assert manifest.ids.dtype.kind == "U", "ids are written into files of fixed width"


def test_parquet_keeps_pandas_index_dictionaries_and_chunks(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    frame = pd.DataFrame(
        {
            "text": ["a", "b", None],
            "label": pd.Categorical(["x", "y", "x"]),
            "meta_n": [1, 2, 3],
            "meta_when": pd.to_datetime(["2026-01-01"] * 3),
        },
        index=pd.Index(["u1", "u2", "u3"], name="id"),
    )
    frame.reset_index().to_parquet(path, row_group_size=2)
    manifest = Manifest.read(path)
    assert manifest.ids.tolist() == ["u1", "u2", "u3"] and manifest.column("text").tolist() == [
        "a",
        "b",
        "",
    ]
    assert manifest.labels.classes == ("x", "y") and manifest.table["meta_n"].dtype == np.int64


def test_a_column_that_stands_twice_in_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(
        pa.Table.from_arrays(
            [pa.array(["a"]), pa.array(["x"]), pa.array(["y"])], ["id", "text", "text"]
        ),
        path,
    )
    with pytest.raises(ManifestError, match="the column 'text' is there 2 times"):
        Manifest.read(path)


@pytest.mark.slow
@pytest.mark.parametrize("read", ["Manifest.read csv", "Manifest.read parquet"])
def test_ten_million_rows(read: str, tmp_path: Path) -> None:
    csv, table = write_rows(tmp_path, 10_000_000)
    measured = measure(READS[read].format(csv=str(csv), parquet=str(table)))
    assert measured["rows"] == 10_000_000 and measured["peak_gb"] < 6.0
