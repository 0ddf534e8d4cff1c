"""``timeline.html``: one page that plays a recording beside what a model says of it.

It needs no network, and whatever the recording, its name or its words hold stays text. The
recording itself is linked beside it, or, where that is asked for, a part of the page.
"""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from classify.figures.palette import class_styles
from classify.labelling.page_data import area_paths, label_runs, shown_windows
from classify.labelling.timeline import UNANSWERED, Timeline
from classify.links import relative_link
from classify.offline_page import render_page, write_html
from embeddings_store.atomic import make_folder
from embeddings_store.errors import MediaError, MissingDependencyError, UsageError
from embeddings_store.reading import reading

HERE = Path(__file__).parent
PAGE, NAME = "timeline.html", "timeline"
MOST_EMBEDDED = 200 * 2**20  # bytes; a browser holds a page of much more than this with difficulty
PALETTE = 8  # of more classes the second eight are the same colours, lighter
# Kinds that browsers play, which Python's table of a bare machine may lack.
KINDS = {
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mkv": "video/x-matroska",
    ".ogg": "audio/ogg",
}


@dataclass(frozen=True, slots=True)
class PlayedFile:
    """What a page plays.

    Attributes:
        kind: ``audio`` or ``video``; empty where there is nothing to play, as with text.
        source: A link to the file, or its content.
        embedded: Whether it is the content.
    """

    kind: str = ""
    source: str = ""
    embedded: bool = False


def write_page(folder: Path, timeline: Timeline, media: Path, *, embed: bool = False) -> Path:
    """Write ``timeline.html`` into a file's own folder, whole or not at all.

    Args:
        folder: Where timelines go; the page lies in a folder of the file's name below it.
        timeline: What the model says.
        media: The file.
        embed: Whether the page holds the recording, so that it can be passed on alone.

    Returns:
        The page.

    Raises:
        MissingDependencyError: The extra ``report`` is not installed.
        UsageError: The recording is too large to be a part of a page.
        MediaError: It cannot be read any more.
        StoreFullError, StoreAccessError: The page cannot be written.
    """
    own = folder / timeline.file
    make_folder(own)
    played = played_file(own, timeline, media, embed=embed)
    write_html(own / PAGE, page(timeline, played))
    return own / PAGE


def played_file(folder: Path, timeline: Timeline, media: Path, *, embed: bool) -> PlayedFile:
    """Return what the page plays.

    Args:
        folder: Where the page lies.
        timeline: What the model says.
        media: The file.
        embed: Whether its content is wanted.

    Raises:
        UsageError: It is too large to be a part of a page.
        MediaError: It cannot be read any more.
    """
    if timeline.windows["start_s"].isna().all():
        return PlayedFile()
    suffix = media.suffix.lower()
    kind = KINDS.get(suffix) or mimetypes.guess_type(media.name)[0] or "video/mp4"
    element = "audio" if kind.startswith("audio/") else "video"
    if not embed:
        return PlayedFile(element, relative_link(folder, media))
    with reading(media, "media", raises=MediaError):
        size = media.stat().st_size
        if size > MOST_EMBEDDED:
            raise UsageError(
                f"{media.name} has {size / 2**20:.0f} MiB, and a page holds at most "
                f"{MOST_EMBEDDED / 2**20:.0f}; leave out --embed, and the page links to it"
            )
        content = base64.b64encode(media.read_bytes()).decode()
    return PlayedFile(element, f"data:{kind};base64,{content}", embedded=True)


def page(timeline: Timeline, played: PlayedFile) -> str:
    """Return the page's HTML.

    Args:
        timeline: What the model says.
        played: What is played beside it.

    Raises:
        MissingDependencyError: The extra ``report`` is not installed.
    """
    require_extra()
    shown = shown_windows(timeline)
    places = {name: number for number, name in enumerate(class_styles(timeline.classes))}
    colours = [style_of.colour for style_of in class_styles(timeline.classes).values()]
    mean = timeline.windows[[f"p:{name}" for name in timeline.classes]].mean().tolist()
    return render_page(
        HERE,
        NAME,
        timeline=timeline,
        labels=_labels(timeline),
        modalities=_modalities(timeline),
        classes=[
            {"name": name, "colour": colours[place], "mean": mean[place], "light": place >= PALETTE}
            for name, place in places.items()
        ],
        shown=shown,
        areas=area_paths(shown),
        runs=label_runs(shown),
        played=played,
    )


def require_extra() -> None:
    """Check that pages can be made, which a run asks before its work.

    Raises:
        MissingDependencyError: The extra ``report`` is not installed.
    """
    try:
        import jinja2  # noqa: F401 - what render_page is made with
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"a timeline's page needs the package {error.name}, which is not installed; install "
            "the extra: pip install 'emotion-fusion[report]', or leave the page out with --no-page"
        ) from error


def _labels(timeline: Timeline) -> list[dict[str, str]]:
    """Return a tile for each rule: its name, the label, and how sure it is."""
    tiles = []
    for rule, found in timeline.labels.items():
        label = timeline.label(rule)
        if label != UNANSWERED:
            tiles.append({"rule": rule, "label": label, "sure": f"{found.confidence:.2f}"})
        else:
            between = " and ".join(timeline.classes[code] for code in found.tied)
            tiles.append({"rule": rule, "label": f"tie of {between}", "sure": ""})
    return tiles


def _modalities(timeline: Timeline) -> list[str]:
    """Say in how many windows each modality answered."""
    by, total = timeline.windows["answered_by"].str.split("+"), len(timeline.windows)
    named = dict.fromkeys(name for names in by for name in names if name)
    return [f"{name} in {sum(name in names for names in by)} of {total}" for name in named]
