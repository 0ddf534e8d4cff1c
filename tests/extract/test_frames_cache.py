"""A cached clip is the decoded clip to the bit, whoever writes and whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numbered_videos as numbered
import numpy as np
import pytest

from embeddings_store.errors import MediaError, UsageError
from extract.frames import FrameCache, FrameSettings, TimeSpan, read_clip
from extract.frames import cache as module
from extract.frames.clips import VideoFile

SMALL = FrameSettings(frames=4, size=32)


@pytest.fixture
def video(tmp_path) -> Path:
    return numbered.write(tmp_path / "dialogue.avi")


@pytest.fixture
def cache(tmp_path) -> FrameCache:
    return FrameCache(tmp_path / "cache")


def entries(cache: FrameCache) -> list[Path]:
    return sorted(cache.folder.glob("*/*.npz"))


@pytest.fixture
def openings(monkeypatch) -> list[Path]:
    """Every file that was opened to decode."""
    opened: list[Path] = []

    class Counted(VideoFile):
        def __init__(self, path, **options):
            opened.append(Path(path))
            super().__init__(path, **options)

    monkeypatch.setattr(module, "VideoFile", Counted)
    return opened


def test_a_cached_clip_is_the_decoded_one(cache, video, openings):
    span = TimeSpan(1.0, 2.0)
    first, second = (cache.read_clip(video, span, FrameSettings()) for _ in range(2))
    fresh = read_clip(video, start_s=1.0, end_s=2.0)
    for clip in (first, second):
        np.testing.assert_array_equal(clip.frames, fresh.frames)
        np.testing.assert_array_equal(clip.times_s, fresh.times_s)
        facts = ("source_fps", "duration_s", "width", "height", "note")
        assert [getattr(clip, name) for name in facts] == [getattr(fresh, name) for name in facts]
    assert len(openings) == 1


def test_a_corpus_is_decoded_once_and_each_file_opened_once(cache, video, openings):
    spans = [TimeSpan(2.0, 3.0), TimeSpan(0.0, 1.0), TimeSpan(9.0, 9.5), TimeSpan(1.0, 2.5)]
    first = dict(cache.read_spans(video, spans, SMALL))
    assert list(dict(cache.read_spans(video, spans[:2], SMALL))) == [1, 0]
    assert list(dict(cache.read_spans(video, [spans[2]], SMALL))) == [0]  # Refused at once.
    assert openings == [video] and len(entries(cache)) == 3
    assert isinstance(first[2], MediaError)
    second = dict(FrameCache(cache.folder).read_spans(video, [spans[3], spans[0]], SMALL))
    assert openings == [video]
    np.testing.assert_array_equal(second[0].frames, first[3].frames)


def test_a_film_that_cannot_be_opened_is_tried_once_until_it_changes(cache, tmp_path, openings):
    video = numbered.write(tmp_path / "film.mkv")
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    spans = [TimeSpan(0.0, 1.0), TimeSpan(1.0, 2.0)]
    for _ in range(2):
        for _, found in cache.read_spans(video, spans, SMALL):
            assert isinstance(found, MediaError) and "is cut short" in str(found)
    assert len(openings) == 1
    video.write_bytes(whole)
    assert cache.read_clip(video, spans[0], SMALL).frames.shape == (4, 32, 32, 3)


def test_whatever_changes_a_pixel_is_another_clip(cache, video):
    ways = [
        (TimeSpan(1.0, 2.0), SMALL),
        (TimeSpan(1.0, 2.1), SMALL),
        (TimeSpan(1.0, 2.0), FrameSettings(frames=5, size=32)),
        (TimeSpan(1.0, 2.0), FrameSettings(frames=4, size=33)),
        (TimeSpan(1.0, 2.0), FrameSettings(frames=4, size=32, rule="consecutive")),
        (TimeSpan(1.0, 2.0), FrameSettings(frames=4, size=32, rule="consecutive", rate_hz=25.0)),
        (TimeSpan(1.0, 2.0, "left"), FrameSettings(frames=4, size=32, region="half")),
        (TimeSpan(1.0, 2.0, "right"), FrameSettings(frames=4, size=32, region="half")),
        (TimeSpan(1.0, 2.0, "left"), FrameSettings(frames=4, size=32, region="half-unboxed")),
    ]
    for count, (span, settings) in enumerate(ways, start=1):
        cache.read_clip(video, span, settings)
        assert len(entries(cache)) == count
    cache.read_clip(
        video, TimeSpan(1.0, 2.0, "left"), SMALL
    )  # The side means nothing to the whole picture.
    assert len(entries(cache)) == len(ways)


def test_another_video_under_the_same_name_is_another_clip(cache, video):
    before = cache.read_clip(video, TimeSpan(0.0, 1.0), SMALL)
    found = video.stat()
    content = bytearray(video.read_bytes())
    content[found.st_size // 2] ^= 1
    video.write_bytes(content)
    os.utime(
        video, ns=(found.st_atime_ns, found.st_mtime_ns)
    )  # Neither size nor time gives it away.
    assert FrameCache(cache.folder).get(video, TimeSpan(0.0, 1.0), SMALL) is None
    numbered.write(video, rate=numbered.PAL)
    assert not np.array_equal(
        cache.read_clip(video, TimeSpan(0.0, 1.0), SMALL).times_s, before.times_s
    )


def test_a_corpus_that_was_moved_keeps_its_clips(cache, video, openings):
    cache.read_clip(video, TimeSpan(0.0, 1.0), SMALL)
    moved = video.rename(video.with_name("elsewhere.avi"))
    cache.read_clip(moved, TimeSpan(0.0, 1.0), SMALL)
    assert len(openings) == 1
    with pytest.raises(MediaError, match="does not exist"):
        cache.read_clip(video, TimeSpan(0.0, 1.0), SMALL)


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "other"])
def test_a_damaged_clip_is_decoded_again(cache, video, harm):
    fresh = cache.read_clip(video, TimeSpan(0.0, 1.0), SMALL)
    (entry,) = entries(cache)
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 8
    wrong = {
        "cut": content[: len(content) // 2],
        "flipped": content,
        "empty": b"",
        "other": b"not an archive at all",
    }
    entry.write_bytes(wrong[harm])
    assert cache.get(video, TimeSpan(0.0, 1.0), SMALL) is None
    np.testing.assert_array_equal(
        cache.read_clip(video, TimeSpan(0.0, 1.0), SMALL).frames, fresh.frames
    )
    assert cache.get(video, TimeSpan(0.0, 1.0), SMALL) is not None


def test_pickles_are_never_read(cache, video):
    cache.read_clip(video, TimeSpan(0.0, 1.0), SMALL)
    (entry,) = entries(cache)
    with entry.open("wb") as file:
        np.savez(file, frames=np.array([object()]), times_s=np.zeros(4), facts=np.array("{}"))
    assert cache.get(video, TimeSpan(0.0, 1.0), SMALL) is None


def test_the_least_recently_used_clips_make_room(video, tmp_path):
    one = FrameCache(tmp_path / "one")
    one.read_clip(video, TimeSpan(0.0, 1.0), SMALL)
    each = one.size_bytes()
    cache = FrameCache(tmp_path / "cache", max_gb=5.5 * each / 1e9)
    spans = [TimeSpan(0.1 * n, 1.0 + 0.1 * n) for n in range(5)]
    for age, span in enumerate(spans):
        cache.read_clip(video, span, SMALL)
        newest = max(entries(cache), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, ns=(0, 1_000_000_000 * (age + 1)))
    assert cache.get(video, spans[0], SMALL) is not None  # Used just now, so the next oldest goes.
    cache.read_clip(video, TimeSpan(2.0, 3.0), SMALL)
    assert cache.size_bytes() <= 5.5 * each
    kept = [cache.get(video, span, SMALL) is not None for span in (*spans, TimeSpan(2.0, 3.0))]
    assert kept == [True, False, False, True, True, True]


def test_no_room_at_all_keeps_nothing_and_still_reads(video, tmp_path):
    cache = FrameCache(tmp_path / "cache", max_gb=0)
    assert cache.read_clip(video, TimeSpan(0.0, 1.0), SMALL).frames.shape == (4, 32, 32, 3)
    assert not cache.folder.exists() and cache.size_bytes() == 0 and cache.clear() == 0
    with pytest.raises(UsageError, match="expected 0 for no cache, or more"):
        FrameCache(tmp_path, max_gb=-1)


def test_clear_removes_clips_and_nothing_else(cache, video):
    cache.folder.mkdir()
    (cache.folder / "mine.npz").write_bytes(b"x")
    list(cache.read_spans(video, [TimeSpan(0.0, 1.0), TimeSpan(1.0, 2.0)], SMALL))
    assert cache.size_bytes() == sum(path.stat().st_size for path in entries(cache)) > 0
    assert cache.clear() == 2 and cache.size_bytes() == 0
    assert (cache.folder / "mine.npz").read_bytes() == b"x"
    assert isinstance(cache.read_clip(video, TimeSpan(0.0, 1.0), SMALL).frames, np.ndarray)


def test_threads_may_write_the_same_clip_at_once(cache, video):
    fresh = read_clip(video, start_s=0.0, end_s=1.0, settings=SMALL)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: cache.put(video, TimeSpan(0.0, 1.0), SMALL, fresh), range(18)))
    np.testing.assert_array_equal(cache.get(video, TimeSpan(0.0, 1.0), SMALL).frames, fresh.frames)
    assert not list(cache.folder.rglob("*.tmp"))


WRITER = """
import sys
from pathlib import Path
from extract.frames import FrameCache, FrameSettings, TimeSpan, read_clip
video, cache = Path(sys.argv[1]), FrameCache(sys.argv[2])
clip = read_clip(video, start_s=0.0, end_s=1.0, settings=FrameSettings(size=96))
print("ready", flush=True)
for n in range(int(sys.argv[3])):
    cache.put(video, TimeSpan(0.0, 1.0 + n % 20 / 1000), FrameSettings(size=96), clip)
"""


def writer(video: Path, cache: FrameCache, rounds: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, video, cache.folder, str(rounds)], stdout=subprocess.PIPE
    )


def test_processes_write_side_by_side_and_a_killed_one_leaves_nothing_half_read(cache, video):
    fresh = read_clip(video, start_s=0.0, end_s=1.0, settings=FrameSettings(size=96))
    killed, other = writer(video, cache, 10**6), writer(video, cache, 60)
    for process in (killed, other):
        assert process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    assert other.wait(60) == 0
    for process in (killed, other):
        process.wait(60)
        process.stdout.close()
    found = [
        cache.get(video, TimeSpan(0.0, 1.0 + n / 1000), FrameSettings(size=96)) for n in range(20)
    ]
    for clip in found:
        np.testing.assert_array_equal(clip.frames, fresh.frames)
