"""Leak tags of metadata columns.

Declared, checked, kept by the store, and unknown where nobody gave one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from embeddings_store.commands import embeddings_store as cli
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, UsageError

GOLDEN = sorted(path for path in (Path(__file__).parents[1] / "golden").glob("v*") if path.is_dir())


def made(tags: dict[str, str]) -> Manifest:
    columns = {
        "id": ["a", "b"],
        "label": ["x", "y"],
        "text": ["p", "q"],
        "meta_age": [3, 4],
        "meta_cause": ["loss", "joy"],
        "meta_topic": ["train", "letter"],
    }
    return Manifest.from_columns("m", columns, tags=tags)


def test_a_column_without_a_tag_is_unknown() -> None:
    manifest = made({"meta_cause": "leaky", "meta_age": "safe"})
    assert [manifest.tag(c) for c in ("meta_age", "meta_cause", "meta_topic")] == [
        "safe",
        "leaky",
        "unknown",
    ]
    assert manifest.tagged("leaky", "unknown") == ("meta_cause", "meta_topic")
    assert manifest.tagged("context") == ()


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"meta_aeg": "safe"}, "'meta_aeg', which is no metadata column; did you mean 'meta_age'"),
        ({"text": "safe"}, "'text', which is no metadata column"),
        ({"meta_age": "save"}, "the leak tag 'save'; did you mean 'safe'"),
        ({"meta_age": "unknown"}, "tags are safe, context, leaky"),
    ],
)
def test_a_wrong_column_or_word_is_refused(tags: dict[str, str], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        made(tags)


def test_tags_go_into_a_store_and_come_back(tmp_path: Path) -> None:
    manifest = made({"meta_cause": "leaky"})
    manifest.enter(tmp_path)
    assert Manifest.load(tmp_path / "m").tags == {"meta_cause": "leaky"}
    assert manifest.digest == made({}).digest, "a tag changes no vector and no label"


def test_the_same_corpus_with_other_tags_replaces_them_and_nothing_else(tmp_path: Path) -> None:
    first = made({})
    first.enter(tmp_path)
    table = (tmp_path / "m" / "manifest.parquet").stat()
    made({"meta_age": "safe"}).enter(tmp_path)
    assert Manifest.load(tmp_path / "m").tags == {"meta_age": "safe"}
    assert (tmp_path / "m" / "manifest.parquet").stat().st_ino == table.st_ino


def test_words_of_later_versions_are_unknown(tmp_path: Path) -> None:
    made({"meta_age": "safe"}).save(tmp_path / "m")
    record = tmp_path / "m" / "corpus.json"
    data = json.loads(record.read_text(encoding="utf-8"))
    data.pop("record_digest")
    record.write_text(
        json.dumps(data | {"tags": {"meta_age": "harmless", "meta_gone": "safe"}}), encoding="utf-8"
    )
    assert Manifest.load(tmp_path / "m").tag("meta_age") == "unknown"


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda path: path.name)
def test_stores_from_before_tags_are_read(folder: Path) -> None:
    manifest = Manifest.load(folder / "store" / "klein")
    assert "tags" not in json.loads(
        (folder / "store" / "klein" / "corpus.json").read_text(encoding="utf-8")
    )
    assert manifest.tags == {} and manifest.tagged("unknown") == (
        "meta_note",
        "meta_age",
        "meta_score",
    )


def test_an_import_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"id": ["a", "b"], "v0": [1.0, 2.0], "v1": [0.0, 1.0]}).to_csv(
        tmp_path / "v.csv", index=False
    )
    rows = pd.DataFrame({"id": ["a", "b"], "label": ["x", "y"], "age": [3, 4], "cause": ["p", "q"]})
    rows.to_csv(tmp_path / "r.csv", index=False)
    command = [
        "import",
        str(tmp_path / "v.csv"),
        "--rows",
        str(tmp_path / "r.csv"),
        "--seen",
        "none",
        "--modality",
        "audio",
        "--store",
        str(tmp_path / "store"),
        "--safe",
        "meta_age",
    ]
    assert cli.main([*command, "--leaky", "meta_cuase"]) == 3
    assert "did you mean 'meta_cause'" in capsys.readouterr().err
    assert cli.main([*command, "--leaky", "meta_age"]) == UsageError.exit_code
    assert cli.main(command) == 0
    assert Manifest.load(tmp_path / "store" / "v").tags == {"meta_age": "safe"}
    capsys.readouterr()
    assert cli.main(["inspect", str(tmp_path / "store")]) == 0
    assert "metadata: meta_age safe, meta_cause unknown" in capsys.readouterr().out
