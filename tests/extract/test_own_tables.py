"""Tables as people have them, through the commands: other names, separators, encodings, paths."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from embeddings_store.commands import embeddings_store
from embeddings_store.errors import UnsafePathError
from extract.commands import check_corpus, convert_corpus
from extract.commands.extract_options import build_parser
from extract.corpora import read_corpus
from extract.corpora._exchange import to_manifest
from extract.corpora._notes import Notes

LISTED = "file;emotion;spk\na.wav;sad;1\nb.wav;joy;2\n"
COLUMNS = "file=audio,file=id,emotion=label,spk=speaker"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(LISTED, encoding="utf-16")
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"sound")
    return path


def on_table(command: str, path: Path, *more: str) -> Callable[[], int]:
    table = ["--corpus", "manifest", "--root", str(path)]
    commands = {
        "check": lambda: embeddings_store.main(["check", str(path), *more]),
        "check-corpus": lambda: check_corpus.main([*table, "--media", "none", *more]),
        "scan": lambda: check_corpus.main([*table, "--stream", *more]),
        "convert": lambda: convert_corpus.main(
            [*table, "--to", "manifest", "--out", str(path.parent / "out"), *more]
        ),
    }
    return commands[command]


@pytest.mark.parametrize("command", ["check", "check-corpus", "scan", "convert"])
def test_the_proposal_is_what_the_command_takes(
    command: str, listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert on_table(command, listed)() == 3
    refused = capsys.readouterr().err
    assert f"--columns {COLUMNS}, or rename them" in refused
    assert on_table(command, listed, "--columns", COLUMNS)() == 0


def test_a_corpus_with_a_layout_of_its_own_takes_no_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--corpus", "ravdess", "--root", str(tmp_path), "--columns", "file=audio"]
    assert check_corpus.main(arguments) == 2
    assert "ravdess has a layout of its own" in capsys.readouterr().err


def test_every_command_that_reads_a_table_renames_its_columns(listed: Path) -> None:
    assert build_parser().parse_args(["--columns", COLUMNS]).columns == COLUMNS
    manifest = read_corpus("manifest", listed, columns=COLUMNS)
    assert manifest.ids.tolist() == ["a.wav", "b.wav"]
    assert manifest.column("speaker").tolist() == ["1", "2"]


def test_a_table_of_tabs_may_be_the_folder_s_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.tsv").write_text("id\ttext\nu1\ta, b\n")
    assert read_corpus("manifest", tmp_path).column("text").tolist() == ["a, b"]


def test_paths_of_windows_and_of_this_disk_are_read_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media = tmp_path / "media"
    (media / "wav").mkdir(parents=True)
    names = ["a.wav", "b.wav", unicodedata.normalize("NFD", "é.wav")]
    for name in names:
        (media / "wav" / name).write_bytes(b"sound")
    table = tmp_path / "list.csv"
    spelt = unicodedata.normalize("NFC", "wav/é.wav")
    table.write_text(f"id,audio\n1,{media}/wav/a.wav\n2,wav\\b.wav\n3,{spelt}\n", encoding="utf-8")
    option = ["--corpus-option", f"media={media}"]
    assert on_table("check-corpus", table, *option)() == 0
    report = capsys.readouterr().out
    assert "1 x absolute path below the media's folder" in report
    assert "1 x path with '\\', read as '/'" in report
    assert "1 x file whose name on the disk spells the same letters in another way" in report
    assert "media without a row" not in report
    assert on_table("scan", table, *option)() == 0
    assert "1 x absolute path below the media's folder" in capsys.readouterr().out


def test_lists_of_other_projects_may_have_backslashes(tmp_path: Path) -> None:
    notes = Notes()
    manifest = to_manifest("m", [{"id": "a", "audio": "wav\\a.wav"}], tmp_path, notes)
    assert manifest.column("audio").tolist() == ["wav/a.wav"]
    assert "path with '\\', read as '/'" in manifest.notes[0]
    with pytest.raises(UnsafePathError, match=r"does not lie in .* media=DIR"):
        to_manifest("m", [{"id": "a", "audio": "/etc/a.wav"}], tmp_path, notes)
