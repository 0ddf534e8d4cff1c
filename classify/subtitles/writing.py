"""Writes styled cues as ASS, SRT and WebVTT, each from the plain text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from classify.subtitles.escaping import (
    ass_name,
    ass_text,
    not_a_number,
    srt_text,
    vtt_class,
    vtt_text,
)
from classify.subtitles.limits import CueLimits
from classify.subtitles.line_breaks import break_lines
from classify.subtitles.styles import BASE, StyleSheet, hex_colour
from classify.subtitles.subtitle_files import load_pysubs2
from classify.subtitles.words import Cue, TimedWord, space_between
from embeddings_store.atomic import replacing

if TYPE_CHECKING:
    from pysubs2 import SSAFile, SSAStyle

Key = tuple[str, str]  # an emotion and a speaker
SCREEN = (1920, 1080)  # what sizes in a style sheet are meant for


@dataclass(slots=True)
class UsedStyles:
    """The styles that cues need, with a name for each, in the order of their use.

    Attributes:
        sheet: The looks.
        names: Emotion and speaker to the style's name in ASS.
        styles: Name to style.
    """

    sheet: StyleSheet
    names: dict[Key, str] = field(default_factory=dict)
    styles: dict[str, SSAStyle] = field(default_factory=dict)
    _speakers: dict[str, int] = field(default_factory=dict)

    def name(self, emotion: str, speaker: str = "") -> str:
        """Return the name of the style of an emotion and a speaker."""
        key = (emotion, speaker)
        if key not in self.names:
            number = self._speakers.setdefault(speaker, len(self._speakers)) if speaker else 0
            wanted = " ".join(part for part in key if part) or BASE
            name = wanted if wanted == BASE else ass_name(wanted, {BASE, *self.styles})
            self.names[key] = name
            self.styles[name] = self.sheet.style(emotion, speaker, number)
        return self.names[key]

    def style(self, emotion: str, speaker: str = "") -> SSAStyle:
        """Return the style itself."""
        return self.styles[self.name(emotion, speaker)]


def with_marks(cues: Sequence[Cue], sheet: StyleSheet, limits: CueLimits) -> list[Cue]:
    """Return cues with the sheet's marks before their words, lines broken anew.

    Args:
        cues: With their emotions.
        sheet: The looks.
        limits: What a line may hold.
    """
    marked = []
    for cue in cues:
        mark = sheet.mark(cue.emotion)
        if mark and cue.words:
            first = cue.words[0]
            word = TimedWord(mark, first.start_s, first.start_s, first.speaker)
            lines = break_lines((word, *cue.words), limits)
            lines = lines or ((word, *cue.lines[0]), *cue.lines[1:])
            cue = dataclasses.replace(cue, lines=lines)
        marked.append(cue)
    return marked


def mark_characters(sheet: StyleSheet, limits: CueLimits) -> float:
    """Return what room the longest mark of a sheet takes in a line, with its space."""
    return max((limits.count(f"{mark} ") for mark in sheet.marks.values()), default=0.0)


def as_ass(cues: Sequence[Cue], sheet: StyleSheet, *, karaoke: bool = False) -> str:
    """Return cues as ASS, with a style for each emotion and speaker.

    Args:
        cues: With their emotions.
        sheet: The looks.
        karaoke: Whether words light up as they are said.
    """
    pysubs2 = load_pysubs2()
    file: SSAFile = pysubs2.SSAFile()
    width, height = SCREEN
    file.info.update(
        {"PlayResX": str(width), "PlayResY": str(height), "ScaledBorderAndShadow": "yes"}
    )
    if sheet.ass is not None:
        file.info.update(sheet.ass.info)
    used = UsedStyles(sheet)
    used.name("")
    for cue in cues:
        text = _karaoke(cue) if karaoke else _ass_lines(cue, used)
        file.append(
            pysubs2.SSAEvent(
                start=round(cue.start_s * 100) * 10,
                end=round(cue.end_s * 100) * 10,
                text=text,
                style=used.name(cue.emotion, cue.speaker),
                name=cue.speaker.replace(",", " "),
            )
        )
    file.styles = used.styles
    return file.to_string("ass", header_notice="written by write-subtitles of emotion-fusion")


def _ass_lines(cue: Cue, used: UsedStyles) -> str:
    def piece(word: TimedWord) -> str:
        text = ass_text(word.text)
        if not word.emotion:
            return text
        return f"{{\\r{used.name(word.emotion, cue.speaker)}}}{text}{{\\r}}"

    return r"\N".join(_joined(line, piece) for line in cue.lines)


def _karaoke(cue: Cue) -> str:
    """Return the words of a cue, each with how long it takes in hundredths of a second."""
    words, lines = cue.words, []
    starts_s = [min(max(word.start_s, cue.start_s), cue.end_s) for word in words]
    marks_cs = [round(100 * (at_s - cue.start_s)) for at_s in (*starts_s, cue.end_s)]
    lead = f"{{\\k{marks_cs[0]}}}" if marks_cs[0] > 0 else ""
    number = 0
    for line in cue.lines:
        text = ""
        for place, word in enumerate(line):
            before = line[place - 1].text if place else ""
            lasts = max(marks_cs[number + 1] - marks_cs[number], 0)
            text += f"{{\\kf{lasts}}}{space_between(before, word.text)}{ass_text(word.text)}"
            number += 1
        lines.append(text)
    return lead + r"\N".join(lines)


def as_srt(cues: Sequence[Cue], sheet: StyleSheet) -> str:
    """Return cues as SRT, with the tags for colour, italics and bold that players read.

    Args:
        cues: With their emotions.
        sheet: The looks.
    """
    used, base = UsedStyles(sheet), sheet.style()
    blocks = []
    for number, cue in enumerate(cues, 1):
        style = used.style(cue.emotion, cue.speaker)
        lines = "\n".join(not_a_number(srt_text(text)) for text in cue.texts)
        times = f"{clock(cue.start_s, ',')} --> {clock(cue.end_s, ',')}"
        blocks.append(f"{number}\n{times}\n{srt_tags(lines, style, base)}\n")
    return "\n".join(blocks)


def srt_tags(text: str, style: SSAStyle, base: SSAStyle) -> str:
    """Put the tags of a style around a text of SRT.

    Args:
        text: As SRT writes it.
        style: Whose italics, bold, underline and colour are wanted.
        base: Its colour needs no tag.
    """
    for tag, wanted in (("i", style.italic), ("b", style.bold), ("u", style.underline)):
        if wanted:
            text = f"<{tag}>{text}</{tag}>"
    if style.primarycolor != base.primarycolor:
        text = f'<font color="{hex_colour(style.primarycolor)}">{text}</font>'
    return text


def as_vtt(cues: Sequence[Cue], sheet: StyleSheet) -> str:
    """Return cues as WebVTT, with a class for each emotion and a block of styles.

    Args:
        cues: With their emotions.
        sheet: The looks.
    """
    classes: dict[str, str] = {}
    rules, blocks = [], []
    base = sheet.style()
    for cue in cues:
        for emotion in (cue.emotion, *(word.emotion for word in cue.words)):
            if emotion and emotion not in classes:
                classes[emotion] = vtt_class(emotion, set(classes.values()))
                rules.append(css_rule(classes[emotion], sheet.style(emotion), base))
        lines = "\n".join(not_a_number(_joined(line, _vtt_word(classes))) for line in cue.lines)
        if cue.emotion:
            lines = f"<c.{classes[cue.emotion]}>{lines}</c>"
        if cue.speaker:
            lines = f"<v {vtt_text(cue.speaker)}>{lines}</v>"
        blocks.append(f"{clock(cue.start_s, '.')} --> {clock(cue.end_s, '.')}\n{lines}\n")
    head = "WEBVTT\n\n"
    if rules:
        head += "STYLE\n" + "\n".join(rules) + "\n\n"
    return head + "\n".join(blocks)


def _vtt_word(classes: Mapping[str, str]) -> Callable[[TimedWord], str]:
    def piece(word: TimedWord) -> str:
        text = vtt_text(word.text)
        return f"<c.{classes[word.emotion]}>{text}</c>" if word.emotion else text

    return piece


def css_rule(name: str, style: SSAStyle, base: SSAStyle) -> str:
    """Return the rule of a class for the style block of WebVTT.

    Args:
        name: The class.
        style: Its look.
        base: The look of what has no class.
    """
    wanted = [f"color: {hex_colour(style.primarycolor)}"]
    for sign, there in (
        ("font-style: italic", style.italic),
        ("font-weight: bold", style.bold),
        ("text-decoration: underline", style.underline),
    ):
        wanted += [sign] if there else []
    if style.fontsize != base.fontsize:
        wanted.append(f"font-size: {100 * style.fontsize / base.fontsize:.0f}%")
    return f"::cue(.{name}) {{ {'; '.join(wanted)} }}"


def _joined(line: Sequence[TimedWord], piece: Callable[[TimedWord], str]) -> str:
    text, before = "", ""
    for word in line:
        text += space_between(before, word.text) + piece(word)
        before = word.text
    return text


def clock(at_s: float, point: str) -> str:
    """Return a time as SRT (``,``) and WebVTT (``.``) write it."""
    minutes, ms = divmod(round(at_s * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}{point}{ms % 1000:03d}"


FORMATS: Mapping[str, Callable[[Sequence[Cue], StyleSheet], str]] = {
    "ass": as_ass,
    "srt": as_srt,
    "vtt": as_vtt,
}


def write_text(path: Path, text: str) -> None:
    """Write a subtitle file in UTF-8, whole or not at all.

    Raises:
        StoreFullError, StoreAccessError: It cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
