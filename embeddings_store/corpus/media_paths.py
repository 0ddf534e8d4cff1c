r"""Paths of media as people write them, and the file that each one means.

A manifest's paths are relative, with ``/``. Tables also hold absolute ones, and those of Windows
with ``\``; a disk may spell a letter in another way than the table (``é`` as one sign or as ``e``
and an accent).
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from embeddings_store.corpus.columns import UNSAFE, strings
from embeddings_store.errors import UnsafePathError
from embeddings_store.reading import reason_of

if TYPE_CHECKING:
    import pandas as pd

ABSOLUTE = "absolute path below the media's folder, taken as relative to it"
BACKSLASH = "path with '\\', read as '/'"
FOLLOW_LINKS = "--follow-links"
FEW = 50
FOLDERS_KEPT = 256


def settle_paths(table: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """Return a table whose media paths are relative with ``/`` wherever that is what they mean.

    Others stay as they are, for the check of the manifest. An id that is the path is settled with
    it, so that it names no place on this disk.

    Args:
        table: With or without the columns ``audio`` and ``video``.
        root: The folder that media paths are relative to.

    Returns:
        The table, and for :data:`ABSOLUTE` and :data:`BACKSLASH` which rows were changed (n,).
    """
    import pandas as pd

    changed = {kind: pd.Series(False, index=table.index) for kind in (ABSOLUTE, BACKSLASH)}
    for name in ("audio", "video"):
        if name not in table:
            continue
        cells = strings(table[name], name)
        odd = cells.str.startswith("/") | cells.str.contains("[\\\\:]", regex=True)
        if not odd.any():
            continue
        settled = {path: settle_path(path, root) for path in cells[odd].unique()}
        paths = cells[odd].map({path: new for path, (new, _) in settled.items()})
        kinds = cells[odd].map({path: kind for path, (_, kind) in settled.items()})
        whole = cells.where(~odd, paths.reindex(cells.index))
        if "id" in table:
            ids = strings(table["id"], "id")
            table = table.assign(id=ids.where(ids != cells, whole))
        table = table.assign(**{name: whole})
        for kind, rows in changed.items():
            rows[kinds.index[kinds == kind]] = True
    return table, {kind: rows for kind, rows in changed.items() if rows.any()}


def settle_path(path: str, root: Path) -> tuple[str, str]:
    """Return a path as a manifest has it, and what was odd about it; itself where nothing helps.

    Args:
        path: As somebody wrote it.
        root: The folder that it is relative to, or lies in.

    Returns:
        The path, and :data:`ABSOLUTE`, :data:`BACKSLASH` or an empty string.
    """
    if Path(path).is_absolute():
        found = below(path, root)
        return (found, ABSOLUTE) if found else (path, "")
    plain = path.replace("\\", "/")
    if plain != path and not re.search(UNSAFE, plain) and not _is_there(root / path):
        return plain, BACKSLASH
    return path, ""


def _is_there(path: Path) -> bool:
    with suppress(OSError, ValueError):
        path.lstat()
        return True
    return False


def below(path: str, root: Path) -> str:
    """Return an absolute path relative to ``root``, empty where it lies elsewhere or climbs.

    >>> below("/data/wav/a.wav", Path("/data")), below("/other/a.wav", Path("/data"))
    ('wav/a.wav', '')
    """
    whole = Path(path)
    if ".." in whole.parts:
        return ""
    for base in (root, root.absolute(), root.resolve()):
        if whole.is_relative_to(base) and whole != base:
            return whole.relative_to(base).as_posix()
    return ""


def settled_lines(settled: Mapping[str, pd.Series]) -> tuple[str, ...]:
    """Return a sentence for each kind of path that :func:`settle_paths` has changed."""
    return tuple(f"{int(rows.sum())} x {kind}" for kind, rows in settled.items())


def resolve_media(root: Path, relative: str, follow_links: bool = False) -> Path:
    """Return the file that a manifest row names; links that leave the root are refused.

    Where there is no file of this name, it is the one whose name has the same letters in another
    spelling, if there is one only.

    Args:
        root: The folder that it is relative to.
        relative: What the row says.
        follow_links: Links may leave the root, because the user said so.

    Raises:
        UnsafePathError: The resolved path lies outside ``root``.
    """
    try:
        path = (root / relative).resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()  # A name that is too long for the disk is found nowhere else.
        if spelling := other_spelling(root, relative):
            path = (root / spelling).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UnsafePathError(
            f"{relative!r} leads to no file ({reason_of(error)}); correct the path, or replace "
            "the link by the file"
        ) from error
    if not follow_links and not path.is_relative_to(root.resolve()):
        raise UnsafePathError(
            f"{relative!r} leads outside the manifest's folder; move the file into it, or add "
            f"{FOLLOW_LINKS} to follow links"
        )
    return path


def refuse_links(root: Path, paths: Iterable[str]) -> None:
    """Refuse media in folders that are behind links out of the root, before any is read.

    A file that is such a link itself is refused when it is read, unless the first ones all are.

    Args:
        root: The folder that the paths are relative to.
        paths: Of a manifest, each once.

    Raises:
        UnsafePathError: Which folder or file is first, and which option follows it.
    """
    names = [path for path in paths if path]
    folders = sorted({PurePosixPath(name).parent.as_posix() for name in names})
    outside = [folder for folder in folders if _leaves(root, folder)]
    what = f"{len(outside)} of {len(folders)} folders of media"
    if not outside and names:
        first = names[:FEW]
        outside = first if all(_leaves(root, name) for name in first) else []
        what = f"{len(first)} of {len(names)} media files, the first ones,"
    if outside:
        raise UnsafePathError(
            f"{root}: {what} are behind links that leave it, first {outside[0]!r}; add "
            f"{FOLLOW_LINKS} to read them, or move them into it"
        )


def _leaves(root: Path, relative: str) -> bool:
    try:
        path = (root / relative).resolve()
    except (OSError, RuntimeError, ValueError):  # A circle of links leads nowhere.
        return False
    return not path.is_relative_to(root.resolve())


def other_spelling(root: Path, relative: str) -> str:
    """Return the path on the disk that has the same letters, empty where this one is there.

    Empty as well where none has, or several.
    """
    if relative.isascii() or _is_there(root / relative):
        return ""
    found = PurePosixPath()
    for part in PurePosixPath(relative).parts:
        if not _is_there(root / found / part):
            alike = _names_of(root / found).get(unicodedata.normalize("NFC", part), ())
            if len(alike) != 1:
                return ""
            part = alike[0]
        found /= part
    return found.as_posix()


def other_spellings(manifest_paths: Iterable[str], root: Path) -> tuple[str, ...]:
    """Return the paths whose files are found under another spelling of the same letters."""
    return tuple(path for path in manifest_paths if other_spelling(root, path))


def _names_of(folder: Path) -> Mapping[str, tuple[str, ...]]:
    try:
        return _listed(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(FOLDERS_KEPT)
def _listed(folder: Path, _changed_ns: int) -> Mapping[str, tuple[str, ...]]:
    """Return the names in a folder by their letters in one spelling."""
    names: dict[str, list[str]] = defaultdict(list)
    for entry in folder.iterdir():
        names[unicodedata.normalize("NFC", entry.name)].append(entry.name)
    return {letters: tuple(spellings) for letters, spellings in names.items()}
