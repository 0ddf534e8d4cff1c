"""The page says what the run's files say and escapes what they hold; one command makes it all."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.commands.compare_systems import main as compare_systems
from classify.commands.make_report import build_parser, config_from, main
from classify.commands.run_fusion_grid import main as grid
from classify.figures.draw import LeftOut
from classify.figures.outcome import confusion as draw_confusion
from classify.figures.results_folder import FinishedRun
from classify.figures.style import Drawing
from classify.leakage.checks import Audit
from classify.leakage.finding import LeakageFinding
from classify.report.browser import MAX_ROWS, browser_data
from classify.report.config import ReportConfig
from classify.report.make import WrittenReport, make_report
from classify.report.page import page as page_of
from classify.report.sentences.answer import answer
from classify.report.sentences.protocol import protocol
from classify.report.sentences.reader_warnings import warnings
from classify.report.tables.every_system import confusion_table
from classify.report.tables.table import Table, TableCell
from classify.report.tables.uncertainty import statistics_tables
from embeddings_store.atomic import exclusive
from embeddings_store.corpus.manifest import GENERATED
from embeddings_store.errors import StoreBusyError, StoreError

ROOT = Path(__file__).resolve().parents[3]


class Reader(HTMLParser):
    """Collects what a browser would see.

    Tags with their attributes, and the text outside of scripts and styles.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.data, self._inside = "", "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = (
            "data" if ("id", "data") in attrs else tag if tag in ("script", "style") else ""
        )

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "data":
            self.data += data
        elif not self._inside:
            self.text += data


@pytest.fixture(scope="module")
def page(made: Path) -> Reader:
    reader = Reader()
    reader.feed((made / "report.html").read_text(encoding="utf-8"))
    return reader


def test_the_page_begins_with_the_answer(made: Path, page: Reader) -> None:
    run = FinishedRun.read(made)
    text = " ".join(page.text.split())
    assert (
        f"recognises the emotion of {run.mean(run.headline):.1f} % of the test utterances (WA; 95 "
        "% confidence interval " in text
    )
    assert (
        text.index("The answer")
        < text.index("recognises the emotion")
        < text.index("Table 4")
        < text.rindex("Protocol")
    )
    for part in (
        "chosen on validation rows",
        "best single modality",
        "Always answering the commonest class",
        "share of utterances answered correctly",
        "every class weighs the same",
        "an upper bound, not a result",
        "make-report results --store embeddings --media-root media",
    ):
        assert part in text


def test_it_is_one_file_with_landmarks_and_nothing_from_outside(page: Reader) -> None:
    tags = [tag for tag, _ in page.tags]
    assert {"header", "nav", "main", "footer", "h1"} <= set(tags)
    assert tags.count("h1") == 1
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        address = attributes.get("src") or attributes.get("href") or ""
        assert address == "" or address.startswith("#") or address == "data:,", (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_hostile_strings_stay_text(finished, page: Reader, made: Path) -> None:
    assert "u" not in [tag for tag, _ in page.tags]  # speakers are called <u>...
    assert "img" not in [tag for tag, _ in page.tags]
    assert [a.get("type") for tag, a in page.tags if tag == "script"] == ["application/json", None]
    assert "<b>&\"'" in page.text
    told = json.loads(page.data)
    texts = set(told["columns"]["text"])
    hostile = set(FinishedRun.read(made, finished.store).manifest.table["text"].iloc[:6])
    assert hostile <= texts
    raw = (made / "report.html").read_text(encoding="utf-8")
    assert "</script><script>document" not in raw
    assert 'onerror="document' not in raw
    assert "\u202eright" not in raw.partition('id="data"')[0]


def test_links_are_relative_and_quoted(page: Reader) -> None:
    links = json.loads(page.data)["columns"]["audio_link"]
    assert links[0].endswith("/media/wav/0%20%22x%22%20%3Cy%3E%20%231%3F.wav")
    assert all(re.fullmatch(r"(\.\./)+[A-Za-z0-9_./%~-]+", link) for link in links)


def test_the_browsers_rows_are_the_headlines_test_answers(finished) -> None:
    run = FinishedRun.read(finished.results, finished.store)
    told = browser_data(run, None)
    columns = told["columns"]
    rows = run.of(run.headline)
    assert np.mean(np.equal(columns["truth"], columns["answer"])) == pytest.approx(
        rows["WA"].mean()
    )
    assert told["total"] == 90
    assert columns["audio_path"][0] == 'wav/0 "x" <y> #1?.wav'
    assert [own["name"] for own in told["modalities"]] == ["text", "audio"]
    heads = run.answers("unimodal text head").set_index("id")
    code = told["modalities"][0]["answer"][7]
    assert told["classes"][code] == heads.loc[columns["id"][7], "y_pred"]


def test_of_very_many_rows_the_wrong_ones_are_kept(finished, tmp_path: Path) -> None:
    shutil.copytree(finished.results, tmp_path / "r")
    table = pd.read_parquet(tmp_path / "r" / "predictions.parquet")
    run = FinishedRun.read(finished.results)
    one = table[(table["cell"] == run.headline) & (table["role"] == "test")]
    many = pd.concat([one] * (MAX_ROWS // len(one) + 2), ignore_index=True)
    many["id"] = [f"u{i}" for i in range(len(many))]
    copied = FinishedRun.read(tmp_path / "r")
    many.to_parquet(tmp_path / "r" / "predictions.parquet")
    told = browser_data(copied, None)
    columns = told["columns"]
    wrong = np.not_equal(columns["truth"], columns["answer"]).sum()
    assert (told["total"], len(columns["id"])) == (len(many), MAX_ROWS)
    assert wrong == (many["y_true"].astype(str) != many["y_pred"].astype(str)).sum()


def test_optional_files_are_shown_where_they_are(finished, tmp_path: Path) -> None:
    results = tmp_path / "r"
    shutil.copytree(finished.results, results)
    run = FinishedRun.read(results)
    statistics = pd.DataFrame(
        {
            "cell": [run.headline] * 2,
            "metric": ["WA", "UAR"],
            "class": "",
            "pooled": [0.8, 0.7],
            "low": [0.61, np.nan],
            "high": [0.9, np.nan],
            "level": 0.95,
            "note": "",
        }
    )
    statistics.to_csv(results / "statistics.csv", index=False)
    pd.DataFrame(
        {
            "first": ["a", run.headline],
            "second": ["b", run.best_single()],
            "metric": "WA",
            "difference": [0.02, 0.03],
            "low": [-0.01, 0.01],
            "high": 0.05,
            "p": 0.2,
            "p_holm": [0.4, 0.0004],
            "detectable": [0.031, 0.042],
            "survives": ["no", "yes"],
        }
    ).to_csv(results / "comparisons.csv", index=False)
    pd.DataFrame({"modality": ["text", "audio"], "shapley_WA": [30.0, 20.0]}).to_csv(
        results / "contributions.csv", index=False
    )
    pd.DataFrame({"subset": ["<script>"], "WA": [0.5]}).to_csv(results / "subsets.csv", index=False)
    Audit(
        {},
        {"speakers": LeakageFinding("leak", "3 of 4 <b>", "too good", "fold by speaker")},
        ("speakers",),
    ).write(results)
    text = Reader()
    text.feed(page_of(FinishedRun.read(results), [], ReportConfig(results)))
    for part in (
        "95 % confidence interval 61.0 to 90.0",
        "80.0 (61.0 to 90.0)",
        "Which differences can be believed",
        "3 of 4 <b>",
        "leak, accepted",
        "The leakage audit finds: 3 of 4 <b>",
        "subsets.csv",
        "contributions.csv",
        "points (95 % confidence interval +1.0 to +5.0; p < 0.001 for these fitted models after",
        "the smallest difference that could have been shown is 4.2)",
        "p, these fitted models",
        "both are for these fitted models: another training is not in them",
        "Leak: “is anybody heard in training and in test?”",
    ):
        assert part in text.text, part
    assert statistics_tables(FinishedRun.read(results))[0].rows[0][2] == TableCell("70.0", 70.0)
    (results / "audit.json").write_text("{")
    with pytest.raises(StoreError, match="is no audit that can be read"):
        page_of(FinishedRun.read(results), [], ReportConfig(results))


def test_what_a_reader_must_beware_of_is_said_first(finished, tmp_path: Path) -> None:
    shutil.copytree(finished.results, tmp_path / "r")
    rows = pd.read_csv(tmp_path / "r" / "grid.csv")
    rows.assign(labels_shuffled="seed 0", verified="unverified: text").to_csv(
        tmp_path / "r" / "grid.csv", index=False
    )
    found = warnings(FinishedRun.read(tmp_path / "r"))
    assert "marked “labels shuffled (seed 0)”" in found[0]
    assert "permuted on purpose" in found[1]
    assert "unverified: text" in found[2]
    rows.assign(claim="upper bound", flags="chosen_on_test").to_csv(
        tmp_path / "r" / "grid.csv", index=False
    )
    bound = answer(FinishedRun.read(tmp_path / "r"))
    assert "chosen on the test rows themselves (an upper bound)" in bound.sentence
    assert all("upper bound" in warning for warning in bound.warnings[:2])
    counts = pd.read_csv(tmp_path / "r" / "confusion.csv")
    plain = confusion_table(FinishedRun.read(tmp_path / "r"))
    counts.assign(claim="upper bound").to_csv(tmp_path / "r" / "confusion.csv", index=False)
    stamped = FinishedRun.read(tmp_path / "r")
    assert confusion_table(stamped) == plain
    assert isinstance(draw_confusion(stamped), Drawing)
    rows.assign(flags="", n_valid=0).to_csv(tmp_path / "r" / "grid.csv", index=False)
    nothing = answer(FinishedRun.read(tmp_path / "r"))
    assert nothing.sentence.startswith("No system counts as the result")
    rows.assign(
        flags=rows["flags"].fillna("").str.replace("chosen_on_valid", "fixed_beforehand")
    ).to_csv(tmp_path / "r" / "grid.csv", index=False)
    assert any(
        "fixed beforehand as the paper's final model" in line
        for line in protocol(FinishedRun.read(tmp_path / "r"))
    )


def test_a_generated_corpus_is_said_to_be_one(finished) -> None:
    run = FinishedRun.read(finished.results, finished.store)
    noted = replace(run, manifest=replace(run.manifest, notes=(f"{GENERATED}nobody spoke it",)))
    assert warnings(noted)[0] == "This corpus is generated: nobody spoke it."
    assert warnings(replace(run, manifest=None)) == warnings(
        replace(run, manifest=replace(run.manifest, notes=()))
    )


def test_equal_runs_give_equal_files_and_the_listing_says_where_they_are(
    made: Path, finished, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {
        path: path.read_bytes() for path in [made / "report.html", *(made / "figures").iterdir()]
    }
    monkeypatch.chdir(finished.store.parent)  # where the usual store lies
    assert main([str(made), "--media-root", str(finished.media)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(made / "report.html")
    assert any(line.startswith("Figure 8: ") for line in lines)
    assert any(line.startswith("Table 4: ") for line in lines)
    assert WrittenReport(
        made, [], [LeftOut("loss, text", "nothing was trained")], made
    ).listing() == ["not drawn: loss, text: nothing was trained"]
    assert {path: path.read_bytes() for path in before} == before


def test_one_writer_at_a_time(made: Path) -> None:
    with exclusive(made / ".report.lock", "this"), pytest.raises(StoreBusyError):
        make_report(ReportConfig(made))


def test_a_running_grid_and_a_report_do_not_refuse_each_other(made: Path) -> None:
    with exclusive(made / ".lock", "a grid that runs here"):
        assert make_report(ReportConfig(made)).page.read_bytes()
        assert compare_systems([str(made)]) == 0


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "exit status:" in text
    assert all(
        option in text for action in build_parser()._actions for option in action.option_strings
    )
    assert config_from(build_parser().parse_args(["r"])) == ReportConfig(Path("r"))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere"], 3, "give the folder that run-fusion-grid --out wrote"),
        (["{results}", "--fold", "9"], 2, "the results have the folds 1, 2, 3"),
        (["{results}", "--store", "nowhere"], 2, "unknown corpus"),
        (["{results}", "--against", "nowhere"], 3, "no such file"),
    ],
)
def test_bad_input_is_one_line_and_a_status(
    arguments: list[str],
    status: int,
    message: str,
    finished,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "nowhere" / "other").mkdir(parents=True)
    (tmp_path / "nowhere" / "other" / "corpus.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    given = [a.format(results=finished.results) for a in arguments]
    if given[-1].isdecimal():
        given += ["--store", str(finished.store)]
    assert main(given) == status
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_without_the_extra_it_says_which(finished) -> None:
    code = (
        "import sys\nclass B:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('jinja2', 'matplotlib'):\n"
        "            raise ModuleNotFoundError(name, name=name)\nsys.meta_path.insert(0, B())\n"
        "from classify.commands.make_report import "
        f"main\nsys.exit(main([{str(finished.results)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 3
    assert "pip install 'emotion-fusion[report]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_grid_makes_it_on_demand(
    finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished.results, tmp_path / "r")
    arguments = [
        "--store",
        str(finished.store),
        "--out",
        str(tmp_path / "r"),
        "--classifiers",
        "svm",
        "--early",
        "concatenation",
        "--late",
        "sum",
        "--jobs",
        "1",
        "--quiet",
        "--report",
    ]
    assert grid(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "r" / "report.html")
    assert (tmp_path / "r" / "figures" / "figure12_confusion.png").is_file()


def test_a_torn_table_is_refused() -> None:
    with pytest.raises(ValueError, match="has a row of 1 cells under 2 titles"):
        Table("t", "T", ["a", "b"], [[TableCell("1")]])
