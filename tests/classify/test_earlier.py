"""Another run into the same folder says what it removes, and that the report is stale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from classify.commands import audit_leakage, compare_systems
from classify.commands.make_report import main as make_report
from classify.commands.run_fusion_grid import main as run_fusion_grid
from classify.results.earlier import EarlierRun, run_digest, stale_report

MakeStore = Callable[..., Path]
QUICK = ["--jobs", "1", "--quiet"]
FUSED = ["--early", "concatenation", "--late", "sum"]


@pytest.mark.telling
def test_fewer_cells_are_told_and_so_is_a_stale_report(
    make_store: MakeStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("classify.report.make.draw", lambda *_: [])  # figures take the time
    store, out = make_store(), tmp_path / "r"
    grid = ["--store", str(store), "--out", str(out), *QUICK, "--classifiers", "svm"]

    def told(*more: str) -> list[str]:
        assert run_fusion_grid([*grid, *more]) == 0
        return capsys.readouterr().err.splitlines()

    assert told(*FUSED) == []
    assert make_report([str(out), "--quiet"]) == 0
    assert stale_report(out) == ""
    assert told(*FUSED) == []  # the same run again changes nothing
    assert compare_systems.main([str(out)]) == 0
    assert audit_leakage.main(["--store", str(store), "--results", str(out)]) == 0
    assert capsys.readouterr().err == ""
    assert told("--modalities", "audio") == [
        f"run-fusion-grid: {out}/grid.csv: 4 of 8 systems of the earlier run are not in this one "
        "and are removed from the tables: unimodal text svm, unimodal text probe, early "
        "concatenation audio+text svm, late sum audio+text svm; what was computed for them is "
        "kept in cells/",
        f"run-fusion-grid: {out}: removed tables of the earlier run: contributions.csv, "
        "table5_early.csv, table6_late.csv",
        f"run-fusion-grid: {out}/report.html and figures/ beside it are stale: they show an "
        f"earlier run than the tables; make them again with make-report {out}",
    ]
    (out / "figures").mkdir(exist_ok=True)
    (out / "figures" / "contributions.png").write_bytes(b"of the earlier run")
    # later, too, and by others
    assert compare_systems.main([str(out)]) == 0
    assert "report.html and figures/ beside it are stale" in capsys.readouterr().err
    assert make_report([str(out), "--quiet"]) == 0
    assert stale_report(out) == ""
    assert not list((out / "figures").glob("contributions.*"))  # which the earlier run had
    # another metric is another table of comparisons, which the report shows
    assert compare_systems.main([str(out), "--metric", "UAR", "--pair", *_two_cells()]) == 0
    assert "are stale" in capsys.readouterr().err
    # a report that is made anew is not stale, and one that says nothing of its run is
    assert told("--report", "--modalities", "audio") == []
    page = (out / "report.html").read_text(encoding="utf-8")
    (out / "report.html").write_text(page.replace('name="run"', 'name="other"'), encoding="utf-8")
    assert "are stale" in stale_report(out)


def _two_cells() -> list[str]:
    return ["unimodal audio svm", "unimodal audio probe"]


def test_folds_and_seeds_that_go_are_told(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = make_store(), tmp_path / "r"
    grid = ["--store", str(store), "--out", str(out), *QUICK, *FUSED, "--classifiers", "nn"]
    grid += ["--nn-epochs", "1"]
    assert run_fusion_grid([*grid, "--seed", "0,1"]) == 0
    capsys.readouterr()
    assert run_fusion_grid([*grid, "--seed", "1", "--folds", "session-holdout:S2/S1"]) == 0
    error = capsys.readouterr().err
    assert "1 of 2 seeds of the earlier run are not in this one" in error
    assert "2 of 3 folds of the earlier run are not in this one" in error
    assert EarlierRun.of(tmp_path).removed(tmp_path, EarlierRun.of(tmp_path).parts) == []


def test_the_digest_is_of_what_a_report_shows(tmp_path: Path) -> None:
    (tmp_path / "grid.csv").write_text("cell\na\n")
    (tmp_path / "audit.json").write_text('{"date": "2026-01-01", "checks": {}}')
    before = run_digest(tmp_path)
    (tmp_path / "audit.json").write_text('{"date": "2026-01-02", "checks": {}}')
    assert run_digest(tmp_path) == before
    (tmp_path / "audit.json").write_text('{"date": "2026-01-02", "checks": {"speakers": {}}}')
    assert run_digest(tmp_path) != before
    (tmp_path / "audit.json").unlink()
    assert len({before, run_digest(tmp_path)}) == 2
    (tmp_path / "subsets.csv").write_text("cell\n")
    assert stale_report(tmp_path) == ""  # there is no report
