"""Generated releases.

What is planted is found again by the reader or when it is decoded, and nothing else is odd.
"""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UnknownNameError, UsageError
from embeddings_store.folds.rules import make_plan
from extract.commands import make_corpus
from extract.corpora import Note, corpus_names, read_corpus
from extract.corpora import _notes as kinds
from extract.corpora.generated import FAILS, RELEASES, Planted, make_release

# Options under which every planted defect comes to light.
OPTIONS = {"cremad": {"label": "multimodal"}}
# What a reader says of a release without a flaw: it is small, and has what its layout has.
HARMLESS = {kinds.SUMMARY, kinds.DIFFERS}
LAYOUT = {
    "ravdess": {"clip of the other channel left out"},
    "iemocap": {
        "transcribed turn without a label skipped",
        "transcription line without a turn skipped",
    },
    "avamerg": {
        "turn without a label in the test file",
        "audio file that belongs to no row",
        "video file that belongs to no row",
    },
}
# Two actresses are no folds with validation rows.
PLANS = {"tess": ("leave-one-speaker-out", "none")}
Make = Callable[[str, bool], tuple[Path, tuple[Planted, ...]]]


def found(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """Kind to the names of what a reader noticed."""
    return {note.kind: note.examples for note in manifest.notes if isinstance(note, Note)}


def test_there_is_a_release_for_every_corpus_with_a_layout() -> None:
    assert (
        {"avamerg", "cremad", "emodb", "iemocap", "meld", "ravdess", "reels", "savee", "tess"}
        <= set(RELEASES)
        <= set(corpus_names())
    )
    assert all(RELEASES[name].summary and RELEASES[name].module.DEFECTS for name in RELEASES)


@pytest.mark.parametrize("corpus", sorted(RELEASES))
def test_a_flawless_release_is_read_completely(corpus: str, made: Make) -> None:
    root, planted = made(corpus, False)
    manifest = read_corpus(corpus, root)
    assert planted == ()
    assert all(isinstance(note, Note) for note in manifest.notes)
    assert found(manifest).keys() <= HARMLESS | LAYOUT.get(corpus, set())
    assert manifest.tagged("unknown") == ()
    assert manifest.labels is not None and len(set(manifest.codes()) - {-1}) == len(
        manifest.labels.classes
    )
    for column in ("audio", "video"):
        assert all((root / path).is_file() for path in manifest.column(column) if path)
    for fold in make_plan(manifest, *PLANS.get(corpus, ())):
        assert (manifest.codes()[fold.mask("test")] >= 0).any(), f"{fold.name} tests no label"


@pytest.mark.parametrize("corpus", sorted(RELEASES))
def test_every_planted_defect_is_noted(corpus: str, made: Make) -> None:
    root, planted = made(corpus, True)
    manifest = read_corpus(corpus, root, **OPTIONS.get(corpus, {}))
    notes = found(manifest)
    seen = {
        name: (root / name).stat().st_size
        for name in (p.where for p in planted if p.comes_to == FAILS)
    }
    assert all(seen.values()), "cut files are still there, and no reader looks into them"
    for defect in planted:
        if defect.comes_to != FAILS:
            assert any(Path(defect.where).name in name for name in notes[defect.comes_to]), defect
    flawless = found(read_corpus(corpus, made(corpus, False)[0], **OPTIONS.get(corpus, {})))
    assert notes.keys() - flawless.keys() <= {defect.comes_to for defect in planted} | {
        "labelled turn without words"
    }


def test_same_seed_same_bytes(made: Make, tmp_path: Path) -> None:
    def digests(root: Path) -> dict[str, str]:
        return {
            path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in root.rglob("*")
            if path.is_file()
        }

    first = digests(made("cremad", False)[0])
    make_release("cremad", tmp_path / "again")
    make_release("cremad", tmp_path / "other", seed=1)
    assert digests(tmp_path / "again") == first
    other = digests(tmp_path / "other")
    assert other.keys() == first.keys() and other != first


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds something"):
        make_release("emo-db", tmp_path / "mine")
    with pytest.raises(UsageError, match="is a file"):
        make_release("emo-db", tmp_path / "mine" / "thesis.txt")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(UnknownNameError, match="did you mean 'cremad'"):
        make_release("cremat", tmp_path / "x")


def test_nothing_is_left_where_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(studio: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RELEASES["emodb"].module, "write", fail)
    with pytest.raises(OSError, match="the disk is full"):
        make_release("emodb", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]


@pytest.mark.parametrize("corpus", ["ravdess", "meld"])
@pytest.mark.parametrize("limit", [10, 3_000, 12_000])
def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: str, limit: int
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        assert make_corpus.main([corpus, "--out", str(tmp_path / "out")]) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    [line] = capsys.readouterr().err.splitlines()
    assert "a file would be larger than is allowed here" in line
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_corpus.main(["EMO-DB", "--out", str(tmp_path / "db"), "--defects"]) == 0
    shown = capsys.readouterr().out
    assert "5 defects planted" in shown and "wav/._03a01Fa.wav" in shown and "31 files" in shown
    assert make_corpus.main(["emo-db", "--out", str(tmp_path / "db")]) == 2
    assert "holds something" in capsys.readouterr().err
    assert make_corpus.main(["emo-db"]) == 2
    assert "--out must be given" in capsys.readouterr().err
    assert make_corpus.main(["--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(RELEASES)
