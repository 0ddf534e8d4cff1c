"""The demo's dialogues as split-screen DivX films, the marker-wearing actor on the left."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from extract.corpora.demo_release import faces
from extract.corpora.demo_release.design import DemoTurn, Dialogue

RATE = Fraction(30_000, 1001)
WIDTH, HEIGHT = 720, 480
TOP, LEFT = 112, 52
# A picture is held for three frames: ten drawings a second are enough for a drawn face and cost a
# third of thirty.
HELD = 3
BITS_PER_S = 300_000


def shoot(dialogue: Dialogue, path: Path, seed: list[int]) -> None:
    """Write a dialogue's film, in one thread: its bytes do not depend on the machine's cores.

    Args:
        dialogue: Who talks when, showing what.
        path: The ``.avi`` file.
        seed: Of the random stream for faces.
    """
    made = io.BytesIO()  # to memory first: FFmpeg forgets what fails when it closes a file
    with av.open(made, "w", format="avi", options={"fflags": "+bitexact"}) as film:
        stream = film.add_stream("mpeg4", rate=RATE, options={"flags": "+bitexact", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = BITS_PER_S
        stream.codec_context.codec_tag = "DIVX"
        stream.codec_context.gop_size = 30
        pts = 0
        for picture in _pictures(dialogue, seed):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            for _ in range(HELD):
                frame.pts, frame.time_base = pts, 1 / RATE
                film.mux(stream.encode(frame))
                pts += 1
        film.mux(stream.encode(None))
    path.write_bytes(made.getvalue())


def _pictures(dialogue: Dialogue, seed: list[int]) -> Iterator[NDArray[np.uint8]]:
    """Yield the whole screen at ten pictures a second, as planar YUV 4:2:0, shape (720, 720).

    Heads are converted when they are drawn and not each time they are shown, which is ten times
    less to convert.
    """
    session, marked = dialogue.id[:5], dialogue.id[5]
    sides = {marked: LEFT, "MF"[marked == "M"]: WIDTH // 2 + LEFT}
    looks = {letter: faces.look_of(f"{session}_{letter}", letter == marked) for letter in sides}
    idle = {letter: _cycle(look, faces.LISTENING) for letter, look in looks.items()}
    screen = _to_yuv(_empty_screen())
    planes = _planes(screen)
    talking: list[tuple[NDArray[np.uint8], ...]] = []
    turn: DemoTurn | None = None
    for number in range(round(dialogue.end_s * RATE / HELD)):
        now = float(number * HELD / RATE)
        current = next((t for t in dialogue.turns if t.start_s <= now < t.end_s), None)
        if current is not None and current is not turn:
            rng = np.random.default_rng([*seed, dialogue.turns.index(current)])
            talking = _cycle(
                looks[current.id[-4]], faces.vary(faces.EXPRESSIONS[current.cues["video"]], rng)
            )
        turn = current
        for letter, left in sides.items():
            speaks = turn is not None and turn.id[-4] == letter
            head = (talking if speaks else idle[letter])[number % faces.PHASES]
            for plane, part, scale in zip(planes, head, (1, 2, 2), strict=True):
                rows, columns = part.shape
                plane[
                    TOP // scale : TOP // scale + rows, left // scale : left // scale + columns
                ] = part
        yield screen


def _empty_screen() -> NDArray[np.uint8]:
    """Return what is behind the heads, RGB.

    A wall between two black bars, split by a black line.
    """
    screen = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    screen[TOP : TOP + faces.SIZE] = faces.WALL
    screen[:, WIDTH // 2 - 1 : WIDTH // 2 + 1] = 0
    return screen


def _to_yuv(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert RGB (H, W, 3) to planar YUV 4:2:0, shape (3 H / 2, W)."""
    return np.asarray(
        av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p").to_ndarray()
    )


def _planes(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """Return views of brightness (H, W) and colours (H / 2, W / 2) in a picture (3 H / 2, W)."""
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    colours = picture[height:].reshape(2, height // 2, width // 2)
    return picture[:height], colours[0], colours[1]


def _cycle(
    look: faces.FaceLook, expression: faces.Expression
) -> list[tuple[NDArray[np.uint8], ...]]:
    """Return the planes of one cycle of movement, eight pictures.

    A listener blinks in the last one.
    """
    listens, last = expression is faces.LISTENING, faces.PHASES - 1
    heads = [
        faces.draw(look, expression, phase / faces.PHASES, blink=listens and phase == last)
        for phase in range(faces.PHASES)
    ]
    # One below the other: converting eight costs little more than converting one.
    split = (np.split(plane, faces.PHASES) for plane in _planes(_to_yuv(np.concatenate(heads))))
    return list(zip(*split, strict=True))
