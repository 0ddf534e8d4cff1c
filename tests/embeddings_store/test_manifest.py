"""The manifest: what it refuses, what it keeps, and how it goes in and out of a store."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest, safe_name
from embeddings_store.corpus.media_paths import resolve_media
from embeddings_store.errors import (
    LabelError,
    ManifestError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
    UnsafePathError,
)

Make = Callable[..., Manifest]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "1 duplicate ids, first 'a' in rows 1 and 3"),
        (["a", "", "b"], "1 of 3 rows have an empty id, first row 2"),
        (["a", None, float("nan")], "2 of 3 rows have an empty id"),
        (["a", "b\0", "c"], "column 'id' holds a NUL character in 1 rows, first row 2"),
        (["a", "b\ud800", "c"], "no Unicode text"),
    ],
)
def test_ids_are_unique_and_not_empty(ids: list[str], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.from_columns("m", {"id": ids, "text": ["x"] * 3})


def test_ids_are_told_apart_byte_by_byte() -> None:
    ids = ["é", "e\u0301", "a/b", "a b", " a b", "学生", "🙂", "A/B"]
    manifest = Manifest.from_columns("m", {"id": ids, "text": ["x"] * len(ids)})
    assert manifest.ids.tolist() == ids


def test_a_column_id_is_needed() -> None:
    with pytest.raises(ManifestError, match="needs a column 'id'; got ident, text"):
        Manifest.from_columns("m", {"ident": ["a"], "text": ["x"]})


@pytest.mark.parametrize(
    "path",
    [
        "../a.wav",
        "x/../../a.wav",
        "..",
        "x/..",
        "/etc/passwd",
        "C:/a.wav",
        "C:a.wav",
        "./C:/a.wav",
        r"x\a.wav",
        r"\\host\a.wav",
        "https://host/a.wav",
        "a\0.wav",
    ],
)
@pytest.mark.parametrize("column", ["audio", "video"])
def test_paths_may_not_leave_the_root(column: str, path: str) -> None:
    with pytest.raises(ManifestError, match=f"column '{column}' holds") as caught:
        Manifest.from_columns("m", {"id": ["a", "b"], column: ["fine/a.wav", path]})
    assert isinstance(caught.value, UnsafePathError) or "\0" in path


@pytest.mark.parametrize(
    "path",
    ["a.wav", "./a.wav", "x/12:30.wav", "..a/b..wav", "x/...", "~/a.wav", "Übung/学.wav", "."],
)
def test_other_names_are_fine(path: str) -> None:
    assert Manifest.from_columns("m", {"id": ["a"], "audio": [path]}).row(0).audio == path


def test_a_link_may_not_leave_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.wav"
    (root / "in").mkdir(parents=True)
    outside.touch()
    (root / "in" / "real.wav").touch()
    (root / "link.wav").symlink_to(outside)
    (root / "inner.wav").symlink_to(root / "in" / "real.wav")
    assert resolve_media(root, "inner.wav") == root / "in" / "real.wav"
    with pytest.raises(
        UnsafePathError,
        match=r"'link.wav' leads outside the manifest's folder; move the file into it",
    ):
        resolve_media(root, "link.wav")


@pytest.mark.parametrize(
    ("start", "end"), [(-0.1, 1), (1, 1), (2, 1), (np.inf, ""), (0, np.inf), ("", 0), (-1, "")]
)
def test_times_are_in_order_and_finite(start: object, end: object) -> None:
    with pytest.raises(ManifestError, match=r"1 rows need 0 <= start_s < end_s, first 'b'"):
        Manifest.from_columns(
            "m",
            {"id": ["a", "b"], "audio": ["a", "b"], "start_s": ["0", start], "end_s": ["1.5", end]},
        )


def test_times_are_numbers_or_nothing() -> None:
    manifest = Manifest.from_columns(
        "m", {"id": ["a", "b"], "audio": ["a", "b"], "start_s": ["", "2"], "end_s": ["1.5", None]}
    )
    assert np.isnan(manifest.row(0).start_s)
    assert manifest.row(1).start_s == 2.0
    with pytest.raises(ManifestError, match="column 'end_s' must hold seconds as numbers"):
        Manifest.from_columns("m", {"id": ["a"], "audio": ["a"], "end_s": ["0:12"]})


def test_an_unknown_label_is_refused(make_manifest: Make) -> None:
    with pytest.raises(LabelError, match=r"label 'y' .* is not in label set 'other'"):
        make_manifest(labels=LabelSet("other", ("x", "z")))


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "x@y"])
def test_a_name_is_a_folder_name(name: str, make_manifest: Make) -> None:
    with pytest.raises(ManifestError, match="cannot be a folder name"):
        make_manifest(name)


def test_safe_name_is_idempotent() -> None:
    for name in ("facebook/wav2vec2-base", "Übung 3", "../x", "a@b", "ok-1.2_3"):
        assert safe_name(safe_name(name)) == safe_name(name) != ""


def test_ids_cannot_be_changed_behind_the_manifests_back(manifest: Manifest) -> None:
    with pytest.raises(ValueError, match="read-only"):
        manifest.ids[0] = "other"


@pytest.mark.parametrize(
    ("columns", "protocol"),
    [
        ({}, "split"),
        ({"split": None}, "leave-one-session-out"),
        ({"split": None, "session": None}, "leave-one-speaker-out"),
        ({"split": None, "session": ["1", "2", "3"] * 3 + [""] * 3}, "leave-one-speaker-out"),
        (
            {"split": None, "session": None, "speaker": [str(i) for i in range(12)]},
            "speaker-kfold:5",
        ),
        (
            {"split": None, "session": ["1"] * 12, "speaker": None, "group": list("abcabcabcabc")},
            "leave-one-group-out",
        ),
        ({"split": None, "session": None, "speaker": None}, ""),
        ({"split": "train"}, "leave-one-session-out"),
        (  # The third session has no label, so there are two to leave out.
            {"split": None, "label": ["x", "y"] * 4 + [""] * 4, "group": list("aabbccddeeff")},
            "leave-one-speaker-out",
        ),
        ({"split": ["train", "validation"] * 6, "session": None}, "leave-one-speaker-out"),
        ({"split": "Test"}, "leave-one-session-out"),
        ({"split": ["train", "tets"] * 6}, "split"),
    ],
)
def test_the_protocol_is_guessed_from_full_columns(
    make_manifest: Make, columns: dict[str, object], protocol: str
) -> None:
    assert make_manifest(**columns).guess_protocol() == protocol


# Digests

CHANGES = {
    "id": "u99",
    "label": "y",
    "speaker": "s9",
    "group": "g",
    "session": "9",
    "split": "test",
    "language": "de",
    "text": "other",
    "audio": "other.wav",
    "video": "other.mp4",
    "start_s": 0.5,
    "end_s": 99.0,
    "meta_age": 99,
    "meta_note": "n",
}


@pytest.mark.parametrize("column", CHANGES)
def test_the_digest_changes_with_every_column(manifest: Manifest, column: str) -> None:
    table = manifest.table.assign(meta_age=range(12), meta_note="")
    before = replace(manifest, table=table)
    table = table.copy()
    table.loc[0, column] = CHANGES[column]
    after = replace(manifest, table=table)
    assert before.digest != after.digest
    inputs = {"id", "text", "audio", "video", "start_s", "end_s"}
    assert (before.inputs_digest != after.inputs_digest) == (column in inputs)


def test_the_digest_does_not_change_with_root_name_or_notes(
    manifest: Manifest, tmp_path: Path
) -> None:
    moved = replace(manifest, root=tmp_path, name="other", notes=("moved",), protocol="split")
    assert (moved.digest, moved.inputs_digest) == (manifest.digest, manifest.inputs_digest)


def test_the_digest_changes_with_the_label_set_and_the_order_of_rows(manifest: Manifest) -> None:
    swapped = replace(manifest, labels=LabelSet("mini", ("y", "x")))
    reversed_rows = replace(manifest, table=manifest.table[::-1])
    assert len({manifest.digest, swapped.digest, reversed_rows.digest}) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [([0.0], [""]), ([0], [0.0]), (["1"], [1]), ([""], ["\x01"]), ([True], ["True"])],
)
def test_cells_of_different_kinds_have_different_digests(
    one: list[object], other: list[object]
) -> None:
    made = [
        Manifest.from_columns("m", {"id": ["a"], "text": ["t"], "meta_x": cells})
        for cells in (one, other)
    ]
    assert made[0].digest != made[1].digest


# In and out of a store

METADATA = {
    "strings": ["a", None, ""],
    "numbers": [1, 2, 3],
    "fractions": [0.5, np.nan, -0.0],
    "flags": [True, False, True],
    "nullable": pd.array([1, None, 3], dtype="Int64"),
    "mixed": ["a", 1, None],
    "lists": [[1], [2], []],
    "dates": pd.to_datetime(["2026-01-01"] * 3),
    "categories": pd.Categorical(["a", "b", "a"]),
}


@pytest.mark.parametrize("kind", METADATA)
def test_metadata_of_every_kind_survives_the_store(tmp_path: Path, kind: str) -> None:
    manifest = Manifest.from_columns(
        "m", {"id": ["a", "b", "c"], "text": ["x"] * 3, f"meta_{kind}": METADATA[kind]}
    )
    manifest.enter(tmp_path)
    again = Manifest.load(tmp_path / "m")
    pd.testing.assert_frame_equal(again.table, manifest.table)
    assert again.digest == manifest.digest


def test_save_and_load_keep_everything(tmp_path: Path, make_manifest: Make) -> None:
    manifest = make_manifest(protocol="leave-one-session-out", notes=("a note",), root=tmp_path)
    manifest.save(tmp_path / "mini")
    again = Manifest.load(tmp_path / "mini")
    assert (again.name, again.labels, again.protocol, again.notes) == (
        "mini",
        manifest.labels,
        manifest.protocol,
        manifest.notes,
    )
    assert again.root is None
    pd.testing.assert_frame_equal(again.table, manifest.table)
    assert str(tmp_path) not in (tmp_path / "mini" / "corpus.json").read_text()


def test_a_manifest_travels_to_other_processes(manifest: Manifest) -> None:
    digest = manifest.digest
    assert pickle.loads(pickle.dumps(manifest)).digest == digest


def test_entering_twice_is_once(tmp_path: Path, manifest: Manifest) -> None:
    manifest.enter(tmp_path)
    before = (tmp_path / "mini" / "corpus.json").stat().st_mtime_ns
    replace(manifest, root=tmp_path).enter(tmp_path)
    assert (tmp_path / "mini" / "corpus.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": ["other"] * 12}, r"text differ in 12 rows, first 'u00'; use another --store"),
        (
            {"text": [f"words {i % 11}" for i in range(12)], "meta_new": ["m"] * 12},
            r"text differ in 1 rows, first 'u11'",
        ),
        ({"start_s": [np.nan] * 11 + [1.0]}, r"start_s differ in 1 rows, first 'u11'"),
        (
            {"label": ["y", "x"] * 6},
            r"same inputs, but columns label differ; .* remove .*corpus.json",
        ),
        ({"meta_new": ["m"] * 12}, r"same inputs, but columns meta_new differ"),
        ({"labels": LabelSet("mini", ("y", "x"))}, r"same inputs, but the label set differ"),
        (
            {"id": [f"u{i:02d}" for i in range(11)] + ["new"]},
            r"12 rows there, 12 now, first difference 'new'",
        ),
        ({"id": [f"u{i:02d}" for i in reversed(range(12))]}, r"12 now in another order"),
    ],
)
def test_another_corpus_of_the_same_name_is_refused(
    tmp_path: Path,
    manifest: Manifest,
    make_manifest: Make,
    changes: dict[str, object],
    message: str,
) -> None:
    manifest.enter(tmp_path)
    with pytest.raises(StoreMismatchError, match=message):
        make_manifest(**changes).enter(tmp_path)
    assert Manifest.load(tmp_path / "mini").digest == manifest.digest


def test_which_part_of_a_film_a_row_is_belongs_to_the_inputs_of_video_alone(
    tmp_path: Path, make_manifest: Make
) -> None:
    plain = make_manifest()
    left, right = (
        make_manifest(meta_video_side=["left"] * 11 + [last]) for last in ("left", "right")
    )
    assert plain.inputs_digest_of("video") == plain.inputs_digest
    assert left.inputs_digest_of("audio") == right.inputs_digest_of("audio") == plain.inputs_digest
    digests = {each.inputs_digest_of("video") for each in (plain, left, right)}
    assert len(digests) == 3
    left.enter(tmp_path)
    with pytest.raises(StoreMismatchError, match="meta_video_side differ in 1 rows, first 'u11'"):
        right.enter(tmp_path)


def test_no_corpus_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match=r"no corpus here .* check --store and --corpus"):
        Manifest.load(tmp_path)


def _edit(folder: Path, **changes: object) -> None:
    record = folder / "corpus.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "corpus.json").write_text("{"), "is damaged"),
        (lambda f: (f / "corpus.json").write_text("[]"), "is damaged"),
        (lambda f: (f / "corpus.json").write_bytes(os.urandom(64)), "is damaged"),
        (lambda f: (f / "manifest.parquet").unlink(), "is damaged"),
        (
            lambda f: (f / "manifest.parquet").write_bytes(
                (f / "manifest.parquet").read_bytes()[:-9]
            ),
            "is damaged",
        ),
        (lambda f: _edit(f, labels=[]) or _edit(f, notes=None), "is damaged"),
        (
            lambda f: _edit(f, version=2),
            "has format version 2, this program reads up to 1; update the program",
        ),
        (lambda f: _edit(f, format="recipe"), "is no corpus of this store"),
        (lambda f: _edit(f, digest="0" * 12), "restore both files from the same run"),
        (lambda f: _edit(f, name="maxi"), "holds corpus 'maxi'; a corpus' folder has its name"),
    ],
)
def test_damage_is_told(
    tmp_path: Path, manifest: Manifest, damage: Callable[[Path], object], message: str
) -> None:
    manifest.enter(tmp_path)
    damage(tmp_path / "mini")
    with pytest.raises(StoreError, match=message):
        Manifest.load(tmp_path / "mini")
