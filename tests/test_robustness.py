"""Altered files end in one line or in a result that is explained; files of past faults stay mended.

The long form is ``make fuzz``; what it found stands in ``benchmarks/results/robustness.csv``.
"""

from __future__ import annotations

import os
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from benchmarks.robustness import atlas, children, trial
from benchmarks.robustness.children import Trials, make_stage, quieten
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
    for _, outcome, _ in disturb(lives, count, 0, time.monotonic() + 60, False):
        found.add(outcome)
        if outcome == fault:
            break
    assert found - {SAME} == ({fault} if fault else set())


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
