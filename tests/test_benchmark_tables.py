"""Every table under benchmarks/ says what made it, and published figures add up as stated."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.robustness.campaign import BIT_OUTCOMES, FOUND
from benchmarks.robustness.lives import LIFE_OUTCOMES
from benchmarks.robustness.trial import DIFFERENT, OUTCOMES
from classify.evaluation.metrics import METRICS
from classify.grid.presets import PRESETS
from classify.models.classifiers import resolve
from classify.results.published_figures import COLUMNS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
TABLES = sorted((ROOT / "benchmarks").glob("*/*.csv"))
NAMED = set(re.findall(r"`([^`]+)`", README))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_every_table_and_every_column_is_explained(path: Path) -> None:
    assert any(fnmatch(path.name, pattern) for pattern in NAMED if pattern.endswith(".csv")), (
        f"{path.name} is not in README.md"
    )
    columns = pd.read_csv(path, nrows=0).columns
    assert [c for c in columns if c not in NAMED] == []


def test_nothing_is_explained_that_is_not_there() -> None:
    columns = {c for path in TABLES for c in pd.read_csv(path, nrows=0).columns}
    explained = {
        name
        for line in README.splitlines()
        if line.startswith("| `") and ".csv" not in line
        for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    }
    assert explained - columns == set()
    for name in (n for n in NAMED if n.startswith("benchmarks.")):
        module = ROOT / name.split()[0].replace(".", "/")
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()


@pytest.mark.parametrize(
    "path", [p for p in TABLES if p.parent.name == "results"], ids=lambda path: path.name
)
def test_every_measured_table_says_what_made_it(path: Path) -> None:
    table = pd.read_csv(path)
    assert table[["command", "commit", "machine", "date", "versions"]].notna().all().all()


def test_what_was_accepted_with_another_result_is_explained() -> None:
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "robustness.csv", keep_default_na=False)
    different = table[table["outcome"] == DIFFERENT]
    assert len(different) and (different["explained"] != "").all()
    assert set(table["outcome"]) <= {*OUTCOMES, *LIFE_OUTCOMES, FOUND, *BIT_OUTCOMES.values()}


@pytest.mark.parametrize("column", ["defaults", "fast"])
@pytest.mark.parametrize("classifier", ["nn", "xgboost"])
def test_defaults_and_preset_are_what_rows_that_choose_took(column: str, classifier: str) -> None:
    stated = PRESETS["fast"].settings if column == "fast" else {}
    path = ROOT / "benchmarks" / "results" / "fast_settings.csv"
    table = pd.read_csv(path, keep_default_na=False)
    rows = table[(table["classifier"] == classifier) & (table[column] == "chosen")]
    (text,) = set(rows["settings"])
    pairs = [pair.split("=") for pair in text.split("; ") if pair != "defaults"]
    taken = {name: float(value) for name, value in pairs}
    assert resolve(classifier, taken) == resolve(classifier, stated.get(classifier, {}))


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    tables = [
        pd.read_csv(p, dtype=str, keep_default_na=False)
        for p in TABLES
        if p.parent.name == "published"
    ]
    return pd.concat(tables, ignore_index=True)


def test_published_figures_have_one_form_and_a_source(published: pd.DataFrame) -> None:
    assert tuple(published.columns) == COLUMNS
    for column in ("table", "system", "metric", "corpus", "label_set", "source"):
        assert (published[column] != "").all(), column
    values = pd.to_numeric(published["value"])
    shares = published["unit"] == "per cent"
    assert values[shares].dropna().between(0, 100).all()
    assert (published.loc[values.isna(), "note"] != "").all(), (
        "a figure that is not printed says so"
    )
    assert not published.duplicated(
        ["table", "system", "classifier", "class", "metric", "source"]
    ).any()


def test_the_papers_seven_tables_are_there_and_agree_with_each_other(
    published: pd.DataFrame,
) -> None:
    paper = published[published["source"] == "arXiv 2402.07327"]
    assert {f"Table {n}" for n in range(1, 8)} < set(paper["table"])
    assert set(METRICS) & set(paper["metric"]) == {"WA"}
    value = pd.to_numeric(paper["value"])
    for (_, _), rows in paper[paper["table"].isin(["Table 5", "Table 6"])].groupby(
        ["table", "system"]
    ):
        of = dict(zip(rows["classifier"], value[rows.index], strict=True))
        if of["average"] == of["average"]:
            assert (of["svm"] + of["nn"] + of["xgboost"]) / 3 == pytest.approx(
                of["average"], abs=0.011
            )
    abstract = paper[paper["table"] == "abstract"].iloc[0]
    assert "75.451" in abstract["note"] and "5,531" in abstract["note"]
    recall = paper[
        (paper["table"] == "Table 7") & (paper["class"] == "all") & (paper["metric"] == "recall")
    ]["value"]
    assert recall.item() == abstract["value"]


def test_avamergs_weighted_recall_is_its_accuracy(published: pd.DataFrame) -> None:
    reports = published[(published["corpus"] == "avamerg") & (published["table"] == "test report")]
    for system in (
        "early fusion, audio + text + metadata",
        "early fusion, video + text + metadata",
    ):
        rows = reports[reports["system"] == system]
        recalls = rows[(rows["metric"] == "recall")]
        support, recall = recalls["n_scored"].astype(int), recalls["value"].astype(float)
        accuracy = float(rows[rows["metric"] == "WA"]["value"].item())
        assert support.sum() == 4_939
        assert (support * recall).sum() / support.sum() == pytest.approx(accuracy, abs=0.01)
        assert recall.mean() == pytest.approx(
            float(rows[rows["metric"] == "UAR"]["value"].item()), abs=0.01
        )


def test_a_table_names_the_code_that_made_it_whatever_was_recorded_before(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout; these are files without their history")
    checkout = tmp_path / "checkout"
    git = ["git", "-C", str(checkout)]
    subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(checkout)], check=True)
    own = ["benchmarks/record.py", "embeddings_store/provenance.py"]
    for name in own:  # as they stand here, not as they were committed last
        shutil.copy(ROOT / name, checkout / name)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, *author, "commit", "-q", "--allow-empty", "-am", "now"], check=True)

    def recorded() -> str:
        shown = "from benchmarks.record import COMMIT; print(COMMIT)"
        ask = [sys.executable, "-c", shown]
        return subprocess.run(ask, cwd=checkout, capture_output=True, text=True).stdout.strip()

    clean = recorded()
    assert re.fullmatch("[0-9a-f]{12}", clean)
    with (checkout / "benchmarks" / "results" / "demo.csv").open("a") as table:
        table.write("another row\n")
    assert recorded() == clean
    with (checkout / "classify" / "claim.py").open("a") as code:
        code.write("# changed\n")
    assert recorded() == f"{clean}+"


def test_no_pooling_is_surely_better_than_the_mean_where_the_mean_is_best() -> None:
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "poolings.csv")
    means = table[table["pooling"] == "mean"]
    best = means.loc[means["valid_UAR"].idxmax(), "layer"]
    others = table[(table["layer"] == best) & (table["pooling"] != "mean")]
    assert len(others) >= 10 and (others["low"] <= 0).all()
