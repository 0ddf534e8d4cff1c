"""Rows of the plan that nothing can score are counted: in tables, in the choice, in the audit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.commands.audit_leakage import main as audit_leakage
from classify.commands.compare_results import main as compare_results
from classify.commands.compare_systems import main as compare_systems
from classify.commands.run_fusion_grid import main as run_fusion_grid
from classify.evaluation.means import first_best, mean_on_valid
from classify.figures.results_folder import FinishedRun
from classify.report.sentences.answer import answer
from classify.report.tables.every_system import all_systems
from classify.report.tables.paper_tables import paper_tables
from classify.results.published_figures import beside
from classify.results.selection import with_flags
from classify.results.table import CHOSEN, flagged_cell, read_results
from classify.single_system import run_system
from embeddings_store.commands.embeddings_store import main as embeddings_store
from embeddings_store.errors import StoreMismatchError

CLASSES = ("anger", "neutral", "sadness")
ROWS, SPEAKERS = 96, 4
PLANTED = 12
CELL = "unimodal text svm"


@dataclass(frozen=True, slots=True)
class Run:
    """What the public commands left.

    Attributes:
        out: The results folder.
        store: The store.
        text: What ``run-fusion-grid`` printed.
        status: Its exit status.
    """

    out: Path
    store: Path
    text: str
    status: int

    @property
    def cell(self) -> pd.DataFrame:
        """The rows of the one SVM."""
        rows = read_results(self.out).rows
        return rows[rows["cell"] == CELL]


def labels() -> np.ndarray:
    """Return the labels: equally many of each class for every speaker."""
    return np.array(CLASSES, dtype=object)[np.arange(ROWS) % len(CLASSES)]


def grid(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    lost: Sequence[int] = (),
    unlabelled: Sequence[int] = (),
    audio: bool = False,
    options: Sequence[str] = (),
) -> Run:
    """Import vectors of four speakers, some of them lost, and run the grid over them."""
    folder.mkdir()
    rng, label = np.random.default_rng(4), labels()
    codes = np.arange(ROWS) % len(CLASSES)
    table = pd.DataFrame(
        {
            "id": [f"u{row:03d}" for row in range(ROWS)],
            "speaker": [f"S{row * SPEAKERS // ROWS}" for row in range(ROWS)],
            "group": [f"d{row // 8}" for row in range(ROWS)],
        }
    )
    label[list(unlabelled)] = ""
    table.assign(label=label).to_csv(folder / "rows.csv", index=False)
    store = folder / "embeddings"
    for modality in ("text", "audio") if audio else ("text",):
        vectors = rng.normal(size=(len(CLASSES), 5))[codes] + 1.4 * rng.normal(size=(ROWS, 5))
        if modality == "text":
            vectors[list(lost)] = np.nan
        np.savez(folder / f"{modality}.npz", ids=table["id"].to_numpy(str), vectors=vectors)
        source = [str(folder / f"{modality}.npz"), "--rows", str(folder / "rows.csv")]
        wanted = ["--seen", "none", "--store", str(store), "--corpus", "toy"]
        assert embeddings_store(["import", *source, *wanted, "--modality", modality]) == 0
    capsys.readouterr()
    out = folder / "results"
    places = ["--store", str(store), "--out", str(out), "--folds", "speaker-kfold:4"]
    status = run_fusion_grid([*places, "--classifiers", "svm", "--jobs", "1", *options])
    printed = capsys.readouterr()
    return Run(out, store, printed.out + printed.err, status)


def hard_rows(run: Run) -> np.ndarray:
    """Return the rows that the SVM gets wrong, as numbers."""
    answers = pd.read_parquet(run.out / "predictions.parquet")
    answers = answers[(answers["cell"].astype(str) == CELL) & (answers["role"] == "test")]
    wrong = answers[answers["y_true"].astype(str) != answers["y_pred"].astype(str)]
    return np.sort(wrong["id"].str[1:].astype(int).to_numpy())


@pytest.fixture
def clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The run before anything is planted."""
    return grid(tmp_path / "clean", capsys)


def found(run: Run, name: str = "missing") -> dict[str, object]:
    """Return what the audit beside the results says of one check."""
    checks = json.loads((run.out / "audit.json").read_text(encoding="utf-8"))["checks"]
    return dict(checks[name])


def test_a_run_that_scores_everything_says_so_and_is_not_cluttered(clean: Run) -> None:
    assert clean.status == 0
    rows = read_results(clean.out).rows
    assert (rows[["coverage", "valid_coverage"]] == 1.0).all(axis=None)
    pd.testing.assert_series_equal(rows["WA_all"], rows["WA"], check_names=False)
    assert (rows["n_test"] == rows["n_scored"]).all()
    assert not rows[["n_missing", "n_unlabelled"]].any(axis=None)
    assert "coverage" not in clean.text and "WA_all" not in clean.text
    assert found(clean)["verdict"] == "clean"


@pytest.mark.parametrize("what", ["lost", "unlabelled"])
def test_hard_rows_that_vanish_are_counted_as_wrong(
    clean: Run, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hard = hard_rows(clean)
    gone = hard[:: len(hard) // PLANTED][:PLANTED]
    run = grid(tmp_path / "planted", capsys, **{what: gone})
    assert run.status == 0, run.text
    rows, before = run.cell, clean.cell
    # the plant works: accuracy rises though nothing was recognised better
    assert rows["WA"].mean() > before["WA"].mean() + 0.05
    assert rows["n_test"].tolist() == before["n_test"].tolist()
    assert (rows["n_test"] - rows["n_scored"]).sum() == PLANTED
    column = {"lost": "n_missing", "unlabelled": "n_unlabelled"}
    for name in column:
        assert rows[column[name]].sum() == (PLANTED if name == what else 0)
    share = rows["n_scored"] / rows["n_test"]
    assert rows["coverage"].tolist() == share.tolist()
    assert rows["WA_all"].tolist() == pytest.approx((rows["WA"] * share).tolist())
    assert found(run)["verdict"] == "caution"
    assert found(run)["share"] == PLANTED / ROWS
    _every_table_says_so(run)


def _every_table_says_so(run: Run) -> None:
    covered, of_all = 100 * run.cell["coverage"].mean(), 100 * run.cell["WA_all"].mean()
    table4 = pd.read_csv(run.out / "table4_unimodal.csv")
    of_text = table4[table4["row"] == "text"].set_index("metric")["svm"]
    assert of_text["coverage"] == pytest.approx(covered, abs=0.01)
    assert of_text["WA_all"] == pytest.approx(of_all, abs=0.01)
    table7 = pd.read_csv(run.out / "table7_per_class.csv").set_index("class")
    rows = read_results(run.out)
    headline = rows.rows[rows.rows["cell"] == rows.headline]
    assert table7.loc["all", "planned"] == ROWS
    assert table7.loc["all", "WA_all"] == pytest.approx(100 * headline["WA_all"].mean(), abs=0.01)
    statistics = pd.read_csv(run.out / "statistics.csv")
    of_cell = statistics[statistics["cell"] == CELL].iloc[0]
    assert (of_cell["n_test"], of_cell["n_rows"]) == (ROWS, ROWS - PLANTED)
    assert of_cell["coverage"] == (ROWS - PLANTED) / ROWS
    assert of_cell["WA_all"] == pytest.approx(of_cell["pooled"] * of_cell["coverage"])
    # the line of the result, the tables, and what stands under them
    result = next(line for line in run.text.splitlines() if line.startswith("result:"))
    assert f"coverage {100 * headline['coverage'].mean():.2f}" in result
    assert f"WA_all {100 * headline['WA_all'].mean():.2f}" in result
    assert "avg WA_all" in run.text and "cautions: missing (12.5 % of test rows)" in run.text
    finished = FinishedRun.read(run.out)
    for table in (*paper_tables(finished), all_systems(finished)):
        assert {"coverage", "WA all"} <= set(table.columns), table.title
    first = answer(finished)
    assert "(WA_all, coverage 87.5 %)" in first.sentence
    assert any("12 of 96 test utterances of the plan are not scored" in w for w in first.warnings)


def test_commands_that_show_results_say_how_many_rows_these_are_of(
    clean: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = grid(tmp_path / "planted", capsys, lost=hard_rows(clean)[:PLANTED:2])
    assert compare_results([str(clean.out), str(run.out), "--cell", CELL]) == 0
    shown = {
        line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line
    }
    assert shown["n_scored"] == ["96", "90"] and shown["n_test"] == ["96", "96"]
    assert shown["coverage"] == ["%", "100.00", "93.75"]
    assert shown["WA_all"][2] == f"{100 * run.cell['WA_all'].mean():.2f}"
    found = run_system("svm(text)", run.store, folds="speaker-kfold:4", jobs=1)
    assert found.coverage == pytest.approx(90 / 96)
    assert found.accuracy_of_all == pytest.approx(float(run.cell["WA_all"].mean()))
    assert "coverage 93.8 %, WA_all" in repr(found)
    places = ["--store", str(run.store), "--out", str(tmp_path / "dry")]
    assert run_fusion_grid([*places, "--folds", "speaker-kfold:4", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "of 24" in text and "cautions: missing (6.2 % of test rows)" in text


@pytest.mark.parametrize("figure", ["coverage", "WA_all"])
def test_a_table_whose_coverage_was_changed_is_refused(clean: Run, figure: str) -> None:
    table = pd.read_csv(clean.out / "grid.csv", dtype=str, keep_default_na=False)
    table.loc[0, figure] = "0.123"
    table.to_csv(clean.out / "grid.csv", index=False)
    with pytest.raises(StoreMismatchError, match=f"{figure} is 0.123, but the answers"):
        read_results(clean.out)


def test_missing_that_tells_the_label_is_a_leak(
    clean: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_anger = np.flatnonzero(labels() == "anger")[::2][:PLANTED]
    run = grid(tmp_path / "leak", capsys, lost=of_anger)
    assert run.status == 3
    assert "refused: missing: 12 of 96 test rows" in run.text
    assert "100.0 % are anger" in run.text
    out = ["--store", str(run.store), "--folds", "speaker-kfold:4"]
    assert audit_leakage(out) == 3
    assert "leak: missing" in capsys.readouterr().out
    accepted = grid(tmp_path / "accepted", capsys, lost=of_anger, options=["--accept", "missing"])
    assert accepted.status == 0
    assert "missing (accepted by --accept)" in accepted.text


def test_comparisons_are_on_common_rows_and_say_of_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = np.arange(0, ROWS, 7)
    run = grid(tmp_path / "two", capsys, lost=lost, audio=True)
    assert run.status == 0, run.text
    both = ROWS - len(lost)
    pair = ["--pair", "unimodal audio svm", CELL]
    assert compare_systems([str(run.out), *pair]) == 0
    assert f"{both} of {ROWS}" in capsys.readouterr().out
    line = pd.read_csv(run.out / "comparisons.csv").iloc[0]
    assert (line["n_rows"], line["n_test"]) == (both, ROWS)
    right = {cell: FinishedRun.read(run.out).right(cell) for cell in (CELL, "unimodal audio svm")}
    common = right[CELL].index
    difference = right["unimodal audio svm"].loc[common].mean() - right[CELL].mean()
    assert line["difference"] == pytest.approx(difference)


def test_a_cell_gains_nothing_by_rows_that_it_lacks_whoever_chooses(clean: Run) -> None:
    rows = pd.DataFrame(
        {
            "cell": ["few", "all"],
            "family": ["unimodal", "unimodal"],
            "modalities": ["audio", "text"],
            "method": "",
            "classifier": "svm",
            "n_valid": 10,
            "valid_WA": [1.0, 0.8],
            "n_test": 10,
            "n_scored": 10,
            "WA": [0.5, 0.4],
            "n_valid_scored": [6, 10],
            "n_choice": [10, 10],
        }
    )
    assert first_best(mean_on_valid(rows).to_dict()) == "all"
    assert flagged_cell(with_flags(rows, "valid"), CHOSEN) == "all"
    assert replace(FinishedRun.read(clean.out), rows=rows).best_single() == "all"
    record = {"metric": "WA", "class": "", "value": "70", "fusion": "", "classifier": "another"}
    both = rows.assign(modalities="text")
    assert beside(pd.DataFrame([record | {"modalities": "text"}]), both)["our_cell"].item() == "all"
