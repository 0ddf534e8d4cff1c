"""The command: its help, its exit codes, and what a kill or Ctrl-C in the middle costs."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from classify.commands import run_fusion_grid as cli
from classify.commands.grid_options import build_parser, config_from
from classify.commands.run_fusion_grid import main
from classify.grid.config import GridConfig
from classify.results.table import VOLATILE, ResultTable
from classify.terminal.console import add_line, figures_table, print_table

MakeStore = Callable[..., Path]
QUICK = ["--classifiers", "svm", "--early", "concatenation", "--late", "none", "--jobs", "1"]


def test_no_argument_is_a_full_run_on_the_only_corpus(
    make_store: MakeStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_store(split=True, rows=45)
    monkeypatch.chdir(tmp_path)
    assert main(["--xgboost-trees", "3", "--nn-epochs", "2"]) == 0
    out = capsys.readouterr().out
    assert "Table 6: late fusion" in out
    assert (tmp_path / "results" / "grid.csv").is_file()
    assert "\n38 rows (cells x folds) in results: grid.csv, predictions.parquet, table4" in out
    _the_last_lines_answer_what_is_asked(out.splitlines())


def _the_last_lines_answer_what_is_asked(lines: list[str]) -> None:
    last = lines[next(at for at, line in enumerate(lines) if line.startswith("result: ")) :]
    asked = ["result", "how sure", "against", "to believe it", "next"]
    assert [line.split(":")[0] for line in last] == asked
    by_start = dict(line.split(": ", 1) for line in last)
    assert "nothing was chosen" in by_start["result"]  # a plan without validation rows
    assert "% interval" in by_start["how sure"] or "no interval, " in by_start["how sure"]
    assert by_start["against"].startswith("chance ")
    assert by_start["to believe it"].startswith("audit: ")
    command, _, rest = by_start["next"].partition(" (")
    assert command == "make-report results"
    assert "audit-leakage --results results --shuffled" in rest
    # what stands below every table in a long form is said once
    assert sum("WA = accuracy" in line for line in lines) == 1


@pytest.mark.parametrize(("width", "kept"), [(50, 0), (80, 0), (110, 1), (200, 2)])
def test_a_narrow_window_loses_averages_and_never_a_name(width: int, kept: int) -> None:
    averages = ["average WA", "avg UAR"]
    table = figures_table("Table 4", ["SVM", "NN", "XGBoost", *averages])
    names = ["concatenation of audio+text", "mean"]
    for name in names:
        add_line(table, name, *["70.83 ± 10.76"] * 5)
    console = Console(width=width, record=True, file=io.StringIO())
    print_table(console, table, can_go=averages)
    *shown, last = console.export_text().rstrip().splitlines()
    gone = averages[kept:]
    assert last == f"{', '.join(gone)}: in a wider window, and in the file" or not gone
    text = "\n".join(shown)
    assert [name for name in averages if name in text or (name in last and not gone)] == averages[
        :kept
    ]
    assert all(word in text for word in ("SVM", "NN", "XGBoost", "concatenation", "audio+text"))
    assert "…" not in text and max(map(len, shown)) <= width


def test_defaults_are_those_of_the_configuration() -> None:
    assert config_from(build_parser().parse_args([])) == GridConfig()


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "exit status:" in text
    for action in build_parser()._actions:
        assert action.help
        assert all(option in text for option in action.option_strings)


def test_a_dry_run_writes_nothing_and_counts(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--store", str(make_store()), "--out", str(tmp_path / "r"), *QUICK]
    assert main([*arguments, "--dry-run"]) == 0
    assert "5 cells x 3 folds: 0 finished, 15 to run" in capsys.readouterr().out
    assert not (tmp_path / "r").exists()
    assert main([*arguments, "--quiet"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("result: ") and f" in {tmp_path / 'r'}: grid.csv" in line
    assert main([*arguments, "--dry-run"]) == 0
    assert "15 finished, 0 to run" in capsys.readouterr().out


def test_shuffled_labels_are_announced_everywhere(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            ["--store", str(make_store()), "--out", str(tmp_path / "r"), *QUICK, "--shuffle-labels"]
        )
        == 0
    )
    text = capsys.readouterr().out
    assert text.count("*** LABELS SHUFFLED (seed 0)") == 2
    titles = [line for line in text.splitlines() if line.startswith(("Table ", "What each"))]
    assert len(titles) >= 4 and all("LABELS SHUFFLED (SEED 0)" in title for title in titles)
    assert "\nLABELS SHUFFLED (SEED 0), no result: " in text


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--classifiers", "svn"], 2, "unknown classifier 'svn'; did you mean 'svm'?"),
        (["--early", "concat"], 2, "unknown early fusion 'concat'"),
        (["--late", "none", "sum"], 2, "none stands alone"),
        (["--corpus", "toi"], 2, "did you mean 'toy'?"),
        (["--modalities", "adio"], 2, "did you mean 'audio'?"),
        (["--encoder", "audio"], 2, "must have the form MODALITY=NAME"),
        (["--encoder", "audio=a", "--encoder", "audio=b"], 2, "names audio twice"),
        (["--encoder", "audio=enc-vidio"], 2, "no audio vectors match"),
        (["--folds", "leave-one-sesion-out"], 2, "unknown column to fold by 'sesion'"),
        (["--svm-c", "-1"], 2, "c must be a number above 0"),
        (["--classifiers", "nn", "--svm-c", "5"], 2, "--svm-c has no effect"),
        (["--fit-rows", "train+valid", "--valid", "none"], 2, "needs validation rows"),
        (["--folds", "missing.parquet"], 3, "missing.parquet"),
        (["--folds", "missing.parquet", "--valid", "next"], 2, "has no effect on the plan file"),
        (["--jobs", "-1"], 2, "jobs and seeds are 0 or more"),
        (["--seed", "99999999999"], 2, "seeds are below 2147483648"),
        (["--valid-split", "-1"], 2, "--valid-split takes a seed of 0 or more, not -1"),
        (["--tune", "2", "--tune-minutes", "nan"], 2, "got 2 trials, nan minutes"),
        (["--tune", "2", "--tune-minutes", "inf"], 2, "got 2 trials, inf minutes"),
        (["--store", "nowhere"], 3, "no corpus in this store"),
    ],
)
def test_bad_input_is_one_line_and_a_status(
    arguments: list[str],
    status: int,
    message: str,
    make_store: MakeStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = make_store()
    assert main(["--store", str(store), "--out", str(tmp_path / "r"), *arguments]) == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_several_corpora_are_listed(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_store()
    store = make_store(corpus="other")
    assert main(["--store", str(store), "--out", str(tmp_path / "r")]) == 2
    assert "choose one with --corpus: other, toy" in capsys.readouterr().err


def test_the_leak_is_explained(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(split=True, seen="fit")
    assert (
        main(["--store", str(store), "--out", str(tmp_path / "r"), "--folds", "group-kfold:3"]) == 3
    )
    assert re.search(
        r"refused: fold 1 .* would (score|choose on) \d+ of \d+ (test|valid) rows",
        capsys.readouterr().err,
    )


def test_valid_has_no_effect_on_a_split_and_is_refused(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(split=True)
    assert main(["--store", str(store), "--out", str(tmp_path / "r"), "--valid", "next"]) == 2
    assert "--valid next has no effect on the plan 'split'" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_keeps_what_is_finished(
    make_store: MakeStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--store", str(make_store()), "--out", str(tmp_path / "r"), *QUICK]
    written, save = [], np.savez

    def full_after_four(handle: object, **arrays: object) -> None:
        if len(written) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(handle)
        save(handle, **arrays)  # type: ignore[arg-type]

    monkeypatch.setattr(np, "savez", full_after_four)
    assert main(arguments) == 3
    assert "the disk is full" in capsys.readouterr().err
    assert len(list((tmp_path / "r" / "cells").iterdir())) == 4
    monkeypatch.setattr(np, "savez", save)
    assert main([*arguments, "--dry-run"]) == 0
    assert "4 finished, 11 to run" in capsys.readouterr().out


def start(store: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    patch = (
        "from classify.commands.run_fusion_grid import main\n"
        "from classify.grid import execution\n"
        "execution.WORTH_PROCESSES_S = 0.0\n"
        "raise SystemExit(main())"
    )
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            patch,
            "--store",
            str(store),
            "--out",
            str(out),
            "--quiet",
            "--jobs",
            "2",
            "--early",
            "concatenation",
            "--late",
            "sum",
            "--nn-epochs",
            "40",
            *more,
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_cells(out: Path, count: int) -> None:
    until = time.monotonic() + 90
    while len(list((out / "cells").glob("*.npz"))) < count:
        assert time.monotonic() < until, "no cell was finished in time"
        time.sleep(0.01)


@pytest.mark.telling
def test_a_killed_run_goes_on_where_it_was(make_store: MakeStore, tmp_path: Path) -> None:
    store, out, whole = make_store(), tmp_path / "killed", tmp_path / "whole"
    process = start(store, out)
    wait_for_cells(out, 8)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(1.0)  # longer than an orphaned worker may live
    kept = {path: path.stat().st_mtime_ns for path in (out / "cells").glob("*.npz")}
    assert not (out / "grid.csv").exists()
    common = [
        "--store",
        str(store),
        "--quiet",
        "--jobs",
        "1",
        "--early",
        "concatenation",
        "--late",
        "sum",
        "--nn-epochs",
        "40",
    ]
    assert main([*common, "--out", str(out)]) == 0
    assert main([*common, "--out", str(whole)]) == 0
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    one, two = (
        ResultTable.read(folder / "grid.csv").rows.drop(columns=list(VOLATILE))
        for folder in (out, whole)
    )
    assert one.equals(two)
    assert {p.name for p in (out / "cells").glob("*.npz")} == {
        p.name for p in (whole / "cells").glob("*.npz")
    }


def test_ctrl_c_is_one_line_and_130(make_store: MakeStore, tmp_path: Path) -> None:
    store, out = make_store(), tmp_path / "r"
    process = start(
        store, out, "--seed", ",".join(map(str, range(40)))
    )  # long enough to be interrupted
    wait_for_cells(out, 8)
    os.killpg(process.pid, signal.SIGINT)  # the terminal sends it to the whole group
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was finished is safe" in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


def test_it_is_light_to_import() -> None:
    heavy = {"torch", "transformers", "extract", "matplotlib"}
    loaded = "classify.commands.run_fusion_grid, classify.grid.execution, classify.terminal.grid"
    code = f"import sys, {loaded}; print(sorted({heavy} & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
