"""Labelling a film of some minutes needs no more memory than one of seconds, and survives kills.

Two hours are measured by ``benchmarks/long_film.py``, with the same functions.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.long_film import Labelling, make_film, measure
from tests.classify.bundle.test_predict import model

__all__ = ["model"]  # the fixture
MORE_MIB = 200
MINUTES, KILLS = 1, 2


@pytest.mark.telling
def test_memory_stays_and_kills_are_of_no_account(model: Path, tmp_path: Path) -> None:
    clips = sorted(model.parent.glob("c*.wav"))
    make_film(tmp_path / "long.mp4", 60.0 * MINUTES, clips)
    make_film(tmp_path / "short.mp4", 10.0, clips)
    found = measure(Labelling(model, window_s=0.2), tmp_path, 60.0 * MINUTES, KILLS)
    assert found["windows"] == 300 * MINUTES
    assert found["kills"] >= 1  # a fast machine may end before the second
    assert found["same_timeline"]
    assert found["peak_mib"] < found["models_mib"] + MORE_MIB  # type: ignore[operator]
