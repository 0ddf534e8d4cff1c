"""Media behind symbolic links, and corpora of which no row can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_encoders

import extract.encoders
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import MediaError
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands import check_corpus, convert_corpus, extract_features
from extract.encoders import REGISTRY
from extract.pipeline import one_reason

RATE = 16_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    spec = next(spec for spec in REGISTRY if spec.name == "hubert-base")
    return str(tiny_encoders.save(spec, tmp_path_factory.mktemp("models")))


def corpus(folder: Path, clips: int = 6, there: bool = True) -> Path:
    """A table whose sounds lie in a folder behind a link; returns the table."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    lines = ["id,audio,label,speaker"]
    for number in range(clips):
        name = f"u{number:03d}"
        lines.append(f"{name},wav/{name}.wav,{('sad', 'joy')[number % 2]},s{number // 2 % 3}")
        if there:
            noise = np.random.default_rng(number).normal(0, 0.1, RATE // 2)
            soundfile.write(disk / f"{name}.wav", noise, RATE)
    root = folder / "corpus"
    root.mkdir()
    (root / "wav").symlink_to(disk, target_is_directory=True)
    (root / "rows.csv").write_text("\n".join(lines) + "\n")
    return root / "rows.csv"


def extraction(table: Path, model: str, *more: str) -> list[str]:
    return [
        *("--corpus", "manifest", "--root", str(table), "--modality", "audio"),
        *("--encoder", model, "--store", str(table.parent.parent / "e"), *more),
    ]


@pytest.mark.parametrize("how", [["--frozen"], ["--fold", "1", "--folds", "speaker-kfold:3"]])
def test_links_are_refused_before_an_encoder_is_loaded(
    how: list[str],
    tmp_path: Path,
    model: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr(extract.encoders, "load_encoder", load)
    table = corpus(tmp_path)
    assert extract_features.main(extraction(table, model, *how)) == 3
    error = capsys.readouterr().err
    assert "1 of 1 folders of media are behind links that leave it, first 'wav'; add " in error
    assert "--follow-links to read them" in error
    assert not (tmp_path / "e").exists()
    with pytest.raises(AssertionError, match="was loaded"):
        extract_features.main(extraction(table, model, *how, "--follow-links"))


def test_links_are_followed_on_demand_and_name_no_place(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = corpus(tmp_path)
    (tmp_path / "disk" / "u003.wav").write_bytes(b"RIFF")
    assert extract_features.main(extraction(table, model, "--frozen", "--follow-links")) == 4
    file = read_embeddings(Path(capsys.readouterr().out.strip()))
    assert file.status.tolist() == ["ok"] * 3 + ["failed"] + ["ok"] * 2
    assert file.reason[3].startswith("wav/u003.wav: ")
    assert str(tmp_path) not in "".join(file.reason.tolist())


@pytest.mark.parametrize("followed", [False, True])
def test_every_command_that_reads_media_follows_links_on_demand(
    followed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = corpus(tmp_path)
    source = ["--corpus", "manifest", "--root", str(table), *(["--follow-links"] * followed)]
    assert check_corpus.main(source) == (0 if followed else 3)
    out = ["--to", "manifest", "--out", str(tmp_path / "out"), "--media", "copy"]
    assert convert_corpus.main([*source, *out]) == (0 if followed else 3)
    assert (tmp_path / "out" / "wav" / "u000.wav").is_file() == followed
    shown = capsys.readouterr()
    assert ("add --follow-links" in shown.out and "add --follow-links" in shown.err) != followed


def test_files_that_are_links_themselves_are_refused_if_all_are(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = corpus(tmp_path)
    wav = table.parent / "wav"
    wav.unlink()
    wav.mkdir()
    for path in (tmp_path / "disk").iterdir():
        (wav / path.name).symlink_to(path)
    assert extract_features.main(extraction(table, model, "--frozen")) == 3
    assert "6 of 6 media files, the first ones, are behind links" in capsys.readouterr().err
    (wav / "u000.wav").unlink()
    soundfile.write(wav / "u000.wav", np.ones(RATE // 2) * 0.1, RATE)
    assert extract_features.main(extraction(table, model, "--frozen")) == 4
    assert "add --follow-links to follow links" in capsys.readouterr().err


def test_where_every_row_fails_for_one_reason_it_is_told_once(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = corpus(tmp_path, 240, there=False)
    for how in (["--frozen"], ["--fold", "1", "--folds", "speaker-kfold:3"]):
        assert extract_features.main(extraction(table, model, *how, "--follow-links")) == 3
        error = capsys.readouterr().err
        assert error.count("does not exist") == 1
        assert "rows can be read: the first 50, and others from all over the corpus" in error
    assert not list((tmp_path / "e").rglob("*.h5"))


MANIFEST = Manifest.from_columns(
    "m", {"id": [f"u{i:03d}" for i in range(300)], "audio": [f"{i:03d}.wav" for i in range(300)]}
)


@pytest.mark.parametrize(
    ("reasons", "read", "refused"),
    [
        (lambda i: "{audio} is torn at byte {i}", 100, True),
        (lambda i: "" if i == 0 else "{audio} is torn", 1, False),
        (lambda i: "" if i == 295 else "{audio} is torn", 100, False),
        (lambda i: "{audio} is torn" if i else "{audio} is empty", 2, False),
        (lambda i: "{audio} is torn" if i < 60 else "", 53, False),
    ],
)
def test_rows_are_read_until_one_says_otherwise(reasons, read: int, refused: bool) -> None:
    tried: list[str] = []

    def reader(row) -> str:
        number = int(row.id[1:])
        tried.append(row.id)
        if reason := reasons(number):
            raise MediaError(reason.format(audio=row.audio, i=number))
        return row.id

    if refused:
        with pytest.raises(MediaError, match=r"none of 300 rows .* first u000: 000.wav is torn"):
            one_reason.refuse_one_reason(reader, MANIFEST, list(range(300)))
    else:
        one_reason.refuse_one_reason(reader, MANIFEST, list(range(300)))
    assert len(tried) == read
    one_reason.refuse_one_reason(reader, MANIFEST, list(range(49)))
    assert len(tried) == read
