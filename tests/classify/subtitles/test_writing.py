"""Whatever is said, no character becomes markup, in ASS, SRT and WebVTT."""

from __future__ import annotations

import dataclasses
import html
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.subtitles.cues import make_cues
from classify.subtitles.escaping import ass_text, plain_ass, without_joiners
from classify.subtitles.limits import CueLimits
from classify.subtitles.styles import SHIPPED, read_styles, write_style
from classify.subtitles.words import Cue, TimedWord, clean
from classify.subtitles.writing import as_ass, as_srt, as_vtt, mark_characters, with_marks
from embeddings_store.errors import ManifestError, UsageError
from tests.classify.subtitles.libass import Libass, load_libass

pysubs2 = pytest.importorskip("pysubs2")
MARKUP_TEXT = (
    r"{ } \ \N \n \h {\b1} {\r} {\an8} {\p1} <b> </i> <font color='red'> <v Bob> & &lt; &amp; "
    "--> 1 42 00:00:01,000 --> 00:00:02,000 00:01.000 WEBVTT STYLE NOTE [Events] Dialogue: ; , : "
    "= {= {{ }} \\{ \\} \\\\N \u2060 \\\u2060N <!-- ::cue(b){} ]]> \u200f \u202e"
)
MARKUP = MARKUP_TEXT.split(" ")
SCRIPTS = (
    "안녕 하세요, שלום עולם مرحبا 👍🏽 👨\u200d👩\u200d👧 你好 こんにちは e\u0301 ﬁ Zürich yes. no"
)
WORDS = SCRIPTS.split()
LETTERS = st.text(min_size=1, max_size=12)
TEXT = st.lists(st.one_of(st.sampled_from(MARKUP + WORDS), LETTERS), min_size=1, max_size=8)


def spoken(texts: list[str], start_s: float = 1.0) -> list[TimedWord]:
    times = [start_s + 0.3 * n for n in range(len(texts) + 1)]
    return [
        TimedWord(text, times[n], times[n + 1]) for n, text in enumerate(map(clean, texts)) if text
    ]


def cues_of(texts: list[str]) -> list[Cue]:
    return make_cues(spoken(texts), CueLimits())


def seen(cues: list[Cue]) -> list[str]:
    return [without_joiners("\n".join(cue.texts)) for cue in cues]


def in_ass(text: str) -> list[str]:
    return [plain_ass(event.text) for event in pysubs2.SSAFile.from_string(text, "ass")]


def in_srt(text: str) -> list[str]:
    return [_as_read(event.text) for event in pysubs2.SSAFile.from_string(text, "srt")]


def in_vtt(text: str) -> list[str]:
    return [html.unescape(_as_read(e.text)) for e in pysubs2.SSAFile.from_string(text, "vtt")]


def _as_read(text: str) -> str:
    """Return what pysubs2 shows: override tags that it made of tags go, ``\\N`` is a line feed."""
    shown = re.sub(r"\{\\[ibus][01]\}", "", text).replace(r"\N", "\n")
    return without_joiners(shown)


def hostile(seed: int) -> list[str]:
    """Return a transcript of markup, scripts and any letters of Unicode."""
    dice = random.Random(seed)
    texts = []
    for _ in range(dice.randint(1, 9)):
        kind = dice.random()
        if kind < 0.5:
            texts.append(dice.choice(MARKUP))
        elif kind < 0.75:
            texts.append(dice.choice(WORDS))
        elif kind < 0.9:
            texts.append("".join(dice.choices("{}\\<>&-:;,=Nnh01 /b", k=dice.randint(1, 8))))
        else:
            texts.append("".join(chr(dice.randrange(0x110000)) for _ in range(5)))
    return texts


@pytest.fixture(scope="module")
def hostile_cues() -> list[Cue]:
    """One cue or more of each of 5,000 hostile transcripts, one after another."""
    cues: list[Cue] = []
    for seed in range(5000):
        cues += make_cues(spoken(hostile(seed), 6.0 * seed), CueLimits())
    assert len(cues) > 5000
    names = {0: ("angry", "Anna"), 1: ("", ""), 2: ("{\\b1}<b>,", "Bob<i>{}\\N, & --> co")}
    for n, cue in enumerate(cues):
        emotion, speaker = names[n % 3]
        words = tuple(
            tuple(TimedWord(w.text, w.start_s, w.end_s, speaker) for w in line)
            for line in cue.lines
        )
        cues[n] = Cue(words, cue.start_s, cue.end_s, emotion)
    return cues


def test_5000_hostile_transcripts_round_trip_through_pysubs2(hostile_cues: list[Cue]) -> None:
    sheet = read_styles("expressive")
    expected = seen(hostile_cues)
    assert in_ass(as_ass(hostile_cues, sheet)) == expected
    assert in_ass(as_ass(hostile_cues, sheet, karaoke=True)) == expected
    assert in_srt(as_srt(hostile_cues, sheet)) == expected
    assert in_vtt(as_vtt(hostile_cues, sheet)) == expected


@pytest.fixture(scope="module")
def libass() -> Iterator[Libass]:
    library = load_libass()
    if library is None:
        pytest.skip("libass is not installed (Debian: apt-get install ffmpeg)")
    with library:
        yield library


def test_5000_hostile_transcripts_round_trip_through_libass(
    hostile_cues: list[Cue], libass: Libass
) -> None:
    """What libass has read is what was written, style by style."""
    text = as_ass(hostile_cues, read_styles("expressive"))
    found = libass.events(text)
    assert [without_joiners(plain_ass(text)) for text, _ in found] == seen(hostile_cues)
    names = {name for _, name in found}
    assert names == {"Default", "angry Anna", "__b1__b__ Bob_i____N_ _ --_ co"}


PLAIN_SIGNS = "{}\\Nnhb1a&<>*"


@settings(max_examples=150, deadline=None)
@given(st.text(PLAIN_SIGNS, min_size=1, max_size=14))
def test_libass_shows_every_sign(libass: Libass, text: str) -> None:
    """The picture of a text is that of its letters, each drawn for itself where it belongs."""
    assert close(libass.ink(ass_text(text), len(text)), libass.ink_of_letters(text))


def close(found: list[int], expected: list[int]) -> bool:
    """Say whether each cell has the ink it should; letters do not stand on whole pixels."""
    pairs = zip(found, expected, strict=True)
    return all(abs(a - b) <= 6 + 0.15 * b for a, b in pairs)


@pytest.mark.parametrize("text", ["{a}b", r"a\Nb", "{b"])
def test_libass_hides_what_is_not_escaped(libass: Libass, text: str) -> None:
    whole = close(libass.ink(text, len(text)), libass.ink_of_letters(text))
    assert whole == (text == "{b")  # a brace that nothing closes is one


@settings(max_examples=100, deadline=None)
@given(TEXT, LETTERS, LETTERS)
def test_any_text_and_any_name_round_trips(texts: list[str], emotion: str, speaker: str) -> None:
    sheet = read_styles("colour-blind")
    cues = [Cue(cue.lines, cue.start_s, cue.end_s, emotion) for cue in cues_of(texts) if cue.words]
    for cue in cues:
        assert cue.lines
    named = [
        Cue(
            tuple(
                tuple(TimedWord(w.text, w.start_s, w.end_s, clean(speaker)) for w in line)
                for line in cue.lines
            ),
            cue.start_s,
            cue.end_s,
            emotion,
        )
        for cue in cues
    ]
    assert in_ass(as_ass(named, sheet)) == in_srt(as_srt(named, sheet)) == seen(named)
    assert in_vtt(as_vtt(named, sheet)) == seen(named)


def test_marks_are_words_and_lines_keep_their_length() -> None:
    sheet = read_styles("colour-blind")
    limits = CueLimits()
    room = dataclasses.replace(limits, mark_characters=mark_characters(sheet, limits))
    text = "the children ran to the old house and waited there until the rain was over at last"
    cues = [dataclasses.replace(c, emotion="ang") for c in make_cues(spoken(text.split()), room)]
    marked = with_marks(cues, sheet, limits)
    assert all(cue.texts[0].startswith("(angry) ") for cue in marked)
    assert all(limits.count(line) <= 42 for cue in marked for line in cue.texts)
    assert all(len(cue.lines) <= 2 for cue in marked)
    for written in (as_ass(marked, sheet), as_srt(marked, sheet), as_vtt(marked, sheet)):
        assert written.count("(angry)") == len(marked)


def test_colour_is_never_alone_in_the_colour_blind_style() -> None:
    sheet = read_styles("colour-blind")
    assert set(sheet.marks) == set(sheet.emotions) - {"neutral"}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_styles_know_the_models_names(name: str) -> None:
    sheet = read_styles(name)
    for emotion in ("ang", "Anger", "hap", "exc", "neu", "calm", "fearful", "surprised", "dis"):
        assert sheet.has(emotion)
    assert not sheet.has("bored")
    assert sheet.style("bored") == sheet.style()


def test_an_edited_copy_is_a_style(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(write_style("subtle").replace("#FFD0C8", "#FF0000"), encoding="utf-8")
    assert read_styles(str(path)).style("angry").primarycolor == pysubs2.Color(255, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "[base]\ncolour = 'red'",
        "[base]\ncolor = '#FF0000'",
        "[base]\nsize = true",
        "[base]\nfont = 'a,b'",
        "[base]\nitalic = 1",
        "[emotion.angry]\nposition = 'left'",
        "[emotion]\nangry = 3",
        "[other]",
        "[base",
        "[speakers]\npaints = 'size'",
        "[speakers]\ncolours = [1]",
    ],
)
def test_what_is_no_style_sheet_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((ManifestError, UsageError)) as caught:
        read_styles(str(path))
    assert "mine.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_the_styles_of_an_ass_file(tmp_path: Path) -> None:
    file = pysubs2.SSAFile()
    file.info["PlayResY"] = "720"
    for name, size in (("Default", 30), ("Anger", 40), ("Anger Bob", 50)):
        file.styles[name] = pysubs2.SSAStyle(fontsize=size)
    path = tmp_path / "mine.ass"
    file.save(str(path))
    sheet = read_styles(str(path))
    sizes = [sheet.style(e, s).fontsize for e, s in (("", ""), ("ang", ""), ("ang", "Bob"))]
    assert sizes == [30, 40, 50] and sheet.style("sad").fontsize == 30
    written = pysubs2.SSAFile.from_string(as_ass(cues_of(["a"]), sheet))
    assert written.info["PlayResY"] == "720"


def test_words_light_up_when_they_are_said() -> None:
    words = (TimedWord("one", 1.0, 1.4), TimedWord("two", 1.5, 1.75))
    ass = as_ass([Cue((words,), 0.9, 1.83)], read_styles("subtle"), karaoke=True)
    assert r"{\k10}{\kf50}one{\kf33} two" in ass


def test_words_of_one_cue_may_differ() -> None:
    words = (TimedWord("no", 1.0, 1.4), TimedWord("yes", 1.5, 1.75, emotion="happy"))
    cue = Cue((words,), 0.9, 1.83, "angry")
    assert r"no {\rhappy}yes{\r}" in as_ass([cue], read_styles("subtle"))
    assert "<c.angry>no <c.happy>yes</c></c>" in as_vtt([cue], read_styles("subtle"))


def test_vtt_and_srt_carry_the_look() -> None:
    words = (TimedWord("no", 1.0, 1.4, "A & B"),)
    sad = Cue((words,), 3661.5, 3662.0, "sad")
    vtt, srt = as_vtt([sad], read_styles("subtle")), as_srt([sad], read_styles("subtle"))
    assert "::cue(.sad) { color: #CFE0FF; font-style: italic }" in vtt
    assert "01:01:01.500 --> 01:01:02.000\n<v A &amp; B><c.sad>no</c></v>" in vtt
    assert srt == ('1\n01:01:01,500 --> 01:01:02,000\n<font color="#CFE0FF"><i>no</i></font>\n')
