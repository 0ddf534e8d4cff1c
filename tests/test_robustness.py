"""Altered files end in one line or in a result that is explained; files of past faults stay mended.

The long form is ``make fuzz``; what it found stands in ``benchmarks/results/robustness.csv``.
"""

from __future__ import annotations

import io
import os
import random
import sys
import time
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import benchmarks.record as recorder
import benchmarks.robustness.__main__ as driver
from benchmarks.robustness import atlas, campaign, children, trial
from benchmarks.robustness.children import Trials, make_stage, quieten
from benchmarks.robustness.formats import in_zip
from benchmarks.robustness.kinds import KINDS, Kind
from benchmarks.robustness.lives import LEFT, OTHER, SAME, Case, Lives, disturb
from benchmarks.robustness.trial import (
    CRASH,
    DIFFERENT,
    EQUAL,
    EXECUTED,
    FAULTS,
    HANG,
    LINES,
    OUTSIDE,
    REFUSED,
    TRACEBACK,
    Stage,
    Way,
    first,
)
from embeddings_store.atomic import replacing
from embeddings_store.tables import TABLES
from extract.corpora import corpus_names

PAST_FAULTS = Path(__file__).with_name("past_faults")
OF_FOLDER = {kind.folder: kind for kind in KINDS}
# Read in a few milliseconds each.
QUICK = ("manifest.csv", "vectors.npz", "store, corpus.json", "store, fold.h5")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Where trials run, with what children inherit."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "COLUMNS"):
            patched.setenv(name, "")  # so that it is as before afterwards
        quieten()
        yield make_stage(tmp_path_factory.mktemp("robust"))


def trials_of(stage: Stage, kind: Kind, way: Way) -> Trials:
    base = atlas.made(kind.world, stage.folder / "made")
    return Trials(stage, base, kind.pattern, way, f"{kind.name} {way.name}")


# What the driver sees ---------------------------------------------------------------------------


def _refuse(stage: Stage) -> int:
    print("evil: data.csv: is cut short", file=sys.stderr)
    return 3


def _say_too_much(stage: Stage) -> int:
    _refuse(stage)
    return _refuse(stage)


def _raise(stage: Stage) -> int:
    raise ValueError("a bug")


def _read_bait(stage: Stage) -> int:
    return len((stage.bait.folder / "secret.csv").read_text()) * 0


def _take_all_memory(stage: Stage) -> int:
    return len(bytearray(64 << 30)) * 0


def _wait(stage: Stage) -> int:
    time.sleep(60)
    return 0


DEEDS: dict[str, tuple[Callable[[Stage], int], str]] = {
    "refuses": (_refuse, REFUSED),
    "says two lines": (_say_too_much, LINES),
    "raises": (_raise, TRACEBACK),
    "takes all memory": (_take_all_memory, TRACEBACK),
    "aborts": (lambda stage: os.abort(), CRASH),
    "waits": (_wait, HANG),
    "runs a program": (lambda stage: os.system("true") * 0, EXECUTED),
    "runs a payload": (
        lambda stage: os.mknod(stage.bait.folder / "made") or 0,
        EXECUTED,
    ),
    "opens the bait": (_read_bait, OUTSIDE),
    "writes elsewhere": (
        lambda stage: (stage.folder / "elsewhere").write_text("x") * 0,
        OUTSIDE,
    ),
    "prints the same": (lambda stage: 0, EQUAL),
    "prints another": (lambda stage: print("other") or 0, DIFFERENT),
}


def test_an_archive_that_is_torn_inside_is_left_to_other_alterations() -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"many words " * 100)
    data = bytearray(written.getvalue())
    data[30 + len("x.npy")] = 0xFF  # the first compressed byte: a kind of block that is not there
    assert in_zip(random.Random(0), bytes(data), []) == bytes(data)


@pytest.mark.parametrize("deed", sorted(DEEDS))
def test_the_driver_sees_what_a_command_does(
    deed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(tmp_path / "stage")
    base = tmp_path / "base"
    base.mkdir()
    (base / "data.csv").write_text("whole")
    does, outcome = DEEDS[deed]

    def main(argv: list[str]) -> int:
        return does(stage) if Path(argv[0]).read_text() != "whole" else 0

    module = types.ModuleType("evil_command")
    module.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "evil_command", module)
    monkeypatch.setattr(trial, "SCRIPTS", {"evil": "evil_command:main"})
    monkeypatch.setattr(children, "MOST_S", 1.0 if deed == "waits" else 20.0)
    trials = Trials(stage, base, "data.csv", Way("evil", ("{here}/data.csv",)), "evil")
    found = list(trials.run_on([b"torn", b"whole", b"torn"]))
    assert [one.outcome for one in found] == [outcome, EQUAL, outcome], found
    assert (base / "data.csv").read_text() == "whole"


def _careless(out: Path) -> None:
    """Write in place, and take what is there for whole."""
    if not out.exists():
        with out.open("w") as file:
            for number in range(20):
                print(number, file=file, flush=True)
                time.sleep(0.005)


def _careful(out: Path) -> None:
    with replacing(out) as temporary:
        _careless(temporary)


def _untidy(out: Path) -> None:
    """Write whole, and leave what a killed life was writing."""
    temporary = out.with_name(f"{os.getpid()}.part")
    _careless(temporary)
    temporary.rename(out)


@pytest.mark.parametrize(
    ("write", "fault"), [(_careful, None), (_careless, OTHER), (_untidy, LEFT)]
)
def test_kills_tell_a_careful_command_from_a_careless_one(
    write: Callable[[Path], None],
    fault: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = make_stage(tmp_path / "stage")
    (tmp_path / "base" / "out").mkdir(parents=True)

    def main(argv: list[str]) -> int:
        write(Path(argv[0]))
        return 0

    module = types.ModuleType("evil_command")
    module.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "evil_command", module)
    monkeypatch.setattr(trial, "SCRIPTS", {"evil": "evil_command:main"})
    way = Way("evil", ("{here}/out/numbers.txt",), ("out/numbers.txt",))
    lives = Lives(Case("evil", "", way), tmp_path / "base", stage)
    # On a busy machine any one kill may come before or after the writing, so the faulty commands
    # are killed until one is hit.
    count = 8 if fault is None else 200
    found = set()
    for _, outcome, _ in disturb(lives, range(count), 0, time.monotonic() + 60, False):
        found.add(outcome)
        if outcome == fault:
            break
    assert found - {SAME} == ({fault} if fault else set())


def test_every_reader_of_a_corpus_and_every_table_is_of_some_kind() -> None:
    """What is not here reads names of media alone."""
    arguments = [way.arguments for kind in KINDS for way in kind.ways]
    read = {given[given.index("--corpus") + 1] for given in arguments if "--corpus" in given}
    assert set(corpus_names()) - read == {"emodb", "ravdess", "savee", "tess"}
    suffixes = {Path(kind.pattern).suffix for kind in KINDS}
    assert {*TABLES, ".npy", ".npz", ".h5", ".onnx"} - {".pq"} <= suffixes
    programs = {way.command for kind in KINDS for way in kind.ways}
    # both read a model and a store as commands that are here do
    # altered subtitles are tried in tests/classify/subtitles/test_restyle.py
    without = {"make-corpus", "predict-emotions", "score-model", "write-subtitles"}
    assert set(trial.SCRIPTS) - programs == without


# How trials are shared out, and recorded ---------------------------------------------------------


class Timed:
    """A job whose trials take a stated time of a clock that nothing else moves."""

    def __init__(self, clock: list[float], trial_s: Callable[[int], float]) -> None:
        self.clock, self.trial_s = clock, trial_s
        self.done, self.took_s = 0, 0.0

    def run(self, count: int, until: float) -> None:
        for _ in range(count):
            spent_s = self.trial_s(self.done)
            self.clock[0] += spent_s
            self.took_s += spent_s
            self.done += 1
            if self.clock[0] > until:
                break


def shared_out(
    monkeypatch: pytest.MonkeyPatch, count: int, ends: float, *trial_s: Callable[[int], float]
) -> list[Timed]:
    clock = [0.0]
    monkeypatch.setattr(campaign, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    jobs = [Timed(clock, each) for each in trial_s]
    campaign.share(jobs, campaign.Asked(count, 0, ends))
    return jobs


def test_what_is_fast_is_tried_more_often_and_the_number_is_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speeds = (lambda _: 0.01, lambda _: 0.1, lambda _: 10.0)
    fast, middle, slow = shared_out(monkeypatch, 2000, 1e9, *speeds)
    assert fast.done + middle.done + slow.done == 2000
    assert slow.done >= campaign.LEAST
    assert fast.done - 20 == pytest.approx(10 * (middle.done - 20), rel=0.1)


def test_what_becomes_slow_leaves_its_trials_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = (lambda number: 100.0 if number > 30 else 0.1, lambda _: 0.1)
    stuck, other = shared_out(monkeypatch, 1000, 1e9, *speeds)
    assert stuck.done + other.done == 1000 and stuck.done < 50


def test_a_campaign_ends_in_time_with_equal_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = shared_out(monkeypatch, 100_000, 60.0, lambda _: 0.01, lambda _: 0.5)
    assert fast.clock[0] == pytest.approx(60, abs=1)
    assert fast.took_s == pytest.approx(30, abs=10)
    assert slow.took_s == pytest.approx(30, abs=10)


def test_a_campaign_s_rows_replace_its_own_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (driver, recorder):
        monkeypatch.setattr(module, "RESULTS", tmp_path)

    def found(name: str, *kinds: str) -> pd.DataFrame:
        rows = [campaign.Found(name, kind, "check", "", REFUSED, 1) for kind in kinds]
        return pd.DataFrame([vars(row) for row in rows])

    driver.record_campaign(found("mutations", "a", "b"), ["--seed", "1"], 1)
    driver.record_campaign(found("kills", "a"), ["--seed", "2"], 2)
    driver.record_campaign(found("mutations", "b"), ["--kind", "b*"], 3, parts=True)
    table = pd.read_csv(tmp_path / "robustness.csv")
    assert table[["campaign", "kind", "seed"]].to_numpy().tolist() == [
        ["mutations", "a", 1],
        ["kills", "a", 2],
        ["mutations", "b", 3],
    ]
    assert table["command"].iloc[-1] == "python -m benchmarks.robustness --kind 'b*'"
    for seed in (5, 6, 6):
        driver.record_campaign(found("mutations", "b"), [], seed, beside=True)
    table = pd.read_csv(tmp_path / "robustness.csv")
    assert table[table["kind"] == "b"]["seed"].tolist() == [3, 5, 6]
    driver.record_campaign(found("mutations", "c"), [], 4)
    table = pd.read_csv(tmp_path / "robustness.csv")
    assert table["kind"].tolist() == ["a", "c"]


# What commands do -------------------------------------------------------------------------------


Edit = tuple[float, int, bytes]
EDITS = some.lists(
    some.tuples(some.floats(0, 1), some.integers(0, 40), some.binary(max_size=20)),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """Replace pieces of a file by others."""
    for place, length, piece in edits:
        begin = int(place * len(data))
        data = data[:begin] + piece + data[begin + length :]
    return data


@pytest.mark.parametrize("name", QUICK)
def test_no_edit_of_a_file_is_a_fault(name: str, stage: Stage) -> None:
    kind = next(kind for kind in KINDS if kind.name == name)
    way = next(way for way in kind.ways if way.command == "embeddings-store")
    trials = trials_of(stage, kind, way)
    whole = first(stage.folder / "made" / kind.world, kind.pattern).read_bytes()

    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(EDITS)
    def check(edits: list[Edit]) -> None:
        (found,) = trials.run_on([edited(whole, edits)])
        assert found.outcome not in FAULTS, found.detail

    check()


@pytest.mark.parametrize("name", QUICK)
def test_no_alteration_of_a_file_is_a_fault(name: str, stage: Stage) -> None:
    kind = next(kind for kind in KINDS if kind.name == name)
    for way in dict.fromkeys(kind.ways[:2]):
        for found in trials_of(stage, kind, way).run(range(15), 0):
            assert found.outcome not in FAULTS, f"{way.name} {found.number}: {found.detail}"
            explained = way.explained or kind.explained
            assert found.outcome != DIFFERENT or explained, f"{way.name} {found.number}"


FAULTY = sorted(PAST_FAULTS.glob("*/*"), key=str)


@pytest.mark.parametrize("path", FAULTY, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_past_fault_is_none_any_more(path: Path, stage: Stage) -> None:
    """``past_faults/KIND/COMMAND.what-is-wrong.suffix``, in the place of a file of that kind."""
    kind = OF_FOLDER[path.parent.name]
    if kind.world == "exports":
        pytest.importorskip("audformat", reason="the extra 'interchange' is not installed")
        pytest.importorskip("datasets", reason="the extra 'interchange' is not installed")
    command = path.name.partition(".")[0]
    ways = [way for way in dict.fromkeys(kind.ways) if way.name.replace(" ", "-") == command]
    assert ways, f"no way of {kind.name} is called {command}"
    for way in ways:
        (found,) = trials_of(stage, kind, way).run_on([path.read_bytes()])
        assert found.outcome not in FAULTS, found.detail
