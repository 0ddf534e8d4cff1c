"""Whatever the container and wherever one seeks, the frame that comes is the one asked for."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numbered_videos as numbered
import numpy as np
import pytest

from embeddings_store.errors import MediaError
from extract.frames import FrameSettings, TimeSpan, VideoFile, read_clip
from extract.frames.decoders import Decoder
from extract.frames.geometry import fit
from extract.frames.index import scan

X264 = {
    "codec": "libx264",
    "gop": 32,
    "options": {"preset": "ultrafast", "x264-params": "bframes=3:b-adapt=0"},
}
OPEN_GOP = {
    **X264,
    "options": {"preset": "ultrafast", "x264-params": "bframes=3:b-adapt=0:open-gop=1"},
}
# Name, and how it is written.
CASES = {
    "divx.avi": {},
    "divx-one-group.avi": {"gop": 300},
    "divx-b1.avi": {"b_frames": 1},
    "divx-b2.avi": {"b_frames": 2},
    "mpeg4-b2.mp4": {"b_frames": 2},
    "h264.mp4": X264,
    "h264-late.mp4": {**X264, "first": 45},
    "h264-open.mp4": OPEN_GOP,
    "h264.mkv": X264,
    "h264.avi": X264,
    "h264.ts": X264,
    "mpeg2.ts": {"codec": "mpeg2video", "b_frames": 2, "rate": numbered.PAL},
    "flash.flv": {"codec": "flv"},
    "wmv2.wmv": {"codec": "wmv2"},
    "mpeg1.mpg": {"codec": "mpeg1video", "b_frames": 2, "rate": numbered.PAL},
    "mpeg2.vob": {"codec": "mpeg2video", "b_frames": 2},
}


@pytest.fixture(scope="module", params=[*CASES, "divx-packed.avi"])
def video(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("videos") / request.param
    if request.param == "divx-packed.avi":
        return numbered.write_packed_divx(path)
    return numbered.write(path, **CASES[request.param])


def numbers(decoder, wanted) -> list[int]:
    return [numbered.number_of(shown) for shown in decoder.pictures(wanted)]


def test_every_frame_is_found_by_its_number(video):
    index = scan(video)
    rng = np.random.default_rng(0)
    wanted = rng.permutation(120)[:40].tolist()
    decoder = Decoder(video, index, threads=1)
    assert [numbers(decoder, [n])[0] for n in wanted] == wanted
    assert numbers(decoder, sorted(wanted)) == sorted(wanted)
    assert numbers(decoder, [117, 118, 119]) == [117, 118, 119]
    decoder.close()


def test_every_frame_is_found_with_any_number_of_threads(video):
    index = scan(video)
    for threads in (1, 3):
        decoder = Decoder(video, index, threads)
        wanted = [119, 3, 4, 70, 23, 24, 25, 0]
        assert [numbers(decoder, [n])[0] for n in wanted] == wanted
        decoder.close()


def test_every_frame_is_found_though_the_one_before_was_asked_for_alone(video):
    index = scan(video)
    decoder = Decoder(video, index, threads=1)
    # The decoder has been given later frames by then, and may have left them out.
    found = [numbers(decoder, [number])[0] for number in range(len(index.times_s))]
    decoder.close()
    assert found == list(range(len(found)))


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4-b2.mp4"])
def test_frames_that_no_other_needs_are_left_out(tmp_path, name):
    path = numbered.write(tmp_path / name, **CASES[name])
    index = scan(path)
    decoder = Decoder(path, index, threads=1)
    came = []
    frames = decoder._frames

    def counted():
        for number, frame in frames():
            came.append(number)
            yield number, frame

    decoder._frames = counted
    assert numbers(decoder, [21, 25]) == [21, 25]
    decoder.close()
    assert {21, 25} <= set(came) and len(came) < 20


def test_times_are_those_of_a_steady_clock(video):
    index = scan(video)
    rate = float(CASES.get(video.name, {}).get("rate", numbered.NTSC))
    rounding_s = 1e-3 if video.suffix in (".mkv", ".flv", ".wmv") else 1e-4
    np.testing.assert_allclose(index.times_s, np.arange(120) / rate, atol=rounding_s)
    assert index.duration_s == pytest.approx(120 / rate, abs=rounding_s + 0.001)
    assert index.fps == pytest.approx(rate, rel=0.002)
    assert index.shown_at(np.array([0.0, 59.5 / rate, 119.5 / rate])).tolist() == [0, 59, 119]


def test_a_span_in_the_middle_shows_the_frames_of_its_times(video):
    rate = float(CASES.get(video.name, {}).get("rate", numbered.NTSC))
    clip = read_clip(
        video, start_s=40.3 / rate, end_s=104.3 / rate, settings=FrameSettings(size=96)
    )
    # Of 96 rows and 192 columns the middle half is left: bars 3 to 8, so bits 3 to 8 of the number.
    seen = [numbered.number_of(np.pad(shown, ((0, 0), (48, 48), (0, 0)))) for shown in clip.frames]
    expected = [42 + 4 * part for part in range(16)]
    assert seen == [n & 0b111111000 for n in expected]
    np.testing.assert_allclose(clip.times_s * rate, expected, atol=0.03)


def test_a_program_stream_without_its_beginning_is_refused(tmp_path):
    whole = numbered.write(
        tmp_path / "old.mpg", codec="mpeg2video", b_frames=2, rate=numbered.PAL, gop=12
    ).read_bytes()
    pack = b"\x00\x00\x01\xba"
    cut = tmp_path / "cut.mpg"
    cut.write_bytes(pack + pack.join(whole.split(pack)[4:]))
    with pytest.raises(MediaError, match=r"times contradict each other.*; convert it to MP4"):
        scan(cut)


def test_frames_that_need_an_absent_one_are_left_out_of_a_program_stream(tmp_path):
    """As where a DVD's chapter was copied: the first pictures belong to the group before."""
    whole = numbered.write(
        tmp_path / "a.ts", codec="mpeg2video", b_frames=2, rate=numbered.PAL, gop=12, count=40
    )
    path = tmp_path / "chapter.mpg"
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        second_key = [n for n, packet in enumerate(packets) if packet.is_keyframe][1]
        begin = packets[second_key].dts
        for packet in packets[second_key:]:
            packet.pts, packet.dts = packet.pts - begin, packet.dts - begin
            packet.stream = stream
            new.mux(packet)
    index = scan(path)
    decoder = Decoder(path, index, threads=1)
    count = len(index.times_s)
    assert numbers(decoder, range(count)) == list(range(40 - count, 40))
    decoder.close()


def test_a_dropped_frame_of_an_avi_is_counted_as_its_header_counts(tmp_path):
    whole = numbered.write(tmp_path / "whole.avi", count=20)
    path = tmp_path / "dropped.avi"
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            # The writer puts an empty chunk where a time is left out.
            if packet.size and packet.dts != 7:
                packet.stream = stream
                new.mux(packet)
    index = scan(path)
    assert len(index.times_s) == 19 and index.note == ""
    assert index.duration_s == pytest.approx(20 / float(numbered.NTSC))


def test_a_picture_that_lies_on_its_side_is_put_upright(tmp_path):
    upright = read_clip(numbered.write(tmp_path / "flat.mp4", **X264, count=20))
    for angle in (90, -90, 180):
        path = numbered.write(tmp_path / f"turned{angle}.mp4", **X264, count=20, rotation=angle)
        turned = read_clip(path)
        assert (turned.width, turned.height) == ((192, 96) if angle == 180 else (96, 192))
        expected = np.rot90(upright.frames, angle // 90, axes=(1, 2))
        assert np.abs(turned.frames.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "name, width",
    [("dvd.vob", 171), ("wide.mp4", 228), ("turned.mp4", 228)],
)
def test_pixels_that_are_not_square_are_made_square(name, width, tmp_path):
    aspect = Fraction(8, 9) if name == "dvd.vob" else Fraction(32, 27)
    codec = {"codec": "mpeg2video", "rate": numbered.PAL} if name == "dvd.vob" else X264
    rotation = 180 if name == "turned.mp4" else 0
    path = numbered.write(tmp_path / name, count=20, aspect=aspect, rotation=rotation, **codec)
    index = scan(path)
    assert (index.width, index.height, index.note) == (width, 96, "")
    decoder = Decoder(path, index, threads=1)
    pictures = list(decoder.pictures([4, 17]))
    decoder.close()
    assert {shown.shape for shown in pictures} == {(96, width, 3)}
    if not rotation:
        assert [numbered.number_of(shown) for shown in pictures] == [4, 17]


def test_pixels_that_nobody_has_are_not_believed_and_that_is_said(tmp_path):
    index = scan(numbered.write(tmp_path / "a.mp4", **X264, count=5, aspect=Fraction(1, 100)))
    assert (index.width, index.height) == (192, 96)
    assert index.note == "the file says that its pixels are 1:100, which was not believed"


def without_a_width(path: Path, codec: str) -> Path:
    """Write an AVI whose headers say that its pictures are no pixel wide."""
    content = bytearray(numbered.write(path, codec=codec, count=10).read_bytes())
    for at in (content.index(b"avih") + 40, content.index(b"strf") + 12):
        assert content[at : at + 4] == numbered.WIDTH.to_bytes(4, "little")
        content[at : at + 4] = bytes(4)
    path.write_bytes(content)
    return path


def test_an_avi_without_a_width_is_read_where_its_pictures_know_theirs(tmp_path):
    clip = read_clip(without_a_width(tmp_path / "a.avi", "mpeg4"))
    assert (clip.width, clip.height) == (192, 96)
    with pytest.raises(MediaError, match=r"raw\.avi: is torn, or is not video") as refused:
        read_clip(without_a_width(tmp_path / "raw.avi", "rawvideo"))
    assert "\n" not in str(refused.value)


REAL = {
    "bigbuckbunny.mp4": (25.0, 132),
    "bikes.mp4": (25.0, 250),
    "carphone_pristine.mp4": (30_000 / 1001, 120),
}
# 176 pixels of 128:117 are as wide as 193 square ones.
WIDTHS = {"carphone_pristine.mp4": 193}


@pytest.fixture(scope="module", params=REAL)
def real(request, shared) -> Path:
    return shared / "data" / "video" / request.param


def by_pyav(path: Path, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and pictures of every frame, decoded from the start by PyAV with nothing of ours."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return np.array([frame.time for frame in frames]), np.stack(
        [frame.to_ndarray(format="rgb24", width=width) for frame in frames]
    )


def test_real_clips_agree_with_decoding_all_of_them_to_the_bit(real):
    index = scan(real)
    assert index.width == WIDTHS.get(real.name, index.width)
    times_s, pictures = by_pyav(real, index.width)
    np.testing.assert_allclose(index.times_s, times_s, atol=1e-6)
    decoder = Decoder(real, index, threads=1)
    wanted = list(range(0, len(times_s), 11))
    for number, shown in zip(wanted, decoder.pictures(wanted), strict=True):
        np.testing.assert_array_equal(shown, pictures[number])
    decoder.close()


def test_real_clips_have_the_times_of_their_rate(real):
    rate, count = REAL[real.name]
    index = scan(real)
    assert (
        len(index.times_s) == count
        and index.fps == pytest.approx(rate, rel=1e-6)
        and not index.note
    )
    np.testing.assert_allclose(index.times_s, np.arange(count) / rate, atol=1e-6)


def test_seeking_into_a_real_clip_is_decoding_from_its_start(real):
    span, settings = TimeSpan(2.0, 3.5), FrameSettings()
    with VideoFile(real) as video:
        sought = video.read(span, settings)
        numbers = video.index.shown_at(sought.times_s).tolist()
        straight = Decoder(real, video.index, threads=1)
        from_start = [
            shown
            for n, shown in enumerate(straight.pictures(range(max(numbers) + 1)))
            if n in numbers
        ]
        straight.close()
        assert np.array_equal(video.read(span, settings).frames, sought.frames)
    np.testing.assert_array_equal(
        sought.frames, np.stack([fit(shown, 224) for shown in from_start])
    )
