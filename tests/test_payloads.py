"""Files of strangers run nothing: a payload in every kind of file that a command reads.

Each payload would create a marker. Where that is cheap, the loader that people use without a
thought is given the same file first, so that each test shows that its payload works.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from extract.commands import check_corpus, convert_corpus, extract_features

Main = Callable[[Sequence[str]], int]


@dataclass
class Payload:
    """An object whose pickle creates ``marker`` when it is loaded."""

    marker: Path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


class Trap:
    """Plants payloads and runs commands; the marker must never be there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.marker = folder / "executed"
        self.capsys = capsys

    @property
    def payload(self) -> Payload:
        return Payload(self.marker)

    @property
    def pickled(self) -> bytes:
        return pickle.dumps(self.payload)

    def works(self, naive: Callable[[], object]) -> None:
        """Show that the loader without a safeguard would have run the payload."""
        try:
            naive()
        except Exception as error:
            assert self.marker.exists(), f"the payload was not reached: {error!r}"
        assert self.marker.exists(), "the payload does not work, so the test shows nothing"
        self.marker.unlink()

    def run(self, main: Main, *arguments: object) -> tuple[int, str]:
        """Run a command in process; it succeeds, or refuses in one line, and runs no payload."""
        self.capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        err = self.capsys.readouterr().err
        assert not self.marker.exists(), "a payload was executed"
        assert status in {0, 2, 3, 4}, err
        assert "Traceback" not in err
        return status, err

    def refused(self, main: Main, *arguments: object) -> str:
        """Run a command that has to refuse, with exit status 2 or 3 and one line that it returns."""
        status, err = self.run(main, *arguments)
        assert status in {2, 3}, err
        assert len(err.strip().splitlines()) == 1, err
        return err


@pytest.fixture
def trap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Trap:
    return Trap(tmp_path, capsys)


def sounds(root: Path, count: int = 6) -> list[str]:
    """Write a few short sounds and return their names."""
    root.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.wav" for number in range(count)]
    for number, name in enumerate(names):
        soundfile.write(root / name, 0.1 * np.sin(np.arange(4000) / (9 + number)), 8000)
    return names


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of audformat with one table in CSV."""
    audformat = pytest.importorskip("audformat", reason="the extra 'interchange' is not installed")
    root = tmp_path / "database"
    names = sounds(root)
    made = audformat.Database("mine")
    made["all"] = audformat.Table(audformat.filewise_index(names))
    made.schemes["emotion"] = audformat.Scheme("str")
    made["all"]["emotion"] = audformat.Column(scheme_id="emotion")
    made["all"]["emotion"].set(["ang", "sad"] * 3)
    made.save(str(root), storage_format="csv")
    return root


def every_reader(trap: Trap, name: str, root: Path) -> list[tuple[int, str]]:
    """Run the three commands that read a corpus."""
    here = ("--corpus", name, "--root", root)
    ways: list[tuple[Main, tuple[object, ...]]] = [
        (check_corpus.main, here),
        (convert_corpus.main, (*here, "--to", "manifest", "--out", root.parent / "converted")),
        (
            extract_features.main,
            (
                *here,
                "--store",
                root.parent / "store",
                "--frozen",
                "--modality",
                "audio",
                "--dry-run",
            ),
        ),
    ]
    return [trap.run(main, *arguments) for main, arguments in ways]


TAGS = {
    "apply": "!!python/object/apply:os.mknod ['{marker}']",
    "new": "!!python/object/new:os.mknod ['{marker}']",
    "verbatim": "!<tag:yaml.org,2002:python/object/apply:os.mknod> ['{marker}']",
    "key": "? !!python/object/apply:os.mknod ['{marker}']\n: 1",
}


@pytest.mark.parametrize("form", sorted(TAGS))
def test_a_tag_in_the_header_of_audformat(form: str, database: Path, trap: Trap) -> None:
    audformat = pytest.importorskip("audformat")
    header = database / "db.yaml"
    tagged = TAGS[form].format(marker=trap.marker)
    line = tagged if form == "key" else f"extra: {tagged}"
    header.write_text(f"{header.read_text()}\n{line}\n")
    trap.works(lambda: audformat.Database.load(str(database)))
    for status, err in every_reader(trap, "audformat", database):
        assert status == 3 and len(err.splitlines()) == 1
        assert "has the tag" in err and "db.yaml" in err


def test_a_handle_of_tags_in_the_header_of_audformat(database: Path, trap: Trap) -> None:
    header = database / "db.yaml"
    text = header.read_text()
    payload = f"extra: !p!object/apply:os.mknod ['{trap.marker}']"
    header.write_text(f"%TAG !p! tag:yaml.org,2002:python/\n---\n{text}\n{payload}\n")
    assert "has the tag" in trap.refused(
        check_corpus.main, "--corpus", "audformat", "--root", database
    )


def test_a_pickle_beside_a_table_of_audformat_is_not_opened(database: Path, trap: Trap) -> None:
    audformat = pytest.importorskip("audformat")
    (database / "db.all.pkl").write_bytes(trap.pickled)
    trap.works(lambda: audformat.Database.load(str(database), load_data=True))
    checked, converted, _no_encoder_here = every_reader(trap, "audformat", database)
    assert (checked[0], converted[0]) == (0, 0), (checked, converted)


def test_a_table_of_audformat_that_is_only_a_pickle_is_refused(database: Path, trap: Trap) -> None:
    (database / "db.all.csv").unlink()
    (database / "db.all.pkl").write_bytes(trap.pickled)
    for status, err in every_reader(trap, "audformat", database):
        assert status == 3 and len(err.splitlines()) == 1
        assert "only a pickle, which is never loaded" in err


def test_a_table_of_audformat_does_not_lead_out_of_the_folder(database: Path, trap: Trap) -> None:
    (database.parent / "other.pkl").write_bytes(trap.pickled)
    header = database / "db.yaml"
    name = f"/../../../../../../../../../..{database.parent}/other"
    header.write_text(header.read_text().replace("  all:", f"  {name}:"))
    assert "leads out of the folder" in trap.refused(
        check_corpus.main, "--corpus", "audformat", "--root", database
    )


BOMBS = {
    "aliases": "\n".join(
        ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    ),
    "merges": "\n".join(
        ["a0: &a0 {x: 1}"]
        + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 40)]
    ),
    "depth": "a: " + "[" * 100_000,
    "itself": "a: &a [*a]",
    "list": "- a",
}


@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_a_header_that_would_grow_without_end(bomb: str, database: Path, trap: Trap) -> None:
    (database / "db.yaml").write_text(BOMBS[bomb])
    assert "db.yaml" in trap.refused(check_corpus.main, "--corpus", "audformat", "--root", database)
