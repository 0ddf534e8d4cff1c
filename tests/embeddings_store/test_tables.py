"""Tables written by hand: read strictly, and refused with the row that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import LabelError, ManifestError
from embeddings_store.tables import read_table

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
    "UTF-16": ("id,text\nu1,a\n".encode("utf-16"), "is not UTF-8"),
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
            "unknown column 'txt'; did you mean 'text'.*prefix it with meta_",
        ),
        ("id,emotion\nu1,a\n", ManifestError, "unknown column 'emotion'"),
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
