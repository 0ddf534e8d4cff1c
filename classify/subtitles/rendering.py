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
        has_pictures = _has_pictures(film)
        for number, cue in enumerate(cues):
            at_s, picture = (cue.start_s + cue.end_s) / 2, Path(folder) / f"{number}.png"
            if has_pictures:
                _frame(film, at_s, picture)
            if not picture.is_file():  # sound alone, or sound that goes on behind the pictures
                _dark_frame(film, at_s, picture)
        rows = -(-len(cues) // COLUMNS)
        tile = f"tile={COLUMNS}x{rows}:padding=6:color=white"
        given = ["-i", "%d.png", "-vf", tile, "-frames:v", "1", "-f", "image2", "-c:v", "png"]
        _ffmpeg([*given, str(temporary.resolve())], Path(folder), film)


def _has_pictures(film: Path) -> bool:
    program = shutil.which("ffprobe")
    if program is None:
        raise MissingDependencyError(f"--preview needs ffprobe, which comes with ffmpeg; {INSTALL}")
    asked = ["-v", "error", "-select_streams", "V", "-show_entries", "stream=index", "-of", "csv"]
    command = [program, *asked, str(film.resolve())]
    return bool(_run(command, film.parent, film, "look into it").strip())


def _frame(film: Path, at_s: float, picture: Path) -> None:
    """Write the picture of one moment, if there is one; frames keep their times for libass."""
    size = f"scale={TILE_WIDTH}:-2,pad={TILE_WIDTH}:{TILE_WIDTH * 9 // 16}:-1:-1,setsar=1"
    seek = ["-ss", f"{at_s:.3f}", "-copyts", "-i", str(film.resolve())]
    shown = ["-vf", f"{size},ass={SCRIPT}", "-frames:v", "1", picture.name]
    _ffmpeg([*seek, *shown], picture.parent, film)


def _dark_frame(film: Path, at_s: float, picture: Path) -> None:
    """Write what libass paints at one moment on a dark ground."""
    dark = f"color=0x202830:s={TILE_WIDTH}x{TILE_WIDTH * 9 // 16}:r=25"
    moved = f"setpts=PTS+{at_s:.3f}/TB,ass={SCRIPT}"
    shown = ["-f", "lavfi", "-i", dark, "-vf", moved, "-frames:v", "1", picture.name]
    _ffmpeg(shown, picture.parent, film)


def _script(ass: str) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="write-subtitles-")
    (Path(folder.name) / SCRIPT).write_text(ass, encoding="utf-8")
    return folder


def _ffmpeg(arguments: Sequence[str], folder: Path, film: Path) -> None:
    start = [require_ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    _run([*start, *arguments], folder, film, "make pictures of it")


def _run(command: Sequence[str], folder: Path, film: Path, what: str) -> str:
    """Return what a program of ffmpeg prints.

    Raises:
        MediaError: It failed, and why.
    """
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise MediaError(f"{film}: ffmpeg could not {what} ({last})")
    return done.stdout
