"""The two tables as data.

Every row is whole, names a corpus that can occur, and is found under each of its spellings.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from classify.leakage.checks import CHECKS, run_checks
from classify.leakage.facts import contaminations, designs, is_corpus
from extract.corpora import corpus_names
from tests.classify.audits.planted import Plan

GERMAN = "padmalcom/wav2vec2-large-emotion-detection-german"


def test_every_row_of_the_tables_is_whole() -> None:
    assert contaminations() and designs()
    for row in contaminations():
        assert row.corpus in corpus_names() and row.trained in ("encoder", "head")
        assert row.hub_id.count("/") == 1 and row.rows and row.source.startswith("https://")
    for design in designs():
        assert (
            design.corpus in corpus_names()
            and CHECKS[design.check].acceptable
            and design.why
            and design.source
        )
    assert len({(r.hub_id, r.corpus) for r in contaminations()}) == len(contaminations())
    assert len({(d.corpus, d.check) for d in designs()}) == len(designs())


@pytest.mark.parametrize(
    ("name", "key", "same"),
    [
        ("iemocap", "iemocap", True),
        ("iemocap-4", "iemocap", True),
        ("my-iemocap", "iemocap", False),
        ("CREMA-D", "cremad", True),
        ("crema_d_faces", "cremad", True),
        ("emo-db", "emodb", True),
        ("mosei", "mosi", False),
    ],
)
def test_names_of_corpora(name: str, key: str, same: bool) -> None:
    assert is_corpus(name, key) is same


@pytest.mark.parametrize("source", [GERMAN, GERMAN.rpartition("/")[2]])
def test_an_encoder_is_known_by_hub_id_and_by_folder(
    source: str, clean: Plan, tmp_path: Path
) -> None:
    clean.name, clean.attributes = "emodb", {"provenance": {"encoder_source": source}}
    found = run_checks(clean.case(tmp_path)).findings["contamination"]
    assert (
        found.verdict == "leak"
        and "padmalcom" in found.number
        and found.examples[0].startswith("https://huggingface.co/")
    )


def test_another_corpus_is_not_contaminated(clean: Plan, tmp_path: Path) -> None:
    clean.attributes = {"provenance": {"encoder_source": GERMAN}}
    assert run_checks(clean.case(tmp_path)).findings["contamination"].verdict == "clean"


def test_a_frozen_encoder_under_a_trained_head_is_a_caution(clean: Plan, tmp_path: Path) -> None:
    clean.name, clean.attributes = (
        "iemocap",
        {"provenance": {"encoder_source": "superb/hubert-large-superb-er"}},
    )
    found = run_checks(clean.case(tmp_path)).findings["contamination"]
    assert found.verdict == "caution" and "only its head" in found.means


def test_declared_rows_that_are_not_tested_are_a_caution(clean: Plan, tmp_path: Path) -> None:
    clean.name, clean.attributes = "emodb", {"provenance": {"encoder_source": GERMAN}}
    clean.folds = clean.protocol = "split"
    clean.columns["split"] = clean.columns["session"].copy()
    clean.columns["split"][:] = ["test" if s == "S0" else "train" for s in clean.columns["session"]]
    clean.seen[:] = ["no" if s == "S0" else "fit" for s in clean.columns["session"]]
    audit = run_checks(clean.case(tmp_path))
    assert audit.findings["contamination"].verdict == "caution"
    assert audit.verdict == "caution"


def test_nobody_knows_an_imported_encoder_without_a_name(clean: Plan, tmp_path: Path) -> None:
    case = clean.case(tmp_path)
    imported = replace(case.files[0], ref=replace(case.files[0].ref, name="imported-audio"))
    assert (
        run_checks(replace(case, files=[imported])).findings["contamination"].verdict
        == "not checked"
    )
