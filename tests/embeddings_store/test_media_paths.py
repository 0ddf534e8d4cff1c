"""Paths as people write them: absolute, with backslashes, or in another spelling."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from embeddings_store.commands.embeddings_store import main
from embeddings_store.corpus.column_names import parse_columns
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.media_paths import other_spellings, resolve_media
from embeddings_store.corpus.scan import scan_manifest
from embeddings_store.errors import ManifestError, UnsafePathError
from embeddings_store.exchange.interchange import ImportJob, import_vectors

NFC, NFD = (unicodedata.normalize(form, "Übung/café.wav") for form in ("NFC", "NFD"))


@pytest.fixture
def media(tmp_path: Path) -> Path:
    (tmp_path / "disk" / "wav").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    return tmp_path / "link"


def write_rows(folder: Path, *paths: str) -> Path:
    lines = [f"u{number},{path}" for number, path in enumerate(paths)]
    table = folder / "rows.csv"
    table.write_text("\n".join(["id,audio", *lines]) + "\n", encoding="utf-8")
    return table


def test_absolute_paths_and_backslashes_become_relative_and_are_counted(
    tmp_path: Path, media: Path
) -> None:
    real = media.resolve()
    table = write_rows(
        tmp_path, f"{media}/wav/a.wav", f"{real}/b.wav", "wav\\c.wav", "wav/d.wav", ""
    )
    manifest = Manifest.read(table, media=media)
    assert manifest.column("audio").tolist() == ["wav/a.wav", "b.wav", "wav/c.wav", "wav/d.wav", ""]
    assert manifest.root == real
    assert manifest.notes == (
        "2 x absolute path below the media's folder, taken as relative to it",
        "1 x path with '\\', read as '/'",
    )
    scan = scan_manifest(table, batch_rows=2, media=media)
    assert scan.problems == ()
    assert [(remark.count, remark.ids) for remark in scan.remarks[-2:]] == [
        (2, ("u0", "u1")),
        (1, ("u2",)),
    ]
    assert main(["check", str(table), "--media", str(media)]) == 0
    assert main(["check", str(table), "--media", str(media / "wav")]) == 3
    assert main(["check", str(table), "--media", str(media / "none")]) == 2


def test_the_table_s_own_folder_is_the_media_s_by_default(tmp_path: Path) -> None:
    table = write_rows(tmp_path, f"{tmp_path}/a.wav")
    assert Manifest.read(table).column("audio").tolist() == ["a.wav"]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "{media}/../x.wav", "{media}", "..\\a.wav", "C:\\a.wav", "\\\\host\\a"]
)
def test_what_lies_elsewhere_is_refused_with_the_hint(
    path: str, tmp_path: Path, media: Path
) -> None:
    table = write_rows(tmp_path, path.format(media=media))
    with pytest.raises(UnsafePathError, match="in another one, name that with media=DIR") as error:
        Manifest.read(table, media=media)
    assert str(error.value) == f"{table}: {scan_manifest(table, media=media).problems[0].sentence}"


def test_a_file_whose_name_has_a_backslash_is_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "x\\a.wav").touch()
    with pytest.raises(UnsafePathError):
        Manifest.read(write_rows(tmp_path, "x\\a.wav"))


@pytest.mark.parametrize(("written", "there"), [(NFC, NFD), (NFD, NFC)])
def test_the_same_letters_are_the_same_file(written: str, there: str, tmp_path: Path) -> None:
    file = tmp_path / there
    file.parent.mkdir()
    assert resolve_media(tmp_path, written) == tmp_path / written, "nothing is there"
    file.touch()
    if (tmp_path / written).exists():
        pytest.skip("this disk knows one spelling only")
    assert resolve_media(tmp_path, written) == file.resolve()
    assert other_spellings([written, there, "plain.wav"], tmp_path) == (written,)


def test_one_of_several_spellings_is_not_guessed(tmp_path: Path) -> None:
    both = "éé.wav"
    mixed = unicodedata.normalize("NFC", "é") + unicodedata.normalize("NFD", "é") + ".wav"
    for form in ("NFC", "NFD"):
        (tmp_path / unicodedata.normalize(form, both)).touch()
    assert resolve_media(tmp_path, mixed) == tmp_path / mixed


def test_another_spelling_may_not_leave_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.wav").touch()
    (root / unicodedata.normalize("NFD", "é.wav")).symlink_to(tmp_path / "outside.wav")
    with pytest.raises(UnsafePathError):
        resolve_media(root, unicodedata.normalize("NFC", "é.wav"))


def test_ids_that_are_paths_name_no_place(tmp_path: Path, media: Path) -> None:
    table = tmp_path / "list.csv"
    lines = [f"{media}/{name}.wav,{name}" for name in ("a", "b", "a")]
    columns = parse_columns("file=audio,file=id,emotion=label")
    table.write_text("\n".join(["file,emotion", *lines[:2]]) + "\n")
    manifest = Manifest.read(table, media=media, columns=columns)
    assert manifest.ids.tolist() == manifest.column("audio").tolist() == ["a.wav", "b.wav"]
    table.write_text("\n".join(["file,emotion", *lines]) + "\n")
    [problem] = scan_manifest(table, batch_rows=2, columns=columns, media=media).problems
    with pytest.raises(ManifestError, match=r"1 duplicate ids, first 'a\.wav'") as error:
        Manifest.read(table, media=media, columns=columns)
    assert str(error.value) == f"{table}: {problem.sentence}"


@pytest.mark.parametrize("rows", [True, False])
def test_imported_rows_name_their_files_below_the_folder(
    rows: bool, tmp_path: Path, media: Path
) -> None:
    where = f"{media}/wav/a.wav"
    source = tmp_path / "x.csv"
    if rows:
        source.write_text("id,F0\nu0,1\n")
    else:
        source.write_text(f"file,start,end,F0\n{where},0,1,1\n")
    table = write_rows(tmp_path, where) if rows else None
    lines: list[str] = []
    job = ImportJob(source, tmp_path / "s", "none", table, "mine", modality="audio", media=media)
    import_vectors(job, lines.append)
    manifest = Manifest.load(tmp_path / "s" / "mine")
    assert manifest.column("audio").tolist() == ["wav/a.wav"]
    assert manifest.ids.tolist() == (["u0"] if rows else ["wav/a.wav"])
    assert any("absolute path" in line for line in lines) == rows
