"""A picture for the eye.

What each choice of region shows of some utterances, so that a wrong half is seen before a GPU week.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.atomic import replacing
from embeddings_store.corpus.manifest import Manifest, resolve_media
from embeddings_store.errors import ManifestError, MediaError, MissingDependencyError, UsageError
from extract.frames import FACES, REGIONS, FrameSettings, read_clip
from extract.frames.face import check_detector
from extract.pipeline.inputs import video_spans

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

TILE, MARGIN, CAPTION = 144, 8, 34


def write_contact_sheet(manifest: Manifest, target: Path, count: int = 12) -> list[str]:
    """Write a PNG with one row per utterance and one column per region, drawn from as many films as possible.

    Args:
        manifest: A corpus with video.
        target: A ``.png`` file.
        count: How many utterances.

    Returns:
        One sentence for each utterance whose film could not be read; its row stays grey.

    Raises:
        UsageError: ``target`` is not a ``.png`` file.
        ManifestError: No row has video.
    """
    from PIL import Image, ImageDraw

    if target.suffix.lower() != ".png":
        raise UsageError(f"{target}: a contact sheet is a .png file")
    rows = _some_rows(manifest, count)
    per_line = 2
    regions = _regions(manifest)
    block = (max(len(regions), 3) * (TILE + MARGIN) + MARGIN, TILE + CAPTION)
    lines = -(-len(rows) // per_line)
    sheet = Image.new("RGB", (per_line * block[0], lines * block[1] + CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    for column in range(per_line):
        for number, region in enumerate(regions):
            draw.text(
                (column * block[0] + MARGIN + number * (TILE + MARGIN), MARGIN),
                region,
                fill="black",
                font_size=15,
            )
    problems = []
    for number, row in enumerate(rows):
        corner = (
            (number % per_line) * block[0] + MARGIN,
            (number // per_line) * block[1] + CAPTION,
        )
        problem = _draw_row(sheet, draw, manifest, row, corner, regions)
        problems += [problem] if problem else []
    with replacing(target) as temporary:
        sheet.save(temporary, format="PNG")
    return problems


def _some_rows(manifest: Manifest, count: int) -> list[int]:
    """Return rows from evenly drawn films, each time another turn of it."""
    with_video = np.flatnonzero(manifest.given("video"))
    if not len(with_video) or manifest.root is None:
        raise ManifestError(f"no row of corpus {manifest.name!r} has video")
    films: dict[str, list[int]] = {}
    for row in with_video.tolist():
        films.setdefault(str(manifest.table["video"].iloc[row]), []).append(row)
    names = list(films)
    chosen = (
        [names[i * len(names) // count] for i in range(count)] if len(names) >= count else names
    )
    taken = [films[name][number * 7 % len(films[name])] for number, name in enumerate(chosen)]
    rest = [row for row in with_video.tolist() if row not in taken]
    return taken + rest[: max(0, count - len(taken))]


def _regions(manifest: Manifest) -> list[str]:
    """Return what there is to show.

    Halves only of split screens, faces only where the detector is installed.
    """
    try:
        check_detector()
        without = set[str]()
    except MissingDependencyError:
        without = set(FACES)
    sides = {bool(span.side) for span in video_spans(manifest).values()}
    without |= {region for region in REGIONS if not any(_shown(region, side) for side in sides)}
    return [region for region in REGIONS if region not in without]


def _shown(region: str, side: bool) -> bool:
    """Say whether a region means something for a film that is a split screen, or is none."""
    return side if region.startswith("half") else not (side and region == "face")


def _draw_row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    manifest: Manifest,
    row: int,
    corner: tuple[int, int],
    regions: list[str],
) -> str:
    from PIL import Image

    utterance, span = manifest.row(row), video_spans(manifest)[str(manifest.ids[row])]
    caption = f"{utterance.id}   {utterance.label}   {span.side or 'whole picture'}"
    draw.text((corner[0], corner[1] + TILE + 4), caption, fill="black", font_size=14)
    for number, region in enumerate(regions):
        place = (corner[0] + number * (TILE + MARGIN), corner[1])
        draw.rectangle((*place, place[0] + TILE, place[1] + TILE), fill="lightgrey")
        if not _shown(region, bool(span.side)):
            continue
        try:
            settings = FrameSettings(frames=16 if region in FACES else 1, region=region, size=TILE)
            clip = read_clip(
                resolve_media(manifest.root or Path(), utterance.video),
                start_s=span.start_s,
                end_s=span.end_s,
                side=span.side,
                settings=settings,
            )
        except MediaError as error:
            if region not in FACES:
                return f"{utterance.id}: {error}"
            draw.text(
                (place[0] + MARGIN, place[1] + TILE // 2), "no face", fill="black", font_size=15
            )
            continue
        sheet.paste(Image.fromarray(clip.frames[len(clip.frames) // 2]), place)
    return ""
