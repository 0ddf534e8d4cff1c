"""A resume that computes nothing writes nothing, unless it would write something else."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import classify.experiment
import classify.results.unchanged
from classify import GridConfig, run_grid


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows whenever a run writes its tables."""
    calls: list[str] = []
    real = classify.experiment.write_results
    monkeypatch.setattr(
        classify.experiment, "write_results", lambda *given: calls.append("") or real(*given)
    )
    return calls


@pytest.fixture
def config(make_store: Callable[..., Path], tmp_path: Path) -> GridConfig:
    store = make_store(widths={"audio": 4}, rows=45, split=True)
    return GridConfig(
        store=store, out=tmp_path / "out", classifiers=("svm",), early=(), late=(), jobs=1
    )


def states(folder: Path) -> dict[str, int]:
    """Return what files there are of results, and when each was written."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    taken = (".lock", "plan.parquet")  # before anything is computed
    return {str(path): path.stat().st_mtime_ns for path in files if path.name not in taken}


def test_a_resume_that_computes_nothing_writes_nothing(
    config: GridConfig, written: list[str]
) -> None:
    first = run_grid(config)
    before = states(config.out)
    again = run_grid(replace(config, jobs=2))
    assert len(written) == 1
    assert states(config.out) == before
    assert again.files == first.files
    assert again.table.rows.equals(first.table.rows)


def test_whatever_changes_is_written_again(
    config: GridConfig, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs(changed: GridConfig = config) -> int:
        before = len(written)
        run_grid(changed)
        return len(written) - before

    table, record = config.out / "confusion.csv", config.out / ".written.json"
    assert runs() == 1
    content = table.read_bytes()
    table.write_bytes(content.replace(b"anger", b"angry"))
    assert (runs(), table.read_bytes(), runs()) == (1, content, 0), "a file was altered"
    table.unlink()
    assert (runs(), table.read_bytes(), runs()) == (1, content, 0), "a file is gone"
    next((config.out / "cells").glob("*.npz")).unlink()
    assert (runs(), runs()) == (1, 0), "a finished cell is gone"
    other = replace(config, seeds=(1,))
    assert (runs(other), runs()) == (1, 1), "another option"
    vectors = next(config.store.rglob("*.h5"))
    os.utime(vectors, ns=(1, 1))
    assert (runs(), runs()) == (1, 0), "another file of vectors"
    text = record.read_text(encoding="utf-8")
    (config.out.parent / "secret.csv").write_bytes(content)
    record.write_text(text.replace('"confusion.csv"', '"../secret.csv"'), encoding="utf-8")
    assert (runs(), runs()) == (1, 0), "the list of files names others"
    record.write_text("{", encoding="utf-8")
    assert (runs(), runs()) == (1, 0), "nothing says what the files are made of"
    with monkeypatch.context() as killed:
        killed.setattr("classify.results.write._write_trials", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_grid(other)
    assert runs() == 1, "a run with other options was killed while it wrote"
    monkeypatch.setattr(classify.results.unchanged, "_program_digest", lambda: "another")
    assert (runs(), runs()) == (1, 0), "another version of the program"
