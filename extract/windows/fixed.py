"""Fixed windows over files of sound, video or text, as a corpus that extraction reads like any.

The rows lie one behind the other, file by file. Text has no times: each line of it is a row.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, MediaError, UsageError
from embeddings_store.provenance import fingerprint
from embeddings_store.reading import read_text
from extract.frames.index import scan
from extract.media.containers import CONTAINER_SUFFIXES
from extract.media.header import has_sound, probe_sound

TEXT_SUFFIXES = frozenset({".txt"})
SOUND_ONLY = frozenset({".aac", ".m4a", ".wma"})  # among the containers
SOUND_SUFFIXES = SOUND_ONLY | {
    ".aif",
    ".aiff",
    ".au",
    ".caf",
    ".flac",
    ".mp3",
    ".oga",
    ".ogg",
    ".opus",
    ".w64",
    ".wav",
}
VIDEO_SUFFIXES = CONTAINER_SUFFIXES - SOUND_ONLY
SUFFIXES = TEXT_SUFFIXES | SOUND_SUFFIXES | VIDEO_SUFFIXES
ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class FixedWindows:
    """Windows of one length at equal distances.

    Attributes:
        window_s: Length of a window; 0 takes each file as a whole.
        hop_s: From the start of one to the start of the next.
    """

    window_s: float = 0.0
    hop_s: float = 0.0

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            UsageError: A length is below 0 or no number, or windows would leave gaps.
        """
        both = math.isfinite(self.window_s) and math.isfinite(self.hop_s)
        if not both or self.window_s < 0 or (self.window_s > 0 and self.hop_s <= 0):
            raise UsageError(
                f"windows of {self.window_s:g} s every {self.hop_s:g} s cannot be cut; give "
                "--window-s and --hop-s more than 0 seconds"
            )
        if self.hop_s > self.window_s:
            raise UsageError(
                f"windows of {self.window_s:g} s every {self.hop_s:g} s leave gaps between them; "
                "give a --hop-s of at most --window-s"
            )

    def spans(self, duration_s: float) -> Iterator[tuple[float, float]]:
        """Yield start and end of each window in a file.

        What is shorter than a window is one; what is left at the end is covered by a last window of
        full length, which ends with the file.

        >>> list(FixedWindows(2.0, 1.0).spans(3.5))
        [(0.0, 2.0), (1.0, 3.0), (1.5, 3.5)]
        >>> list(FixedWindows(2.0, 1.0).spans(1.5)), list(FixedWindows().spans(9.0))
        ([(0.0, 1.5)], [(0.0, 9.0)])
        """
        if not self.window_s or duration_s <= self.window_s:
            yield 0.0, duration_s
            return
        number, end_s = 0, 0.0
        while number * self.hop_s + self.window_s <= duration_s + ROUNDING_S:
            start_s = round(number * self.hop_s, 6)
            end_s = round(start_s + self.window_s, 6)
            yield start_s, end_s
            number += 1
        if end_s < duration_s - ROUNDING_S:
            yield round(duration_s - self.window_s, 6), duration_s


@dataclass(frozen=True, slots=True)
class WindowedMedia:
    """Media as rows.

    Attributes:
        manifest: A row per window, its ``group`` the file; none where no file can be read.
        files: The files that have rows, by their names in the manifest.
        failures: Name and reason of each file that has none.
    """

    manifest: Manifest | None
    files: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]


def find_media(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the media files among files and below folders, each once, in a folder by name.

    Links are followed to the files that they name.

    Raises:
        UsageError: A path does not exist, a file is of no kind that is read, or nothing is there.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            found.update(dict.fromkeys(p.resolve() for p in inside if p.is_file()))
        elif not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        elif path.suffix.lower() not in SUFFIXES:
            raise UsageError(
                f"{path}: is of no kind that is read; expected one of {', '.join(sorted(SUFFIXES))}"
            )
        else:
            found[path.resolve()] = None
    if not found:
        raise UsageError(f"no sound, video or text file in {', '.join(map(str, paths))}")
    return tuple(found)


def window_media(
    paths: Sequence[Path], windows: FixedWindows, modalities: Collection[str]
) -> WindowedMedia:
    """Return files as rows of the modalities that are wanted of them.

    The corpus is called by what lies in the files as far as the disk tells (name, size, time of the
    last change), by the windows and by the modalities, so that other media are another corpus.

    Args:
        paths: Files, see :func:`find_media`.
        windows: How they are cut.
        modalities: Which of ``audio``, ``video`` and ``text`` are wanted.
    """
    root = Path(os.path.commonpath([path.parent for path in paths]))
    columns: dict[str, list[object]] = {
        name: [] for name in ("id", "group", "audio", "video", "text", "start_s", "end_s")
    }
    files, failures, states = [], [], []
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            rows = list(_rows_of(path, name, windows, modalities))
        except (MediaError, ManifestError) as error:
            reason = str(error).removeprefix(f"{path}: ").replace(str(path), name)
            failures.append((name, reason))
            continue
        state = path.stat()
        states.append([name, state.st_size, state.st_mtime_ns])
        files.append(name)
        for number, row in enumerate(rows):
            row = {"id": f"{name}#{number:06d}", "group": name, **row}
            for column, cells in columns.items():
                cells.append(row.get(column, math.nan if column.endswith("_s") else ""))
    if not files:
        return WindowedMedia(None, (), tuple(failures))
    cut = [windows.window_s, windows.hop_s]
    what = fingerprint({"files": states, "windows": cut, "modalities": sorted(modalities)})
    manifest = Manifest.from_columns(f"media-{what}", dict(columns), root=root)
    return WindowedMedia(manifest, tuple(files), tuple(failures))


def _rows_of(
    path: Path, name: str, windows: FixedWindows, modalities: Collection[str]
) -> Iterator[dict[str, object]]:
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        if "text" not in modalities:
            raise MediaError(f"{path} is text, and the model takes {', '.join(modalities)}")
        lines = [line.strip() for line in read_text(path).splitlines()]
        if not any(lines):
            raise MediaError(f"{path} holds no text")
        for line in filter(None, lines):
            yield {"text": line}
        return
    media: dict[str, object] = {}
    lengths_s = []
    if "audio" in modalities and (suffix in SOUND_SUFFIXES or has_sound(path)):
        media["audio"] = name
        lengths_s.append(probe_sound(path)[0])
    if "video" in modalities and suffix in VIDEO_SUFFIXES:
        media["video"] = name
        lengths_s.append(scan(path).duration_s)
    if not media:
        what = "no sound track" if suffix in VIDEO_SUFFIXES else "no picture and no text"
        raise MediaError(f"{path} has {what}, and the model takes {', '.join(modalities)}")
    # sound and picture of one film end some frames apart; a window in both lies in the shorter
    for start_s, end_s in windows.spans(min(lengths_s)):
        yield {**media, "start_s": start_s, "end_s": end_s}
