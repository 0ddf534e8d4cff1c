"""The table of windows that projects on short videos pass around: a row per window of a video.

Its columns are :data:`COLUMNS`. Frames that were saved as pickles (``.pt``) are never loaded: the
pictures are drawn again from the video where ``frames_path`` names one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.atomic import replacing
from embeddings_store.corpus.column_names import check_names
from embeddings_store.corpus.columns import strings
from embeddings_store.corpus.manifest import Manifest, safe_name
from embeddings_store.corpus.media_paths import settle_paths
from embeddings_store.corpus.windows import CLIP, clips_of, is_windowed
from embeddings_store.errors import LabelError, ManifestError, UsageError
from embeddings_store.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "video_id",
    "window_idx",
    "start",
    "end",
    "frames_path",
    "audio_path",
    "text_snippet",
    "label",
    "split",
)
FILMS = (".mp4", ".mov", ".avi", ".mkv", ".webm")
OWN_TIMES = {"start_s": "meta_start_s", "end_s": "meta_end_s"}


def is_window_table(columns: Collection[str]) -> bool:
    """Say whether a table with these columns is one of windows."""
    return {"video_id", "window_idx"} <= set(columns)


def as_rows(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of windows as rows of a manifest, and what a reader must know.

    A window's video is its group, so that a video keeps one role. Where every window has a sound
    file of its own, that file is the window, and the times go into ``meta_start_s`` and
    ``meta_end_s``; else they are times of the sound and the film.

    Args:
        table: With the columns of :data:`COLUMNS`; those beyond the first two may be absent.

    Raises:
        ManifestError: A row names no video, or its number is none.
    """
    import pandas as pd

    videos = strings(table["video_id"], "video_id")
    numbers = pd.to_numeric(table["window_idx"], errors="coerce")
    if (videos == "").any() or numbers.isna().any() or (numbers < 0).any():
        raise ManifestError(
            "a row of a table of windows names no video, or its window_idx is no number from 0"
        )
    rows = table.rename(
        columns={
            "start": "start_s",
            "end": "end_s",
            "audio_path": "audio",
            "text_snippet": "text",
            "frames_path": "video",
        }
    ).drop(columns=["video_id", "window_idx"])
    rows["id"] = videos + "#" + numbers.astype(np.int64).map("{:06d}".format)
    rows["group"] = rows[CLIP] = videos
    notes = [f"a table of {len(rows)} windows of {videos.nunique()} videos"]
    if "video" in rows:
        frames = strings(rows["video"], "frames_path")
        film = frames.str.lower().str.endswith(FILMS)
        rows["video"] = frames.where(film, "")
        if n_left := int((~film & (frames != "")).sum()):
            notes.append(f"{n_left} windows name saved frames and no film; they are not read")
    if _own_files(rows, videos):
        rows = rows.rename(columns=OWN_TIMES)
        notes.append("every window has a sound file of its own")
    return rows, notes


def _own_files(rows: pd.DataFrame, videos: pd.Series) -> bool:
    """Say whether each window has a sound file of its own, and not the one of its video."""
    if "audio" not in rows or not videos.duplicated().any():
        return False
    sound = strings(rows["audio"], "audio_path")
    return bool((sound != "").any() and not sound[sound != ""].duplicated().any())


def write_windows(manifest: Manifest, path: Path) -> None:
    """Write a corpus of windows as such a table; media paths stay relative to the corpus' folder.

    Args:
        manifest: The corpus.
        path: The CSV file.

    Raises:
        UsageError: Its rows are no windows.
        StoreFullError, StoreAccessError: It cannot be written.
    """
    import pandas as pd

    if not is_windowed(manifest):
        raise UsageError(f"corpus {manifest.name!r} holds no windows; add --window-s")
    table, videos = manifest.table, pd.Series(clips_of(manifest))
    found = pd.DataFrame(
        {
            "video_id": videos,
            "window_idx": videos.groupby(videos, sort=False).cumcount(),
            "start": table["start_s"],
            "end": table["end_s"],
            "frames_path": table["video"],
            "audio_path": table["audio"],
            "text_snippet": table["text"],
            "label": table["label"],
            "split": table["split"],
        },
        columns=list(COLUMNS),
    )
    with replacing(path) as temporary:
        found.to_csv(temporary, index=False, lineterminator="\n")


def read_windows(
    path: Path, name: str, protocol: str, tags: Mapping[str, str], media: Path | None
) -> Manifest:
    """Read such a table as a corpus.

    Args:
        path: The table.
        name: The corpus' name; the file's stem by default.
        protocol: The fold plan; guessed from the columns by default.
        tags: Metadata columns to their leak tags.
        media: The folder that media paths are relative to; the table's own by default.

    Raises:
        ManifestError: It is no such table, or a row breaks a promise.
    """
    root = media or path.absolute().parent
    try:
        rows, notes = as_rows(read_table(path))
        rows, _ = settle_paths(rows, root)
        check_names([str(column) for column in rows])
        manifest = Manifest.from_columns(
            name or safe_name(path.stem),
            {str(column): rows[column] for column in rows},
            root=root.resolve(),
            tags=tags,
            notes=tuple(notes),
        )
    except (ManifestError, LabelError) as error:
        raise type(error)(f"{path}: {error}") from error
    return replace(manifest, protocol=protocol or manifest.guess_protocol())
