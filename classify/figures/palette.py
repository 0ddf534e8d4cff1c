"""The colour, marker and hatch of each class, the same in every figure and on every page.

Classes are told apart three times over: by a colour that the colour-blind can tell from the others
(Okabe and Ito's palette with a darker blue and a lighter green, which keeps the paper's red anger,
yellow happiness, blue neutral and green sadness), by a marker and by a hatch, which survive a
black-and-white print.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VERMILLION, YELLOW, BLUE, GREEN, PURPLE, SKY, ORANGE, GREY = (
    "#d55e00",
    "#f0e442",
    "#0060a8",
    "#2bb584",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#8a8f98",
)
COLOURS = (VERMILLION, YELLOW, BLUE, GREEN, PURPLE, SKY, ORANGE, GREY)
MARKERS = ("^", "o", "s", "D", "v", "P", "X", "*")
HATCHES = ("///", "", "...", "\\\\\\", "xxx", "---", "ooo", "|||")
KNOWN = {
    "anger": 0,
    "angry": 0,
    "ang": 0,
    "happiness": 1,
    "happy": 1,
    "joy": 1,
    "hap": 1,
    "neutral": 2,
    "neu": 2,
    "calm": 2,
    "sadness": 3,
    "sad": 3,
    "fear": 4,
    "fearful": 4,
    "surprise": 5,
    "surprised": 5,
    "disgust": 6,
    "disgusted": 6,
    "frustration": 7,
    "frustrated": 7,
}


@dataclass(frozen=True, slots=True)
class FigureStyle:
    """How a class looks in every figure.

    Attributes:
        colour: Of its marks and areas.
        marker: Of its points.
        hatch: On its areas.
    """

    colour: str
    marker: str
    hatch: str


def class_styles(classes: Sequence[str]) -> dict[str, FigureStyle]:
    """Give each class a look.

    Emotions that the paper knows keep theirs in every figure, others take what is free.

    >>> class_styles(["anger", "boredom", "sadness"])["anger"].colour == VERMILLION
    True
    >>> styles = class_styles([f"c{i}" for i in range(32)]).values()
    >>> len({(style.colour, style.marker) for style in styles})
    32
    """
    taken: dict[str, int] = {}
    for name in classes:
        place = KNOWN.get(name.lower())
        if place is not None and place not in taken.values():
            taken[name] = place
    free = (
        place for place in range(len(COLOURS) * len(MARKERS)) if place not in set(taken.values())
    )
    places = {name: taken[name] if name in taken else next(free) for name in classes}
    n = len(COLOURS)
    return {
        name: FigureStyle(COLOURS[p % n], MARKERS[(p + p // n) % n], HATCHES[(p + p // n) % n])
        for name, p in places.items()
    }
