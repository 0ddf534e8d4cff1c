"""Labels with control characters: the report is made, and no terminal is steered by them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from classify.commands import compare_results, compare_systems
from classify.commands.make_report import main as make_report
from classify.commands.run_fusion_grid import main as run_fusion_grid
from embeddings_store import example, write_example_store

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


def test_labels_with_control_characters_are_shown_by_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example, "EMOTIONS", ("\x1b[31manger", "neu\x07tral", "sad\x9bness"))
    store, out = write_example_store(tmp_path), tmp_path / "r"
    grid = ["--store", str(store), "--out", str(out), "--classifiers", "svm", "--jobs", "1"]
    assert run_fusion_grid([*grid, "--early", "concatenation", "--late", "sum"]) == 0
    assert compare_systems.main([str(out)]) == 0
    assert compare_results.main([str(out), str(out), "--cell", "unimodal audio svm"]) == 0
    assert make_report([str(out), "--store", str(store)]) == 0
    told = capsys.readouterr()
    assert r"\x1b[31manger" in told.out and not STEERING.search(told.out + told.err)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert r"\x1b[31manger" in page and not STEERING.search(page)
    drawn = list((out / "figures").glob("*.svg"))
    for path in drawn:
        ElementTree.fromstring(path.read_text(encoding="utf-8"))
    assert any(r"neu\x07tral" in path.read_text(encoding="utf-8") for path in drawn)
