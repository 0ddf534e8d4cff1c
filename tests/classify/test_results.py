"""Result files read back as they were written, and tables are means of the rows they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from sklearn.metrics import precision_recall_fscore_support

from classify.evaluation.comparisons import declared
from classify.evaluation.metrics import COMPLETENESS, METRICS
from classify.evaluation.predictions import (
    PREDICTIONS,
    only_test_rows,
    read_parts,
    read_predictions,
)
from classify.experiment import run_grid
from classify.figures.results_folder import FinishedRun
from classify.grid.config import GridConfig
from classify.report.sentences.answer import answer
from classify.results.paper_tables import per_class_table
from classify.results.statistics_tables import (
    COMPARISONS,
    DECLARED_METRIC,
    STATISTICS,
    read_statistics,
    write_statistics,
)
from classify.results.table import SCHEMA, VOLATILE, ResultTable
from classify.results.text_overlap import SUBSETS_FILE, subsets_table, write_subsets
from classify.results.write import GridResult
from classify.terminal.grid import show_results
from classify.terminal.notes import headline
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreError


@pytest.fixture
def result(
    make_store: Callable[..., Path], tmp_path: Path, fast: dict[str, dict[str, float]]
) -> GridResult:
    store = make_store(missing={"audio": 3})
    return run_grid(
        GridConfig(
            store,
            tmp_path / "results",
            classifiers=("svm", "xgboost"),
            early=("concatenation",),
            late=("sum",),
            settings={"xgboost": fast["xgboost"]},
            jobs=1,
        )
    )


def read(result: GridResult, name: str) -> pd.DataFrame:
    return pd.read_csv(result.prepared.config.out / name)


def test_the_files_follow_from_each_other(result: GridResult) -> None:
    """One run, many looks: making the store and the grid is what takes time."""
    _csv_round_trip_is_the_identity(result)
    _tables_are_means_over_folds(result)
    _table_7_is_the_headline_cell(result)
    _predictions_give_the_metrics_again(result)
    _nothing_is_cut_where_the_output_is_no_terminal(result)


def _csv_round_trip_is_the_identity(result: GridResult) -> None:
    path = result.prepared.config.out / "grid.csv"
    again = ResultTable.read(path)
    pd.testing.assert_frame_equal(again.rows, result.table.rows, check_exact=True)
    before = path.read_bytes()
    again.write(path)
    assert path.read_bytes() == before
    assert list(SCHEMA)[-len(VOLATILE) :] == list(VOLATILE)


def _tables_are_means_over_folds(result: GridResult) -> None:
    rows = result.table.rows
    for name, family, row in (
        ("table4_unimodal.csv", "unimodal", "audio"),
        ("table5_early.csv", "early", "concatenation"),
        ("table6_late.csv", "late", "sum"),
    ):
        table = read(result, name)
        assert set(table["metric"]) == {*METRICS, *COMPLETENESS, "valid_WA", "valid_WA_all"}
        column = "modalities" if family == "unimodal" else "method"
        for metric in METRICS:
            line = table[(table["row"] == row) & (table["metric"] == metric)].iloc[0]
            part = rows[(rows["family"] == family) & (rows[column] == row)]
            by_fold = (
                part[part["classifier"].isin(("svm", "xgboost"))].groupby("fold")[metric].mean()
            )
            of_svm = part.loc[part["classifier"] == "svm", metric]
            assert line["svm"] == pytest.approx(100 * of_svm.mean(), abs=0.005)
            assert line["svm_sd"] == pytest.approx(100 * of_svm.std(ddof=1), abs=0.005)
            assert line["average"] == pytest.approx(100 * by_fold.mean(), abs=0.005)
            assert line["average_sd"] == pytest.approx(100 * by_fold.std(ddof=1), abs=0.005)
        chance = table[(table["row"] == "majority") & (table["metric"] == "WA")]
        assert chance["average"].item() == pytest.approx(
            100 * rows.loc[rows["classifier"] == "majority", "WA"].mean(), abs=0.005
        )


def _table_7_is_the_headline_cell(result: GridResult) -> None:
    table = read(result, "table7_per_class.csv")
    assert set(table["cell"]) == {result.table.headline}
    line = table[table["class"] == "all"].iloc[0]
    assert line["recall"] == pytest.approx(
        100
        * result.table.rows.loc[result.table.rows["cell"] == result.table.headline, "WA"].mean(),
        abs=0.005,
    )
    confusion = read(result, "confusion.csv")
    assert confusion.filter(like="predicted:").to_numpy().sum() == line["support"]


def _predictions_give_the_metrics_again(result: GridResult) -> None:
    table = pd.read_parquet(result.prepared.config.out / "predictions.parquet")
    right = (
        (table["y_true"].astype(str) == table["y_pred"].astype(str))
        .groupby([table["cell"], table["fold"], table["role"]], observed=True)
        .mean()
    )
    for _, row in result.table.rows.iterrows():
        for role, metric in (("test", "WA"), ("valid", "valid_WA"), ("train", "train_WA")):
            assert right[row["cell"], row["fold"], role] == pytest.approx(row[metric])
    scores = [c for c in table if c.startswith("score:")]
    assert scores == [f"score:{name}" for name in result.prepared.labels.classes]
    chances = table.loc[table["kind"] == "probability", scores].to_numpy()
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert set(table["kind"]) == {"probability", "margin"}


def _nothing_is_cut_where_the_output_is_no_terminal(result: GridResult) -> None:
    console = Console(width=200, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with console.file:
        show_results(result, console, verbose=True)
        text = console.export_text()
    assert "…" not in text
    for part in (
        "Table 4",
        "Table 5",
        "Table 6",
        "Table 7",
        "majority",
        "upper bound",
        "chance",
        "leave-one-session-out",
        "label set toy",
        "probe",
        "WA = accuracy",
        "verified",
        "lack a modality",
    ):
        assert part in text
    assert "SHUFFLED" not in text
    assert "not every fold tests every class" not in text


def test_a_table_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grid.csv"
    path.write_text("corpus,accuracy\nmine,0.5\n")
    with pytest.raises(StoreError, match="is not a table of results"):
        ResultTable.read(path)


def test_a_class_counts_in_the_folds_that_hold_it() -> None:
    folds = [(np.array([0, 0, 1]), np.array([0, 1, 1])), (np.array([0, 0]), np.array([0, 0]))]
    table = per_class_table(folds, ("sad", "happy")).set_index("class")
    assert table.loc["happy", "recall"] == 100.0
    assert table.loc["sad", "recall"] == 75.0
    assert table.loc["all", "support"] == 5
    weighted = np.mean(
        [
            precision_recall_fscore_support(*fold, average="weighted", zero_division=0)[:3]
            for fold in folds
        ],
        axis=0,
    )
    assert table.loc["all", ["precision", "recall", "F1"]].tolist() == pytest.approx(
        100 * weighted, abs=0.005
    )


def test_no_headline_is_said(result: GridResult) -> None:
    bare = ResultTable(
        result.table.rows.assign(flags=result.table.rows["flags"].replace("chosen_on_valid", ""))
    )
    bare = ResultTable(
        bare.rows.assign(flags=bare.rows["flags"].str.replace("chosen_on_valid ", ""))
    )
    assert bare.headline == ""
    assert headline(bare, None).startswith("no result")
    assert replace(result, table=bare).table.headline == ""


def test_a_run_never_reads_the_predictions_that_it_wrote_and_its_figures_are_those_of_the_file(
    make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[list[pa.Table]] = []

    def keep(parts: list[pa.Table], *arguments: object) -> pd.DataFrame:
        kept.append(parts)
        return subsets_table(parts, *arguments)  # type: ignore[arg-type]

    opened: list[Path] = []
    monkeypatch.setattr("classify.results.text_overlap.subsets_table", keep)
    monkeypatch.setattr(pq, "ParquetFile", _noting(pq.ParquetFile, opened))
    monkeypatch.setattr(pq, "read_table", _noting(pq.read_table, opened))
    monkeypatch.setattr(pd, "read_parquet", _noting(pd.read_parquet, opened))
    out = tmp_path / "results"
    config = GridConfig(
        make_store(missing={"audio": 3}),
        out,
        classifiers=("svm",),
        early=("concatenation",),
        late=("sum",),
        seeds=(0, 1),
        calibrate="temperature",
        jobs=1,
    )
    result = run_grid(config)
    assert [path for path in opened if Path(path).name == PREDICTIONS] == []

    stored = list(read_parts(out / PREDICTIONS))
    assert opened[-1] == out / PREDICTIONS  # so reading would have been seen
    assert only_test_rows(kept[0]).equals(only_test_rows(stored))
    from_file = read_predictions(out)
    written = (out / STATISTICS).read_bytes(), (out / COMPARISONS).read_bytes()
    write_statistics(from_file, declared(from_file), DECLARED_METRIC, tmp_path)
    assert ((tmp_path / STATISTICS).read_bytes(), (tmp_path / COMPARISONS).read_bytes()) == written
    subsets = (out / SUBSETS_FILE).read_bytes()
    about = result.table.rows.iloc[0].to_dict()
    write_subsets(out, stored, result.prepared.setup.view, ("train",), about)
    assert (out / SUBSETS_FILE).read_bytes() == subsets


def _noting(function: Callable[..., object], opened: list[Path]) -> Callable[..., object]:
    """Return the function, which notes what it was called with first."""

    def noting(source: Path | BinaryIO, *arguments: object, **options: object) -> object:
        # some readers are given an open file, others its path
        opened.append(source if isinstance(source, Path) else Path(source.name))
        return function(source, *arguments, **options)

    return noting


def test_where_a_fold_lacks_a_class_both_uars_stand_beside_each_other(
    make_store: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(apart=0.4)
    manifest = Manifest.load(store / "toy")
    table = manifest.table.copy()
    table.loc[(table["session"] == "S2") & (table["label"] == "sadness"), "label"] = "anger"
    replace(manifest, table=table).save(store / "toy")
    out = tmp_path / "lacking"
    result = run_grid(
        GridConfig(
            store,
            out,
            valid="none",
            classifiers=("svm",),
            early=("concatenation",),
            late=(),
            jobs=1,
        )
    )
    show_results(result, Console(width=4000, soft_wrap=True))
    told = capsys.readouterr().out
    rows = result.table.rows
    of_headline = rows[rows["cell"] == result.table.headline]
    statistics = read_statistics(out)[0]
    whole = statistics[(statistics["class"] == "") & (statistics["metric"] == "UAR")]
    pooled = float(whole.set_index("cell").loc[result.table.headline, "pooled"])
    over_folds = of_headline["UAR"].mean()
    assert abs(pooled - over_folds) > 0.001
    assert f"UAR of all test rows pooled {100 * pooled:.2f}" in told
    both = (
        f"UAR is {100 * over_folds:.1f} % as the mean over folds and {100 * pooled:.1f} % of all "
        "test rows pooled, because not every fold tests every class (sadness in 2 of 3 folds)"
    )
    assert both in told
    assert both in answer(FinishedRun.read(out)).tiles[1].reading
