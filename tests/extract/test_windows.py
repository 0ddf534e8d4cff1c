"""Fixed windows cover a recording from end to end."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from embeddings_store.errors import UsageError
from extract.windows.fixed import FixedWindows, window_media


@pytest.mark.parametrize(("window_s", "hop_s"), [(-1.0, 1.0), (1.0, 0.0), (1.0, 2.0)])
def test_windows_leave_no_gap(window_s: float, hop_s: float) -> None:
    with pytest.raises(UsageError, match=r"cannot be cut|leave gaps"):
        FixedWindows(window_s, hop_s)


def test_every_second_is_in_a_window() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        length_s, window_s = float(rng.uniform(0.1, 30)), float(rng.uniform(0.2, 6))
        spans = list(FixedWindows(window_s, window_s * float(rng.uniform(0.1, 1))).spans(length_s))
        assert spans[0][0] == 0 and spans[-1][1] == pytest.approx(length_s)
        assert all(after[0] <= before[1] for before, after in pairwise(spans))
        assert all(0 <= start < end <= length_s + 1e-6 for start, end in spans)


def test_what_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "nonsense.wav"
    path.write_text("nonsense")
    media = window_media([path], FixedWindows(), ["audio"])
    ((name, reason),) = media.failures
    assert name == "nonsense.wav" and "is torn" in reason
    assert media.manifest is None and name not in reason.split("(")[0]
