r"""Gives subtitles that are there a look: their text, times and override tags stay as they are.

In SRT ``{\an8}`` and ``<i>`` are markup, as players have it; other braces are text.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from classify.subtitles.escaping import ass_name, ass_text, plain_ass, vtt_class, vtt_text
from classify.subtitles.styles import BASE, StyleSheet
from classify.subtitles.subtitle_files import ADVICE, load_pysubs2, read_any_encoding
from classify.subtitles.words import Cue, TimedWord, clean
from classify.subtitles.writing import clock, css_rule, srt_tags
from embeddings_store.errors import ManifestError
from embeddings_store.reading import reading

if TYPE_CHECKING:
    from pysubs2 import SSAEvent, SSAFile, SSAStyle

KINDS = {".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ssa"}
LOOK = ("primarycolor", "outlinecolor", "bold", "italic", "underline", "fontsize", "spacing")
_MARKUP = re.compile(r"(\{\\[^{}]*\}|<[^<>]*>)")
_SIMPLE = re.compile(r"<(/?)([ibus])>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ExistingSubtitles:
    """A subtitle file of the user.

    Attributes:
        file: What pysubs2 read, SRT and WebVTT with their tags as they stand.
        kind: ``srt``, ``vtt``, ``ass`` or ``ssa``.
        encoding: In which it was read.
        cues: A cue for each event that shows text, in the file's order.
    """

    file: SSAFile
    kind: str
    encoding: str
    cues: tuple[Cue, ...]

    @property
    def events(self) -> list[SSAEvent]:
        """The events that show text."""
        return [event for event in self.file if event.is_text]


def read_existing(path: Path, encoding: str = "") -> ExistingSubtitles:
    """Read subtitles in any encoding.

    Args:
        path: SRT, WebVTT, ASS or SSA, by its suffix.
        encoding: As stated by the user; empty finds it.

    Raises:
        ManifestError: It is none of them, or cannot be read.
    """
    kind = KINDS.get(path.suffix.lower(), "")
    if not kind:
        raise ManifestError(f"{path}: is of no kind that is read; give {', '.join(KINDS)}")
    text, encoding = read_any_encoding(path, encoding)
    pysubs2 = load_pysubs2()
    how = {"keep_html_tags": True} if kind in ("srt", "vtt") else {}
    with reading(path, "subtitles", ADVICE):
        file: SSAFile = pysubs2.SSAFile.from_string(text, kind, **how)
    cues = []
    for event in file:
        if event.is_text:
            start_s, end_s = event.start / 1000, max(event.end, event.start) / 1000
            word = TimedWord(clean(_plain(event.text, kind)), start_s, end_s, clean(event.name))
            cues.append(Cue(((word,),), start_s, end_s))
    if not cues:
        raise ManifestError(f"{path}: holds no subtitles; {ADVICE}")
    return ExistingSubtitles(file, kind, encoding, tuple(cues))


def restyled_ass(existing: ExistingSubtitles, cues: Sequence[Cue], sheet: StyleSheet) -> str:
    """Return subtitles as ASS: script info and styles of a user's own ASS stay.

    Args:
        existing: What was read.
        cues: Its cues with their emotions.
        sheet: The looks.
    """
    pysubs2 = load_pysubs2()
    own = existing.kind in ("ass", "ssa")
    file: SSAFile = pysubs2.SSAFile()
    file.styles = dict(existing.file.styles) if own else {BASE: sheet.style()}
    file.info = dict(existing.file.info)
    file.fonts_opaque, file.graphics_opaque = (
        existing.file.fonts_opaque,
        existing.file.graphics_opaque,
    )
    file.aegisub_project = existing.file.aegisub_project
    if not own:
        file.info |= {"PlayResX": "1920", "PlayResY": "1080", "ScaledBorderAndShadow": "yes"}
    names: dict[tuple[str, str], str] = {}
    waiting = iter(cues)
    for event in existing.file:
        event = event.copy()
        if event.is_text:
            emotion = next(waiting).emotion
            if not own:
                event.text = _srt_as_ass(event.text, existing.kind)
            key = (event.style, emotion)
            if emotion and key not in names:
                names[key] = _add_style(file, key, sheet)
            event.style = names.get(key, event.style)
        file.append(event)
    return file.to_string("ass", header_notice="restyled by write-subtitles of emotion-fusion")


def restyled_srt(existing: ExistingSubtitles, cues: Sequence[Cue], sheet: StyleSheet) -> str:
    """Return subtitles as SRT.

    Args:
        existing: What was read.
        cues: Its cues with their emotions.
        sheet: The looks.
    """
    from classify.subtitles.escaping import not_a_number, srt_text

    base, blocks = sheet.style(), []
    for number, (event, cue) in enumerate(zip(existing.events, cues, strict=True), 1):
        if existing.kind == "srt":
            text = event.text.replace(r"\N", "\n")
        else:
            lines = _plain(event.text, existing.kind).split("\n")
            text = "\n".join(not_a_number(srt_text(line)) for line in lines if line.strip())
        times = f"{clock(event.start / 1000, ',')} --> {clock(event.end / 1000, ',')}"
        blocks.append(f"{number}\n{times}\n{srt_tags(text, sheet.style(cue.emotion), base)}\n")
    return "\n".join(blocks)


def restyled_vtt(existing: ExistingSubtitles, cues: Sequence[Cue], sheet: StyleSheet) -> str:
    """Return subtitles as WebVTT.

    Args:
        existing: What was read.
        cues: Its cues with their emotions.
        sheet: The looks.
    """
    classes: dict[str, str] = {}
    rules, blocks = [], []
    for event, cue in zip(existing.events, cues, strict=True):
        text = event.text.replace(r"\N", "\n")
        if existing.kind != "vtt":
            lines = _plain(event.text, existing.kind).split("\n")
            text = "\n".join(vtt_text(line) for line in lines if line.strip())
        if cue.emotion:
            if cue.emotion not in classes:
                classes[cue.emotion] = vtt_class(cue.emotion, set(classes.values()))
                look = sheet.style(cue.emotion)
                rules.append(css_rule(classes[cue.emotion], look, sheet.style()))
            text = f"<c.{classes[cue.emotion]}>{text}</c>"
        times = f"{clock(event.start / 1000, '.')} --> {clock(event.end / 1000, '.')}"
        blocks.append(f"{times}\n{text}\n")
    head = "STYLE\n" + "\n".join(rules) + "\n\n" if rules else ""
    return f"WEBVTT\n\n{head}" + "\n".join(blocks)


RESTYLED = {"ass": restyled_ass, "srt": restyled_srt, "vtt": restyled_vtt}


def _add_style(file: SSAFile, key: tuple[str, str], sheet: StyleSheet) -> str:
    """Add the user's style with what the emotion changes of the base, and return its name."""
    before, emotion = key
    name = ass_name(f"{before} {emotion}", file.styles)
    look, base = sheet.style(emotion), sheet.style()
    style: SSAStyle = file.styles.get(before, base).copy()
    changes = {}
    for part in LOOK:
        if getattr(look, part) != getattr(base, part):
            changes[part] = getattr(look, part)
    if "fontsize" in changes:  # as much larger as in the sheet, whatever the user's size is
        changes["fontsize"] = round(style.fontsize * look.fontsize / base.fontsize, 1)
    file.styles[name] = dataclasses.replace(style, **changes)
    return name


def _plain(text: str, kind: str) -> str:
    if kind in ("ass", "ssa"):
        return plain_ass(text)
    shown = _MARKUP.sub("", text.replace(r"\N", "\n"))
    return html.unescape(shown) if kind == "vtt" else shown


def _srt_as_ass(text: str, kind: str) -> str:
    """Return a text of SRT or WebVTT for ASS, its markup as override tags."""
    lines = []
    for line in text.split(r"\N"):
        made = ""
        for number, piece in enumerate(_MARKUP.split(line)):
            if number % 2 == 0:
                made += ass_text(html.unescape(piece) if kind == "vtt" else piece)
            elif piece.startswith("{"):
                made += piece
            elif tag := _SIMPLE.fullmatch(piece):
                made += f"{{\\{tag[2].lower()}{0 if tag[1] else 1}}}"
        lines.append(made)
    return r"\N".join(lines)
