"""Subtitles that are there get a look, and keep their text, times and tags."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classify.subtitles.restyle import (
    ExistingSubtitles,
    read_existing,
    restyled_ass,
    restyled_srt,
    restyled_vtt,
)
from classify.subtitles.shots import read_shots
from classify.subtitles.speech_bounds import bound_words, levels_db, speech_spans
from classify.subtitles.styles import read_styles
from classify.subtitles.words import Cue, TimedWord
from embeddings_store.errors import ManifestError, ProjectError

pysubs2 = pytest.importorskip("pysubs2")
SRT = (
    "1\n00:00:01,000 --> 00:00:02,500\n<i>안녕</i> {\\an8}친구야, {오늘} C:\\new\n둘째 줄\n\n"
    "2\n00:00:03,000 --> 00:00:04,000\n어떻게 지내니 & 왜?\n"
)


def angry(existing: ExistingSubtitles) -> list[Cue]:
    return [dataclasses.replace(existing.cues[0], emotion="angry"), *existing.cues[1:]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
@pytest.mark.parametrize("stated", [True, False])
def test_srt_of_any_encoding_keeps_its_text_and_times(
    encoding: str, stated: bool, tmp_path: Path
) -> None:
    path = tmp_path / "film.srt"
    path.write_bytes(SRT.replace("\n", "\r\n").encode(encoding))
    existing = read_existing(path, encoding if stated else "")
    sheet = read_styles("expressive")
    srt = restyled_srt(existing, angry(existing), sheet)
    bare = srt.replace('<font color="#FF5A4D"><b>', "").replace("</b></font>", "")
    assert bare == SRT
    ass = pysubs2.SSAFile.from_string(restyled_ass(existing, angry(existing), sheet), "ass")
    first, second = ass.events
    assert first.text.replace("\u2060", "") == (
        r"{\i1}안녕{\i0} {\an8}친구야, \{오늘} C:\new\N둘째 줄"
    )
    assert (first.start, first.end, first.style) == (1000, 2500, "Default angry")
    assert (second.start, second.end, second.style) == (3000, 4000, "Default")
    assert "어떻게 지내니 &amp; 왜?" in restyled_vtt(existing, angry(existing), sheet)


ASS = r"""[Script Info]
Title: Mine
PlayResY: 720
X-Own: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Mine,Georgia,28,&H00AABBCC,&H0,&H0,&H0,0,0,0,0,100,100,0,0,1,2,0,8,11,12,13,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Mine,,0,0,0,,{note} not shown
Dialogue: 3,0:00:01.00,0:00:02.50,Mine,Bob,1,2,3,fx,{\pos(10,20)\b1}No{\b0}, he\Nsaid \{no\}
Dialogue: 0,0:00:01.00,0:00:02.00,Mine,,0,0,0,,{\p1}m 0 0 l 1 1{\p0}
Dialogue: 0,0:00:03.00,0:00:04.00,Mine,,0,0,0,,Fine
"""


def test_an_ass_of_the_user_keeps_info_styles_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "film.ass"
    path.write_text(ASS, encoding="utf-8")
    existing = read_existing(path)
    sheet = read_styles("expressive")
    assert [cue.texts for cue in existing.cues] == [("No, he said {no}",), ("Fine",)]
    before = pysubs2.SSAFile.from_string(ASS)
    after = pysubs2.SSAFile.from_string(restyled_ass(existing, angry(existing), sheet))
    assert {**after.info, **before.info} == after.info and after.info["X-Own"] == "yes"
    assert after.styles["Mine"] == before.styles["Mine"]
    own, changed = before.styles["Mine"], after.styles["Mine angry"]
    assert changed.primarycolor == pysubs2.Color(0xFF, 0x5A, 0x4D) and changed.bold
    assert changed.fontsize == 32 and changed.fontname == "Georgia"
    kept = ("marginl", "marginr", "marginv", "alignment", "outline", "backcolor")
    assert all(getattr(changed, name) == getattr(own, name) for name in kept)
    for old, new in zip(before, after, strict=True):
        if old.layer == 3:
            assert new.style == "Mine angry"
            new.style = old.style
        assert dataclasses.asdict(new) == dataclasses.asdict(old)
    srt = restyled_srt(existing, angry(existing), sheet)
    assert "No, he\nsaid {\u2060no}" in srt and "m 0 0" not in srt


def test_webvtt_keeps_its_text(tmp_path: Path) -> None:
    path = tmp_path / "film.vtt"
    path.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Bob>a &lt; <i>b</i>\n", "utf-8")
    existing = read_existing(path)
    vtt = restyled_vtt(existing, angry(existing), read_styles("subtle"))
    assert "00:00:01.000 --> 00:00:02.000\n<c.angry><v Bob>a &lt; <i>b</i></c>\n" in vtt
    assert r"a < {\i1}b{\i0}" in restyled_ass(existing, angry(existing), read_styles("subtle"))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    extra=st.binary(max_size=60),
    at=st.integers(0, 400),
    kind=st.sampled_from(["srt", "ass", "vtt"]),
)
def test_an_altered_file_is_read_or_refused_in_one_line(
    extra: bytes, at: int, kind: str, tmp_path: Path
) -> None:
    whole = (ASS if kind == "ass" else SRT if kind == "srt" else f"WEBVTT\n\n{SRT}").encode()
    path = tmp_path / f"film.{kind}"
    path.write_bytes(whole[:at] + extra + whole[at + len(extra) :])
    try:
        existing = read_existing(path)
    except ProjectError as error:
        assert "\n" not in str(error) and str(path) in str(error)
        return
    for write in (restyled_ass, restyled_srt, restyled_vtt):
        assert write(existing, existing.cues, read_styles("subtle"))


@pytest.mark.parametrize(
    ("name", "text"), [("film.txt", "a"), ("film.srt", "no times"), ("film.ass", "")]
)
def test_what_are_no_subtitles_is_refused(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ManifestError, match=name):
        read_existing(path)
    with pytest.raises(ManifestError):
        read_existing(tmp_path / "absent.srt")


def test_words_are_bounded_by_the_voice() -> None:
    rate = 16_000
    rng = np.random.default_rng(0)
    noise = (1e-4 * rng.normal(size=4 * rate)).astype(np.float32)
    voice = noise.copy()
    voice[rate : 2 * rate] += 0.2 * np.sin(np.arange(rate) / 5).astype(np.float32)
    spans = speech_spans(levels_db(voice, rate))
    (start_s, end_s), *others = [s for s in spans if s[0] < 2]
    assert others == [] and abs(start_s - 1) < 0.05 and abs(end_s - 2) < 0.05
    words = [TimedWord("a", 0.0, 1.2), TimedWord("b", 1.2, 1.7), TimedWord("far", 9.0, 9.5)]
    found = [(w.start_s, w.end_s) for w in bound_words(words, spans[:1])]
    assert found == [(start_s, 1.2), (1.2, end_s), (9.0, 9.5)]
    assert bound_words(words, []) == words and speech_spans(np.zeros(0)) == []


def test_shots_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "shots.txt"
    path.write_text("# shots\n3.5\n\n1\n")
    assert read_shots(path) == (1.0, 3.5)
    for text in ("one\n", "-1\n", "nan\n"):
        path.write_text(text)
        with pytest.raises(ManifestError, match=r"shots\.txt"):
            read_shots(path)
