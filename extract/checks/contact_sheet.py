"""A picture for the eye: what each choice of region shows of some utterances.

So a wrong half is seen before a GPU week.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.atomic import replacing
from embeddings_store.corpus.manifest import Manifest, Utterance
from embeddings_store.errors import (
    ManifestError,
    MediaError,
    MissingDependencyError,
    UnsafePathError,
    UsageError,
)
from extract.frames.clips import FrameClip, VideoFile
from extract.frames.face_source import FaceSource
from extract.frames.settings import FACES, REGIONS, FrameSettings, TimeSpan
from extract.pipeline.film_parts import video_spans

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

# In pixels: side of a picture, room around it, and height of the line under it.
TILE, MARGIN, CAPTION = 144, 8, 34
PER_LINE = 2
# Of the words in a picture's place: height of a line, width of a letter, and size of the font.
LINE, LETTER, SMALL = 16, 7, 12


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The picture while it is drawn."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    regions: list[str]
    faces: FaceSource

    def write(self, corner: tuple[int, int], text: str, font_size: int = 15) -> None:
        self.draw.text(corner, text, fill="black", font_size=font_size)

    def explain(self, corner: tuple[int, int], width: int, text: str) -> None:
        """Write why there is no picture into its place, as many words as there is room for."""
        left, top = corner
        self.draw.rectangle((left, top, left + width, top + TILE), fill="lightgrey")
        lines = textwrap.wrap(text, (width - MARGIN) // LETTER)
        for number, line in enumerate(lines[: TILE // LINE]):
            self.write((left + 4, top + 2 + number * LINE), line, font_size=SMALL)

    def mark(self, corner: tuple[int, int], text: str) -> None:
        """Write on the lower edge of a picture, legibly on any."""
        place = (corner[0] + 4, corner[1] + TILE - LINE - 2)
        self.draw.text(
            place, text, fill="white", font_size=SMALL, stroke_width=2, stroke_fill="black"
        )


def write_contact_sheet(
    manifest: Manifest, target: Path, count: int = 12, faces: FaceSource | None = None
) -> list[str]:
    """Write a PNG with one row per utterance and one column per region.

    Utterances are drawn from as many films as possible.

    Args:
        manifest: A corpus with video.
        target: A ``.png`` file.
        count: How many utterances.
        faces: From where it is known where faces are; None for OpenCV's cascades.

    Returns:
        One sentence for each utterance whose film could not be read; it stands in the place of its
        pictures too.

    Raises:
        UsageError: ``target`` is not a ``.png`` file.
        ManifestError: No row has video.
    """
    from PIL import Image, ImageDraw

    if target.suffix.lower() != ".png":
        raise UsageError(f"{target}: a contact sheet is a .png file")
    rows = _some_rows(manifest, count)
    faces = faces or FaceSource()
    spans = video_spans(manifest, faces.boxes)
    regions = _regions(spans, faces)
    # No narrower than three pictures, for the captions' sake.
    width = max(len(regions), 3) * (TILE + MARGIN) + MARGIN
    height = TILE + CAPTION
    lines = -(-len(rows) // PER_LINE)
    image = Image.new("RGB", (PER_LINE * width, lines * height + CAPTION), "white")
    sheet = _Sheet(image, ImageDraw.Draw(image), regions, faces)
    for column in range(PER_LINE):
        for number, region in enumerate(regions):
            left = column * width + MARGIN + number * (TILE + MARGIN)
            sheet.write((left, MARGIN), region)
    problems = []
    for number, row in enumerate(rows):
        line, column = divmod(number, PER_LINE)
        corner = (column * width + MARGIN, line * height + CAPTION)
        problem = _draw_row(sheet, manifest, row, spans[str(manifest.ids[row])], corner)
        if problem:
            problems.append(problem)
    with replacing(target) as temporary:
        image.save(temporary, format="PNG")
    return problems


def _some_rows(manifest: Manifest, count: int) -> list[int]:
    """Return rows from evenly drawn films, each time another turn of it."""
    with_video = np.flatnonzero(manifest.given("video")).tolist()
    if not with_video or manifest.root is None:
        raise ManifestError(f"no row of corpus {manifest.name!r} has video")
    rows_of: dict[str, list[int]] = {}
    for row in with_video:
        rows_of.setdefault(str(manifest.table["video"].iloc[row]), []).append(row)
    films = list(rows_of)
    if len(films) >= count:
        films = [films[i * len(films) // count] for i in range(count)]
    taken = []
    for number, film in enumerate(films):
        # Sevens go through a film's turns without keeping to its beginning.
        taken.append(rows_of[film][number * 7 % len(rows_of[film])])
    rest = [row for row in with_video if row not in taken]
    return taken + rest[: max(0, count - len(taken))]


def _regions(spans: dict[str, TimeSpan], faces: FaceSource) -> list[str]:
    """Return what there is to show.

    Halves only of split screens, faces only where the detector is installed.
    """
    try:
        faces.check()
        without: tuple[str, ...] = ()
    except MissingDependencyError:
        without = FACES
    split_screens = {bool(span.side) for span in spans.values()}
    return [
        region
        for region in REGIONS
        if region not in without and _shown_of_any(region, split_screens)
    ]


def _shown_of_any(region: str, split_screens: set[bool]) -> bool:
    return any(_shown(region, split_screen) for split_screen in split_screens)


def _shown(region: str, split_screen: bool) -> bool:
    """Say whether a region means something for a film that is a split screen, or is none."""
    if region.startswith("half"):
        return split_screen
    return not (split_screen and region == "face")


def _draw_row(
    sheet: _Sheet, manifest: Manifest, row: int, span: TimeSpan, corner: tuple[int, int]
) -> str:
    """Draw one utterance's regions; return why its film cannot be read, else nothing."""
    from PIL import Image

    utterance = manifest.row(row)
    left, top = corner
    caption = f"{utterance.id}   {utterance.label}   {span.side or 'whole picture'}"
    sheet.write((left, top + TILE + 4), caption, font_size=14)
    places = [(left + number * (TILE + MARGIN), top) for number in range(len(sheet.regions))]
    for place in places:
        sheet.draw.rectangle((*place, place[0] + TILE, place[1] + TILE), fill="lightgrey")
    for place, region in zip(places, sheet.regions, strict=True):
        if not _shown(region, bool(span.side)):
            continue
        try:
            clip = _read(manifest, utterance, span, _settings(region, sheet.faces))
        except (MediaError, UnsafePathError) as error:
            root = (manifest.root or Path()).resolve()
            reason = str(error).replace(f"{root}/", "")
            if region not in FACES:
                sheet.explain(corner, places[-1][0] + TILE - left, reason)
                return f"{utterance.id}: {error}"
            sheet.explain(place, TILE, reason.removeprefix(f"{utterance.video}: "))
            continue
        sheet.image.paste(Image.fromarray(clip.frames[len(clip.frames) // 2]), place)
        if clip.face_share is not None:
            sheet.mark(place, f"face in {clip.face_share:.0%} of pictures")
    return ""


def _settings(region: str, faces: FaceSource) -> FrameSettings:
    """Draw the middle picture alone, and of a face as many as an encoder is given."""
    if region in FACES:
        return FrameSettings(region=region, size=TILE, faces=faces)
    return FrameSettings(frames=1, region=region, size=TILE)


def _read(
    manifest: Manifest, utterance: Utterance, span: TimeSpan, settings: FrameSettings
) -> FrameClip:
    with VideoFile(manifest.media_path(utterance.video)) as video:
        return video.read(span, settings)
