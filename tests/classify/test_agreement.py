"""Changed, cut and damaged results are told in one line by every reader, and never used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classify.commands import audit_leakage, compare_results, compare_systems, show_benchmarks
from classify.commands.make_report import main as make_report
from classify.evaluation.agreement import check_agreement, check_folder
from classify.evaluation.metrics import summary
from classify.evaluation.predictions import read_predictions
from classify.experiment import run_grid
from classify.figures.results_folder import FinishedRun
from classify.grid.config import GridConfig
from classify.leakage.checks import Audit
from classify.results.table import SCHEMA, read_results
from embeddings_store import write_example_store
from embeddings_store.errors import StoreError, StoreMismatchError

CELL = "unimodal audio svm"
AGAIN = "run the same run-fusion-grid command again, finished cells are kept"
Damage = Callable[[pd.DataFrame], pd.DataFrame]


CONFIG = GridConfig(
    classifiers=("svm",), early=("concatenation",), late=("sum",), seeds=(0, 1), jobs=1
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two seeds, as it was written."""
    folder = tmp_path_factory.mktemp("whole")
    store = write_example_store(folder / "embeddings")
    out = folder / "results"
    run_grid(replace(CONFIG, store=store, out=out))
    return out


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    shutil.copytree(whole.parent / "embeddings", tmp_path / "embeddings")
    return Path(shutil.copytree(whole, tmp_path / "r"))


def changed(column: str, value: object) -> Damage:
    """Return what sets one cell of the table."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[rows["cell"] == CELL, column] = [
            value,
            *rows.loc[rows["cell"] == CELL, column][1:],
        ]
        return rows

    return change


def without_a_row(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~((rows["cell"] == CELL) & (rows["fold"] == "2") & (rows["seed"] == "1"))]


def with_a_cell_more(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows, rows[rows["cell"] == CELL].assign(cell="early magic audio+text svm")])


CHANGES: dict[str, tuple[Damage, str]] = {
    "raised WA": (changed("WA", "0.999"), f"{CELL}, fold 1, seed 0: WA is 0.999, but the answers"),
    "raised UAR": (changed("UAR", "0.999"), f"{CELL}, fold 1, seed 0: UAR is 0.999"),
    "no WA": (changed("WA", ""), f"{CELL}, fold 1, seed 0: WA is "),
    "fewer rows scored": (changed("n_scored", "3"), "n_scored is 3"),
    "lost rows": (without_a_row, f"{CELL}, fold 2, seed 1 is in predictions.parquet and not in"),
    "added rows": (with_a_cell_more, "early magic audio+text svm, fold 1, seed 0 is in grid.csv"),
}


def commands(results: Path) -> dict[str, tuple[Callable[[list[str]], int], list[str]]]:
    """Return every command that reads results, with its arguments."""
    folder = str(results)
    store = ["--store", str(results.parent / "embeddings" / "example-store")]
    return {
        "compare-results": (compare_results.main, [folder, folder, "--cell", CELL]),
        "compare-systems": (compare_systems.main, [folder]),
        "show-benchmarks": (
            show_benchmarks.main,
            ["--compare", folder, "--corpus", "iemocap", "--metric", "WA"],
        ),
        "make-report": (make_report, [folder, *store]),
        "audit-leakage": (audit_leakage.main, ["--results", folder, *store]),
    }


def refusal(results: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return what all commands say, without their names, once each has refused with one line."""
    said = set()
    for name, (command, arguments) in commands(results).items():
        assert command(arguments) == 3, name
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1 and AGAIN in error, error
        said.add(error.removeprefix(f"{name}: "))
    return said


@pytest.mark.parametrize("name", CHANGES)
def test_every_reader_tells_what_predictions_say_otherwise(
    name: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = CHANGES[name]
    path = results / "grid.csv"
    change(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)
    for line in refusal(results, capsys):
        assert message in line and str(path) in line
    for read in (read_results, read_predictions, FinishedRun.read):
        with pytest.raises(StoreMismatchError, match=r"predictions\.parquet"):
            read(results)


def test_what_was_not_changed_is_read(results: Path) -> None:
    assert len(read_results(results).rows) == len(FinishedRun.read(results).rows)
    assert CELL in read_predictions(results).cells
    # another writer, with row groups of its own and words in the place of codes
    table = pq.read_table(results / "predictions.parquet").to_pandas().astype({"cell": str})
    table.sample(frac=1, random_state=0).to_parquet(
        results / "predictions.parquet", row_group_size=100
    )
    check_folder(results, read_results(results).rows)
    (results / "predictions.parquet").unlink()
    assert len(read_results(results).rows)  # there is nothing to hold it against


def test_figures_of_many_folds_and_classes_are_those_of_each_part() -> None:
    rng = np.random.default_rng(0)
    n, folds = 3000, 7
    words = np.array([f"c{i}" for i in range(9)])
    fold, true, given = rng.integers(0, folds, n), rng.integers(0, 9, n), rng.integers(0, 5, n)
    answers = pa.table(
        {"cell": ["a"] * n, "fold": fold, "y_true": words[true], "y_pred": words[given]}
    )
    lines = []
    for number in range(folds):
        here = fold == number
        figures = summary(true[here], given[here])
        lines.append({"cell": "a", "fold": number, "n_scored": here.sum(), **figures})
    grid = pd.DataFrame(lines)
    check_agreement(Path("predictions.parquet"), grid, answers)
    with pytest.raises(StoreMismatchError, match=r"a, fold 3: weighted_F1 is .* give 0\."):
        grid.loc[3, "weighted_F1"] += 1e-6
        check_agreement(Path("predictions.parquet"), grid, answers)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def in_latin_1(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"audio", "a\xfcdio".encode("latin-1"), 1))


def twice_the_last_row(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[-1]]))


def with_a_word(path: Path) -> None:
    lines = path.read_text().splitlines()
    place = lines[0].split(",").index("WA")
    cells = lines[1].split(",")
    cells[place] = "much"
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")


def without_cells(path: Path) -> None:
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows.drop(columns="cell").to_csv(path, index=False)


def as_bytes(column: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        table = pq.read_table(path)
        words = [word.encode("utf-16") for word in table[column].to_pylist()]
        place = table.column_names.index(column)
        pq.write_table(table.set_column(place, column, pa.array(words)), path)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        cut_in_half,
        in_latin_1,
        twice_the_last_row,
        with_a_word,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0\1\2" * 50),
        lambda path: path.write_text(path.read_text().splitlines()[0] + "\n"),
    ],
)
def test_a_damaged_grid_is_one_line(
    damage: Callable[[Path], None], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(results / "grid.csv")
    for name, (command, arguments) in commands(results).items():
        # what is no table of results at all is no results folder either
        assert command(arguments) in (2, 3), name
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1 and "grid.csv" in error, error
    for read in (read_results, read_predictions, FinishedRun.read):
        with pytest.raises(StoreError):
            read(results)


@pytest.mark.parametrize("name", ["modalities", "method", "classifier", "n_test", "n_missing"])
def test_a_grid_that_lost_a_column_is_one_line(
    name: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / "grid.csv"
    pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns=name).to_csv(path, index=False)
    assert compare_systems.main([str(results)]) == 3
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and f"it has no column {name!r}" in error


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.995])
def test_the_same_command_mends_what_was_cut_or_changed(
    kept: float, results: Path, whole: Path
) -> None:
    grid, answers = results / "grid.csv", results / "predictions.parquet"
    content = grid.read_bytes()
    # within the words of the last line that is left, which then says another claim or corpus
    cut = content.rindex(b"\n", 0, int(len(content) * kept)) + 5
    grid.write_bytes(content[:cut])
    cut_in_half(answers)
    run_grid(replace(CONFIG, store=next(results.parent.glob("embeddings/*")), out=results))
    assert grid.read_bytes() == (whole / "grid.csv").read_bytes()
    assert len(read_results(results).rows)


def of_text(column: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        table = pd.read_parquet(path)
        table[column] = table[column].astype(str)
        table.to_parquet(path)

    return damage


def lacking(column: str) -> Callable[[Path], None]:
    return lambda path: pd.read_parquet(path).drop(columns=column).to_parquet(path)


def column_twice(name: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        table = pq.read_table(path)
        pq.write_table(table.append_column(name, table[name]), path)

    return damage


def with_an_empty_cell(path: Path) -> None:
    table = pd.read_parquet(path).astype({"cell": object})
    table.loc[(table["role"] == "test").idxmax(), "cell"] = None
    table.to_parquet(path)


def another_class(path: Path) -> None:
    """Call a class otherwise wherever it stands, so that every figure stays."""
    table = pd.read_parquet(path).astype({"y_true": str, "y_pred": str})
    table.replace({"y_true": {"anger": "rage"}, "y_pred": {"anger": "rage"}}).to_parquet(path)


@pytest.mark.parametrize(
    "damage",
    [
        cut_in_half,
        lambda path: path.write_bytes(b"PAR1 torn"),
        lambda path: path.write_bytes(b""),
        of_text("score:anger"),
        of_text("fold"),
        lacking("y_pred"),
        lacking("kind"),
        as_bytes("y_pred"),
        as_bytes("speaker"),
        lambda path: pd.concat([pd.read_parquet(path)] * 2).to_parquet(path),
        column_twice("id"),
        column_twice("cell"),
        another_class,
        with_an_empty_cell,
        lambda path: pd.read_parquet(path).assign(id=8).to_parquet(path),
    ],
)
def test_damaged_predictions_are_one_line(
    damage: Callable[[Path], None], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / "predictions.parquet"
    names = pq.read_schema(path).names
    assert "score:anger" in names, names
    damage(path)
    for line in refusal(results, capsys):
        assert "predictions.parquet" in line


def test_one_id_for_two_rows_of_a_cell_is_one_line(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / "predictions.parquet"
    table = pd.read_parquet(path)
    first, second = table.loc[table["role"] == "test", "id"].unique()[:2]
    table.assign(id=table["id"].replace(second, first)).to_parquet(path)
    assert compare_systems.main([str(results)]) == 3
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and f"{first} is twice in cell" in error


@pytest.mark.parametrize("name", ["speaker", "group", "session"])
def test_predictions_that_lost_a_column_of_clusters_are_one_line(
    name: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking(name)(results / "predictions.parquet")
    assert compare_systems.main([str(results)]) == 3
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and f"it has no column {name!r}" in error


def edited(**columns: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(**columns)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("table7_per_class.csv", edited(precision="high"), "column 'precision': 'high' is no num"),
        ("table7_per_class.csv", lambda t: t.drop(columns="support"), "no column 'support'"),
        ("table7_per_class.csv", lambda t: pd.concat([t, t[:1]]), "is there twice: class"),
        ("table4_unimodal.csv", edited(svm="?"), "line 2, column 'svm': '?' is no number"),
        ("table4_unimodal.csv", lambda t: pd.concat([t, t[:1]]), "is there twice: row"),
        ("confusion.csv", lambda t: t.drop(columns="truth"), "no column 'truth'"),
        ("confusion.csv", lambda t: t[1:], "predicted:... are not those of its rows"),
        ("confusion.csv", lambda t: t[::-1], "predicted:... are not those of its rows"),
        ("confusion.csv", lambda t: t.iloc[:, :-2], "predicted:... are not those of its rows"),
        ("confusion.csv", lambda t: t.replace(r"^\d+$", "many", regex=True), "is no number"),
        ("statistics.csv", edited(low="x"), "column 'low': 'x' is no number"),
        ("comparisons.csv", edited(p_holm="x"), "column 'p_holm': 'x' is no number"),
        ("contributions.csv", edited(shapley="x"), "column 'shapley': 'x' is no number"),
    ],
)
def test_a_damaged_table_is_one_line(
    name: str,
    damage: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
    results: Path,
) -> None:
    path, run = results / name, FinishedRun.read(results)
    assert run.table(name) is not None
    damage(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)
    with pytest.raises(StoreError, match=AGAIN) as caught:
        run.table(name)
    assert message in str(caught.value) and str(path) in str(caught.value)
    cut_in_half(path)
    with pytest.raises(StoreError, match=AGAIN):
        run.table(name)


def test_a_metadata_column_that_the_corpus_lacks_is_one_line(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / "grid.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows.assign(metadata="meta_elsewhere").to_csv(path, index=False)
    command, arguments = commands(results)["audit-leakage"]
    assert command(arguments) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "name the metadata column 'meta_elsewhere', which corpus" in line


def test_the_report_asks_for_every_column_of_the_table(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / "grid.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column in SCHEMA:
        rows.drop(columns=column).to_csv(path, index=False)
        with pytest.raises(StoreError, match=r"has no column '\w+'"):
            FinishedRun.read(results)


ODD_AUDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a number for a meaning": lambda audit: audit["checks"]["speakers"].update(means=3),
    "a word for a share": lambda audit: audit["checks"]["speakers"].update(share="all"),
    "a list for an example": lambda audit: audit["checks"]["speakers"].update(examples=[["x"]]),
    "a word for details": lambda audit: audit["checks"]["speakers"].update(details={"n": "x"}),
    "a number that is accepted": lambda audit: audit.update(accepted=[3]),
    "a number for what was audited": lambda audit: audit.update(about=3),
}


@pytest.mark.parametrize("odd", ODD_AUDITS)
def test_an_audit_of_other_kinds_of_values_is_none(odd: str, results: Path) -> None:
    path = results / "audit.json"
    audit = json.loads(path.read_text())
    ODD_AUDITS[odd](audit)
    path.write_text(json.dumps(audit))
    with pytest.raises(StoreError, match=r"audit\.json: is no audit that can be read"):
        Audit.read(results)


LIGHT = ("show-benchmarks", "compare-results", "compare-systems")
COLUMNS = sorted(SCHEMA)


@pytest.mark.telling
@pytest.mark.parametrize("command", LIGHT)
def test_a_column_that_is_gone_is_one_line_or_not_missed(
    command: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a command reads of ``grid.csv`` is asked for when it is read, not when it is used."""
    whole = pd.read_csv(results / "grid.csv", dtype=str, keep_default_na=False)
    main, argv = commands(results)[command]
    for column in COLUMNS:
        whole.rename(columns={column: "{}"}).to_csv(results / "grid.csv", index=False)
        status = main(argv)
        err = capsys.readouterr().err
        assert status == 0 or (status in {2, 3} and len(err.splitlines()) == 1), (column, err)
