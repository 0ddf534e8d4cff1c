"""check-corpus --stream finds what it finds of a whole table, and lists what it did not look at."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from extract.commands import check_corpus
from extract.commands.check_corpus import main

LEFT = {"scanned", "folds", "same part twice", "audio there", "durations", "media read"}


def write(path: Path, **changes: object) -> Path:
    count = 12
    columns = {
        "id": [f"u{i}" for i in range(count)],
        "label": ["sad", "joy", "Sad", "joy "] * 3,
        "session": list("123") * 4,
        "text": ["yes", "", "it\u00e2\u20ac\u2122s", " "] * 3,
        "start_s": 0.0,
        "end_s": [float(10 * i + 1) for i in range(count)],
    }
    pd.DataFrame(columns | changes).to_csv(path, index=False)
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    status = main(["--corpus", "manifest", "--json", *arguments])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"label": ""},
        {"label": ["x", "", "y", "y"] * 3},
        {"label": ["x", "y"] * 6, "text": "yes"},
        {"label": ["x", "y"] * 6, "vote_1": ["x", "y"] * 6, "vote_2": "x"},
    ],
)
def test_the_same_findings(
    changes: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(tmp_path / "rows.csv", **changes)
    one, whole = told(capsys, "--root", str(table))
    other, scan = told(capsys, "--root", str(table), "--stream")
    assert (one, whole["corpus"], whole["rows"]) == (other, scan["corpus"], scan["rows"]) and set(
        whole
    ) == set(scan)

    def shown(report: dict[str, object]) -> list[dict[str, object]]:
        found = [finding for finding in report["findings"] if finding["check"] not in LEFT]
        for finding in found:  # A whole text is not kept beside its row's id.
            finding["examples"] = [str(example).split(":")[0] for example in finding["examples"]]
        return sorted(found, key=str)

    assert shown(whole) == shown(scan)
    assert "scanned" in {finding["check"] for finding in scan["findings"]}


def test_every_problem_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "rows.csv", id="same", audio="../a.wav", end_s="soon")
    assert main(["--corpus", "manifest", "--root", str(table)]) == 3
    reading = capsys.readouterr().err
    out = tmp_path / "out"
    status, report = told(capsys, "--root", str(table), "--stream", "--out", str(out))
    errors = [
        finding
        for finding in report["findings"]
        if finding["level"] == "error" and finding["check"] == "rows"
    ]
    assert status == 3 and json.loads((out / "report.json").read_text()) == report
    assert [(e["sentence"], e["count"]) for e in errors] == [
        ("no number in 'end_s'", 12),
        ("duplicate id", 11),
        ("unsafe path in 'audio'", 12),
    ]
    assert (
        errors[0]["advice"].partition(": ")[2] in reading
        and errors[1]["examples"][0] == "row 2: 'same'"
    )
    assert main(["--corpus", "manifest", "--root", str(table), "--stream"]) == 3
    assert "11 x duplicate id\n      row 2: 'same'" in capsys.readouterr().out


def test_long_tables_are_scanned_by_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "manifest.csv", label=["x", "y"] * 6)
    where = ["--root", str(tmp_path)]
    monkeypatch.setattr(check_corpus, "STREAM_ROWS", 12)

    def was_scanned(*arguments: str) -> bool:
        report = told(capsys, *where, *arguments)[1]
        assert report["corpus"] == tmp_path.name
        return any(finding["check"] == "scanned" for finding in report["findings"])

    assert was_scanned()
    assert not was_scanned("--no-stream")
    monkeypatch.setattr(check_corpus, "STREAM_ROWS", 13)
    assert not was_scanned()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--corpus", "ravdess", "--stream"],
            "--stream scans a table of --corpus manifest; ravdess is read as a whole",
        ),
        (
            ["--corpus", "manifest", "--stream", "--estimate"],
            "--estimate trains on rows, and --stream keeps none",
        ),
        (
            ["--corpus", "manifest", "--stream", "--corpus-option", "nam=x"],
            "unknown option of corpus 'manifest' 'nam'",
        ),
        (
            [
                "--corpus",
                "manifest",
                "--stream",
                "--corpus-option",
                "safe=a",
                "--corpus-option",
                "leaky=a",
            ],
            "both safe and leaky",
        ),
    ],
)
def test_what_does_not_go_together(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--root", str(write(tmp_path / "rows.csv"))]) == 2
    assert message in capsys.readouterr().err


def test_a_tag_of_no_column_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "rows.csv", meta_age="3")
    assert (
        main(
            [
                "--corpus",
                "manifest",
                "--root",
                str(table),
                "--stream",
                "--corpus-option",
                "safe=meta_ag",
            ]
        )
        == 3
    )
    assert "which is no metadata column; did you mean 'meta_age'?" in capsys.readouterr().err
