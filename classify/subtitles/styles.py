"""How each emotion and speaker looks: read from TOML, or from the styles of an ASS file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classify.subtitles.subtitle_files import load_pysubs2, read_ass
from classify.subtitles.words import NEUTRAL, clean
from embeddings_store.errors import ManifestError, UsageError, unknown_name
from embeddings_store.reading import read_text, reading

if TYPE_CHECKING:
    from pysubs2 import Color, SSAFile, SSAStyle

FOLDER = Path(__file__).with_name("styles")
SHIPPED = ("subtle", "expressive", "colour-blind")
BASE = "Default"
ADVICE = "copy one with --write-style and edit the copy"
# What TOML calls a property, and what pysubs2 does.
COLOURS = {
    "colour": "primarycolor",
    "unsung_colour": "secondarycolor",
    "outline_colour": "outlinecolor",
    "shadow_colour": "backcolor",
}
NUMBERS = {
    "size": "fontsize",
    "outline": "outline",
    "shadow": "shadow",
    "spacing": "spacing",
    "margin": "marginv",
    "angle": "angle",
}
FLAGS = {"bold": "bold", "italic": "italic", "underline": "underline"}
POSITIONS = {"bottom": 2, "top": 8, "middle": 5, "bottom-left": 1, "bottom-right": 3}
PROPERTIES = ("font", "position", "boxed", *COLOURS, *NUMBERS, *FLAGS)
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


@dataclass(frozen=True, slots=True)
class StyleSheet:
    """The looks of a subtitle file.

    Attributes:
        base: Properties of every style.
        emotions: Emotion to its properties.
        names: What else an emotion is called, in small letters, to its own name.
        marks: Emotion to the text that stands before its cues, so that colour is never alone.
        speakers: Speaker to properties.
        speaker_colours: One after another for speakers that have no properties.
        speaker_paints: Which property the colours are for.
        ass: The file that the styles come from, where it is ASS.
    """

    base: Mapping[str, Any]
    emotions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    speakers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    speaker_colours: tuple[str, ...] = ()
    speaker_paints: str = "outline_colour"
    ass: SSAFile | None = None

    def emotion(self, name: str) -> str:
        """Return the sheet's own name of a model's class; the class itself where it has none."""
        return self.names.get(name.lower(), name)

    def mark(self, emotion: str) -> str:
        """Return what stands before a cue of an emotion."""
        return self.marks.get(self.emotion(emotion), "")

    def has(self, emotion: str) -> bool:
        """Say whether an emotion has a look of its own."""
        return not emotion or self.emotion(emotion) in {NEUTRAL, *self.emotions}

    def style(self, emotion: str = "", speaker: str = "", number: int = 0) -> SSAStyle:
        """Return the style of an emotion, and of who speaks.

        Args:
            emotion: A class of the model; empty or without a look takes the base.
            speaker: Who speaks; empty where nobody knows.
            number: The how-manieth speaker it is.
        """
        own = self.emotion(emotion)
        if self.ass is not None:
            return _of_ass(self.ass, own, speaker)
        values = {**self.base, **self.emotions.get(own, {})}
        if speaker in self.speakers:
            values |= self.speakers[speaker]
        elif speaker and self.speaker_colours:
            values[self.speaker_paints] = self.speaker_colours[number % len(self.speaker_colours)]
        return _of_properties(values)


def read_styles(name: str) -> StyleSheet:
    """Read a style sheet.

    Args:
        name: One that is shipped, or the path of a TOML or ASS file.

    Raises:
        UsageError: There is no such style.
        ManifestError: The file is none, or names what does not exist.
    """
    if name in SHIPPED:
        return _from_toml(FOLDER / f"{name}.toml")
    path = Path(name)
    if path.suffix.lower() not in (".toml", ".ass"):
        unknown_name("style", name, SHIPPED)
    if path.suffix.lower() == ".ass":
        return _from_ass(path)
    return _from_toml(path)


def _from_ass(path: Path) -> StyleSheet:
    file = read_ass(path)
    if BASE not in file.styles:
        raise ManifestError(f"{path}: has no style {BASE}; give it one, and one per emotion")
    shipped = _from_toml(FOLDER / f"{SHIPPED[0]}.toml").names
    names, emotions = dict(shipped), {}
    for style in file.styles:
        if style != BASE:
            emotions[style] = {"ass": style}
            meant = shipped.get(style.lower(), style)
            names |= {also: style for also, own in shipped.items() if own == meant}
            names[style.lower()] = style
    return StyleSheet({}, emotions, names, ass=file)


def _of_ass(file: SSAFile, emotion: str, speaker: str) -> SSAStyle:
    for name in (f"{emotion} {speaker}", emotion, speaker, BASE):
        if name in file.styles:
            return file.styles[name].copy()
    raise AssertionError("a sheet from ASS has a base")


def _from_toml(path: Path) -> StyleSheet:
    text = read_text(path, "a style sheet in TOML", ADVICE)
    with reading(path, "a style sheet in TOML", ADVICE):
        data = tomllib.loads(text)
        for part in data:
            if part not in ("about", "base", "emotion", "speaker", "speakers"):
                unknown_name(f"part of {path}", part, ("base", "emotion", "speaker", "speakers"))
        emotions, names, marks = {}, {}, {}
        for name, values in data.get("emotion", {}).items():
            own = dict(values)
            for also in (name, *own.pop("also", [])):
                names[also.lower()] = name
            if mark := clean(own.pop("mark", "")):
                marks[name] = mark
            emotions[name] = _checked(own, path, name)
        speakers = data.get("speakers", {})
        paints = speakers.get("paints", "outline_colour")
        if paints not in COLOURS:
            unknown_name(f"colour of {path}", paints, tuple(COLOURS))
        colours = tuple(_colour(value, path) for value in speakers.get("colours", ()))
        return StyleSheet(
            _checked(data.get("base", {}), path, "base"),
            emotions,
            names,
            marks,
            {
                name: _checked(values, path, name)
                for name, values in data.get("speaker", {}).items()
            },
            colours,
            paints,
        )


def _checked(values: Mapping[str, Any], path: Path, part: str) -> dict[str, Any]:
    """Return properties that are all known and of their kind."""
    for name, value in values.items():
        if name not in PROPERTIES:
            unknown_name(f"property of {part} in {path}", name, PROPERTIES)
        if name in COLOURS:
            _colour(value, path)
        elif name in NUMBERS:
            good = isinstance(value, int | float) and not isinstance(value, bool)
            if not (good and -1000 <= value <= 1000):
                raise ManifestError(f"{path}: {part}.{name} is {value!r}; give a number")
        elif name == "position":
            if value not in POSITIONS:
                unknown_name(f"position in {path}", str(value), tuple(POSITIONS))
        elif name == "font":
            if not isinstance(value, str) or set(value) & set(",{}\\\n\r") or not value.strip():
                raise ManifestError(f"{path}: {part}.font is {value!r}; give a font's name")
        elif not isinstance(value, bool):
            raise ManifestError(f"{path}: {part}.{name} is {value!r}; give true or false")
    return dict(values)


def _colour(value: object, path: Path) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise ManifestError(f"{path}: {value!r} is no colour; write it like #FF8800")
    return value


def _of_properties(values: Mapping[str, Any]) -> SSAStyle:
    pysubs2 = load_pysubs2()
    style: SSAStyle = pysubs2.SSAStyle(fontname=values.get("font", "Arial"))
    for own, theirs in COLOURS.items():
        if own in values:
            red, green, blue = bytes.fromhex(values[own][1:])
            setattr(style, theirs, pysubs2.Color(red, green, blue))
    for own, theirs in {**NUMBERS, **FLAGS}.items():
        if own in values:
            whole = theirs == "marginv"
            setattr(style, theirs, int(values[own]) if whole else values[own])
    style.alignment = pysubs2.Alignment(POSITIONS[values.get("position", "bottom")])
    style.borderstyle = 3 if values.get("boxed") else 1
    style.marginl = style.marginr = 60
    return style


def hex_colour(colour: Color) -> str:
    """Return a colour as HTML writes it."""
    return f"#{colour.r:02X}{colour.g:02X}{colour.b:02X}"


def write_style(name: str) -> str:
    """Return the text of a shipped style sheet, for a copy to edit.

    Raises:
        UsageError: No such sheet is shipped.
    """
    if name not in SHIPPED:
        raise UsageError(f"there is no shipped style {name}; there are {', '.join(SHIPPED)}")
    return read_text(FOLDER / f"{name}.toml")
