"""How the demo's actors look: drawn heads whose brows, eyes, mouth and movement show the cue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

SIZE = 256
# Drawn twice as large and scaled down, which smooths the edges.
SCALE = 2
PHASES = 8

SKIN: tuple[Colour, ...] = (
    (250, 218, 190),
    (236, 188, 150),
    (198, 140, 98),
    (150, 98, 66),
    (222, 170, 128),
)
HAIR: tuple[Colour, ...] = (
    (62, 42, 32),
    (28, 26, 30),
    (150, 92, 44),
    (206, 166, 96),
    (110, 54, 36),
)
SHIRT: tuple[Colour, ...] = (
    (74, 110, 160),
    (150, 70, 90),
    (84, 132, 104),
    (120, 92, 150),
    (176, 124, 60),
)
WALL, LINE, WHITE, LIPS, INSIDE = (
    (186, 192, 200),
    (52, 38, 34),
    (252, 252, 252),
    (176, 72, 76),
    (96, 30, 38),
)


@dataclass(frozen=True, slots=True)
class FaceLook:
    """A speaker's own colours and proportions.

    Attributes:
        skin: RGB, like all colours here.
        hair: Its colour.
        shirt: Its colour.
        width: Of the head, relative to the usual one.
        long_hair: Whether the hair reaches the shoulders.
        markers: Whether the actor wears the motion-capture dots: the one on the left does.
    """

    skin: Colour
    hair: Colour
    shirt: Colour
    width: float
    long_hair: bool
    markers: bool


@dataclass(frozen=True, slots=True)
class Expression:
    """How a face shows a cue, in pixels of a 256-pixel picture.

    Attributes:
        brow: Height of the brows above the eyes.
        slant: How far the brows' inner ends are pulled down; negative: up.
        eye: Half the opening of the eyes.
        curve: How far the corners of the mouth are lifted; negative: lowered.
        width: Half the mouth's width.
        gap: How far the mouth opens while talking.
        gaze: How far the features are shifted down the head.
        swing: How far the head swings sideways.
        nod: How far the head nods.
        hang: How low the head hangs; negative: held high.
        flush: The colour that rises into the skin.
        share: How much of it, from 0 to 1.
    """

    brow: float
    slant: float
    eye: float
    curve: float
    width: float
    gap: float
    gaze: float
    swing: float
    nod: float
    hang: float
    flush: Colour
    share: float


EXPRESSIONS = {
    "anger": Expression(
        brow=15,
        slant=12,
        eye=9,
        curve=-7,
        width=36,
        gap=24,
        gaze=0,
        swing=9,
        nod=2,
        hang=4,
        flush=(214, 48, 40),
        share=0.55,
    ),
    "happiness": Expression(
        brow=33,
        slant=-2,
        eye=7,
        curve=22,
        width=48,
        gap=20,
        gaze=-4,
        swing=2,
        nod=9,
        hang=-12,
        flush=(255, 196, 70),
        share=0.55,
    ),
    "neutral": Expression(
        brow=24,
        slant=0,
        eye=12,
        curve=1,
        width=29,
        gap=8,
        gaze=0,
        swing=2,
        nod=2,
        hang=0,
        flush=(0, 0, 0),
        share=0.0,
    ),
    "sadness": Expression(
        brow=26,
        slant=-12,
        eye=6,
        curve=-16,
        width=26,
        gap=5,
        gaze=12,
        swing=1,
        nod=3,
        hang=18,
        flush=(84, 124, 190),
        share=0.55,
    ),
}
LISTENING = Expression(
    brow=24,
    slant=0,
    eye=12,
    curve=2,
    width=28,
    gap=0,
    gaze=0,
    swing=1,
    nod=1,
    hang=0,
    flush=(0, 0, 0),
    share=0.0,
)


def look_of(speaker: str, markers: bool) -> FaceLook:
    """Return how a speaker such as ``Ses03_F`` looks; ten speakers, ten looks."""
    number, woman = int(speaker[3:5]) - 1, speaker.endswith("F")
    shift = 2 * woman
    return FaceLook(
        SKIN[(number + shift) % 5],
        HAIR[(2 * number + shift) % 5],
        SHIRT[(number + 3 * woman) % 5],
        (66.0 if woman else 72.0) + number,
        woman,
        markers,
    )


def vary(expression: Expression, rng: np.random.Generator) -> Expression:
    """Return the expression a little stronger or weaker, as one turn shows it."""
    strength = rng.uniform(0.8, 1.15)
    return replace(
        expression,
        brow=24 + (expression.brow - 24) * strength,
        slant=expression.slant * strength,
        curve=expression.curve * strength,
        width=expression.width + rng.uniform(-2, 2),
        gap=expression.gap * rng.uniform(0.85, 1.15),
        gaze=expression.gaze * strength,
        swing=expression.swing * strength,
        nod=expression.nod * strength,
        hang=expression.hang * strength,
        share=expression.share * strength,
    )


def draw(
    look: FaceLook, expression: Expression, phase: float, blink: bool = False
) -> NDArray[np.uint8]:
    """Draw a head at one moment of its movement.

    Args:
        look: Whose head.
        expression: What it shows.
        phase: Where in its movement it is, from 0 to 1.
        blink: Whether the eyes are closed.

    Returns:
        RGB, shape (256, 256, 3).
    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIZE * SCALE, SIZE * SCALE), WALL)
    pen = ImageDraw.Draw(image)
    look = replace(look, skin=_mixed(look.skin, expression.flush, expression.share))
    turn = 2 * np.pi * phase
    x, y = (
        128 + expression.swing * np.sin(turn),
        122 + expression.hang + expression.nod * np.sin(2 * turn),
    )
    _head(pen, look, x, y)
    # The features move a little further than the head, which reads as turning and nodding.
    x, y = x + 0.5 * expression.swing * np.sin(turn), y + expression.gaze
    gap = expression.gap * (0.55 + 0.45 * np.cos(3 * turn))
    for side in (-1, 1):
        _eye(pen, (x + side * 29, y - 10), 1.5 if blink else expression.eye)
        _brow(pen, look, (x + side * 29, y - 10 - expression.brow), side, expression.slant)
    nose = [(x + 1, y + 2), (x + 5, y + 20), (x - 3, y + 22)]
    pen.line(_scaled(nose), fill=_darker(look.skin), width=3 * SCALE, joint="curve")
    _mouth(pen, (x, y + 47), expression, gap)
    if look.markers:
        for dx, dy in (
            (-48, 14),
            (48, 14),
            (-38, 40),
            (38, 40),
            (0, -58),
            (-24, -54),
            (24, -54),
            (0, 72),
        ):
            _disc(pen, (x + dx, y + dy), 4, 4, _darker(look.skin))
            _disc(pen, (x + dx, y + dy), 2.6, 2.6, WHITE)
    return np.asarray(image.reduce(SCALE), dtype=np.uint8)


def _head(pen: ImageDraw.ImageDraw, look: FaceLook, x: float, y: float) -> None:
    pen.rounded_rectangle(_scaled([(36, 222), (220, 300)]), radius=40 * SCALE, fill=look.shirt)
    if look.long_hair:
        box = _scaled([(x - look.width - 16, y - 84), (x + look.width + 16, y + 96)])
        pen.rounded_rectangle(box, radius=64 * SCALE, fill=look.hair)
    pen.rectangle(_scaled([(x - 24, y + 60), (x + 24, 232)]), fill=_darker(look.skin))
    for side in (-1, 1):
        _disc(pen, (x + side * look.width, y + 6), 11, 17, look.skin)
    _disc(pen, (x, y - 14), look.width + 6, 90, look.hair)
    _disc(pen, (x, y + 6), look.width, 84, look.skin)
    pen.chord(
        _scaled([(x - look.width - 6, y - 104), (x + look.width + 6, y + 76)]),
        214,
        326,
        fill=look.hair,
    )


def _eye(pen: ImageDraw.ImageDraw, at: Point, opening: float) -> None:
    _disc(pen, at, 16, opening, WHITE)
    radius = min(7.0, opening)
    _disc(pen, at, radius, radius, LINE)
    lid = _scaled([(at[0] - 17, at[1] - opening - 2), (at[0] + 17, at[1] + opening + 2)])
    pen.arc(lid, 190, 350, fill=LINE, width=3 * SCALE)


def _brow(pen: ImageDraw.ImageDraw, look: FaceLook, at: Point, side: int, slant: float) -> None:
    inner, outer = (at[0] - side * 20, at[1] + slant), (at[0] + side * 20, at[1] - slant * 0.4)
    middle = ((inner[0] + outer[0]) / 2, (inner[1] + outer[1]) / 2 - 4)
    pen.line(
        _scaled([inner, middle, outer]),
        fill=_darker(_darker(look.hair)),
        width=8 * SCALE,
        joint="curve",
    )


def _mouth(pen: ImageDraw.ImageDraw, at: Point, expression: Expression, gap: float) -> None:
    """Draw lips between two parabolas that meet at the corners.

    A smile lifts the corners, a frown lowers them.
    """
    across = np.linspace(-1, 1, 21)
    middle, half = (
        at[1] + 0.4 * expression.curve - expression.curve * across**2,
        0.5 * gap * (1 - across**2),
    )
    upper, lower = (
        list(zip(at[0] + expression.width * across, middle + side * half, strict=True))
        for side in (-1, 1)
    )
    outline = upper + lower[::-1]
    pen.polygon(_scaled(outline), fill=INSIDE)
    pen.line(_scaled([*outline, outline[0]]), fill=LIPS, width=6 * SCALE, joint="curve")


def _disc(pen: ImageDraw.ImageDraw, at: Point, rx: float, ry: float, fill: Colour) -> None:
    pen.ellipse(_scaled([(at[0] - rx, at[1] - ry), (at[0] + rx, at[1] + ry)]), fill=fill)


def _scaled(points: list[Point]) -> list[Point]:
    return [(float(x * SCALE), float(y * SCALE)) for x, y in points]


def _darker(colour: Colour) -> Colour:
    return (colour[0] * 4 // 5, colour[1] * 4 // 5, colour[2] * 4 // 5)


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (
        round(a * (1 - share) + b * share) for a, b in zip(colour, other, strict=True)
    )
    return (red, green, blue)
