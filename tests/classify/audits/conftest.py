"""The corpus that every test of the audit starts from."""

from __future__ import annotations

import pytest

from tests.classify.audits.planted import Plan


@pytest.fixture
def clean() -> Plan:
    """A corpus in which no check finds anything."""
    return Plan()
