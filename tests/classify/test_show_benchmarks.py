"""``show-benchmarks``.

Published figures in every format, and ours beside them only where they answer to each other.
"""

from __future__ import annotations

import csv
import io
import json
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from classify.commands.show_benchmarks import main
from classify.results.published_figures import beside, published, read_grid
from classify.terminal.table_formats import FORMATS, render

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Return a folder with those columns of a grid that are read, of the paper's own protocol."""
    cells = [
        (f"unimodal text {c}", "unimodal", "", "text", c, wa, valid)
        for c, wa, valid in (("head", 0.67, 0.6), ("svm", 0.7, 0.65))
    ]
    cells += [
        (
            f"early concatenation audio+text+video {c}",
            "early",
            "concatenation",
            "audio+text+video",
            c,
            wa,
            0.7,
        )
        for c, wa in (("svm", 0.75), ("nn", 0.74), ("xgboost", 0.73))
    ]
    cells += [
        (f"baseline {c}", "baseline", "", "", c, wa, valid)
        for c, wa, valid in (("majority", 0.29, 0.2), ("stratified-random", 0.26, 0.3))
    ]
    rows = [
        {
            "cell": name,
            "family": family,
            "method": method,
            "modalities": modalities,
            "classifier": classifier,
            "fold": fold,
            "seed": 0,
            "encoder_seed": "",
            "corpus": "iemocap",
            "protocol": "iemocap-paper",
            "label_set": "iemocap-4",
            "labels_shuffled": "no",
            "claim": "result",
            "selection_rule": "valid-session",
            "flags": "",
            "verified": "verified",
            "n_scored": n,
            "WA": wa,
            "UAR": wa,
            "macro_F1": wa,
            "weighted_F1": wa,
            "valid_WA": valid,
        }
        for name, family, method, modalities, classifier, wa, valid in cells
        for fold, n in enumerate((1085, 1023, 1151, 1031, 1241), 1)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "grid.csv", index=False)
    return tmp_path


def test_the_package_carries_the_tables_of_the_repository() -> None:
    carried = {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in (files("classify.results") / "published").iterdir()
    }
    assert carried == {
        p.name: p.read_text(encoding="utf-8") for p in (ROOT / "benchmarks" / "published").iterdir()
    }


def test_every_format_holds_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    texts = {}
    for form in FORMATS:
        assert main(["--corpus", "iemocap", "--table", "Table 5", "--format", form]) == 0
        texts[form] = capsys.readouterr().out
        assert texts[form].count("early sum") >= 4
    assert (
        len(json.loads(texts["json"])) == len(list(csv.DictReader(io.StringIO(texts["csv"])))) == 12
    )
    assert "|---|" in texts["markdown"] and r"label\_set" in texts["latex"]
    assert texts["latex"].splitlines()[0] == r"\begin{tabular}{llllrlll}"


def test_markup_of_a_table_cannot_be_injected() -> None:
    line = [{"a_b": r"[red]x[/red] | 5 % & \y", "n": "-1.5"}]
    assert "[red]x[/red]" in render(line, "table")
    assert r"[red]x[/red] \| 5 % & \y" in render(line, "markdown")
    assert r"5 \% \& \textbackslash{}y & -1.5" in render(line, "latex")


def test_a_published_majority_stands_beside_our_majority(grid: Path) -> None:
    """Also where random draws happened to be better on validation rows."""
    rows = beside(published("iemocap", "WA"), read_grid(grid)).set_index(["table", "system"])
    for system in ("majority, over all rows", "majority, fitted on each fold"):
        line = rows.loc["baselines", system]
        assert (line["our_cell"], line["ours"]) == ("baseline majority", "29.00")


def test_chance_never_stands_beside_a_record() -> None:
    row = {"metric": "WA", "value": "50", "class": "", "modalities": "", "fusion": ""}
    row |= {"classifier": "", "corpus": "iemocap"}
    chance = pd.DataFrame(
        {
            "cell": ["baseline stratified-random"],
            "family": ["baseline"],
            "method": [""],
            "modalities": [""],
            "classifier": ["stratified-random"],
            "WA": [0.3],
            "valid_WA": [0.3],
        }
    )
    [line] = beside(pd.DataFrame([row]), chance).to_dict("records")
    assert (line["ours"], line["our_cell"]) == ("-", "")


def test_ours_stand_beside_the_same_system(grid: Path) -> None:
    rows = beside(published("iemocap", "WA"), read_grid(grid)).set_index(
        ["table", "system", "classifier"]
    )
    line = rows.loc["Table 5", "early concatenation", "svm"]
    assert (line["ours"], line["comparable"]) == ("75.00", "caution")
    assert "5,531 against 5,532" in line["why"] and "one or both give no digest" in line["why"]
    assert rows.loc[("Table 5", "early concatenation", "average"), "ours"] == "74.00"
    assert (
        rows.loc[("Table 4", "BERT base uncased, fine-tuned", "head"), "our_cell"]
        == "unimodal text head"
    )
    assert (
        rows.loc[("Table 1", "RoBERTa, fine-tuned", "head"), "comparable"] == "no"
    )  # one session against five folds
    assert rows.loc[("Table 5", "early sum", "svm"), "ours"] == "-"
    assert (
        rows.loc[("abstract", "early concatenation", "svm"), "comparable"] == "no"
    )  # picked on test
    assert rows.loc[("records", "Foal-Net", ""), "why"] == "the results have no such system"


def test_a_record_stands_beside_the_cell_that_validation_rows_choose(grid: Path) -> None:
    table = pd.read_csv(grid / "grid.csv")
    table["modalities"] = table["modalities"].replace("text", "audio")
    layer = table[table["cell"] == "unimodal text svm"].assign(
        cell="layer audio=2 svm", family="layer", valid_WA=0.99
    )
    table = pd.concat([layer, table])
    table.to_csv(grid / "grid.csv", index=False)
    rows = beside(published("iemocap", "WA"), read_grid(grid / "grid.csv")).set_index("system")
    assert rows.loc["WavLM-large, frozen", "our_cell"] == "unimodal text svm"


def test_the_command_says_whether_they_may_be_compared(
    grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--compare", str(grid), "--metric", "WA"]) == 0
    out = capsys.readouterr().out
    assert "comparable" in out and "caution" in out and "75.451" in out and "avamerg" not in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--corpus", "iemocp"], 2, "did you mean 'iemocap'"),
        (["--table", "Tabel 5"], 2, "did you mean 'Table 5'"),
        (["--metric", "WAR"], 2, "did you mean 'WA'"),
        (["--compare", "nowhere"], 3, "nowhere: no such file"),
    ],
)
def test_what_does_not_exist_is_said_in_one_line(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_a_file_that_is_no_grid_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grid.csv").write_bytes(b"cell,WA\nx,much\n")
    assert main(["--compare", str(tmp_path), "--corpus", "iemocap"]) == 3
    assert "is not a table of results (it has no column" in capsys.readouterr().err
