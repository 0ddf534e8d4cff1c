"""Names that are one to a person: told, with examples, and a leak where something else agrees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classify.leakage.checks import run_checks
from classify.leakage.finding import CAUTION, CLEAN, LEAK
from embeddings_store.corpus.plain_names import SPLIT_WORDS, plain_name
from embeddings_store.folds.rules import SPLIT_ROLES
from tests.classify.audits.planted import ROWS, Plan, first


def _spelled(column: str, known: str, tested: str) -> Callable[[Plan], None]:
    """Plant a name into five rows of one session, and another way to write it into five of S2."""

    def plant(plan: Plan) -> None:
        if column not in plan.columns:
            plan.columns[column] = np.full(ROWS, "", dtype=object)
        plan.columns[column][first(plan.columns, "S0", 5)] = known
        plan.columns[column][first(plan.columns, "S2", 5)] = tested

    return plant


def _windows(*ways: str, folder: str = "") -> Callable[[Plan], None]:
    """Make every row a window of one of 60 videos, named in one of some ways; no group is named."""

    def plant(plan: Plan) -> None:
        way = [
            ways[row % len(ways)].format(video=row // 4, n=row % 4 + 1, a="abcd"[row % 4])
            for row in range(ROWS)
        ]
        plan.columns["group"][:] = ""
        if folder:
            plan.columns["audio"] = np.array([f"{folder}/{name}.wav" for name in way], dtype=object)
            plan.columns["audio"][0] = ""
        else:
            plan.columns["id"] = np.array(way, dtype=object)

    return plant


def _files_per_split(plan: Plan) -> None:
    rows, others = first(plan.columns, "S0", 5), first(plan.columns, "S2", 5)
    plan.columns["audio"][rows] = [f"train/vid{i}.wav" for i in range(5)]
    plan.columns["audio"][others] = [f"test/vid{i}.wav" for i in range(5)]


def _joined(plan: Plan) -> None:
    """Two corpora with the same people, each with its name before ids and speakers."""
    corpus = np.where(np.isin(plan.columns["session"], ["S0", "S1"]), "acted", "elicited")
    person = np.where(np.isin(plan.columns["session"], ["S0", "S2"]), "Ann", "Ben")
    plan.columns["speaker"] = np.array(
        [f"{name}_{who}" for name, who in zip(corpus, person, strict=True)], dtype=object
    )
    ids = zip(corpus, plan.columns["id"], strict=True)
    plan.columns["id"] = np.array([f"{name}_{row}" for name, row in ids], dtype=object)
    plan.columns["group"][:] = ""


PLANTS = {
    "blank before": (_spelled("speaker", "spk1", " spk1"), "names", "' spk1' and 'spk1'"),
    "case": (_spelled("speaker", "spk1", "SPK1"), "names", "'SPK1' and 'spk1'"),
    "leading nought": (_spelled("speaker", "spk1", "spk01"), "names", "'spk01' and 'spk1'"),
    "separator": (_spelled("speaker", "spk1", "spk_1"), "names", "'spk_1' and 'spk1'"),
    "split": (
        _spelled("speaker", "train_spk1", "test_spk1"),
        "names",
        "'test_spk1' and 'train_spk1'",
    ),
    "group's case": (_spelled("group", "DIA7", "dia7"), "names", "'dia7' and 'DIA7'"),
    "group's split": (
        _spelled("group", "train/dia7", "test/dia7"),
        "names",
        "'test/dia7' and 'train/dia7'",
    ),
    "actor": (_spelled("meta_actor", "Jo", "Jo"), "names", "'Jo' and 'Jo'"),
    "speaker id": (_spelled("meta_speaker_id", "spk7", "spk7"), "names", "'spk7' and 'spk7'"),
    "files per split": (_files_per_split, "names", "'test/vid0.wav' and 'train/vid0.wav'"),
    "joined corpora": (_joined, "names", "'elicited_Ann' and 'acted_Ann'"),
    "vid12_3": (_windows("vid{video}_{n}"), "videos", "vid0_2 and vid0_1"),
    "vid12a": (_windows("vid{video}{a}"), "videos", "vid0b and vid0a"),
    "w3_vid12": (_windows("w{n}_vid{video}"), "videos", "w2_vid0 and w1_vid0"),
    "vid12_3_of_6": (_windows("vid{video}_{n}_of_6"), "videos", "vid0_2_of_6 and vid0_1_of_6"),
    "vid12[3]": (_windows("vid{video}[{n}]"), "videos", "vid0[2] and vid0[1]"),
    "vid12_0.0_2.5": (
        _windows("vid{video}_{n}.0_{n}.5"),
        "videos",
        "vid0_2.0_2.5 and vid0_1.0_1.5",
    ),
    "files of windows": (
        _windows("vid{video}_{n}", folder="wav"),
        "videos",
        "wav/vid1_1 and wav/vid1_2",
    ),
}


@pytest.mark.parametrize("kind", PLANTS)
def test_a_name_that_agrees_only_to_a_person_is_a_caution(
    kind: str, clean: Plan, tmp_path: Path
) -> None:
    plant, check, example = PLANTS[kind]
    plant(clean)
    audit = run_checks(clean.case(tmp_path))
    assert audit.having(LEAK) == [] and audit.having(CAUTION) == [check], audit.line()
    one, other = example.split(" and ")
    shown = audit.findings[check].examples
    assert example in shown or f"{other} and {one}" in shown


@pytest.mark.parametrize("column", ["meta_dialogue_id", "meta_video_name", "meta_filename"])
def test_a_column_of_names_that_no_check_reads_is_a_caution(
    column: str, clean: Plan, tmp_path: Path
) -> None:
    clean.columns["group"][:] = ""
    clean.columns[column] = np.array([f"piece{i // 8}" for i in range(ROWS)], dtype=object)
    found = run_checks(clean.case(tmp_path)).findings["names"]
    assert found.verdict == CAUTION and found.share == 1.0
    assert f"share {column} with rows that train or validate" in found.number


def test_labels_in_several_spellings_are_a_caution_and_said(clean: Plan, tmp_path: Path) -> None:
    labels = clean.columns["label"]
    angry = np.flatnonzero(labels == "anger")
    labels[angry[::3]], labels[angry[1::3]] = "ANGER", "anger "
    audit = run_checks(clean.case(tmp_path))
    assert audit.having(LEAK) == [] and audit.having(CAUTION) == ["names"]
    assert audit.findings["names"].examples == ("'ANGER', 'anger', 'anger '",)
    assert any("look like one word" in note for note in clean.manifest().notes)


def test_two_spellings_are_a_leak_where_rare_sentences_agree_too(
    clean: Plan, tmp_path: Path
) -> None:
    _spelled("speaker", "spk1", "SPK1")(clean)
    known, tested = first(clean.columns, "S0", 2), first(clean.columns, "S2", 2)
    clean.columns["text"][tested] = clean.columns["text"][known]
    audit = run_checks(clean.case(tmp_path))
    assert audit.having(LEAK) == ["names"], audit.line()
    assert (
        "4 of these rows have the same input, recording or rare" in audit.findings["names"].number
    )


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("meta_actor_age", [f"{20 + i % 30}" for i in range(ROWS)]),
        ("meta_recording", [("studio", "phone")[i % 2] for i in range(ROWS)]),
        ("meta_dialogue_id", [str(i % 9) for i in range(ROWS)]),  # beside the column group
    ],
)
def test_columns_that_name_nobody_are_clean(
    column: str, values: list[str], clean: Plan, tmp_path: Path
) -> None:
    clean.columns[column] = np.array(values, dtype=object)
    assert run_checks(clean.case(tmp_path)).findings["names"].verdict == CLEAN


def test_numbers_that_tell_the_speaker_are_no_windows(clean: Plan, tmp_path: Path) -> None:
    """RAVDESS ends its names with the actor's number."""
    clean.columns["group"][:] = ""
    number = np.unique(clean.columns["speaker"], return_inverse=True)[1]
    clean.columns["id"] = np.array(
        [f"take{row // 8}-{number[row]:02d}" for row in range(ROWS)], dtype=object
    )
    assert run_checks(clean.case(tmp_path)).findings["videos"].verdict == CLEAN


def test_a_splits_words_are_all_no_names() -> None:
    assert set(SPLIT_ROLES) - {""} <= SPLIT_WORDS
    assert plain_name("ตาย") != plain_name("ตาม")  # marks and letters of any script count
