"""Tables written by hand: read strictly, and refused with the row that is wrong."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import pandas as pd
import pytest

from embeddings_store.corpus.column_names import parse_columns
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.scan import scan_manifest
from embeddings_store.errors import LabelError, ManifestError, UsageError
from embeddings_store.tables import iter_tables, read_table

REFUSED = {
    "empty": (b"", "is empty; a table starts with a row of column names"),
    "blank lines": (b"\n\n", "is empty"),
    "long first row": (
        b"id,label,text\nu1,x,a,b\n",
        r"row 2 has 4 fields, the header has 3 \('u1,x,a,b'\)",
    ),
    "long later row": (b"id,text\nu1,a\nu2,b,c\nu3,d\n", r"row 3 has 3 fields, the header has 2"),
    "short row": (b"id,label,text\nu1,x,a\nu2,x\n", r"row 3 has 2 fields, the header has 3"),
    "every row longer": (b"id,text\nu1,a,\nu2,b,\n", r"row 2 has 3 fields"),
    "column twice": (b"id,text,text\nu1,a,b\n", "the column 'text' is there 2 times"),
    "open quote": (b'id,text\nu1,"a\nu2,b\n', "a quotation mark is not closed"),
    "Latin-1 cell": (
        "id,text\nu1,a\nu2,\xe9\n".encode("latin-1"),
        r"is not UTF-8 \(.* at byte 16, line 3\); save it as UTF-8",
    ),
    "Latin-1 header": ("id,t\xe9xt\nu1,a\n".encode("latin-1"), "is not UTF-8"),
    "torn UTF-16": ("id,text\nu1,a\n".encode("utf-16")[:-1], "cannot be read as text in UTF-16"),
    "UTF-16, half a pair": (
        "id,text\n".encode("utf-16") + b"\0\xd8a\0,\0b\0\n\0",
        "cannot be read as text in UTF-16",
    ),
    "UTF-16, open quote": ('id,text\nu1,"a\n'.encode("utf-16"), "a quotation mark is not closed"),
    "semicolon in a cell": (b"id;text\nu1;a;b\n", "put cells that hold a semicolon into double"),
    "tab in a cell": (b"id\ttext\nu1\ta\tb\n", "put cells that hold a tab into double quotes"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0", "is not UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table_is_refused(tmp_path: Path, case: str) -> None:
    content, message = REFUSED[case]
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("\ufeffid,text\nu1,a\n", [("u1", "a")]),
        ("id,text\r\nu1,a\r\nu2,b", [("u1", "a"), ("u2", "b")]),
        ("id,text\n\nu1,a\n\n", [("u1", "a")]),
        ('id,text\nu1,"a, ""b""\nc"\n', [("u1", 'a, "b"\nc')]),
        ('id,text\nu1,a 5" disk\n', [("u1", 'a 5" disk')]),
        (
            "id,text\nNA,nan\nnull,None\n007,1e3\n",
            [("NA", "nan"), ("null", "None"), ("007", "1e3")],
        ),
    ],
)
def test_cells_are_strings_as_they_stand(
    tmp_path: Path, content: str, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content.encode())
    assert list(read_table(path).itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_every_encoding_and_separator_gives_the_same_cells(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    path = tmp_path / "rows.csv"
    rows = [["id", "te;xt"], ["ü1", 'a,b;c\td "e"'], ["学2", "two\nlines"]]
    with path.open("w", encoding=encoding, newline="") as handle:
        csv.writer(handle, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
    assert read_table(path).to_numpy().tolist() == rows[1:]
    [piece] = iter_tables(path, 10, ["te;xt"])
    assert piece["te;xt"].tolist() == [row[1] for row in rows[1:]]


def test_the_first_separator_of_the_header_counts(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id;a,b\nu1;1,5\n")
    assert read_table(path).to_dict("list") == {"id": ["u1"], "a,b": ["1,5"]}


@pytest.mark.parametrize("suffix", [".parquet", ".pq", ".PARQUET"])
def test_parquet_is_read_and_damage_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    pd.DataFrame({"id": ["ü"], "text": ["a"]}).to_parquet(path)
    assert Manifest.read(path).ids.tolist() == ["ü"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ManifestError, match="cannot be read as a Parquet table"):
        read_table(path)
    path.write_bytes(os.urandom(200))
    with pytest.raises(ManifestError, match="cannot be read as a Parquet table"):
        read_table(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"none.csv: no such file"):
        Manifest.read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (
            "id,txt\nu1,a\n",
            ManifestError,
            r"unknown column 'txt' \(text\?\); say what they are with --columns txt=text, or",
        ),
        (
            "File,emotion,Age,y\na,b,3,c\n",
            ManifestError,
            r"unknown columns 'File' \(audio and id\?\), 'emotion' \(label\?\), 'Age', 'y'; .* "
            "--columns File=audio,File=id,emotion=label,Age=meta_Age,y=meta_y, or rename",
        ),
        (
            ",".join(["id", *(f"v{i}" for i in range(88))]) + "\n",
            ManifestError,
            "'v11' and 76 more; .*v12=meta_v12,..., or .*come in with embeddings-store import",
        ),
        (
            ",".join(["file", *(f"v{i}" for i in range(88)), "emotion"]) + "\n",
            ManifestError,
            "with --columns file=audio,file=id,emotion=label, or",
        ),
        (
            "audio,label\na,b\n",
            ManifestError,
            "needs a column 'id'; got audio, label; --columns audio=audio,audio=id takes its paths",
        ),
        ("id,label\nu1,a\n", ManifestError, "needs a column text, audio or video"),
        (
            "id,text\nu1,\n",
            ManifestError,
            "needs a column text, audio or video with something in it",
        ),
        ("id,text\n", ManifestError, "needs a column text, audio or video with something in it"),
        ("text\na\n", ManifestError, "rows.csv: a manifest needs a column 'id'"),
        (
            "id,text\nu1,a\nu1,b\n",
            ManifestError,
            "rows.csv: 1 duplicate ids, first 'u1' in rows 1 and 2",
        ),
        ("id,text\nu1\0,a\n", ManifestError, "rows.csv: column 'id' holds a NUL character"),
        ("id,text\nu1,a\0b\n", ManifestError, "rows.csv: column 'text' holds a NUL character"),
        ("id,audio\nu1,../a.wav\n", ManifestError, "rows.csv: column 'audio' holds '../a.wav'"),
        ("id,text,label\nu1,a,sad\n", LabelError, "rows.csv: label set 'rows' needs two or more"),
    ],
)
def test_a_manifest_file_names_itself_in_its_errors(
    tmp_path: Path, content: str, kind: type[Exception], message: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(kind, match=message):
        Manifest.read(path)


def test_a_manifest_file_is_read_with_its_root_and_protocol(tmp_path: Path) -> None:
    path = tmp_path / "my corpus.csv"
    path.write_text(
        "id,audio,label,session,start_s,meta_age\nu1,a.wav,x,1,,31\nu2,b.wav,y,2,0.5,\nu3,c.wav,,3,1,\n"
    )
    manifest = Manifest.read(path)
    assert (manifest.name, manifest.root, manifest.protocol) == (
        "my_corpus",
        tmp_path.resolve(),
        "leave-one-session-out",
    )
    assert manifest.codes().tolist() == [0, 1, -1]
    assert manifest.table["meta_age"].tolist() == ["31", "", ""]
    assert Manifest.read(path, "other", "session-kfold:3").protocol == "session-kfold:3"


LISTED = "file,emotion,label\na.wav,sad,5\nb.wav,joy,3\n"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("emotion", "--columns 'emotion': write OLD=NEW"),
        ("emotion=lable", "emotion=lable: a manifest has no column 'lable'; did you mean 'label'"),
        ("emotoin=text", "there is no column 'emotoin'; did you mean 'emotion'"),
        (
            "emotion=label",
            "both 'label' and 'emotion' would be the column 'label'.*label=meta_label",
        ),
    ],
)
def test_columns_that_cannot_be_renamed_are_refused(
    tmp_path: Path, columns: str, message: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(LISTED)
    with pytest.raises(UsageError, match=message):
        Manifest.read(path, columns=parse_columns(columns))


def test_columns_are_renamed_whole_and_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(LISTED)
    columns = parse_columns("file=audio,file=id,emotion=label,label=meta_stars")
    table = Manifest.read(path, columns=columns).table
    assert table[["id", "audio"]].to_numpy().tolist() == [["a.wav"] * 2, ["b.wav"] * 2]
    assert table["label"].tolist() == ["sad", "joy"]
    assert table["meta_stars"].tolist() == ["5", "3"]
    scan = scan_manifest(path, batch_rows=1, columns=columns)
    assert (scan.rows, scan.problems, scan.given["label"]) == (2, (), 2)
    path.write_text(LISTED + "a.wav,sad,5\n")
    assert scan_manifest(path, columns=columns).problems[0].ids == ("a.wav",)


def test_twenty_thousand_columns_are_looked_at_in_no_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(",".join(f"v{i}" for i in range(20_000)) + "\n")
    before = time.process_time()
    with pytest.raises(ManifestError, match="and 19988 more"):
        Manifest.read(path)
    assert time.process_time() - before < 5


def test_decimal_commas_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id;text;meta_age;meta_no\nu1;a;23,5;1\nu2;b;31;2\n")
    assert Manifest.read(path).notes == (
        "column 'meta_age' holds numbers with a decimal comma, which count as words; write points",
    )
    path.write_text("id;text;end_s\nu1;a;0,5\n")
    with pytest.raises(ManifestError, match=r"numbers with a decimal point; .* \('0,5'\)"):
        Manifest.read(path)
