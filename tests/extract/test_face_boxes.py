"""Boxes of faces from a file: which picture they belong to, what they change, what is refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, MediaError, UsageError
from extract.commands.check_corpus import main as check_main
from extract.commands.extract_features import main as extract_main
from extract.frames import FrameCache, FrameSettings, VideoFile, face_detector
from extract.frames.face_boxes import read_boxes
from extract.frames.face_source import FaceSource
from extract.pipeline.inputs import video_spans

HEADER = "id,time_s,left,top,right,bottom\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A film of two seconds in which a red square of 20 pixels walks from left to right."""
    with av.open(str(tmp_path / "a.avi"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 80, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(20):
            picture = np.zeros((80, 160, 3), dtype=np.uint8)
            picture[30:50, 6 * number + 10 : 6 * number + 30] = (250, 20, 20)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())
    return tmp_path


def lines(row: str, numbers: range, key: str = "id") -> str:
    walk = [f"{row},{n / 10},{6 * n + 10},30,{6 * n + 30},50\n" for n in numbers]
    return HEADER.replace("id", key) + "".join(walk)


def corpus(root: Path, **columns: list[object]) -> Manifest:
    return Manifest.from_columns(
        "m", {"id": ["u1", "u2"], "video": ["a.avi", "a.avi"], **columns}, root=root
    )


def settings(path: Path, region: str = "face") -> FrameSettings:
    return FrameSettings(frames=8, region=region, size=32, faces=FaceSource(str(path)))


@pytest.mark.parametrize(("key", "value"), [("id", "u1"), ("video", "a.avi")])
def test_each_picture_is_cut_to_the_box_of_its_time_without_a_detector(
    root: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    monkeypatch.setattr(face_detector, "FRONT", "a cascade that is not there")
    boxes = root / "boxes.csv"
    boxes.write_text(lines(value, range(20), key))
    with VideoFile(root / "a.avi") as film:
        clip = film.read(video_spans(corpus(root), str(boxes))["u1"], settings(boxes))
    assert clip.face_share == 1 and clip.note == ""
    # The square of 20 pixels in one of 30: its middle is red in every picture, its edge black.
    assert (clip.frames[:, 8:24, 8:24, 0] > 150).all()
    assert (clip.frames[:, :2].max() < 90) and (clip.frames[:, -2:].max() < 90)


def test_gaps_count_as_pictures_without_a_face_and_few_boxes_are_refused(root: Path) -> None:
    boxes = root / "boxes.csv"
    boxes.write_text(lines("u1", range(10)) + "u2,0.0,10,30,30,50\n")
    spans = video_spans(corpus(root), str(boxes))
    with VideoFile(root / "a.avi") as film:
        clip = film.read(spans["u1"], settings(boxes))
        assert clip.face_share == 0.625 and clip.note == "a face in 5 of 8 pictures"
        with pytest.raises(MediaError, match="a face in only 1 of 8 pictures"):
            film.read(spans["u2"], settings(boxes))
    # Without a time a box holds for the whole row.
    boxes.write_text(HEADER + "u2,,10,30,30,50\n")
    spans = video_spans(corpus(root), str(boxes))
    with VideoFile(root / "a.avi") as film:
        assert film.read(spans["u2"], settings(boxes)).face_share == 1
        with pytest.raises(MediaError, match=r"boxes\.csv has no face box of this row"):
            film.read(spans["u1"], settings(boxes))


def test_boxes_are_of_the_whole_picture_also_where_one_half_of_it_is_read(root: Path) -> None:
    boxes = root / "boxes.csv"
    boxes.write_text(HEADER + "u1,,100,30,120,50\nu2,,100,30,120,50\n")
    spans = video_spans(corpus(root, meta_video_side=["right", "left"]), str(boxes))
    with VideoFile(root / "a.avi") as film:
        last = film.read(spans["u1"], settings(boxes, "half-face")).frames
        assert last[6, 12:20, 12:20, 0].mean() > 100, "the red square comes by"
        with pytest.raises(MediaError, match="no face in any of 8 pictures"):
            film.read(spans["u2"], settings(boxes, "half-face"))


def test_another_file_of_boxes_gives_another_fingerprint_and_other_clips(root: Path) -> None:
    cache, boxes = FrameCache(root / "cache"), root / "boxes.csv"
    boxes.write_text(HEADER + "u1,,10,30,30,50\nu2,,60,30,80,50\n")
    before, spans = settings(boxes).as_dict(), video_spans(corpus(root), str(boxes))
    one, other = (
        cache.read_clip(root / "a.avi", spans[row], settings(boxes)) for row in ("u1", "u2")
    )
    assert one.digest != other.digest, "rows of one film with the same times and other boxes"
    assert cache.read_clip(root / "a.avi", spans["u1"], settings(boxes)).digest == one.digest
    boxes.write_text(HEADER + "u1,,60,30,80,50\nu2,,60,30,80,50\n\n")
    assert settings(boxes).as_dict() != before
    assert str(root) not in str(settings(boxes).as_dict())
    looked_for = FrameSettings(frames=8, region="half", size=32).as_dict()
    assert "face_detector" not in looked_for


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,time_s,left,top,right\nu1,0,1,2,3\n", "no column bottom; expected id or video"),
        ("name,left,top,right,bottom\nu1,1,2,3,4\n", "no column id or video"),
        (HEADER + "u1,0,1,2,30,40\nu1,0,30,2,3,40\n", r"row 2: \[30.0, 2.0, 3.0, 40.0\] is no box"),
        (HEADER + "u1,0,1,,30,40\n", "row 1: .* is no box"),
        (HEADER + "u1,soon,1,2,30,40\n", "row 1, time_s is 'soon'; expected a number"),
        (HEADER, "no row"),
        (HEADER + "u9,0,1,2,30,40\n", "no id of it is one of the corpus"),
    ],
)
def test_what_is_no_table_of_boxes_is_refused_in_one_line(
    root: Path, text: str, message: str
) -> None:
    boxes = root / "boxes.csv"
    boxes.write_text(text)
    with pytest.raises(ManifestError, match=message) as raised:
        video_spans(corpus(root), str(boxes))
    assert str(raised.value).startswith(str(boxes)) and "\n" not in str(raised.value)


def test_lines_without_a_face_are_no_box_and_no_fault(root: Path) -> None:
    boxes = root / "boxes.csv"
    nothing = "".join(f"u1,{n / 10},,,,\nu2,{n / 10},0,0,0,0\n" for n in range(10, 20))
    boxes.write_text(lines("u1", range(10)) + nothing)
    spans = video_spans(corpus(root), str(boxes))
    with VideoFile(root / "a.avi") as film:
        assert film.read(spans["u1"], settings(boxes)).note == "a face in 5 of 8 pictures"
        with pytest.raises(MediaError, match="no face in any of 8 pictures"):
            film.read(spans["u2"], settings(boxes))


def test_boxes_of_another_size_of_the_film_are_refused(root: Path) -> None:
    boxes = root / "boxes.csv"
    boxes.write_text(HEADER + "u1,0,200,60,240,100\n")
    spans = video_spans(corpus(root), str(boxes))
    with (
        VideoFile(root / "a.avi") as film,
        pytest.raises(MediaError, match=r"\(200, 60, 240, 100\) lies outside .* of 160 x 80; give"),
    ):
        film.read(spans["u1"], settings(boxes))


def test_boxes_without_a_face_to_cut_are_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="with region face or half-face, not with 'full'"):
        FrameSettings(faces=FaceSource(str(root / "boxes.csv")))
    with pytest.raises(ManifestError, match=r"boxes\.csv: .*No such file"):
        read_boxes(root / "boxes.csv")


def test_the_commands_take_the_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = root / "boxes.csv"
    boxes.write_text(lines("u1", range(20)))
    (root / "rows.csv").write_text("id,label,video,end_s\nu1,x,a.avi,1.5\nu2,y,a.avi,1\n")
    base = ["--corpus", "manifest", "--root", str(root / "rows.csv")]
    given = ["--face-boxes", str(boxes)]
    assert check_main([*base, "--media", "none", "--faces", "all", *given]) == 0
    shown = capsys.readouterr().out
    assert "a face in 50% of the pictures of 2 rows" in shown
    assert "u2: boxes.csv has no face box of this row" in shown
    assert extract_main([*base, "--contact-sheet", str(root / "sheet.png"), *given]) == 0
    made = [*base, "--modality", "video", "--frozen", *given]
    assert extract_main(made) == 2
    assert "with region face or half-face, not with 'full'" in capsys.readouterr().err
