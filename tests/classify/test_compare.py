"""``compare-systems`` and what the grid writes beside its tables.

Intervals by speaker and a declared family.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from classify.commands.compare_systems import main
from classify.evaluation.comparisons import declared
from classify.evaluation.metrics import METRICS
from classify.evaluation.predictions import read_predictions
from classify.experiment import run_grid
from classify.grid.config import GridConfig
from classify.results.statistics_tables import read_statistics
from classify.systems.definitions import read_systems
from classify.terminal.statistics import figure, sentence

CELLS = ("early concatenation audio+text svm", "unimodal text svm")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that one small run fills for all tests here."""
    return tmp_path_factory.mktemp("statistics")


@pytest.fixture
def run(results: Path, make_store: Callable[..., Path]) -> Path:
    if not (results / "grid.csv").is_file():
        run_grid(
            GridConfig(
                make_store(missing={"audio": 3}, rows=180),
                results,
                classifiers=("svm", "nn"),
                jobs=1,
                early=("concatenation", "sum"),
                late=("sum",),
                settings={"nn": {"epochs": 2.0, "units": 4.0}},
            )
        )
    return results


def test_every_cell_has_every_figure_and_the_interval_holds_it(run: Path) -> None:
    statistics, _ = read_statistics(run)
    grid = pd.read_csv(run / "grid.csv")
    assert set(statistics["cell"]) == set(grid["cell"])
    whole = statistics[statistics["class"] == ""]
    for name, of_cell in whole.groupby("cell"):
        assert set(of_cell["metric"]) >= set(METRICS)
        for metric in METRICS:
            line, folds = (
                of_cell[of_cell["metric"] == metric].iloc[0],
                grid.loc[grid["cell"] == name, metric],
            )
            assert (line["mean"], line["sd"]) == pytest.approx((folds.mean(), folds.std(ddof=1)))
            assert (
                0 < line["low"] < line["pooled"] < line["high"] < 1
                or "for every cluster" in line["note"]
            )
            assert (line["cluster_by"], line["clusters"]) == ("speaker", 3)
    by_class = statistics[statistics["class"] != ""]
    assert set(by_class["metric"]) == {"precision", "recall", "F1"}
    probes = whole[whole["cell"].str.endswith("probe")]
    assert (probes["metric"] == "ECE").sum() == probes["cell"].nunique() == 2
    assert probes.loc[probes["metric"] == "ECE", "low"].isna().all()


def test_the_family_is_chosen_on_valid_and_corrected_as_one(run: Path) -> None:
    _, table = read_statistics(run)
    grid = pd.read_csv(run / "grid.csv")
    valid = (
        (grid["valid_WA"] * grid["n_valid_scored"] / grid["n_valid"])
        .groupby(grid["cell"], sort=False)
        .mean()
        .round(12)
    )
    single = [c for c in valid.index if c.startswith("unimodal")]
    fused = table[table["family"] == "fused"]
    assert set(fused["second"]) == {valid[single].idxmax()}
    assert {tuple(c.split()[:2]) for c in fused["first"]} == {
        ("early", "concatenation"),
        ("early", "sum"),
        ("late", "sum"),
    }
    plain = valid[[c for c in valid.index if c.startswith("early concatenation")]].idxmax()
    strategies = table[table["family"] == "strategies"]
    assert set(strategies["second"]) == {plain} and plain not in set(strategies["first"])
    assert (table["p_holm"].dropna() >= table["p"].dropna()).all()
    assert table["family_size"].unique().tolist() == [table["p"].notna().sum()]


def test_rows_that_one_system_cannot_answer_are_left_out_and_counted(
    run: Path, tmp_path: Path
) -> None:
    assert main([str(run), "--pair", CELLS[0], "unimodal audio svm", "--out", str(tmp_path)]) == 0
    line = read_statistics(tmp_path)[1].iloc[0]
    assert (line["n_rows"], line["n_left_out"]) == (177, 3)


def test_a_named_pair_is_its_own_family(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), "--pair", *CELLS, "--metric", "UAR", "--out", str(tmp_path)]) == 0
    _, table = read_statistics(tmp_path)
    line = table.iloc[0]
    assert (len(table), line["metric"], line["family"]) == (1, "UAR", "pairs")
    statistics = read_statistics(tmp_path)[0].set_index(["cell", "metric", "class"])["pooled"]
    assert line["difference"] == pytest.approx(
        statistics[CELLS[0], "UAR", ""] - statistics[CELLS[1], "UAR", ""]
    )
    assert line["p"] == pytest.approx(line["p_holm"], nan_ok=True)
    assert line["models"] == "these fitted models"
    out = capsys.readouterr().out
    assert "Comparisons (UAR, test rows, by speaker)" in out and "McNemar (ignores speakers)" in out
    assert "by speaker), p for these fitted models" in out
    assert "p and Holm are for these fitted models" in out
    assert "the smallest difference that this corpus could have shown" in out


def test_a_comparison_names_the_smallest_difference_that_could_have_been_shown(
    run: Path, tmp_path: Path
) -> None:
    assert main([str(run), "--family", "fused", "--out", str(tmp_path)]) == 0
    _, table = read_statistics(tmp_path)
    tested = table[table["p"].notna() & (table["high"] < 1) & (table["low"] > -1)]
    assert len(tested)
    for _, line in tested.iterrows():
        degrees = line["effective_clusters"] - 1
        se = (line["high"] - line["low"]) / 2 / stats.t.ppf(0.975, degrees)
        if se > 1e-9:
            quantiles = stats.t.ppf(0.975, degrees) + stats.t.ppf(0.8, degrees)
            assert line["detectable"] == pytest.approx(quantiles * se)
    said = sentence(table.iloc[0])
    assert "for these fitted models" in said
    smallest = figure(table["detectable"].iloc[0])
    assert f"smallest difference that this corpus could have shown {smallest}" in said


def test_cells_are_listed_by_name(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), "--list"]) == 0
    assert set(CELLS) < set(capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--pair", "unimodal text svn", CELLS[0]], 2, "did you mean 'unimodal text svm'"),
        (["--pair", CELLS[0], CELLS[0]], 2, "is compared with itself"),
        (["--family", "fusd"], 2, "did you mean 'fused'"),
    ],
)
def test_what_does_not_exist_is_said_in_one_line(
    run: Path, arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), *arguments]) == status
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_a_folder_without_results_or_of_an_earlier_version_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 3
    (tmp_path / "grid.csv").write_bytes((run / "grid.csv").read_bytes())
    old = pd.read_parquet(run / "predictions.parquet").drop(columns=["speaker", "group", "session"])
    old.to_parquet(tmp_path / "predictions.parquet")
    assert main([str(tmp_path)]) == 3
    assert "names no speakers" in capsys.readouterr().err
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1 torn")
    assert main([str(tmp_path)]) == 3


def test_speakers_that_are_not_named_fall_back_to_groups_and_never_to_rows(
    run: Path, tmp_path: Path
) -> None:
    table = pd.read_parquet(run / "predictions.parquet")
    (tmp_path / "grid.csv").write_bytes((run / "grid.csv").read_bytes())
    table.assign(speaker="").to_parquet(tmp_path / "predictions.parquet")
    assert read_predictions(tmp_path).cluster_by == "group"
    assert main([str(tmp_path), "--cluster", "speaker"]) == 2
    table.assign(speaker="", group="", session="").to_parquet(tmp_path / "predictions.parquet")
    assert main([str(tmp_path)]) == 0
    statistics, comparisons = read_statistics(tmp_path)
    assert statistics["low"].isna().all() and comparisons["p"].isna().all()
    assert statistics["note"].str.contains("nothing tells which rows go together|binning").all()


def test_without_validation_rows_nothing_is_chosen_and_the_family_grows(
    run: Path, tmp_path: Path
) -> None:
    grid = pd.read_csv(run / "grid.csv").assign(n_valid=0, n_valid_scored=0, valid_WA=math.nan)
    grid.to_csv(tmp_path / "grid.csv", index=False)
    (tmp_path / "predictions.parquet").write_bytes((run / "predictions.parquet").read_bytes())
    pairs = declared(read_predictions(tmp_path), ["fused"])
    assert {p.second for p in pairs if p.first == CELLS[0]} == {
        "unimodal audio svm",
        "unimodal text svm",
    }
    assert len(pairs) == 3 * 2 * 2
    grid.loc[grid["cell"] == "late sum audio+text svm", "classifier"] = (
        "rule"  # which no single modality has
    )
    grid.to_csv(tmp_path / "grid.csv", index=False)
    rivals = {
        p.second
        for p in declared(read_predictions(tmp_path), ["fused"])
        if p.first == "late sum audio+text svm"
    }
    assert rivals == {"unimodal audio probe", "unimodal text probe"}


def test_the_family_chooses_as_the_grid_does_where_validation_rows_were_halved(
    run: Path, tmp_path: Path
) -> None:
    grid = pd.read_csv(run / "grid.csv")
    first, *others = grid["fold"].unique()
    single = grid["family"] == "unimodal"
    grid.loc[single, "valid_WA"] = 0.5
    # half as many rows choose in the first fold, and every fold counts the same
    grid.loc[grid["fold"] == first, ["n_choice", "n_valid_scored"]] //= 2
    grid.loc[(grid["cell"] == "unimodal audio svm") & (grid["fold"] == first), "valid_WA"] = 0.9
    grid.loc[(grid["cell"] == "unimodal text svm") & (grid["fold"] == others[0]), "valid_WA"] = 0.8
    grid.to_csv(tmp_path / "grid.csv", index=False)
    (tmp_path / "predictions.parquet").write_bytes((run / "predictions.parquet").read_bytes())
    assert {p.second for p in declared(read_predictions(tmp_path), ["fused"])} == {
        "unimodal audio svm"
    }


def test_a_system_that_somebody_wrote_down_is_compared_whatever_its_modalities(
    run: Path, tmp_path: Path
) -> None:
    grid = pd.read_csv(run / "grid.csv")
    grid.loc[grid["cell"] == "unimodal audio nn", ["family", "method"]] = ["system", "mine"]
    grid.to_csv(tmp_path / "grid.csv", index=False)
    (tmp_path / "predictions.parquet").write_bytes((run / "predictions.parquet").read_bytes())
    assert "unimodal audio nn" in {p.first for p in declared(read_predictions(tmp_path), ["fused"])}


SYSTEMS = ("mine = mean(nn(concat(audio)), nn(text))", "plain = nn(concat(audio, text))")


def test_subsets_of_a_system_ask_nothing_of_the_declared_family(
    tmp_path: Path, make_store: Callable[..., Path]
) -> None:
    """Holm would make the questions pay that were asked."""
    store, tables = make_store(rows=180, apart=0.5), []
    for subsets in (False, True):
        out = tmp_path / str(subsets)
        config = GridConfig(
            store,
            out,
            classifiers=("nn",),
            jobs=1,
            early=("concatenation",),
            late=(),
            systems=read_systems(SYSTEMS),
            subsets=subsets,
            settings={"nn": {"epochs": 2.0, "units": 4.0}},
        )
        run_grid(config)
        tables.append(read_statistics(out)[1])
    asked, with_subsets = tables
    columns = ["family", "first", "second", "difference", "p", "p_holm", "family_size"]
    pd.testing.assert_frame_equal(asked[columns], with_subsets[columns])
    cells = set(pd.read_csv(tmp_path / "True" / "grid.csv")["cell"])
    alone = {cell for cell in cells if cell.startswith("system mine") and "+" not in cell}
    assert len(alone) == 2  # they ran, and stand in the tables
    assert not alone & set(with_subsets["first"])


def test_two_names_of_one_computation_are_not_compared(
    tmp_path: Path, make_store: Callable[..., Path]
) -> None:
    systems = ("plain = nn(concat(audio, text))", "alone = mean(nn(text))")
    config = GridConfig(
        make_store(rows=180, apart=0.5),
        tmp_path,
        classifiers=("nn",),
        jobs=1,
        early=("concatenation",),
        late=(),
        systems=read_systems(systems),
        settings={"nn": {"epochs": 2.0, "units": 4.0}},
    )
    run_grid(config)
    table = read_statistics(tmp_path)[1]
    asked = set(zip(table["first"], table["second"], strict=True))
    best = "unimodal text nn"
    assert asked == {
        ("early concatenation audio+text nn", best),
        ("system plain audio+text nn", best),
    }
