"""The command: what it prints where, and with which exit status."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embeddings_store.commands.common import guarded
from embeddings_store.commands.embeddings_store import main
from embeddings_store.errors import StoreError, UsageError
from embeddings_store.vectors.hdf5 import read_embeddings

if TYPE_CHECKING:
    from conftest import Bench

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; returns exit status, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as stop:
            status = int(str(stop.code))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.mark.parametrize("command", [(), ("inspect",), ("verify",), ("import",), ("export",)])
def test_help_shows_examples_and_exit_codes(run: Run, command: tuple[str, ...]) -> None:
    status, out, err = run(*command, "--help")
    assert (status, err) == (0, "")
    assert f"examples:\n  embeddings-store {command[0] if command else 'inspect'}" in out
    assert "exit status: 0 done; 2 usage; 3 data or store problem" in out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("inspect", "--nonsense"),
        ("export", "x.h5"),
        ("import", "x.npz"),
        ("import", "x.npz", "--see", "none"),
    ],
)
def test_wrong_usage_is_exit_2(run: Run, arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("embeddings-store") and err.count("\n") == 1
    assert "see embeddings-store" in err and err.endswith("--help\n")


def test_import_needs_to_be_told_what_was_seen(run: Run) -> None:
    assert "the following arguments are required: --seen" in run("import", "x.npz")[2]


def test_an_option_that_is_mistyped_gets_the_nearest(run: Run) -> None:
    mistyped = run("import", "x.npz", "--seen", "none", "--modalty=audio")[2]
    assert "unrecognized arguments: --modalty=audio; did you mean '--modality'? see" in mistyped
    assert "did you mean" not in run("inspect", "--\x1b[31mzzz")[2]
    assert "\x1b" not in run("inspect", "--\x1b[31mzzz")[2]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("inspect", "none.h5"), 2, "none.h5: no such file or folder"),
        (("inspect", "--store", "none"), 2, "none: no such file or folder"),
        (("verify", "--store", "none"), 2, "none: no such file or folder"),
        (
            ("verify", "."),
            3,
            ".: no corpus in this store; run extract-features or embeddings-store import with "
            "--store . first",
        ),
        (("inspect", "torn.h5"), 3, "torn.h5: is cut short or damaged"),
        (("export", "torn.h5", "x.csv"), 3, "torn.h5: is cut short or damaged"),
        (("export", "none.h5", "x.csv"), 3, "none.h5: no such file"),
        (("import", "none.npz", "--seen", "none"), 3, "none.npz: no such file"),
        (
            ("import", "x.txt", "--seen", "none"),
            2,
            "x.txt: import reads .npz, .npy, .csv, .tsv, .arff",
        ),
        (("import", "x.npz", "--seen", "nobody"), 2, "--seen 'nobody' is neither"),
    ],
)
def test_errors_are_one_line_on_stderr(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("torn.h5").write_bytes(b"\x89HDF")
    Path("x.txt").touch()
    np.savez("x.npz", ids=np.array(["a"]), text=np.ones((1, 2)))
    code, out, err = run(*arguments)
    assert (code, out) == (status, "")
    assert err.startswith(f"embeddings-store: {message}")
    assert err.count("\n") == 1


def test_import_inspect_verify_export(run: Run, tmp_path: Path) -> None:
    source, rows, store = tmp_path / "mosi.npz", tmp_path / "rows.csv", tmp_path / "store"
    np.savez(
        source,
        ids=np.array(["a", "ü", "c"]),
        text=np.eye(3, dtype=np.float32),
        audio=np.full((3, 2), np.nan),
    )
    rows.write_text("id,label,split\na,x,train\nü,y,train\nc,x,test\n", encoding="utf-8")
    status, out, err = run(
        "import", source, "--rows", rows, "--seen", "split:train", "--store", store
    )
    assert (status, err) == (0, "")
    files = [Path(line.split(": ")[0]) for line in out.splitlines()]
    assert "3 rows, 3-d, {'ok': 3}, seen {'fit': 2, 'no': 1}" in out
    assert "3 rows, 2-d, {'missing': 3}" in out
    status, out, err = run("inspect", "--store", store)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "mosi: 3 rows, protocol split; x 2, y 1"
    assert "3-d  3/3 rows ok" in out
    assert "2-d  0/3 rows ok" in out
    [facts] = json.loads(run("inspect", store / "mosi", "--json")[1])
    assert facts["classes"] == {"x": 2, "y": 1}
    assert [f["modality"] for f in facts["files"]] == ["audio", "text"]
    assert run("verify", "--store", store) == (0, "3 files read, 3 whole, 0 with problems\n", "")
    assert run("export", files[0], tmp_path / "out.parquet") == (
        0,
        f"{tmp_path / 'out.parquet'}: 3 rows\n",
        "",
    )


def test_inspect_shows_a_file(run: Run, bench: Bench) -> None:
    path = bench.path(bench.put(failed=(3,), seen=["fit"] * 2 + ["no"] * 10))
    status, out, _ = run("inspect", path)
    assert status == 0
    assert 'status: {"ok": 11, "failed": 1}' in out
    assert 'seen: {"fit": 2, "no": 10}' in out
    facts = json.loads(run("inspect", path, "--json")[1])
    assert facts["rows with a reason"] == ["u03: failed: because it is failed"]
    assert (facts["rows"], facts["dim"], facts["corpus"]) == (12, 4, "mini")


def test_inspect_shows_what_is_unfinished_or_damaged(run: Run, bench: Bench) -> None:
    assert "note: no finished vectors yet" in run("inspect", "--store", bench.store)[1]
    (bench.store / "mini" / ".running" / "enc@key").mkdir(parents=True)
    bench.put("audio")
    bench.path(bench.put("text")).write_bytes(b"torn")
    status, out, _ = run("inspect", "--store", bench.store)
    assert status == 0
    assert "unfinished: enc@key (run the same extract-features command again to go on)" in out
    assert "is cut short or damaged" in out
    assert "enc-audio@0123456789ab" in out


def test_verify_names_every_problem_and_ends_with_3(run: Run, bench: Bench) -> None:
    whole = bench.path(bench.put("audio"))
    torn, moved, foreign = (bench.path(bench.put(name)) for name in ("text", "video", "meta"))
    torn.write_bytes(torn.read_bytes()[:-1000])
    moved.rename(moved.with_name("fold-3.h5"))
    bench.put("meta", about={"inputs_digest": "ffffffffffff"})
    status, out, err = run("verify", "--store", bench.store)
    assert (status, out) == (3, "5 files read, 2 whole, 3 with problems\n")
    lines = err.splitlines()
    assert len(lines) == 3
    assert {Path(line.split(": ")[0]) for line in lines} == {
        torn,
        moved.with_name("fold-3.h5"),
        foreign,
    }
    assert any("was made from other inputs than the corpus beside it" in line for line in lines)
    assert run("verify", whole)[0] == 0
    assert run("verify", whole, torn)[1] == "2 files read, 1 whole, 1 with problems\n"


def test_verify_goes_on_after_a_damaged_corpus(run: Run, bench: Bench) -> None:
    bench.put()
    (bench.store / "mini" / "manifest.parquet").write_bytes(b"torn")
    status, out, err = run("verify", "--store", bench.store)
    assert (status, out) == (3, "2 files read, 1 whole, 1 with problems\n")
    assert "corpus.json or manifest.parquet is damaged" in err


# What all commands share


def test_notes_of_an_error_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        error = StoreError("broken")
        error.add_note("while reading x")
        raise error

    assert guarded(fail, "tool") == 3
    assert capsys.readouterr().err == "tool: broken; while reading x\n"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (UsageError("no"), 2, "tool: no\n"),
        (KeyboardInterrupt(), 130, "tool: interrupted; what was finished is safe"),
    ],
)
def test_exit_codes(
    capsys: pytest.CaptureFixture[str], error: BaseException, status: int, text: str
) -> None:
    def fail() -> int:
        raise error

    assert guarded(fail, "tool") == status
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("later", [None, ImportError("half imported"), StoreError("odd")])
def test_ctrl_c_that_a_library_swallows_counts_all_the_same(
    capsys: pytest.CaptureFixture[str], later: Exception | None
) -> None:
    before = signal.getsignal(signal.SIGINT)

    def swallow() -> int:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        if later:
            raise later
        return 0

    assert guarded(swallow, "tool") == 130
    shown = capsys.readouterr().err.strip().splitlines()
    assert [line.partition(";")[0] for line in shown] == ["tool: interrupted"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError("strange"), ZeroDivisionError()])
def test_bugs_keep_their_traceback(error: Exception) -> None:
    def fail() -> int:
        raise error

    with pytest.raises(type(error)):
        guarded(fail, "tool")


def test_a_closed_pipe_is_no_error(bench: Bench) -> None:
    bench.put()
    reader, writer = os.pipe()
    os.close(reader)
    command = [
        sys.executable,
        "-m",
        "embeddings_store.commands.embeddings_store",
        "inspect",
        "--store",
        str(bench.store),
        "--json",
    ]
    done = subprocess.run(
        command,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_of_a_file_names_no_folder_of_this_machine(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "x.npz", ids=np.array(["a"]), text=np.ones((1, 2)))
    monkeypatch.setattr(
        sys,
        "argv",
        ["/usr/bin/embeddings-store", "import", str(tmp_path / "x.npz"), f"--store={tmp_path}/s"],
    )
    path = run("import", tmp_path / "x.npz", "--seen", "none", "--store", tmp_path / "s")[1].split(
        ": "
    )[0]
    assert (
        read_embeddings(Path(path)).attributes["provenance"]["command"]
        == "embeddings-store import x.npz --store=s"
    )
    assert str(tmp_path).encode() not in Path(path).read_bytes()
