"""What a run may be called stands on everything that it leaves behind, and readers ask for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.text import Text
from PIL import Image

from classify.claim import Claim
from classify.commands import audit_leakage, compare_results, compare_systems, show_benchmarks
from classify.commands.make_report import main as make_report
from classify.commands.run_fusion_grid import main as run_fusion_grid
from classify.figures import draw as draw_module
from classify.figures.draw import draw_figure
from classify.figures.results_folder import FinishedRun
from classify.figures.style import Drawing, new_figure
from classify.results.comparable import comparable
from classify.results.files import write_csv
from classify.results.table import read_results
from classify.single_system import run_system

MakeStore = Callable[..., Path]
QUICK = ["--corpus", "toy", "--classifiers", "svm", "--late", "sum", "--jobs", "1"]
GRID = [*QUICK, "--early", "concatenation", "--folds", "group-kfold:4"]
ALL_TABLES = ["--subsets", "--drop-sweep"]
STAMPED = ["--accept", "speakers", "--shuffle-labels", "5", "--select-on", "test"]
CLAIM = "upper bound; labels shuffled (seed 5); accepted leak: speakers"
# plan, audit, locks, and digests of what was written
NO_FIGURES_IN = ("plan.parquet", "audit.json", ".lock", ".report.lock", ".written.json")


def left_behind(out: Path) -> Iterator[Path]:
    """Yield every file that shows a figure; finished cells are no output."""
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name not in NO_FIGURES_IN and path.parent.name != "cells":
            yield path


def words(text: str) -> str:
    """Return a text without tags, as one line."""
    without_style = re.sub(r"(?s)<(style|script|metadata)\b.*?</\1>", " ", text)
    return " ".join(re.sub(r"<[^>]*>", " ", without_style).split())


def claim_of(path: Path) -> str:
    """Return what a file of results says that its figures may be called."""
    if path.suffix == ".csv":
        (claim,) = set(pd.read_csv(path, keep_default_na=False)["claim"])
        return str(claim)
    if path.suffix == ".parquet":
        (claim,) = set(pd.read_parquet(path)["claim"])
        assert pq.read_schema(path).metadata[b"claim"].decode() == claim
        return str(claim)
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return str(picture.text["Description"]).removeprefix("claim: ")
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".svg":
        described = re.search("claim: ([^<]*)", text)
        assert described
        # not only in its description: to be read, too
        assert (f"{CLAIM.upper()}, no result" in words(text)) == (described[1] == CLAIM)
        return described[1]
    assert path.suffix == ".html", f"{path.name}: say here how to read its claim"
    title = re.search("<title>(.*)</title>", text)
    captions = re.findall("<caption>(.*)</caption>", text)
    assert title and captions
    stamp = f"{CLAIM.upper()}, no result"
    marked = {stamp in words(caption) for caption in [title[1], *captions]}
    assert len(marked) == 1
    return CLAIM if marked == {True} else "result"


def run_all(store: Path, out: Path, *more: str) -> None:
    """Run everything that writes into a folder of results."""
    assert run_fusion_grid(["--store", str(store), "--out", str(out), *GRID, *more]) == 0
    assert compare_systems.main([str(out)]) == 0
    assert make_report([str(out), "--store", str(store)]) == 0


@pytest.mark.telling
def test_every_file_of_a_stamped_run_carries_the_stamp_and_a_clean_run_none(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = make_store(), tmp_path / "stamped"
    run_all(store, out, *STAMPED, *ALL_TABLES)
    printed = capsys.readouterr().out
    assert f"({CLAIM.upper()}, no result) in" in printed  # of the grid
    assert re.search(rf"Comparisons \(WA, .*, {re.escape(CLAIM.upper())}\)", printed)
    assert f"stamped on all of it: {CLAIM.upper()}, no result" in printed
    found = {str(path.relative_to(out)): claim_of(path) for path in left_behind(out)}
    kinds = {Path(name).suffix for name in found}
    assert kinds == {".csv", ".parquet", ".png", ".svg", ".html"}
    tables = {"confusion.csv", "contributions.csv", "degradation.csv", "statistics.csv"}
    assert tables | {"comparisons.csv", "subsets.csv", "table7_per_class.csv"} <= set(found)
    assert set(found.values()) == {CLAIM}, found
    assert read_results(out).claim.text == CLAIM
    drawn = draw_figure(out, "confusion")
    assert "ACCEPTED LEAK" in " ".join(text.get_text() for text in drawn.findobj(Text))

    clean = tmp_path / "clean"
    session = ["--folds", "leave-one-session-out"]
    run_all(make_store(where="clean-store"), clean, *session)
    assert {claim_of(path) for path in left_behind(clean)} == {"result"}
    shown = capsys.readouterr().out
    assert ", no result" not in shown and "stamped on all" not in shown and "***" not in shown
    _readers_ask_for_it(out, clean, capsys)


def _readers_ask_for_it(stamped: Path, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Readers take the claim from the results: the record of the audit is gone."""
    (stamped / "audit.json").unlink()
    cell = ["--cell", "unimodal audio svm"]
    assert compare_results.main([str(stamped), str(clean), *cell]) == 0
    told = capsys.readouterr().out
    assert "comparable: no" in told and f"no result ({CLAIM})" in told


def test_an_accepted_leak_is_not_comparable_with_a_clean_run(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = make_store(), tmp_path / "r"
    arguments = ["--store", str(store), "--out", str(out), *GRID]
    assert run_fusion_grid([*arguments, "--quiet"]) == 3
    assert run_fusion_grid([*arguments, "--accept", "speakers"]) == 0
    told = capsys.readouterr().out
    assert told.count("*** ACCEPTED LEAK: speakers: ") == 2
    assert "ACCEPTED LEAK: SPEAKERS, no result: " in told
    (out / "audit.json").unlink()
    assert read_results(out).claim.accepted == ("speakers",)
    system = run_system("svm(audio)", store, folds="group-kfold:4", accept=("speakers",), jobs=1)
    assert system.claim.text == "accepted leak: speakers"
    # its knowing acceptance is read from the results
    assert audit_leakage.main(["--store", str(store), "--results", str(out)]) == 3
    assert json.loads((out / "audit.json").read_text())["accepted"] == ["speakers"]
    # a clean run does not take its place
    honest = ["--folds", "leave-one-session-out"]
    assert run_fusion_grid([*arguments, *honest]) == 2
    assert "figures of the kind 'accepted leak: speakers'" in capsys.readouterr().err
    # and the stamp cannot be edited out of the table alone
    rows = pd.read_csv(out / "grid.csv", dtype=str, keep_default_na=False)
    rows.assign(claim="result").to_csv(out / "grid.csv", index=False)
    for reader in (compare_systems.main, make_report):
        assert reader([str(out)]) == 3
        error = capsys.readouterr().err
        assert "its column 'claim' says 'result', but predictions.parquet was written" in error


def test_what_was_accepted_and_is_no_leak_is_no_stamp(
    make_store: MakeStore, tmp_path: Path
) -> None:
    store, out = make_store(), tmp_path / "r"
    arguments = ["--store", str(store), "--out", str(out), *QUICK, "--accept", "speakers"]
    assert run_fusion_grid([*arguments, "--quiet"]) == 0
    assert read_results(out).claim == Claim()


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("result", "result", "yes"),
        ("accepted leak: speakers", "result", "no"),
        ("accepted leak: speakers", "accepted leak: media", "no"),
        ("accepted leak: speakers", "accepted leak: speakers", "caution"),
        ("labels shuffled (seed 1)", "labels shuffled (seed 1)", "no"),
        ("leak found: media", "result", "no"),
        ("folds by sentence, not by speaker", "result", "no"),
        ("folds by sentence, not by speaker", "folds by sentence, not by speaker", "caution"),
    ],
)
def test_claims_decide_whether_runs_compare(one: str, other: str, verdict: str) -> None:
    about = {
        "corpus": "toy",
        "metric": "WA",
        "labels_digest": "1",
        "split_digest": "2",
        "n_scored": "9",
        "selection_rule": "none",
    }
    assert comparable(about | {"claim": one}, about | {"claim": other}).verdict == verdict


def test_published_figures_stand_beside_ours_with_our_claim(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {
        "corpus": "iemocap",
        "protocol": "iemocap-paper",
        "label_set": "iemocap-4",
        "labels_shuffled": "no",
        "cell": "unimodal text svm",
        "family": "unimodal",
        "method": "",
        "modalities": "text",
        "classifier": "svm",
        "flags": "",
    }
    figures = dict.fromkeys(("WA", "UAR", "macro_F1", "weighted_F1", "valid_WA"), 0.7)
    rows = pd.DataFrame([about | figures | {"fold": 1, "n_scored": 5531}])
    for claim, stamped in (("accepted leak: speakers", True), ("result", False)):
        rows.assign(claim=claim).to_csv(tmp_path / "grid.csv", index=False)
        for form in ("table", "csv", "json", "markdown", "latex"):
            arguments = ["--compare", str(tmp_path), "--metric", "WA", "--format", form]
            assert show_benchmarks.main(arguments) == 0
            shown = "".join(capsys.readouterr().out.split())
            assert ("acceptedleak:speakers" in shown) == stamped, (form, claim)


def test_old_results_say_of_permuted_labels_in_another_column() -> None:
    old = pd.DataFrame({"claim": ["result"] * 2, "labels_shuffled": ["no", "seed 3"]})
    assert Claim.of_rows(old).text == "labels shuffled (seed 3)"
    assert Claim.of_rows(old.iloc[:1]) == Claim.of_rows(pd.DataFrame({"cell": ["a"]})) == Claim()
    both = old.assign(claim="labels shuffled (seed 3)")
    assert Claim.of_rows(both).text == "labels shuffled (seed 3)"


def test_a_figure_of_two_runs_carries_the_stamps_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {"claim": ["accepted leak: media"], "cell": ["a"]}
    one, other = (
        FinishedRun(tmp_path, pd.DataFrame(rows), ("x",), None, None, ())
        for rows in (about, about | {"claim": ["upper bound"]})
    )
    drawing = Drawing("against", "One against the other", "Both.", new_figure(4, 2))
    monkeypatch.setattr(draw_module, "_makers", lambda *_: {"against": lambda: drawing})
    (found,) = draw_module.draw(one, other=other)
    assert found.claim.text == "accepted leak: media; upper bound"
    assert found.caption.startswith("ACCEPTED LEAK: MEDIA; UPPER BOUND, no result. Both.")


def test_no_table_goes_without_a_claim(tmp_path: Path) -> None:
    table = pd.DataFrame({"cell": ["a"], "WA": [0.5]})
    with pytest.raises(ValueError, match="do not say what they may be called"):
        write_csv(tmp_path / "t.csv", table, claim=None)
    write_csv(tmp_path / "t.csv", table, Claim.read("upper bound"))
    assert pd.read_csv(tmp_path / "t.csv")["claim"].tolist() == ["upper bound"]
    assert "claim" not in table
