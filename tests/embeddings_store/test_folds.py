"""Fold plans: who trains, validates and tests, and what is no plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, StoreError, StoreNotFoundError, UnknownNameError
from embeddings_store.folds.natural_order import natural_key
from embeddings_store.folds.plan import ROLE_CODE, ROLES, Fold, FoldPlan
from embeddings_store.folds.rules import make_plan

Make = Callable[..., Manifest]


def _roles(plan: FoldPlan) -> list[str]:
    """One letter per row and fold."""
    return [
        "".join(ROLES[r][1] for r in fold.roles) for fold in plan
    ]  # n(unused) r(train) a(valid) e(test)


@pytest.mark.parametrize(
    ("name", "valid", "names", "roles"),
    [
        ("split", "next", ["split"], ["rrrrrraaeeee"]),
        (
            "leave-one-session-out",
            "next",
            ["1", "2", "3"],
            ["eeeeaaaarrrr", "rrrreeeeaaaa", "aaaarrrreeee"],
        ),
        (
            "leave-one-session-out",
            "none",
            ["1", "2", "3"],
            ["eeeerrrrrrrr", "rrrreeeerrrr", "rrrrrrrreeee"],
        ),
        (
            "session-kfold:3",
            "next",
            ["1", "2", "3"],
            ["eeeeaaaarrrr", "rrrreeeeaaaa", "aaaarrrreeee"],
        ),
        (
            "speaker-kfold:3",
            "next",
            ["s0..s1", "s2..s3", "s4..s5"],
            ["eeeeaaaarrrr", "rrrreeeeaaaa", "aaaarrrreeee"],
        ),
        ("speaker-kfold:2", "none", ["s0..s2", "s3..s5"], ["eeeeeerrrrrr", "rrrrrreeeeee"]),
    ],
)
def test_each_plan_gives_its_roles(
    manifest: Manifest, name: str, valid: str, names: list[str], roles: list[str]
) -> None:
    plan = make_plan(manifest, name, valid)
    assert [fold.name for fold in plan] == names
    assert _roles(plan) == roles
    assert plan.has_valid == (valid == "next")


@pytest.mark.parametrize("name", ["leave-one-speaker-out", "leave-one-group-out", "group-kfold:4"])
def test_every_row_is_tested_once_and_no_group_is_torn(make_manifest: Make, name: str) -> None:
    manifest = make_manifest(group=[f"g{i // 2}" for i in range(12)])
    plan = make_plan(manifest, name)
    assert np.sum([fold.mask("test") for fold in plan], axis=0).tolist() == [1] * 12
    for fold in plan:
        assert (fold.roles[::2] == fold.roles[1::2]).all()
        assert fold.counts()["unused"] == 0


@pytest.mark.parametrize(
    "name",
    [
        "leave-one-group-out",
        "group-kfold:3",
        "leave-one-speaker-out",
        "group-stratified-kfold:3",
        "leave-one-connected-out",
        "connected-kfold:3",
        "leave-one-speaker-of-session-out",
    ],
)
@pytest.mark.parametrize("valid", ["next", "none"])
def test_dialogues_without_any_label_play_no_role(
    make_manifest: Make, name: str, valid: str
) -> None:
    groups = ["test1"] * 2 + ["test2"] * 2 + ["a", "a", "b", "b", "c", "c", "d", "d"]
    labels = [""] * 4 + ["x", "y", "", "y", "x", "y", "x", "y"]
    speakers = ["s1", "s2", "s3", "s4", *"AABBCCDD"]
    sessions = ["1"] * 4 + list("223344") + ["5"] * 2
    manifest = make_manifest(group=groups, label=labels, speaker=speakers, session=sessions)
    plan = make_plan(manifest, name, valid)
    for fold in plan:
        assert (fold.roles[:4] == ROLE_CODE["unused"]).all()
        assert (manifest.codes()[fold.mask("test")] >= 0).any()
    # A row without a label in a dialogue that has some is asked for all the same.
    assert sum(fold.mask("test")[6] for fold in plan) == 1


@pytest.mark.parametrize(
    "name",
    [
        "",
        "leave-one-speaker-out",
        "speaker-kfold:5",
        "group-stratified-kfold:3",
        "connected-kfold:3",
    ],
)
@pytest.mark.parametrize("group", [None, "Ann"])
def test_the_only_speaker_is_named_and_folds_by_what_he_says_are_offered(
    make_manifest: Make, name: str, group: str | None
) -> None:
    alone = make_manifest(speaker="Ann", group=group, session=None, split=None)
    offered = r"--folds sentence-kfold:5 or recording-kfold:5 .* and every result says so"
    with pytest.raises(FoldError, match=rf"all (12 )?rows .*are of one .*'Ann'.*{offered}"):
        make_plan(alone, name)


@pytest.mark.parametrize(
    "name", ["group-stratified-kfold:3", "connected-kfold:3", "leave-one-connected-out"]
)
def test_rows_of_which_nobody_says_who_speaks_are_not_drawn_at_random(
    make_manifest: Make, name: str
) -> None:
    grouped = make_manifest(speaker=None, group=[f"g{i // 2}" for i in range(12)])
    assert len(make_plan(grouped, name)) >= 3
    for speaker in (None, "unknown"):
        nameless = make_manifest(speaker=speaker)
        with pytest.raises(FoldError, match=r"no row .* names one, .*--folds sentence-kfold:5"):
            make_plan(nameless, name)


@pytest.mark.parametrize("speaker", ["Ann", None])
@pytest.mark.parametrize("valid", ["next", "none", "fifth"])
def test_folds_by_sentence_or_recording_keep_these_whole(
    make_manifest: Make, speaker: str | None, valid: str
) -> None:
    said = [f"{'Oh, no' if i % 2 else 'oh no!'} {i // 2}" for i in range(24)]
    files = [f"{i // 4}.wav" for i in range(24)]
    columns = {"id": [f"u{i}" for i in range(24)], "label": ["x", "y"] * 12, "session": None}
    columns |= {"split": None, "text": said, "audio": files, "speaker": speaker, "group": speaker}
    manifest = make_manifest(**columns)
    for name, size in (
        ("sentence-kfold:3", 2),
        ("leave-one-sentence-out", 2),
        ("recording-kfold:6@1", 4),
        ("leave-one-recording-out", 4),
    ):
        plan = make_plan(manifest, name, valid)
        assert sum(fold.mask("test") for fold in plan).tolist() == [1] * 24
        for fold in plan:
            parts = fold.roles.reshape(-1, size)
            assert (parts == parts[:, :1]).all()
        assert plan.valid == (f"{valid}-shared" if speaker and valid != "none" else valid)


def test_folds_by_sentence_tear_no_dialogue_and_need_every_text(make_manifest: Make) -> None:
    with pytest.raises(FoldError, match="tears 2 groups apart"):
        make_plan(make_manifest(group=["a", "b"] * 6), "sentence-kfold:3")
    with pytest.raises(FoldError, match="needs text in every row; 1 of 12 rows"):
        make_plan(make_manifest(text=["", *(f"t{i}" for i in range(11))]), "sentence-kfold:3")


def test_the_corpus_own_protocol_is_the_default(make_manifest: Make) -> None:
    assert make_plan(make_manifest(protocol="speaker-kfold:3")).name == "speaker-kfold:3"


def test_groups_are_ordered_as_people_count(make_manifest: Make) -> None:
    manifest = make_manifest(session=[f"actor-{1 + i // 2 * 2}" for i in range(12)])
    assert [fold.name for fold in make_plan(manifest, "leave-one-session-out")] == [
        f"actor-{n}" for n in (1, 3, 5, 7, 9, 11)
    ]
    assert sorted(["x²", "x10", "x2", "٣", "²", "x"], key=natural_key) == [
        "x",
        "x2",
        "x10",
        "x²",
        "²",
        "٣",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("train", "dev", "test"),
        ("Training", "VALIDATION", "tst"),
        ("trn", "val", "Test"),
        ("train", "development", "test"),
        ("train", "valid", "test"),
    ],
)
def test_splits_have_many_names(make_manifest: Make, words: tuple[str, str, str]) -> None:
    manifest = make_manifest(split=[words[0]] * 6 + [words[1]] * 2 + [words[2]] * 3 + [""])
    assert _roles(make_plan(manifest, "split")) == ["rrrrrraaeeen"]


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        (
            {"split": ["trian"] * 6 + ["test"] * 6},
            "split",
            r"has the split 'trian' in 6 rows; did you mean 'train'.*leave it empty",
        ),
        (
            {"meta_fold_1": [1.0] * 6 + [2.0] * 6},
            "given",
            r"has the meta_fold_1 '1.0' in 6 rows; known: .*train.*leave it empty",
        ),
        ({"split": ["train"] * 12}, "split", r"fold 1 \(split\) of 'split' has no test rows"),
        ({"split": ["test"] * 12}, "split", "has no train rows"),
        ({"split": None}, "split", "fill the split column"),
        (
            {"session": ["1"] * 11 + [""]},
            "leave-one-session-out",
            "needs a session for every row; 1 of 12 rows",
        ),
        (
            {"session": ["1"] * 6 + ["2"] * 6},
            "leave-one-session-out",
            "asks for 2 folds of 2 different values in column 'session'; it takes 3 folds or more",
        ),
        ({}, "session-kfold:4", "asks for 4 folds of 3 different values"),
        ({}, "session-kfold:1", "asks for 1 folds"),
        (
            {"group": ["a", "b"] * 6},
            "leave-one-session-out",
            r"fold 1 of .* tears 2 groups apart, first 'a'",
        ),
        ({"group": ["a", "b"] * 6}, "split", "tears 2 groups apart"),
        (
            {"label": ["x"] * 8 + ["y"] * 4},
            "leave-one-session-out",
            r"fold 1 \(1\) of .* has no training row of class 'x' \(1 of 2",
        ),
        (
            {"split": None, "session": None, "speaker": None},
            "",
            "suggests no folds: no row names a split, session, speaker or group; fill one",
        ),
        (
            {"split": "train", "session": None, "speaker": ["Ann", "Ben"] * 6},
            "",
            "no row names a session or group; the split is 'train': train and test are both "
            "needed; there are 2 speakers, and folds take 3",
        ),
        (
            {"split": ["train", "dev"] * 6, "session": "1", "speaker": ["Ann"] + [""] * 11},
            "",
            "the split is 'dev' or 'train': train and test are both needed; all rows are of one "
            "session, '1'; 11 of 12 rows name no speaker",
        ),
    ],
)
def test_what_is_no_plan_is_refused(
    make_manifest: Make, changes: dict[str, object], name: str, message: str
) -> None:
    with pytest.raises(FoldError, match=message):
        make_plan(make_manifest(**changes), name, "next")


@pytest.mark.parametrize(
    ("name", "valid", "message"),
    [
        (
            "leave-one-session",
            "next",
            "unknown fold plan 'leave-one-session'; did you mean 'leave-one-session-out'",
        ),
        (
            "leave-one-sesion-out",
            "next",
            "unknown column to fold by 'sesion'; did you mean 'session'",
        ),
        ("label-kfold:3", "next", "unknown column to fold by 'label'"),
        ("split", "nxt", "unknown validation rule 'nxt'; did you mean 'next'"),
    ],
)
def test_unknown_names_get_a_hint(manifest: Manifest, name: str, valid: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        make_plan(manifest, name, valid)


def test_a_group_may_be_partly_unused(make_manifest: Make) -> None:
    manifest = make_manifest(
        group=["a", "b"] * 6,
        split=["train", ""] * 4 + ["", "test"] * 2,
        labels=LabelSet("m", ("x", "y")),
    )
    with pytest.raises(FoldError, match="no training row of class 'y'"):
        make_plan(manifest, "split")
    manifest = make_manifest(
        group=["a", "b"] * 6,
        split=["train", ""] * 4 + ["", "test"] * 2,
        label=["x", "x", "y", "y"] * 3,
    )
    assert _roles(make_plan(manifest, "split")) == ["rnrnrnrnnene"]


def test_a_fold_is_asked_for_by_number(manifest: Manifest) -> None:
    plan = make_plan(manifest, "leave-one-session-out")
    assert plan.fold(3).name == "3"
    with pytest.raises(FoldError, match="has folds 1, 2, 3, not 0"):
        plan.fold(0)


def test_a_plan_is_for_its_rows_only(manifest: Manifest, make_manifest: Make) -> None:
    plan = make_plan(manifest, "split")
    with pytest.raises(FoldError, match="was made for 12 other rows than the 12 of corpus"):
        plan.check(make_manifest(id=[f"v{i}" for i in range(12)]))


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ((), "has no folds"),
        ((Fold(1, "a", np.array([1, 3, 3], dtype=np.uint8)),), "has 3 roles for 2 rows"),
        ((Fold(1, "a", np.array([1, 3], dtype=np.uint8)),) * 2, "two folds of the same number"),
        ((Fold(1, "a", np.array([1, 4], dtype=np.uint8)),), r"holds the role 4; roles are 0 to 3"),
        ((Fold(1, "a", np.array([1, 2], dtype=np.uint8)),), "has no test rows"),
    ],
)
def test_folds_agree_with_each_other(folds: tuple[Fold, ...], message: str) -> None:
    with pytest.raises(FoldError, match=message):
        FoldPlan("p", "next", np.array(["a", "b"]), folds)


# Digests, and plans in files


def test_the_digest_is_over_ids_and_roles_alone(manifest: Manifest) -> None:
    plans = [
        make_plan(manifest, name)
        for name in ("leave-one-session-out", "session-kfold:3", "speaker-kfold:3")
    ]
    assert len({plan.digest for plan in plans}) == 1, "the same roles under three names"
    roles = b"".join(
        f"\0fold {i}\0".encode() + bytes({"r": 1, "a": 2, "e": 3}[r] for r in text)
        for i, text in enumerate(["eeeeaaaarrrr", "rrrreeeeaaaa", "aaaarrrreeee"], 1)
    )
    expected = hashlib.sha256(
        b"12 rows\0" + b"\0".join(f"u{i:02d}".encode() for i in range(12)) + roles
    ).hexdigest()[:12]
    assert plans[0].digest == expected, "as FORMAT.md says, and files in stores record it"


def test_the_digest_changes_with_any_role_id_or_fold(manifest: Manifest) -> None:
    plan = make_plan(manifest, "leave-one-session-out")
    roles = plan.folds[0].roles.copy()
    roles[11] = 0
    others = [
        replace(plan, folds=(replace(plan.folds[0], roles=roles), *plan.folds[1:])),
        replace(plan, folds=plan.folds[:2]),
        replace(plan, folds=(replace(plan.folds[0], number=9), *plan.folds[1:])),
        replace(plan, ids=np.array([*plan.ids[:-1], "new"])),
        make_plan(manifest, "leave-one-session-out", "none"),
    ]
    assert len({plan.digest, *(other.digest for other in others)}) == 6


def test_a_plan_may_have_hundreds_of_folds(tmp_path: Path) -> None:
    n = 600
    manifest = Manifest.from_columns(
        "m",
        {
            "id": [f"u{i}" for i in range(n)],
            "text": ["t"] * n,
            "label": ["x", "y"] * (n // 2),
            "group": [str(i // 2) for i in range(n)],
        },
    )
    plan = make_plan(manifest, "leave-one-group-out")
    assert len(plan) == 300
    plan.save(tmp_path / "plan.parquet")
    assert FoldPlan.load(tmp_path / "plan.parquet").digest == plan.digest


@pytest.mark.parametrize("name", ["split", "leave-one-session-out", "speaker-kfold:3"])
def test_a_plan_comes_back_from_its_file(tmp_path: Path, make_manifest: Make, name: str) -> None:
    manifest = make_manifest(
        id=[f"ü/{i} 学" for i in range(12)], session=["Ä"] * 4 + ["ß, x"] * 4 + ["ω"] * 4
    )
    plan = make_plan(manifest, name)
    plan.save(tmp_path / "deep" / "plan.parquet")
    again = FoldPlan.load(tmp_path / "deep" / "plan.parquet")
    assert (again.name, again.valid, again.digest, _roles(again)) == (
        plan.name,
        plan.valid,
        plan.digest,
        _roles(plan),
    )
    assert [f.name for f in again] == [f.name for f in plan]
    again.check(manifest)


def _without_names(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(
        {k: v for k, v in table.schema.metadata.items() if k != b"names"}
    )


def _with(table: pa.Table, **about: str) -> pa.Table:
    return table.replace_schema_metadata(
        table.schema.metadata | {k.encode(): v.encode() for k, v in about.items()}
    )


def _first_word(table: pa.Table, word: str) -> pa.Table:
    words = table["fold-1"].to_pylist()
    return table.set_column(1, "fold-1", pa.array([word, *words[1:]]))


def _with_ids(table: pa.Table, of: Callable[[str], object]) -> pa.Table:
    ids = pa.array([of(name) for name in table["id"].to_pylist()])
    return table.set_column(table.column_names.index("id"), "id", ids)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace_schema_metadata({}), "is a table, but not a fold plan"),
        (
            lambda t: _with(t, version="2"),
            "has format version 2, this program reads up to 1; update the program",
        ),
        (_without_names, "is damaged or not a fold plan"),
        (lambda t: _with(t, names=json.dumps(["one"])), "is damaged or not a fold plan"),
        (lambda t: _first_word(t, "tset"), "is damaged or not a fold plan"),
        (lambda t: _first_word(t, "unused"), "the roles .* are not those that were written"),
        (lambda t: t.drop_columns(["id"]), "is damaged or not a fold plan"),
        (lambda t: _with_ids(t, lambda name: [name]), "is damaged .*an id is no text"),
        (lambda t: _with_ids(t, str.encode), "is damaged .*an id is no text"),
    ],
)
def test_a_changed_plan_file_is_refused(
    tmp_path: Path, manifest: Manifest, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    path = tmp_path / "plan.parquet"
    make_plan(manifest, "leave-one-session-out").save(path)
    parquet.write_table(change(parquet.read_table(path)), path)
    with pytest.raises(StoreError, match=message):
        FoldPlan.load(path)


def test_a_torn_or_absent_plan_file_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "plan.parquet"
    with pytest.raises(StoreNotFoundError, match="no such fold plan"):
        FoldPlan.load(path)
    make_plan(manifest, "split").save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StoreError, match="remove it, it is made again from the manifest"):
        FoldPlan.load(path)
