"""A figure's SVG as a part of the page.

Colours follow the theme, values show under the pointer, no id clashes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from classify.figures.style import BLUE, INK, MUTED, ON_LIGHT, PAPER, RULE, Drawing

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
THEMED = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BLUE: "var(--blue)",
}
# an outline; a hatch keeps its colour, it lies on the mark and not on the page
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
    used = set(re.findall(r"url\(#([^)]+)\)", source)) | set(
        re.findall(r'xlink:href="#([^"]+)"', source)
    )
    hatches = {part for pattern in root.iter(f"{{{SVG}}}pattern") for part in pattern.iter()}
    for element in root.iter():
        _tell(element, drawing)
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
        for child in [c for c in parent if c.tag == f"{{{SVG}}}metadata"]:
            parent.remove(child)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height", None)
    root.set("role", "img")
    root.set("aria-label", f"{drawing.title}. {drawing.caption}")
    root.set("style", f"min-width: {LEAST * width:.0f}px; max-width: {1.6 * width:.0f}px")
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _tell(element: ElementTree.Element, drawing: Drawing) -> None:
    """Give a part that has something to say its text: one, or one for each of its points."""
    told = drawing.tips.get(element.get("id", ""))
    if told is None:
        return
    if isinstance(told, str):
        element.set("data-tip", told)
        return
    _tell_each([part for part in element.iter() if part.tag == f"{{{SVG}}}use"], told)


def _tell_each(points: Sequence[ElementTree.Element], told: Sequence[str]) -> None:
    if len(points) == len(told):  # a point outside the axes would shift the rest
        for point, text in zip(points, told, strict=True):
            point.set("data-tip", text)


def _themed(value: str, prefix: str) -> str:
    for colour, variable in THEMED.items():
        value = value.replace(colour, variable)
    value = FONT.sub(r"\1 var(--font)", value)
    return re.sub(r"url\(#", f"url(#{prefix}-", value)
