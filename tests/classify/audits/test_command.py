"""The command, the grid's refusal, and what they leave beside the results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from classify.commands import audit_leakage as audit
from classify.commands import run_fusion_grid as cli
from classify.leakage.checks import CHECKS, Audit, run_checks
from classify.leakage.finding import LeakageFinding
from embeddings_store.errors import StoreError
from tests.classify.audits.planted import PLANTED, Plan

QUICK = ["--classifiers", "svm", "--jobs", "1"]


def test_exit_status_and_text(
    clean: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean.write(tmp_path / "e")
    assert audit.main(["--store", str(tmp_path / "e")]) == 0
    out = capsys.readouterr().out
    assert "leakage audit of toy, plan leave-one-session-out" in out
    assert f"no leak found ({len(CHECKS) - 1} clean, 1 not checked)" in out


def test_a_leak_is_status_3_and_explained(
    clean: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    PLANTED["speakers"][1](clean)
    clean.write(tmp_path / "e")
    assert audit.main(["--store", str(tmp_path / "e")]) == 3
    out = capsys.readouterr().out
    assert "leak: speakers" in out and "do: fold by speaker" in out and "such as S0-F" in out
    assert audit.main(["--store", str(tmp_path / "e"), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == told["checks"]["speakers"]["verdict"] == "leak"
    assert 0 < told["checks"]["speakers"]["share"] < 1


@pytest.mark.parametrize(
    "kind",
    ["speakers", "videos", "transcripts", "media", "seen", "contamination", "permuted", "groups"],
)
def test_the_grid_refuses_what_the_audit_calls_a_leak(
    kind: str, clean: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    PLANTED[kind][1](clean)
    clean.write(tmp_path / "e")
    assert cli.main(["--store", str(tmp_path / "e"), "--out", str(tmp_path / "r"), *QUICK]) == 3
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "run-fusion-grid: " in error
    assert not (tmp_path / "r").exists()


def test_an_accepted_leak_stands_over_every_table_and_in_the_last_lines(
    clean: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    PLANTED["speakers"][1](clean)
    store, out = clean_store(clean, tmp_path), tmp_path / "r"
    assert cli.main(["--store", store, "--out", str(out), *QUICK, "--accept", "speakers"]) == 0
    shown = capsys.readouterr().out
    checked = f"{len(CHECKS) - 1} of {len(CHECKS)} checks"
    line = f"audit: leak ({checked}); LEAK: speakers (accepted by --accept): "
    assert shown.count(f"to believe it: {line}") == 1
    titles = [row for row in shown.splitlines() if row.startswith(("Table ", "What each"))]
    assert len(titles) > 1 and all("ACCEPTED LEAK: SPEAKERS" in title for title in titles)
    kept = Audit.read(out)
    assert kept.accepted == ("speakers",) and kept.verdict == "leak"
    assert audit.main(["--store", store, "--results", str(out)]) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [("seen", "nobody can want this leak"), ("speaker", "did you mean 'speakers'?")],
)
def test_what_cannot_be_accepted(
    name: str, message: str, clean: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = clean_store(clean, tmp_path)
    assert cli.main(["--store", store, "--out", str(tmp_path / "r"), *QUICK, "--accept", name]) == 2
    assert message in capsys.readouterr().err


def test_results_are_audited_as_they_were_made(
    clean: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = clean_store(clean, tmp_path), tmp_path / "r"
    assert cli.main(["--store", store, "--out", str(out), *QUICK, "--quiet"]) == 0
    before = Audit.read(out)
    assert before.verdict == "clean" and before.having("not checked") == ["shuffled"]
    assert audit.main(["--store", store, "--results", str(out), "--shuffled"]) == 0
    deeper = Audit.read(out)
    assert deeper.about == before.about
    assert deeper.findings["shuffled"].verdict == "clean"
    # the grid, which fits nothing to audit, keeps what the command found out for the very same
    # evaluation
    assert cli.main(["--store", store, "--out", str(out), *QUICK, "--quiet"]) == 0
    assert Audit.read(out).findings["shuffled"] == deeper.findings["shuffled"]
    capsys.readouterr()
    assert audit.main(["--store", store, "--results", str(out), "--folds", "split"]) == 2
    assert "--results brings its own plan" in capsys.readouterr().err


def test_what_was_found_last_counts_and_a_damaged_record_does_not(
    clean: Plan, tmp_path: Path
) -> None:
    found = run_checks(clean.case(tmp_path / "e"))
    found.write(tmp_path)
    once, again = (
        replace(
            found, findings={**found.findings, "shuffled": LeakageFinding(verdict, "run", "m", "a")}
        )
        for verdict in ("clean", "leak")
    )
    once.write(tmp_path)
    assert found.keeping(tmp_path).findings["shuffled"].verdict == "clean"
    assert again.keeping(tmp_path).findings["shuffled"].verdict == "leak"
    read = LeakageFinding("clean", "no copies", details={"files_read": 1.0})
    replace(found, findings={**found.findings, "media": read}).write(tmp_path)
    assert found.keeping(tmp_path).findings["media"] == read
    leaks = replace(
        found, findings={**found.findings, "media": LeakageFinding("leak", "copies", "m", "a")}
    )
    assert leaks.keeping(tmp_path).findings["media"].verdict == "leak"
    assert (
        replace(found, about={**found.about, "plan_digest": "another"})
        .keeping(tmp_path)
        .findings["media"]
        != read
    )
    (tmp_path / "audit.json").write_text("{")
    assert found.keeping(tmp_path) == found
    with pytest.raises(StoreError, match="delete it"):
        Audit.read(tmp_path)


def test_a_protocol_by_name(
    clean: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = clean_store(clean, tmp_path)
    assert audit.main(["--store", store, "--protocol", "group-stratified-kfold:3"]) == 3
    out = capsys.readouterr().out
    assert (
        "plan group-stratified-kfold:3" in out and "leak: speakers" in out
    )  # dialogues are whole, and people are in several
    assert audit.main(["--store", store, "--protocol", "meld-official"]) == 2
    assert "belongs to meld" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--corpus", "toi"], 2, "did you mean 'toy'?"),
        (["--folds", "nothing.parquet"], 3, "nothing.parquet"),
        (["--encoder", "audio=end"], 2, "the store has audio=enc@"),
        (["--media", "."], 2, "holds no file that corpus 'toy' names"),
        (["--results", "nowhere"], 3, "nowhere"),
        (["--label-set", "iemocap-5"], 2, "iemocap-5"),
    ],
)
def test_bad_input_is_one_line_and_a_status(
    arguments: list[str],
    status: int,
    message: str,
    clean: Plan,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert audit.main(["--store", clean_store(clean, tmp_path), *arguments]) == status
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_files_are_compared_byte_by_byte_with_media(clean: Plan, tmp_path: Path) -> None:
    store, media = clean_store(clean, tmp_path), tmp_path / "media"
    for number, name in enumerate(clean.columns["audio"].tolist()):
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        (media / name).write_bytes(bytes([number]) * 40)
    arguments = ["--store", store, "--media", str(media)]
    assert audit.main(arguments) == 0
    (media / "wav/u003.wav").write_bytes((media / "wav/u004.wav").read_bytes())
    assert audit.main(arguments) == 3


def test_files_behind_a_link_are_compared_on_demand(
    clean: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, media = clean_store(clean, tmp_path), tmp_path / "media"
    media.mkdir()
    (tmp_path / "disk").mkdir()
    (media / "wav").symlink_to(tmp_path / "disk")
    for number, name in enumerate(clean.columns["audio"].tolist()):
        (media / name).write_bytes(bytes([number]) * 40)
    arguments = ["--store", store, "--media", str(media)]
    assert audit.main(arguments) == 3
    assert "add --follow-links" in capsys.readouterr().err
    assert audit.main([*arguments, "--follow-links"]) == 0


def clean_store(plan: Plan, folder: Path) -> str:
    plan.write(folder / "e")
    return str(folder / "e")
