"""What a reader of a timeline should know: what was not heard, and what is unlike training."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from classify.bundle.bundle import Bundle
from classify.bundle.training_facts import SECONDS, read_seconds

if TYPE_CHECKING:
    import pandas as pd

CUT = "cut: "  # how extraction's caution begins
MUCH = 2.0  # so many times shorter or longer than nearly all rows of training is much


def remarks(bundle: Bundle, windows: pd.DataFrame) -> tuple[str, ...]:
    """Return what a reader should know of a file, a sentence each.

    Args:
        bundle: The model.
        windows: The windows of :class:`classify.labelling.timeline.Timeline`.
    """
    found = [_cut(bundle, windows), _unlike(bundle, windows), *_silent(bundle, windows)]
    return tuple(filter(None, found))


def _cut(bundle: Bundle, windows: pd.DataFrame) -> str:
    cut = windows["note"].str.contains(CUT, regex=False).to_numpy(dtype=bool)
    lengths_s = (windows["end_s"] - windows["start_s"]).to_numpy(dtype=np.float64)
    limits_s = [e.settings.get("max_duration_s") for e in bundle.encoders]
    known_s = [float(limit) for limit in limits_s if isinstance(limit, int | float)]
    if not cut.any() or not known_s:
        return ""
    lost_s = float((lengths_s[cut] - min(known_s)).sum())
    return (
        f"{int(cut.sum())} of {len(windows)} windows are longer than the {min(known_s):g} s that "
        f"the encoder is given: {lost_s:.1f} s of {lengths_s.sum():.1f} s were not heard; give "
        "--window-s"
    )


def _unlike(bundle: Bundle, windows: pd.DataFrame) -> str:
    """Say where windows are much shorter or longer than the rows of training."""
    usual_s = read_seconds(bundle.about.get(SECONDS, ""))
    if usual_s is None:
        return ""
    lengths_s = (windows["end_s"] - windows["start_s"]).to_numpy(dtype=np.float64)
    short = int((lengths_s * MUCH < usual_s[0]).sum())
    long = int((lengths_s > MUCH * usual_s[1]).sum())
    if not short and not long:
        return ""
    counts = {"shorter": short, "longer": long}
    how = " and ".join(f"{count} much {word}" for word, count in counts.items() if count)
    return (
        f"of {len(windows)} windows {how} than what the model was fitted on (nine in ten rows last "
        f"{usual_s[0]:g} to {usual_s[1]:g} s), so its accuracy says little about them; choose "
        "another --window-s"
    )


def _silent(bundle: Bundle, windows: pd.DataFrame) -> list[str]:
    """Say which modalities of the model answered no window."""
    named = set(re.split(r"\+", "+".join(windows["answered_by"])))
    absent = [modality for modality in bundle.modalities if modality not in named]
    return [f"{modality} answered no window" for modality in absent if named - {""}]
