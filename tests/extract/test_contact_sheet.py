"""The contact sheet shows the half of the speaker, and says which films it could not read."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, UsageError
from extract.checks.contact_sheet import CAPTION, MARGIN, TILE, write_contact_sheet
from extract.commands.extract_features import main
from extract.corpora.demo_release import faces
from extract.frames import FrameCache, FrameSettings, TimeSpan

RED, BLUE = (200, 30, 30), (30, 30, 200)


def split_screen(path: Path) -> None:
    """One second of film, red on the left and blue on the right."""
    picture = np.zeros((480, 720, 3), dtype=np.uint8)
    picture[:, :360], picture[:, 360:] = RED, BLUE
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 480, "yuv420p"
        for _ in range(25):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    split_screen(tmp_path / "a.avi")
    (tmp_path / "torn.avi").write_bytes((tmp_path / "a.avi").read_bytes()[:3000])
    return Manifest.from_columns(
        "m",
        {
            "id": ["left", "right", "torn"],
            "video": ["a.avi", "a.avi", "torn.avi"],
            "meta_video_start_s": [0.0, 0.2, 0.0],
            "meta_video_end_s": [0.5, 0.9, 0.5],
            "meta_video_side": ["left", "right", "left"],
        },
        root=tmp_path,
    )


def test_each_row_shows_the_half_of_its_speaker(manifest, tmp_path):
    problems = write_contact_sheet(manifest, tmp_path / "sheet.png", count=3)
    assert len(problems) == 1 and problems[0].startswith("torn: ")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    half = MARGIN + (TILE + MARGIN) + TILE // 2
    line = TILE + CAPTION
    for top, expected in (
        (CAPTION, RED),
        (CAPTION + line, BLUE),
    ):  # one turn of each film first: left, torn, then right
        assert np.abs(sheet[top + TILE // 2, half] - expected).max() < 20


def written_on(sheet: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Draw the sheet and return all words on it."""
    words: list[str] = []
    draw = ImageDraw.ImageDraw.text

    def listen(self: ImageDraw.ImageDraw, xy: object, text: str, *args: object, **more: object):
        words.append(text)
        return draw(self, xy, text, *args, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", listen)
    write_contact_sheet(manifest, sheet, count=3)
    return " ".join(words)


def test_a_film_that_cannot_be_read_says_why_in_the_place_of_its_picture(
    manifest, tmp_path, monkeypatch
):
    words = written_on(tmp_path / "sheet.png", manifest, monkeypatch)
    assert re.search(r"torn\.avi is cut short: .*; fetch it again", words)
    assert str(tmp_path) not in words


def test_a_face_says_in_which_share_of_the_pictures_it_was_found_or_why_there_is_none(
    tmp_path, monkeypatch
):
    pytest.importorskip("cv2", reason="needs the extra 'face'")
    head = faces.draw(faces.look_of("Ses01_M", False), faces.EXPRESSIONS["neutral"], 0.0)
    wall = np.full_like(head, faces.WALL)
    for name, pictures in {"half": [head, wall], "none": [wall, wall]}.items():
        with av.open(str(tmp_path / f"{name}.avi"), "w") as film:
            stream = film.add_stream("mpeg4", rate=16)
            stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
            for number in range(16):
                picture = av.VideoFrame.from_ndarray(pictures[number // 8], format="rgb24")
                film.mux(stream.encode(picture))
            film.mux(stream.encode())
    columns = {"id": ["a", "b"], "video": ["half.avi", "none.avi"]}
    manifest = Manifest.from_columns("m", columns, root=tmp_path)
    words = written_on(tmp_path / "sheet.png", manifest, monkeypatch)
    assert "face in 50% of pictures" in words and "no face in any of 16 pictures" in words


def test_what_is_no_png_and_what_has_no_video_are_refused(manifest, tmp_path):
    with pytest.raises(UsageError, match="png"):
        write_contact_sheet(manifest, tmp_path / "sheet.jpg")
    silent = Manifest.from_columns("m", {"id": ["a"], "text": ["x"]}, root=tmp_path)
    with pytest.raises(ManifestError, match="no row"):
        write_contact_sheet(silent, tmp_path / "sheet.png")


def test_the_command_draws_it_and_lists_what_it_could_not_read(manifest, tmp_path, capsys):
    manifest.table.assign(id=["left", "right", "torn"]).to_csv(tmp_path / "rows.csv", index=False)
    sheet = tmp_path / "by-command.png"
    base = [
        "--corpus",
        "manifest",
        "--root",
        str(tmp_path / "rows.csv"),
        "--contact-sheet",
        str(sheet),
    ]
    assert main(base) == 4
    told = capsys.readouterr()
    assert sheet.is_file() and told.out.strip() == str(sheet)
    assert told.err.startswith("torn: ")


def test_the_cache_of_decoded_pictures_can_be_cleared(manifest, tmp_path, capsys):
    FrameCache(tmp_path / "e" / ".frames").read_clip(
        tmp_path / "a.avi", TimeSpan(0.0, 0.5), FrameSettings()
    )
    assert main(["--clear-frame-cache", "--store", str(tmp_path / "e")]) == 0
    assert "1 clips removed" in capsys.readouterr().out
    assert FrameCache(tmp_path / "e" / ".frames").size_bytes() == 0
