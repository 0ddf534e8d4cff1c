"""A leak of every kind is caught by its own check and no other; a clean corpus raises none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classify.commands.run_fusion_grid import main as run_fusion_grid
from classify.leakage.checks import CHECKS, run_checks
from classify.leakage.finding import CAUTION, CLEAN, LEAK, NOT_CHECKED
from classify.results.table import read_results
from tests.classify.audits.planted import PLANTED, ROWS, Plan, first


def test_a_clean_corpus_has_neither_leak_nor_caution(clean: Plan, tmp_path: Path) -> None:
    audit = run_checks(clean.case(tmp_path))
    assert audit.verdict == CLEAN
    assert audit.having(LEAK) == audit.having(CAUTION) == []
    assert audit.having(NOT_CHECKED) == ["shuffled"]
    assert list(audit.findings) == list(CHECKS)


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_leak_is_found_by_its_own_check_alone(
    kind: str, clean: Plan, tmp_path: Path
) -> None:
    check, plant = PLANTED[kind]
    plant(clean)
    audit = run_checks(clean.case(tmp_path))
    assert audit.having(LEAK) == [check], {name: f.number for name, f in audit.findings.items()}
    assert audit.having(CAUTION) == []
    found = audit.findings[check]
    assert found.means and found.advice
    assert "LEAK" in audit.line() and found.number in audit.line()


def test_near_identical_transcripts_are_told_from_identical_ones(
    clean: Plan, tmp_path: Path
) -> None:
    one, other = first(clean.columns, "S1", 20), first(clean.columns, "S2", 20)
    copies = clean.columns["text"][one]
    copies[:8] = [text.replace("a", "e", 1) for text in copies[:8]]
    clean.columns["text"][other] = copies
    audit = run_checks(clean.case(tmp_path))
    shares = "16.7 % of test rows with near-identical ones, 10.0 % word for word"
    assert audit.findings["transcripts"].of_test_rows == shares
    caution = replace(audit.findings["transcripts"], verdict=CAUTION)
    assert f"transcripts ({shares})" in replace(audit, findings={"transcripts": caution}).line()


# a tenth of the numbers may hold two neighbouring classes
@pytest.mark.parametrize(("numbers", "right"), [(False, "100.0 %"), (True, "90.8 %")])
def test_a_safe_column_that_tells_the_label_is_said(
    numbers: bool, right: str, clean: Plan, tmp_path: Path
) -> None:
    labels = clean.columns["label"]
    values = np.array([f"because of {name}" for name in labels], dtype=object)
    if numbers:
        noise = np.random.default_rng(0).normal(size=len(labels))
        values = (np.unique(labels, return_inverse=True)[1] + 0.1 * noise).astype(str)
    clean.columns["meta_note"] = values
    manifest = replace(clean.manifest(), tags={"meta_note": "safe"})
    audit = run_checks(replace(clean.case(tmp_path), manifest=manifest))
    assert audit.having(LEAK) == [] and audit.having(CAUTION) == ["metadata"]
    found = audit.findings["metadata"]
    assert found.number.startswith(f"looking meta_note up is right on {right} of 240 test rows")
    assert "tag it leaky" in found.means


def test_a_safe_column_that_tells_nothing_is_clean(clean: Plan, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    clean.columns["meta_age"] = random.integers(20, 60, len(clean.columns["id"])).astype(str)
    manifest = replace(clean.manifest(), tags={"meta_age": "safe"})
    audit = run_checks(replace(clean.case(tmp_path), manifest=manifest))
    assert audit.having(CAUTION) == []


@pytest.mark.parametrize("placeholder", ["unknown", "UNK", "-", "?", "N/A"])
def test_people_whom_nobody_knows_are_not_one_person(
    placeholder: str, clean: Plan, tmp_path: Path
) -> None:
    for column in ("speaker", "group"):
        for session in ("S0", "S1", "S2", "S3"):
            clean.columns[column][first(clean.columns, session, 3)] = placeholder
    audit = run_checks(clean.case(tmp_path))
    assert audit.having(LEAK) == audit.having(CAUTION) == []
    assert audit.findings["speakers"].number.endswith("12 test rows name no speaker")
    assert audit.findings["groups"].number.endswith("12 rows name no group")


@pytest.mark.parametrize("name", ["Ann", ""])
def test_folds_by_sentence_are_no_leak_but_stamp_every_figure(
    name: str, clean: Plan, tmp_path: Path
) -> None:
    for column in ("speaker", "group", "session"):
        clean.columns[column] = np.full(ROWS, name, dtype=object)
    clean.protocol = clean.folds = "sentence-kfold:4"
    audit = run_checks(clean.case(tmp_path))
    assert audit.having(LEAK) == []
    assert audit.having(CAUTION) == (["speakers"] if name else [])
    assert "groups" in audit.having(NOT_CHECKED)
    quick = ["--classifiers", "svm", "--early", "none", "--late", "none", "--jobs", "1", "--quiet"]
    assert run_fusion_grid(["--store", str(tmp_path), "--out", str(tmp_path / "r"), *quick]) == 0
    assert read_results(tmp_path / "r").claim.text == "folds by sentence, not by speaker"


@pytest.mark.parametrize(("column", "check"), [("group", "groups"), ("speaker", "speakers")])
def test_names_that_are_blank_in_the_test_rows_alone_are_said(
    column: str, check: str, clean: Plan, tmp_path: Path
) -> None:
    clean.columns[column][first(clean.columns, "S2", 1000)] = ""
    clean.columns["split"] = np.where(clean.columns["session"] == "S2", "test", "train")
    clean.protocol = "split"
    audit = run_checks(clean.case(tmp_path))
    assert audit.having(LEAK) == [] and audit.having(CAUTION) == [check]
    assert audit.findings[check].number.endswith(
        "of them 60 test rows, though every training row has a name"
    )
