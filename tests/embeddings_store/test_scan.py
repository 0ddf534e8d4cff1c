"""A scan finds what reading as a whole finds, however it is cut, and holds no text."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from pyarrow import parquet

from benchmarks.manifest_scale import READS, measure, write_rows
from embeddings_store.commands.embeddings_store import main
from embeddings_store.corpus import duplicate_ids
from embeddings_store.corpus import scan as module
from embeddings_store.corpus.columns import PROMISES, UNIQUE, normalise
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.scan import Scan, scan_manifest
from embeddings_store.errors import ManifestError, ProjectError, UsageError

# Cells of each column, sound ones first.
CELLS = {
    "id": ["a", "b", "c", "d", "e", "f", "g", "h", "", "é", "n\0l"],
    "text": ["yes", "", "  ", "it\u00e2\u20ac\u2122s", 'a, "b"\nc', "\0"],
    "audio": ["a.wav", "", "../a.wav", "C:a.wav", "x/b.wav"],
    "label": ["sad", "joy", "", "Sad ", "j\0"],
    "speaker": ["s1", "s2", ""],
    "start_s": ["", "0", "1.5", "-1", "soon", "inf"],
    "end_s": ["", "2", "100", "1", "nan", "inf"],
    "meta_x": ["1", "", "old"],
}
TABLES = (
    some.lists(some.sampled_from(list(CELLS)[1:]), unique=True)
    .flatmap(
        lambda names: some.lists(
            some.fixed_dictionaries(
                {name: some.sampled_from(CELLS[name]) for name in ["id", *names]}
            ),
            min_size=1,
            max_size=9,
        )
    )
    .map(pd.DataFrame)
)


def refusal(path: Path) -> tuple[str, str] | None:
    """What reading as a whole says."""
    try:
        Manifest.read(path)
    except ProjectError as error:
        return type(error).__name__, str(error)
    return None


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=TABLES, rows=some.integers(1, 10))
def test_a_scan_says_what_reading_says(
    table: pd.DataFrame, rows: int, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)
    scan = scan_manifest(path, batch_rows=rows)
    first = scan.problems[0] if scan.problems else None
    assert refusal(path) == (first and (first.error.__name__, f"{path}: {first.sentence}"))
    # Each promise by itself, on the table as a whole.
    numbers = {
        name: table[name].mask(table[name].isin(["soon", "nan"]), "")
        for name in ("start_s", "end_s")
        if name in table
    }
    whole = normalise(table.assign(**numbers))
    expected = {
        promise.name: np.flatnonzero(
            promise.broken(whole) & ((promise is not UNIQUE) | (whole["id"] != ""))
        )
        + 1
        for promise in PROMISES
    }
    found = {problem.name: problem for problem in scan.problems}
    for name, broken in expected.items():
        assert (found[name].rows if name in found else ()) == tuple(broken)
        assert (found[name].count if name in found else 0) == len(broken)
    if "label" in table:
        assert scan.words["label"].counts == Counter(label for label in whole["label"] if label)
    assert scan.to_dict() == scan_manifest(path).to_dict()
    json.dumps(scan.to_dict())


def parted(path: Path, sizes: tuple[int, ...] = (1, 2, 3, 7, 100)) -> Scan:
    scans = [scan_manifest(path, batch_rows=rows).to_dict() for rows in sizes]
    assert all(scan == scans[0] for scan in scans)
    return scan_manifest(path)


def test_what_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "my corpus.csv"
    path.write_text(
        "id,text,label,speaker,start_s,end_s\n"
        + "".join(
            f"u{i},{'oh' if i % 3 else ''},{['joy', 'Joy ', 'sad'][i % 3]},s{i % 5},{i},"
            f"{i + 0.1 if i else 70}\n"
            for i in range(20)
        )
    )
    scan = parted(path)
    assert (scan.name, scan.rows, scan.problems) == ("my_corpus", 20, ())
    assert scan.given["text"] == 13 and scan.given["audio"] == 0
    assert scan.words["speaker"].to_dict(2) == {
        "distinct": 5,
        "complete": True,
        "common": {"s0": 4, "s1": 4},
    }
    assert (scan.spans.rows, scan.spans.total_s, scan.spans.shortest_s, scan.spans.longest_s) == (
        20,
        71.9,
        0.1,
        70.0,
    )
    assert [(r.name, r.count, r.rows[0]) for r in scan.remarks] == [
        ("no words", 7, 1),
        ("longer than 60 s", 1, 1),
    ]
    assert scan.to_dict()["labels_alike"] == [["Joy ", "joy"]]


def test_ids_that_stand_twice_are_found_across_pieces(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\n" + "".join(f"u{i % 97},yes\n" for i in range(200)))
    problem = parted(path).problems[0]
    assert problem.count == 103 and len(problem.rows) == duplicate_ids.KEPT
    assert problem.rows[:2] == (98, 99) and problem.ids[:2] == ("u0", "u1")
    assert refusal(path) == ("ManifestError", f"{path}: {problem.sentence}")


def test_ids_of_the_same_hash_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        duplicate_ids, "_hashes", lambda ids: (ids.str.len() % 2).to_numpy(dtype=np.uint64)
    )
    path = tmp_path / "rows.csv"
    path.write_text("id,text\n" + "".join(f"u{i},yes\n" for i in range(150)))
    assert parted(path).problems == ()
    with path.open("a") as lines:
        lines.write("u7,no\nu149,no\n")
    problem = parted(path).problems[0]
    assert (problem.count, problem.rows, problem.ids) == (2, (151, 152), ("u7", "u149"))
    assert "first 'u7' in rows 8 and 151" in problem.sentence


def test_too_many_words_are_bounded_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORDS_ROOM", 10 * (module.WORD_COST + 3))
    path = tmp_path / "rows.csv"
    path.write_text("id,text,speaker\n" + "".join(f"u{i},yes,s{10 + i % 40}\n" for i in range(120)))
    speakers = parted(path).words["speaker"]
    assert not speakers.complete and speakers.counts == {f"s{i}": 3 for i in range(10, 20)}


def test_whole_numbers_with_gaps_read_as_pandas_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = pa.table(
        {
            "id": ["a", "b", "c"],
            "text": ["x"] * 3,
            "label": pa.array([1, 2, None], pa.int64()),
            "session": pa.array(["p", "q", "p"]).dictionary_encode(),
            "meta_when": pa.array([1, 2, 3], pa.timestamp("s")),
        }
    )
    parquet.write_table(rows, path, row_group_size=1)
    assert (
        tuple(parted(path).words["label"].counts)
        == Manifest.read(path).labels.classes
        == ("1.0", "2.0")
    )
    assert parted(path).words["session"].counts == {"p": 2, "q": 1}


@pytest.mark.parametrize(
    "times",
    [
        pa.array([1, 2, None], pa.timestamp("s")),
        pa.array([True, None, False]),
        pa.array([[1.0]] * 3),
        pa.array(["1", "", "later"]),
    ],
)
def test_times_are_numbers(times: pa.Array, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(
        pa.table({"id": ["a", "b", "c"], "text": ["x"] * 3, "start_s": times}), path
    )
    problem = parted(path).problems[0]
    assert problem.name == "no number in 'start_s'"
    assert refusal(path) == ("ManifestError", f"{path}: {problem.sentence}")


def test_a_cell_longer_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    texts = ["yes"] * 300_000
    texts[290_000] = "no " * 700_000
    pd.DataFrame({"id": [f"u{i}" for i in range(len(texts))], "text": texts}).to_csv(
        path, index=False
    )
    scan = scan_manifest(path)
    assert scan.rows == scan.given["text"] == len(texts) and not scan.problems
    with path.open("a") as lines:
        lines.write("u1,a,b\n")
    with pytest.raises(ManifestError, match="row 300002 has 3 fields, the header has 2"):
        scan_manifest(path)


def test_what_is_no_manifest_is_refused_in_the_same_words(tmp_path: Path) -> None:
    for name, content in {
        "a.csv": b"id,txt\nu,a\n",
        "b.csv": b"text\na\n",
        "c.csv": b"id,text\nu1,a\nu2,b,c\n",
        "d.csv": b'id,text\nu1,"a\nu2,b\n',
        "e.csv": b"id,text\nu1,\xe9\n",
        "f.parquet": b"PAR1",
        "g.csv": b"id,text\n",
        "h.csv": b"id,text,label\nu,a,b\n",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        refused = refusal(path)
        try:
            problem = scan_manifest(path).problems[0]
            assert refused == (problem.error.__name__, f"{path}: {problem.sentence}")
        except ManifestError as error:
            assert refused == ("ManifestError", str(error))
    with pytest.raises(ManifestError, match=r"none.csv: no such file"):
        scan_manifest(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="batch_rows 0"):
        scan_manifest(path, batch_rows=0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,text,label\nu1,a,x\nu2,,y\n")
    assert main(["check", str(path)]) == 0
    assert (
        "rows: 2 rows; id 2, label 2, text 1\n  label: 2 different: x 1, y 1\n  remark: no words: "
        "1 x, rows 2" in (capsys.readouterr().out)
    )
    path.write_text("id,text,audio\nu1,a,../b\nu1,b,c\n")
    assert main(["check", str(path), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert [p["name"] for p in told["problems"]] == ["duplicate id", "unsafe path in 'audio'"]
    assert main(["check", str(tmp_path / "none.csv")]) == 3


def test_no_torch_is_needed(tmp_path: Path) -> None:
    code = "import sys, embeddings_store.corpus.scan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


LONG_ROWS, LONG_TEXT = 300_000, 1500


@pytest.fixture(scope="module")
def long_tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """300,000 transcripts of 1,500 letters: 450 MB."""
    folder = tmp_path_factory.mktemp("long")
    found = {"csv": folder / "rows.csv", "parquet": folder / "rows.parquet"}
    schema = pa.schema({"id": pa.string(), "text": pa.string()})
    with (
        pyarrow.csv.CSVWriter(found["csv"], schema) as lines,
        parquet.ParquetWriter(found["parquet"], schema) as columns,
    ):
        for start in range(0, LONG_ROWS, 10_000):
            batch = pa.table(
                {
                    "id": [f"u{i}" for i in range(start, start + 10_000)],
                    "text": [f"{i} ".ljust(LONG_TEXT, "a") for i in range(start, start + 10_000)],
                },
                schema,
            )
            lines.write_table(batch)
            columns.write_table(batch, row_group_size=10_000_000)
    return found


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.telling
def test_long_texts_are_not_held(kind: str, long_tables: dict[str, Path]) -> None:
    paths = {name: str(path) for name, path in long_tables.items()}
    measured = measure(READS[f"scan_manifest {kind}"].format(**paths))
    assert measured["rows"] == LONG_ROWS and measured["peak_gb"] < 0.25
    assert LONG_ROWS * LONG_TEXT / 1e9 > 0.4, "as a whole these texts alone take more"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_ten_million_rows(kind: str, tmp_path: Path) -> None:
    csv, table = write_rows(tmp_path, 10_000_000)
    measured = measure(READS[f"scan_manifest {kind}"].format(csv=str(csv), parquet=str(table)))
    assert measured["rows"] == 10_000_000 and measured["peak_gb"] < 0.4
