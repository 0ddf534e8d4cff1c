"""Vectors in the tables of other programs: openSMILE's, ARFF, semicolons; in, and plain out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from embeddings_store.arff_files import read_arff
from embeddings_store.commands.embeddings_store import main
from embeddings_store.corpus.column_names import parse_columns
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, ProjectError, UsageError
from embeddings_store.exchange.interchange import ImportJob, export_vectors, import_vectors
from embeddings_store.exchange.plain_tables import export_plain
from embeddings_store.tables import iter_tables, read_table
from embeddings_store.vectors.hdf5 import read_embeddings

if TYPE_CHECKING:
    from conftest import Bench

SMILE = "name;frameTime;F0\n'u2';0.0;2\n'u1';0.0;1\n"
PLACES = "file,start,end,F0\n/x/wav/a.wav,0 days,0 days 00:00:00.6,1\n/x/wav/b.wav,0 days,,2\n"
ARFF = """@relation openSMILE_features
% a comment
@attribute name string
@ATTRIBUTE frameTime numeric
@attribute 'F 0' real
@attribute class numeric

@data
'u2',0.0,2,?
'u1', 0.0 , 1e0 ,?
"""
ROWS = "id,audio,label\nu1,wav/a.wav,sad\nu2,wav/b.wav,joy\n"


def bring(folder: Path, name: str, content: str, rows: str = ROWS, columns: str = "") -> Path:
    """Import one table; returns the file."""
    (folder / name).write_text(content, encoding="utf-8")
    (folder / "rows.csv").write_text(rows)
    [file] = import_vectors(
        ImportJob(
            folder / name,
            folder / "store",
            "none",
            folder / "rows.csv" if rows else None,
            corpus="mine",
            modality="audio",
            columns=parse_columns(columns),
        )
    )
    return file


PARTS = "file,start,end,F0\na.wav,0,1.5,1\na.wav,1.5,3,2\n"
PART_ROWS = "id,audio,start_s,end_s,label\nu2,a.wav,1.5,3,joy\nu1,a.wav,,1.5,sad\n"


@pytest.mark.parametrize(
    ("name", "content", "rows", "columns"),
    [
        ("smile.csv", SMILE, ROWS, ""),
        ("smile.tsv", SMILE.replace(";", "\t").replace("'", ""), ROWS, ""),
        ("smile.arff", ARFF, ROWS, ""),
        ("comma.csv", "id;F0\nu1;1,0\nu2;2,0\n", ROWS, ""),
        ("places.csv", PLACES, ROWS, ""),
        ("clock.csv", PLACES.replace("0 days,", "0 days 00:00:00,"), ROWS, ""),
        ("windows.csv", PLACES.replace("0 days,", "0,").replace("/", "\\"), ROWS, ""),
        ("stems.csv", PLACES.replace("0 days,", "0,"), "id,label\na,sad\nb,joy\n", ""),
        ("parts.csv", PARTS, PART_ROWS, ""),
        ("named.csv", "utt,age,F0\nu1,31,1\nu2,32,2\n", ROWS, "utt=id,age=meta_age"),
        ("rows.csv.csv", "id,F0\nu1,1\nu2,2\n", "uid,y\nu2,joy\nu1,sad\n", "uid=id,y=label"),
    ],
)
def test_every_table_brings_its_vectors_to_their_rows(
    tmp_path: Path, name: str, content: str, rows: str, columns: str
) -> None:
    file = bring(tmp_path, name, content, rows, columns)
    manifest = Manifest.load(tmp_path / "store" / "mine")
    of_label = dict(zip(manifest.column("label"), read_embeddings(file).vectors, strict=True))
    assert {label: vector.tolist() for label, vector in of_label.items()} == {
        "sad": [1.0],
        "joy": [2.0],
    }


def test_places_without_rows_are_ids_themselves(tmp_path: Path) -> None:
    bring(tmp_path, "parts.csv", PARTS, "")
    table = Manifest.load(tmp_path / "store" / "mine").table
    assert table["id"].tolist() == ["a.wav:0-1.5", "a.wav:1.5-3"]
    assert table[["audio", "start_s", "end_s"]].to_numpy().tolist() == [
        ["a.wav", 0, 1.5],
        ["a.wav", 1.5, 3],
    ]


TWO_ROWS = "id,audio\nu1,x/a.wav\nu2,y/a.wav\n"


@pytest.mark.parametrize(
    ("content", "rows", "message"),
    [
        (SMILE + "'u1';0.1;3\n", ROWS, "2 rows of 'u1'.*functionals instead of frames"),
        (PARTS + "a.wav,0,1.5,3\n", "", "'a.wav:0-1.5' is there more than once"),
        (PARTS, "id,audio\nu1,a.wav\n", "2 of 2 rows belong to no utterance or to several"),
        ("file,start,end,F0\na.wav,0,1,1\n", TWO_ROWS, "1 of 1 rows belong .*'a.wav' from 0 to 1"),
        ("file,start,end,F0\na.wav,0,soon,1\n", ROWS, "column 'end_s' holds 'soon'; expected sec"),
        (
            "id,emotion,F0,sex\nu1,sad,1,m\n",
            ROWS,
            "columns 'emotion', 'sex' do not hold .* --columns emotion=label,sex=meta_sex",
        ),
        (
            "file,emotion,F0\nu1,sad,1\n",
            ROWS,
            "needs a column 'id'.* --columns file=audio,file=id,emotion=label",
        ),
    ],
)
def test_what_belongs_to_no_row_is_refused(
    tmp_path: Path, content: str, rows: str, message: str
) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        bring(tmp_path, "x.csv", content, rows)
    assert "\n" not in str(caught.value)


def test_a_column_to_rename_must_be_somewhere(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no column 'emotoin'; did you mean 'emotion'"):
        bring(tmp_path, "x.csv", "id,emotion,F0\nu1,sad,1\n", ROWS, "emotoin=label")


def test_a_label_that_is_kept_as_metadata_is_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text("id,F0\nu1,1\n")
    (tmp_path / "rows.csv").write_text("id,emotion\nu1,sad\n")
    options = ["--rows", str(tmp_path / "rows.csv"), "--modality", "audio", "--seen", "none"]
    assert main(["import", str(tmp_path / "x.csv"), *options, "--store", str(tmp_path / "s")]) == 0
    assert "note: column 'emotion' is kept as meta_emotion; --columns emotion=label makes" in (
        capsys.readouterr().err
    )


def test_real_tables_of_opensmile_come_in(tmp_path: Path, shared: Path) -> None:
    cases, vectors = shared / "cases" / "opensmile", {}
    for name in ("smile.csv", "egemaps.csv"):
        job = ImportJob(
            cases / name, tmp_path, "none", cases / "m.csv", Path(name).stem, modality="audio"
        )
        [file] = import_vectors(job)
        vectors[name] = read_embeddings(file).vectors
    assert vectors["smile.csv"].shape == (24, 5)
    assert vectors["egemaps.csv"].shape == (24, 88)
    assert np.allclose(vectors["smile.csv"], vectors["egemaps.csv"][:, :5], atol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,F0\nu1,1\n", "line 1 is no header of an ARFF table"),
        ("@relation x\n", "is no ARFF table: it has no @attribute and @data"),
        ("@attribute\n@data\n", "'@attribute' is no attribute; write @attribute NAME KIND"),
        ("@attribute a relational\n@data\n", "column 'a' is of the kind 'relational'"),
        ("@attribute a string\n@attribute a real\n@data\n", "the column 'a' is there 2 times"),
        ("@attribute a string\n@data\n'x\n", "line 3: a quotation mark is not closed"),
        ("@attribute a string\n@data\nx,y\n", "line 3 has 2 cells, the header declares 1"),
        ("@attribute a string\n@data\n{0 x}\n", "line 3 is a sparse row"),
        ("@attribute a {x,y}\n@data\nz\n", "'z' is none of the values that column 'a' declares"),
        (
            "@attribute a real\n@data\n1\none\n",
            "column 'a' holds 'one', which is no number",
        ),
        (
            "@attribute a real\n@data\n'1,5'\n",
            "column 'a' holds '1,5', which is no number",
        ),
        (
            "@attribute a real\n@data\n1_0\n",
            "column 'a' holds '1_0', which is no number",
        ),
    ],
)
def test_what_is_no_arff_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.arff"
    path.write_text(content)
    with pytest.raises(ManifestError, match=message) as caught:
        read_arff(path, ["a"] if "real" in content else ())
    assert str(caught.value).startswith(f"{path}: ")
    path.write_bytes(b"@relation \xff\n")
    with pytest.raises(ManifestError, match="is not UTF-8"):
        read_arff(path)


def test_cells_of_arff_are_strings_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "rows.arff"
    path.write_text(
        "@relation r\n@attribute id string\n@attribute \"a b\" {x,'y z'}\n@attribute n integer\n"
        "@data\n'it\\'s, 1',x,007\n\"2\\n\",'y z',?\n'?', ? ,1\n3,x,1e3\n",
        encoding="utf-16",
    )
    cells = [["it's, 1", "x", "007"], ["2\n", "y z", ""], ["?", "", "1"], ["3", "x", "1e3"]]
    assert read_table(path).to_numpy().tolist() == cells
    pieces = list(iter_tables(path, 3, ["n"]))
    assert [piece["n"].tolist() for piece in pieces] == [["007", "", "1"], ["1e3"]]


@pytest.mark.parametrize("suffix", [".arff", ".csv"])
def test_plain_tables_hold_vectors_and_labels_and_come_back(
    bench: Bench, tmp_path: Path, suffix: str
) -> None:
    ref = bench.put("audio", missing=(2,), failed=(3,), seen="fit")
    made, target = read_embeddings(bench.path(ref)), tmp_path / f"out{suffix}"
    plain = export_plain(bench.path(ref), target)
    assert plain.rows == 10
    assert "2 of 12 rows have no vector" in plain.cautions[0]
    assert "the encoder has seen 10 of these rows" in plain.cautions[1]
    table = read_table(target)
    assert list(table)[:2] == ["id", "speaker"]
    assert list(table)[-2:] == ["v3", "label"]
    job = ImportJob(target, tmp_path / "again", "unknown", modality="audio")
    [file] = import_vectors(job)
    again = read_embeddings(file)
    assert again.ids.tolist() == made.ids[made.ok].tolist()
    assert np.array_equal(again.vectors, made.vectors[made.ok])
    labels = Manifest.load(tmp_path / "again" / "out").column("label")
    assert labels.tolist() == bench.manifest.column("label")[made.ok].tolist()


def test_the_command_writes_plain_tables(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = str(bench.path(bench.put("audio", missing=(2,)))), tmp_path / "out.arff"
    assert main(["export", source, str(target)]) == 0
    assert "1 of 12 rows have no vector" in capsys.readouterr().err
    assert main(["export", source, str(tmp_path / "out.csv"), "--plain"]) == 0
    assert "status" not in pd.read_csv(tmp_path / "out.csv")
    assert main(["export", source, str(tmp_path / "out.npz"), "--plain"]) == 2
    assert export_vectors(Path(source), target) == 11


def test_odd_words_survive_arff(bench: Bench, tmp_path: Path) -> None:
    from embeddings_store.arff_files import arff_text

    words = ["it's", "a\\b", "two\nlines", "{x}", "?", 'a "b"', "%", ""]
    path = tmp_path / "x.arff"
    path.write_text(arff_text("r'", pd.DataFrame({"a 'b'": words}), {}), encoding="utf-8")
    assert read_arff(path)["a 'b'"].tolist() == words


def test_a_corpus_that_is_not_there_leaves_the_labels_out(bench: Bench, tmp_path: Path) -> None:
    source = bench.path(bench.put("audio"))
    (source.parents[2] / "corpus.json").unlink(missing_ok=True)
    plain = export_plain(source, tmp_path / "out.csv")
    assert "no corpus beside" in plain.cautions[0]
    assert "label" not in read_table(tmp_path / "out.csv")
    with pytest.raises(ProjectError):
        export_plain(tmp_path / "none.h5", tmp_path / "out.csv")
