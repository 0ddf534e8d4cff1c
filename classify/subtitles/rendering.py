"""Pictures and films with subtitles in them, by ffmpeg with libass; nothing else needs it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from classify.subtitles.words import NEUTRAL, Cue
from embeddings_store.atomic import replacing
from embeddings_store.errors import MediaError, MissingDependencyError

MOMENTS, COLUMNS, TILE_WIDTH = 10, 2, 640
INSTALL = "install it (Debian: apt-get install ffmpeg fonts-noto-cjk)"
SCRIPT = "subtitles.ass"  # ffmpeg runs beside it, so that no path has to be escaped for a filter


def require_ffmpeg() -> str:
    """Return where ffmpeg is.

    Raises:
        MissingDependencyError: It is not installed, or made without libass.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise MissingDependencyError(f"--burn and --preview need ffmpeg; {INSTALL}")
    found = subprocess.run(
        [program, "-hide_banner", "-filters"], capture_output=True, text=True, check=False
    )
    if " ass " not in found.stdout:
        raise MissingDependencyError(f"{program} was made without libass; {INSTALL}")
    return program


def strongest(cues: Sequence[Cue], neutral: str, count: int = MOMENTS) -> list[Cue]:
    """Return the cues whose emotion is surest, in the order of their times.

    Args:
        cues: With their emotions.
        neutral: The class that is none.
        count: How many.
    """
    felt = [cue for cue in cues if cue.emotion not in ("", neutral, NEUTRAL)]
    surest = sorted(felt, key=lambda cue: -cue.confidence)[:count]
    return sorted(surest, key=lambda cue: cue.start_s)


def burn(film: Path, ass: str, out: Path) -> None:
    """Write a film with the subtitles in its pictures.

    Args:
        film: With pictures.
        ass: The subtitles.
        out: The file, MP4 or Matroska.

    Raises:
        MissingDependencyError: There is no ffmpeg with libass.
        MediaError: ffmpeg failed, and why.
    """
    with replacing(out) as temporary, _script(ass) as folder:
        form = "matroska" if out.suffix.lower() == ".mkv" else "mp4"
        given = ["-i", str(film.resolve()), "-vf", f"ass={SCRIPT}", "-c:a", "copy", "-f", form]
        _ffmpeg([*given, str(temporary.resolve())], Path(folder), film)


def contact_sheet(film: Path, ass: str, cues: Sequence[Cue], out: Path) -> None:
    """Write one picture of the moments of some cues; a film without pictures has a dark ground.

    Args:
        film: A film or a sound file.
        ass: The subtitles.
        cues: One or more.
        out: The PNG file.

    Raises:
        MissingDependencyError: There is no ffmpeg with libass.
        MediaError: ffmpeg failed, and why.
    """
    with replacing(out) as temporary, _script(ass) as folder:
        for number, cue in enumerate(cues):
            _frame(film, (cue.start_s + cue.end_s) / 2, Path(folder), number)
        rows = -(-len(cues) // COLUMNS)
        tile = f"tile={COLUMNS}x{rows}:padding=6:color=white"
        given = ["-i", "%d.png", "-vf", tile, "-frames:v", "1", "-f", "image2", "-c:v", "png"]
        _ffmpeg([*given, str(temporary.resolve())], Path(folder), film)


def _frame(film: Path, at_s: float, folder: Path, number: int) -> None:
    """Write the picture of one moment into a folder; frames keep their times for libass."""
    size = f"scale={TILE_WIDTH}:-2,pad={TILE_WIDTH}:{TILE_WIDTH * 9 // 16}:-1:-1,setsar=1"
    shown = f"{size},ass={SCRIPT}"
    out = ["-frames:v", "1", f"{number}.png"]
    seek = ["-ss", f"{at_s:.3f}", "-copyts", "-i", str(film.resolve())]
    try:
        _ffmpeg([*seek, "-vf", shown, *out], folder, film)
        if (folder / f"{number}.png").is_file():
            return
    except MediaError:  # sound alone has no pictures
        pass
    dark = f"color=0x202830:s={TILE_WIDTH}x{TILE_WIDTH * 9 // 16}:r=25"
    moved = f"setpts=PTS+{at_s:.3f}/TB,ass={SCRIPT}"
    _ffmpeg(["-f", "lavfi", "-i", dark, "-vf", moved, *out], folder, film)


def _script(ass: str) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="write-subtitles-")
    (Path(folder.name) / SCRIPT).write_text(ass, encoding="utf-8")
    return folder


def _ffmpeg(arguments: Sequence[str], folder: Path, film: Path) -> None:
    program = require_ffmpeg()
    command = [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise MediaError(f"{film}: ffmpeg could not make pictures of it ({last})")
