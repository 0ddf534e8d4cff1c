"""Which frames are drawn, which part is kept, how it is scaled, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numbered_videos as numbered
import numpy as np
import pytest

from embeddings_store.errors import MediaError, MissingDependencyError, UnknownNameError, UsageError
from extract.frames import (
    FrameClip,
    FrameSettings,
    TimeSpan,
    VideoFile,
    flip,
    read_clip,
    read_spans,
)
from extract.frames.geometry import fit, region_box
from extract.frames.settings import sample_times

H264 = {"codec": "libx264", "options": {"preset": "ultrafast"}}


@pytest.fixture(scope="module")
def divx(tmp_path_factory) -> Path:
    return numbered.write(tmp_path_factory.mktemp("divx") / "dialogue.avi")


def seen(clip: FrameClip) -> list[int]:
    """The frames of a clip of ``divx``, by their times."""
    return np.round(clip.times_s * 30_000 / 1001).astype(int).tolist()


@pytest.mark.parametrize("begin_s, end_s", [(0.0, 0.585), (3.2, 6.8), (100.0, 134.14)])
def test_uniform_takes_the_centres_of_equal_parts(begin_s, end_s):
    times_s = sample_times(begin_s, end_s, FrameSettings())
    edges_s = np.linspace(begin_s, end_s, 17)
    np.testing.assert_allclose(times_s, (edges_s[:-1] + edges_s[1:]) / 2)


def test_consecutive_is_a_clock_around_the_middle():
    times_s = sample_times(10.0, 14.0, FrameSettings(rule="consecutive"))
    np.testing.assert_allclose(np.diff(times_s), 1 / 30)
    assert times_s.mean() == pytest.approx(12.0)


def test_consecutive_repeats_the_last_picture_of_a_short_span():
    times_s = sample_times(10.0, 10.3, FrameSettings(rule="consecutive"))
    np.testing.assert_allclose(np.diff(times_s)[:8], 1 / 30)
    assert (times_s[9:] < 10.3).all() and (times_s[9:] > 10.299).all()


def test_short_spans_repeat_frames_and_long_ones_are_seen_whole(divx):
    tick_s = 1001 / 30_000
    short = read_clip(divx, start_s=50 * tick_s, end_s=54 * tick_s)
    assert seen(short) == [frame for frame in (50, 51, 52, 53) for _ in range(4)]
    assert seen(read_clip(divx)) == [int(120 / 16 * (part + 0.5)) for part in range(16)]
    settings = FrameSettings(rule="consecutive", rate_hz=30_000 / 1001)
    assert seen(read_clip(divx, start_s=50 * tick_s, end_s=54 * tick_s, settings=settings)) == [
        50,
        51,
        52,
        *[53] * 13,
    ]
    assert seen(read_clip(divx, start_s=20 * tick_s, end_s=80 * tick_s, settings=settings)) == list(
        range(42, 58)
    )


def test_a_clip_says_what_it_is(divx):
    clip = read_clip(divx, start_s=1.0, end_s=2.0, settings=FrameSettings(frames=8, size=32))
    assert (
        clip.frames.shape == (8, 32, 32, 3)
        and clip.frames.dtype == np.uint8
        and clip.times_s.shape == (8,)
    )
    assert (clip.width, clip.height) == (192, 96) and clip.source_fps == pytest.approx(
        29.97, abs=1e-3
    )
    assert clip.duration_s == pytest.approx(4.004) and clip.note == ""
    assert (
        clip.digest
        == read_clip(divx, start_s=1.0, end_s=2.0, settings=FrameSettings(frames=8, size=32)).digest
    )
    assert (
        clip.digest
        != read_clip(divx, start_s=1.5, end_s=2.0, settings=FrameSettings(frames=8, size=32)).digest
    )


def test_regions_of_iemocaps_screen():
    assert region_box("full", "", 720, 480) == (0, 0, 720, 480)
    assert region_box("half", "right", 720, 480) == (360, 0, 720, 480)
    assert region_box("half-unboxed", "left", 720, 480) == (0, 0, 360, 480)
    with pytest.raises(UsageError, match="say which, left or right"):
        region_box("half", "", 720, 480)


def letterboxed(path: Path, rows: slice, columns: slice) -> Path:
    """Write ten pictures, 360 x 240, with a grey field in each half that starts off dark."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 360, 240, "yuv420p", 10**6
        for number in range(10):
            picture = np.zeros((240, 2, 180, 3), dtype=np.uint8)
            picture[rows, :, columns] = 12 if number < 5 else 150
            frame = av.VideoFrame.from_ndarray(picture.reshape(240, 360, 3), format="rgb24")
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_a_letterbox_leaves_of_a_half_is_found_by_looking_at_the_whole_film(tmp_path, side):
    path = letterboxed(tmp_path / "a.avi", slice(60, 180), slice(4, 176))
    settings = FrameSettings(frames=1, region="half-unboxed", size=120)
    with VideoFile(path) as film:
        dark = film.read(TimeSpan(0.0, 0.1, side), settings)
        (lit,) = film.read(TimeSpan(0.3, 0.4, side), settings).frames
    # All of the rows, none of the bars, and of the columns the middle ones, as of any picture.
    assert lit.min() > 120 and lit.shape == (120, 120, 3) and dark.frames.max() < 40
    assert settings.as_dict().keys() - FrameSettings().as_dict().keys() == {"content_rule"}


def test_a_half_that_is_black_throughout_has_no_content(tmp_path):
    path = letterboxed(tmp_path / "a.avi", slice(0, 0), slice(0, 0))
    with pytest.raises(MediaError, match=r"black in the whole film.*; use --region half"):
        read_clip(path, side="left", settings=FrameSettings(region="half-unboxed"))


def test_a_half_holds_its_own_actor_only(divx):
    half = FrameSettings(region="half", size=96)
    left, right = (
        read_clip(divx, end_s=1.0, side=side, settings=half).frames for side in ("left", "right")
    )
    whole = read_clip(divx, end_s=1.0, settings=FrameSettings(size=96)).frames
    assert np.array_equal(left[:, :, 48:], whole[:, :, :48])
    assert np.array_equal(right[:, :, :48], whole[:, :, 48:])


@pytest.mark.parametrize(
    "height, width", [(480, 720), (480, 360), (256, 256), (144, 176), (241, 243), (100, 301)]
)
def test_scaling_is_that_of_the_papers_processor(height, width):
    transformers = pytest.importorskip("transformers")
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    processor = transformers.VideoMAEImageProcessorPil(do_rescale=False, do_normalize=False)
    expected = processor([picture], return_tensors="np")["pixel_values"][0, 0]
    np.testing.assert_array_equal(fit(picture, 224), expected.transpose(1, 2, 0))


def test_flip_mirrors_every_frame_and_twice_is_nothing(divx):
    frames = read_clip(divx, end_s=1.0, settings=FrameSettings(size=32)).frames
    assert np.array_equal(flip(frames)[3, :, 0], frames[3, :, -1])
    assert np.array_equal(flip(flip(frames)), frames)


def test_many_spans_come_in_the_order_of_time_each_as_if_alone(divx):
    spans = [
        TimeSpan(3.0, 3.9),
        TimeSpan(0.2, 1.2),
        TimeSpan(7.0, 8.0),
        TimeSpan(0.1, 2.0),
        TimeSpan(1.0, 1.1),
    ]
    found = list(read_spans(divx, spans))
    assert [position for position, _ in found] == [3, 1, 4, 0, 2]
    for position, clip in found:
        if position == 2:
            assert isinstance(clip, MediaError) and "nothing starts at 7 s" in str(clip)
        else:
            span = spans[position]
            assert np.array_equal(
                clip.frames, read_clip(divx, start_s=span.start_s, end_s=span.end_s).frames
            )


def test_spans_of_a_file_that_does_not_open_all_come_as_errors(tmp_path):
    found = list(read_spans(tmp_path / "none.avi", [TimeSpan(1.0, 2.0), TimeSpan(0.0, 1.0)]))
    assert [position for position, _ in found] == [1, 0]
    assert all(
        isinstance(error, MediaError) and "does not exist" in str(error) for _, error in found
    )


def test_a_span_that_outlasts_the_picture_a_little_is_noted(divx):
    assert read_clip(divx, start_s=3.0, end_s=4.05).note == ""
    clip = read_clip(divx, start_s=3.0, end_s=4.3)
    assert (
        clip.note == "the span ends 0.30 s after the picture, which was left off"
        and seen(clip)[-1] == 119
    )
    with pytest.raises(
        MediaError, match=r"is 4\.004 s long, so nothing ends at 4\.6 s; correct the manifest"
    ):
        read_clip(divx, start_s=3.0, end_s=4.6)


@pytest.mark.parametrize(
    "start_s, end_s", [(-1.0, 1.0), (2.0, 2.0), (None, float("nan")), (None, 0.0)]
)
def test_what_is_no_span_is_a_usage_error(start_s, end_s):
    with pytest.raises(UsageError, match="describe no part of a video"):
        TimeSpan(start_s, end_s)


def test_settings_are_checked_and_named():
    for wrong in ({"frames": 0}, {"size": 0}, {"rate_hz": 0.0}, {"rate_hz": float("nan")}):
        with pytest.raises(UsageError, match="expected more than 0"):
            FrameSettings(**wrong)
    with pytest.raises(UnknownNameError, match="did you mean 'uniform'"):
        FrameSettings(rule="unifrom")
    with pytest.raises(UnknownNameError, match="Known: full, half, half-unboxed"):
        FrameSettings(region="hand")
    with pytest.raises(UnknownNameError, match="unknown side 'middle'"):
        TimeSpan(side="middle")
    with pytest.raises(UsageError, match="threads is 0"):
        VideoFile("a.avi", threads=0)


def broken_file(kind: str, folder: Path) -> Path:
    path = folder / ("clip.avi" if "avi" in kind else "clip.mp4")
    if kind == "missing":
        return path
    if kind == "folder":
        path.mkdir()
    elif kind == "sound only":
        with av.open(str(path), "w") as film:
            track = film.add_stream("aac", rate=16_000)
            sound = av.AudioFrame.from_ndarray(
                np.zeros((1, 16_000), np.float32), format="fltp", layout="mono"
            )
            sound.rate = 16_000
            film.mux(track.encode(sound))
            film.mux(track.encode(None))
    elif kind.startswith("cut"):
        content = numbered.write(path, **({} if "avi" in kind else H264)).read_bytes()
        path.write_bytes(content[: len(content) * 6 // 10])
    else:
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123456\n"
        noise = np.random.default_rng(0).bytes(20_000)
        path.write_bytes(
            {"empty": b"", "pointer": pointer, "noise": noise, "text": b"Excuse me.\n" * 99}[kind]
        )
    return path


@pytest.mark.parametrize(
    "kind, words",
    [
        ("missing", "does not exist; check the manifest's root"),
        ("folder", "is not a regular file"),
        ("empty", "is empty"),
        ("pointer", "git lfs pull"),
        ("noise", "is torn, or is not media that FFmpeg reads"),
        ("text", "is torn, or is not media that FFmpeg reads"),
        ("cut avi", "is cut short: its header promises"),
        ("cut mp4", "is torn, or is not media that FFmpeg reads"),
        ("sound only", "has no video track; leave its video empty"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(kind, words, tmp_path, capfd):
    with pytest.raises(MediaError, match=words):
        read_clip(broken_file(kind, tmp_path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_cut_file_that_still_opens_is_refused(suffix, tmp_path):
    options = {**H264, "options": {"preset": "ultrafast"}}
    path = numbered.write(tmp_path / f"whole.{suffix}", **options)
    if suffix == "mp4":  # its table of contents first, as on the web
        whole = tmp_path / "web.mp4"
        with (
            av.open(str(path)) as old,
            av.open(str(whole), "w", options={"movflags": "faststart"}) as new,
        ):
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    new.mux(packet)
        path = whole
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert seen(read_clip(path))[0] == 3
    with pytest.raises(MediaError, match=r"is cut short: its header promises 4\.0\d s of video"):
        read_clip(cut)


def test_frames_that_cannot_be_decoded_are_one_line(tmp_path, capfd):
    path = numbered.write(tmp_path / "clip.mp4", **H264)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + len(content) // 5] = bytes(len(content) // 5)
    path.write_bytes(content)
    # The libraries' own words, with a place in their source and the time of day, stay out of it.
    words = (
        r"clip\.mp4: has frames that cannot be decoded \([A-Za-z ]+\); fetch or convert it again$"
    )
    with pytest.raises(MediaError, match=words):
        read_clip(path)
    assert capfd.readouterr() == ("", "")


def test_a_hundred_and_fifty_one_dialogues_leave_no_file_and_no_thread_behind(divx, tmp_path):
    files, threads = Path("/proc/self/fd"), Path("/proc/self/task")
    if not files.is_dir():
        pytest.skip("needs Linux' /proc to count open files")
    counted = numbered.write(tmp_path / "b.avi", b_frames=1, count=10)
    settings = FrameSettings(frames=2, size=16)

    def reads(times: int) -> tuple[int, int]:
        for _ in range(times):
            for path in (divx, counted):
                list(read_spans(path, [TimeSpan(0.0, 0.1), TimeSpan(0.2, 0.3)], settings))
        return len(list(files.iterdir())), len(list(threads.iterdir()))

    before = reads(3)
    after = reads(148)
    assert after[0] <= before[0] and after[1] <= before[1]


def test_the_package_imports_without_a_decoder_and_says_which_extra_brings_it(monkeypatch, divx):
    code = "import sys, extract.frames; sys.exit(bool({'av', 'torch'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match="needs PyAV; install the extra 'extract'"):
        read_clip(divx)
