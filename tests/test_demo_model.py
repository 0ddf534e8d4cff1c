"""How the demo's end counts: by the window in a turn's middle, windows across a boundary apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.demo_model import HOP_S, SEED, WINDOW_S, compared, label_of, windows_of
from extract.corpora.demo_release import DemoTurn, draw

TURN = DemoTurn("Ses01F_impro01_F000", "ang", "anger", {}, 1.0, 2.0)


def timeline(end_s: float) -> pd.DataFrame:
    starts = HOP_S * np.arange(int((end_s - WINDOW_S) / HOP_S) + 1)
    return pd.DataFrame({"start_s": starts, "end_s": starts + WINDOW_S, "label": "sadness"})


def test_a_turn_has_the_label_of_the_window_in_its_middle() -> None:
    table = timeline(3.0)
    middle = round((1.5 - WINDOW_S / 2) / HOP_S)
    table.loc[middle, "label"] = "anger"
    assert label_of(TURN, table) == "anger"
    found = windows_of(TURN, table)
    assert found["inside"] == (1, 3)  # those that begin at 1.0, 1.1 and 1.2 s
    assert found["across"][0] == 0 and found["across"][1] in (7, 8)


def test_labels_that_are_all_right_are_all_counted(tmp_path: Path) -> None:
    for dialogue in draw(SEED):
        table = timeline(dialogue.end_s)
        for turn in dialogue.turns:
            middles = (table["start_s"] + table["end_s"]) / 2
            own = (middles >= turn.start_s) & (middles <= turn.end_s)
            table.loc[own, "label"] = turn.label
        folder = tmp_path / "Session1" / f"{dialogue.id}.wav"
        folder.mkdir(parents=True)
        table.to_csv(folder / "timeline.csv", index=False)
    said = compared(tmp_path)
    assert f"600 turns of seed {SEED}" in said and "100.0 % right by the window" in said
    assert "windows inside one turn: 100.0 %" in said
