"""Cutting out faces.

The stated rule for none, for one and for several, on drawn heads and on a real film.
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import MediaError, MissingDependencyError, UsageError
from extract.checks.contact_sheet import write_contact_sheet
from extract.corpora import read_corpus
from extract.corpora.demo_release import faces
from extract.frames import (
    FrameCache,
    FrameSettings,
    TimeSpan,
    clips,
    face,
    face_detector,
    face_source,
    read_clip,
)
from extract.frames.face import SETTINGS, follow_face
from extract.frames.face_detector import find_faces
from extract.pipeline.inputs import reader_for

pytest.importorskip("cv2", reason="needs the extra 'face'")
CARPHONE = (
    Path(__file__).resolve().parents[3] / "shared" / "data" / "video" / "carphone_pristine.mp4"
)
HERE = Path("film.mp4")


def head(size: int = 256, speaker: str = "Ses01_M") -> np.ndarray:
    drawn = faces.draw(faces.look_of(speaker, False), faces.EXPRESSIONS["neutral"], 0.0)
    return drawn[:: 256 // size, :: 256 // size]


def picture(*heads: tuple[int, int, int]) -> np.ndarray:
    """A wall of 640 x 360 with heads of (size, left, top)."""
    wall = np.full((360, 640, 3), faces.WALL, dtype=np.uint8)
    for size, left, top in heads:
        wall[top : top + size, left : left + size] = head(size)
    return wall


def film(path: Path, pictures: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for each in pictures:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(each, format="rgb24")))
        file.mux(stream.encode())
    return path


def follow(pictures: list[np.ndarray], step_s: float = 0.2) -> face.Face:
    found = [find_faces(each) for each in pictures]
    return follow_face(HERE, found, step_s * np.arange(len(pictures)), (640, 360))


def middles(found: face.Face) -> np.ndarray:
    return (found.boxes[:, :2] + found.boxes[:, 2:]) / 2


def test_a_steady_face_is_cut_out_of_all_pictures_alike() -> None:
    found = follow([picture((256, 300, 60))] * 4)
    assert (found.boxes == found.boxes[0]).all() and found.note == "" and found.found == 4
    left, top, right, bottom = found.boxes[0]
    assert right - left == bottom - top
    assert 300 < (left + right) / 2 < 560 and 150 < right - left < 330, (
        "around the head's middle, and about as large"
    )


def test_a_head_that_walks_is_followed_from_the_first_picture_to_the_last() -> None:
    lefts = list(range(0, 385, 24))
    found = follow([picture((256, left, 60)) for left in lefts])
    standing = middles(follow([picture((256, 192, 60))]))[0, 0] - 192
    inside = slice(2, -2)  # beside the picture's edges the square is moved into it
    assert np.abs(middles(found)[inside, 0] - lefts[inside] - standing).max() < 12
    assert (found.boxes[:, 0] >= 0).all() and (found.boxes[:, 2] <= 640).all()
    assert (found.boxes[0, 0], found.boxes[-1, 2]) < (60, 641) and found.boxes[-1, 2] > 580


def test_trembling_is_smoothed_and_steps_in_pictures_far_apart_are_not() -> None:
    lefts = np.random.default_rng(0).normal(200, 3, 32)
    trembling = {i: (left, 100.0, left + 100, 200.0) for i, left in enumerate(lefts)}
    still = face.smooth(trembling, 0.04 * np.arange(32))
    assert np.abs(np.diff(still[:, 0])).mean() < 0.1 * np.abs(np.diff(lefts)).mean()
    stairs = {i: (40.0 * (i // 2), 100.0, 40.0 * (i // 2) + 100, 200.0) for i in range(8)}
    far_apart = face.smooth(stairs, 2.0 * np.arange(8))
    assert far_apart[:, 0] == pytest.approx([50, 50, 90, 90, 130, 130, 170, 170], abs=0.1)


def test_where_the_face_is_not_found_its_place_comes_from_before_and_after() -> None:
    seen = [picture((256, left, 60)) for left in range(60, 300, 30)]
    whole, torn = follow(seen), follow([*seen[:3], picture(), picture(), *seen[5:]])
    assert torn.found == 6 and torn.note == "a face in 6 of 8 pictures"
    assert np.abs(whole.boxes - torn.boxes).max() < 20


def test_of_several_the_one_of_which_most_is_seen_is_taken_and_the_others_are_noted() -> None:
    note = "other faces in 4 of 4 pictures; the one of which most is seen was taken"
    found = follow([picture((128, 20, 100), (256, 330, 60))] * 4)
    assert found.boxes[0, 0] > 300 and found.note == note
    # One larger thing that looks like a face for a moment does not take its place.
    stays = [picture((128, 20, 100))] * 5
    found = follow([*stays, picture((128, 20, 100), (256, 330, 60)), *stays])
    assert (found.boxes[:, 2] < 300).all() and "other faces in 1 of 11" in found.note


def test_no_face_is_refused_and_so_is_one_in_too_few_pictures() -> None:
    wall, face_there = picture(), picture((256, 300, 60))
    with pytest.raises(MediaError, match="no face in any of 8 pictures"):
        follow([wall] * 8)
    with pytest.raises(MediaError, match="a face in only 1 of 8 pictures"):
        follow([wall] * 7 + [face_there])
    assert follow([wall] * 6 + [face_there] * 2).found == 2


def test_many_threads_find_what_one_finds() -> None:
    pictures = [picture((256, left, 60)) for left in range(0, 380, 60)]
    alone = [find_faces(each) for each in pictures]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            assert list(pool.map(find_faces, pictures)) == alone


def test_a_split_screen_gives_the_face_of_the_speakers_half(tmp_path: Path) -> None:
    path = film(tmp_path / "a.avi", [picture((256, 32, 60), (256, 352, 60))] * 10)
    sides = {
        side: read_clip(
            path, side=side, settings=FrameSettings(frames=2, region="half-face", size=96)
        )
        for side in ("left", "right")
    }
    whole = picture((256, 32, 60))
    assert all(clip.note == "" and clip.frames.shape == (2, 96, 96, 3) for clip in sides.values())
    assert np.abs(sides["left"].frames[0].astype(int) - sides["right"].frames[0]).mean() < 12, (
        "the same head on either side"
    )
    assert whole.shape[1] == sides["left"].width, (
        "the size of the file is told, not that of the face"
    )
    with pytest.raises(UsageError, match="use region 'half-face'"):
        read_clip(path, side="left", settings=FrameSettings(region="face"))


def test_the_settings_say_so_and_those_of_other_regions_stay_as_they_were() -> None:
    assert (
        FrameSettings(region="face").as_dict().items()
        >= {
            "region": "face",
            **SETTINGS,
            **face_detector.SETTINGS,
        }.items()
    )
    assert set(FrameSettings().as_dict()) == {
        "frames",
        "frame_rule",
        "frame_rate_hz",
        "region",
        "frame_size",
        "resize",
    }


def test_faces_come_out_of_the_cache_as_they_went_in(tmp_path: Path) -> None:
    path, settings = (
        film(tmp_path / "a.avi", [picture((256, 300, 60))] * 6),
        FrameSettings(frames=3, region="face", size=64),
    )
    cache = FrameCache(tmp_path / "cache")
    made = cache.read_clip(path, TimeSpan(), settings)
    there = cache.get(path, TimeSpan(), settings)
    assert (
        there is not None
        and there.face_share == made.face_share == 1
        and there.digest == made.digest == read_clip(path, settings=settings).digest
    )
    assert cache.get(path, TimeSpan(), FrameSettings(frames=3, size=64)) is None


def test_a_row_carries_the_count_as_its_caution_into_the_store(tmp_path: Path) -> None:
    film(tmp_path / "a.avi", [picture((256, 300, 60))] * 3 + [picture()] * 5)
    columns = {"id": ["a"], "video": ["a.avi"]}
    manifest = Manifest.from_columns("m", columns, root=tmp_path)
    settings = FrameSettings(frames=8, region="face", size=64)
    encoder: Any = SimpleNamespace(spec=SimpleNamespace(modality="video"), frames=settings)
    read = reader_for(encoder, manifest, FrameCache(tmp_path / "cache"))
    for _ in range(2):  # decoded, and out of the cache
        assert read(manifest.row(0)).caution == "a face in 3 of 8 pictures"


def test_a_clip_without_a_face_is_searched_once_and_leaves_no_picture_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[weakref.ref[np.ndarray]] = []

    def counted(each: np.ndarray) -> list[face_detector.Box]:
        searched.append(weakref.ref(each))
        return find_faces(each)

    monkeypatch.setattr(face_source, "find_faces", counted)
    path = film(tmp_path / "a.avi", [picture()] * 4)
    settings = FrameSettings(frames=2, region="face", size=64)
    folder = tmp_path / "cache"
    (_, kept), (_, there) = (
        next(FrameCache(folder).read_spans(path, [TimeSpan()], settings)) for _ in range(2)
    )
    (_, uncached) = next(clips.read_spans(path, [TimeSpan()], settings))
    assert len(searched) == 4, "two pictures, with a cache and without one"
    assert [ref() for ref in searched] == [None] * 4
    for error in (kept, there, uncached):
        assert isinstance(error, MediaError)
        assert str(error).startswith(f"{path}: no face in any of 2 pictures")
    [remembered] = folder.rglob("*.no-face")
    remembered.write_text(remembered.read_text().replace("no face", "evil"))
    (_, again) = next(FrameCache(folder).read_spans(path, [TimeSpan()], settings))
    assert str(again) == str(kept) and len(searched) == 6, "a changed reason is nobody's"
    assert FrameCache(folder).clear() == 1
    with pytest.raises(MediaError, match="no face"):
        FrameCache(folder).read_clip(path, TimeSpan(), settings)
    assert len(searched) == 8


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emotion-fusion\[face\]'"):
        FrameSettings(region="face")
    assert FrameSettings(region="half").region == "half"
    monkeypatch.undo()
    monkeypatch.setattr(face_detector, "FRONT", "haarcascade_of_later")
    with pytest.raises(MissingDependencyError, match="without the face cascades"):
        FrameSettings(region="half-face")


def test_the_contact_sheet_shows_faces(
    made: Callable[..., tuple[Path, object]], tmp_path: Path
) -> None:
    root, _ = made("iemocap", False)
    assert write_contact_sheet(read_corpus("iemocap", root), tmp_path / "sheet.png", count=2) == []
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


@pytest.mark.skipif(not CARPHONE.is_file(), reason="../shared/data/video is not here")
def test_a_real_face() -> None:
    clip = read_clip(CARPHONE, settings=FrameSettings(region="face"))
    assert clip.frames.shape == (16, 224, 224, 3)
    found = re.fullmatch(r"a face in (\d+) of 16 pictures", clip.note)
    assert found and clip.face_share == int(found[1]) / 16
    skin = clip.frames[:, 80:150, 80:150].reshape(-1, 3).astype(int)
    assert (skin[:, 0] > skin[:, 2]).mean() > 0.9, (
        "the middle of the picture is skin, redder than blue, and not the car's window"
    )
