"""What an encoder knows of each row, said in one word, by split, or in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, UnknownNameError, UsageError
from embeddings_store.vectors.seen import parse_seen

LETTER = {"no": "n", "fit": "f", "select": "s", "unknown": "u"}


def letters(spec: object, manifest: Manifest) -> str:
    return "".join(LETTER[word] for word in parse_seen(str(spec), manifest).tolist())


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("none", "nnnnnnnnnnnn"),
        ("unknown", "uuuuuuuuuuuu"),
        ("split:train", "ffffffnnnnnn"),
        ("split:dev", "nnnnnnffnnnn"),
        ("split:valid", "nnnnnnffnnnn"),
        ("split:Training", "ffffffnnnnnn"),
        ("split:train,dev", "ffffffffnnnn"),
        ("split:train, test", "ffffffnnffff"),
    ],
)
def test_words_and_splits(manifest: Manifest, spec: str, expected: str) -> None:
    assert letters(spec, manifest) == expected


def test_a_split_may_have_any_name(make_manifest: Callable[..., Manifest]) -> None:
    manifest = make_manifest(split=["pretraining"] * 5 + ["Rest"] * 6 + [""])
    assert letters("split:pretraining", manifest) == "fffffnnnnnnn"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id\nu01\nu03\n", "nfnfnnnnnnnn"),
        ("id,seen\nu00,no\nu01,fit\nu02,select\nu03,unknown\n", "nfsuuuuuuuuu"),
        ("id,other\nu01,x\n", "nfnnnnnnnnnn"),
    ],
)
def test_a_file_names_rows(tmp_path: Path, manifest: Manifest, content: str, expected: str) -> None:
    path = tmp_path / "seen.csv"
    path.write_text(content)
    assert letters(path, manifest) == expected
    pd.read_csv(path).to_parquet(tmp_path / "seen.parquet")
    assert letters(tmp_path / "seen.parquet", manifest) == expected


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("name\nu01\n", ManifestError, "needs a column 'id' and usually 'seen'; got name"),
        (
            "id,seen\nu01,fitt\n",
            UnknownNameError,
            "unknown word in column 'seen' 'fitt'; did you mean 'fit'",
        ),
        ("id,seen\nu01,\n", UnknownNameError, "unknown word in column 'seen' ''"),
        ("id\nu01\nv01\nv02\n", ManifestError, r"2 of 3 ids are not in corpus 'mini', first 'v01'"),
        ("id,seen\nu01,no\nu01,fit\n", ManifestError, "id 'u01' is there more than once"),
        ("", ManifestError, "is empty"),
    ],
)
def test_a_file_with_mistakes_is_refused(
    tmp_path: Path, manifest: Manifest, content: str, kind: type[Exception], message: str
) -> None:
    path = tmp_path / "seen.csv"
    path.write_text(content)
    with pytest.raises(kind, match=message):
        parse_seen(str(path), manifest)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "nnone",
            "--seen 'nnone' is neither none, unknown, split:NAME, nor a file. none: it never saw a "
            "row",
        ),
        ("", "--seen '' is neither"),
        ("none.csv", "nor a file"),
        ("split:tset", "unknown split 'tset'; did you mean 'test'. Known: dev, test, train"),
        ("split:", "unknown split ''"),
        ("split:train,nope", "unknown split 'nope'"),
    ],
)
def test_other_words_are_refused_with_what_there_is(
    manifest: Manifest, spec: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        parse_seen(spec, manifest)


def test_splits_need_a_column(make_manifest: Callable[..., Manifest]) -> None:
    with pytest.raises(
        UsageError, match="--seen split:train needs a column 'split', and corpus 'mini' has none"
    ):
        parse_seen("split:train", make_manifest(split=None))
