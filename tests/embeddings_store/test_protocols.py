"""Each protocol gives the documented sizes, under its own name, and says what its roles share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings_store.commands.protocol_options import listing
from embeddings_store.corpus.label_sets import LABEL_SETS, named_labels
from embeddings_store.corpus.label_sets import TABLE as LABEL_TABLE
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, LabelError, UnknownNameError, UsageError
from embeddings_store.folds.plan import FoldPlan, shared
from embeddings_store.folds.protocol_files import torch_permutation
from embeddings_store.folds.protocols import PROTOCOLS, TABLE
from embeddings_store.folds.protocols_page import PAGE, page
from embeddings_store.folds.rules import make_plan
from embeddings_store.folds.setup import Request, Setup, applicable, set_up

SESSIONS = (1085, 1023, 1151, 1031, 1241)
SPEAKERS = (528, 557, 481, 542, 522, 629, 528, 503, 590, 651)
Make = Callable[..., Manifest]


def counts(setup: Setup) -> list[tuple[int, ...]]:
    """Rows with a class per fold: train, valid, test."""
    labelled = setup.view.codes() >= 0
    return [
        tuple(int((fold.mask(role) & labelled).sum()) for role in ("train", "valid", "test"))
        for fold in setup.plan
    ]


@pytest.mark.parametrize(
    ("name", "rows"),
    [(row.name, row.rows) for row in LABEL_TABLE if row.applies_to("iemocap") and row.labels],
)
def test_label_sets_have_the_published_sizes(iemocap: Manifest, name: str, rows: int) -> None:
    named = named_labels(name, iemocap)
    assert named.labels is not None
    assert (
        int((named.labels.encode(iemocap.column("label"))[named.mask(iemocap)] >= 0).sum()) == rows
    )


def test_the_whole_release_is_there(iemocap: Manifest) -> None:
    assert len(iemocap) == 10039
    assert iemocap.table["speaker"].nunique() == 10


def test_the_papers_folds(iemocap: Manifest) -> None:
    setup = set_up(iemocap, Request("iemocap-paper"))
    assert [test for _, _, test in counts(setup)] == list(SESSIONS)
    assert [valid for _, valid, _ in counts(setup)] == [1023, 1151, 1031, 1241, 1085]
    assert all(sum(fold) == 5531 for fold in counts(setup))
    assert (setup.protocol, setup.plan.name, setup.plan.valid, setup.shared) == (
        "iemocap-paper",
        "leave-one-session-out",
        "next",
        "",
    )
    fixed = set_up(iemocap, Request("iemocap-paper-fixed"))
    assert counts(fixed) == [(5531 - n, 0, n) for n in SESSIONS]
    assert fixed.test_digest == setup.test_digest
    assert fixed.split_digest != setup.split_digest


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("iemocap-selection", [(1085 + 1023 + 1151, 1031, 1241)]),
        ("iemocap-session-5", [(5531 - 1241, 0, 1241)]),
        ("iemocap-emobox", [(5531 - n, 0, n) for n in SESSIONS]),
        (
            "iemocap-speakers-partner",
            [
                (5531 - n - p, p, n)
                for n, p in zip(SPEAKERS, [SPEAKERS[i ^ 1] for i in range(10)], strict=True)
            ],
        ),
        (
            "iemocap-speakers",
            [
                (
                    5531 - SESSIONS[i // 2] - SESSIONS[(i // 2 + 1) % 5],
                    SESSIONS[(i // 2 + 1) % 5],
                    n,
                )
                for i, n in enumerate(SPEAKERS)
            ],
        ),
    ],
)
def test_other_protocols_of_iemocap(
    iemocap: Manifest, name: str, expected: list[tuple[int, ...]]
) -> None:
    assert counts(set_up(iemocap, Request(name))) == expected


def test_improvised_only_has_2280_rows_and_no_other(iemocap: Manifest) -> None:
    setup = set_up(iemocap, Request("iemocap-improvised"))
    assert sum(test for _, _, test in counts(setup)) == 2280
    for fold in setup.plan:
        assert set(iemocap.column("meta_kind")[fold.roles > 0]) == {"improvised"}


def test_a_partner_who_validates_is_flagged_and_a_partner_who_trains_is_refused(
    iemocap: Manifest,
) -> None:
    setup = set_up(iemocap, Request("iemocap-speakers-partner"))
    assert (setup.plan.valid, setup.shared, setup.plan.shares) == (
        "partner",
        "valid+test: group",
        ("valid+test",),
    )
    assert set_up(iemocap, Request("iemocap-speakers")).shared == ""
    with pytest.raises(FoldError, match=r"tears \d+ groups apart"):
        make_plan(iemocap, "leave-one-speaker-out")


def test_what_is_not_the_whole_release_is_not_the_protocol(iemocap: Manifest) -> None:
    part = replace(iemocap, table=iemocap.table.iloc[1:])
    with pytest.raises(
        FoldError,
        match=r"tests 1085 .* of 5531 rows; corpus 'iemocap' gives 1084 .*not the whole release",
    ):
        set_up(part, Request("iemocap-paper"))
    assert set_up(replace(part, name="demo"), Request("iemocap-paper")).protocol == "iemocap-paper"


def test_too_many_rows_and_rows_of_other_folds_are_not_called_incomplete(
    iemocap: Manifest,
) -> None:
    copy = iemocap.table.iloc[:1].assign(id="copy")
    more = replace(iemocap, table=pd.concat([iemocap.table, copy], ignore_index=True))
    moved = iemocap.table.copy()
    moved.loc[moved.index[0], ["session", "speaker", "group"]] = moved.iloc[-1][
        ["session", "speaker", "group"]
    ]
    for manifest, message in (
        (more, r"gives 1086 .* of 5532: it has 1 row more than the release.* Leave out"),
        (replace(iemocap, table=moved), r"gives 1084 .* of 5531: it has as many rows .*Compare"),
    ):
        with pytest.raises(FoldError, match=message) as caught:
            set_up(manifest, Request("iemocap-paper"))
        assert "omplete" not in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (
            Request("iemocap-papr"),
            UnknownNameError,
            "unknown protocol 'iemocap-papr'; did you mean 'iemocap-paper'",
        ),
        (Request("meld-official"), UsageError, "belongs to meld, not to corpus 'iemocap'"),
        (
            Request("iemocap-paper", folds="session-kfold:5"),
            UsageError,
            "--folds session-kfold:5 contradicts --protocol",
        ),
        (
            Request("iemocap-paper", label_set="iemocap-6"),
            UsageError,
            "--label-set iemocap-6 contradicts",
        ),
        (
            Request("iemocap-paper", valid="none"),
            UsageError,
            "--valid none contradicts --protocol iemocap-paper, which has next",
        ),
        (Request("iemocap-superb"), UsageError, "add --protocol-files"),
        (Request(files=Path("x")), UsageError, "--protocol-files belongs to a protocol"),
        (
            Request("group-stratified-kfold"),
            UsageError,
            "takes a value: write --protocol group-stratified-kfold:K",
        ),
        (Request("iemocap-paper:5"), UsageError, "takes no value"),
        (
            Request(label_set="iemocap-4543"),
            UsageError,
            "known by its published size only .4,543 rows.: .*cannot be rebuilt",
        ),
        (
            Request(label_set="meld-7"),
            UsageError,
            "belongs to meld, not to corpus 'iemocap'; it has iemocap-4,",
        ),
        (
            Request(label_set="iemocap4"),
            UnknownNameError,
            "unknown label set 'iemocap4'; did you mean 'iemocap-4'",
        ),
        (
            Request(folds="leave-one-session-out", valid="partner"),
            UsageError,
            "'partner' belongs to the plan",
        ),
        (
            Request(valid="next-shared"),
            UsageError,
            "share no speaker and no group with test; choose --valid next",
        ),
        (Request(folds="session-holdout:Ses06"), UnknownNameError, "unknown session 'Ses06'"),
        (Request("cross-corpus:ravdess"), FoldError, "needs a joined corpus"),
    ],
)
def test_what_contradicts_itself_is_refused(
    iemocap: Manifest, request_: Request, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        set_up(iemocap, request_)


def test_saying_the_same_twice_is_no_contradiction(iemocap: Manifest) -> None:
    request = Request("iemocap-paper", "leave-one-session-out", "next", "iemocap-4")
    assert (
        set_up(iemocap, request).plan.digest
        == set_up(iemocap, Request("iemocap-paper")).plan.digest
    )


def test_a_set_whose_turns_the_reader_left_out_says_how_to_get_them(iemocap: Manifest) -> None:
    labels = LABEL_SETS["iemocap-4"].labels
    assert labels is not None
    kept = replace(iemocap, table=iemocap.table[iemocap.table["label"].isin(list(labels.mapping))])
    with pytest.raises(LabelError, match=r"needs rows with the label 'fru'.*all_turns=yes"):
        set_up(kept, Request(label_set="iemocap-6"))
    assert set_up(kept, Request(label_set="iemocap-4-no-exc")).tested() == tuple(
        n - e for n, e in zip(SESSIONS, (143, 210, 151, 238, 299), strict=True)
    )


def test_split_digests_do_not_depend_on_the_store(iemocap: Manifest) -> None:
    labels = LABEL_SETS["iemocap-4"].labels
    assert labels is not None
    kept = iemocap.table[iemocap.table["label"].isin(list(labels.mapping))]
    one = set_up(iemocap, Request("iemocap-paper"))
    other = set_up(
        replace(iemocap, table=kept.sample(frac=1, random_state=1)), Request("iemocap-paper")
    )
    assert one.plan.digest != other.plan.digest
    assert (one.split_digest, one.test_digest) == (other.split_digest, other.test_digest)
    again = set_up(iemocap, Request("iemocap-paper", label_set="iemocap-4"))
    assert again.split_digest == one.split_digest


def test_every_protocol_that_needs_nothing_more_works_on_the_release_or_says_why_not(
    iemocap: Manifest,
) -> None:
    found = {row.name: text for row, text in applicable(iemocap)}
    assert set(found) == {row.name for row in TABLE if row.applies_to("iemocap")}
    assert found["iemocap-paper"] == "1085 1023 1151 1031 1241 rows tested"
    assert [name for name, text in found.items() if text.startswith("not here")] == []
    text = listing(iemocap)
    assert all(row.name in text for row in TABLE if row.applies_to("iemocap"))
    assert "PUBLISHED NAME ONLY" in text
    assert all(row.name in listing(None) for row in TABLE)


def test_rows_of_the_table_are_consistent() -> None:
    assert len(PROTOCOLS) == len(TABLE)
    for row in TABLE:
        assert row.source and row.note, row.name
        assert not row.label_set or LABEL_SETS[row.label_set].labels is not None
        for other in row.tests_as:
            assert row.name in PROTOCOLS[other].tests_as, (row.name, other)
            assert PROTOCOLS[other].test_rows == row.test_rows
        if row.label_set and len(row.test_rows) > 1 and row.label_set.startswith("iemocap"):
            assert sum(row.test_rows) == LABEL_SETS[row.label_set].rows


# Files of others


def emobox(
    folder: Path, manifest: Manifest, *, valid: bool = False, prefix: str = "iemocap-"
) -> Path:
    """EmoBox's files for these rows, by session, in its format."""
    sessions = sorted(set(manifest.column("session").tolist()))
    for number, held_out in enumerate(sessions, start=1):
        roles = {"train": [], "test": [], **({"valid": []} if valid else {})}  # type: ignore[var-annotated]
        for position, (name, session) in enumerate(
            zip(manifest.ids.tolist(), manifest.column("session").tolist(), strict=True)
        ):
            role = (
                "test"
                if session == held_out
                else "valid"
                if valid and position % 7 == 0
                else "train"
            )
            roles[role].append(
                json.dumps(
                    {
                        "key": f"{prefix}{name}",
                        "dataset": "iemocap",
                        "wav": f"downloads/iemocap/{name}.wav",
                        "emo": "neu",
                    }
                )
            )
        (folder / f"fold_{number}").mkdir(parents=True)
        for role, lines in roles.items():
            (folder / f"fold_{number}" / f"iemocap_{role}_fold_{number}.jsonl").write_text(
                "\n".join(lines) + "\n"
            )
    return folder


@pytest.mark.parametrize("prefix", ["iemocap-", ""])
def test_emobox_files_and_the_rule_agree(tmp_path: Path, iemocap: Manifest, prefix: str) -> None:
    four = replace(
        iemocap,
        table=iemocap.table[iemocap.table["label"].isin(["ang", "hap", "exc", "neu", "sad"])],
    )
    read = set_up(four, Request("emobox", files=emobox(tmp_path, four, prefix=prefix)))
    ruled = set_up(four, Request("iemocap-emobox"))
    assert (read.plan.valid, read.split_digest) == ("none", ruled.split_digest)


def test_emobox_validation_files_are_used_where_there_are_some(
    tmp_path: Path, make_manifest: Make
) -> None:
    manifest = make_manifest(speaker=None)
    setup = set_up(
        manifest, Request("emobox", files=emobox(tmp_path, manifest, valid=True, prefix=""))
    )
    assert setup.plan.valid == "files"
    assert counts(setup) == [(7, 1, 4), (7, 1, 4), (6, 2, 4)]


def test_meld_keys_name_their_split(tmp_path: Path, make_manifest: Make) -> None:
    ids = [
        f"{split}_dia{i}_utt0"
        for split, n in (("train", 6), ("valid", 2), ("test", 4))
        for i in range(n)
    ]
    manifest = make_manifest(id=ids, speaker=None)
    (tmp_path / "fold_1").mkdir()
    for role, word, n in (("train", "train", 6), ("valid", "dev", 2), ("test", "test", 4)):
        rows = [
            {"key": f"meld-dia{i}_utt0-{word}", "dataset": "meld", "wav": f"x/dia{i}_utt0.mp4"}
            for i in range(n)
        ]
        (tmp_path / "fold_1" / f"meld_{role}_fold_1.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows)
        )
    assert counts(set_up(manifest, Request("emobox", files=tmp_path))) == [(6, 2, 4)]


def superb(folder: Path, manifest: Manifest) -> Path:
    """s3prl's files for the four-class rows, in an order of their own."""
    four = np.isin(manifest.column("label"), ["ang", "hap", "exc", "neu", "sad"])
    ids, sessions = manifest.ids[four], manifest.column("session")[four]
    order = np.random.default_rng(3).permutation(len(ids))
    for number, session in enumerate(sorted(set(sessions.tolist())), start=1):
        (folder / f"Session{number}").mkdir(parents=True)
        for role, rows in (
            ("test", order[sessions[order] == session]),
            ("train", order[sessions[order] != session]),
        ):
            data = {
                "labels": {},
                "meta_data": [
                    {"path": f"S/{ids[i]}.wav", "label": "x", "speaker": "s"} for i in rows
                ],
            }
            (folder / f"Session{number}" / f"{role}_meta_data.json").write_text(json.dumps(data))
    return folder


def test_superb_draws_what_torch_draws(tmp_path: Path, iemocap: Manifest) -> None:
    setup = set_up(iemocap, Request("iemocap-superb", files=superb(tmp_path, iemocap)))
    assert counts(setup) == [
        (int(0.8 * (5531 - n)), 5531 - n - int(0.8 * (5531 - n)), n) for n in SESSIONS
    ]
    assert (setup.plan.valid, setup.shared) == ("random-fifth", "train+valid: speaker, group")
    assert setup.test_digest == set_up(iemocap, Request("iemocap-paper")).test_digest
    listed = json.loads((tmp_path / "Session2" / "train_meta_data.json").read_text())["meta_data"]
    names = [Path(row["path"]).stem for row in listed]
    torch.manual_seed(0)
    train, _ = torch.utils.data.random_split(range(len(names)), [3606, len(names) - 3606])
    assert set(iemocap.ids[setup.plan.fold(2).mask("train")]) == {names[i] for i in train}


@pytest.mark.parametrize("n", [0, 1, 2, 100, 4508])
def test_a_permutation_without_torch_is_torchs(n: int) -> None:
    torch.manual_seed(7)
    assert torch_permutation(n, 7).tolist() == torch.randperm(n).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "fold_1").rename(f / "other"), "no folder fold_1"),
        (
            lambda f: (f / "fold_1" / "iemocap_test_fold_1.jsonl").unlink(),
            "0 files .*test_fold_1.jsonl; one was expected",
        ),
        (
            lambda f: (f / "fold_1" / "iemocap_test_fold_1.jsonl").write_text("{"),
            "line 1: is no JSON",
        ),
        (
            lambda f: (f / "fold_1" / "iemocap_test_fold_1.jsonl").write_text("[1]"),
            "line 1: is no row of EmoBox",
        ),
        (
            lambda f: (f / "fold_1" / "iemocap_test_fold_1.jsonl").write_text(
                '{"key": "iemocap-who", "dataset": "iemocap"}'
            ),
            "1 rows are not in corpus 'mini', first 'iemocap-who'",
        ),
        (
            lambda f: (f / "fold_1" / "iemocap_test_fold_1.jsonl").write_text('{"key": "u11"}'),
            "'u11' is in this fold twice",
        ),
    ],
)
def test_broken_files_are_named(
    tmp_path: Path, manifest: Manifest, change: Callable[[Path], object], message: str
) -> None:
    folder = emobox(tmp_path / "data", replace(manifest, table=manifest.table))
    change(folder)
    for path in folder.glob("fold_[23]"):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    with pytest.raises(FoldError, match=message):
        set_up(manifest, Request("emobox", files=folder))


# Plans that are drawn

GOLDEN = {
    ("split", "next"): "46eb638c80fb",
    ("leave-one-session-out", "next"): "d4a8d963665f",
    ("leave-one-session-out", "none"): "523eea88d914",
    ("speaker-kfold:3", "none"): "523eea88d914",
    ("session-holdout:3/2", "next"): "1aa03d93512a",
    ("leave-one-speaker-of-session-out", "next"): "bde57b39f076",
    ("leave-one-speaker-of-session-out", "partner"): "aabdba3e16c4",
    ("group-stratified-kfold:3", "next"): "168cdf99f8cd",
    ("group-stratified-kfold:3@1", "none"): "aabfaac9713c",
}


@pytest.mark.parametrize(("name", "valid"), GOLDEN)
def test_golden_digests(manifest: Manifest, name: str, valid: str) -> None:
    """Stores and results record these plans.

    Whoever changes one cuts them off from what is to come.
    """
    assert make_plan(manifest, name, valid).digest == GOLDEN[name, valid]


@st.composite
def corpora(draw: st.DrawFn) -> Manifest:
    """Rows of some groups, each group with one speaker, and both classes in many groups."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=6, max_size=12))
    groups = [f"g{g}" for g, size in enumerate(sizes) for _ in range(size + 2)]
    labels = [draw(st.sampled_from("xy")) for _ in groups]
    labels[:2] = ["x", "y"]
    for start in range(0, len(labels) - 1, 3):
        labels[start : start + 2] = ["x", "y"]
    return Manifest.from_columns(
        "m",
        {
            "id": [f"u{i}" for i in range(len(groups))],
            "label": labels,
            "group": groups,
            "text": ["t"] * len(groups),
        },
    )


@settings(max_examples=25, deadline=None)
@given(corpora(), st.integers(3, 5), st.sampled_from(["next", "none", "fifth"]), st.integers(0, 9))
def test_no_group_is_ever_torn(manifest: Manifest, k: int, valid: str, seed: int) -> None:
    for name in (f"group-stratified-kfold:{k}@{seed}", f"group-kfold:{k}", "leave-one-group-out"):
        try:
            plan = make_plan(manifest, name, valid)
        except FoldError as error:
            assert (
                "groups in training" in str(error)
                or "training row of class" in str(error)
                or "stratified" in str(error)
            )
            continue
        assert np.sum([fold.mask("test") for fold in plan], axis=0).tolist() == [1] * len(manifest)
        for fold in plan:
            for group in set(manifest.column("group").tolist()):
                assert len(set(fold.roles[manifest.column("group") == group].tolist())) == 1
        assert shared(plan, manifest) == {}
        assert make_plan(manifest, name, valid).digest == plan.digest


def dialogues(pairs: list[tuple[str, str]], turns: int = 6) -> Manifest:
    """A dialogue for each pair of speakers, in turns, both classes in each; no session."""
    rows = [(f"d{d}", pair[t % 2], t) for d, pair in enumerate(pairs) for t in range(turns)]
    manifest = Manifest.from_columns(
        "talks",
        {
            "id": [f"{dialogue}t{turn}" for dialogue, _, turn in rows],
            "label": ["x" if turn < turns // 2 else "y" for _, _, turn in rows],
            "group": [dialogue for dialogue, _, _ in rows],
            "speaker": [speaker for _, speaker, _ in rows],
            "text": ["t"] * len(rows),
        },
    )
    return replace(manifest, protocol=manifest.guess_protocol())


COUPLES = [(f"p{2 * (d % 6)}", f"p{2 * (d % 6) + 1}") for d in range(18)]


def test_dialogues_without_sessions_are_folded_by_what_hangs_together() -> None:
    manifest = dialogues(COUPLES)
    plan = make_plan(manifest)
    assert (plan.name, plan.valid) == ("leave-one-connected-out", "next")
    assert [fold.name for fold in plan] == [f"speaker p{2 * c}" for c in range(6)]
    assert shared(plan, manifest) == {}
    # before: the first tears every dialogue, the second shares every speaker
    with pytest.raises(FoldError, match=r"tears .*--folds connected-kfold:5"):
        make_plan(manifest, "leave-one-speaker-out")
    assert "train+test" in shared(make_plan(manifest, "group-kfold:6"), manifest)


def test_many_parts_are_five_folds_of_even_size() -> None:
    manifest = dialogues([(f"p{2 * c}", f"p{2 * c + 1}") for c in range(15) for _ in range(2)])
    plan = make_plan(manifest)
    assert plan.name == "connected-kfold:5"
    assert [int(fold.mask("test").sum()) for fold in plan] == [36] * 5


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (COUPLES + [(f"p{c}", f"p{c + 2}") for c in range(0, 10, 2)], "hang together.*in one part"),
        ([*COUPLES[:2] * 4, ("p0", "p9")], "hang together in 2 parts"),
    ],
)
def test_where_all_hangs_together_it_is_said(pairs: list[tuple[str, str]], message: str) -> None:
    manifest = dialogues(pairs)
    assert manifest.protocol == "connected-kfold:5"
    with pytest.raises(FoldError, match=f"{message}.*--folds group-kfold:5 keeps groups whole"):
        make_plan(manifest)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=12, max_size=30),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_connected_folds_share_neither_speakers_nor_groups_in_any_order_of_rows(
    pairs: list[tuple[int, int]], k: int, random: Random
) -> None:
    manifest = dialogues([(f"p{a}", f"p{b}") for a, b in pairs])
    order = list(range(len(manifest)))
    random.shuffle(order)
    other = replace(manifest, table=manifest.table.iloc[order].reset_index(drop=True))
    for name in (f"connected-kfold:{k}", f"connected-kfold:{k}@1", "leave-one-connected-out"):
        try:
            plan = make_plan(manifest, name, "none")
        except FoldError as error:
            assert re.search("hang together|are of one speaker", str(error))
            continue
        assert shared(plan, manifest) == {}
        assert np.sum([fold.mask("test") for fold in plan], axis=0).tolist() == [1] * len(manifest)
        for fold, again in zip(plan, make_plan(other, name, "none"), strict=True):
            assert fold.roles[order].tolist() == again.roles.tolist()


def test_speakers_who_validate_and_are_tested_have_a_rule_of_their_own(
    make_manifest: Make, tmp_path: Path
) -> None:
    manifest = make_manifest(group=[f"g{i // 2}" for i in range(12)], speaker=["s", "t"] * 6)
    plan = make_plan(manifest, "group-kfold:3")
    assert plan.valid == "next-shared"
    assert (
        set_up(manifest, Request(folds="group-kfold:3")).shared
        == "valid+test: speaker; train+test: speaker"
    )
    assert make_plan(manifest, "group-kfold:3", "next-shared").digest == plan.digest
    with pytest.raises(UsageError, match="ask for that by its own name, --valid next-shared"):
        set_up(manifest, Request(folds="group-kfold:3", valid="next"))
    plan.save(tmp_path / "plan.parquet")
    assert FoldPlan.load(tmp_path / "plan.parquet").valid == "next-shared"


def test_a_plan_that_shares_says_so_in_its_file(iemocap: Manifest, tmp_path: Path) -> None:
    plan = set_up(iemocap, Request("iemocap-speakers-partner")).plan
    plan.save(tmp_path / "plan.parquet")
    again = FoldPlan.load(tmp_path / "plan.parquet")
    assert (again.shares, again.digest) == (("valid+test",), plan.digest)
    again.check(iemocap)
    with pytest.raises(FoldError, match=r"tears \d+ groups apart"):
        replace(again, shares=()).check(iemocap)
    with pytest.raises(FoldError, match=r"only train\+valid, valid\+test may"):
        replace(again, shares=("train+test",))


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run python -m embeddings_store.folds.protocols_page"
    )


def test_rows_whose_speaker_nobody_knows_are_no_fold(make_manifest: Make) -> None:
    manifest = make_manifest(speaker=["ann", "bea", "cem", "unknown"] * 3, group=None)
    with pytest.raises(FoldError, match="needs a speaker for every row; 3 of 12 rows"):
        make_plan(manifest, "leave-one-speaker-out")
    assert (
        replace(manifest, table=manifest.table.assign(split="", session="")).guess_protocol() == ""
    )
