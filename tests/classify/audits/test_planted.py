"""A leak of every kind is caught by its own check and no other; a clean corpus raises none."""

from __future__ import annotations

from pathlib import Path

import pytest

from classify.leakage.checks import CHECKS, run_checks
from classify.leakage.finding import CAUTION, CLEAN, LEAK, NOT_CHECKED
from tests.classify.audits.planted import PLANTED, Plan


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
