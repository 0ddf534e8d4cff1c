"""Reading sound: the right samples of the right part, and a clear refusal of what is not there."""

from __future__ import annotations

import os

import av
import numpy as np
import pytest
import soundfile

from embeddings_store.errors import MediaError, UnknownNameError, UsageError
from extract.media.header import probe_sound
from extract.media.sound import AudioClip, load_audio, require_duration
from extract.media.spans import SoundSpan

RATE = 16_000


def tone(duration_s: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A rising tone, (samples, channels), the channels of different loudness."""
    t = np.arange(round(duration_s * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (300 + 150 * t) * t)
    return np.stack([wave * (1 + channel) for channel in range(channels)], axis=1).astype(
        np.float32
    )


def write(path, samples: np.ndarray, rate: int = RATE, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def write_video(path, samples: np.ndarray, codec: str, rate: int, *, frames_of_video: int = 0):
    """Encode (samples, 2) with PyAV, beside a black picture if asked for."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=rate, layout="stereo")
        if codec.startswith("wma"):
            sound.bit_rate = 128_000  # that encoder has none of its own
        picture = (
            container.add_stream("mpeg4", rate=25, width=32, height=32, pix_fmt="yuv420p")
            if frames_of_video
            else None
        )
        for begin in range(0, len(samples), 1024):
            planes = np.ascontiguousarray(samples[begin : begin + 1024].T)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = rate, begin
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        for _ in range(frames_of_video):
            container.mux(
                picture.encode(
                    av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                )
            )
        if picture is not None:
            container.mux(picture.encode(None))
    return path


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_whole_file_at_its_own_rate_is_what_was_written(tmp_path):
    written = tone(1.5)
    clip = load_audio(write(tmp_path / "a.wav", written, subtype="FLOAT"))
    np.testing.assert_array_equal(clip.samples, written[:, 0])
    assert clip.samples.dtype == np.float32 and clip.samples.flags.c_contiguous
    assert (clip.sample_rate, clip.source_rate, clip.source_channels, clip.cut) == (
        RATE,
        RATE,
        1,
        False,
    )
    assert clip.duration_s == clip.source_duration_s == 1.5
    assert clip.peak == np.abs(written).max()


def test_channels_are_averaged_and_rates_converted_as_librosa_does(tmp_path):
    import librosa

    written = tone(1.0, 44_100, channels=2)
    clip = load_audio(write(tmp_path / "a.wav", written, 44_100, subtype="FLOAT"))
    expected = librosa.resample(librosa.to_mono(written.T), orig_sr=44_100, target_sr=RATE)
    assert clip.samples.shape == expected.shape == (RATE,)
    np.testing.assert_allclose(clip.samples, expected, atol=1e-6)
    assert (clip.source_rate, clip.source_channels, clip.sample_rate) == (44_100, 2, RATE)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_span_is_read_to_the_sample(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", tone(3.0))
    whole = load_audio(path).samples
    clip = load_audio(path, start_s=1.25, end_s=2.5)
    np.testing.assert_array_equal(clip.samples, whole[20_000:40_000])
    assert (clip.duration_s, clip.source_duration_s, clip.cut) == (1.25, 3.0, False)


@pytest.mark.parametrize(("rule", "begin"), [("first", 1.0), ("middle", 1.75)])
def test_long_span_is_cut_by_rule(tmp_path, rule, begin):
    path = write(tmp_path / "a.wav", tone(4.0))
    whole = load_audio(path).samples
    clip = load_audio(path, start_s=1.0, max_duration_s=1.5, long_rule=rule)
    first = round(begin * RATE)
    np.testing.assert_array_equal(clip.samples, whole[first : first + 24_000])
    assert clip.cut and clip.duration_s == 1.5 and clip.source_duration_s == 4.0


def test_no_limit_reads_everything(tmp_path):
    clip = load_audio(write(tmp_path / "a.flac", tone(11.0)), max_duration_s=None)
    assert clip.duration_s == 11.0 and not clip.cut
    assert load_audio(tmp_path / "a.flac").duration_s == 10.0


def test_rounded_end_is_forgiven_and_a_wrong_one_is_not(tmp_path):
    path = write(tmp_path / "a.wav", tone(1.0))
    assert load_audio(path, end_s=1.08).duration_s == 1.0
    with pytest.raises(
        MediaError, match=r"is 1\.000 s long, so nothing ends at 1\.2 s; correct the manifest"
    ):
        load_audio(path, end_s=1.2)
    with pytest.raises(
        MediaError, match=r"is 1\.000 s long, so nothing starts at 1 s; correct the manifest"
    ):
        load_audio(path, start_s=1.0)


@pytest.mark.parametrize(
    "span", [(-1.0, 2.0), (2.0, 1.0), (1.0, 1.0), (float("nan"), 2.0), (0.0, float("nan"))]
)
def test_spans_that_are_none_are_refused(span):
    with pytest.raises(UsageError, match="describe no part of a sound"):
        SoundSpan(start_s=span[0], end_s=span[1])


def test_options_are_checked(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown long_rule 'last'"):
        load_audio(tmp_path / "a.wav", long_rule="last")
    with pytest.raises(UsageError, match="sample_rate is 0"):
        load_audio(tmp_path / "a.wav", sample_rate=0)
    with pytest.raises(UsageError, match="max_duration_s is 0"):
        load_audio(tmp_path / "a.wav", max_duration_s=0)


def test_silence_is_read_and_seen(tmp_path):
    clip = load_audio(write(tmp_path / "a.wav", np.zeros(800, np.float32)))
    assert clip.peak == 0 and clip.samples.size == 800


def test_require_duration():
    clip = AudioClip(np.zeros(300, np.float32), RATE, 300 / RATE, 1.0, RATE, 1, cut=False, peak=0.0)
    require_duration(clip, 0.01)
    with pytest.raises(
        MediaError, match=r"the clip is 0\.0187 s long, but the encoder needs at least 0\.025 s"
    ):
        require_duration(clip, 0.025)


@pytest.mark.parametrize("suffix", [".wav", ".mp4"])
def test_what_is_no_media_is_refused(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    with pytest.raises(MediaError, match="does not exist; check the manifest's root"):
        load_audio(path)
    path.mkdir()
    with pytest.raises(MediaError, match="is not a regular file"):
        load_audio(path)
    path.rmdir()
    path.touch()
    with pytest.raises(MediaError, match=r"is empty \(0 bytes\); fetch it again"):
        load_audio(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n")
    with pytest.raises(MediaError, match="is a Git-LFS pointer, not media; run 'git lfs pull'"):
        load_audio(path)
    path.write_bytes(np.random.default_rng(0).bytes(5_000))
    words = r"is torn, or is not (sound|media) that \w+ reads \([^)]+\); fetch or convert it again"
    with pytest.raises(MediaError, match=words):
        load_audio(path)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "clip.wav")
    with pytest.raises(MediaError, match="is not a regular file"):
        load_audio(tmp_path / "clip.wav")


def test_file_without_samples_is_refused(tmp_path):
    with pytest.raises(MediaError, match=r"holds no sound at all \(0 samples\)"):
        load_audio(write(tmp_path / "a.wav", np.zeros(0, np.float32)))


def test_samples_that_are_not_finite_are_refused(tmp_path):
    samples = tone(0.1)
    samples[7], samples[9] = np.nan, np.inf
    with pytest.raises(
        MediaError, match="has 2 samples that are not finite, first number 7; export it again"
    ):
        load_audio(write(tmp_path / "a.wav", samples, subtype="FLOAT"))


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "aiff", "au", "w64", "rf64"])
@pytest.mark.parametrize("end_s", [None, 0.5])
def test_cut_sound_file_is_refused_even_where_the_wanted_part_is_whole(tmp_path, kind, end_s):
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE)
    path = write(tmp_path / f"a.{kind}", noise, format=kind.upper())
    assert load_audio(path, end_s=end_s).duration_s == pytest.approx(end_s or 2.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"is cut short: its header promises|is torn"):
        load_audio(path, end_s=end_s)


def test_wav_from_a_pipe_has_no_size_and_is_read(tmp_path):
    path = write(tmp_path / "a.wav", tone(1.0))
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = content[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert load_audio(path).duration_s == 1.0


CONTAINERS = [
    ("mp4", "aac", 44_100),
    ("m4a", "aac", 44_100),
    ("mov", "pcm_s16le", 44_100),
    ("mkv", "aac", 44_100),
    ("avi", "mp3", 44_100),
    ("flv", "aac", 44_100),
    ("webm", "libopus", 48_000),
]
# A cut one looks like a shorter one: nothing in it says how long it was.
PROGRAM_STREAMS = [("mpg", "mp2", 44_100), ("vob", "ac3", 48_000)]


@pytest.mark.parametrize(("suffix", "codec", "rate"), CONTAINERS + PROGRAM_STREAMS)
def test_sound_of_video_files_is_the_sound_that_went_in(tmp_path, suffix, codec, rate):
    path = write_video(tmp_path / f"a.{suffix}", tone(3.0, rate, channels=2), codec, rate)
    whole = load_audio(path, sample_rate=rate)
    assert (whole.source_rate, whole.source_channels) == (rate, 2)
    assert whole.duration_s == pytest.approx(3.0, abs=0.05) == whole.source_duration_s
    assert probe_sound(path) == (whole.source_duration_s, rate, 2)
    assert np.sqrt(np.mean(whole.samples**2)) == pytest.approx(
        0.45 / np.sqrt(2), rel=0.1
    )  # the mean of 0.3 and 0.6
    part = load_audio(path, sample_rate=rate, start_s=1.5, end_s=2.5)
    assert part.samples.size == rate
    # To the millisecond, which is all that Matroska, WebM and FLV write down of a time.
    begin, slack = round(1.5 * rate), round(0.001 * rate) + 1
    best = min(
        difference(
            part.samples[slack:-slack],
            whole.samples[begin + lag + slack : begin + lag + rate - slack],
        )
        for lag in range(-slack, slack + 1)
    )
    assert best < 0.02


def test_sound_of_wmv_is_read_to_its_end_although_its_last_frame_has_no_time(tmp_path):
    rate = 44_100
    noise = np.random.default_rng(0).normal(0, 0.1, (3 * rate, 2)).astype(np.float32)
    path = write_video(tmp_path / "a.wmv", noise, "wmav2", rate)
    whole = load_audio(path, sample_rate=rate)
    assert whole.source_duration_s == pytest.approx(3.0, abs=0.05)
    # Its decoder gives nothing for the first two packets, which last 46 ms each.
    assert whole.duration_s == pytest.approx(whole.source_duration_s - 0.092, abs=0.002)
    part = load_audio(path, sample_rate=rate, start_s=1.5, end_s=2.5)
    assert part.samples.size == rate
    begin, slack = round((1.5 - 0.092) * rate), 100
    here = np.correlate(whole.samples[begin - slack : begin + slack + 999], part.samples[:1000])
    begin += int(np.argmax(here)) - slack
    assert difference(part.samples[:40_000], whole.samples[begin : begin + 40_000]) < 0.02


@pytest.mark.parametrize(("suffix", "codec", "rate"), CONTAINERS)
def test_cut_video_file_is_refused(tmp_path, suffix, codec, rate):
    path = write_video(tmp_path / f"a.{suffix}", tone(3.0, rate, channels=2), codec, rate)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        MediaError,
        match=r"is cut short: it(s header promises| ends within a tag)|is torn, or is not media",
    ):
        load_audio(path)


def test_sound_beside_a_picture_is_found(tmp_path):
    path = write_video(
        tmp_path / "a.avi", tone(2.0, 44_100, channels=2), "mp3", 44_100, frames_of_video=60
    )
    clip = load_audio(path, start_s=0.5, end_s=1.5)
    assert clip.samples.size == RATE and clip.peak > 0.3


def test_spans_of_a_video_file_are_checked_like_any(tmp_path):
    path = write_video(tmp_path / "a.mp4", tone(2.0, 44_100, channels=2), "aac", 44_100)
    assert load_audio(path, max_duration_s=0.5, long_rule="middle").cut
    with pytest.raises(MediaError, match="so nothing starts at 5 s"):
        load_audio(path, start_s=5.0)
    with pytest.raises(MediaError, match="so nothing ends at 9 s"):
        load_audio(path, end_s=9.0)


def test_real_video_has_six_channels_at_48_khz(shared):
    path = shared / "data" / "video" / "bigbuckbunny.mp4"
    whole = load_audio(path, sample_rate=48_000)
    assert (whole.source_rate, whole.source_channels) == (48_000, 6)
    assert whole.duration_s == whole.source_duration_s == pytest.approx(5.312)
    part = load_audio(path, sample_rate=48_000, start_s=2.5, end_s=4.0)
    np.testing.assert_array_equal(part.samples, whole.samples[120_000:192_000])
    assert load_audio(path).samples.size == pytest.approx(5.312 * RATE, abs=1)


def test_real_video_without_sound_is_refused(shared):
    with pytest.raises(
        MediaError, match="has no sound track; leave its audio empty in the manifest"
    ):
        load_audio(shared / "data" / "video" / "bikes.mp4")


def test_real_speech_is_read_as_it_is(shared):
    path = shared / "data" / "ravdess" / "Actor_01" / "03-01-05-01-01-01-01.flac"
    expected, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    np.testing.assert_array_equal(load_audio(path).samples, expected)
