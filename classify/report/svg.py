"""A figure's SVG as a part of the page: themed colours, values under the pointer, no id twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from classify.figures.palette import BLUE
from classify.figures.style import INK, MUTED, ON_LIGHT, PAPER, RULE, STAMP_COLOUR, Drawing

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
THEMED = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BLUE: "var(--blue)",
    STAMP_COLOUR: "var(--warn)",
}
# An outline follows the theme; a hatch keeps its colour, it lies on the mark, not on the page.
EDGE = f"stroke: {ON_LIGHT}"
FONT = re.compile(r"(font: (?:\w+ )?(?:\d+ )?[\d.]+px) [^;]+")
LEAST = 0.9  # CSS pixels per point below which a figure scrolls instead of shrinking further


def inline(source: str, drawing: Drawing) -> str:
    """Return the SVG for the page.

    Args:
        source: What the SVG file holds; it was written by this program.
        drawing: Its figure, for texts under the pointer and the description.
    """
    root = ElementTree.fromstring(source)  # noqa: S314 - written by ourselves a moment ago
    used = set(re.findall(r"url\(#([^)]+)\)", source))
    used |= set(re.findall(r'xlink:href="#([^"]+)"', source))
    hatches: set[ElementTree.Element] = set()
    for pattern in root.iter(f"{{{SVG}}}pattern"):
        hatches.update(pattern.iter())
    for element in root.iter():
        # before the ids are renamed or removed: tips are found by them
        _add_tip(element, drawing)
        if element not in hatches:
            element.set("style", element.get("style", "").replace(EDGE, "stroke: var(--ink)"))
        name = element.attrib.pop("id", None)
        if name in used:
            element.set("id", f"{drawing.name}-{name}")
        link = element.attrib.pop(f"{{{XLINK}}}href", None)
        if link:
            element.set("href", f"#{drawing.name}-{link.removeprefix('#')}")
        for key, value in element.attrib.items():
            if key in ("style", "fill", "stroke", "clip-path"):
                element.set(key, _themed(value, drawing.name))
    for parent in list(root.iter()):
        for child in parent.findall(f"{{{SVG}}}metadata"):
            parent.remove(child)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height", None)
    root.set("role", "img")
    root.set("aria-label", f"{drawing.title}. {drawing.caption}")
    root.set("style", f"min-width: {LEAST * width:.0f}px; max-width: {1.6 * width:.0f}px")
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _add_tip(element: ElementTree.Element, drawing: Drawing) -> None:
    """Give a part that has a tip its text: one, or one for each of its points."""
    tips = drawing.tips.get(element.get("id", ""))
    if isinstance(tips, str):
        element.set("data-tip", tips)
    elif tips is not None:
        _add_tips(list(element.iter(f"{{{SVG}}}use")), tips)


def _add_tips(points: Sequence[ElementTree.Element], tips: Sequence[str]) -> None:
    if len(points) != len(tips):
        return  # a point outside the axes is not drawn, and would shift the rest
    for point, text in zip(points, tips, strict=True):
        point.set("data-tip", text)


def _themed(value: str, prefix: str) -> str:
    """A value with the theme's colours and font, and ids that no other figure has."""
    for colour, variable in THEMED.items():
        value = value.replace(colour, variable)
    value = FONT.sub(r"\1 var(--font)", value)
    return re.sub(r"url\(#", f"url(#{prefix}-", value)
