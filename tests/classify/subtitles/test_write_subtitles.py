"""From a sound file to subtitles by the command, with a real model and real ffmpeg."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from classify.commands import write_subtitles
from classify.subtitles.rendering import contact_sheet
from classify.subtitles.words import Cue, TimedWord
from embeddings_store.errors import MediaError
from tests.classify.bundle.test_predict import RATE, model, tone

pysubs2 = pytest.importorskip("pysubs2")
pytestmark = pytest.mark.telling  # librosa alone takes seconds to load
assert model  # a fixture
CUES = [Cue(((TimedWord("Low", 0.6, 1.4),),), 0.6, 1.4, "low", 0.9)]
WORDS = (("Low", 0.6, 1.4), ("<b>tone.", 1.4, 2.2), ("{High}", 4.0, 4.9), ("tone.", 4.9, 5.8))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A second of silence, one of a low tone, two of silence, one of a high tone, silence."""
    quiet = np.zeros(RATE)
    parts = [quiet, tone("low", 1.0, 1), quiet, quiet, tone("high", 1.0, 2), quiet]
    soundfile.write(tmp_path / "film.wav", np.concatenate(parts), RATE)
    entries = [{"text": t, "start_s": a, "end_s": b} for t, a, b in WORDS]
    (tmp_path / "words.json").write_text(json.dumps(entries), encoding="utf-8")
    return tmp_path / "film.wav"


def run(film: Path, model: Path, *more: str) -> int:
    given = [str(film), "--model", str(model), "--out", str(film.parent / "out")]
    windows = ["--window-s", "1", "--hop-s", "1", "--shortest-s", "0", "--style", "expressive"]
    return write_subtitles.main([*given, *windows, *more])


def test_a_film_gets_subtitles_once(
    film: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("--words", str(film.parent / "words.json"))
    assert run(film, model, *words) == 0
    shown = capsys.readouterr().out
    assert "film.wav: 2 cues (1 high, 1 low)" in shown
    assert "the style has no look for" in shown and "of the film's time" in shown
    out = film.parent / "out"
    events = pysubs2.load(str(out / "film.ass")).events
    assert [event.style for event in events] == ["low", "high"]
    for event, (start_s, end_s) in zip(events, ((1, 2), (4, 5)), strict=True):
        assert abs(event.start / 1000 - start_s) < 0.1 and abs(event.end / 1000 - end_s) < 0.1
    assert "<c.high>{High} tone.</c>" in (out / "film.vtt").read_text("utf-8")
    assert "<\u2060b>tone." in (out / "film.srt").read_text("utf-8")
    made = (out / "film.ass").stat().st_mtime_ns
    assert run(film, model, *words) == 0
    assert "done before" in capsys.readouterr().out
    assert (out / "film.ass").stat().st_mtime_ns == made
    assert run(film, model, *words, "--karaoke") == 0
    assert "{\\kf" in (out / "film.ass").read_text("utf-8")
    srt = film.parent / "own.srt"
    srt.write_bytes("1\n00:00:04,000 --> 00:00:05,000\nGrüße\n".encode("cp1252"))
    given = ("--subtitles", str(srt), "--encoding", "cp1252", "--formats", "ass")
    assert run(film, model, *given) == 0
    assert pysubs2.load(str(out / "film.ass"))[0].style == "Default high"


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        ((), 2, "where words come from"),
        (("--words", "absent.json"), 3, "absent.json"),
        (("--words", "words.json", "--limit", "lines"), 2, "NAME=NUMBER"),
        (("--words", "words.json", "--limit", "line=2"), 2, "line"),
        (("--words", "words.json", "--formats", "sub"), 2, "there are ass, srt, vtt"),
        (("--words", "words.json", "--style", "bold"), 2, "bold"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    more: tuple[str, ...],
    status: int,
    message: str,
    film: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(film.parent)
    assert run(film, model, *more) == status
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_what_has_no_moment_for_a_preview_is_done_all_the_same(
    film: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--words", str(film.parent / "words.json"), "--threshold", "1")  # all is neutral
    assert run(film, model, *words, "--preview") == 0
    assert "no cue has an emotion, so there is no preview" in capsys.readouterr().err
    assert run(film, model, *words, "--preview") == 0
    assert capsys.readouterr().out.startswith("film.wav: done before")


def test_pictures_are_made_by_ffmpeg_and_missed_clearly(
    film: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = shutil.which("ffmpeg")
    words = ("--words", str(film.parent / "words.json"))
    with monkeypatch.context() as without:
        without.setenv("PATH", str(film.parent))
        assert run(film, model, *words, "--burn") == 3
        assert "need ffmpeg; install it" in capsys.readouterr().err
    if program is None:
        pytest.skip("ffmpeg is not installed (Debian: apt-get install ffmpeg fonts-noto-cjk)")
    assert run(film, model, *words, "--burn") == 4
    assert "film.wav: ffmpeg could not make pictures" in capsys.readouterr().err
    assert not list((film.parent / "out").glob("*.mp4"))
    pictures = ["-f", "lavfi", "-i", "color=0x203040:s=320x180:r=10:d=6", "-i", str(film)]
    shown = film.with_suffix(".mp4")
    subprocess.run([program, "-v", "error", *pictures, "-shortest", str(shown)], check=True)
    assert run(shown, model, *words, "--burn", "--preview") == 0
    out = film.parent / "out"
    assert (out / "film.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "film.burnt.mp4").stat().st_size > 1000
    # a film that is damaged is no film without pictures
    whole = shown.read_bytes()
    shown.write_bytes(whole[:64] + bytes(len(whole) - 64))
    with pytest.raises(MediaError, match=r"film\.mp4: ffmpeg could not look into it"):
        contact_sheet(shown, (out / "film.ass").read_text("utf-8"), CUES, out / "other.png")
    assert not (out / "other.png").exists()
    contact_sheet(film, (out / "film.ass").read_text("utf-8"), CUES, out / "other.png")
    assert (out / "other.png").read_bytes().startswith(b"\x89PNG")
