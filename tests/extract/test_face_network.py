"""YuNet through OpenCV: the real loader on a network of its form, and files that are none."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.robustness.tiny_yunet import write_tiny_yunet
from embeddings_store.errors import MissingDependencyError, ModelLoadError, UsageError
from extract.commands.extract_features import main
from extract.corpora.demo_release import faces
from extract.frames import FrameSettings
from extract.frames.face_network import find_faces_with
from extract.frames.face_source import FaceSource

pytest.importorskip("cv2", reason="needs the extra 'face'")
HEAD = faces.draw(faces.look_of("Ses01_M", False), faces.EXPRESSIONS["neutral"], 0.0)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_tiny_yunet(tmp_path / "tiny.onnx")


def picture(left: int) -> np.ndarray:
    wall = np.full((480, 720, 3), faces.WALL, dtype=np.uint8)
    wall[100:356, left : left + 256] = HEAD
    return wall


def test_boxes_come_in_the_pictures_own_pixels_and_follow_the_head(weights: Path) -> None:
    for left in (0, 200, 400):
        boxes = find_faces_with(weights, picture(left))
        middles = np.array([((x + right) / 2, (y + down) / 2) for x, y, right, down in boxes])
        assert len(boxes) and np.abs(middles - (left + 128, 228)).max() < 110
        # The network's boxes have sides of 100 in a picture that was made half as large.
        sides = [(right - x, down - y) for x, y, right, down in boxes]
        assert sides == pytest.approx(np.full((len(boxes), 2), 200), rel=1e-4)
    assert find_faces_with(weights, np.full((480, 720, 3), faces.WALL, dtype=np.uint8)) == []


def test_many_threads_find_what_one_finds(weights: Path) -> None:
    pictures = [picture(left) for left in range(0, 400, 50)]
    alone = [find_faces_with(weights, each) for each in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: find_faces_with(weights, each), pictures * 3))
    assert found == alone * 3


def test_the_weights_enter_the_fingerprint_and_their_place_does_not(
    weights: Path, tmp_path: Path
) -> None:
    def settings(path: Path) -> dict[str, object]:
        return FaceSource(weights=str(path)).as_dict()

    other = tmp_path / "elsewhere.onnx"
    other.write_bytes(weights.read_bytes())
    given = FrameSettings(region="face", faces=FaceSource(weights=str(weights))).as_dict()
    assert settings(other).items() <= given.items()
    assert given != FrameSettings(region="face").as_dict()
    write_tiny_yunet(other, size=90)
    assert settings(other) != settings(weights)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def _pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 232589\n")


def _odd_name(path: Path) -> None:
    """A name that is no text: OpenCV's own error about it ends the process (seen with 4.14)."""
    path.write_bytes(path.read_bytes().replace(b"cls_8.last", b"cls_8\xfflast", 1))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_odd_name, "OpenCV breaks over it; name YuNet's .onnx file|cannot be read as YuNet's"),
        (_cut, "cannot be read as YuNet's weights"),
        (_pointer, "is a Git-LFS pointer"),
        (lambda path: path.write_bytes(b""), "cannot be read as YuNet's weights"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: write_tiny_yunet(path, outputs=("cls", "obj")), "name YuNet's .onnx file"),
    ],
)
def test_what_is_no_yunet_is_refused_in_one_line_before_a_film_is_opened(
    weights: Path, spoil: Callable[[Path], object], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil(weights)
    with pytest.raises(ModelLoadError, match=message) as raised:
        FrameSettings(region="face", faces=FaceSource(weights=str(weights)))
    assert str(raised.value).startswith(str(weights)) and "\n" not in str(raised.value)
    assert capfd.readouterr().err == "", "OpenCV prints nothing beside the one line"


def test_an_opencv_without_the_network_says_so(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("cv2.FaceDetectorYN")
    with pytest.raises(MissingDependencyError, match="cannot run YuNet; install the extra"):
        FaceSource(weights=str(weights)).check()


def test_weights_and_boxes_at_once_are_refused(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="name one"):
        FaceSource("boxes.csv", str(weights))
    (tmp_path / "rows.csv").write_text("id,label,video\na,x,a.avi\nb,y,b.avi\n")
    base = ["--corpus", "manifest", "--root", str(tmp_path / "rows.csv"), "--modality", "video"]
    given = ["--frozen", "--region", "face", "--face-weights", str(tmp_path / "gone.onnx")]
    assert main([*base, *given]) != 0
    assert "gone.onnx: cannot be read as YuNet's weights" in capsys.readouterr().err
