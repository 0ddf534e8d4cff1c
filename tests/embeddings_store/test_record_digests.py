"""What the records of a store say besides their tables cannot be changed without a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet

from embeddings_store.commands import embeddings_store
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.rules import make_plan

CHANGES = {
    "protocol": "speaker-kfold:3",
    "inputs_digest": "0" * 12,
    "notes": ["all is well"],
    "rows": 13,
    "tags": {"meta_age": "safe"},
}


@pytest.mark.parametrize("key", sorted(CHANGES))
def test_a_changed_record_of_a_corpus_is_refused(
    key: str, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "store" / manifest.name
    manifest.save(folder)
    assert Manifest.load(folder).protocol == manifest.protocol
    record = folder / "corpus.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), key: CHANGES[key]}))
    with pytest.raises(StoreError, match=r"was changed after it was written|says inputs_digest"):
        Manifest.load(folder)
    assert embeddings_store.main(["verify", "--store", str(tmp_path / "store")]) == 3
    assert "corpus.json" in "".join(capsys.readouterr())


def test_the_inputs_digest_is_compared_where_a_record_has_no_digest(
    manifest: Manifest, tmp_path: Path
) -> None:
    folder = tmp_path / manifest.name
    manifest.save(folder)
    record = folder / "corpus.json"
    content = json.loads(record.read_text())
    del content["record_digest"]
    record.write_text(json.dumps(content))
    Manifest.load(folder)  # As earlier versions wrote it.
    record.write_text(json.dumps(content | {"inputs_digest": "0" * 12}))
    with pytest.raises(StoreError, match="says inputs_digest 000000000000"):
        Manifest.load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("plan", "leave-one-speaker-out"), ("valid", "test"), ("names", '["x", "y", "z"]')],
)
def test_a_changed_rule_of_a_plan_is_refused(
    key: str, value: str, make_manifest: Callable[..., Manifest], tmp_path: Path
) -> None:
    path = tmp_path / "plan.parquet"
    make_plan(make_manifest(), "leave-one-session-out").save(path)
    assert FoldPlan.load(path).name == "leave-one-session-out"
    table = parquet.read_table(path)
    about = {**table.schema.metadata, key.encode(): value.encode()}
    parquet.write_table(table.replace_schema_metadata(about), path)
    with pytest.raises(StoreError, match="are not those that were written"):
        FoldPlan.load(path)
    del about[b"about_digest"]
    parquet.write_table(table.replace_schema_metadata(about), path)
    FoldPlan.load(path)  # As earlier versions wrote it.
