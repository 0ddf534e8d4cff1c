"""One trial: a command over a copy of a small world with one altered file, and what came of it.

Runs in a forked child; see ``children.py``.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import os
import random
import re
import shutil
import subprocess
import sys
import tomllib
import traceback
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import unified_diff
from itertools import islice
from pathlib import Path

from pyarrow import parquet

from benchmarks.robustness.alterations import altered
from benchmarks.robustness.watch import Bait, Witness
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.hdf5 import content_digest, read_embeddings

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS: Mapping[str, str] = tomllib.loads(
    (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
)["project"]["scripts"]
CLOCK = frozenset({"fit_s", "date", "commit", "command", "wall_s", "versions", "p_seconds"})

MOMENTS = re.compile(r"\d+(\.\d+)? (s|ms|min|MB|GB)\b|\d{4}-\d\d-\d\dT[\d:.+]+")

REFUSED, REPORTED = "refused with one line", "reported, row by row"
EQUAL, DIFFERENT = "accepted, equal", "accepted, different"
LINES, TRACEBACK, CRASH = "more than one line", "traceback", "interpreter ended"
HANG, EXECUTED, OUTSIDE = "hang", "executed", "outside"
OUTCOMES = (REFUSED, REPORTED, EQUAL, DIFFERENT, LINES, TRACEBACK, CRASH, HANG, EXECUTED, OUTSIDE)
FAULTS = frozenset({LINES, TRACEBACK, CRASH, HANG, EXECUTED, OUTSIDE})


@dataclass(frozen=True, slots=True)
class Way:
    """How a command reads a file.

    Attributes:
        command: Its name, ``embeddings-store`` for all of that command's own.
        arguments: ``{here}`` stands for the world's folder.
        results: Patterns of files that it makes, compared with those of an undisturbed run.
        said: Whether what it prints is compared as well.
        reports: Whether it lists what is wrong with rows or files, in as many lines as it takes.
        explained: Why it may accept an altered file with another result, where that is not the
            kind's own reason.
    """

    command: str
    arguments: tuple[str, ...]
    results: tuple[str, ...] = ()
    said: bool = True
    reports: bool = False
    explained: str = ""

    @property
    def name(self) -> str:
        """The command with its own command: ``embeddings-store verify``."""
        own = self.arguments[:1] if self.command == "embeddings-store" else ()
        return " ".join((self.command, *own))

    def argv(self, world: Path) -> list[str]:
        """Return the arguments for a world, the first file in the place of a pattern."""
        found = [argument.format(here=world) for argument in self.arguments]
        starred = [place for place, argument in enumerate(found) if "*" in argument]
        for place in starred:
            found[place] = str(first(world, str(Path(found[place]).relative_to(world))))
        return found


@dataclass(frozen=True, slots=True)
class Run:
    """What a command did in a world.

    Attributes:
        status: Its exit status; none where it raised.
        error: The traceback where it raised.
        lines: What it wrote to stderr.
        said: What it wrote to stdout, where that is compared.
        digest: Over what it made and said.
        breaches: What it ran or opened beyond what is allowed.
    """

    status: int | None
    error: str = ""
    lines: tuple[str, ...] = ()
    said: str = ""
    digest: str = ""
    breaches: tuple[str, ...] = ()


@dataclass(slots=True)
class Stage:
    """Where trials run: a folder with bait, worlds, and what commands say.

    Attributes:
        folder: Holds everything.
        bait: Watches ``folder/bait``.
        witness: Hears the audit events of this process; none in the parent.
        free: Folders that anybody may write to.
        warm: Commands that have run in this process, with their worlds.
    """

    folder: Path
    bait: Bait
    witness: Witness | None = None
    free: list[Path] = field(default_factory=list)
    warm: set[tuple[str, Path]] = field(default_factory=set)

    @property
    def strange(self) -> list[str]:
        """Words for altered files: the bait by other ways to name it."""
        names = sorted(path.name for path in self.bait.folder.iterdir())
        ups = ("../../bait", "../../../bait", "../../../../bait", str(self.bait.folder))
        words = [f"{up}/{name}" for up in ups for name in names]
        made = self.bait.folder / "made"
        return [
            *words,
            *(f"file://{self.bait.folder / name}" for name in names),
            f"!!python/object/apply:os.mknod ['{made}']",
            f"cos\nmknod\n(S'{made}'\ntR.",
            f"__import__('os').mknod('{made}')",
            f"$(touch {made})",
        ]


def perform(
    way: Way, world: Path, stage: Stage, digested: Container[int | None] = (0, 3, 4)
) -> Run:
    """Run a command's ``main`` in this process, its output in files, and say what it did.

    Args:
        way: The command.
        world: Where it runs.
        stage: What watches it.
        digested: The exit statuses after which it matters what was made and printed.
    """
    module, function = SCRIPTS[way.command].split(":")
    main = getattr(importlib.import_module(module), function)
    said, complained = world.with_suffix(".out"), world.with_suffix(".err")
    stage.bait.taken()
    status, error = None, ""
    with _output(said, complained):
        if stage.witness is not None:
            stage.witness.world = str(world)
        try:
            status = main(way.argv(world))
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
        except BaseException:
            error = traceback.format_exc()
        if stage.witness is not None:
            stage.witness.world = ""
    breaches = [f"outside {what}" if "made" not in what else "ran" for what in stage.bait.taken()]
    if stage.witness is not None:
        breaches += sorted(stage.witness.taken())
    lines = complained.read_text(encoding="utf-8", errors="replace").splitlines()
    text = said.read_text(encoding="utf-8", errors="replace") if way.said else ""
    plain = MOMENTS.sub("MOMENT", text.replace(str(world), "WORLD"))
    digest = result_digest(world, way.results, plain) if status in digested else ""
    return Run(status, error, tuple(lines), plain, digest, tuple(breaches))


def perform_installed(way: Way, world: Path, stage: Stage, most_s: float) -> Run | None:
    """Run a command as it is installed, and say what it did; none where it did not end."""
    stage.bait.taken()
    command = [str(Path(sys.executable).with_name(way.command)), *way.argv(world)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=most_s)
    except subprocess.TimeoutExpired:
        return None
    breaches = tuple("ran" if "made" in what else f"outside {what}" for what in stage.bait.taken())
    lines = tuple(done.stderr.decode(errors="replace").splitlines())
    error = f"signal {-done.returncode}" if done.returncode < 0 else ""
    text = done.stdout.decode(errors="replace") if way.said else ""
    plain = MOMENTS.sub("MOMENT", text.replace(str(world), "WORLD"))
    digest = result_digest(world, way.results, plain) if done.returncode in {0, 3, 4} else ""
    return Run(done.returncode, error, lines, plain, digest, breaches)


@contextmanager
def _output(*paths: Path) -> Iterator[None]:
    """Let what is written to file descriptors 1 and 2, by Python or below it, go to two files."""
    streams, kept = (sys.stdout, sys.stderr), [os.dup(1), os.dup(2)]
    with ExitStack() as opened:
        # as Python opens them: what stderr cannot encode is shown as its number
        modes = ("strict", "backslashreplace")
        files = [
            opened.enter_context(path.open("w", buffering=1, errors=errors))
            for path, errors in zip(paths, modes, strict=True)
        ]
        try:
            for stream, file, descriptor in zip(streams, files, (1, 2), strict=True):
                stream.flush()
                os.dup2(file.fileno(), descriptor)
            sys.stdout, sys.stderr = files
            yield
        finally:
            sys.stdout, sys.stderr = streams
            for descriptor, before in zip((1, 2), kept, strict=True):
                os.dup2(before, descriptor)
                os.close(before)


def result_digest(world: Path, patterns: Sequence[str], said: str) -> str:
    """Digest what a run left and said, without moments."""
    hasher = hashlib.sha256("".join(said.split()).encode())
    for pattern in patterns:
        for path in sorted(world.glob(pattern)):
            hasher.update(path.relative_to(world).as_posix().encode())
            for piece in _content(path):
                hasher.update(piece.encode("utf-8", "surrogatepass"))
    return hasher.hexdigest()[:16]


def _content(path: Path) -> list[str]:
    """Return what a file holds, or why it cannot be read."""
    try:
        return list(_pieces(path))
    except Exception as error:  # it may be what was altered
        return [repr(error)]


def _pieces(path: Path) -> Iterator[str]:
    if path.suffix == ".h5":
        yield content_digest(read_embeddings(path))
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                yield repr([cell for name, cell in row.items() if name not in CLOCK])
    elif path.name == "manifest.parquet":
        # As readers see it: a column that is absent, or has another name, is an empty one.
        yield Manifest.load(path.parent).digest
    elif path.suffix == ".parquet":
        for name, values in parquet.read_table(path).to_pydict().items():
            # Readers take an absent word for an empty one.
            yield repr((name, ["" if value is None else value for value in values]))
    elif path.is_file():
        yield hashlib.sha256(path.read_bytes()).hexdigest()


def outcome_of(run: Run, calm: Run, reports: bool = False) -> tuple[str, str]:
    """Say what a run came to beside an undisturbed one, and what shows it.

    >>> outcome_of(Run(3, lines=("check-corpus: a.csv: is cut short",)), Run(0, digest="a"))
    ('refused with one line', 'check-corpus: a.csv: is cut short')
    """
    told = "\n".join(run.lines)
    for breach in run.breaches:
        return (EXECUTED if breach.startswith("ran") else OUTSIDE), breach
    if run.error or "Traceback (most recent call last)" in told:
        return TRACEBACK, run.error or told
    if run.status in {2, 3} and _is_one_line(run.lines):
        return REFUSED, told
    if run.status == calm.status and run.digest == calm.digest:
        return EQUAL, told
    if run.status in {0, 4} and run.status == calm.status:
        changes = unified_diff(calm.said.splitlines(), run.said.splitlines(), lineterm="", n=0)
        return DIFFERENT, "\n".join([told, *islice(changes, 30)])
    if run.status in {0, 3, 4} and reports:
        return REPORTED, told
    return LINES, f"exit status {run.status}\n{told}"


def _is_one_line(lines: Sequence[str]) -> bool:
    """Say whether there is one line beside notes; two more may point into an expression."""
    own = [line for line in lines if not line.startswith(("  ", "note: "))]
    return len(own) == 1


def alter_world(world: Path, pattern: str, draw: random.Random, strange: Sequence[str]) -> Path:
    """Alter one of the files that a pattern names, and return its path."""
    path = draw.choice(sorted(found for found in world.glob(pattern) if found.is_file()))
    return replace(path, altered(draw, path.read_bytes(), path.suffix, strange))


def first(world: Path, pattern: str) -> Path:
    """Return the first file that a pattern names."""
    return min(found for found in world.glob(pattern) if found.is_file())


def replace(path: Path, data: bytes) -> Path:
    """Put other bytes in the place of a file, which is a link to the one of the first world."""
    path.unlink()
    path.write_bytes(data)
    return path


def fresh_world(base: Path, world: Path) -> Path:
    """Link a world: no command changes a file in its place, which a digest checks afterwards."""
    shutil.rmtree(world, ignore_errors=True)
    shutil.copytree(base, world, symlinks=True, copy_function=os.link)
    return world
